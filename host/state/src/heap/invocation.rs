//! One invocation: where the keys of its slots are, and moving values between there and windows or
//! write sets.

mod commit;
mod places;

use super::group::Group;
use super::row::Layout;
use super::sheet::{Any, First, Pick};
use super::table::ABSENT;
use super::values::At;
use crate::backend::Now;
use crate::column::{BytesColumn, Column};
use crate::error::Error;
use crate::key::{KeyGroupRange, KeyGroups};
use crate::ownership::{check_form, not_owned};
use crate::segment::Cell;
use crate::ttl::{self, NO_STAMP};
use crate::window::Window;
use crate::writes::WriteSet;

pub(super) use places::STAGE;
use places::{Place, Places};

/// The keys of an invocation and their places. Reused, so that it allocates nothing once it has
/// grown.
#[derive(Debug)]
pub(super) struct Invocation {
    keys: Column,
    hashes: Vec<u64>,
    now: Now,
    /// Where they are in the first sheet.
    first: Places,
    /// Where they are in the others, as far as something was asked of those.
    further: Vec<Places>,
    removed: bool,
    /// Slots, sheets and columns whose values a load found expired.
    pub(super) expired: Vec<(u32, u32, u32)>,
}

impl Invocation {
    pub(super) fn new(words: bool) -> Self {
        Self {
            keys: Column::empty(words),
            hashes: Vec::new(),
            now: Now::default(),
            first: Places::default(),
            further: Vec::new(),
            removed: false,
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
        check_form(keys, hashes, layout.key_words)?;
        let place = |&hash: &u64| Place {
            group: u32::from(key_groups.group_of(hash).0).wrapping_sub(range.start),
            row: ABSENT,
        };
        self.first.places.extend(hashes.iter().map(place));
        let owned = groups.len() as u32;
        if let Some(slot) = self.first.places.iter().position(|place| place.group >= owned) {
            self.first.places.clear();
            return Err(not_owned(slot, key_groups.group_of(hashes[slot]), range));
        }
        self.now = now;
        self.keys.extend_from_range(keys, 0, keys.len());
        self.hashes.extend_from_slice(hashes);
        self.first.resolve((First, layout), (&self.keys, &self.hashes), groups);
        Ok(())
    }

    /// The places in a sheet that is not the first, which are looked up if nobody did.
    fn find_further(&mut self, sheet: usize, groups: &[Group], layout: &Layout) -> &mut Places {
        if self.further.len() < sheet {
            self.further.resize_with(sheet, Places::default);
        }
        let places = &mut self.further[sheet - 1];
        if places.places.len() != self.first.places.len() {
            places.places.clone_from(&self.first.places);
            places.resolve((Any(sheet), layout), (&self.keys, &self.hashes), groups);
        }
        places
    }

    /// Looks the rows of a sheet up again: some were added, or moved.
    pub(super) fn find_again(&mut self, sheet: usize, groups: &[Group], layout: &Layout) {
        if sheet == 0 {
            self.first.resolve((First, layout), (&self.keys, &self.hashes), groups);
        } else if let Some(places) = self.further.get_mut(sheet - 1) {
            places.clear();
        }
    }

    /// Ends the invocation. Says whether it removed values.
    pub(super) fn end(&mut self) -> bool {
        self.keys.clear();
        self.hashes.clear();
        self.first.clear();
        self.further.iter_mut().for_each(Places::clear);
        self.expired.clear();
        std::mem::take(&mut self.removed)
    }

    /// As before the first invocation.
    pub(super) fn forget_time(&mut self) {
        self.now = Now::default();
    }

    /// The time of the invocation.
    pub(super) fn now(&self) -> Now {
        self.now
    }

    /// How many slots there are.
    pub(super) fn slots(&self) -> usize {
        self.first.places.len()
    }

    /// Removes what loads found expired, unless it was written since.
    pub(super) fn clean_up(&mut self, groups: &mut [Group], layouts: &[Layout], version: u32) {
        for (slot, sheet, column) in std::mem::take(&mut self.expired) {
            // Rows may have moved since.
            let (group, hash, key) = self.key(slot as usize);
            let group = &mut groups[group as usize];
            let (pick, layout) = (Any(sheet as usize), &layouts[sheet as usize]);
            let row = pick.of(&group.sheets).table.find(layout, hash, key);
            if row != ABSENT {
                let value = (row, column as usize);
                let at = At { pick, layout, version };
                self.removed |= at.remove_expired(group, value, self.now);
            }
        }
    }

    /// The group, hash and key of a slot.
    pub(super) fn key(&self, slot: usize) -> (u32, u64, Cell<'_>) {
        (self.first.places[slot].group, self.hashes[slot], self.keys.cell(slot))
    }

    /// Gathers the values of a column.
    pub(super) fn load(
        &mut self,
        groups: &[Group],
        layouts: &[Layout],
        (sheet, column): (usize, usize),
        window: &mut Window,
    ) {
        let layout = &layouts[sheet];
        if sheet == 0 {
            self.first.load((First, layout), groups, column, window);
        } else {
            let places = self.find_further(sheet, groups, layout);
            places.load((Any(sheet), layout), groups, column, window);
        }
        if layout.ttls[column].is_some() {
            self.hide_expired(groups, layout, (sheet, column), window);
            // An operator that loads again and again finds the same ones.
            let columns: usize = layouts.iter().map(|layout| layout.ids.len()).sum();
            self.expired.truncate(self.slots() * columns);
        }
    }

    /// Takes values out of a window that are expired, unless reads return them, and remembers them.
    fn hide_expired(
        &mut self,
        groups: &[Group],
        layout: &Layout,
        (sheet, column): (usize, usize),
        window: &mut Window,
    ) {
        let found = self.expired.len();
        let places = if sheet == 0 { &self.first } else { &self.further[sheet - 1] };
        for (slot, place) in (0..).zip(&places.places) {
            if window.present.get(slot as usize) {
                let table = &Any(sheet).of(&groups[place.group as usize].sheets).table;
                if table.is_expired(layout, place.row, column, self.now) {
                    self.expired.push((slot, sheet as u32, column as u32));
                }
            }
        }
        let ttl = layout.ttls[column].as_ref().expect("the caller has looked");
        // What is expired has one visibility, whatever its stamp: that of the state.
        if self.expired.len() == found || ttl::is_visible(ttl, NO_STAMP + 1, self.now) {
            return;
        }
        for &(slot, ..) in &self.expired[found..] {
            window.present.set(slot as usize, false);
        }
        match &mut window.values {
            Column::Words(words) => {
                self.expired[found..].iter().for_each(|&(slot, ..)| words[slot as usize] = 0);
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
        layouts: &[Layout],
        version: u32,
    ) {
        let (keys, now) = ((&self.keys, &self.hashes[..]), self.now);
        let at = At { pick: First, layout: &layouts[0], version };
        self.removed |= self.first.commit(at, keys, now, writes, groups);
        for (sheet, layout) in layouts.iter().enumerate().skip(1) {
            if layout.live().all(|(_, id)| writes.of(id).is_none()) {
                continue;
            }
            self.find_further(sheet, groups, layout);
            let (keys, places) = ((&self.keys, &self.hashes[..]), &mut self.further[sheet - 1]);
            let at = At { pick: Any(sheet), layout, version };
            self.removed |= places.commit(at, keys, now, writes, groups);
        }
    }
}
