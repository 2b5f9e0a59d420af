//! The state backends of a job, and the local folder that their files lie in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use statehouse_checkpoint::DirectoryLock;
use statehouse_engine::{BackendFactory, BackendRequest};
use statehouse_state::rocks::{RocksBackend, RocksResources};
use statehouse_state::{HeapBackend, KeyLayout};

use super::LaunchError;
use crate::job_file::{BackendKind, JobFile};

/// The folders in the folder of local state: of the backends' files, and of those on their way into one.
const TASKS: &str = "tasks";
const RESTORE: &str = "restore";

/// What makes the backends of a job.
pub(super) struct Backends {
    pub(super) factory: Arc<BackendFactory>,
    /// Where files of a checkpoint are put on their way into a backend.
    pub(super) scratch: PathBuf,
    /// Where backends keep their files. Made for every job: the control endpoint is there, too.
    pub(super) folder: StateFolder,
}

impl Backends {
    /// Those that the job file asks for.
    pub(super) fn of_job(file: &JobFile) -> Result<Self, LaunchError> {
        let directory = file.state_directory();
        let (tasks, scratch) = (directory.join(TASKS), directory.join(RESTORE));
        let folder = StateFolder::claim(&directory)?;
        let factory = match file.state.backend {
            BackendKind::Heap => heap_backends(),
            BackendKind::Rocksdb => {
                rocks_backends(RocksResources::new(file.state.rocksdb.clone()), &tasks)
            }
        };
        Ok(Self { factory, scratch, folder })
    }
}

/// State in memory.
pub fn heap_backends() -> Arc<BackendFactory> {
    Arc::new(|request| {
        let BackendRequest { states, timers, key_groups, range, .. } = request;
        let key = key_layout(&request);
        Ok(Box::new(HeapBackend::new(key, states, timers, key_groups, range)?))
    })
}

/// State in RocksDB: for each task a folder in this one. What lies there is of a run before that was rolled back and
/// could not be taken over, or of a swap that was refused, and goes.
pub fn rocks_backends(resources: RocksResources, directory: &Path) -> Arc<BackendFactory> {
    let directory = directory.to_owned();
    Arc::new(move |request| {
        let BackendRequest { node, task, states, timers, key_groups, range, .. } = request;
        let key = key_layout(&request);
        let own = directory.join(format!("{node}-{task}"));
        // If that fails, the database says what it finds.
        let _ = std::fs::remove_dir_all(&own);
        let (declared, groups) = ((states, timers), (key_groups, range));
        Ok(Box::new(RocksBackend::open(&own, &resources, key, declared, groups)?))
    })
}

fn key_layout(request: &BackendRequest<'_>) -> KeyLayout {
    request.description.state_key().map_or(KeyLayout::Bytes, |key| key.layout)
}

/// The local folder of a running job's state. Nothing in it outlives the job.
#[derive(Debug)]
pub struct StateFolder {
    lock: DirectoryLock,
}

impl StateFolder {
    /// Where it is.
    pub fn directory(&self) -> &Path {
        self.lock.directory()
    }

    /// Makes this process the folder's owner, and removes what an owner that was killed has left there.
    fn claim(directory: &Path) -> Result<Self, LaunchError> {
        let lock = DirectoryLock::acquire(directory).map_err(|error| match error {
            statehouse_checkpoint::Error::Locked { directory, pid } => {
                LaunchError::StateFolderTaken { directory, pid }
            }
            other => other.into(),
        })?;
        empty(directory).map_err(|source| LaunchError::StateFolder {
            directory: directory.to_owned(),
            source,
        })?;
        Ok(Self { lock })
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        // What stays behind is removed by the next run.
        let _ = empty(self.lock.directory());
    }
}

/// Removes the folders of tasks. Whatever else the user has in the directory stays.
fn empty(directory: &Path) -> std::io::Result<()> {
    for name in [TASKS, RESTORE] {
        match std::fs::remove_dir_all(directory.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
