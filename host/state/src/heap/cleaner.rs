//! The clean-up in passing: each commit looks at a few values and entries, group by group and round and round.

use super::HeapBackend;
use super::group::Group;
use super::sheet::{Any, Pick};
use super::values::At;
use crate::backend::Now;
use crate::declaration::StateDeclaration;
use crate::ttl;

/// The least that a commit looks at.
const BUDGET_MIN: usize = 4;
/// For each so many slots of an invocation, its commit looks at one more.
const SLOTS: usize = 16;
/// The most groups that a commit comes through, if they are empty.
const GROUPS_MAX: usize = 4;

/// Where the next commit goes on.
#[derive(Debug, Default)]
pub(super) struct Cleaner {
    group: usize,
    /// The sheet, and after those the store.
    part: usize,
    row: u32,
}

impl Cleaner {
    /// A cleaner, if any of the states expires.
    pub(super) fn new(states: &[StateDeclaration]) -> Option<Self> {
        states.iter().any(|state| state.ttl.is_some()).then(Self::default)
    }
}

impl HeapBackend {
    /// Removes some of what is expired.
    pub(super) fn clean(&mut self) {
        let mut budget = BUDGET_MIN + self.invocation.slots() / SLOTS;
        let (now, version) = (self.invocation.now(), self.version);
        let sheets = self.layouts.len();
        let Some(Cleaner { group: at, part, row }) = &mut self.cleaner else { return };
        for _ in 0..GROUPS_MAX {
            let Some(group) = self.groups.get_mut(*at) else {
                *at = 0;
                continue;
            };
            while let Some(layout) = self.layouts.get(*part) {
                let to = At { pick: Any(*part), layout, version };
                if layout.expires() && !to.clean_rows(group, now, row, &mut budget) {
                    return;
                }
                (*part, *row) = (*part + 1, 0);
                if *part == sheets {
                    group.compact(&self.layouts, version);
                }
            }
            while *part < sheets + group.stores.len() {
                let (entries, mut change) = group.change_store(*part - sheets, version);
                if !entries.clean(&mut change, now, &mut budget) {
                    return;
                }
                *part += 1;
            }
            (*at, *part) = (*at + 1, 0);
        }
    }
}

impl<P: Pick> At<'_, P> {
    /// Looks at some rows from `next` on, removes values that are expired, and stamps those without a stamp. Says
    /// whether it came past the last one.
    fn clean_rows(self, group: &mut Group, now: Now, next: &mut u32, budget: &mut usize) -> bool {
        let layout = self.layout;
        while *next < self.table(group).end() {
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            let row = *next;
            *next += 1;
            if !self.table(group).is_occupied(layout, row) {
                continue;
            }
            for (state, ttl) in layout.ttls.iter().enumerate() {
                let Some(ttl) = ttl else { continue };
                if self.remove_expired(group, (row, state), now) {
                    continue;
                }
                let stamp = ttl::first_stamp(ttl, now);
                if self.table(group).mark(layout, row, state).present()
                    && self.table(group).stamp(layout, row, state) == ttl::NO_STAMP
                    && stamp != ttl::NO_STAMP
                {
                    self.restamp(group, (row, state), stamp);
                }
            }
        }
        true
    }
}
