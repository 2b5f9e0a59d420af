//! What flows between tasks, and between tasks and the coordinator.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use statehouse_operator::{Batch, Capture, Operator};
use statehouse_state::{Segment, Snapshot};

use crate::budget::Permit;
use crate::swap::staging::Staged;
use crate::version::OperatorVersion;

/// The end of an epoch, flowing with the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Barrier {
    /// The epoch that it ends.
    pub(crate) epoch: u64,
    /// The checkpoint that its own builds on. A snapshot taken for another one was not kept.
    pub(crate) builds_on: Option<u64>,
    /// Whether the stream ends with it, and how.
    pub(crate) last: Option<Last>,
    pub(crate) kind: BarrierKind,
}

/// What happens at a barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BarrierKind {
    /// A checkpoint.
    Checkpoint,
    /// A checkpoint that the job may come back to in memory: state is held.
    Pin,
    /// No checkpoint: operators that were handed over take the place of those that run, and canaries are promoted.
    Flip,
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// As it is: exhausted, or in the middle.
    Plain,
    /// With the final watermark, whether the sources are exhausted or not.
    Drained,
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
#[derive(Debug)]
pub(crate) enum Control {
    /// To sources: end the epoch.
    Trigger(Barrier),
    /// To sinks: the checkpoint of the epoch exists.
    Committed { epoch: u64 },
    /// To operators: take this operator at the barrier of the next flip.
    Stage(Box<Staged>),
    /// To operators: copy so many batches for a shadow run.
    Capture { batches: u32 },
    /// To operators: hand over what was copied until now.
    EndCapture,
    /// To operators: there is no way back to what was held, or will be at barriers up to this epoch.
    Release { through: u64 },
}

/// What a task contributes to a checkpoint.
#[derive(Debug, Default)]
pub(crate) struct TaskSnapshot {
    /// The keyed state, if the task has any.
    pub(crate) state: Option<Snapshot>,
    /// The task states, encoded, if the operator declares any.
    pub(crate) task_states: Option<Vec<u8>>,
    /// The source's position, or the sink's prepared tokens.
    pub(crate) position: Option<Value>,
    /// The watermark that the task generates, if it does.
    pub(crate) watermark: Option<i64>,
    /// The version of the operator, if the task runs one.
    pub(crate) version: Option<Arc<OperatorVersion>>,
}

/// Segments of a snapshot that is still being written.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) segments: Vec<Segment>,
    /// Given back when the segments are on their way to the store, or dropped.
    pub(crate) _permit: Permit,
}

/// An operator that ran before a flip.
pub(crate) struct Before(pub(crate) Box<dyn Operator>);

impl fmt::Debug for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Before").field(&self.0.description().name).finish()
    }
}

/// What a task reports.
#[derive(Debug)]
pub(crate) enum Report {
    /// Some of its part of a checkpoint, ahead of the rest.
    Part { task: TaskIndex, epoch: u64, part: Part },
    /// Its part of the checkpoint, or what is left of it.
    Acknowledged { task: TaskIndex, epoch: u64, snapshot: TaskSnapshot },
    /// An operator was replaced, at the barrier of this epoch. The one that ran before is dropped elsewhere.
    Flipped { task: TaskIndex, epoch: u64, before: Option<Before> },
    /// What was copied for a shadow run; `None` if that is nothing.
    Captured { task: TaskIndex, capture: Option<Box<Capture>> },
    /// A source task has nothing any more.
    Exhausted,
    /// A task is done for good.
    Finished,
    /// A task cannot go on.
    Failed { reason: String },
}
