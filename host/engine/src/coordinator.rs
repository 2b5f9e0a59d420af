//! The coordinator of checkpoints, as a pure state machine: events and the time in, commands out.
//!
//! One checkpoint runs at a time: sources are triggered, every task acknowledges with its part, the parts are
//! published, sinks commit. A checkpoint that takes too long, or cannot be published, is discarded; what its tasks
//! had prepared goes into the next one. A barrier names the newest checkpoint that exists, so that a task knows
//! whether the snapshot that it took before was kept.
//!
//! The stream ends with a last barrier: when all sources are exhausted, or when the job is to stop.

use std::collections::BTreeSet;

use crate::element::{Barrier, TaskIndex};
use crate::settings::CheckpointSettings;

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
    TaskFailed {
        reason: String,
    },
    Published {
        epoch: u64,
    },
    PublishFailed {
        epoch: u64,
        reason: String,
    },
    /// The user wants the job to end here, with a checkpoint.
    Stop,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Send this barrier into the sources.
    Trigger(Barrier),
    /// Publish what the tasks acknowledged for this epoch.
    Publish { epoch: u64 },
    /// Forget what the tasks acknowledged for this epoch.
    Discard { epoch: u64, reason: String },
    /// Tell the sinks that this checkpoint exists.
    Commit { epoch: u64 },
    /// The job is done.
    Complete,
    /// The job cannot go on.
    Fail { reason: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Idle,
    Collecting {
        barrier: Barrier,
        since: i64,
        missing: BTreeSet<TaskIndex>,
    },
    Publishing {
        barrier: Barrier,
    },
    /// The last barrier has passed.
    Ending,
    Ended,
}

/// The coordinator of one run of a job.
#[derive(Debug)]
pub(crate) struct Coordinator {
    settings: CheckpointSettings,
    /// Whether there is a store to publish to.
    durable: bool,
    tasks: BTreeSet<TaskIndex>,
    sources_running: usize,
    tasks_running: usize,
    phase: Phase,
    next_epoch: u64,
    /// The newest checkpoint that exists.
    completed: Option<u64>,
    next_trigger: Option<i64>,
    failures_in_row: u32,
    stop: bool,
}

impl Coordinator {
    /// `restored` is the checkpoint that the run resumes from, `newest` the highest epoch ever used by the job.
    pub(crate) fn new(
        settings: CheckpointSettings,
        durable: bool,
        tasks: usize,
        sources: usize,
        restored: Option<u64>,
        newest: u64,
        now: i64,
    ) -> Self {
        let next_trigger = settings.interval.filter(|_| durable);
        Self {
            durable,
            tasks: (0..tasks as u32).map(TaskIndex).collect(),
            sources_running: sources,
            tasks_running: tasks,
            phase: Phase::Idle,
            next_epoch: newest + 1,
            completed: restored,
            // A run that leaves newer checkpoints behind takes one of its own at once: after a crash the newest counts.
            next_trigger: match durable && restored.unwrap_or(0) != newest {
                true => Some(now),
                false => next_trigger.map(|interval| now.saturating_add(milliseconds(interval))),
            },
            settings,
            failures_in_row: 0,
            stop: false,
        }
    }

    /// When [`Event::Tick`] is due next, if ever.
    pub(crate) fn next_tick(&self) -> Option<i64> {
        match &self.phase {
            Phase::Idle => self.next_trigger,
            Phase::Collecting { barrier, since, .. } if !barrier.last => {
                Some(since.saturating_add(milliseconds(self.settings.timeout)))
            }
            _ => None,
        }
    }

    /// Takes an event; `now` in milliseconds.
    pub(crate) fn handle(&mut self, now: i64, event: Event) -> Vec<Command> {
        if self.phase == Phase::Ended {
            return Vec::new();
        }
        let mut commands = Vec::new();
        match event {
            Event::Tick => self.check_timeout(now, &mut commands),
            Event::Acknowledged { task, epoch } => {
                self.acknowledged(task, epoch, &mut commands);
            }
            Event::Exhausted => self.sources_running -= 1,
            Event::Stop => self.stop = true,
            Event::Finished => {
                self.tasks_running -= 1;
                if self.tasks_running == 0 {
                    self.phase = Phase::Ended;
                    return vec![Command::Complete];
                }
            }
            Event::TaskFailed { reason } => {
                self.phase = Phase::Ended;
                return vec![Command::Fail { reason }];
            }
            Event::Published { epoch } => self.published(now, epoch, &mut commands),
            Event::PublishFailed { epoch, reason } => {
                self.publish_failed(now, epoch, reason, &mut commands);
            }
        }
        self.trigger(now, &mut commands);
        commands
    }

    fn check_timeout(&mut self, now: i64, commands: &mut Vec<Command>) {
        let Phase::Collecting { barrier, since, missing } = &self.phase else { return };
        // The end of the stream takes as long as it takes: there is no later checkpoint to hope for.
        if barrier.last || now < since.saturating_add(milliseconds(self.settings.timeout)) {
            return;
        }
        let (epoch, missing) = (barrier.epoch, missing.len());
        let reason = format!(
            "checkpoint {epoch} was not acknowledged by {missing} tasks within its timeout of {:?}",
            self.settings.timeout
        );
        self.attempt_failed(now, epoch, reason, commands);
    }

    fn acknowledged(&mut self, task: TaskIndex, epoch: u64, commands: &mut Vec<Command>) {
        let Phase::Collecting { barrier, missing, .. } = &mut self.phase else { return };
        if barrier.epoch != epoch || !missing.remove(&task) || !missing.is_empty() {
            return;
        }
        let barrier = *barrier;
        if self.durable {
            self.phase = Phase::Publishing { barrier };
            commands.push(Command::Publish { epoch });
        } else {
            self.phase = Phase::Ending;
            commands.push(Command::Commit { epoch });
        }
    }

    fn published(&mut self, now: i64, epoch: u64, commands: &mut Vec<Command>) {
        let Phase::Publishing { barrier } = self.phase else { return };
        debug_assert_eq!(barrier.epoch, epoch, "one checkpoint runs at a time");
        self.completed = Some(epoch);
        self.failures_in_row = 0;
        self.phase = if barrier.last { Phase::Ending } else { Phase::Idle };
        self.schedule(now);
        commands.push(Command::Commit { epoch });
    }

    fn publish_failed(
        &mut self,
        now: i64,
        epoch: u64,
        reason: String,
        commands: &mut Vec<Command>,
    ) {
        let Phase::Publishing { barrier } = self.phase else { return };
        if barrier.last {
            self.phase = Phase::Ended;
            commands.push(Command::Fail { reason });
            return;
        }
        self.attempt_failed(now, epoch, reason, commands);
    }

    fn attempt_failed(
        &mut self,
        now: i64,
        epoch: u64,
        reason: String,
        commands: &mut Vec<Command>,
    ) {
        self.failures_in_row += 1;
        let tolerable = self.settings.tolerable_failed;
        if self.failures_in_row > tolerable {
            self.phase = Phase::Ended;
            let reason = format!(
                "{reason}; that is failure {} in a row, and `tolerable-failed` is {tolerable}",
                self.failures_in_row
            );
            commands.push(Command::Fail { reason });
        } else {
            self.phase = Phase::Idle;
            self.schedule(now);
            commands.push(Command::Discard { epoch, reason });
        }
    }

    /// Sets the time of the next trigger: the interval's next beat, and not before the pause is over.
    fn schedule(&mut self, now: i64) {
        let Some(interval) = self.settings.interval else {
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

    fn trigger(&mut self, now: i64, commands: &mut Vec<Command>) {
        if self.phase != Phase::Idle {
            return;
        }
        let last = self.stop || self.sources_running == 0;
        let due = self.next_trigger.is_some_and(|time| time <= now);
        if !last && !due {
            return;
        }
        let barrier = Barrier { epoch: self.next_epoch, completed: self.completed, last };
        self.next_epoch += 1;
        self.phase = Phase::Collecting { barrier, since: now, missing: self.tasks.clone() };
        if due {
            self.schedule(now);
        }
        commands.push(Command::Trigger(barrier));
    }
}

fn milliseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
