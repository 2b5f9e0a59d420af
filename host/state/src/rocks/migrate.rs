//! Values that move from a state's older form to its new one.
//!
//! Those of an invocation's keys move within the caches where a key has one value; entries of collections move in
//! RocksDB. A sweep over all the rest moves values in RocksDB too, by one batch a call, past the caches: it would throw
//! out what is used. It takes note of the changes in the rows that are there.

mod found;
mod sweep;

use rocksdb::WriteBatch;

use super::cells::Cached;
use super::walk::{self, Limits, Stop};
use super::{RocksBackend, keys};
use crate::column::{BytesColumn, Column};
use crate::declaration::{StateDeclaration, StateId, StateKind};
use crate::error::Error;
use crate::evolve::{Convert, Move, Moved, NotMoved, Which};
use crate::key::KeyGroup;
use crate::segment::{Cell, Stamped};
use crate::ttl::NO_STAMP;
use crate::writes::WriteSet;

pub(super) use found::{CONVERT_BYTES_MAX, Found, converted, stamps_stay};
pub(super) use sweep::Sweep;

/// Entries of an invocation that are converted at once.
const ENTRIES_MAX: usize = 1 << 14;

/// Groups that a sweep looks for in one call, at least, and values for each of them.
const GROUPS_MIN: usize = 4;
const VALUES_PER_GROUP: usize = 64;

/// Keys in a row that are gone, and that a sweep passes over in one call.
const GONE_MAX: u64 = if cfg!(test) { 20 } else { 20_000 };

/// Keys that a sweep looks at for each that it is to move: others may have moved already.
const LOOKS: usize = 8;

impl RocksBackend {
    /// Moves values from a state's older form to its new one.
    pub(super) fn move_values(
        &mut self,
        values: Move,
        which: Which,
        convert: &mut Convert<'_>,
    ) -> Result<Moved, Error> {
        self.check_move(values)?;
        self.unchanged = false;
        let tags = (self.tag(values.from), self.tag(values.to));
        // Whatever a sweep the other way has seen is not all any more.
        self.sweeps.retain(|sweep| sweep.old_tag() != tags.1);
        let found = self.sweeps.iter().position(|sweep| sweep.tags() == tags);
        let mut sweep = found.map(|at| self.sweeps.swap_remove(at));
        let moved = match which {
            Which::Invocation => self.move_of_invocation(values, sweep.as_mut(), convert),
            Which::Next(limit) => {
                let sweep = sweep.get_or_insert_with(|| self.new_sweep(values));
                self.move_next(values, limit.max(1), sweep, convert)
            }
        };
        self.sweeps.extend(sweep);
        moved
    }

    /// Forgets sweeps over states that are written to: there may be new values before where they are.
    pub(super) fn forget_sweeps(&mut self, writes: &WriteSet) {
        let tags = &self.tags.states;
        self.sweeps.retain(|sweep| {
            let from = tags.iter().position(|tag| *tag == sweep.old_tag());
            from.is_some_and(|id| writes.of(StateId(id as u32)).is_none())
        });
    }

    fn check_move(&self, Move { from, to }: Move) -> Result<(), Error> {
        let states = self.schema.states();
        let state = |id: StateId| {
            states.get(id.0 as usize).ok_or_else(|| self.refused(id, "cannot be moved"))
        };
        let (old, new) = (state(from)?, state(to)?);
        let list = |state: &StateDeclaration| state.kind == StateKind::List;
        if from == to || old.entry_key() != new.entry_key() || list(old) != list(new) {
            let reason = format!("cannot take over the values of state `{}`", old.name);
            return Err(self.refused(to, &format!("{reason}: it has other keys, or is the same")));
        }
        Ok(())
    }

    fn tag(&self, state: StateId) -> u16 {
        self.tags.states[state.0 as usize]
    }

    fn new_sweep(&self, values: Move) -> Sweep {
        let tags = (self.tag(values.from), self.tag(values.to));
        let place = self.cells.place_of(values.from);
        let first = keys::first(self.range.start, tags.0);
        Sweep::new(tags, place.map(|place| self.cells.dirty_from(place)), first)
    }

    /// Moves what the keys of the invocation have.
    fn move_of_invocation(
        &mut self,
        values: Move,
        mut sweep: Option<&mut Sweep>,
        convert: &mut Convert<'_>,
    ) -> Result<Moved, Error> {
        let mut moved = Moved::default();
        if sweep.as_ref().is_some_and(|sweep| sweep.is_done() && sweep.left() == 0) {
            return Ok(moved);
        }
        let ends = (self.cells.place_of(values.from), self.cells.place_of(values.to));
        let (Some(from), Some(to)) = ends else {
            self.move_entries(values, sweep, convert, &mut moved)?;
            return Ok(moved);
        };
        let past = |group: KeyGroup, key: Cell<'_>| {
            sweep.as_ref().is_some_and(|sweep| sweep.is_past_key(group, key))
        };
        let ends = (from, to);
        let outcome = self.cells.move_slots(&self.database, ends, &past, convert, &mut moved);
        if let Some(sweep) = sweep.as_mut().filter(|sweep| sweep.left() > 0) {
            let mut key = Vec::new();
            for slot in 0..self.invocation.hashes.len() as u32 {
                key.clear();
                self.invocation.push_prefix(&mut key, sweep.old_tag(), slot);
                let (hash, cell) = (slot as usize, self.invocation.key(slot as usize));
                let cached = self.cells.cached(from, self.invocation.hashes[hash], cell);
                if matches!(cached, Cached::Absent { .. }) {
                    sweep.gone(&key);
                }
            }
        }
        outcome.map(|()| moved)
    }

    /// Moves the entries of the invocation's keys.
    fn move_entries(
        &mut self,
        values: Move,
        mut sweep: Option<&mut Sweep>,
        convert: &mut Convert<'_>,
        moved: &mut Moved,
    ) -> Result<(), Error> {
        let tag = self.tag(values.from);
        let mut slots: Vec<(Vec<u8>, u32)> = Vec::new();
        for slot in 0..self.invocation.hashes.len() as u32 {
            let mut prefix = Vec::new();
            self.invocation.push_prefix(&mut prefix, tag, slot);
            let past = |sweep: &&mut Sweep| sweep.is_past(&keys::successor(prefix.clone()));
            if !sweep.as_ref().is_some_and(past) {
                slots.push((prefix, slot));
            }
        }
        slots.sort_unstable();
        let (prefixes, slots): (Vec<_>, Vec<_>) = slots.into_iter().unzip();
        let old = &self.schema.states()[values.from.0 as usize];
        let (stamped, words) = (old.ttl.is_some(), old.value.is_words());
        let mut from = Some((0, None));
        while let Some(begin) = from.take() {
            let (mut found, mut of_rows) = (Found::new(words), Vec::new());
            let stop =
                walk::prefixes(&self.database, &prefixes, begin, &mut |number, key, value| {
                    if found.is_full(ENTRIES_MAX) {
                        return Ok(false);
                    }
                    let slot = slots[number];
                    let value = keys::read_value(value, stamped, words);
                    let split = keys::split(key).zip(value);
                    let ((group, rest), value) =
                        split.ok_or_else(|| self.database.damaged("an entry"))?;
                    found.push(group, self.invocation.hashes[slot as usize], rest, value);
                    of_rows.push(slot);
                    Ok(true)
                })?;
            self.move_found(values, &found, &of_rows, sweep.as_deref_mut(), convert, moved)?;
            from = stop.map(|(number, key)| (number, Some(key)));
        }
        Ok(())
    }

    /// Goes on with a sweep.
    fn move_next(
        &mut self,
        values: Move,
        limit: usize,
        sweep: &mut Sweep,
        convert: &mut Convert<'_>,
    ) -> Result<Moved, Error> {
        let mut moved = Moved::default();
        if sweep.is_done() {
            if sweep.left() == 0 {
                moved.done = true;
                return Ok(moved);
            }
            // What could not be converted then may be now.
            *sweep = self.new_sweep(values);
        }
        let old = &self.schema.states()[values.from.0 as usize];
        let mut found = Found::new(old.value.is_words());
        if let (Some(mut dirty), Some(place)) = (sweep.dirty, self.cells.place_of(values.from)) {
            let more =
                self.cells.find_dirty(&self.database, place, &mut dirty, limit, &mut found)?;
            self.move_found(values, &found, &[], Some(sweep), convert, &mut moved)?;
            sweep.dirty = more.then_some(dirty);
            if more || !found.is_empty() {
                return Ok(moved);
            }
        }
        if let Some(next) = sweep.next.clone() {
            let next = self.find_stored(values.from, &next, limit, sweep, &mut found)?;
            self.move_found(values, &found, &[], Some(sweep), convert, &mut moved)?;
            sweep.next = next;
        }
        moved.done = sweep.is_done();
        Ok(moved)
    }

    /// Finds values that RocksDB has, and caches do not know better. Where to go on.
    fn find_stored(
        &self,
        state: StateId,
        from: &[u8],
        limit: usize,
        sweep: &Sweep,
        found: &mut Found,
    ) -> Result<Option<Vec<u8>>, Error> {
        let declared = &self.schema.states()[state.0 as usize];
        let (stamped, words) = (declared.ttl.is_some(), declared.value.is_words());
        let key_words = self.schema.key().is_words();
        let place = self.cells.place_of(state);
        let tag = sweep.old_tag();
        let mut looks = limit.saturating_mul(LOOKS);
        let mut visit = |key: &[u8], value: &[u8]| {
            if looks == 0 || found.is_full(limit) {
                return Ok(false);
            }
            looks -= 1;
            let damaged = || self.database.damaged("a value");
            let (group, rest) = keys::split(key).ok_or_else(damaged)?;
            let (cell, _) = keys::read_rest(rest, key_words).ok_or_else(damaged)?;
            let hash = cell.hash();
            let mut value = keys::read_value(value, stamped, words).ok_or_else(damaged)?;
            match place.map(|place| self.cells.cached(place, hash, cell)) {
                // What was dirty when the sweep began has been dealt with, and what is dirty since then has moved.
                Some(
                    Cached::Value { dirty: true, .. } | Cached::Delta(_) | Cached::Absent { .. },
                ) => {
                    return Ok(true);
                }
                Some(Cached::Value { value: cached, .. }) => value = cached,
                Some(Cached::Unknown) | None => {}
            }
            if !sweep.has_left(key) {
                found.push(group, hash, rest, value);
            }
            Ok(true)
        };
        let seeks = (limit / VALUES_PER_GROUP).max(GROUPS_MIN);
        let limits = Limits { seeks, gone: GONE_MAX };
        let all = (from, &keys::first(self.range.end, 0)[..]);
        Ok(match walk::groups(&self.database, tag, all, limits, &mut visit)? {
            Stop::At(key) => Some(key),
            Stop::Gone(key) if key.as_slice() > from => Some(key),
            Stop::Gone(_) => {
                // Where that many are gone, one group is enough for one call.
                let (group, _) = keys::head(from).ok_or_else(|| self.database.damaged("a key"))?;
                let after = u32::from(group) + 1;
                let rest = (from, &keys::first(group.into(), tag + 1)[..]);
                let limits = Limits { seeks: 1, gone: 0 };
                match walk::groups(&self.database, tag, rest, limits, &mut visit)? {
                    Stop::At(key) => Some(key),
                    _ => (after < self.range.end).then(|| keys::first(after, tag)),
                }
            }
            Stop::End => None,
        })
    }

    /// Moves values that were found, each of the slot given if there are any.
    fn move_found(
        &mut self,
        values: Move,
        found: &Found,
        slots: &[u32],
        mut sweep: Option<&mut Sweep>,
        convert: &mut Convert<'_>,
        moved: &mut Moved,
    ) -> Result<(), Error> {
        if found.is_empty() {
            return Ok(());
        }
        let (from, to) = (self.tag(values.from), self.tag(values.to));
        let newer = self.have_values(values.to, found)?;
        let rows: Vec<usize> = (0..found.len()).filter(|&row| !newer[row]).collect();
        let state = |id: StateId| &self.schema.states()[id.0 as usize];
        let (old, new) = (state(values.from), state(values.to));
        let mut picked = Column::empty(new.value.is_words());
        let mut failed = Vec::new();
        if !rows.is_empty() {
            let made = converted(convert, &found.pick(&rows), new.value.is_words())?;
            (picked, failed) = (made.values, made.failed);
        }
        let stamps_stay = stamps_stay(old.ttl, new.ttl);
        let stamped = new.ttl.is_some();
        let stamp = |row: usize| if stamps_stay { found.stamps[row] } else { NO_STAMP };
        let mut batch = WriteBatch::default();
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let mut failures = failed.iter().peekable();
        let mut stays = vec![false; found.len()];
        for (at, &row) in rows.iter().enumerate() {
            if failures.next_if(|(failed, _)| *failed as usize == at).is_some() {
                stays[row] = true;
                continue;
            }
            key.clear();
            value.clear();
            found.push_key(&mut key, to, row);
            let new = Stamped { value: picked.cell(at), stamp: stamp(row) };
            keys::push_value(&mut value, stamped, new);
            batch.put(&key, &value);
        }
        for row in (0..found.len()).filter(|&row| !stays[row]) {
            key.clear();
            found.push_key(&mut key, from, row);
            batch.delete(&key);
        }
        if !batch.is_empty() {
            self.database.write(batch)?;
        }
        // From here on nothing fails.
        moved.moved += (rows.len() - failed.len()) as u64;
        for (at, &row) in rows.iter().enumerate().filter(|(_, row)| !stays[**row]) {
            let new = Stamped { value: picked.cell(at), stamp: stamp(row) };
            self.note_stored(values.to, found, row, Some(new));
        }
        for (row, stays) in stays.into_iter().enumerate() {
            key.clear();
            found.push_key(&mut key, from, row);
            if !stays {
                self.note_stored(values.from, found, row, None);
            }
            match &mut sweep {
                Some(sweep) if stays => sweep.leave(&key),
                Some(sweep) => sweep.gone(&key),
                None => {}
            }
        }
        let words = self.schema.key().is_words();
        for (at, reason) in failed {
            let row = rows[at as usize];
            let mut key = Column::empty(words);
            key.push_cell(found.key(row, words).unwrap_or(Cell::Word(0)));
            moved.failed.push(NotMoved { slot: slots.get(row).copied(), key, reason });
        }
        Ok(())
    }

    /// Which of the keys that were found have a value in a state.
    fn have_values(&self, state: StateId, found: &Found) -> Result<Vec<bool>, Error> {
        let (tag, place) = (self.tag(state), self.cells.place_of(state));
        let words = self.schema.key().is_words();
        let mut have = vec![false; found.len()];
        let mut unknown = Vec::new();
        let mut keys = BytesColumn::default();
        let mut key = Vec::new();
        for (row, have) in have.iter_mut().enumerate() {
            let cached = place.zip(found.key(row, words));
            let cached =
                cached.map(|(place, key)| self.cells.cached(place, found.hashes[row], key));
            match cached {
                Some(Cached::Absent { .. }) => {}
                Some(Cached::Value { .. } | Cached::Delta(_)) => *have = true,
                Some(Cached::Unknown) | None => {
                    key.clear();
                    found.push_key(&mut key, tag, row);
                    keys.push(&key);
                    unknown.push(row);
                }
            }
        }
        let stored = self.database.get_sorted(keys.iter());
        for (row, value) in unknown.into_iter().zip(stored) {
            let value = value.map_err(|error| self.database.error("read", &error))?;
            have[row] = value.is_some();
        }
        Ok(have)
    }

    /// Takes note in the cache of what RocksDB has got.
    fn note_stored(
        &mut self,
        state: StateId,
        found: &Found,
        row: usize,
        value: Option<Stamped<'_>>,
    ) {
        let Some(place) = self.cells.place_of(state) else { return };
        if let Some(key) = found.key(row, self.schema.key().is_words()) {
            self.cells.stored(place, found.hashes[row], key, value);
        }
    }
}
