//! The timers of a task, in memory, as on the heap; RocksDB gets what changed with every snapshot.
//!
//! Families have a place that stays theirs whatever order an operator declares them in. One that is removed keeps its
//! timers as long as the task may have to go back, and then makes its place free for another.

use rocksdb::WriteBatch;

use super::{free, keys};
use crate::backend::DueTimers;
use crate::declaration::{TimeDomain, TimerDeclaration, TimerId};
use crate::timers::{GroupTimers, Heads, Timer};

/// The families at their places.
#[derive(Debug, Clone, Default)]
pub(super) struct Families {
    places: Vec<Family>,
    /// The places of those that are served, by id.
    by_id: Vec<usize>,
}

/// One place.
#[derive(Debug, Clone, Copy)]
struct Family {
    /// Of the family that has it, or had it last.
    tag: u16,
    domain: TimeDomain,
    /// `None` if it was removed.
    id: Option<TimerId>,
    /// Whether it may have the place of another: nothing of the last one is left.
    free: bool,
}

/// The timers of a range of key groups.
#[derive(Debug)]
pub(super) struct Timers {
    families: Families,
    first_group: u32,
    groups: Vec<GroupTimers>,
    heads: Heads,
    key_words: bool,
}

impl Timers {
    pub(super) fn new(first_group: u32, groups: usize, key_words: bool) -> Self {
        Self {
            families: Families::default(),
            first_group,
            groups: (0..groups).map(|_| GroupTimers::new(0)).collect(),
            heads: Heads::new(0),
            key_words,
        }
    }

    /// From now on serves these families, by their tags: those that it has already keep their timers. Those of the
    /// others stay until they are [forgotten](Self::forget_removed).
    pub(super) fn serve(&mut self, families: &[TimerDeclaration], tags: &[u16]) {
        for family in &mut self.families.places {
            let id = tags.iter().position(|tag| *tag == family.tag);
            family.id = id.map(|id| TimerId(id as u32));
        }
        self.families.by_id.clear();
        for (id, (family, &tag)) in (0..).map(TimerId).zip(families.iter().zip(tags)) {
            let places = &mut self.families.places;
            let own = places.iter().position(|place| place.id.is_some() && place.tag == tag);
            let place = own.or_else(|| places.iter().position(|place| place.free));
            let place = place.unwrap_or(places.len());
            let family = Family { tag, domain: family.domain, id: Some(id), free: false };
            match places.get_mut(place) {
                Some(place) => *place = family,
                None => {
                    places.push(family);
                    self.groups.iter_mut().for_each(GroupTimers::add_family);
                    self.heads.add_family();
                }
            }
            self.families.by_id.push(place);
        }
    }

    pub(super) fn families(&self) -> &Families {
        &self.families
    }

    /// Forgets the timers of families that were removed.
    pub(super) fn forget_removed(&mut self) {
        let mut gone = Vec::new();
        for (place, _) in self.families.removed() {
            self.heads.clear_family(place);
            gone.extend(self.groups.iter_mut().map(|group| group.take_family(place)));
        }
        if gone.iter().any(|timers| !timers.is_empty()) {
            free::later(gone);
        }
    }

    /// Takes back every change since RocksDB last got them, and serves the families of then.
    pub(super) fn undo(&mut self, families: Families) {
        for index in 0..self.groups.len() {
            let changed = std::mem::take(&mut self.groups[index].changed);
            let group = (self.first_group as usize + index) as u16;
            for ((place, timer), set) in changed {
                self.change_at(group, place as usize, timer, !set, false);
            }
        }
        // Places that were added since then are without timers again.
        let (known, all) = (families.places.len(), self.families.places.len());
        let mut places = families.places;
        places.extend_from_slice(&self.families.places[known..all]);
        places[known..].iter_mut().for_each(|place| (place.id, place.free) = (None, true));
        self.families = Families { places, by_id: families.by_id };
    }

    pub(super) fn len(&self) -> usize {
        self.groups.iter().map(GroupTimers::len).sum()
    }

    /// Sets or deletes a timer. RocksDB has it already, unless the change is `new`.
    pub(super) fn change(&mut self, group: u16, family: usize, timer: Timer, set: bool, new: bool) {
        self.change_at(group, self.families.by_id[family], timer, set, new);
    }

    fn change_at(&mut self, group: u16, family: usize, timer: Timer, set: bool, new: bool) {
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
            self.change_at(group, family.0 as usize, timer, false, false);
        }
        self.groups[index].changed.clear();
    }

    /// Whether any timer of a family is set.
    pub(super) fn has(&self, timer: TimerId) -> bool {
        self.heads.first_time(self.families.by_id[timer.0 as usize]).is_some()
    }

    /// The families of a clock that have timers, each with its earliest time.
    fn first_times(&self, domain: TimeDomain) -> impl Iterator<Item = (i64, TimerId)> {
        let families = self.families.places.iter().enumerate();
        families
            .filter(move |(_, of)| of.domain == domain)
            .filter_map(|(place, family)| Some((self.heads.first_time(place)?, family.id?)))
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
        let place = self.families.by_id[family.0 as usize];
        let due = self.heads.due(place, group, until, limit, self.key_words);
        Some(DueTimers { timer: family, ..due })
    }

    /// Appends what changed since RocksDB last got it.
    pub(super) fn flush_into(&self, batch: &mut WriteBatch) {
        let mut key = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            for ((place, timer), &set) in &group.changed {
                let family = self.families.places[*place as usize];
                if family.id.is_none() {
                    continue;
                }
                key.clear();
                let number = (self.first_group as usize + index) as u16;
                keys::push_head(&mut key, number, family.tag);
                keys::push_timer(&mut key, timer.time, timer.key.cell(), timer.namespace);
                if set {
                    batch.put(&key, []);
                } else {
                    batch.delete(&key);
                }
            }
        }
    }

    /// Says that RocksDB has got all changes, and that there is no way back before them.
    pub(super) fn flushed(&mut self) {
        self.groups.iter_mut().for_each(|group| group.changed.clear());
        self.families.places.iter_mut().for_each(|place| place.free = place.id.is_none());
    }
}

impl Families {
    /// The places of families that were removed.
    fn removed(&self) -> impl Iterator<Item = (usize, &Family)> {
        self.places.iter().enumerate().filter(|(_, family)| family.id.is_none())
    }
}
