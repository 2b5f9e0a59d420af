//! Reads the tables of a snapshot, and writes files that RocksDB takes in as they are.

use std::fs;
use std::path::{Path, PathBuf};

use rocksdb::{Options, SstFileWriter};

use super::catalog::{Catalog, Sources, Stamps};
use super::database::{Database, file_error, storage};
use super::keys;
use crate::declaration::{StateDeclaration, StateId, TimerId};
use crate::error::Error;
use crate::key::{KeyGroup, KeyGroupRange, KeyGroups};
use crate::segment::{Record, Schema, Stamped};
use crate::ttl::NO_STAMP;

/// The tables of a snapshot, open for reading.
pub(super) struct OpenTables {
    pub(super) database: Database,
    pub(super) catalog: Catalog,
    pub(super) sources: Sources,
}

impl OpenTables {
    /// Opens tables and finds their states among those of the operator.
    pub(super) fn open(
        directory: &Path,
        schema: &Schema,
        key_groups: KeyGroups,
    ) -> Result<Self, Error> {
        if !directory.join("CURRENT").exists() {
            let error = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(file_error(directory, "find tables, of which CURRENT is one file", &error));
        }
        let database = Database::open_tables(directory)?;
        let catalog = Catalog::read(&database)?;
        catalog.describe_to(database.tagged());
        let sources = catalog.sources(directory, schema, key_groups)?;
        Ok(Self { database, catalog, sources })
    }

    /// The groups of a range that are in the tables.
    pub(super) fn groups(&self, range: KeyGroupRange) -> impl Iterator<Item = KeyGroup> {
        let theirs = self.catalog.range;
        range.iter().filter(move |group| theirs.contains(*group))
    }

    /// Calls with every key and value of a tag in a group.
    pub(super) fn visit(
        &self,
        group: KeyGroup,
        tag: u16,
        visit: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        visit_tag(&self.database, group, tag, visit)
    }
}

/// Calls with every key and value of a tag in a group, in order.
pub(super) fn visit_tag(
    database: &Database,
    group: KeyGroup,
    tag: u16,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut prefix = Vec::new();
    keys::push_head(&mut prefix, group.0, tag);
    database.scan(prefix.clone(), keys::successor(prefix), false, |key, value| {
        visit(key, value).map(|()| true)
    })
}

/// Reads the tables of a snapshot ([`Snapshot::tables`](crate::Snapshot::tables)) as records: those of the range,
/// group by group. Writes nothing into the directory.
///
/// # Errors
/// If the files are damaged or not there, or hold state that the schema has not, or other key groups.
pub fn read_tables(
    directory: &Path,
    schema: &Schema,
    key_groups: KeyGroups,
    range: KeyGroupRange,
    visit: &mut dyn FnMut(KeyGroup, &Record<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let tables = OpenTables::open(directory, schema, key_groups)?;
    let words = schema.key().is_words();
    for group in tables.groups(range) {
        for &(tag, state, stamps) in &tables.sources.states {
            let declared = &schema.states()[state.0 as usize];
            tables.visit(group, tag, |key, value| {
                let record = record(key, value, words, (state, declared), stamps)
                    .ok_or_else(|| tables.database.damaged("a value"))?;
                visit(group, &record)
            })?;
        }
        for &(tag, timer) in &tables.sources.timers {
            tables.visit(group, tag, |key, _| {
                let (time, key, namespace) = keys::read_timer(key, words)
                    .ok_or_else(|| tables.database.damaged("a timer"))?;
                visit(group, &Record::Timer { timer, key, time, namespace, set: true })
            })?;
        }
    }
    Ok(())
}

/// A value or an entry as a record.
fn record<'a>(
    key: &'a [u8],
    value: &'a [u8],
    words: bool,
    (state, declared): (StateId, &StateDeclaration),
    stamps: Stamps,
) -> Option<Record<'a>> {
    let (key, rest) = keys::read_key(key, words)?;
    let stamped = match stamps {
        Stamps::Same => declared.ttl.is_some(),
        Stamps::Differ { theirs, .. } => theirs,
    };
    let mut value = keys::read_value(value, stamped, declared.value.is_words())?;
    if stamps != Stamps::Same {
        value.stamp = NO_STAMP;
    }
    let value = Some(value);
    match declared.entry_key() {
        Some(layout) => {
            let entry = keys::read_entry(rest, layout)?;
            Some(Record::Entry { state, key, entry, value })
        }
        None => rest.is_empty().then_some(Record::Value { state, key, value }),
    }
}

/// Is called with a timer's group, family and key in RocksDB.
type VisitTimer<'a> = dyn FnMut(KeyGroup, TimerId, &[u8]) -> Result<(), Error> + 'a;

/// Where a tag of the tables goes.
#[derive(Clone, Copy)]
enum Target {
    State { stamps: Stamps, words: bool },
    Timer(TimerId),
}

/// Copies the groups of a range into sorted files that a database can ingest, in a directory that is made for them.
/// Calls with every timer on the way. Returns the files.
pub(super) fn copy_tables(
    tables: &OpenTables,
    schema: &Schema,
    range: KeyGroupRange,
    tags: &super::catalog::Tags,
    (options, directory, size): (&Options, &Path, u64),
    timer: &mut VisitTimer<'_>,
) -> Result<Vec<PathBuf>, Error> {
    // Each source: the tag here, by which they are sorted, the tag there, and what it is.
    let mut sources: Vec<(u16, u16, Target)> = Vec::new();
    for &(theirs, state, stamps) in &tables.sources.states {
        let words = schema.states()[state.0 as usize].value.is_words();
        let target = Target::State { stamps, words };
        sources.push((tags.states[state.0 as usize], theirs, target));
    }
    for &(theirs, family) in &tables.sources.timers {
        sources.push((tags.timers[family.0 as usize], theirs, Target::Timer(family)));
    }
    sources.sort_unstable_by_key(|source| source.0);
    fs::create_dir_all(directory)
        .map_err(|error| file_error(directory, "make the directory", &error))?;
    let mut files = Files { options, directory, size, paths: Vec::new(), open: None };
    let (mut to, mut rewritten) = (Vec::new(), Vec::new());
    for group in tables.groups(range) {
        for &(ours, theirs, target) in &sources {
            tables.visit(group, theirs, |key, value| {
                to.clear();
                keys::push_head(&mut to, group.0, ours);
                to.extend_from_slice(&key[to.len()..]);
                let mut value = value;
                match target {
                    Target::State { stamps: Stamps::Differ { theirs, ours }, words } => {
                        let read = keys::read_value(value, theirs, words)
                            .ok_or_else(|| tables.database.damaged("a value"))?;
                        rewritten.clear();
                        let unstamped = Stamped { stamp: NO_STAMP, ..read };
                        keys::push_value(&mut rewritten, ours, unstamped);
                        value = &rewritten;
                    }
                    Target::State { .. } => {}
                    Target::Timer(family) => timer(group, family, key)?,
                }
                files.put(&to, value)
            })?;
        }
    }
    files.finish()?;
    Ok(files.paths)
}

/// Sorted files that are being written.
struct Files<'a> {
    options: &'a Options,
    directory: &'a Path,
    /// A file that has reached this size is the last but one.
    size: u64,
    paths: Vec<PathBuf>,
    open: Option<SstFileWriter<'a>>,
}

impl Files<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let error = |error| storage(self.directory, "write restored state", &error);
        let mut writer = match self.open.take() {
            Some(writer) => writer,
            None => {
                let path = self.directory.join(format!("{}.sst", self.paths.len()));
                let writer = SstFileWriter::create(self.options);
                writer.open(&path).map_err(error)?;
                self.paths.push(path);
                writer
            }
        };
        writer.put(key, value).map_err(error)?;
        let full = writer.file_size() >= self.size;
        self.open = Some(writer);
        if full { self.finish() } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<(), Error> {
        let Some(mut writer) = self.open.take() else { return Ok(()) };
        writer.finish().map_err(|error| storage(self.directory, "write restored state", &error))
    }
}
