//! Reads and writes of the entries of lists and maps.

use std::hint::black_box;

use super::collections::Point;
use super::invocation::STAGE;
use super::{HeapBackend, Home};
use crate::backend::{Entries, Scan};
use crate::column::Column;
use crate::declaration::{StateDeclaration, StateId, TtlUpdate};
use crate::error::Error;
use crate::segment::{Cell, Stamped};
use crate::timers::Key;
use crate::ttl::{self, NO_STAMP};
use crate::window::Window;
use crate::writes::{WriteOp, WriteSet};

/// The most entries that an invocation remembers to be expired; more are left to the clean-up in passing.
const EXPIRED_MAX: usize = 4096;

/// An entry that a read found expired.
#[derive(Debug)]
pub(super) struct Expired {
    collection: usize,
    group: u32,
    hash: u64,
    key: Key,
    entry: Key,
}

impl HeapBackend {
    /// The declaration of a collection state, and its store.
    fn collection(&self, state: StateId) -> Result<(usize, &StateDeclaration), Error> {
        let declared = self.declared(state)?;
        match self.homes[state.0 as usize] {
            Home::Store(store) => Ok((store, declared)),
            Home::Column { .. } => Err(Error::Access {
                reason: format!(
                    "state `{}` is of kind {:?}, which has no entries; load its value",
                    declared.name, declared.kind
                ),
            }),
        }
    }

    fn check_slots(&self, slots: &[u32]) -> Result<(), Error> {
        let known = self.invocation.slots();
        match slots.iter().find(|slot| **slot as usize >= known) {
            Some(slot) => Err(Error::Access {
                reason: format!("there is no slot {slot}: the invocation has {known} keys"),
            }),
            None => Ok(()),
        }
    }

    pub(super) fn read_entries(
        &mut self,
        state: StateId,
        slots: &[u32],
        keys: &Column,
        window: &mut Window,
    ) -> Result<(), Error> {
        let (collection, declared) = self.collection(state)?;
        check_kinds(declared, Some(keys.is_words()), Some(window.values.is_words()))?;
        self.check_slots(slots)?;
        if slots.len() != keys.len() {
            return Err(Error::Access {
                reason: format!("{} slots come with {} entry keys", slots.len(), keys.len()),
            });
        }
        let (ttl, now) = (declared.ttl, self.invocation.now());
        let mut expired = std::mem::take(&mut self.expired);
        window.reset(slots.len());
        for first in (0..slots.len()).step_by(STAGE) {
            let stage = first..slots.len().min(first + STAGE);
            self.touch_collections(collection, &slots[stage.clone()]);
            for row in stage {
                let (group, hash, key) = self.invocation.key(slots[row] as usize);
                let entries = self.groups[group as usize].store(collection);
                let entry = keys.cell(row);
                let mut found = entries.get(Point { hash, key, entry });
                if let (Some(ttl), Some(Stamped { stamp, .. })) = (&ttl, found)
                    && ttl::is_expired(ttl, stamp, now)
                {
                    let (key, entry) = (Key::from(key), Key::from(entry));
                    note(&mut expired, Expired { collection, group, hash, key, entry });
                    found = found.filter(|_| ttl::is_visible(ttl, stamp, now));
                }
                if found.is_some() {
                    window.present.set(row, true);
                }
                window.push(found.map(|found| found.value));
            }
        }
        self.expired = expired;
        Ok(())
    }

    /// Reads where the searches for some slots begin, so that their cache misses overlap.
    fn touch_collections(&self, collection: usize, slots: &[u32]) {
        let touch = |slot: &u32| {
            let (group, hash, _) = self.invocation.key(*slot as usize);
            self.groups[group as usize].store(collection).touch(hash)
        };
        black_box(slots.iter().fold(0, |sum, slot| sum ^ touch(slot)));
    }

    pub(super) fn read_range(
        &mut self,
        state: StateId,
        scan: &Scan<'_>,
        into: &mut Entries,
    ) -> Result<bool, Error> {
        let (collection, declared) = self.collection(state)?;
        check_kinds(declared, Some(into.keys.is_words()), Some(into.values.is_words()))?;
        for bound in [scan.from, scan.to] {
            if let std::ops::Bound::Included(cell) | std::ops::Bound::Excluded(cell) = bound {
                check_kinds(declared, Some(matches!(cell, Cell::Word(_))), None)?;
            }
        }
        self.check_slots(&[scan.slot])?;
        let (ttl, now) = (declared.ttl, self.invocation.now());
        let (group, hash, key) = self.invocation.key(scan.slot as usize);
        let (mut left, mut more) = (scan.limit, false);
        let expired = &mut self.expired;
        let entries = self.groups[group as usize].store(collection);
        entries.scan(hash, key, (scan.from, scan.to), &mut |entry, found| {
            if let Some(ttl) = &ttl
                && ttl::is_expired(ttl, found.stamp, now)
            {
                let (key, entry) = (Key::from(key), Key::from(entry));
                note(expired, Expired { collection, group, hash, key, entry });
                if !ttl::is_visible(ttl, found.stamp, now) {
                    return true;
                }
            }
            more = left == 0;
            if !more {
                left -= 1;
                into.keys.push_cell(entry);
                into.values.push_cell(found.value);
            }
            !more
        });
        Ok(more)
    }

    /// Applies the writes to collections.
    pub(super) fn write_entries(&mut self, writes: &WriteSet) {
        for (id, of_state) in writes.states() {
            let Home::Store(collection) = self.homes[id.0 as usize] else { continue };
            let (ttl, list) = {
                let declared = &self.schema.states()[id.0 as usize];
                (declared.ttl, declared.map_key.is_none())
            };
            let now = self.invocation.now();
            for (write, (&slot, &op)) in of_state.slots.iter().zip(&of_state.ops).enumerate() {
                if write % STAGE == 0 {
                    let end = of_state.slots.len().min(write + STAGE);
                    self.touch_collections(collection, &of_state.slots[write..end]);
                }
                let stamp = ttl.map_or(NO_STAMP, |ttl| {
                    let event_time = writes.event_time(slot).unwrap_or(now.watermark);
                    ttl::stamp(&ttl, now, event_time)
                });
                let (group, hash, key) = self.invocation.key(slot as usize);
                let group = &mut self.groups[group as usize];
                let (entries, mut change) = group.change_store(collection, self.version);
                let mut point = Point { hash, key, entry: of_state.key(write) };
                match op {
                    WriteOp::Set | WriteOp::Append => {
                        if list && op == WriteOp::Append {
                            point.entry = Cell::Word(self.next_element);
                            self.next_element += 1;
                        }
                        let value = Stamped { value: of_state.value(write), stamp };
                        entries.set(&mut change, point, value);
                    }
                    WriteOp::Remove => entries.remove(&mut change, point),
                    WriteOp::Touch => {
                        if ttl.is_some_and(|ttl| ttl.update == TtlUpdate::OnReadAndWrite) {
                            entries.restamp(&mut change, point, stamp, now);
                        }
                    }
                    WriteOp::Clear => entries.clear(&mut change, hash, key),
                    WriteOp::Merge => unreachable!("only reducing states are merged into"),
                }
            }
        }
    }

    /// Removes what the invocation's reads found expired, unless it was written since.
    pub(super) fn remove_expired(&mut self) {
        self.written |= !self.invocation.expired.is_empty() || !self.expired.is_empty();
        self.invocation.clean_up(&mut self.groups, &self.layouts, self.version);
        let now = self.invocation.now();
        for Expired { collection, group, hash, key, entry } in std::mem::take(&mut self.expired) {
            let group = &mut self.groups[group as usize];
            let (entries, mut change) = group.change_store(collection, self.version);
            let point = Point { hash, key: key.cell(), entry: entry.cell() };
            entries.remove_expired(&mut change, point, now);
        }
    }
}

fn note(expired: &mut Vec<Expired>, found: Expired) {
    if expired.len() < EXPIRED_MAX {
        expired.push(found);
    }
}

fn check_kinds(
    state: &StateDeclaration,
    key_words: Option<bool>,
    value_words: Option<bool>,
) -> Result<(), Error> {
    let key =
        state.entry_key().filter(|key| key_words.is_some_and(|words| words != key.is_words()));
    if let Some(key) = key {
        return Err(Error::Access {
            reason: format!(
                "entries of state `{}` go by {key:?}, not by what was given",
                state.name
            ),
        });
    }
    if value_words.is_some_and(|words| words != state.value.is_words()) {
        return Err(super::wrong_window(state));
    }
    Ok(())
}
