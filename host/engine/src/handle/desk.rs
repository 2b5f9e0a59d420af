//! Where those outside of a job and its driver meet: wishes one way, what happened the other. It outlives a run that
//! rolls back: the next one goes on with it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_utils::sync::Unparker;

use super::capture::{CaptureRequest, CaptureTicket, Captures};
use super::{Stop, TaskEntry};
use crate::graph::Graph;
use crate::publish::CheckpointRecord;
use crate::savepoint::{Asked, SavepointRequest, SavepointTicket};
use crate::swap::staging::{Site, StagedSwap};
use crate::swap::{Decision, SwapRequest, SwapStage, SwapTicket};

/// How many checkpoints are remembered for who looks on.
const CHECKPOINTS_KEPT: usize = 1000;

/// How many savepoints can wait for their barrier.
const SAVEPOINTS_WAITING_MAX: usize = 64;

/// The desk of a job.
#[derive(Debug)]
pub(crate) struct Desk {
    /// Locked once a checkpoint and by who looks on, never by a task. The newest ones.
    checkpoints: Mutex<VecDeque<CheckpointRecord>>,
    checkpoint_count: AtomicU64,
    pub(crate) captures: Captures,
    /// Locked by the driver once a turn and by who asks for something, never by a task.
    wishes: Mutex<Wishes>,
}

/// What was asked for from outside, and not taken up yet.
#[derive(Debug)]
struct Wishes {
    stop: Option<Stop>,
    savepoints: VecDeque<Asked>,
    /// The newest swap that was asked for and not refused at once.
    swap: Option<SwapTicket>,
    /// Whether its operators are being made.
    staging: bool,
    /// The same one, if its operators are made and the driver has not taken it up.
    staged: Option<StagedSwap>,
    decision: Option<Decision>,
    /// Why nothing can be asked for any more.
    over: Option<String>,
    site: Arc<Site>,
    driver: Unparker,
}

/// What the driver takes up.
#[derive(Debug)]
pub(crate) struct Taken {
    /// How the job is to end, if anyone asked for it. It stays asked for.
    pub(crate) stop: Option<Stop>,
    pub(crate) savepoints: VecDeque<Asked>,
    pub(crate) swap: Option<StagedSwap>,
    pub(crate) decision: Option<Decision>,
}

impl Desk {
    pub(crate) fn new(site: Site, driver: Unparker) -> Self {
        let wishes = Wishes {
            stop: None,
            savepoints: VecDeque::new(),
            swap: None,
            staging: false,
            staged: None,
            decision: None,
            over: None,
            site: Arc::new(site),
            driver,
        };
        let (checkpoints, checkpoint_count) = (Mutex::default(), AtomicU64::new(0));
        let captures = Captures::default();
        Self { checkpoints, checkpoint_count, captures, wishes: Mutex::new(wishes) }
    }

    /// Another run goes on with it.
    pub(crate) fn go_on(&self, site: Site, driver: Unparker) {
        let mut wishes = self.wishes();
        wishes.site = Arc::new(site);
        wishes.driver = driver;
    }

    pub(crate) fn checkpoints(&self) -> Vec<CheckpointRecord> {
        let kept = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().copied().collect()
    }

    pub(crate) fn checkpoint_count(&self) -> u64 {
        self.checkpoint_count.load(Ordering::Relaxed)
    }

    pub(crate) fn record(&self, checkpoint: CheckpointRecord) {
        self.checkpoint_count.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == CHECKPOINTS_KEPT {
            kept.pop_front();
        }
        kept.push_back(checkpoint);
    }

    pub(crate) fn stop(&self, stop: Stop) {
        let mut wishes = self.wishes();
        wishes.stop = wishes.stop.max(Some(stop));
        wishes.driver.unpark();
    }

    pub(crate) fn savepoint(&self, request: SavepointRequest) -> SavepointTicket {
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
        wishes.driver.unpark();
        ticket
    }

    pub(crate) fn swap(&self, request: SwapRequest) -> SwapTicket {
        let ticket = SwapTicket::new(&request);
        let site = match self.begin_swap(&ticket) {
            Ok(site) => site,
            Err(reason) => {
                ticket.advance(SwapStage::Refused { reason });
                return ticket;
            }
        };
        // That takes its time: nobody else waits for it.
        let staged = site.stage(request, &ticket);
        let mut wishes = self.wishes();
        wishes.staging = false;
        match staged {
            Err(reason) => ticket.advance(SwapStage::Refused { reason }),
            Ok(staged) => match &wishes.over {
                Some(reason) => ticket.run_ends(reason),
                None => wishes.staged = Some(staged),
            },
        }
        wishes.driver.unpark();
        ticket
    }

    /// Takes the place of the one swap that can be.
    fn begin_swap(&self, ticket: &SwapTicket) -> Result<Arc<Site>, String> {
        let mut wishes = self.wishes();
        if let Some(reason) = &wishes.over {
            return Err(reason.clone());
        }
        if let Some(first) = wishes.swap.as_ref().filter(|first| !first.stage().is_final()) {
            return Err(format!(
                "a swap of {} is under way ({}), and there can be one at a time: wait until it is over, or roll it \
                 back first",
                first.nodes(),
                first.stage()
            ));
        }
        wishes.swap = Some(ticket.clone());
        wishes.staging = true;
        wishes.decision = None;
        Ok(Arc::clone(&wishes.site))
    }

    pub(crate) fn decide(&self, decision: Decision) {
        let mut wishes = self.wishes();
        wishes.decision = Some(decision);
        wishes.driver.unpark();
    }

    pub(crate) fn capture(&self, request: CaptureRequest, tasks: &[TaskEntry]) -> CaptureTicket {
        let wishes = self.wishes();
        self.captures.ask(request, tasks, wishes.driver.clone(), wishes.over.clone())
    }

    /// The job as it runs, as far as swaps must know it.
    pub(crate) fn site(&self) -> Arc<Site> {
        Arc::clone(&self.wishes().site)
    }

    /// The job has changed.
    pub(crate) fn set_graph(&self, graph: Graph) {
        let mut wishes = self.wishes();
        wishes.site = Arc::new(wishes.site.with(graph));
    }

    /// What was asked for since the last call.
    pub(crate) fn take(&self) -> Taken {
        let mut wishes = self.wishes();
        // A swap whose operators are still being made can be decided about when they are.
        let decision = if wishes.staging { None } else { wishes.decision.take() };
        Taken {
            stop: wishes.stop,
            savepoints: std::mem::take(&mut wishes.savepoints),
            swap: wishes.staged.take(),
            decision,
        }
    }

    /// Takes back what a run did not come to do: the next one will.
    pub(crate) fn put_back(&self, savepoints: impl DoubleEndedIterator<Item = Asked>) {
        let mut wishes = self.wishes();
        for asked in savepoints.rev() {
            wishes.savepoints.push_front(asked);
        }
    }

    /// Refuses what was asked for and not taken up, and all that is asked for from now on.
    pub(crate) fn close(&self, reason: &str) {
        let mut wishes = self.wishes();
        for asked in wishes.savepoints.drain(..) {
            asked.answer(Err(reason.to_owned()));
        }
        wishes.over.get_or_insert_with(|| reason.to_owned());
        let staged = wishes.staged.take();
        drop(wishes);
        self.captures.fail(reason);
        if let Some(staged) = staged {
            staged.ticket.run_ends(reason);
        }
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
