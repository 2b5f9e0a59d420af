//! Where the state of a life of the process lies: on the heap, or in RocksDB in a folder that goes away with it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier, OnceLock};

use statehouse_engine::{BackendFactory, BackendRequest};
use statehouse_state::{
    Backend, HeapBackend, KeyLayout, RocksBackend, RocksOptions, RocksResources,
};
use tempfile::TempDir;

/// What makes the backends of one life.
pub(crate) struct Backends {
    pub(crate) factory: Arc<BackendFactory>,
    /// Where files of a checkpoint are put on their way into a backend.
    pub(crate) scratch: PathBuf,
}

/// The folder of a life. Removed when it is dropped. Where the system has one, it lies in memory: RocksDB would
/// otherwise spend most of the time waiting for a disk, to which nothing here needs to get.
pub(crate) fn folder() -> TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    in_memory.or_else(|_| tempfile::tempdir()).expect("there is room for temporary files")
}

impl Backends {
    /// On the heap, which can take state out of the tables of a life before.
    pub(crate) fn heap(folder: &Path) -> Self {
        let factory: Arc<BackendFactory> = Arc::new(|request| {
            let BackendRequest { states, timers, key_groups, range, .. } = request;
            let heap = HeapBackend::new(layout(&request), states, timers, key_groups, range)?;
            Ok(Box::new(heap) as Box<dyn Backend>)
        });
        Self { factory, scratch: folder.join("restore") }
    }

    /// In RocksDB, with caches so small that most reads and writes pass through it.
    pub(crate) fn rocks(folder: &Path) -> Self {
        static SHARED: OnceLock<RocksResources> = OnceLock::new();
        let resources = SHARED.get_or_init(|| {
            RocksResources::new(RocksOptions {
                write_behind_cache: 600,
                block_cache_size: 1 << 20,
                write_buffer_size: 64 << 10,
                target_file_size_base: 4 << 10,
                max_background_jobs: 1,
                ..RocksOptions::default()
            })
        });
        let own = folder.to_owned();
        let factory: Arc<BackendFactory> = Arc::new(move |request| {
            let BackendRequest { node, task, states, timers, key_groups, range, .. } = request;
            let declared = (states, timers);
            let (own, groups) = (own.join(format!("{node}-{task}")), (key_groups, range));
            let rocks = RocksBackend::open(&own, resources, layout(&request), declared, groups)?;
            Ok(Box::new(rocks) as Box<dyn Backend>)
        });
        Self { factory, scratch: folder.join("restore") }
    }
}

impl Backends {
    /// The same, but the first task of each operator waits until those of all operators are about to be restored.
    pub(crate) fn at_once(self, operators: usize) -> Self {
        let (all, make) = (Barrier::new(operators), self.factory);
        let factory: Arc<BackendFactory> = Arc::new(move |request| {
            let backend = make(request)?;
            if request.task == 0 {
                all.wait();
            }
            Ok(backend)
        });
        Self { factory, ..self }
    }
}

fn layout(request: &BackendRequest<'_>) -> KeyLayout {
    request.description.state_key().expect("the operators are keyed").layout
}
