//! A job from outside: looking on while it runs, and stopping it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_utils::sync::Unparker;

use crate::graph::{Node, NodeKind};
use crate::metrics::TaskMetrics;
use crate::publish::CheckpointRecord;

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
    /// Locked once a checkpoint and by who looks on, never by a task.
    checkpoints: Mutex<Vec<CheckpointRecord>>,
    stop: AtomicBool,
    driver: Unparker,
}

impl JobHandle {
    pub(crate) fn new(tasks: Vec<TaskEntry>, driver: Unparker) -> Self {
        let (checkpoints, stop) = (Mutex::default(), AtomicBool::new(false));
        Self { shared: Arc::new(Shared { tasks, checkpoints, stop, driver }) }
    }

    /// All tasks.
    pub fn tasks(&self) -> &[TaskEntry] {
        &self.shared.tasks
    }

    /// The checkpoints that this run has published.
    pub fn checkpoints(&self) -> Vec<CheckpointRecord> {
        self.shared.checkpoints.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        self.shared.checkpoints.lock().unwrap_or_else(PoisonError::into_inner).push(checkpoint);
    }
}
