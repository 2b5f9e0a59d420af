//! Where the keys of an invocation are in one sheet of their groups.

use std::hint::black_box;

use crate::column::{BytesColumn, Column};
use crate::heap::group::Group;
use crate::heap::row::Layout;
use crate::heap::sheet::Pick;
use crate::heap::table::ABSENT;
use crate::window::Window;

/// Keys whose rows are read before any of them is looked at: few enough for the first-level cache.
pub(in crate::heap) const STAGE: usize = 256;

/// Buckets that all keys are compared with side by side, before each goes on for itself.
const ROUNDS: usize = 2;

/// Where a slot's key is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The group, counted from the first of the range.
    pub(super) group: u32,
    /// Its row, or [`ABSENT`].
    pub(super) row: u32,
}

/// Where the keys of all slots are.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) places: Vec<Place>,
    pub(super) absent: usize,
    /// For each slot, 1 + the column of which it has an empty value for the time until a merge finds nothing there;
    /// or 0. Empty if no slot has.
    pub(super) held: Vec<u32>,
}

impl Places {
    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.held.clear();
        self.absent = 0;
    }

    /// Finds the rows of all keys, whose groups are known.
    pub(super) fn resolve(
        &mut self,
        (pick, layout): (impl Pick, &Layout),
        (keys, hashes): (&Column, &[u64]),
        groups: &[Group],
    ) {
        let table = |place: &Place| &pick.of(&groups[place.group as usize].sheets).table;
        for (place, &hash) in self.places.iter_mut().zip(hashes) {
            place.row = table(place).home(hash);
        }
        let touch = |place: &Place| table(place).touch(layout, place.row);
        let mut slot = 0;
        while slot < self.places.len() {
            let end = self.places.len().min(slot + STAGE);
            black_box(self.places[slot..end].iter().fold(0, |sum, place| sum ^ touch(place)));
            match keys {
                Column::Words(keys) => {
                    let (places, keys) = (&mut self.places[slot..end], &keys[slot..end]);
                    find_words((pick, layout), places, keys, groups);
                }
                Column::Bytes(keys) => {
                    for (slot, place) in (slot..end).zip(&mut self.places[slot..end]) {
                        let (hash, key) = (hashes[slot], keys.get(slot));
                        place.row = table(place).find_bytes(layout, place.row, hash, key);
                    }
                }
            }
            slot = end;
        }
        self.absent = self.places.iter().filter(|place| place.row == ABSENT).count();
    }

    /// Gathers the values of a column.
    pub(super) fn load(
        &self,
        at: (impl Pick, &Layout),
        groups: &[Group],
        state: usize,
        window: &mut Window,
    ) {
        window.reset(self.places.len());
        for (word, places) in self.places.chunks(64).enumerate() {
            let bits = match &mut window.values {
                Column::Words(values) => load_words(at, places, groups, state, values),
                Column::Bytes(values) => {
                    let too_large = &mut window.too_large;
                    load_bytes(at, places, groups, state, values, too_large)
                }
            };
            window.present.set_word(word, bits);
        }
    }
}

/// Compares numeric keys with their buckets, and those not found there with the next, round by
/// round. A loop for each key would often guess wrong where in the bucket it is, and wait.
fn find_words(
    (pick, layout): (impl Pick, &Layout),
    places: &mut [Place],
    keys: &[u64],
    groups: &[Group],
) {
    let mut open: [u16; STAGE] = std::array::from_fn(|slot| slot as u16);
    let mut left = places.len();
    for _ in 0..ROUNDS {
        let mut passed = 0;
        for index in 0..left {
            let slot = open[index];
            let place = &mut places[usize::from(slot)];
            let table = &pick.of(&groups[place.group as usize].sheets).table;
            let step = table.step(layout, place.row, keys[usize::from(slot)]);
            place.row = step.row;
            open[passed] = slot;
            passed += usize::from(step.open);
        }
        left = passed;
    }
    for &slot in &open[..left] {
        let place = &mut places[usize::from(slot)];
        let table = &pick.of(&groups[place.group as usize].sheets).table;
        place.row = table.find_word(layout, place.row, keys[usize::from(slot)]);
    }
}

#[inline]
fn load_words(
    (pick, layout): (impl Pick, &Layout),
    places: &[Place],
    groups: &[Group],
    state: usize,
    values: &mut Vec<u64>,
) -> u64 {
    let mut bits = 0;
    for (bit, place) in places.iter().enumerate() {
        let mut value = 0;
        if place.row != ABSENT {
            let table = &pick.of(&groups[place.group as usize].sheets).table;
            let (word, present) = table.word(layout, place.row, state);
            value = word;
            bits |= u64::from(present) << bit;
        }
        values.push(value);
    }
    bits
}

fn load_bytes(
    (pick, layout): (impl Pick, &Layout),
    places: &[Place],
    groups: &[Group],
    state: usize,
    values: &mut BytesColumn,
    too_large: &mut bool,
) -> u64 {
    let mut bits = 0;
    for (bit, place) in places.iter().enumerate() {
        let mut value = None;
        if place.row != ABSENT {
            let table = &pick.of(&groups[place.group as usize].sheets).table;
            value = table.bytes(layout, place.row, state);
        }
        bits |= u64::from(value.is_some()) << bit;
        *too_large |= !values.push_if_it_fits(value.unwrap_or_default());
    }
    bits
}
