//! A backend back from segments, or from tables.
//!
//! A task whose key groups are those of the tables takes the files over. Any other reads the key groups that are its
//! own, and hands them to RocksDB as sorted files. Neither changes the files that it was given.

use std::fs;
use std::path::Path;

use rocksdb::WriteBatch;

use super::tables::OpenTables;
use super::{RocksBackend, files, keys, tables};
use crate::declaration::{StateKind, TimerId};
use crate::error::Error;
use crate::key::KeyGroup;
use crate::ownership::{check_record, check_segment};
use crate::segment::{Cell, Reader, Record};
use crate::timers::{Key, Timer};

/// Bytes of restored state that are handed to RocksDB at once.
const RESTORE_BATCH_BYTES: usize = 1 << 20;

impl RocksBackend {
    /// Applies a segment of a group.
    pub(super) fn restore_segment(
        &mut self,
        group: KeyGroup,
        full: bool,
        segment: &[u8],
    ) -> Result<(), Error> {
        check_segment(group, self.range)?;
        self.begin_restore();
        if self.cells.dirty() > 0 {
            self.flush()?;
        }
        self.cells.clear();
        let is_first = self.restored.insert(group);
        if full && !(self.empty && is_first) {
            self.clear_group(group)?;
        }
        let schema = self.schema.clone();
        let mut reader = Reader::open(group, segment, &schema)?;
        let mut batch = WriteBatch::default();
        while let Some(record) = reader.next()? {
            self.restore_record(group, &record, &mut batch)?;
            if batch.size_in_bytes() >= RESTORE_BATCH_BYTES {
                self.database.write(std::mem::take(&mut batch))?;
            }
        }
        self.database.write(batch)
    }

    /// Takes what is its own out of the tables of a snapshot.
    pub(super) fn restore_directory(&mut self, directory: &Path) -> Result<(), Error> {
        self.begin_restore();
        let tables = OpenTables::open(directory, &self.schema, self.key_groups)?;
        let whole = tables.catalog.range == self.range && tables.sources.fit_as_they_are();
        if self.empty && self.restored.is_empty() && whole {
            self.empty = false;
            return self.adopt(tables);
        }
        self.empty = false;
        self.flush()?;
        self.cells.clear();
        self.ingest(&tables)
    }

    fn begin_restore(&mut self) {
        self.running = None;
        self.invocation.clear();
        self.sweeps.clear();
        self.unchanged = false;
        self.forget();
    }

    fn restore_record(
        &mut self,
        group: KeyGroup,
        record: &Record<'_>,
        batch: &mut WriteBatch,
    ) -> Result<(), Error> {
        let key_cell = record.key();
        let hash = key_cell.hash();
        check_record(hash, group, self.key_groups)?;
        let (mut key, mut stored) = (Vec::new(), Vec::new());
        let (state, value) = match *record {
            Record::Value { state, value, .. } => (state, value),
            Record::Entry { state, value, entry, .. } => {
                let kind = self.schema.states()[state.0 as usize].kind;
                if let (StateKind::List, Cell::Word(number)) = (kind, entry) {
                    self.catalog.next_element = self.catalog.next_element.max(number + 1);
                }
                (state, value)
            }
            Record::Timer { timer, time, namespace, set, .. } => {
                let timer_key = Timer { time, hash, key: Key::from(key_cell), namespace };
                self.timers.change(group.0, timer.0 as usize, timer_key, set, true);
                return Ok(());
            }
        };
        keys::push_head(&mut key, group.0, self.tags.states[state.0 as usize]);
        keys::push_key(&mut key, key_cell);
        let declared = &self.schema.states()[state.0 as usize];
        if let (Record::Entry { entry, .. }, Some(layout)) = (record, declared.entry_key()) {
            keys::push_entry(&mut key, layout, *entry);
        }
        match value {
            Some(value) => {
                keys::push_value(&mut stored, declared.ttl.is_some(), value);
                batch.put(&key, &stored);
            }
            None => batch.delete(&key),
        }
        Ok(())
    }

    /// Removes everything of a group.
    fn clear_group(&mut self, group: KeyGroup) -> Result<(), Error> {
        let prefix = group.0.to_be_bytes().to_vec();
        let mut batch = WriteBatch::default();
        batch.delete_range(prefix.clone(), keys::successor(prefix));
        self.database.write(batch)?;
        self.timers.clear_group(group.0);
        Ok(())
    }

    /// Makes the tables of a snapshot its own.
    fn adopt(&mut self, tables: OpenTables) -> Result<(), Error> {
        let (from, catalog) = (tables.database.path().to_owned(), tables.catalog.clone());
        drop(tables);
        self.open_copy(&from, catalog)?;
        // Changes go to the tags that the tables have.
        self.timers.serve(self.schema.timers(), &self.tags.timers);
        let words = self.schema.key().is_words();
        for group in self.range.iter() {
            for (family, &tag) in self.tags.timers.iter().enumerate() {
                let timers = &mut self.timers;
                tables::visit_tag(&self.database, group, tag, |key, _| {
                    let read = keys::read_timer(key, words);
                    let (time, key, namespace) =
                        read.ok_or_else(|| self.database.damaged("a timer"))?;
                    let timer = Timer { time, hash: key.hash(), key: Key::from(key), namespace };
                    timers.change(group.0, family, timer, true, false);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// Takes the groups of its range out of the tables of a snapshot.
    fn ingest(&mut self, tables: &OpenTables) -> Result<(), Error> {
        let scratch = files::vacant(&self.directory, "restore-");
        let words = self.schema.key().is_words();
        let timers = &mut self.timers;
        let mut timer = |group: KeyGroup, family: TimerId, key: &[u8]| {
            let (time, key, namespace) =
                keys::read_timer(key, words).ok_or_else(|| tables.database.damaged("a timer"))?;
            let timer = Timer { time, hash: key.hash(), key: Key::from(key), namespace };
            timers.change(group.0, family.0 as usize, timer, true, false);
            Ok(())
        };
        let size = self.resources.options().target_file_size_base;
        let target = (self.database.options(), scratch.as_path(), size);
        let copied =
            tables::copy_tables(tables, &self.schema, self.range, &self.tags, target, &mut timer);
        let ingested = copied.and_then(|files| self.database.ingest(files));
        // What cannot be removed is removed with the task's directory.
        let _ = fs::remove_dir_all(scratch);
        self.catalog.next_element = self.catalog.next_element.max(tables.catalog.next_element);
        ingested
    }
}
