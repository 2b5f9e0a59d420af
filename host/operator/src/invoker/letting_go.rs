//! Retired states and timers that are empty are not served any more.

use statehouse_state::{Error, StateId, TimerId};

use super::Invoker;
use super::migration::Pending;
use crate::failure::InvokeError;

impl Invoker {
    /// Stops serving what is retired and empty. The next snapshot is full then, so states go together, once nothing is
    /// left to move, and so do timers. Whether it had not to be put off.
    pub(super) fn let_go(&mut self) -> Result<bool, InvokeError> {
        let (no_states, no_timers) = (self.may_let_states_go(), self.may_let_timers_go());
        let Some(backend) = &mut self.call.backend else { return Ok(true) };
        if !no_states && !no_timers {
            return Ok(true);
        }
        let (served, timers) = backend.declared();
        let declared = self.description.states.len();
        let (mut states, mut timers) = (served[..declared].to_vec(), timers.to_vec());
        let pending = self.migration.iter().flat_map(|migration| &migration.moves);
        let stays = |pending: &&Pending| !no_states || backend.values(pending.step.values.from) > 0;
        states.extend(pending.filter(stays).map(|pending| pending.state.clone()));
        if no_timers {
            timers.truncate(self.description.timers.len());
        }
        match backend.evolve(&states, &timers) {
            Ok(()) => backend.abandon_snapshot(),
            // A snapshot runs; it is tried again when that is done.
            Err(Error::SnapshotRunning { .. } | Error::Access { .. }) => return Ok(false),
            Err(error) => return Err(self.refused(error.to_string())),
        }
        if let Some(migration) = &mut self.migration {
            migration.moves.retain(|pending| states[declared..].contains(&pending.state));
            for (pending, number) in migration.moves.iter_mut().zip(declared as u32..) {
                pending.step.values.from = StateId(number);
            }
        }
        self.migration.take_if(|migration| migration.moves.is_empty());
        self.call.serve(&states, &timers);
        Ok(true)
    }

    /// Whether nothing is left to move, and some retired states are empty.
    fn may_let_states_go(&self) -> bool {
        let (Some(migration), Some(backend)) = (&self.migration, &self.call.backend) else {
            return false;
        };
        let is_empty = |pending: &Pending| backend.values(pending.step.values.from) == 0;
        migration.moves.iter().all(|pending| pending.swept || is_empty(pending))
            && migration.moves.iter().any(is_empty)
    }

    /// Whether there are retired timers, and none of them is set.
    fn may_let_timers_go(&self) -> bool {
        let declared = self.description.timers.len();
        let retired = declared..declared + self.call.retired_timers().len();
        let Some(backend) = &self.call.backend else { return false };
        !retired.is_empty()
            && retired.clone().all(|timer| !backend.has_timers(TimerId(timer as u32)))
    }
}
