//! A job from outside: looking on while it runs, asking for savepoints, and stopping it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_utils::sync::Unparker;

use crate::graph::{Node, NodeKind};
use crate::metrics::TaskMetrics;
use crate::publish::CheckpointRecord;
use crate::savepoint::{Asked, SavepointRequest, SavepointTicket};

/// How many checkpoints are remembered for who looks on.
const CHECKPOINTS_KEPT: usize = 1000;

/// How many savepoints can wait for their barrier.
const SAVEPOINTS_WAITING_MAX: usize = 64;

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

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The sources came to their end, and everything was committed.
    Finished,
    /// It was asked to.
    Stopped(Stop),
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
    /// Locked by the driver once a turn and by who asks for something, never by a task.
    wishes: Mutex<Wishes>,
    driver: Unparker,
}

/// What was asked for from outside, and not taken up yet.
#[derive(Debug, Default)]
struct Wishes {
    stop: Option<Stop>,
    savepoints: VecDeque<Asked>,
    /// Why nothing can be asked for any more.
    over: Option<String>,
}

impl JobHandle {
    pub(crate) fn new(tasks: Vec<TaskEntry>, driver: Unparker) -> Self {
        let (checkpoints, wishes) = (Mutex::default(), Mutex::default());
        let checkpoint_count = AtomicU64::new(0);
        let shared = Shared { tasks, checkpoints, checkpoint_count, wishes, driver };
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

    /// Asks the job to end. Asked twice, the more urgent one counts: [`Stop::Cancel`] does not wait for a checkpoint
    /// that [`Stop::Checkpoint`] asked for.
    pub fn stop(&self, stop: Stop) {
        let mut wishes = self.wishes();
        wishes.stop = wishes.stop.max(Some(stop));
        drop(wishes);
        self.shared.driver.unpark();
    }

    /// Asks for a savepoint: a checkpoint whose manifest is kept under a name. The job goes on, unless the request says
    /// that it is to end with it. Several requests may be answered by one checkpoint.
    pub fn savepoint(&self, request: SavepointRequest) -> SavepointTicket {
        let (ticket, asked) = SavepointTicket::new(request);
        let mut wishes = self.wishes();
        if let Some(reason) = &wishes.over {
            asked.answer(Err(reason.clone()));
        } else if wishes.savepoints.len() == SAVEPOINTS_WAITING_MAX {
            let reason = format!(
                "{SAVEPOINTS_WAITING_MAX} savepoints wait for their checkpoint already; ask again when they are done"
            );
            asked.answer(Err(reason));
        } else {
            wishes.savepoints.push_back(asked);
        }
        drop(wishes);
        self.shared.driver.unpark();
        ticket
    }

    /// How the job is to end, if anyone asked for it.
    pub(crate) fn stop_wanted(&self) -> Option<Stop> {
        self.wishes().stop
    }

    /// The savepoints asked for since the last call.
    pub(crate) fn take_savepoints(&self) -> VecDeque<Asked> {
        std::mem::take(&mut self.wishes().savepoints)
    }

    /// Refuses what was asked for and not taken up, and all that is asked for from now on.
    pub(crate) fn close(&self, reason: &str) {
        let mut wishes = self.wishes();
        for asked in wishes.savepoints.drain(..) {
            asked.answer(Err(reason.to_owned()));
        }
        wishes.over.get_or_insert_with(|| reason.to_owned());
    }

    pub(crate) fn record(&self, checkpoint: CheckpointRecord) {
        self.shared.checkpoint_count.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.shared.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == CHECKPOINTS_KEPT {
            kept.pop_front();
        }
        kept.push_back(checkpoint);
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.shared.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
