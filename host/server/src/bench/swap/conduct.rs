//! What is done to the running job, and what is seen of it: swaps that are kept, one that is rolled back, a stop.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::park_timeout;
use std::time::Duration;

use futures::executor::block_on;
use statehouse_engine::swap::{Decision, NodeSwap, SwapRequest, SwapStage, SwapTicket};
use statehouse_engine::{OperatorFactory, SavepointRequest, Stop, TaskMetrics};
use statehouse_operator::evolution::{Left, Retired, plan};

use super::job::{Bed, NODE, Running};
use super::operator::{Marks, Version};
use super::{Schema, SwapSettings};
use crate::bench::machine::Stopwatch;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(1800);

/// How often the benchmark looks at what it waits for.
const LOOK: Duration = Duration::from_millis(1);

/// How long a trial is, and how long the job is watched before a swap.
const WATCH: Duration = Duration::from_millis(100);

/// What the swaps of a run came to. Times are in nanoseconds, one for each task and swap.
#[derive(Debug, Default)]
pub(super) struct Swapped {
    /// Around the flip.
    pub(super) flips: Vec<u64>,
    /// The longest while the savepoint before was made.
    pub(super) pins: Vec<u64>,
    /// The longest in as long a time in which nothing happens.
    pub(super) undisturbed: Vec<u64>,
    /// From the request to the flip.
    pub(super) requests: Vec<u64>,
    /// Records and seconds before swaps, and while values were swept.
    pub(super) before: Flowed,
    pub(super) sweeping: Flowed,
    /// How long each sweep took, in nanoseconds.
    pub(super) sweeps: Vec<u64>,
}

/// Records over some time.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Flowed {
    pub(super) records: u64,
    pub(super) seconds: f64,
    /// Nanoseconds in invocations, of all tasks.
    pub(super) busy_ns: u64,
}

impl Running<'_> {
    /// Waits until it is so, or the job ends.
    fn wait(&self, what: &str, mut so: impl FnMut() -> bool) -> Result<(), String> {
        let watch = Stopwatch::start();
        while !so() {
            if self.over.load(Ordering::Acquire) {
                return Err(format!("the benchmark's job ended before {what}"));
            }
            if watch.seconds() > PATIENCE.as_secs_f64() {
                return Err(format!("{what} did not happen within {PATIENCE:?}"));
            }
            park_timeout(LOOK);
        }
        Ok(())
    }

    fn pause(&self, time: Duration) -> Result<(), String> {
        let watch = Stopwatch::start();
        self.wait("the end of a pause", || watch.seconds() >= time.as_secs_f64())
    }

    /// Counters of the operator's tasks.
    fn tasks(&self) -> impl Iterator<Item = &TaskMetrics> {
        let tasks = self.job.tasks().iter().filter(|entry| entry.node == NODE);
        tasks.map(|entry| &*entry.metrics)
    }

    /// Records taken in, and nanoseconds in invocations.
    fn counted(&self) -> (u64, u64) {
        let sum = |of: fn(&TaskMetrics) -> u64| self.tasks().map(of).sum();
        let records = sum(|task| TaskMetrics::read(&task.records_in));
        (records, sum(|task| TaskMetrics::read(&task.busy_ns)))
    }

    /// Adds what flows until it is so.
    fn flow(
        &self,
        flowed: &mut Flowed,
        what: &str,
        so: impl FnMut() -> bool,
    ) -> Result<f64, String> {
        let ((records, busy_ns), watch) = (self.counted(), Stopwatch::start());
        self.wait(what, so)?;
        let seconds = watch.seconds();
        let now = self.counted();
        flowed.records += now.0 - records;
        flowed.busy_ns += now.1 - busy_ns;
        flowed.seconds += seconds;
        Ok(seconds)
    }

    /// Waits until the swap is at a stage.
    fn reach(&self, ticket: &SwapTicket, wanted: fn(&SwapStage) -> bool) -> Result<(), String> {
        let mut stage = ticket.stage();
        while !wanted(&stage) {
            if stage.is_final() || self.over.load(Ordering::Acquire) {
                return Err(format!("the swap ended otherwise: {stage}"));
            }
            stage = ticket.wait_past(&stage, Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Bed {
    /// Waits until every key was there and a checkpoint of all of them exists.
    pub(super) fn settle(&self, running: &Running<'_>) -> Result<(), String> {
        running.wait("all keys were there", || running.filled.load(Ordering::Acquire))?;
        let request = SavepointRequest { name: None, then: None };
        running.job.savepoint(request).wait(PATIENCE).map(drop)
    }

    /// Swaps as often as the settings say.
    pub(super) fn swaps(&self, running: &Running<'_>) -> Result<Swapped, String> {
        let mut swapped = Swapped::default();
        for _ in 0..self.settings.swaps {
            self.swap(running, &mut swapped)?;
        }
        Ok(swapped)
    }

    fn swap(&self, running: &Running<'_>, swapped: &mut Swapped) -> Result<(), String> {
        let before = self.board.newest();
        running.wait("its operators ran", || before.iter().all(|marks| marks.last_ended() > 0))?;
        before.iter().for_each(|marks| _ = marks.take_longest_gap());
        let watch = Stopwatch::start();
        let watched = || watch.seconds() >= WATCH.as_secs_f64();
        running.flow(&mut swapped.before, "the end of a pause", watched)?;
        swapped.undisturbed.extend(before.iter().map(|marks| marks.take_longest_gap()));

        let version = self.next_version();
        let watch = Stopwatch::start();
        let ticket = self.ask(running, self.operator(version))?;
        running.reach(&ticket, |stage| matches!(stage, SwapStage::Trial { .. }))?;
        swapped.requests.push((watch.seconds() * 1e9) as u64);
        swapped.pins.extend(before.iter().map(|marks| marks.take_longest_gap()));
        let after = self.board.newest();
        running
            .wait("its new operators ran", || after.iter().all(|marks| marks.first().is_some()))?;
        swapped.flips.extend(before.iter().zip(&after).filter_map(|(old, new)| flip(old, new)));
        running.pause(WATCH)?;
        running.job.decide(Decision::Keep);
        running.reach(&ticket, |stage| matches!(stage, SwapStage::Kept { .. }))?;
        self.version.store(version, Ordering::Relaxed);
        self.forget_savepoint()?;
        if self.settings.schema == Schema::Changed {
            let swept = || running.tasks().all(|task| task.migration().left == 0);
            let seconds = running.flow(&mut swapped.sweeping, "all was swept", swept)?;
            swapped.sweeps.push((seconds * 1e9) as u64);
        }
        Ok(())
    }

    /// Swaps to an operator that traps. When it trapped, once the job has begun to roll back.
    pub(super) fn trap(&self, running: &Running<'_>) -> Result<u64, String> {
        self.settle(running)?;
        let version = self.operator(self.next_version()).trapping();
        let ticket = self.ask(running, version)?;
        let mut stage = ticket.stage();
        while !matches!(stage, SwapStage::RollingBack { .. }) {
            if stage.is_final() {
                return Err(format!("the swap ended otherwise: {stage}"));
            }
            stage = ticket.wait_past(&stage, Duration::from_millis(100));
        }
        let trapped = self.board.newest().iter().filter_map(|marks| marks.trapped()).min();
        trapped.ok_or_else(|| format!("the operator did not trap: {stage}"))
    }

    /// Stops the job with a savepoint. When it put out something for the last time is on the board.
    pub(super) fn stop(&self, running: &Running<'_>) -> Result<(), String> {
        self.settle(running)?;
        running.pause(WATCH)?;
        running.job.stop(Stop::Checkpoint);
        Ok(())
    }

    /// Waits until the operators of a run have put something out. When the first began to, and when all had.
    pub(super) fn first_calls(&self, running: &Running<'_>) -> Result<Vec<(u64, u64)>, String> {
        let newest = self.board.newest();
        running.wait("its operators ran", || newest.iter().all(|marks| marks.first().is_some()))?;
        let first = newest.iter().filter_map(|marks| marks.first());
        Ok(first.map(|(_, begun, ended)| (begun, ended)).collect())
    }

    /// Removes the savepoint of the swap before, so that nothing but the newest checkpoints is kept.
    pub(super) fn forget_savepoint(&self) -> Result<(), String> {
        block_on(self.store()?.delete_savepoint(SAVEPOINT)).map_err(|error| error.chain())
    }

    fn next_version(&self) -> u32 {
        let now = self.version.load(Ordering::Relaxed);
        match self.settings.schema {
            Schema::Same => now,
            Schema::Changed => now + 1,
        }
    }

    fn ask(&self, running: &Running<'_>, version: Version) -> Result<SwapTicket, String> {
        let now = self.operator(self.version.load(Ordering::Relaxed));
        let left = Left { description: now.description().clone(), retired: Retired::default() };
        let evolution = plan(&left, version.description(), &version.migrations(), false);
        let evolution = evolution.map_err(|reasons| reasons.join("; "))?;
        let node = NodeSwap { node: NODE.to_owned(), factory: Arc::new(version), evolution };
        Ok(running.job.swap(SwapRequest {
            nodes: vec![node],
            savepoint: SAVEPOINT.to_owned(),
            commit_outputs: false,
            canary: None,
        }))
    }
}

/// The name of the savepoint before a swap.
const SAVEPOINT: &str = "before-swap";

/// The time in which a task called neither operator although it had something to call one with.
fn flip(old: &Marks, new: &Marks) -> Option<u64> {
    let (ready, begun, _) = new.first()?;
    Some(begun.saturating_sub(old.last_ended().max(ready)))
}

impl SwapSettings {
    /// How many runs end by a roll back, and how many by a stop.
    pub(super) fn restarts(&self) -> usize {
        self.repetitions.max(1)
    }
}
