//! All that is kept for some keys, as segments.

use std::collections::BTreeMap;

use super::cells::Cached;
use super::{RocksBackend, keys, walk};
use crate::column::{BytesColumn, Column};
use crate::declaration::{StateDeclaration, StateId};
use crate::error::Error;
use crate::key::KeyGroup;
use crate::segment::{Cell, Stamped, Writer};
use crate::snapshot::Segment;
use crate::{merge, ttl};

/// A segment for each group.
type Writers = BTreeMap<KeyGroup, Writer>;

/// Keys in the order that they have in RocksDB.
struct Keys<'a> {
    keys: &'a Column,
    hashes: &'a [u64],
    /// Each with its group, and how RocksDB writes the key.
    order: Vec<(KeyGroup, Vec<u8>, usize)>,
}

impl RocksBackend {
    /// Copies what some keys have.
    pub(super) fn copy(&self, keys: &Column, hashes: &[u64]) -> Result<Vec<Segment>, Error> {
        self.check_keys(keys, hashes)?;
        let mut order = Vec::with_capacity(hashes.len());
        for (row, &hash) in hashes.iter().enumerate() {
            let mut bytes = Vec::new();
            keys::push_key(&mut bytes, keys.cell(row));
            order.push((self.key_groups.group_of(hash), bytes, row));
        }
        order.sort_unstable();
        let keys = Keys { keys, hashes, order };
        let mut writers = Writers::new();
        for (id, state) in (0..).map(StateId).zip(self.schema.states()) {
            if state.kind.is_cell() {
                self.copy_values((id, state), &keys, &mut writers)?;
            } else {
                self.copy_entries((id, state), &keys, &mut writers)?;
            }
        }
        let segment = |(group, writer): (KeyGroup, Writer)| {
            let entries = writer.entries();
            Segment { group, full: true, entries, bytes: writer.finish() }
        };
        Ok(writers.into_iter().map(segment).collect())
    }

    fn writer<'a>(&self, writers: &'a mut Writers, group: KeyGroup) -> &'a mut Writer {
        writers.entry(group).or_insert_with(|| Writer::new(&self.schema))
    }

    fn copy_values(
        &self,
        (id, state): (StateId, &StateDeclaration),
        keys: &Keys<'_>,
        writers: &mut Writers,
    ) -> Result<(), Error> {
        let place = self.cells.place_of(id).expect("a state with one value a key has cells");
        let tag = self.tags.states[id.0 as usize];
        let mut wanted = BytesColumn::default();
        let mut asked = Vec::new();
        let mut stored_key = Vec::new();
        for at @ (group, bytes, row) in &keys.order {
            let key = keys.keys.cell(*row);
            let mut delta = None;
            match self.cells.cached(place, keys.hashes[*row], key) {
                Cached::Absent { .. } => continue,
                Cached::Value { value, .. } => {
                    self.writer(writers, *group).value(id, key, Some(value));
                    continue;
                }
                Cached::Delta(value) => delta = Some(value),
                Cached::Unknown => {}
            }
            stored_key.clear();
            keys::push_head(&mut stored_key, group.0, tag);
            stored_key.extend_from_slice(bytes);
            wanted.push(&stored_key);
            asked.push((at, delta));
        }
        let (stamped, words) = (state.ttl.is_some(), state.value.is_words());
        let stored = self.database.get_sorted(wanted.iter());
        for (((group, _, row), delta), stored) in asked.into_iter().zip(stored) {
            let stored = stored.map_err(|error| self.database.error("read", &error))?;
            let damaged = || self.database.damaged("a value");
            let read = |bytes| keys::read_value(bytes, stamped, words).ok_or_else(damaged);
            let base = stored.as_deref().map(read).transpose()?;
            let key = keys.keys.cell(*row);
            let writer = self.writer(writers, *group);
            match (base, delta) {
                (None, None) => {}
                (Some(value), None) => writer.value(id, key, Some(value)),
                (None, Some(delta)) => writer.value(id, key, Some(delta.into())),
                (Some(base), Some(delta)) => merged(state, base.value, delta, |value| {
                    let stamp = ttl::NO_STAMP;
                    writer.value(id, key, Some(Stamped { value, stamp }));
                }),
            }
        }
        Ok(())
    }

    fn copy_entries(
        &self,
        (id, state): (StateId, &StateDeclaration),
        keys: &Keys<'_>,
        writers: &mut Writers,
    ) -> Result<(), Error> {
        let Some(layout) = state.entry_key() else { return Ok(()) };
        let tag = self.tags.states[id.0 as usize];
        let prefix = |(group, bytes, _): &(KeyGroup, Vec<u8>, usize)| {
            let mut prefix = Vec::new();
            keys::push_head(&mut prefix, group.0, tag);
            prefix.extend_from_slice(bytes);
            prefix
        };
        let prefixes: Vec<_> = keys.order.iter().map(prefix).collect();
        let (stamped, words) = (state.ttl.is_some(), state.value.is_words());
        walk::prefixes(&self.database, &prefixes, (0, None), &mut |number, key, value| {
            let (group, _, row) = &keys.order[number];
            let entry = keys::read_entry(&key[prefixes[number].len()..], layout);
            let value = keys::read_value(value, stamped, words);
            let (entry, value) =
                entry.zip(value).ok_or_else(|| self.database.damaged("an entry"))?;
            let writer = self.writer(writers, *group);
            writer.entry(id, keys.keys.cell(*row), entry, Some(value));
            Ok(true)
        })?;
        Ok(())
    }
}

/// Calls with what comes of a value and what was merged into it.
fn merged(state: &StateDeclaration, base: Cell<'_>, delta: Cell<'_>, call: impl FnOnce(Cell<'_>)) {
    let merge = state.merge.expect("only reducing states are merged into");
    match (base, delta) {
        (Cell::Word(base), Cell::Word(delta)) => {
            call(Cell::Word(merge::words(merge, state.value, base, delta)));
        }
        (Cell::Bytes(base), Cell::Bytes(delta)) => {
            let mut all = base.to_vec();
            merge::bytes(merge, &mut all, delta);
            call(Cell::Bytes(&all));
        }
        _ => unreachable!("values of one state have one layout"),
    }
}
