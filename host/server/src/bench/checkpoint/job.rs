//! The job that the benchmarks of checkpoints run: a paced source, values of some length a key, no output.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::executor::block_on;
use statehouse_checkpoint::{
    CheckpointStore, Compression, Durability, Manifest, StartPoint, StoreCounts, StoreMetrics,
};
use statehouse_connectors::DiscardFactory;
use statehouse_engine::{
    Assembled, CheckpointRecord, CheckpointSettings, Checkpoints, Clock, Graph, JobHandle, JobPlan,
    Node, NodeKind, RestorePoint, SavepointRequest, SystemClock, Warm, assemble, threads,
};
use statehouse_state::KeyGroups;
use statehouse_state::rocks::{RocksOptions, RocksResources};

use super::source::{Paced, Seen, Then};
use crate::bench::native::{Work, description};
use crate::bench::sum::NativeSum;
use crate::job_file::BackendKind;
use crate::launch::{heap_backends, rocks_backends};

/// How long a checkpoint may take.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(600);

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
    pub(super) flow_seconds: f64,
    /// Requests up to the end of each checkpoint that was asked for.
    pub(super) counts: Vec<StoreCounts>,
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

/// Asks for a checkpoint whenever the source waits for one, until the job is over.
fn conduct(
    job: &JobHandle,
    seen: &Seen,
    metrics: &StoreMetrics,
    over: &AtomicBool,
) -> Vec<StoreCounts> {
    let mut counts = Vec::new();
    while !over.load(Ordering::Acquire) {
        if !seen.waits() {
            std::thread::park_timeout(Duration::from_millis(1));
            continue;
        }
        let ticket = job.savepoint(SavepointRequest { name: None, then: None });
        if ticket.wait(CHECKPOINT_PATIENCE).is_err() {
            break;
        }
        counts.push(metrics.counts());
    }
    counts
}

impl Run {
    /// Runs the job from nothing to its end.
    pub(super) fn run(&self, folders: &Folders) -> Result<Ran, String> {
        let metrics = StoreMetrics::default();
        let source = Arc::new(Paced::new(self.keys, self.then));
        let store = folders.store()?.metered(&metrics);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let job = self.assemble(folders, Arc::clone(&source), store, None, &clock)?;
        let (handle, seen) = (job.handle.clone(), source.seen());
        let over = AtomicBool::new(false);
        let counts = std::thread::scope(|scope| {
            let conductor = matches!(self.then, Then::Epochs { .. })
                .then(|| scope.spawn(|| conduct(&handle, &seen, &metrics, &over)));
            let ended = threads::run(job, &clock).map_err(|error| error.to_string());
            over.store(true, Ordering::Release);
            let counts = conductor.map(|conductor| conductor.join().unwrap_or_default());
            ended.map(|_| counts.unwrap_or_default())
        })?;
        let flow_seconds = seen.flow_seconds();
        Ok(Ran { checkpoints: handle.checkpoints(), flow_seconds, counts })
    }

    /// Puts the job together from a checkpoint: what a restart waits for.
    pub(super) fn restore(
        &self,
        folders: &Folders,
        manifest: Manifest,
        point: StartPoint,
    ) -> Result<Assembled, String> {
        let store = folders.store()?;
        let source = Arc::new(Paced::new(self.keys, self.then));
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
            warm: Warm::default(),
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
