//! Snapshots: the state of a key-group range at a barrier, as bytes that any backend can restore.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::key::{KeyGroup, KeyGroupRange};

/// The part of a snapshot that belongs to one key group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The key group.
    pub group: KeyGroup,
    /// Whether this is the group's whole state. Otherwise it is what changed since the segment before it.
    pub full: bool,
    /// Changes in it: values and timers, set or removed.
    pub entries: u64,
    /// The encoded changes; the format is documented in `docs/internals/format.md`.
    pub bytes: Vec<u8>,
}

/// One file of a snapshot by tables. It never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFile {
    /// Its name in the directory that [`Backend::restore_tables`](crate::Backend::restore_tables) wants to find.
    pub name: String,
    /// Tells the file apart from every other file of the same backend and of those that it was restored from: the same
    /// identity stands for the same bytes. `None` for files that are made anew for every snapshot.
    pub identity: Option<String>,
    /// How long it is.
    pub length: u64,
}

/// The whole state of a task as files that the backend's storage engine wrote: a directory of hard links.
///
/// `clone` shares the directory, which is removed with the last of them.
#[derive(Debug, Clone)]
pub struct Tables {
    /// The key groups in it.
    pub range: KeyGroupRange,
    /// About how many values, entries and timers are in it.
    pub entries: u64,
    /// The files.
    pub files: Vec<TableFile>,
    directory: Arc<TablesDirectory>,
}

impl Tables {
    /// The files of a directory, which is removed once nobody holds it any more.
    pub fn new(
        directory: PathBuf,
        range: KeyGroupRange,
        entries: u64,
        files: Vec<TableFile>,
    ) -> Self {
        Self { range, entries, files, directory: Arc::new(TablesDirectory(directory)) }
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.directory.0
    }
}

impl PartialEq for Tables {
    fn eq(&self, other: &Self) -> bool {
        self.directory() == other.directory()
    }
}

impl Eq for Tables {}

struct TablesDirectory(PathBuf);

impl fmt::Debug for TablesDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Drop for TablesDirectory {
    fn drop(&mut self) {
        // What cannot be removed is removed with the backend's directory, of which this is a part.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The state of a task's key groups at a barrier. Groups that did not change have no segment.
///
/// A backend makes either segments or tables; a snapshot by tables is always the task's whole state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The epoch that the barrier ended.
    pub epoch: u64,
    /// One segment for each group that changed, those left out that were taken while the snapshot was being written.
    pub segments: Vec<Segment>,
    /// The task's whole state, if the backend keeps it in files.
    pub tables: Option<Tables>,
}
