//! Canaries: another version of an operator on a share of the key groups, beside the one that runs.

use serde::{Deserialize, Serialize};
use statehouse_state::KeyGroup;

use crate::description::Description;
use crate::evolution::{Left, Migrations, Retired, plan};

/// The fraction of the golden ratio, of 32 bits: its multiples are spread evenly.
const GOLDEN: u32 = 0x9e37_79b1;

/// Which key groups a canary gets.
///
/// Any contiguous range of groups, which is what a task has, has about the same share of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryShare {
    /// Groups whose number is mixed to less than this are the canary's.
    below: u64,
}

impl CanaryShare {
    /// About so many percent of the groups, at least one; `None` unless it is above 0 and at most 100.
    pub fn of_percent(percent: f64) -> Option<Self> {
        let sensible = percent > 0.0 && percent <= 100.0;
        let below = (percent / 100.0 * (u64::from(u32::MAX) + 1) as f64).ceil();
        sensible.then_some(Self { below: below as u64 })
    }

    /// Whether the group is the canary's.
    #[inline]
    pub fn takes(self, group: KeyGroup) -> bool {
        u64::from(u32::from(group.0).wrapping_mul(GOLDEN)) < self.below
    }
}

/// What one of the two versions did since the canary began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SideCounts {
    /// Records and timers that it was handed.
    pub rows: u64,
    /// Those of them that it could not take.
    pub rejected: u64,
}

/// What both versions did since the canary began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CanaryCounts {
    /// The version that was there before.
    pub before: SideCounts,
    /// The canary.
    pub canary: SideCounts,
}

/// Why the two cannot run beside each other on shares of one state, if so, and what to do instead.
///
/// They can if all that they have is keyed: what comes by an input without keys, or changes the state of the task,
/// would have to reach both.
pub fn canary_refusal(before: &Description, now: &Description) -> Option<String> {
    let without = "swap it without a canary";
    for description in [before, now] {
        if let Some(port) = description.inputs.iter().find(|port| port.key.is_none()) {
            let kind = if port.broadcast { "is broadcast" } else { "has no key" };
            return Some(format!(
                "its input `{}` {kind}, so its records belong to no key group; {without}",
                port.name
            ));
        }
        if let Some(state) = description.task_states.first() {
            return Some(format!(
                "its task state `{}` belongs to no key group, so two versions would each have one of their own; \
                 {without}",
                state.name
            ));
        }
    }
    let left = Left { description: before.clone(), retired: Retired::default() };
    let same = plan(&left, now, &Migrations::default(), false)
        .is_ok_and(|evolution| evolution.is_same_schema());
    let identities = |description: &Description| {
        let states = description.states.iter();
        let states: Vec<_> =
            states.map(|state| (state.name.clone(), state.schema_version)).collect();
        (states, description.timers.clone())
    };
    let in_order = identities(before) == identities(now);
    (!same || !in_order).then(|| {
        format!(
            "the two versions do not declare the same states and timers in the same order, and so cannot share them; \
             {without}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use statehouse_state::{KeyGroupRange, KeyGroups};

    fn taken(share: CanaryShare, range: KeyGroupRange) -> usize {
        range.iter().filter(|&group| share.takes(group)).count()
    }

    #[test]
    fn a_share_is_spread_evenly_over_every_range() {
        for (groups, percent) in [(128, 5.0), (128, 50.0), (1024, 1.0), (32_768, 12.5)] {
            let (share, groups) =
                (CanaryShare::of_percent(percent).unwrap(), KeyGroups::new(groups).unwrap());
            for tasks in [1, 2, 4] {
                for task in 0..tasks {
                    let range = groups.range_of_task(task, tasks);
                    let expected = range.len() as f64 * percent / 100.0;
                    let got = taken(share, range) as f64;
                    assert!((got - expected).abs() <= 2.0, "{got} of {expected}, {range:?}");
                }
            }
        }
    }

    #[test]
    fn a_share_is_never_nothing_and_may_be_all() {
        let all = KeyGroupRange::all(KeyGroups::DEFAULT);
        assert_eq!(taken(CanaryShare::of_percent(100.0).unwrap(), all), 128);
        assert_eq!(taken(CanaryShare::of_percent(0.000_001).unwrap(), all), 1);
        for percent in [0.0, -1.0, 100.5, f64::NAN, f64::INFINITY] {
            assert_eq!(CanaryShare::of_percent(percent), None, "{percent}");
        }
    }
}
