//! Two versions of an operator in one task, on disjoint key groups of one state.

use statehouse_state::KeyGroups;

use super::Invoker;
use crate::canary::{CanaryCounts, CanaryShare};
use crate::failure::InvokeError;
use crate::operator::Operator;

impl Invoker {
    /// From now on, the share of the key groups is another version's. `groups` is the job's number of key groups.
    ///
    /// # Errors
    /// If the two cannot run beside each other ([`canary_refusal`](crate::canary_refusal)), or a migration is under way;
    /// then nothing has changed.
    pub fn start_canary(
        &mut self,
        operator: Box<dyn Operator>,
        share: CanaryShare,
        groups: KeyGroups,
    ) -> Result<(), InvokeError> {
        let _ = (operator, share, groups);
        unimplemented!()
    }

    /// Ends the canary: it gets all key groups (`promote`), or none. The operator that has none any more.
    pub fn end_canary(&mut self, promote: bool) -> Option<Box<dyn Operator>> {
        let _ = promote;
        unimplemented!()
    }

    /// What both versions did since the canary began, while there is one.
    pub fn canary_counts(&self) -> Option<CanaryCounts> {
        None
    }
}
