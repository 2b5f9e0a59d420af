//! One invocation: where the keys of its slots are, and moving values between there and windows or
//! write sets.

use std::hint::black_box;

use super::group::Group;
use super::row::Layout;
use super::table::ABSENT;
use crate::column::{BytesColumn, Column};
use crate::error::Error;
use crate::key::{KeyGroupRange, KeyGroups};
use crate::segment::Cell;
use crate::window::Window;
use crate::writes::{StateWrites, WriteOp, WriteSet};

/// Keys whose rows are read before any of them is looked at: few enough for the first-level cache.
const STAGE: usize = 256;

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
    absent: usize,
    removed: bool,
}

impl Invocation {
    pub(super) fn new(words: bool) -> Self {
        Self {
            keys: Column::empty(words),
            hashes: Vec::new(),
            places: Vec::new(),
            absent: 0,
            removed: false,
        }
    }

    /// Finds the keys.
    pub(super) fn begin(
        &mut self,
        keys: &Column,
        hashes: &[u64],
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
        self.absent = 0;
        std::mem::take(&mut self.removed)
    }

    /// The group, hash and key of a slot.
    pub(super) fn key(&self, slot: usize) -> (u32, u64, Cell<'_>) {
        let key = match &self.keys {
            Column::Words(keys) => Cell::Word(keys[slot]),
            Column::Bytes(keys) => Cell::Bytes(keys.get(slot)),
        };
        (self.places[slot].group, self.hashes[slot], key)
    }

    /// Gathers the values of a state.
    pub(super) fn load(
        &self,
        groups: &[Group],
        layout: &Layout,
        state: usize,
        window: &mut Window,
    ) {
        window.reset(self.places.len());
        for (word, places) in self.places.chunks(64).enumerate() {
            let bits = match &mut window.values {
                Column::Words(values) => load_words(places, groups, layout, state, values),
                Column::Bytes(values) => load_bytes(places, groups, layout, state, values),
            };
            window.present.set_word(word, bits);
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
        for (state, writes) in writes.states() {
            let state = state.0 as usize;
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
        for (state, StateWrites { slots, ops, .. }) in writes.states() {
            for (&slot, _) in slots.iter().zip(ops).filter(|(_, op)| **op == WriteOp::Set) {
                let (index, hash, key) = self.key(slot as usize);
                if self.places[slot as usize].row != ABSENT {
                    continue;
                }
                let group = &mut groups[index as usize];
                let (row, others_moved) = group.insert(layout, version, hash, key);
                moved |= others_moved;
                // A row without values would not survive the next insertion; the value follows.
                group.hold(layout, version, row, state.0 as usize);
                self.places[slot as usize].row = row;
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
) -> u64 {
    let mut bits = 0;
    for (bit, place) in places.iter().enumerate() {
        let mut value = None;
        if place.row != ABSENT {
            value = groups[place.group as usize].table.bytes(layout, place.row, state);
        }
        bits |= u64::from(value.is_some()) << bit;
        values.push(value.unwrap_or_default());
    }
    bits
}
