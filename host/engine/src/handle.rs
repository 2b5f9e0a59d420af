//! A job from outside: looking on while it runs, and stopping it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_utils::sync::Unparker;

use crate::graph::{Node, NodeKind};
use crate::metrics::TaskMetrics;
use crate::publish::CheckpointRecord;

/// How many checkpoints are remembered for who looks on.
const CHECKPOINTS_KEPT: usize = 1000;

/// What kind of node a task belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum TaskKind {
    Source,
    Operator,
    Sink,
}

/// One task and its counters.
#[derive(Debug, Clone)]
pub struct TaskEntry {
    /// The node's id.
    pub node: String,
    /// The task's number within the node.
    pub task: u32,
    /// The node's kind.
    pub kind: TaskKind,
    /// The counters.
    pub metrics: Arc<TaskMetrics>,
}

impl TaskEntry {
    pub(crate) fn new(node: &Node, task: u32, metrics: Arc<TaskMetrics>) -> Self {
        let kind = match node.kind {
            NodeKind::Source(_) => TaskKind::Source,
            NodeKind::Operator { .. } => TaskKind::Operator,
            NodeKind::Sink { .. } => TaskKind::Sink,
        };
        Self { node: node.id.clone(), task, kind, metrics }
    }
}

/// A running job from outside. Clones are the same job.
#[derive(Debug, Clone)]
pub struct JobHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tasks: Vec<TaskEntry>,
    /// Locked once a checkpoint and by who looks on, never by a task. The newest ones.
    checkpoints: Mutex<VecDeque<CheckpointRecord>>,
    checkpoint_count: AtomicU64,
    stop: AtomicBool,
    driver: Unparker,
}

impl JobHandle {
    pub(crate) fn new(tasks: Vec<TaskEntry>, driver: Unparker) -> Self {
        let (checkpoints, stop) = (Mutex::default(), AtomicBool::new(false));
        let checkpoint_count = AtomicU64::new(0);
        let shared = Shared { tasks, checkpoints, checkpoint_count, stop, driver };
        Self { shared: Arc::new(shared) }
    }

    /// All tasks.
    pub fn tasks(&self) -> &[TaskEntry] {
        &self.shared.tasks
    }

    /// The newest checkpoints that this run has published, up to a thousand, in order.
    pub fn checkpoints(&self) -> Vec<CheckpointRecord> {
        let kept = self.shared.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().copied().collect()
    }

    /// How many checkpoints this run has published.
    pub fn checkpoint_count(&self) -> u64 {
        self.shared.checkpoint_count.load(Ordering::Relaxed)
    }

    /// Asks the job to end here, with a checkpoint that it can resume from.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.driver.unpark();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.shared.stop.load(Ordering::Acquire)
    }

    pub(crate) fn record(&self, checkpoint: CheckpointRecord) {
        self.shared.checkpoint_count.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.shared.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == CHECKPOINTS_KEPT {
            kept.pop_front();
        }
        kept.push_back(checkpoint);
    }
}
