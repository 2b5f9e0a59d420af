//! Replacing the operator between two invocations.

use statehouse_state::{Backend, StateDeclaration, TaskStates};

use super::Invoker;
use super::migration::Migration;
use crate::batch::Batch;
use crate::call::Call;
use crate::description::Description;
use crate::evolution::{Change, ChangeKind, Evolution};
use crate::failure::InvokeError;
use crate::operator::Operator;

/// The operator, its keyed state and its task states.
pub type Parts = (Box<dyn Operator>, Option<Box<dyn Backend>>, Option<TaskStates>);

impl Invoker {
    /// The same over a backend that serves the states and timers of an evolution, with what is left to move.
    #[must_use]
    pub fn with_evolution(mut self, evolution: &Evolution) -> Self {
        self.adopt(evolution);
        self
    }

    /// Another operator takes over, between two invocations whose outputs were drained. `backend` is the one to use if
    /// there is none yet and the operator needs one: it must serve what the evolution says. Returns the operator that
    /// was there. A capture that is under way ends.
    ///
    /// # Errors
    /// If the backend cannot serve the evolution, or there is none, or a canary runs; then nothing has changed.
    pub fn replace(
        &mut self,
        operator: Box<dyn Operator>,
        evolution: &Evolution,
        backend: Option<Box<dyn Backend>>,
    ) -> Result<Box<dyn Operator>, InvokeError> {
        let description = operator.description().clone();
        self.check_flip(evolution)?;
        self.close_recording();
        let backend = self.evolved_backend(&description, evolution, backend)?;
        // From here on nothing fails.
        let mut call = Call::new(&description, backend);
        call.limits = self.call.limits;
        call.carry_counters(&self.description, &description, &self.call);
        if let (Some(states), Some(before)) = (&mut call.task_states, self.call.task_states.take())
        {
            *states = before.evolved(&description.task_states);
        }
        self.call = call;
        self.description = description;
        self.adopt(evolution);
        Ok(std::mem::replace(&mut self.operator, operator))
    }

    /// Takes the invoker apart. A canary that runs is withdrawn.
    pub fn into_parts(self) -> Parts {
        let Call { backend, task_states, .. } = self.call;
        (self.operator, backend, task_states)
    }

    /// Follows what the backend serves.
    fn adopt(&mut self, evolution: &Evolution) {
        self.call.serve(&evolution.states, &evolution.timers);
        self.call.alias(&evolution.aliases);
        self.migration = Migration::new(&evolution.moves, &evolution.states);
    }

    fn check_flip(&self, evolution: &Evolution) -> Result<(), InvokeError> {
        if self.canary.is_some() {
            return Err(self.refused("a canary runs: promote or withdraw it first".to_owned()));
        }
        let drained = self.call.outputs.iter().chain([&self.dead_letters]).all(Batch::is_empty);
        if !drained {
            return Err(self.refused("it still has output that was not passed on".to_owned()));
        }
        let (Some(migration), Some(backend)) = (&self.migration, &self.call.backend) else {
            return Ok(());
        };
        let mut left = migration.sources().filter(|(from, _)| backend.values(*from) > 0);
        match left.find(|(_, state)| is_forgotten(state, evolution)) {
            Some((_, state)) => Err(self.refused(format!(
                "the swap was planned without the values of schema version {} of state `{}`, which are still being \
                 migrated; plan it again",
                state.schema_version, state.name
            ))),
            None => Ok(()),
        }
    }

    /// The backend, serving what the evolution says.
    fn evolved_backend(
        &mut self,
        now: &Description,
        evolution: &Evolution,
        new: Option<Box<dyn Backend>>,
    ) -> Result<Option<Box<dyn Backend>>, InvokeError> {
        let Evolution { states, timers, .. } = evolution;
        let Some(backend) = &mut self.call.backend else {
            if new.is_none() && !(now.states.is_empty() && now.timers.is_empty()) {
                let reason = "it declares state or timers, and has no backend for them";
                return Err(self.refused(reason.to_owned()));
            }
            return Ok(new);
        };
        if backend.declared() != (states, timers)
            && let Err(error) = backend.evolve(states, timers)
        {
            return Err(self.refused(error.to_string()));
        }
        Ok(self.call.backend.take())
    }

    pub(super) fn refused(&self, reason: String) -> InvokeError {
        InvokeError::Host { operator: self.description.name.clone(), reason }
    }
}

/// Whether an evolution neither takes a state over nor says that it goes.
fn is_forgotten(state: &StateDeclaration, evolution: &Evolution) -> bool {
    let what = format!("state `{}`", state.name);
    let goes = |change: &Change| change.kind == ChangeKind::Dropped && change.what == what;
    let is_it = |other: &StateDeclaration| {
        other.name == state.name && other.schema_version == state.schema_version
    };
    !evolution.states.iter().any(is_it) && !evolution.changes.iter().any(goes)
}
