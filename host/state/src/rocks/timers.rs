//! The timers of a task, in memory, as on the heap; RocksDB gets what changed with every snapshot.

use rocksdb::WriteBatch;

use super::keys;
use crate::backend::DueTimers;
use crate::declaration::{TimeDomain, TimerDeclaration};
use crate::timers::{GroupTimers, Heads, Timer};

/// The timers of a range of key groups.
#[derive(Debug)]
pub(super) struct Timers {
    domains: Vec<TimeDomain>,
    first_group: u32,
    groups: Vec<GroupTimers>,
    heads: Heads,
    key_words: bool,
}

impl Timers {
    pub(super) fn new(
        families: &[TimerDeclaration],
        first_group: u32,
        groups: usize,
        key_words: bool,
    ) -> Self {
        Self {
            domains: families.iter().map(|family| family.domain).collect(),
            first_group,
            groups: (0..groups).map(|_| GroupTimers::new(families.len())).collect(),
            heads: Heads::new(families.len()),
            key_words,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.groups.iter().map(GroupTimers::len).sum()
    }

    /// Sets or deletes a timer. RocksDB has it already, unless the change is `new`.
    pub(super) fn change(&mut self, group: u16, family: usize, timer: Timer, set: bool, new: bool) {
        let index = u32::from(group) - self.first_group;
        let timers = &mut self.groups[index as usize];
        if timers.contains(family, &timer) == set {
            return;
        }
        let old = timers.first_time(family);
        timers.change(family, timer, set, new);
        self.heads.update(family, index, old, timers.first_time(family));
    }

    /// Forgets every timer of a group. RocksDB has forgotten them already.
    pub(super) fn clear_group(&mut self, group: u16) {
        let index = (u32::from(group) - self.first_group) as usize;
        let all: Vec<_> =
            self.groups[index].iter().map(|(family, timer)| (family, timer.clone())).collect();
        for (family, timer) in all {
            self.change(group, family.0 as usize, timer, false, false);
        }
        self.groups[index].changed.clear();
    }

    /// The families of a clock that have timers, each with its earliest time.
    fn first_times(&self, domain: TimeDomain) -> impl Iterator<Item = (i64, usize)> {
        let families = self.domains.iter().enumerate();
        families
            .filter(move |(_, of)| **of == domain)
            .filter_map(|(family, _)| Some((self.heads.first_time(family)?, family)))
    }

    pub(super) fn next(&self, domain: TimeDomain) -> Option<i64> {
        self.first_times(domain).map(|(time, _)| time).min()
    }

    pub(super) fn due(&self, domain: TimeDomain, until: i64, limit: usize) -> Option<DueTimers> {
        let (time, family) = self.first_times(domain).min()?;
        if time > until || limit == 0 {
            return None;
        }
        let group = |index: u32| &self.groups[index as usize];
        Some(self.heads.due(family, group, until, limit, self.key_words))
    }

    /// Appends what changed since RocksDB last got it.
    pub(super) fn flush_into(&self, batch: &mut WriteBatch, tags: &[u16]) {
        let mut key = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            for ((family, timer), &set) in &group.changed {
                key.clear();
                let number = (self.first_group as usize + index) as u16;
                keys::push_head(&mut key, number, tags[*family as usize]);
                keys::push_timer(&mut key, timer.time, timer.key.cell(), timer.namespace);
                if set {
                    batch.put(&key, []);
                } else {
                    batch.delete(&key);
                }
            }
        }
    }

    /// Says that RocksDB has got all changes.
    pub(super) fn flushed(&mut self) {
        self.groups.iter_mut().for_each(|group| group.changed.clear());
    }
}
