//! The clean-up in passing: each commit looks at a few values and entries, group by group and round and round.

use super::HeapBackend;

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
