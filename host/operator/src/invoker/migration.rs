//! Moving values from retired states to those of the description: of the keys of an invocation before it, of all
//! others a few at a time.

use serde::{Deserialize, Serialize};
use statehouse_state::{Column, NotMoved, StateDeclaration, StateId, Which};

use super::convert::Converter;
use super::{ErrorPolicy, Invoker};
use crate::evolution::{Retired, StateMove};
use crate::failure::{Failure, InvokeError};
use crate::render;

/// What a sweep came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sweep {
    /// Values and entries that were moved.
    pub moved: u64,
    /// Those that cannot be converted, and stay.
    pub failed: u64,
    /// Whether nothing is left that could be moved. Sweeping again costs nothing then.
    pub done: bool,
}

/// How far a migration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MigrationProgress {
    /// Values and entries that are in retired states, those included that cannot be converted.
    pub left: u64,
    /// Those that were moved, since the operator was put in place.
    pub moved: u64,
    /// Those that sweeps could not convert.
    pub failed: u64,
}

/// What is left to move.
#[derive(Debug)]
pub(super) struct Migration {
    pub(super) moves: Vec<Pending>,
    moved: u64,
    failed: u64,
}

#[derive(Debug)]
pub(super) struct Pending {
    pub(super) step: StateMove,
    /// The state that the values are in.
    pub(super) state: StateDeclaration,
    /// Whether a sweep has come to its end: what is left cannot be converted.
    pub(super) swept: bool,
}

/// A key with values that cannot be converted.
#[derive(Debug)]
pub(super) struct Unmigrated {
    /// The key's slot; `None` outside of invocations.
    pub(super) slot: Option<u32>,
    key: Column,
    state: String,
    from_version: u32,
    reason: String,
}

impl Unmigrated {
    /// Why records of the key are not taken.
    pub(super) fn failure(&self) -> Failure {
        let Self { state, from_version, reason, .. } = self;
        let reason = format!(
            "its state `{state}` of schema version {from_version} cannot be migrated: {reason}"
        );
        Failure::Refused { row: None, reason }
    }
}

impl Migration {
    /// What an evolution has to move, if it has.
    pub(super) fn new(moves: &[StateMove], states: &[StateDeclaration]) -> Option<Box<Self>> {
        let pending = |step: &StateMove| {
            let state = states[step.values.from.0 as usize].clone();
            Pending { step: *step, state, swept: false }
        };
        let moves: Vec<_> = moves.iter().map(pending).collect();
        (!moves.is_empty()).then(|| Box::new(Self { moves, moved: 0, failed: 0 }))
    }

    /// The states that are left, in the order of their ids.
    pub(super) fn states(&self) -> impl Iterator<Item = &StateDeclaration> {
        self.moves.iter().map(|pending| &pending.state)
    }

    /// The moves that are left, with the states that they come from.
    pub(super) fn sources(&self) -> impl Iterator<Item = (StateId, &StateDeclaration)> {
        self.moves.iter().map(|pending| (pending.step.values.from, &pending.state))
    }
}

impl Invoker {
    /// Whether there are retired states or timers. What cannot be converted stays where it is, and so does a timer
    /// until it fires.
    pub fn is_migrating(&self) -> bool {
        self.migration.is_some() || !self.call.retired_timers().is_empty()
    }

    /// What there is besides the states and timers of the description.
    pub fn retired(&self) -> Retired {
        let states = self.migration.iter().flat_map(|migration| migration.states());
        Retired { states: states.cloned().collect(), timers: self.call.retired_timers().to_vec() }
    }

    /// How far the migration is.
    pub fn migration(&self) -> MigrationProgress {
        let (Some(migration), Some(backend)) = (&self.migration, &self.call.backend) else {
            return MigrationProgress::default();
        };
        let left = migration.sources().map(|(from, _)| backend.values(from)).sum();
        MigrationProgress { left, moved: migration.moved, failed: migration.failed }
    }

    /// Moves the next values, about `limit` of them, and lets go of retired states that are empty: the next snapshot is
    /// then full. Between two invocations.
    ///
    /// # Errors
    /// If a value cannot be converted and the policy says that the job fails, or the host cannot do its part.
    pub fn sweep(&mut self, limit: usize) -> Result<Sweep, InvokeError> {
        let mut sweep = Sweep::default();
        let moves = self.migration.as_ref().map_or(0, |migration| migration.moves.len());
        // One after the other: a backend goes on where it was only with the move that it did last.
        for place in 0..moves {
            let budget = limit.saturating_sub(sweep.moved as usize);
            if budget == 0 || !self.sweep_one(place, budget, &mut sweep)? {
                return Ok(sweep);
            }
        }
        sweep.done = self.let_go()?;
        Ok(sweep)
    }

    /// Goes on with one move. Whether it is done.
    fn sweep_one(
        &mut self,
        place: usize,
        budget: usize,
        sweep: &mut Sweep,
    ) -> Result<bool, InvokeError> {
        let empty = {
            let (Some(migration), Some(backend)) = (&self.migration, &self.call.backend) else {
                return Ok(true);
            };
            let pending = &migration.moves[place];
            pending.swept || backend.values(pending.step.values.from) == 0
        };
        if empty {
            return Ok(true);
        }
        let mut failed = Vec::new();
        let moved = self.move_values(place, Which::Next(budget), &mut failed);
        let (moved, done) = moved.map_err(|failure| self.host_failure(&failure))?;
        sweep.moved += moved;
        sweep.failed += failed.len() as u64;
        if let (ErrorPolicy::Fail, Some(first)) = (self.policy, failed.first()) {
            return Err(self.unmigrated(first));
        }
        let migration = self.migration.as_mut().expect("it was there above");
        migration.failed += failed.len() as u64;
        migration.moves[place].swept = done;
        Ok(done)
    }

    /// Moves the values of the invocation's keys, before the operator sees them. Which keys have values that cannot be
    /// moved.
    pub(super) fn migrate_invocation(&mut self) -> Result<Vec<Unmigrated>, Failure> {
        let mut failed = Vec::new();
        let moves = self.migration.as_ref().map_or(0, |migration| migration.moves.len());
        for place in 0..moves {
            self.move_values(place, Which::Invocation, &mut failed)?;
        }
        Ok(failed)
    }

    /// Moves values by one move. How many, and whether none is left that could be.
    fn move_values(
        &mut self,
        place: usize,
        which: Which,
        failed: &mut Vec<Unmigrated>,
    ) -> Result<(u64, bool), Failure> {
        let (Some(migration), Some(backend)) = (&mut self.migration, &mut self.call.backend) else {
            return Ok((0, true));
        };
        let Pending { step, state, .. } = &migration.moves[place];
        let to = &self.description.states[step.values.to.0 as usize];
        let stops = self.policy == ErrorPolicy::Fail;
        let mut converter = Converter::new(&mut *self.operator, *step, to, self.call.limits, stops);
        let moved = backend.migrate(step.values, which, &mut |values| converter.convert(values));
        let moved = match (moved, converter.failure) {
            (_, Some(failure)) => return Err(failure),
            (moved, None) => moved?,
        };
        let unmigrated = |NotMoved { slot, key, reason }| Unmigrated {
            slot,
            key,
            state: state.name.clone(),
            from_version: state.schema_version,
            reason,
        };
        failed.extend(moved.failed.into_iter().map(unmigrated));
        migration.moved += moved.moved;
        Ok((moved.moved, moved.done))
    }

    /// The error of a value that cannot be moved, where the policy says that the job fails.
    pub(super) fn unmigrated(&self, first: &Unmigrated) -> InvokeError {
        let key_type = self.description.state_key().expect("states have a key");
        InvokeError::Unmigrated {
            operator: self.description.name.clone(),
            state: first.state.clone(),
            from_version: first.from_version,
            key: render::shortened(&render::key(key_type, &first.key, 0).to_string()),
            reason: first.reason.clone(),
        }
    }

    pub(super) fn host_failure(&self, failure: &Failure) -> InvokeError {
        self.refused(failure.to_string())
    }
}
