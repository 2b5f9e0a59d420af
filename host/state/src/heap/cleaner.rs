//! The clean-up in passing: each commit looks at a few values and entries, group by group and round and round.

use super::HeapBackend;
use super::group::Group;
use super::row::Layout;
use crate::backend::Now;
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
    /// 0 for the rows, and then the number of the collection state.
    part: usize,
    row: u32,
}

impl HeapBackend {
    /// Removes some of what is expired.
    pub(super) fn clean(&mut self) {
        let mut budget = BUDGET_MIN + self.invocation.slots() / SLOTS;
        let (now, version) = (self.invocation.now(), self.version);
        let collections = self.collections.iter().flatten().count();
        let Some(Cleaner { group: at, part, row }) = &mut self.cleaner else { return };
        for _ in 0..GROUPS_MAX {
            let Some(group) = self.groups.get_mut(*at) else {
                *at = 0;
                continue;
            };
            if *part == 0 {
                let done = !self.layout.expires()
                    || group.clean_rows(&self.layout, version, now, row, &mut budget);
                if !done {
                    return;
                }
                (*part, *row) = (1, 0);
                group.compact(&self.layout, version);
            }
            while *part <= collections {
                let (entries, mut change) = group.change_collection(*part - 1, version);
                if !entries.clean(&mut change, now, &mut budget) {
                    return;
                }
                *part += 1;
            }
            (*at, *part) = (*at + 1, 0);
        }
    }
}

impl Group {
    /// Looks at some rows from `next` on, removes values that are expired, and stamps those without a stamp. Says
    /// whether it came past the last one.
    fn clean_rows(
        &mut self,
        layout: &Layout,
        version: u32,
        now: Now,
        next: &mut u32,
        budget: &mut usize,
    ) -> bool {
        while *next < self.table.end() {
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            let row = *next;
            *next += 1;
            if !self.table.is_occupied(layout, row) {
                continue;
            }
            for (state, ttl) in layout.ttls.iter().enumerate() {
                let Some(ttl) = ttl else { continue };
                if self.remove_expired(layout, version, (row, state), now) {
                    continue;
                }
                let stamp = ttl::first_stamp(ttl, now);
                if self.table.mark(layout, row, state).present()
                    && self.table.stamp(layout, row, state) == ttl::NO_STAMP
                    && stamp != ttl::NO_STAMP
                {
                    self.restamp(layout, version, (row, state), stamp);
                }
            }
        }
        true
    }
}
