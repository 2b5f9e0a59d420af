//! The job that the benchmarks of checkpoints run: a paced source, values of some length a key, no output.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use statehouse_checkpoint::{
    CheckpointStore, Compression, Durability, Manifest, StartPoint, StoreMetrics,
};
use statehouse_connectors::DiscardFactory;
use statehouse_engine::{
    Assembled, CheckpointRecord, CheckpointSettings, Checkpoints, Clock, Graph, JobPlan, Node,
    NodeKind, RestorePoint, SystemClock, assemble, threads,
};
use statehouse_state::KeyGroups;
use statehouse_state::rocks::{RocksOptions, RocksResources};

use super::source::{Paced, Seen, Then};
use crate::bench::native::{Work, description};
use crate::bench::sum::NativeSum;
use crate::job_file::BackendKind;
use crate::launch::{heap_backends, rocks_backends};

/// A state and what happens to it.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) backend: BackendKind,
    pub(super) keys: u64,
    pub(super) value_bytes: usize,
    pub(super) parallelism: u32,
    pub(super) interval: Option<Duration>,
    pub(super) compression: Compression,
    pub(super) then: Then,
}

/// What a run came to.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) checkpoints: Vec<CheckpointRecord>,
    pub(super) seen: Seen,
}

/// Where everything of one run lies.
#[derive(Debug, Clone)]
pub(super) struct Folders {
    pub(super) checkpoints: PathBuf,
    state: PathBuf,
    restore: PathBuf,
}

impl Folders {
    /// New and empty, in a folder that is emptied for them.
    pub(super) fn fresh(directory: &Path) -> Result<Self, String> {
        let _ = std::fs::remove_dir_all(directory);
        let folders = Self {
            checkpoints: directory.join("checkpoints"),
            state: directory.join("state"),
            restore: directory.join("restore"),
        };
        std::fs::create_dir_all(&folders.checkpoints).map_err(|error| error.to_string())?;
        Ok(folders)
    }

    /// The store, as a job has it.
    pub(super) fn store(&self) -> Result<CheckpointStore, String> {
        let store = CheckpointStore::open_directory(&self.checkpoints, Durability::Power);
        store.map_err(|error| error.chain())
    }
}

impl Run {
    /// Runs the job from nothing to its end.
    pub(super) fn run(&self, folders: &Folders) -> Result<Ran, String> {
        let metrics = StoreMetrics::default();
        let source = Arc::new(Paced::new(self.keys, self.then, metrics.clone()));
        let store = folders.store()?.metered(&metrics);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let job = self.assemble(folders, Arc::clone(&source), store, None, &clock)?;
        let handle = job.handle.clone();
        threads::run(job, &clock).map_err(|error| error.to_string())?;
        Ok(Ran { checkpoints: handle.checkpoints(), seen: source.seen() })
    }

    /// Puts the job together from a checkpoint: what a restart waits for.
    pub(super) fn restore(
        &self,
        folders: &Folders,
        manifest: Manifest,
        point: StartPoint,
    ) -> Result<Assembled, String> {
        let store = folders.store()?;
        let source = Arc::new(Paced::new(self.keys, self.then, StoreMetrics::default()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        self.assemble(folders, source, store, Some((manifest, point)), &clock)
    }

    fn assemble(
        &self,
        folders: &Folders,
        source: Arc<Paced>,
        store: CheckpointStore,
        from: Option<(Manifest, StartPoint)>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Assembled, String> {
        let _ = std::fs::remove_dir_all(&folders.state);
        std::fs::create_dir_all(&folders.state).map_err(|error| error.to_string())?;
        let lease = block_on(store.claim()).map_err(|error| error.chain())?;
        let restore = from.map(|(manifest, point)| RestorePoint {
            store: store.clone(),
            point: Some(point),
            manifest,
            continues: true,
            drop_unclaimed: false,
            fork: false,
        });
        let plan = JobPlan {
            graph: self.graph(source)?,
            settings: CheckpointSettings {
                interval: self.interval,
                compression: self.compression,
                ..CheckpointSettings::default()
            },
            checkpoints: Some(Checkpoints { store, lease }),
            restore,
            clock: Arc::clone(clock),
            backend: match self.backend {
                BackendKind::Heap => heap_backends(),
                BackendKind::Rocksdb => {
                    rocks_backends(RocksResources::new(RocksOptions::default()), &folders.state)
                }
            },
            scratch: Some(folders.restore.clone()),
            restores_max: self.parallelism as usize,
            seed: 0,
        };
        assemble(plan).map_err(|error| error.to_string())
    }

    fn graph(&self, source: Arc<Paced>) -> Result<Graph, String> {
        let work = Work::SumBytes(self.value_bytes);
        let factory = Arc::new(NativeSum(work, description(work)));
        let inputs = BTreeMap::from([("numbers".to_owned(), vec!["numbers".to_owned()])]);
        let sink = NodeKind::Sink {
            factory: Arc::new(DiscardFactory::new()),
            inputs: vec!["sum.sums".to_owned()],
        };
        let nodes = vec![
            Node::new("numbers", NodeKind::Source(source)),
            Node::new("sum", NodeKind::Operator { factory, inputs })
                .with_parallelism(self.parallelism),
            Node::new("discard", sink),
        ];
        let graph = Graph::check("bench-checkpoint", KeyGroups::DEFAULT, nodes);
        graph.map_err(|error| error.to_string())
    }
}
