//! What changes in a call when another version of the operator takes over.

use statehouse_state::{StateDeclaration, TimerDeclaration, TimerId, WriteSet};

use super::{Call, Expiring};
use crate::description::{Description, MetricDeclaration, MetricKind};

impl Call {
    /// From now on, the backend serves these states and timers: first those of the description.
    pub(crate) fn serve(&mut self, states: &[StateDeclaration], timers: &[TimerDeclaration]) {
        self.writes = WriteSet::new(states);
        self.expiring = Expiring::new(states);
        self.retired_timers = timers.iter().skip(self.timers.len()).cloned().collect();
        self.aliases.retain(|(retired, _)| (retired.0 as usize) < timers.len());
    }

    /// From now on, timers of the first of each pair are fired as the second.
    pub(crate) fn alias(&mut self, aliases: &[(TimerId, TimerId)]) {
        self.aliases = aliases.to_vec();
    }

    /// Goes on counting from what another version of the operator counted, by name.
    pub(crate) fn carry_counters(&mut self, before: &Description, now: &Description, other: &Self) {
        for (metric, (kind, value)) in now.metrics.iter().zip(&mut self.metrics) {
            let same = |(declared, _): &(&MetricDeclaration, _)| {
                declared.name == metric.name && declared.kind == metric.kind
            };
            let found = before.metrics.iter().zip(&other.metrics).find(same);
            if let (MetricKind::Counter, Some((_, (_, counted)))) = (*kind, found) {
                *value += counted;
            }
        }
    }
}
