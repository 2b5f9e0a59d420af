//! What a swap adds to the history of its job.

use statehouse_checkpoint::{ComponentVersion, Epoch, HistoryEntry, HistoryEvent, HistoryOperator};

use super::Swapping;
use super::planning::Ready;
use crate::control::messages::{OperatorPlan, VersionName};

impl Swapping<'_> {
    /// Notes that something has happened to the swap.
    pub(super) fn record(
        &self,
        event: HistoryEvent,
        ready: Option<&Ready>,
        epoch: Option<u64>,
        reason: Option<String>,
    ) {
        let status = self.progress.status();
        let watch = match event {
            HistoryEvent::Kept | HistoryEvent::RolledBack | HistoryEvent::Promoted => {
                serde_json::json!({ "rules": self.request.watch, "counted": status.counted })
            }
            _ => serde_json::Value::Null,
        };
        let operators = ready.map(|ready| ready.plan.operators.iter());
        self.shared.record(&HistoryEntry {
            at_ms: self.shared.clock.now(),
            event,
            swap: Some(status.id),
            epoch: epoch.map(Epoch),
            operators: operators.into_iter().flatten().filter_map(operator).collect(),
            who: status.who,
            reason,
            savepoint: ready.map(|_| self.savepoint()),
            watch,
        });
    }
}

fn operator(plan: &OperatorPlan) -> Option<HistoryOperator> {
    let version = |name: &VersionName| {
        let (operator, version) = (name.operator.clone(), name.version.clone());
        Some(ComponentVersion { component: name.component.parse().ok()?, operator, version })
    };
    let from = plan.from.as_ref().and_then(version);
    Some(HistoryOperator { id: plan.id.clone(), from, to: version(&plan.to)?, declared: None })
}
