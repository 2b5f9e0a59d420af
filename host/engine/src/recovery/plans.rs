//! How an operator as it is now takes over the state of the operator as it was.

use statehouse_checkpoint::OperatorState;
use statehouse_operator::Description;
use statehouse_operator::evolution::{ChangeKind, Evolution, Left, Retired, plan_at_start};
use statehouse_state::TaskStateDeclaration;

use super::{RecoveryError, RestorePoint, has_state};
use crate::graph::OperatorFactory;

impl RestorePoint {
    /// How the operator of a node takes over what the checkpoint holds of it, which may be nothing.
    ///
    /// # Errors
    /// Everything that stands in the way.
    pub fn evolution(
        &self,
        node: &str,
        factory: &dyn OperatorFactory,
    ) -> Result<Evolution, RecoveryError> {
        let now = factory.description();
        let before = self.operator(node).filter(|before| has_state(before));
        let Some(before) = before else { return Ok(Evolution::unchanged(now)) };
        let left = left(before).map_err(|reason| vec![reason]);
        let planned = left
            .and_then(|left| plan_at_start(&left, now, &factory.migrations(), self.drop_unclaimed));
        planned.map_err(|reasons| RecoveryError::Incompatible {
            epoch: self.epoch(),
            operator: before.id.clone(),
            reason: reasons.join("; "),
        })
    }
}

/// What an operator left, as a manifest says it.
///
/// # Errors
/// In words, if what the manifest says cannot be read.
pub fn left(before: &OperatorState) -> Result<Left, String> {
    let unreadable = |what: &str, error| format!("its recorded {what} cannot be read: {error}");
    let description = serde_json::from_value(before.description.clone())
        .map_err(|error| unreadable("description", error))?;
    let retired = match before.retired.clone() {
        None => Retired::default(),
        Some(retired) => serde_json::from_value(retired)
            .map_err(|error| unreadable("states of earlier versions", error))?,
    };
    Ok(Left { description, retired })
}

/// What goes, in words.
pub(crate) fn dropped(evolution: &Evolution) -> impl Iterator<Item = &str> {
    let dropped = evolution.changes.iter().filter(|change| change.kind == ChangeKind::Dropped);
    dropped.map(|change| change.what.as_str())
}

/// The task states of the operator as it was that it does not declare any more.
pub(crate) fn unclaimed_task_states(
    before: &OperatorState,
    now: &[TaskStateDeclaration],
) -> Vec<TaskStateDeclaration> {
    let before = serde_json::from_value(before.description.clone());
    let before = before.map(|before: Description| before.task_states).unwrap_or_default();
    let gone = |state: &TaskStateDeclaration| !now.iter().any(|now| now.name == state.name);
    before.into_iter().filter(gone).collect()
}
