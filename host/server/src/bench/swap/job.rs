//! The job whose operator is swapped: assembled as often as it is started again, each time from where it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures::executor::block_on;
use statehouse_checkpoint::{Check, CheckpointStore, Durability, StartPoint};
use statehouse_connectors::DiscardFactory;
use statehouse_engine::{
    Assembled, CheckpointSettings, Checkpoints, Clock, Ending, Graph, JobHandle, JobPlan, Node,
    NodeKind, RestorePoint, Stop, SystemClock, Warm, assemble, threads,
};
use statehouse_state::KeyGroups;
use statehouse_state::rocks::{RocksOptions, RocksResources};

use super::SwapSettings;
use super::operator::{Board, KEY_BYTES, Version};
use super::source::Flow;
use crate::job_file::BackendKind;
use crate::launch::{heap_backends, rocks_backends};

/// The operator's id in the job.
pub(super) const NODE: &str = "sum";

/// Where a run begins.
pub(super) enum Start {
    /// With no state.
    Fresh,
    /// With the newest checkpoint.
    Newest,
    /// Where a swap was rolled back to, with what is left in memory.
    Back {
        /// The checkpoint.
        epoch: u64,
        /// What is left.
        warm: Warm,
    },
}

/// A run, for whoever conducts it.
pub(super) struct Running<'a> {
    pub(super) job: &'a JobHandle,
    /// Whether every key was there once.
    pub(super) filled: &'a AtomicBool,
    /// Whether the run has ended.
    pub(super) over: &'a AtomicBool,
}

/// Everything that stays from run to run.
pub(super) struct Bed {
    pub(super) settings: SwapSettings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) board: Arc<Board>,
    /// The schema version of the operator that is the job's.
    pub(super) version: AtomicU32,
    checkpoints: PathBuf,
    state: PathBuf,
    restore: PathBuf,
}

impl Bed {
    /// In a folder that is emptied for it.
    pub(super) fn new(settings: &SwapSettings, directory: &Path) -> Result<Self, String> {
        let _ = std::fs::remove_dir_all(directory);
        let bed = Self {
            settings: settings.clone(),
            clock: Arc::new(SystemClock::default()),
            board: Arc::default(),
            version: AtomicU32::new(1),
            checkpoints: directory.join("checkpoints"),
            state: directory.join("state"),
            restore: directory.join("restore"),
        };
        std::fs::create_dir_all(&bed.checkpoints).map_err(|error| error.to_string())?;
        Ok(bed)
    }

    /// Keys whose state has the size that was asked for.
    pub(super) fn keys(&self) -> u64 {
        let SwapSettings { state_bytes, value_bytes, .. } = self.settings;
        (state_bytes / (value_bytes as u64 + KEY_BYTES)).max(1)
    }

    /// The operator with this schema version.
    pub(super) fn operator(&self, schema_version: u32) -> Version {
        Version::new(schema_version, self.settings.value_bytes, &self.board, &self.clock)
    }

    /// The store, as a job has it.
    pub(super) fn store(&self) -> Result<CheckpointStore, String> {
        let store = CheckpointStore::open_directory(&self.checkpoints, Durability::Power);
        store.map_err(|error| error.chain())
    }

    /// Runs the job until it ends, conducted from another thread.
    pub(super) fn run<T: Send>(
        &self,
        start: Start,
        conduct: impl FnOnce(&Running<'_>) -> Result<T, String> + Send,
    ) -> Result<(Ending, T), String> {
        let source = Arc::new(Flow::new(self.keys(), &self.clock));
        let filled = source.filled();
        let assembled = self.assemble(start, source)?;
        let (job, over) = (assembled.handle.clone(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let running = Running { job: &job, filled: &filled, over: &over };
            let conductor = scope.spawn(move || {
                let conducted = conduct(&running);
                if conducted.is_err() {
                    running.job.stop(Stop::Cancel);
                }
                conducted
            });
            let ending = threads::run(assembled, &self.clock).map_err(|error| error.to_string());
            over.store(true, Ordering::Release);
            let conducted = conductor.join().map_err(|_| "the benchmark broke".to_owned())?;
            // Why the job failed says more than what its conductor missed.
            Ok((ending?, conducted?))
        })
    }

    fn assemble(&self, start: Start, source: Arc<Flow>) -> Result<Assembled, String> {
        let store = self.store()?;
        let restored = |epoch| store_checkpoint(&store, epoch);
        let (restore, warm) = match start {
            Start::Fresh => (None, Warm::default()),
            Start::Newest => (Some(restored(None)?), Warm::default()),
            Start::Back { epoch, warm } => (Some(restored(Some(epoch))?), warm),
        };
        if warm.backends() == 0 {
            let _ = std::fs::remove_dir_all(&self.state);
            std::fs::create_dir_all(&self.state).map_err(|error| error.to_string())?;
        }
        let lease = block_on(store.claim()).map_err(|error| error.chain())?;
        let backend = match self.settings.backend {
            BackendKind::Heap => heap_backends(),
            BackendKind::Rocksdb => {
                rocks_backends(RocksResources::new(RocksOptions::default()), &self.state)
            }
        };
        let plan = JobPlan {
            graph: self.graph(source)?,
            settings: CheckpointSettings { interval: None, ..CheckpointSettings::default() },
            checkpoints: Some(Checkpoints { store, lease }),
            restore,
            clock: Arc::clone(&self.clock),
            backend,
            scratch: Some(self.restore.clone()),
            restores_max: self.settings.parallelism as usize,
            seed: 0,
            warm,
        };
        assemble(plan).map_err(|error| error.to_string())
    }

    fn graph(&self, source: Arc<Flow>) -> Result<Graph, String> {
        let factory = Arc::new(self.operator(self.version.load(Ordering::Relaxed)));
        let inputs = BTreeMap::from([("numbers".to_owned(), vec!["numbers".to_owned()])]);
        let sink = NodeKind::Sink {
            factory: Arc::new(DiscardFactory::new()),
            inputs: vec![format!("{NODE}.sums")],
        };
        let nodes = vec![
            Node::new("numbers", NodeKind::Source(source)),
            Node::new(NODE, NodeKind::Operator { factory, inputs })
                .with_parallelism(self.settings.parallelism),
            Node::new("discard", sink),
        ];
        let graph = Graph::check("bench-swap", KeyGroups::DEFAULT, nodes);
        graph.map_err(|error| error.to_string())
    }
}

/// A checkpoint of the store, the newest one if none is named.
fn store_checkpoint(store: &CheckpointStore, epoch: Option<u64>) -> Result<RestorePoint, String> {
    let found = block_on(store.newest_valid(Check::Manifest)).map_err(|error| error.chain())?;
    let manifest = found.manifest.ok_or("the benchmark's job took no checkpoint")?;
    if epoch.is_some_and(|epoch| epoch != manifest.epoch.0) {
        return Err(format!("the newest checkpoint is {}, not that of the swap", manifest.epoch));
    }
    Ok(RestorePoint {
        store: store.clone(),
        point: Some(StartPoint::checkpoint(manifest.epoch)),
        manifest,
        continues: true,
        drop_unclaimed: false,
        fork: false,
    })
}
