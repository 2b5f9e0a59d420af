//! Scatters the values of a write set into one sheet.

use super::places::{Place, Places};
use crate::backend::Now;
use crate::column::Column;
use crate::declaration::TtlUpdate;
use crate::heap::group::Group;
use crate::heap::sheet::Pick;
use crate::heap::table::ABSENT;
use crate::heap::values::At;
use crate::segment::{Cell, Stamped};
use crate::ttl::{self, NO_STAMP};
use crate::writes::{StateWrites, WriteOp, WriteSet};

impl Places {
    /// Scatters the values of a write set that belong into a sheet. Says whether that removed any.
    pub(super) fn commit(
        &mut self,
        at: At<'_, impl Pick>,
        keys: (&Column, &[u64]),
        now: Now,
        writes: &WriteSet,
        groups: &mut [Group],
    ) -> bool {
        let layout = at.layout;
        // Rows may move to make room, and then a dead row that was found may be gone: look again.
        while self.absent > 0 && self.insert(at, keys, writes, groups) {
            self.resolve((at.pick, layout), keys, groups);
        }
        let mut removed = false;
        for (state, id) in layout.live() {
            let Some(of_state) = writes.of(id) else { continue };
            // Looks at every write, so that it needs no branch for each.
            let plain = of_state
                .ops
                .iter()
                .fold(true, |plain, op| plain & matches!(op, WriteOp::Set | WriteOp::Remove));
            if !plain || layout.ttls[state].is_some() {
                removed |= self.commit_each(at, now, (writes, of_state), groups, state);
                continue;
            }
            let writes = of_state;
            let slots = writes.slots.iter().zip(writes.ops.iter().map(|op| *op == WriteOp::Set));
            match &writes.values {
                Column::Words(values) => {
                    for ((&slot, set), &value) in slots.zip(values) {
                        removed |= !set;
                        let Place { group, row } = self.places[slot as usize];
                        if row != ABSENT {
                            let group = &mut groups[group as usize];
                            at.write_word(group, row, state, set.then_some(value));
                        }
                    }
                }
                Column::Bytes(values) => {
                    for ((&slot, set), value) in slots.zip(values.iter()) {
                        removed |= !set;
                        let Place { group, row } = self.places[slot as usize];
                        if row != ABSENT {
                            let group = &mut groups[group as usize];
                            at.write_bytes(group, row, state, set.then_some(value));
                        }
                    }
                }
            }
        }
        removed
    }

    /// Applies writes one by one: merges, and those that have to do with stamps.
    fn commit_each(
        &mut self,
        at: At<'_, impl Pick>,
        now: Now,
        (all, writes): (&WriteSet, &StateWrites),
        groups: &mut [Group],
        state: usize,
    ) -> bool {
        let (layout, ttl) = (at.layout, at.layout.ttls[state]);
        let mut removed = false;
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
                    if counts && held.is_none() && at.is_live(group, row, state, now) {
                        let stamp = ttl::renewed(at.table(group).stamp(layout, row, state), stamp);
                        at.restamp(group, place, stamp);
                    }
                    continue;
                }
                WriteOp::Merge if held.is_none() && at.is_live(group, row, state, now) => {
                    let stamp = ttl::renewed(at.table(group).stamp(layout, row, state), stamp);
                    match writes.value(write) {
                        Cell::Word(delta) => {
                            let (word, _) = at.table(group).word(layout, row, state);
                            let value = Cell::Word(writes.merge_words(word, delta));
                            at.write(group, place, Some(Stamped { value, stamp }));
                        }
                        Cell::Bytes(delta) => {
                            let merge = |value: &mut Vec<u8>| writes.merge_bytes(value, delta);
                            at.update_bytes(group, place, stamp, merge);
                        }
                    }
                }
                WriteOp::Set | WriteOp::Merge => {
                    let value = writes.value(write);
                    at.write(group, place, Some(Stamped { value, stamp }));
                }
                WriteOp::Remove => {
                    removed = true;
                    at.write(group, place, None);
                }
                WriteOp::Append | WriteOp::Clear => unreachable!("the state is no collection"),
            }
            if let Some(held) = held {
                *held = 0;
            }
        }
        removed
    }

    /// Makes rows for the keys without one that are about to get a value. Says whether other rows
    /// moved.
    fn insert(
        &mut self,
        at: At<'_, impl Pick>,
        (keys, hashes): (&Column, &[u64]),
        writes: &WriteSet,
        groups: &mut [Group],
    ) -> bool {
        let mut moved = false;
        for (state, id) in at.layout.live() {
            let Some(StateWrites { slots, ops, .. }) = writes.of(id) else { continue };
            for (&slot, &op) in slots.iter().zip(ops) {
                let gives = matches!(op, WriteOp::Set | WriteOp::Merge);
                if !gives || self.places[slot as usize].row != ABSENT {
                    continue;
                }
                let place = &mut self.places[slot as usize];
                let group = &mut groups[place.group as usize];
                let (hash, key) = (hashes[slot as usize], keys.cell(slot as usize));
                let (row, others_moved) = at.insert(group, hash, key);
                moved |= others_moved;
                // A row without values would not survive the next insertion; the value follows.
                at.write_empty(group, row, state);
                place.row = row;
                if op == WriteOp::Merge {
                    self.held.resize(self.places.len(), 0);
                    self.held[slot as usize] = 1 + state as u32;
                }
            }
        }
        moved
    }
}
