//! Lists and maps: entries in RocksDB, in the order of their keys.
//!
//! There is no decoded cache in front of entries: what an invocation writes goes to RocksDB's memtable when it commits,
//! in one batch, and reads are batches of look-ups, or iterators bounded to the entries of a key. Appending to a list
//! reads nothing: the number of an element is the next of the task.

use std::collections::{HashMap, HashSet};
use std::ops::Bound;

use rocksdb::WriteBatch;

use super::database::Database;
use super::keys;
use crate::backend::{Entries, Now, Scan};
use crate::column::{BytesColumn, Column};
use crate::declaration::{KeyLayout, StateDeclaration, StateId, Ttl, TtlUpdate};
use crate::error::Error;
use crate::segment::{Cell, Stamped};
use crate::ttl::{self, NO_STAMP};
use crate::window::Window;
use crate::writes::{StateWrites, WriteOp, WriteSet};

/// A list or map state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Collection {
    tag: u16,
    entry: KeyLayout,
    words: bool,
    ttl: Option<Ttl>,
}

/// The keys of an invocation.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) keys: Column,
    pub(super) hashes: Vec<u64>,
    pub(super) groups: Vec<u16>,
    pub(super) now: Now,
}

impl Invocation {
    pub(super) fn new(words: bool) -> Self {
        let keys = Column::empty(words);
        Self { keys, hashes: Vec::new(), groups: Vec::new(), now: Now::default() }
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.hashes.clear();
        self.groups.clear();
    }

    pub(super) fn key(&self, slot: usize) -> Cell<'_> {
        match &self.keys {
            Column::Words(keys) => Cell::Word(keys[slot]),
            Column::Bytes(keys) => Cell::Bytes(keys.get(slot)),
        }
    }

    /// Refuses slots that the invocation has not.
    pub(super) fn check_slots(&self, slots: &[u32]) -> Result<(), Error> {
        let known = self.hashes.len();
        match slots.iter().find(|&&slot| slot as usize >= known) {
            Some(slot) => Err(Error::Access {
                reason: format!("there is no slot {slot}: the invocation has {known} keys"),
            }),
            None => Ok(()),
        }
    }

    pub(super) fn push_prefix(&self, to: &mut Vec<u8>, tag: u16, slot: u32) {
        keys::push_head(to, self.groups[slot as usize], tag);
        keys::push_key(to, self.key(slot as usize));
    }
}

impl Collection {
    /// The collection of a state, if it is one.
    pub(super) fn of(state: &StateDeclaration, tag: u16) -> Option<Self> {
        let words = state.value.is_words();
        state.entry_key().map(|entry| Self { tag, entry, words, ttl: state.ttl })
    }

    fn push_key(&self, to: &mut Vec<u8>, of: &Invocation, slot: u32, entry: Cell<'_>) {
        of.push_prefix(to, self.tag, slot);
        keys::push_entry(to, self.entry, entry);
    }

    fn is_visible(&self, stamp: i64, now: Now) -> bool {
        self.ttl.is_none_or(|ttl| ttl::is_visible(&ttl, stamp, now))
    }

    fn read<'a>(&self, database: &Database, value: &'a [u8]) -> Result<Stamped<'a>, Error> {
        keys::read_value(value, self.ttl.is_some(), self.words)
            .ok_or_else(|| database.damaged("an entry"))
    }

    /// Fills a window with entries.
    pub(super) fn load(
        &self,
        database: &Database,
        of: &Invocation,
        slots: &[u32],
        entries: &Column,
        window: &mut Window,
    ) -> Result<(), Error> {
        of.check_slots(slots)?;
        if slots.len() != entries.len() {
            let reason = format!("{} slots come with {} entry keys", slots.len(), entries.len());
            return Err(Error::Access { reason });
        }
        let mut keys = BytesColumn::with_capacity(slots.len(), slots.len() * 32);
        let mut key = Vec::new();
        for (row, &slot) in slots.iter().enumerate() {
            key.clear();
            self.push_key(&mut key, of, slot, entries.cell(row));
            keys.push(&key);
        }
        let mut order: Vec<u32> = (0..slots.len() as u32).collect();
        order.sort_unstable_by(|&left, &right| {
            keys.get(left as usize).cmp(keys.get(right as usize))
        });
        let read = database.get_sorted(order.iter().map(|&row| keys.get(row as usize)));
        let mut values: Vec<_> = slots.iter().map(|_| None).collect();
        for (&row, value) in order.iter().zip(read) {
            values[row as usize] = value.map_err(|error| database.error("read", &error))?;
        }
        window.reset(slots.len());
        for (row, value) in values.iter().enumerate() {
            let value = value.as_deref().map(|value| self.read(database, value)).transpose()?;
            let value = value.filter(|value| self.is_visible(value.stamp, of.now));
            window.present.set(row, value.is_some());
            window.push(value.map(|value| value.value));
        }
        Ok(())
    }

    /// Appends a slot's entries. Whether there are more.
    pub(super) fn scan(
        &self,
        database: &Database,
        of: &Invocation,
        scan: &Scan<'_>,
        entries: &mut Entries,
    ) -> Result<bool, Error> {
        of.check_slots(&[scan.slot])?;
        for bound in [scan.from, scan.to] {
            if let Bound::Included(entry) | Bound::Excluded(entry) = bound
                && matches!(entry, Cell::Word(_)) != self.entry.is_words()
            {
                let reason = format!("a bound of a scan is not one of {:?}", self.entry);
                return Err(Error::Access { reason });
            }
        }
        let mut prefix = Vec::new();
        of.push_prefix(&mut prefix, self.tag, scan.slot);
        let length = prefix.len();
        let bound = |entry: Cell<'_>, after: bool| {
            let mut key = prefix.clone();
            keys::push_entry(&mut key, self.entry, entry);
            // Nothing lies between a key and itself followed by a zero.
            key.extend(after.then_some(0));
            key
        };
        let lower = match scan.from {
            Bound::Included(entry) => bound(entry, false),
            Bound::Excluded(entry) => bound(entry, true),
            Bound::Unbounded => prefix.clone(),
        };
        let upper = match scan.to {
            Bound::Included(entry) => bound(entry, true),
            Bound::Excluded(entry) => bound(entry, false),
            Bound::Unbounded => keys::successor(prefix.clone()),
        };
        let (mut yielded, mut more) = (0, false);
        database.scan(lower, upper, true, |key, value| {
            let entry = keys::read_entry(&key[length..], self.entry);
            let entry = entry.ok_or_else(|| database.damaged("an entry's key"))?;
            let value = self.read(database, value)?;
            if !self.is_visible(value.stamp, of.now) {
                return Ok(true);
            }
            if yielded == scan.limit {
                more = true;
                return Ok(false);
            }
            yielded += 1;
            entries.keys.push_cell(entry);
            entries.values.push_cell(value.value);
            Ok(true)
        })?;
        Ok(more)
    }

    /// Appends the writes to a state. `next_element` numbers the elements that they add to lists.
    pub(super) fn write_into(
        &self,
        batch: &mut WriteBatch,
        database: &Database,
        of: &Invocation,
        (state, writes): (StateId, &WriteSet),
        next_element: &mut u64,
    ) -> Result<(), Error> {
        let all = writes;
        let Some(writes) = all.of(state) else { return Ok(()) };
        let mut before = Before::new(self, database, of, writes)?;
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for (write, (&slot, &op)) in writes.slots.iter().zip(&writes.ops).enumerate() {
            key.clear();
            value.clear();
            let event_time = all.event_time(slot).unwrap_or(of.now.watermark);
            let stamp = self.ttl.map_or(NO_STAMP, |ttl| ttl::stamp(&ttl, of.now, event_time));
            match op {
                WriteOp::Set | WriteOp::Append => {
                    let mut entry = writes.key(write);
                    if op == WriteOp::Append {
                        entry = Cell::Word(*next_element);
                        *next_element += 1;
                    }
                    self.push_key(&mut key, of, slot, entry);
                    let stamped = Stamped { value: writes.value(write), stamp };
                    keys::push_value(&mut value, self.ttl.is_some(), stamped);
                    batch.put(&key, &value);
                    before.wrote(slot, &key, true);
                }
                WriteOp::Remove => {
                    self.push_key(&mut key, of, slot, writes.key(write));
                    batch.delete(&key);
                    before.wrote(slot, &key, false);
                }
                WriteOp::Touch => {
                    self.push_key(&mut key, of, slot, writes.key(write));
                    let Some(old) = before.committed(slot, &key) else { continue };
                    let old = self.read(database, old)?;
                    if self.ttl.is_some_and(|ttl| !ttl::is_expired(&ttl, old.stamp, of.now)) {
                        let stamp = ttl::renewed(old.stamp, stamp);
                        keys::push_value(&mut value, true, Stamped { value: old.value, stamp });
                        batch.put(&key, &value);
                    }
                }
                WriteOp::Clear => {
                    of.push_prefix(&mut key, self.tag, slot);
                    database.scan(key.clone(), keys::successor(key.clone()), true, |key, _| {
                        batch.delete(key);
                        Ok(true)
                    })?;
                    before.cleared(slot, |key| batch.delete(key));
                }
                WriteOp::Merge => {}
            }
        }
        Ok(())
    }
}

/// What the writes of an invocation that came before one did to its entry. Kept only where a later one wants to know.
struct Before {
    kept: bool,
    /// Keys written, with their slots, and whether they have a value now.
    written: HashMap<Vec<u8>, (u32, bool)>,
    cleared: HashSet<u32>,
    /// What RocksDB has under keys that are touched.
    touched: HashMap<Vec<u8>, Vec<u8>>,
}

impl Before {
    fn new(
        collection: &Collection,
        database: &Database,
        of: &Invocation,
        writes: &StateWrites,
    ) -> Result<Self, Error> {
        let has = |op| writes.ops.contains(&op);
        let touches = has(WriteOp::Touch)
            && collection.ttl.is_some_and(|ttl| ttl.update == TtlUpdate::OnReadAndWrite);
        let mut keys: Vec<Vec<u8>> = Vec::new();
        if touches {
            for (write, &slot) in writes.slots.iter().enumerate() {
                if writes.ops[write] == WriteOp::Touch {
                    let mut key = Vec::new();
                    collection.push_key(&mut key, of, slot, writes.key(write));
                    keys.push(key);
                }
            }
            keys.sort_unstable();
            keys.dedup();
        }
        let mut touched = HashMap::new();
        let values = database.get_sorted(keys.iter().map(Vec::as_slice));
        for (key, value) in keys.iter().zip(values) {
            if let Some(value) = value.map_err(|error| database.error("read", &error))? {
                touched.insert(key.clone(), value.to_vec());
            }
        }
        let kept = touches || has(WriteOp::Clear);
        Ok(Self { kept, written: HashMap::new(), cleared: HashSet::new(), touched })
    }

    fn wrote(&mut self, slot: u32, key: &[u8], present: bool) {
        if self.kept {
            self.written.insert(key.to_vec(), (slot, present));
        }
    }

    /// What RocksDB has under a key, if nothing was written over it.
    fn committed(&self, slot: u32, key: &[u8]) -> Option<&[u8]> {
        if self.cleared.contains(&slot) || self.written.contains_key(key) {
            return None;
        }
        self.touched.get(key).map(Vec::as_slice)
    }

    fn cleared(&mut self, slot: u32, mut delete: impl FnMut(&[u8])) {
        self.cleared.insert(slot);
        for (key, (of, present)) in &mut self.written {
            if *of == slot && std::mem::take(present) {
                delete(key);
            }
        }
    }
}
