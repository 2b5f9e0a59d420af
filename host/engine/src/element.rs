//! What flows between tasks, and between tasks and the coordinator.

use std::fmt;

use serde_json::Value;
use statehouse_operator::Batch;
use statehouse_state::Snapshot;

/// The end of an epoch, flowing with the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Barrier {
    /// The epoch that it ends.
    pub(crate) epoch: u64,
    /// The newest checkpoint that exists. A snapshot taken for another one was not kept.
    pub(crate) completed: Option<u64>,
    /// Whether the stream ends with it.
    pub(crate) last: bool,
}

/// What flows along an edge.
#[derive(Debug)]
pub(crate) enum Element {
    Batch(Batch),
    /// No record older than this follows.
    Watermark(i64),
    Barrier(Barrier),
}

/// A task's place among all tasks of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskIndex(pub(crate) u32);

impl fmt::Display for TaskIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.0)
    }
}

/// What the coordinator tells a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// To sources: end the epoch.
    Trigger(Barrier),
    /// The checkpoint of the epoch exists.
    Committed { epoch: u64 },
}

/// What a task contributes to a checkpoint.
#[derive(Debug)]
pub(crate) struct TaskSnapshot {
    /// The keyed state, if the task has any.
    pub(crate) state: Option<Snapshot>,
    /// The task states, encoded, if the operator declares any.
    pub(crate) task_states: Option<Vec<u8>>,
    /// The source's position, or the sink's prepared tokens.
    pub(crate) position: Option<Value>,
    /// The watermark that the task generates, if it does.
    pub(crate) watermark: Option<i64>,
}

/// What a task reports.
#[derive(Debug)]
pub(crate) enum Report {
    /// Its part of the checkpoint.
    Acknowledged { task: TaskIndex, epoch: u64, snapshot: TaskSnapshot },
    /// A source task has nothing any more.
    Exhausted,
    /// A task is done for good.
    Finished,
    /// A task cannot go on.
    Failed { reason: String },
}
