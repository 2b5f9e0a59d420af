//! Invocations as transactions: run a batch, keep all of it or none, and find the record that spoils it.
//!
//! When an invocation fails, nothing of it stays. If the operator named the row, the batch is run again around it;
//! otherwise it is bisected until one row is left. That row is the poison record, and the policy decides. A failure
//! that needs the whole batch (too slow, too much memory) vanishes in the halves.

use statehouse_state::{Backend, DueTimers, TaskStates, TimeDomain, TimerChange};

use crate::batch::Batch;
use crate::call::{Call, Moment};
use crate::description::Description;
use crate::failure::{Failure, InvokeError};
use crate::limits::StateLimits;
use crate::operator::{Operator, Rows, TimerRows};
use crate::render;
use crate::slots::SlotAssigner;

mod canary;
mod capture;
mod flip;
mod migration;

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
            let Err(failure) = self.attempt(port, rows, moment) else {
                self.settle_rejected(port, rows)?;
                continue;
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
        let Some(backend) = &mut self.call.backend else { return Ok(false) };
        if backend.next_timer(domain).is_none_or(|time| time > until) {
            return Ok(false);
        }
        let Some(due) = backend.due_timers(domain, until, TIMERS_PER_INVOCATION_MAX) else {
            return Ok(false);
        };
        let mut pending = vec![(0, due.times.len())];
        while let Some((from, to)) = pending.pop() {
            if from == to {
                continue;
            }
            let part = range_of(&due, from, to);
            let Err(failure) = self.attempt_timers(&part, moment, true) else { continue };
            self.call.undo();
            let Some(blamed) = self.blame(&failure, to - from)? else {
                let middle = usize::midpoint(from, to);
                pending.extend([(middle, to), (from, middle)]);
                continue;
            };
            let poison = range_of(&due, from + blamed, from + blamed + 1);
            self.settle_poison_timer(&poison, moment, failure)?;
            pending.extend([(from + blamed + 1, to), (from, from + blamed)]);
        }
        Ok(true)
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

    fn attempt(&mut self, port: u32, batch: &Batch, moment: Moment) -> Result<(), Failure> {
        self.call.start(batch.len() as u32, moment);
        self.call.broadcast =
            self.description.inputs.get(port as usize).is_some_and(|port| port.broadcast);
        let (mut slots, mut keys) = (&[][..], None);
        if let Some(row_keys) = &batch.keys {
            debug_assert_eq!(batch.hashes.len(), batch.len(), "keyed batches come hashed");
            self.assigner.assign(row_keys, &batch.hashes);
            self.call.hand_out(&self.assigner.keys, &self.assigner.hashes)?;
            self.call.note_event_times(&self.assigner.slots, &batch.times);
            (slots, keys) = (&self.assigner.slots, Some(&self.assigner.keys));
        }
        let rows = Rows { port, times: &batch.times, slots, keys, values: &batch.values };
        self.operator.process(rows, &mut self.call)?;
        self.call.commit()
    }

    /// Runs due timers, or only takes them off the list if the operator is not to see them.
    fn attempt_timers(
        &mut self,
        due: &DueTimers,
        moment: Moment,
        fire: bool,
    ) -> Result<(), Failure> {
        self.call.start(0, moment);
        self.assigner.assign_distinct(&due.keys, &due.hashes);
        self.call.hand_out(&self.assigner.keys, &self.assigner.hashes)?;
        if self.description.timers[due.timer.0 as usize].domain == TimeDomain::EventTime {
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
            let DueTimers { timer, times, namespaces, .. } = due;
            let rows = TimerRows { timer: *timer, times, namespaces, slots, keys };
            self.operator.on_timers(rows, &mut self.call)?;
        }
        self.call.commit()
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

    fn settle_rejected(&mut self, port: u32, rows: &Batch) -> Result<(), InvokeError> {
        for (row, reason) in std::mem::take(&mut self.call.rejected) {
            let failure = Failure::Refused { row: Some(row), reason };
            self.settle_poison(port, rows, row as usize, failure)?;
        }
        Ok(())
    }

    fn settle_poison(
        &mut self,
        port: u32,
        batch: &Batch,
        row: usize,
        failure: Failure,
    ) -> Result<(), InvokeError> {
        self.rejected += 1;
        let input = &self.description.inputs[port as usize];
        match self.policy {
            ErrorPolicy::Skip => {}
            ErrorPolicy::DeadLetter => {
                let letter =
                    render::dead_letter(&self.description.name, input, batch, row, &failure);
                push_letter(&mut self.dead_letters, batch.times[row], &letter);
            }
            ErrorPolicy::Fail => {
                return Err(InvokeError::PoisonRecord {
                    operator: self.description.name.clone(),
                    port: input.name.clone(),
                    failure,
                    record: render::shortened(&render::record(input, batch, row).to_string()),
                });
            }
        }
        Ok(())
    }

    fn settle_poison_timer(
        &mut self,
        due: &DueTimers,
        moment: Moment,
        failure: Failure,
    ) -> Result<(), InvokeError> {
        self.rejected += 1;
        let operator = self.description.name.clone();
        let timer = self.description.timers[due.timer.0 as usize].name.clone();
        let key_type = self.description.state_key().expect("timers have a key");
        let (key, time) = (render::key(key_type, &due.keys, 0), due.times[0]);
        match self.policy {
            ErrorPolicy::Fail => {
                let key = key.to_string();
                return Err(InvokeError::PoisonTimer { operator, timer, time, key, failure });
            }
            ErrorPolicy::Skip => {}
            ErrorPolicy::DeadLetter => {
                let letter = render::timer_letter(&operator, &timer, time, &key, &failure);
                push_letter(&mut self.dead_letters, time, &letter);
            }
        }
        self.attempt_timers(due, moment, false)
            .map_err(|failure| InvokeError::Host { operator, reason: failure.to_string() })
    }
}

fn push_letter(letters: &mut Batch, time: i64, letter: &serde_json::Value) {
    letters.times.push(time);
    let statehouse_state::Column::Bytes(values) = &mut letters.values else {
        unreachable!("dead letters are bytes")
    };
    values.push(letter.to_string().as_bytes());
}

fn range_of(due: &DueTimers, from: usize, to: usize) -> DueTimers {
    let mut keys = statehouse_state::Column::empty(due.keys.is_words());
    keys.extend_from_range(&due.keys, from, to);
    DueTimers {
        timer: due.timer,
        times: due.times[from..to].to_vec(),
        namespaces: due.namespaces[from..to].to_vec(),
        keys,
        hashes: due.hashes[from..to].to_vec(),
    }
}

#[cfg(test)]
mod tests;
