//! The coordinator of checkpoints, as a pure state machine: events and the time in, commands out.
//!
//! A checkpoint is *collected* (sources are triggered, every task acknowledges with its part), then *published*, then
//! sinks commit. One is collected at a time; those that are published meanwhile are bounded by `max-concurrent`, and
//! published in order. A checkpoint that takes too long, or cannot be published, is discarded, and with it those after
//! it, which build on it; what their tasks had prepared goes into the next one. A barrier names the checkpoint that its
//! own is to build on, so that a task knows whether the snapshot that it took before was kept.
//!
//! The stream ends with a last barrier: when all sources are exhausted, or when the job is to stop. It waits until no
//! other checkpoint is under way: nothing could take the place of a last one that is discarded.

use std::collections::{BTreeSet, VecDeque};

use self::swap::{Swap, SwapWish};
use crate::element::{Barrier, BarrierKind, Last, TaskIndex};
use crate::handle::Stop;
use crate::settings::CheckpointSettings;
use crate::swap::SwapStage;

pub(crate) mod swap;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// Time has passed.
    Tick,
    Acknowledged {
        task: TaskIndex,
        epoch: u64,
    },
    Exhausted,
    Finished,
    /// A task cannot go on.
    TaskFailed {
        reason: String,
    },
    /// The job cannot go on.
    Failed {
        reason: String,
    },
    Published {
        epoch: u64,
    },
    PublishFailed {
        epoch: u64,
        reason: String,
    },
    /// The user wants the job to end.
    Stop(Stop),
    /// The user wants a savepoint, and then perhaps the end.
    Savepoint {
        then: Option<Stop>,
    },
    /// The user wants a swap.
    Swap(SwapWish),
    /// The checkpoint before the swap is about to be published, and cannot be pinned.
    PinFailed {
        reason: String,
    },
    Flipped {
        task: TaskIndex,
        epoch: u64,
    },
    /// The trial of a swap has gone well.
    Keep,
    /// There is to be no swap.
    RollBack {
        reason: String,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Send this barrier into the sources.
    Trigger(Barrier),
    /// Publish what the tasks acknowledged for this epoch.
    Publish { epoch: u64 },
    /// Give up everything that is under way, from this epoch on.
    Discard { from: u64, reason: String },
    /// Tell the sinks that this checkpoint exists.
    Commit { epoch: u64 },
    /// The swap is at this stage now.
    Swap(SwapStage),
    /// The run ends; another one is to go on from this checkpoint.
    RollBack { to: u64, reason: String },
    /// The job is done, because it was stopped or because its sources are.
    Complete { stopped: Option<Stop> },
    /// The job cannot go on.
    Fail { reason: String },
}

/// A checkpoint under way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Attempt {
    barrier: Barrier,
    since: i64,
    /// The tasks that have not acknowledged yet.
    missing: BTreeSet<TaskIndex>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// The last barrier has been sent.
    Ending,
    Ended,
}

/// Where a run begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// Whether there is a store to publish to.
    pub(crate) durable: bool,
    pub(crate) tasks: usize,
    pub(crate) sources: usize,
    /// The checkpoint that the run resumes from, if its own ones build on it.
    pub(crate) restored: Option<u64>,
    /// The epoch of its first checkpoint.
    pub(crate) first_epoch: u64,
    pub(crate) now: i64,
}

/// The coordinator of one run of a job.
#[derive(Debug)]
pub(crate) struct Coordinator {
    settings: CheckpointSettings,
    durable: bool,
    tasks: BTreeSet<TaskIndex>,
    sources_running: usize,
    tasks_running: usize,
    stage: Stage,
    /// The checkpoint that tasks are acknowledging.
    collecting: Option<Attempt>,
    /// Those that are being published, oldest first.
    publishing: VecDeque<Attempt>,
    next_epoch: u64,
    /// The newest checkpoint that exists.
    completed: Option<u64>,
    next_trigger: Option<i64>,
    failures_in_row: u32,
    stop: Option<Stop>,
    /// What the job has come to once its last barrier has passed: whether it was stopped.
    stopped: Option<Stop>,
    savepoint_wanted: bool,
    swap: Option<Swap>,
    /// Whether a swap is kept with the next checkpoint, which is wanted at once.
    keep_wanted: bool,
}

impl Coordinator {
    pub(crate) fn new(settings: CheckpointSettings, start: Start) -> Self {
        let Start { durable, tasks, sources, restored, first_epoch, now } = start;
        let interval = settings.interval.filter(|_| durable);
        // A run that leaves newer checkpoints behind takes one of its own at once: after a crash the newest counts.
        let leaves_newer = durable && restored.map_or(1, |restored| restored + 1) != first_epoch;
        Self {
            durable,
            tasks: (0..tasks as u32).map(TaskIndex).collect(),
            sources_running: sources,
            tasks_running: tasks,
            stage: Stage::Running,
            collecting: None,
            publishing: VecDeque::new(),
            next_epoch: first_epoch,
            completed: restored,
            next_trigger: match leaves_newer {
                true => Some(now),
                false => interval.map(|interval| now.saturating_add(milliseconds(interval))),
            },
            settings,
            failures_in_row: 0,
            stop: None,
            stopped: None,
            savepoint_wanted: false,
            swap: None,
            keep_wanted: false,
        }
    }

    /// When [`Event::Tick`] is due next, if ever.
    pub(crate) fn next_tick(&self) -> Option<i64> {
        let expiries = self.under_way().filter_map(|attempt| self.expiry(attempt));
        // A last barrier waits for what is being published, and takes the place of those that the interval would bring.
        let interval = self.last_wanted().is_none() && self.has_room() && !self.must_rest();
        let trigger = self.next_trigger.filter(|_| interval && !self.is_swap_exclusive());
        expiries
            .chain(trigger)
            .chain(self.flip_expiry())
            .min()
            .filter(|_| self.stage != Stage::Ended)
    }

    /// Takes an event; `now` in milliseconds.
    pub(crate) fn handle(&mut self, now: i64, event: Event) -> Vec<Command> {
        let mut commands = Vec::new();
        if self.stage == Stage::Ended {
            return commands;
        }
        match event {
            Event::Tick => {
                self.check_timeout(now, &mut commands);
                self.check_flip(now, &mut commands);
            }
            Event::Acknowledged { task, epoch } => {
                self.acknowledged(now, task, epoch, &mut commands);
            }
            Event::Exhausted => self.sources_running -= 1,
            Event::Stop(Stop::Cancel) => {
                self.stage = Stage::Ended;
                commands.push(Command::Complete { stopped: Some(Stop::Cancel) });
                return commands;
            }
            Event::Stop(stop) => self.stop = self.stop.max(Some(stop)),
            Event::Savepoint { then } => {
                self.savepoint_wanted = true;
                self.stop = self.stop.max(then);
            }
            Event::Finished => self.finished(&mut commands),
            Event::TaskFailed { reason } => {
                if !self.roll_back(&reason, &mut commands) {
                    self.fail(reason, &mut commands);
                }
            }
            Event::Failed { reason } => self.fail(reason, &mut commands),
            Event::Published { epoch } => self.published(now, epoch, &mut commands),
            Event::PublishFailed { epoch, reason } => {
                // What was given up before is of no interest any more.
                if self.publishing.iter().any(|attempt| attempt.barrier.epoch == epoch) {
                    self.attempt_failed(now, reason, &mut commands);
                }
            }
            Event::Swap(wish) => self.swap_wanted(wish, &mut commands),
            Event::PinFailed { reason } => self.pin_failed(&reason, &mut commands),
            Event::Flipped { task, epoch } => self.flipped(now, task, epoch, &mut commands),
            Event::Keep => self.keep(&mut commands),
            Event::RollBack { reason } => {
                self.undo_swap(&reason, &mut commands);
            }
        }
        self.trigger(now, &mut commands);
        commands
    }

    /// The checkpoints under way, oldest first.
    fn under_way(&self) -> impl Iterator<Item = &Attempt> {
        self.publishing.iter().chain(&self.collecting)
    }

    /// When an attempt is given up. The end of the stream takes as long as it takes: there is no later checkpoint to
    /// hope for. A store that does not answer is no reason to wait.
    fn expiry(&self, attempt: &Attempt) -> Option<i64> {
        let unlimited = attempt.barrier.last.is_some() && !attempt.missing.is_empty();
        let expiry = attempt.since.saturating_add(milliseconds(self.settings.timeout));
        (!unlimited).then_some(expiry)
    }

    fn check_timeout(&mut self, now: i64, commands: &mut Vec<Command>) {
        let Some(oldest) = self.under_way().next() else { return };
        if self.expiry(oldest).is_none_or(|expiry| now < expiry) {
            return;
        }
        let (epoch, timeout) = (oldest.barrier.epoch, self.settings.timeout);
        let reason = match oldest.missing.len() {
            0 => format!("checkpoint {epoch} was not published within its timeout of {timeout:?}"),
            missing => format!(
                "checkpoint {epoch} was not acknowledged by {missing} tasks within its timeout of {timeout:?}"
            ),
        };
        self.attempt_failed(now, reason, commands);
    }

    fn acknowledged(&mut self, now: i64, task: TaskIndex, epoch: u64, commands: &mut Vec<Command>) {
        let Some(attempt) = &mut self.collecting else { return };
        let of_this = attempt.barrier.epoch == epoch && attempt.missing.remove(&task);
        if !of_this || !attempt.missing.is_empty() {
            return;
        }
        let Some(mut attempt) = self.collecting.take() else { return };
        if !self.durable {
            commands.push(Command::Commit { epoch });
            return;
        }
        if attempt.barrier.last.is_some() {
            attempt.since = now;
        }
        self.publishing.push_back(attempt);
        self.swap_publishing();
        commands.push(Command::Publish { epoch });
    }

    fn published(&mut self, now: i64, epoch: u64, commands: &mut Vec<Command>) {
        // One that was given up may exist all the same. The next one stands in for it.
        if self.publishing.pop_front_if(|attempt| attempt.barrier.epoch == epoch).is_none() {
            return;
        }
        self.completed = Some(epoch);
        self.failures_in_row = 0;
        self.schedule(now);
        commands.push(Command::Commit { epoch });
        self.swap_published(epoch, commands);
    }

    fn finished(&mut self, commands: &mut Vec<Command>) {
        self.tasks_running -= 1;
        if self.tasks_running == 0 {
            self.stage = Stage::Ended;
            commands.push(Command::Complete { stopped: self.stopped });
        }
    }

    fn fail(&mut self, reason: String, commands: &mut Vec<Command>) {
        self.stage = Stage::Ended;
        commands.push(Command::Fail { reason });
    }

    /// The oldest checkpoint under way failed, and with it all that build on it.
    fn attempt_failed(&mut self, now: i64, reason: String, commands: &mut Vec<Command>) {
        let Some(oldest) = self.under_way().next() else { return };
        let (from, last) = (oldest.barrier.epoch, oldest.barrier.last);
        // What only the swap was for does not count: the job is as well off without it.
        let counts = !self.refuse_pinning(&reason, commands);
        self.failures_in_row += u32::from(counts);
        let tolerable = self.settings.tolerable_failed;
        if last.is_some() {
            self.fail(reason, commands);
        } else if counts && self.failures_in_row > tolerable {
            let reason = format!(
                "{reason}; that is failure {} in a row, and `tolerable-failed` is {tolerable}",
                self.failures_in_row
            );
            self.fail(reason, commands);
        } else {
            self.publishing.clear();
            self.collecting = None;
            self.schedule(now);
            self.keep_again(now);
            commands.push(Command::Discard { from, reason });
        }
    }

    /// Sets the time of the next trigger: the interval's next beat, and not before the pause is over.
    fn schedule(&mut self, now: i64) {
        let Some(interval) = self.settings.interval.filter(|_| self.durable) else {
            self.next_trigger = None;
            return;
        };
        let interval = milliseconds(interval).max(1);
        let previous = self.next_trigger.unwrap_or(now);
        let beat = if previous > now {
            previous
        } else {
            previous.saturating_add(((now - previous) / interval + 1).saturating_mul(interval))
        };
        let rested = now.saturating_add(milliseconds(self.settings.min_pause));
        self.next_trigger = Some(beat.max(rested));
    }

    /// Whether one more checkpoint may be under way.
    fn has_room(&self) -> bool {
        let most = self.settings.max_concurrent.max(1) as usize;
        self.stage == Stage::Running && self.collecting.is_none() && self.publishing.len() < most
    }

    /// Whether the pause cannot have begun, since the checkpoint before has not ended.
    fn must_rest(&self) -> bool {
        !self.settings.min_pause.is_zero() && self.under_way().next().is_some()
    }

    /// How the stream is to end, if it is.
    fn last_wanted(&self) -> Option<Last> {
        match (self.sources_running, self.stop) {
            (_, Some(Stop::Drain)) => Some(Last::Drained),
            (0, _) | (_, Some(_)) => Some(Last::Plain),
            _ => None,
        }
    }

    fn trigger(&mut self, now: i64, commands: &mut Vec<Command>) {
        if self.stage != Stage::Running {
            return;
        }
        self.settle_swap(commands);
        if self.is_swap_exclusive() {
            return self.trigger_swap(now, commands);
        }
        if !self.has_room() {
            return;
        }
        let last = self.last_wanted();
        let due = self.next_trigger.is_some_and(|time| time <= now) && !self.must_rest();
        let wanted = self.savepoint_wanted && self.durable || self.keep_wanted;
        let triggers = match last {
            Some(_) => self.publishing.is_empty(),
            None => due || wanted,
        };
        if !triggers {
            return;
        }
        let newest = self.under_way().last().map(|attempt| attempt.barrier.epoch);
        let builds_on = newest.or(self.completed);
        let kind = BarrierKind::Checkpoint;
        let barrier = Barrier { epoch: self.next_epoch, builds_on, last, kind };
        if last.is_some() {
            self.stage = Stage::Ending;
            self.stopped = self.stop.filter(|_| self.sources_running > 0);
        }
        if due {
            self.schedule(now);
        }
        self.collect(now, barrier, commands);
    }

    /// Begins a checkpoint.
    fn collect(&mut self, now: i64, barrier: Barrier, commands: &mut Vec<Command>) {
        self.next_epoch += 1;
        (self.savepoint_wanted, self.keep_wanted) = (false, false);
        self.collecting = Some(Attempt { barrier, since: now, missing: self.tasks.clone() });
        commands.push(Command::Trigger(barrier));
    }
}

fn milliseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;
