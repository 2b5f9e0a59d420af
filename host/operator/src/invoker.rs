//! Invocations as transactions: run a batch, keep all of it or none, and find the record that spoils it.
//!
//! When an invocation fails, nothing of it stays. If the operator named the row, the batch is run again around it;
//! otherwise it is bisected until one row is left. That row is the poison record, and the policy decides. A failure
//! that needs the whole batch (too slow, too much memory) vanishes in the halves.

use statehouse_state::{Backend, Column, DueTimers, TaskStates, TimeDomain, TimerChange};

use crate::batch::Batch;
use crate::call::{Call, Moment};
use crate::description::Description;
use crate::failure::{Failure, InvokeError};
use crate::limits::StateLimits;
use crate::operator::{Operator, Rows, TimerRows};
use crate::shadow::Capture;
use crate::slots::SlotAssigner;

mod canary;
pub(crate) mod capture;
mod convert;
mod flip;
mod letting_go;
mod migration;
mod settle;

use canary::Canary;
use capture::Recording;
use migration::{Migration, Unmigrated};

pub use flip::Parts;
pub use migration::{MigrationProgress, Sweep};

/// What happens to a record that the operator cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorPolicy {
    /// The job fails.
    #[default]
    Fail,
    /// The record is counted and dropped.
    Skip,
    /// The record goes to the dead letters, with the reason.
    DeadLetter,
}

/// The most timers that one invocation takes.
const TIMERS_PER_INVOCATION_MAX: usize = 1024;

/// An operator with its state: takes batches, hands out the batches that they led to.
pub struct Invoker {
    operator: Box<dyn Operator>,
    description: Description,
    call: Call,
    assigner: SlotAssigner,
    policy: ErrorPolicy,
    dead_letters: Batch,
    rejected: u64,
    /// What is left of an evolution, while anything is.
    migration: Option<Box<Migration>>,
    /// Another version of the operator, on a share of the key groups.
    canary: Option<Box<Canary>>,
    /// What is being copied for a shadow run, and what was.
    recording: Option<Box<Recording>>,
    captured: Option<Box<Capture>>,
}

/// Why an invocation did not come to its end.
#[derive(Debug)]
enum Stopped {
    /// The operator failed, or the host.
    Failed(Failure),
    /// Keys have values that cannot be migrated. The operator has seen nothing.
    Unmigrated(Vec<Unmigrated>),
}

impl<F: Into<Failure>> From<F> for Stopped {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

impl std::fmt::Debug for Invoker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invoker").field("operator", &self.description.name).finish_non_exhaustive()
    }
}

impl Invoker {
    /// An operator over its state. `backend` is needed if it declares state or timers. Task states, if it declares any,
    /// are empty until they are [handed in](Invoker::with_task_states).
    pub fn new(
        operator: Box<dyn Operator>,
        backend: Option<Box<dyn Backend>>,
        policy: ErrorPolicy,
    ) -> Self {
        let description = operator.description().clone();
        Self {
            call: Call::new(&description, backend),
            operator,
            description,
            assigner: SlotAssigner::default(),
            policy,
            dead_letters: Batch::empty(None, false),
            rejected: 0,
            migration: None,
            canary: None,
            recording: None,
            captured: None,
        }
    }

    /// With other limits on what the operator keeps in state.
    #[must_use]
    pub fn with_limits(mut self, limits: StateLimits) -> Self {
        self.call.limits = limits;
        self
    }

    /// The same with task states that were restored, which must be of its declarations.
    #[must_use]
    pub fn with_task_states(mut self, states: TaskStates) -> Self {
        self.call.task_states = Some(states);
        self
    }

    /// The task states, between two invocations, if the operator declares any.
    pub fn task_states(&mut self) -> Option<&mut TaskStates> {
        self.call.task_states.as_mut()
    }

    /// Runs a batch that came in by input `port`. Keyed batches must have their keys hashed.
    ///
    /// # Errors
    /// If the policy says that the job fails, or the host cannot do its part.
    pub fn process(&mut self, port: u32, batch: &Batch, moment: Moment) -> Result<(), InvokeError> {
        if self.recording.is_some() {
            return self.process_recorded(port, batch, moment);
        }
        self.process_shared(port, batch, moment)
    }

    /// Has a batch processed by the version of the operator, or the two, that it belongs to.
    fn process_shared(
        &mut self,
        port: u32,
        batch: &Batch,
        moment: Moment,
    ) -> Result<(), InvokeError> {
        match self.canary.take() {
            Some(canary) => self.process_split(canary, port, batch, moment),
            None => self.run(port, batch, moment),
        }
    }

    /// Has a batch processed, without the rows that nobody can take.
    fn run(&mut self, port: u32, batch: &Batch, moment: Moment) -> Result<(), InvokeError> {
        let mut pending = vec![(0, batch.len())];
        let mut part = batch.empty_like();
        while let Some((from, to)) = pending.pop() {
            if from == to {
                continue;
            }
            let rows = if to - from == batch.len() {
                batch
            } else {
                part.clear();
                part.extend_from_range(batch, from, to);
                &part
            };
            let failure = match self.attempt(port, rows, moment) {
                Ok(()) => {
                    self.settle_rejected(port, rows)?;
                    continue;
                }
                Err(Stopped::Unmigrated(keys)) => {
                    let rest = self.settle_unmigrated(port, rows, &keys)?;
                    self.run(port, &rest, moment)?;
                    continue;
                }
                Err(Stopped::Failed(failure)) => failure,
            };
            self.call.undo();
            let Some(blamed) = self.blame(&failure, to - from)? else {
                let middle = usize::midpoint(from, to);
                pending.extend([(middle, to), (from, middle)]);
                continue;
            };
            self.settle_poison(port, batch, from + blamed, failure)?;
            pending.extend([(from + blamed + 1, to), (from, from + blamed)]);
        }
        Ok(())
    }

    /// Fires the next timers of a clock that are due at `until`. Whether there were any: if so, ask again.
    ///
    /// # Errors
    /// If the policy says that the job fails, or the host cannot do its part.
    pub fn fire_timers(
        &mut self,
        domain: TimeDomain,
        until: i64,
        moment: Moment,
    ) -> Result<bool, InvokeError> {
        let several_names = !self.call.retired_timers().is_empty();
        let Some(backend) = &mut self.call.backend else { return Ok(false) };
        let Some(next) = backend.next_timer(domain).filter(|time| *time <= until) else {
            return Ok(false);
        };
        // A key's timers fire in the order of their times, whatever the names that they were set under.
        let until = if several_names { next } else { until };
        let Some(due) = backend.due_timers(domain, until, TIMERS_PER_INVOCATION_MAX) else {
            return Ok(false);
        };
        match self.recording {
            Some(_) => self.fire_recorded(&due, moment)?,
            None => self.fire_shared(&due, moment)?,
        }
        Ok(true)
    }

    /// Fires timers at the version of the operator, or the two, that they belong to.
    fn fire_shared(&mut self, due: &DueTimers, moment: Moment) -> Result<(), InvokeError> {
        match self.canary.take() {
            Some(canary) => self.fire_split(canary, due, moment),
            None => self.fire(due, moment),
        }
    }

    /// Fires timers, without those that nobody can take.
    pub(crate) fn fire(&mut self, due: &DueTimers, moment: Moment) -> Result<(), InvokeError> {
        let mut pending = vec![(0, due.times.len())];
        while let Some((from, to)) = pending.pop() {
            if from == to {
                continue;
            }
            let part = range_of(due, from, to);
            let failure = match self.attempt_timers(&part, moment, true) {
                Ok(()) => continue,
                Err(Stopped::Unmigrated(keys)) => {
                    let rest = self.settle_unmigrated_timers(&part, &keys, moment)?;
                    self.fire(&rest, moment)?;
                    continue;
                }
                Err(Stopped::Failed(failure)) => failure,
            };
            self.call.undo();
            let Some(blamed) = self.blame(&failure, to - from)? else {
                let middle = usize::midpoint(from, to);
                pending.extend([(middle, to), (from, middle)]);
                continue;
            };
            let poison = range_of(due, from + blamed, from + blamed + 1);
            self.settle_poison_timer(&poison, moment, failure)?;
            pending.extend([(from + blamed + 1, to), (from, from + blamed)]);
        }
        Ok(())
    }

    /// When the earliest timer of a clock is to fire.
    pub fn next_timer(&self, domain: TimeDomain) -> Option<i64> {
        self.call.backend.as_ref()?.next_timer(domain)
    }

    /// What the invocations emitted since this was last drained, one batch for each output port.
    pub fn outputs(&mut self) -> &mut [Batch] {
        &mut self.call.outputs
    }

    /// What the policy set aside since this was last drained: JSON records without keys.
    pub fn dead_letters(&mut self) -> &mut Batch {
        &mut self.dead_letters
    }

    /// How many records and timers the operator could not take, skipped or set aside.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// The operator's description.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The values of the operator's own metrics, in the order of the description.
    pub fn metrics(&self) -> impl Iterator<Item = f64> {
        self.call.metrics()
    }

    /// The state, between two invocations.
    pub fn backend(&mut self) -> Option<&mut (dyn Backend + 'static)> {
        self.call.backend.as_deref_mut()
    }

    fn attempt(&mut self, port: u32, batch: &Batch, moment: Moment) -> Result<(), Stopped> {
        self.call.start(batch.len() as u32, moment);
        self.call.broadcast =
            self.description.inputs.get(port as usize).is_some_and(|port| port.broadcast);
        let (mut slots, mut keys) = (&[][..], None);
        if let Some(row_keys) = &batch.keys {
            debug_assert_eq!(batch.hashes.len(), batch.len(), "keyed batches come hashed");
            self.assigner.assign(row_keys, &batch.hashes);
            self.call.hand_out(&self.assigner.keys, &self.assigner.hashes)?;
            if self.migration.is_some() {
                self.migrate()?;
            }
            self.call.note_event_times(&self.assigner.slots, &batch.times);
            (slots, keys) = (&self.assigner.slots, Some(&self.assigner.keys));
        }
        let rows = Rows { port, times: &batch.times, slots, keys, values: &batch.values };
        self.operator.process(rows, &mut self.call)?;
        Ok(self.call.commit()?)
    }

    /// Moves what the keys of the invocation have in retired states.
    fn migrate(&mut self) -> Result<(), Stopped> {
        let failed = self.migrate_invocation()?;
        if failed.is_empty() { Ok(()) } else { Err(Stopped::Unmigrated(failed)) }
    }

    /// Runs due timers, or only takes them off the list if the operator is not to see them.
    fn attempt_timers(
        &mut self,
        due: &DueTimers,
        moment: Moment,
        fire: bool,
    ) -> Result<(), Stopped> {
        self.call.start(0, moment);
        self.assigner.assign_distinct(&due.keys, &due.hashes);
        self.call.hand_out(&self.assigner.keys, &self.assigner.hashes)?;
        if fire && self.migration.is_some() {
            self.migrate()?;
        }
        let timer = self.call.fired_as(due.timer);
        if self.description.timers[timer.0 as usize].domain == TimeDomain::EventTime {
            self.call.note_event_times(&self.assigner.slots, &due.times);
        }
        let timers = self.assigner.slots.iter().zip(&due.times).zip(&due.namespaces);
        for ((&slot, &time), &namespace) in timers {
            let change = TimerChange { timer: due.timer, slot, namespace, time, set: false };
            self.call.writes.change_timer(change);
        }
        if fire {
            let slots = &self.assigner.slots;
            let keys = &self.assigner.keys;
            let DueTimers { times, namespaces, .. } = due;
            let rows = TimerRows { timer, times, namespaces, slots, keys };
            self.operator.on_timers(rows, &mut self.call)?;
        }
        Ok(self.call.commit()?)
    }

    /// The row to blame, if it can be told already.
    fn blame(&self, failure: &Failure, rows: usize) -> Result<Option<usize>, InvokeError> {
        match failure {
            failure if !failure.can_blame_record() => Err(InvokeError::Host {
                operator: self.description.name.clone(),
                reason: failure.to_string(),
            }),
            Failure::Refused { row: Some(row), .. } if (*row as usize) < rows => {
                Ok(Some(*row as usize))
            }
            _ => Ok((rows == 1).then_some(0)),
        }
    }
}

fn range_of(due: &DueTimers, from: usize, to: usize) -> DueTimers {
    let mut keys = Column::empty(due.keys.is_words());
    keys.extend_from_range(&due.keys, from, to);
    DueTimers {
        timer: due.timer,
        times: due.times[from..to].to_vec(),
        namespaces: due.namespaces[from..to].to_vec(),
        keys,
        hashes: due.hashes[from..to].to_vec(),
    }
}

/// Appends one timer of another list of the same family.
fn push_timer(due: &mut DueTimers, other: &DueTimers, row: usize) {
    due.times.push(other.times[row]);
    due.namespaces.push(other.namespaces[row]);
    due.keys.push_from(&other.keys, row);
    due.hashes.push(other.hashes[row]);
}

#[cfg(test)]
mod tests;
