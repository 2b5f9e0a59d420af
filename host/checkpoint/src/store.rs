//! The store of a job's checkpoints: where it is. What it does is in `packs.rs`, `manifests.rs`, `fence.rs`.
//!
//! *Crash safety.* Packs are written first, the manifest last and with create-if-absent, so a
//! checkpoint is there as a whole or not at all. A crash in between leaves packs that no manifest
//! names; they do no harm and cost space until collection removes them.
//!
//! *Retries.* None here. The clients of remote stores retry what can be retried, within their own
//! bounds; a local directory or memory that fails once fails again.
//!
//! *Integrity.* Whatever is read is compared with its hash before any of it is handed out.

#[cfg(test)]
pub(crate) mod tests;

use std::path::Path as Directory;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;

use crate::error::Error;
use crate::metered::{MeteredStore, StoreMetrics};

/// The checkpoints of one job. Cloning it is cheap; all clones are the same store.
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    objects: Arc<dyn ObjectStore>,
}

/// What a written object in a local directory survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Loss of power: files and directories are flushed to the disk before a write counts.
    #[default]
    Power,
    /// The end of the process only. Faster; for tests and throw-away runs.
    Process,
}

impl CheckpointStore {
    /// Checkpoints in any object store. The store must belong to this job alone.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects }
    }

    /// Checkpoints in memory; they are gone with the last clone.
    pub fn in_memory() -> Self {
        Self::new(Arc::new(InMemory::new()))
    }

    /// Checkpoints in a local directory, which must exist. Owners hold its
    /// [`DirectoryLock`](crate::DirectoryLock); to look, no lock is needed.
    ///
    /// # Errors
    /// [`Error::Directory`] if it does not exist or is no directory.
    pub fn open_directory(
        directory: impl AsRef<Directory>,
        durability: Durability,
    ) -> Result<Self, Error> {
        let directory = directory.as_ref();
        let error = |source| Error::Directory { directory: directory.to_path_buf(), source };
        std::fs::read_dir(directory).map_err(error)?;
        let objects = LocalFileSystem::new_with_prefix(directory)
            .map_err(|source| error(std::io::Error::other(source)))?
            .with_fsync(durability == Durability::Power);
        Ok(Self::new(Arc::new(objects)))
    }

    /// The same store, with every request counted.
    #[must_use]
    pub fn metered(self, metrics: &StoreMetrics) -> Self {
        Self { objects: Arc::new(MeteredStore::new(self.objects, metrics.clone())) }
    }

    pub(crate) fn objects(&self) -> &dyn ObjectStore {
        &*self.objects
    }
}
