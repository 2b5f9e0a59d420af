//! One invocation: where the keys of its slots are, and moving values between there and windows or
//! write sets.

use std::hint::black_box;

use super::group::Group;
use super::row::Layout;
use super::table::ABSENT;
use crate::backend::Now;
use crate::column::{BytesColumn, Column};
use crate::declaration::TtlUpdate;
use crate::error::Error;
use crate::key::{KeyGroupRange, KeyGroups};
use crate::segment::{Cell, Stamped};
use crate::ttl::{self, NO_STAMP};
use crate::window::Window;
use crate::writes::{StateWrites, WriteOp, WriteSet};

/// Keys whose rows are read before any of them is looked at: few enough for the first-level cache.
pub(super) const STAGE: usize = 256;

/// Buckets that all keys are compared with side by side, before each goes on for itself.
const ROUNDS: usize = 2;

/// Where a slot's key is.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The group, counted from the first of the range.
    group: u32,
    /// Its row, or [`ABSENT`].
    row: u32,
}

/// The keys of an invocation and their places. Reused, so that it allocates nothing once it has
/// grown.
#[derive(Debug)]
pub(super) struct Invocation {
    keys: Column,
    hashes: Vec<u64>,
    places: Vec<Place>,
    now: Now,
    absent: usize,
    removed: bool,
    /// For each slot, 1 + the state of which it has an empty value for the time until a merge finds nothing there;
    /// or 0. Empty if no slot has.
    held: Vec<u32>,
    /// Slots and states whose values a load found expired.
    pub(super) expired: Vec<(u32, u32)>,
}

impl Invocation {
    pub(super) fn new(words: bool) -> Self {
        Self {
            keys: Column::empty(words),
            hashes: Vec::new(),
            places: Vec::new(),
            now: Now::default(),
            absent: 0,
            removed: false,
            held: Vec::new(),
            expired: Vec::new(),
        }
    }

    /// Finds the keys.
    pub(super) fn begin(
        &mut self,
        (keys, hashes): (&Column, &[u64]),
        now: Now,
        key_groups: KeyGroups,
        range: KeyGroupRange,
        groups: &[Group],
        layout: &Layout,
    ) -> Result<(), Error> {
        self.end();
        if keys.is_words() != layout.key_words || keys.len() != hashes.len() {
            return Err(Error::Access {
                reason: format!(
                    "{} keys come with {} hashes, or not in the layout declared",
                    keys.len(),
                    hashes.len()
                ),
            });
        }
        let place = |&hash: &u64| Place {
            group: u32::from(key_groups.group_of(hash).0).wrapping_sub(range.start),
            row: ABSENT,
        };
        self.places.extend(hashes.iter().map(place));
        let owned = groups.len() as u32;
        if let Some(slot) = self.places.iter().position(|place| place.group >= owned) {
            self.places.clear();
            return Err(Error::Access {
                reason: format!(
                    "the key of slot {slot} belongs to {}, and this task owns key groups {}..{}",
                    key_groups.group_of(hashes[slot]),
                    range.start,
                    range.end
                ),
            });
        }
        self.now = now;
        self.keys.extend_from_range(keys, 0, keys.len());
        self.hashes.extend_from_slice(hashes);
        self.resolve(groups, layout);
        Ok(())
    }

    /// Finds the rows of all keys.
    fn resolve(&mut self, groups: &[Group], layout: &Layout) {
        for (place, &hash) in self.places.iter_mut().zip(&self.hashes) {
            place.row = groups[place.group as usize].table.home(hash);
        }
        let touch = |place: &Place| groups[place.group as usize].table.touch(layout, place.row);
        let mut slot = 0;
        while slot < self.places.len() {
            let end = self.places.len().min(slot + STAGE);
            black_box(self.places[slot..end].iter().fold(0, |sum, place| sum ^ touch(place)));
            match &self.keys {
                Column::Words(keys) => {
                    let (places, keys) = (&mut self.places[slot..end], &keys[slot..end]);
                    find_words(places, keys, groups, layout);
                }
                Column::Bytes(keys) => {
                    for (slot, place) in (slot..end).zip(&mut self.places[slot..end]) {
                        let table = &groups[place.group as usize].table;
                        let (hash, key) = (self.hashes[slot], keys.get(slot));
                        place.row = table.find_bytes(layout, place.row, hash, key);
                    }
                }
            }
            slot = end;
        }
        self.absent = self.places.iter().filter(|place| place.row == ABSENT).count();
    }

    /// Ends the invocation. Says whether it removed values.
    pub(super) fn end(&mut self) -> bool {
        self.keys.clear();
        self.hashes.clear();
        self.places.clear();
        self.held.clear();
        self.expired.clear();
        self.absent = 0;
        std::mem::take(&mut self.removed)
    }

    /// The time of the invocation.
    pub(super) fn now(&self) -> Now {
        self.now
    }

    /// How many slots there are.
    pub(super) fn slots(&self) -> usize {
        self.places.len()
    }

    /// Removes what loads found expired, unless it was written since.
    pub(super) fn clean_up(&mut self, groups: &mut [Group], layout: &Layout, version: u32) {
        for (slot, state) in std::mem::take(&mut self.expired) {
            // Rows may have moved since.
            let (group, hash, key) = self.key(slot as usize);
            let group = &mut groups[group as usize];
            let row = group.table.find(layout, hash, key);
            if row != ABSENT {
                let value = (row, state as usize);
                self.removed |= group.remove_expired(layout, version, value, self.now);
            }
        }
    }

    /// The group, hash and key of a slot.
    pub(super) fn key(&self, slot: usize) -> (u32, u64, Cell<'_>) {
        (self.places[slot].group, self.hashes[slot], self.keys.cell(slot))
    }

    /// Gathers the values of a state.
    pub(super) fn load(
        &mut self,
        groups: &[Group],
        layout: &Layout,
        state: usize,
        window: &mut Window,
    ) {
        window.reset(self.places.len());
        for (word, places) in self.places.chunks(64).enumerate() {
            let bits = match &mut window.values {
                Column::Words(values) => load_words(places, groups, layout, state, values),
                Column::Bytes(values) => {
                    let too_large = &mut window.too_large;
                    load_bytes(places, groups, layout, state, values, too_large)
                }
            };
            window.present.set_word(word, bits);
        }
        if layout.ttls[state].is_some() {
            self.hide_expired(groups, layout, state, window);
            // An operator that loads again and again finds the same ones.
            self.expired.truncate(self.places.len() * layout.ids.len());
        }
    }

    /// Takes values out of a window that are expired, unless reads return them, and remembers them.
    fn hide_expired(
        &mut self,
        groups: &[Group],
        layout: &Layout,
        state: usize,
        window: &mut Window,
    ) {
        let found = self.expired.len();
        for (slot, place) in (0..).zip(&self.places) {
            if window.present.get(slot as usize) {
                let table = &groups[place.group as usize].table;
                if table.is_expired(layout, place.row, state, self.now) {
                    self.expired.push((slot, state as u32));
                }
            }
        }
        let ttl = layout.ttls[state].as_ref().expect("the caller has looked");
        // What is expired has one visibility, whatever its stamp: that of the state.
        if self.expired.len() == found || ttl::is_visible(ttl, NO_STAMP + 1, self.now) {
            return;
        }
        for &(slot, _) in &self.expired[found..] {
            window.present.set(slot as usize, false);
        }
        match &mut window.values {
            Column::Words(words) => {
                self.expired[found..].iter().for_each(|&(slot, _)| words[slot as usize] = 0);
            }
            Column::Bytes(loaded) => {
                let mut left = BytesColumn::with_capacity(loaded.len(), loaded.arena().len());
                for (slot, value) in loaded.iter().enumerate() {
                    left.push(if window.present.get(slot) { value } else { &[] });
                }
                *loaded = left;
            }
        }
    }

    /// Scatters the values of a write set.
    pub(super) fn commit(
        &mut self,
        writes: &WriteSet,
        groups: &mut [Group],
        layout: &Layout,
        version: u32,
    ) {
        // Rows may move to make room, and then a dead row that was found may be gone: look again.
        while self.absent > 0 && self.insert(writes, groups, layout, version) {
            self.resolve(groups, layout);
        }
        for (state, id) in layout.ids.iter().enumerate() {
            let of_state = writes.state(*id);
            // Looks at every write, so that it needs no branch for each.
            let plain = of_state
                .ops
                .iter()
                .fold(true, |plain, op| plain & matches!(op, WriteOp::Set | WriteOp::Remove));
            if !plain || layout.ttls[state].is_some() {
                self.commit_each(writes, of_state, groups, layout, (state, version));
                continue;
            }
            let writes = of_state;
            let slots = writes.slots.iter().zip(writes.ops.iter().map(|op| *op == WriteOp::Set));
            let mut removed = false;
            match &writes.values {
                Column::Words(values) => {
                    for ((&slot, set), &value) in slots.zip(values) {
                        removed |= !set;
                        let Place { group, row } = self.places[slot as usize];
                        if row != ABSENT {
                            let group = &mut groups[group as usize];
                            group.write_word(layout, version, row, state, set.then_some(value));
                        }
                    }
                }
                Column::Bytes(values) => {
                    for ((&slot, set), value) in slots.zip(values.iter()) {
                        removed |= !set;
                        let Place { group, row } = self.places[slot as usize];
                        if row != ABSENT {
                            let group = &mut groups[group as usize];
                            group.write_bytes(layout, version, row, state, set.then_some(value));
                        }
                    }
                }
            }
            self.removed |= removed;
        }
    }

    /// Applies writes one by one: merges, and those that have to do with stamps.
    fn commit_each(
        &mut self,
        all: &WriteSet,
        writes: &StateWrites,
        groups: &mut [Group],
        layout: &Layout,
        (state, version): (usize, u32),
    ) {
        let (now, ttl) = (self.now, layout.ttls[state]);
        for (write, (&slot, &op)) in writes.slots.iter().zip(&writes.ops).enumerate() {
            let Place { group, row } = self.places[slot as usize];
            if row == ABSENT {
                continue;
            }
            let (group, place) = (&mut groups[group as usize], (row, state));
            let held = self.held.get_mut(slot as usize).filter(|it| **it == 1 + state as u32);
            let stamp = ttl.map_or(NO_STAMP, |ttl| {
                let event_time = all.event_time(slot).unwrap_or(now.watermark);
                ttl::stamp(&ttl, now, event_time)
            });
            match op {
                WriteOp::Touch => {
                    let counts = ttl.is_some_and(|ttl| ttl.update == TtlUpdate::OnReadAndWrite);
                    if counts && held.is_none() && group.is_live(layout, row, state, now) {
                        let stamp = ttl::renewed(group.table.stamp(layout, row, state), stamp);
                        group.restamp(layout, version, place, stamp);
                    }
                    continue;
                }
                WriteOp::Merge if held.is_none() && group.is_live(layout, row, state, now) => {
                    let stamp = ttl::renewed(group.table.stamp(layout, row, state), stamp);
                    match writes.value(write) {
                        Cell::Word(delta) => {
                            let (word, _) = group.table.word(layout, row, state);
                            let value = Cell::Word(writes.merge_words(word, delta));
                            group.write(layout, version, place, Some(Stamped { value, stamp }));
                        }
                        Cell::Bytes(delta) => {
                            let merge = |value: &mut Vec<u8>| writes.merge_bytes(value, delta);
                            group.update_bytes(layout, version, place, stamp, merge);
                        }
                    }
                }
                WriteOp::Set | WriteOp::Merge => {
                    let value = writes.value(write);
                    group.write(layout, version, place, Some(Stamped { value, stamp }));
                }
                WriteOp::Remove => {
                    self.removed = true;
                    group.write(layout, version, place, None);
                }
                WriteOp::Append | WriteOp::Clear => unreachable!("the state is no collection"),
            }
            if let Some(held) = held {
                *held = 0;
            }
        }
    }

    /// Makes rows for the keys without one that are about to get a value. Says whether other rows
    /// moved.
    fn insert(
        &mut self,
        writes: &WriteSet,
        groups: &mut [Group],
        layout: &Layout,
        version: u32,
    ) -> bool {
        let mut moved = false;
        for (state, id) in layout.ids.iter().enumerate() {
            let StateWrites { slots, ops, .. } = writes.state(*id);
            for (&slot, &op) in slots.iter().zip(ops) {
                let gives = matches!(op, WriteOp::Set | WriteOp::Merge);
                if !gives || self.places[slot as usize].row != ABSENT {
                    continue;
                }
                let (index, hash, key) = self.key(slot as usize);
                let group = &mut groups[index as usize];
                let (row, others_moved) = group.insert(layout, version, hash, key);
                moved |= others_moved;
                // A row without values would not survive the next insertion; the value follows.
                group.hold(layout, version, row, state);
                self.places[slot as usize].row = row;
                if op == WriteOp::Merge {
                    self.held.resize(self.places.len(), 0);
                    self.held[slot as usize] = 1 + state as u32;
                }
            }
        }
        moved
    }
}

/// Compares numeric keys with their buckets, and those not found there with the next, round by
/// round. A loop for each key would often guess wrong where in the bucket it is, and wait.
fn find_words(places: &mut [Place], keys: &[u64], groups: &[Group], layout: &Layout) {
    let mut open: [u16; STAGE] = std::array::from_fn(|slot| slot as u16);
    let mut left = places.len();
    for _ in 0..ROUNDS {
        let mut passed = 0;
        for index in 0..left {
            let slot = open[index];
            let place = &mut places[usize::from(slot)];
            let table = &groups[place.group as usize].table;
            let step = table.step(layout, place.row, keys[usize::from(slot)]);
            place.row = step.row;
            open[passed] = slot;
            passed += usize::from(step.open);
        }
        left = passed;
    }
    for &slot in &open[..left] {
        let place = &mut places[usize::from(slot)];
        let table = &groups[place.group as usize].table;
        place.row = table.find_word(layout, place.row, keys[usize::from(slot)]);
    }
}

#[inline]
fn load_words(
    places: &[Place],
    groups: &[Group],
    layout: &Layout,
    state: usize,
    values: &mut Vec<u64>,
) -> u64 {
    let mut bits = 0;
    for (bit, place) in places.iter().enumerate() {
        let mut value = 0;
        if place.row != ABSENT {
            let (word, present) = groups[place.group as usize].table.word(layout, place.row, state);
            value = word;
            bits |= u64::from(present) << bit;
        }
        values.push(value);
    }
    bits
}

fn load_bytes(
    places: &[Place],
    groups: &[Group],
    layout: &Layout,
    state: usize,
    values: &mut BytesColumn,
    too_large: &mut bool,
) -> u64 {
    let mut bits = 0;
    for (bit, place) in places.iter().enumerate() {
        let mut value = None;
        if place.row != ABSENT {
            value = groups[place.group as usize].table.bytes(layout, place.row, state);
        }
        bits |= u64::from(value.is_some()) << bit;
        *too_large |= !values.push_if_it_fits(value.unwrap_or_default());
    }
    bits
}
