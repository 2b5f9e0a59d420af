//! A job from outside: looking on while it runs, asking for savepoints, and stopping it.

use std::fmt;
use std::sync::Arc;

use crossbeam_utils::sync::Unparker;

use crate::graph::{Graph, Node, NodeKind};
use crate::metrics::TaskMetrics;
use crate::publish::CheckpointRecord;
use crate::savepoint::{SavepointRequest, SavepointTicket};
use crate::swap::staging::Site;
use crate::swap::{Decision, Rollback, SwapRequest, SwapTicket};

mod capture;
pub(crate) mod desk;

pub use self::capture::{CaptureRequest, CaptureTicket, TaskCapture};
use self::desk::Desk;

/// How a job is to end before its sources do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stop {
    /// With a checkpoint that it can resume from.
    Checkpoint,
    /// As if the sources had come to their end here: with the final watermark, so that windows and event-time timers
    /// fire, and then a checkpoint. What comes after it in a resumed run is late.
    Drain,
    /// At once and without a checkpoint. What was not committed yet is made again, or discarded, by the next run.
    Cancel,
}

/// How a run of a job ended.
#[derive(Debug)]
pub enum Ending {
    /// The sources came to their end, and everything was committed.
    Finished,
    /// It was asked to.
    Stopped(Stop),
    /// A swap is undone: the job is to be assembled again and goes on.
    RolledBack(Box<Rollback>),
}

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
///
/// A job that rolls back a swap is assembled again, and has a new handle then. What is asked by an older one of the
/// same job still reaches it, and what is asked between the two runs waits; only [`tasks`](JobHandle::tasks) are those
/// of the run that the handle came with.
#[derive(Clone)]
pub struct JobHandle {
    tasks: Arc<[TaskEntry]>,
    desk: Arc<Desk>,
}

impl fmt::Debug for JobHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobHandle").field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

impl JobHandle {
    /// `desk` is that of the run before, if one has rolled back.
    pub(crate) fn new(
        tasks: Vec<TaskEntry>,
        site: Site,
        driver: Unparker,
        desk: Option<Arc<Desk>>,
    ) -> Self {
        let desk = match desk {
            None => Arc::new(Desk::new(site, driver)),
            Some(desk) => {
                desk.go_on(site, driver);
                desk
            }
        };
        Self { tasks: tasks.into(), desk }
    }

    /// All tasks.
    pub fn tasks(&self) -> &[TaskEntry] {
        &self.tasks
    }

    /// The job as it runs now: after a swap that was kept, with the operators that came by it.
    pub fn graph(&self) -> Graph {
        self.desk.site().graph.clone()
    }

    /// The newest checkpoints that this process has published, up to a thousand, in order.
    pub fn checkpoints(&self) -> Vec<CheckpointRecord> {
        self.desk.checkpoints()
    }

    /// How many checkpoints this process has published.
    pub fn checkpoint_count(&self) -> u64 {
        self.desk.checkpoint_count()
    }

    /// Asks the job to end. Asked twice, the more urgent one counts: [`Stop::Cancel`] does not wait for a checkpoint
    /// that [`Stop::Checkpoint`] asked for.
    pub fn stop(&self, stop: Stop) {
        self.desk.stop(stop);
    }

    /// Asks for a savepoint: a checkpoint whose manifest is kept under a name. The job goes on, unless the request says
    /// that it is to end with it. Several requests may be answered by one checkpoint.
    pub fn savepoint(&self, request: SavepointRequest) -> SavepointTicket {
        self.desk.savepoint(request)
    }

    /// Asks for a swap. The new operators are made before this returns, on this thread. There is one swap at a time:
    /// another one is refused. It begins when no checkpoint is under way; see [`SwapStage`](crate::SwapStage) for how
    /// it goes on. Once it is on trial it waits for a [decision](JobHandle::decide).
    pub fn swap(&self, request: SwapRequest) -> SwapTicket {
        self.desk.swap(request)
    }

    /// Decides about the swap that is under way; without one it means nothing.
    pub fn decide(&self, decision: Decision) {
        self.desk.decide(decision);
    }

    /// Asks the tasks of an operator to copy their next batches, for a shadow run: what they are given, the state that
    /// goes with it before and after, and what they make of it. One capture of an operator at a time.
    pub fn capture(&self, request: CaptureRequest) -> CaptureTicket {
        self.desk.capture(request, &self.tasks)
    }

    pub(crate) fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }
}
