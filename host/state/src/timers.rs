//! The timers of one key group, and the earliest of all groups.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashSet, btree_set};
use std::iter::Peekable;

use crate::backend::DueTimers;
use crate::column::Column;
use crate::declaration::TimerId;
use crate::segment::Cell;

/// A key of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    Word(u64),
    Bytes(Box<[u8]>),
}

impl Key {
    pub(super) fn cell(&self) -> Cell<'_> {
        match self {
            Self::Word(word) => Cell::Word(*word),
            Self::Bytes(bytes) => Cell::Bytes(bytes),
        }
    }
}

impl From<Cell<'_>> for Key {
    fn from(cell: Cell<'_>) -> Self {
        match cell {
            Cell::Word(word) => Self::Word(word),
            Cell::Bytes(bytes) => Self::Bytes(bytes.into()),
        }
    }
}

/// One timer of a family, in the order in which they fire: by time, then by hash, which depends on
/// no task, then by namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    pub(super) time: i64,
    pub(super) hash: u64,
    pub(super) key: Key,
    pub(super) namespace: u64,
}

/// The timers of one key group.
#[derive(Debug, Default)]
pub(super) struct GroupTimers {
    /// For each family.
    families: Vec<BTreeSet<Timer>>,
    /// Timers that are not as they were when the last snapshot started, and whether they are set
    /// now.
    pub(super) changed: BTreeMap<(u32, Timer), bool>,
}

impl GroupTimers {
    pub(super) fn new(families: usize) -> Self {
        Self { families: vec![BTreeSet::new(); families], changed: BTreeMap::new() }
    }

    /// Adds a family, without timers.
    pub(super) fn add_family(&mut self) {
        self.families.push(BTreeSet::new());
    }

    /// Takes the timers of a family away. Changes that are kept track of stay so.
    pub(super) fn take_family(&mut self, family: usize) -> BTreeSet<Timer> {
        std::mem::take(&mut self.families[family])
    }

    pub(super) fn len(&self) -> usize {
        self.families.iter().map(BTreeSet::len).sum()
    }

    /// How many timers the first so many families have.
    pub(super) fn len_of(&self, families: usize) -> usize {
        self.families.iter().take(families).map(BTreeSet::len).sum()
    }

    pub(super) fn first_time(&self, family: usize) -> Option<i64> {
        self.families[family].first().map(|timer| timer.time)
    }

    /// Puts families in another order: each is that of an old number, or new and empty. Those of other old numbers
    /// follow behind.
    pub(super) fn arrange(&mut self, order: &[Option<usize>]) {
        arrange(&mut self.families, order);
        if !self.changed.is_empty() {
            let place = |family: u32| order.iter().position(|old| *old == Some(family as usize));
            let changed = std::mem::take(&mut self.changed).into_iter();
            let moved = changed
                .filter_map(|((family, timer), set)| Some(((place(family)? as u32, timer), set)));
            self.changed = moved.collect();
        }
    }

    /// Takes out the families behind the first so many.
    pub(super) fn split_off(&mut self, families: usize) -> Vec<BTreeSet<Timer>> {
        self.families.split_off(families)
    }

    pub(super) fn contains(&self, family: usize, timer: &Timer) -> bool {
        self.families[family].contains(timer)
    }

    /// Sets or deletes a timer that is not set, or is; keeps track of the change if `tracked`.
    pub(super) fn change(&mut self, family: usize, timer: Timer, set: bool, tracked: bool) {
        if tracked {
            let change = (family as u32, timer.clone());
            // A timer that changes twice is again as it was.
            if self.changed.remove(&change).is_none() {
                self.changed.insert(change, set);
            }
        }
        if set {
            self.families[family].insert(timer);
        } else {
            self.families[family].remove(&timer);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TimerId, &Timer)> {
        self.families.iter().enumerate().flat_map(|(family, timers)| {
            timers.iter().map(move |timer| (TimerId(family as u32), timer))
        })
    }
}

/// Puts items in another order, with those that it does not name behind.
fn arrange<T: Default>(items: &mut Vec<T>, order: &[Option<usize>]) {
    let mut old: Vec<Option<T>> = std::mem::take(items).into_iter().map(Some).collect();
    let take = |number: &Option<usize>| number.and_then(|number| old[number].take());
    *items = order.iter().map(take).map(Option::unwrap_or_default).collect();
    items.extend(old.into_iter().flatten());
}

/// For each family, the groups that have timers, by their earliest.
#[derive(Debug)]
pub(super) struct Heads {
    families: Vec<BTreeSet<(i64, u32)>>,
}

impl Heads {
    pub(super) fn new(families: usize) -> Self {
        Self { families: vec![BTreeSet::new(); families] }
    }

    /// Adds a family, without timers.
    pub(super) fn add_family(&mut self) {
        self.families.push(BTreeSet::new());
    }

    /// Says that no group has timers of a family any more.
    pub(super) fn clear_family(&mut self, family: usize) {
        self.families[family].clear();
    }

    pub(super) fn first_time(&self, family: usize) -> Option<i64> {
        self.families[family].first().map(|&(time, _)| time)
    }

    /// Puts families in another order, as [`GroupTimers::arrange`] does.
    pub(super) fn arrange(&mut self, order: &[Option<usize>]) {
        arrange(&mut self.families, order);
    }

    /// Takes out the families behind the first so many.
    pub(super) fn truncate(&mut self, families: usize) {
        self.families.truncate(families);
    }

    /// Follows a change of a group's earliest timer.
    pub(super) fn update(&mut self, family: usize, group: u32, old: Option<i64>, new: Option<i64>) {
        if old == new {
            return;
        }
        let heads = &mut self.families[family];
        if let Some(old) = old {
            heads.remove(&(old, group));
        }
        if let Some(new) = new {
            heads.insert((new, group));
        }
    }

    /// The earliest timers of a family that are due, at most `limit` of them and one a key.
    ///
    /// Groups are merged by time, each opened only when the merge comes to its earliest timer.
    /// Further timers of the same keys are passed over; where they are many, fewer than `limit` are
    /// returned instead.
    pub(super) fn due<'a>(
        &self,
        family: usize,
        group: impl Fn(u32) -> &'a GroupTimers,
        until: i64,
        limit: usize,
        words: bool,
    ) -> DueTimers {
        let mut due = DueTimers {
            timer: TimerId(family as u32),
            times: Vec::new(),
            namespaces: Vec::new(),
            keys: Column::empty(words),
            hashes: Vec::new(),
        };
        let mut merge =
            Merge { heads: self.families[family].iter().peekable(), open: BinaryHeap::new() };
        let mut seen = HashSet::new();
        let mut steps = limit.saturating_mul(4);
        while due.times.len() < limit && steps > 0 {
            let open = |index| group(index).families[family].iter();
            let Some(timer) = merge.next(open).filter(|timer| timer.time <= until) else { break };
            steps -= 1;
            if !seen.insert((timer.hash, &timer.key)) {
                continue;
            }
            due.times.push(timer.time);
            due.namespaces.push(timer.namespace);
            due.hashes.push(timer.hash);
            match (&timer.key, &mut due.keys) {
                (Key::Word(word), Column::Words(words)) => words.push(*word),
                (Key::Bytes(bytes), Column::Bytes(rows)) => rows.push(bytes),
                _ => unreachable!("keys of one backend have one layout"),
            }
        }
        due
    }
}

/// The next timer of an open group, compared by it alone.
struct Open<'a> {
    next: &'a Timer,
    rest: btree_set::Iter<'a, Timer>,
}

impl PartialEq for Open<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.next == other.next
    }
}

impl Eq for Open<'_> {}

impl PartialOrd for Open<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Open<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.next.cmp(other.next)
    }
}

/// Merges the timers of many groups by time.
struct Merge<'a, 'h> {
    heads: Peekable<btree_set::Iter<'h, (i64, u32)>>,
    open: BinaryHeap<Reverse<Open<'a>>>,
}

impl<'a> Merge<'a, '_> {
    fn next(&mut self, open: impl Fn(u32) -> btree_set::Iter<'a, Timer>) -> Option<&'a Timer> {
        while let Some(&&(time, group)) = self.heads.peek() {
            if self.open.peek().is_some_and(|Reverse(first)| first.next.time < time) {
                break;
            }
            self.heads.next();
            self.push(open(group));
        }
        let Reverse(Open { next, rest }) = self.open.pop()?;
        self.push(rest);
        Some(next)
    }

    fn push(&mut self, mut rest: btree_set::Iter<'a, Timer>) {
        if let Some(next) = rest.next() {
            self.open.push(Reverse(Open { next, rest }));
        }
    }
}
