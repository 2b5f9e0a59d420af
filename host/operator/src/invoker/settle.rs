//! What becomes of records and timers that the operator cannot take: the policy decides.

use statehouse_state::DueTimers;

use super::migration::Unmigrated;
use super::{ErrorPolicy, Invoker, Stopped, push_timer, range_of};
use crate::batch::Batch;
use crate::call::Moment;
use crate::failure::{Failure, InvokeError};
use crate::render;

impl Invoker {
    pub(super) fn settle_rejected(&mut self, port: u32, rows: &Batch) -> Result<(), InvokeError> {
        for (row, reason) in std::mem::take(&mut self.call.rejected) {
            let failure = Failure::Refused { row: Some(row), reason };
            self.settle_poison(port, rows, row as usize, failure)?;
        }
        Ok(())
    }

    pub(super) fn settle_poison(
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

    pub(super) fn settle_poison_timer(
        &mut self,
        due: &DueTimers,
        moment: Moment,
        failure: Failure,
    ) -> Result<(), InvokeError> {
        self.rejected += 1;
        let operator = self.description.name.clone();
        let timer = self.call.fired_as(due.timer);
        let timer = self.description.timers[timer.0 as usize].name.clone();
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
        match self.attempt_timers(due, moment, false) {
            Ok(()) => Ok(()),
            Err(Stopped::Failed(failure)) => Err(self.host_failure(&failure)),
            Err(Stopped::Unmigrated(_)) => {
                unreachable!("nothing moves for timers that do not fire")
            }
        }
    }

    /// Settles the rows of keys whose values cannot be migrated. Returns the other rows.
    pub(super) fn settle_unmigrated(
        &mut self,
        port: u32,
        rows: &Batch,
        keys: &[Unmigrated],
    ) -> Result<Batch, InvokeError> {
        if let (ErrorPolicy::Fail, Some(first)) = (self.policy, keys.first()) {
            return Err(self.unmigrated(first));
        }
        let owners = self.assigner.slots.clone();
        let mut rest = rows.empty_like();
        for (row, slot) in owners.into_iter().enumerate() {
            match keys.iter().find(|key| key.slot == Some(slot)) {
                Some(key) => self.settle_poison(port, rows, row, key.failure())?,
                None => rest.push_from(rows, row),
            }
        }
        Ok(rest)
    }

    /// Settles the timers of keys whose values cannot be migrated. Returns the other timers.
    pub(super) fn settle_unmigrated_timers(
        &mut self,
        due: &DueTimers,
        keys: &[Unmigrated],
        moment: Moment,
    ) -> Result<DueTimers, InvokeError> {
        if let (ErrorPolicy::Fail, Some(first)) = (self.policy, keys.first()) {
            return Err(self.unmigrated(first));
        }
        let mut rest = range_of(due, 0, 0);
        // Each timer has a slot of its own, in their order.
        for row in 0..due.times.len() {
            match keys.iter().find(|key| key.slot == Some(row as u32)) {
                Some(key) => {
                    let poison = range_of(due, row, row + 1);
                    self.settle_poison_timer(&poison, moment, key.failure())?;
                }
                None => push_timer(&mut rest, due, row),
            }
        }
        Ok(rest)
    }
}

fn push_letter(letters: &mut Batch, time: i64, letter: &serde_json::Value) {
    letters.times.push(time);
    let statehouse_state::Column::Bytes(values) = &mut letters.values else {
        unreachable!("dead letters are bytes")
    };
    values.push(letter.to_string().as_bytes());
}
