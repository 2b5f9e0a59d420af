//! Replacing the operator between two invocations.

use statehouse_state::{Backend, TaskStates};

use super::Invoker;
use crate::evolution::{Evolution, Retired};
use crate::failure::InvokeError;
use crate::operator::Operator;

impl Invoker {
    /// The same over a backend that serves the states and timers of an evolution, with what is left to move.
    #[must_use]
    pub fn with_evolution(self, evolution: &Evolution) -> Self {
        let _ = evolution;
        self
    }

    /// Another operator takes over, between two invocations whose outputs were drained. `backend` is the one to use if
    /// there is none yet and the operator needs one. Returns the operator that was there.
    ///
    /// # Errors
    /// If the backend cannot serve the evolution, or there is none; then nothing has changed.
    pub fn replace(
        &mut self,
        operator: Box<dyn Operator>,
        evolution: &Evolution,
        backend: Option<Box<dyn Backend>>,
    ) -> Result<Box<dyn Operator>, InvokeError> {
        let _ = (operator, evolution, backend);
        unimplemented!()
    }

    /// What there is besides the states and timers of the description.
    pub fn retired(&self) -> Retired {
        Retired::default()
    }

    /// The operator, its keyed state and its task states.
    pub fn into_parts(self) -> (Box<dyn Operator>, Option<Box<dyn Backend>>, Option<TaskStates>) {
        let mut call = self.call;
        (self.operator, call.backend.take(), call.task_states.take())
    }
}
