//! A store: the collections of one state in one key group, in one choice of layouts.

mod pass;
mod sweep;

use std::ops::Bound;

use super::cells::{EntryKey, EntryStamp, EntryValue};
use super::index::Index;
use super::rows::Rows;
use super::{Change, Entries, EntryPlace, Point};
use crate::backend::Now;
use crate::declaration::{StateId, Ttl};
use crate::heap::row::Mark;
use crate::segment::{Cell, Stamped, Writer};
use crate::timers::Key;
use crate::ttl::{self, NO_STAMP};

use pass::Pass;

/// Changes may be listed up to this often before the list is looked through for what is gone.
const DIRTY_MIN: usize = 64;

/// An entry. One that is not present is a tombstone.
#[derive(Debug)]
struct Entry<V, S> {
    value: V,
    stamp: S,
    mark: Mark,
}

impl<V: EntryValue, S: EntryStamp> Entry<V, S> {
    fn stamped(&self) -> Stamped<'_> {
        Stamped { value: self.value.cell(), stamp: self.stamp.get() }
    }

    fn is_expired(&self, ttl: Option<Ttl>, now: Now) -> bool {
        ttl.is_some_and(|ttl| ttl::is_expired(&ttl, self.stamp.get(), now))
    }
}

/// The entries of one key.
#[derive(Debug)]
struct Collection<K, V, S> {
    key: Key,
    hash: u64,
    rows: Rows<K, Entry<V, S>>,
}

/// What the next increment and the running snapshot go by.
#[derive(Debug)]
struct Changes<K> {
    /// The state's number in the declaration.
    id: StateId,
    /// The same as of the last hold.
    held: Option<StateId>,
    flip: u64,
    ttl: Option<Ttl>,
    /// Entries that were written in this version, by collection, if changes are tracked.
    dirty: Vec<(u32, K)>,
    /// How many of those are gone without a trace.
    stale: usize,
    pass: Option<Pass<K>>,
}

/// All collections of a state in a group.
#[derive(Debug)]
pub(super) struct Store<K, V, S> {
    index: Index,
    collections: Vec<Option<Collection<K, V, S>>>,
    free: Vec<u32>,
    /// Entries that are present.
    len: usize,
    changes: Changes<K>,
    /// Where the next clean-up goes on: behind this entry.
    cleaned: (u32, Option<K>),
}

impl<K: EntryKey> Changes<K> {
    /// The mark of an entry that is about to change. Before its first change in a version, the running snapshot gets
    /// it if it needs it, and the next increment will look at it.
    fn note<V: EntryValue, S: EntryStamp>(
        &mut self,
        change: &mut Change<'_>,
        (number, key): (u32, &Key),
        entry_key: &K::Look,
        entry: &Entry<V, S>,
    ) -> Mark {
        let mark = entry.mark;
        if mark.version() == change.version {
            return mark;
        }
        if let (Some(pass), Some(writer)) = (&self.pass, &mut change.writer)
            && pass.needs(number, entry_key, mark)
        {
            let entry_key = K::own(entry_key);
            self.put(pass, writer, key, &entry_key, entry);
        }
        if let (Some(undo), Some(id)) = (&mut change.undo, self.held) {
            let value = mark.present().then(|| entry.stamped());
            undo.entry(id, key.cell(), K::own(entry_key).cell(self.flip), value);
        }
        if change.tracked {
            self.dirty.push((number, K::own(entry_key)));
        }
        mark.first_write(change.version)
    }

    /// Encodes an entry as its mark says: set, removed, or neither when it was not there before the version either.
    fn put<V: EntryValue, S: EntryStamp>(
        &self,
        pass: &Pass<K>,
        writer: &mut Writer,
        key: &Key,
        entry_key: &K,
        entry: &Entry<V, S>,
    ) {
        let expired = matches!(pass, Pass::All { now, .. } if entry.is_expired(self.ttl, *now));
        if (entry.mark.present() || entry.mark.was_present()) && !expired {
            let value = entry.mark.present().then(|| entry.stamped());
            writer.entry(self.id, key.cell(), entry_key.cell(self.flip), value);
        }
    }

    /// Removes an entry in its mark. Says whether a tombstone has to stay.
    fn bury<V: EntryValue, S: EntryStamp>(
        &mut self,
        change: &mut Change<'_>,
        place: (u32, &Key),
        entry_key: &K::Look,
        entry: &mut Entry<V, S>,
    ) -> bool {
        let mark = self.note(change, place, entry_key, entry);
        entry.mark = mark.with_present(false);
        entry.value = V::default();
        let stays = change.is_remembered() && mark.was_present();
        self.stale += usize::from(change.tracked && !stays);
        stays
    }
}

impl<K: EntryKey, V: EntryValue, S: EntryStamp> Store<K, V, S> {
    pub(super) fn new(id: StateId, flip: u64, ttl: Option<Ttl>) -> Self {
        Self {
            index: Index::default(),
            collections: Vec::new(),
            free: Vec::new(),
            len: 0,
            changes: Changes { id, held: None, flip, ttl, dirty: Vec::new(), stale: 0, pass: None },
            cleaned: (0, None),
        }
    }

    #[inline]
    fn find(&self, hash: u64, key: Cell<'_>) -> Option<u32> {
        self.index.find(hash, |number| {
            let collection = self.collections[number as usize].as_ref();
            collection.is_some_and(|collection| collection.key.cell() == key)
        })
    }

    fn find_or_add(&mut self, hash: u64, key: Cell<'_>) -> u32 {
        if let Some(number) = self.find(hash, key) {
            return number;
        }
        let collection = Some(Collection { key: Key::from(key), hash, rows: Rows::new() });
        let number = match self.free.pop() {
            Some(number) => {
                self.collections[number as usize] = collection;
                number
            }
            None => {
                self.collections.push(collection);
                (self.collections.len() - 1) as u32
            }
        };
        let collections = &self.collections;
        self.index.insert(hash, number, |number| {
            collections[number as usize].as_ref().expect("the index knows those in use").hash
        });
        number
    }

    /// Gives a collection's place back if nothing is in it.
    fn free_if_empty(&mut self, number: u32) {
        let collection = &mut self.collections[number as usize];
        if collection.as_ref().is_some_and(|collection| collection.rows.is_empty()) {
            let hash = collection.take().expect("it was there above").hash;
            self.index.remove(hash, number);
            self.free.push(number);
            if self.free.len() == self.collections.len() {
                (self.collections, self.free) = (Vec::new(), Vec::new());
            }
        }
    }

    /// Removes an entry if `is_due`.
    fn remove_if(
        &mut self,
        change: &mut Change<'_>,
        point: Point<'_>,
        is_due: impl Fn(&Entry<V, S>) -> bool,
    ) {
        let Some(number) = self.find(point.hash, point.key) else { return };
        let mut word = 0;
        let look = K::look(point.entry, self.changes.flip, &mut word);
        self.remove_at(change, number, look, is_due);
    }

    fn remove_at(
        &mut self,
        change: &mut Change<'_>,
        number: u32,
        look: &K::Look,
        is_due: impl Fn(&Entry<V, S>) -> bool,
    ) {
        let Some(Collection { key, rows, .. }) = &mut self.collections[number as usize] else {
            return;
        };
        let Some(entry) = rows.get_mut(look) else { return };
        if !entry.mark.present() || !is_due(entry) {
            return;
        }
        self.len -= 1;
        if !self.changes.bury(change, (number, key), look, entry) {
            rows.remove(look);
            self.free_if_empty(number);
        }
        self.forget_stale(change.version);
    }

    /// Shortens the list of changes where much of it is about entries that are gone without a trace.
    fn forget_stale(&mut self, version: u32) {
        let Changes { dirty, stale, .. } = &mut self.changes;
        if dirty.len() < DIRTY_MIN || *stale * 2 < dirty.len() {
            return;
        }
        let collections = &self.collections;
        dirty.retain(|(number, entry_key)| {
            let collection = collections.get(*number as usize).and_then(Option::as_ref);
            let entry = collection.and_then(|it| it.rows.get(entry_key.borrow()));
            entry.is_some_and(|entry| entry.mark.version() == version)
        });
        dirty.sort_unstable();
        dirty.dedup();
        *stale = 0;
    }
}

impl<K: EntryKey, V: EntryValue, S: EntryStamp> Entries for Store<K, V, S> {
    fn len(&self) -> usize {
        self.len
    }

    fn allocated_bytes(&self) -> usize {
        let of_entry =
            |(key, entry): (&K, &Entry<V, S>)| key.heap_bytes() + entry.value.heap_bytes();
        let of_collection = |collection: &Collection<K, V, S>| {
            let key = match &collection.key {
                Key::Word(_) => 0,
                Key::Bytes(bytes) => bytes.len(),
            };
            let entries: usize = collection.rows.iter().map(of_entry).sum();
            key + collection.rows.allocated_bytes() + entries
        };
        let collections: usize = self.collections.iter().flatten().map(of_collection).sum();
        self.index.allocated_bytes()
            + self.collections.capacity() * size_of::<Option<Collection<K, V, S>>>()
            + self.changes.dirty.capacity() * size_of::<(u32, K)>()
            + collections
    }

    fn touch(&self, hash: u64) -> u64 {
        self.index.touch(hash)
    }

    fn get(&self, point: Point<'_>) -> Option<Stamped<'_>> {
        let number = self.find(point.hash, point.key)?;
        let collection = self.collections[number as usize].as_ref()?;
        let mut word = 0;
        let entry = collection.rows.get(K::look(point.entry, self.changes.flip, &mut word))?;
        entry.mark.present().then(|| entry.stamped())
    }

    fn scan<'a>(
        &'a self,
        hash: u64,
        key: Cell<'_>,
        (from, to): (Bound<Cell<'_>>, Bound<Cell<'_>>),
        yields: &mut dyn FnMut(Cell<'a>, Stamped<'a>) -> bool,
    ) {
        let Some(number) = self.find(hash, key) else { return };
        let Some(collection) = &self.collections[number as usize] else { return };
        let flip = self.changes.flip;
        let (mut first, mut last) = (0, 0);
        let from = from.map(|cell| K::look(cell, flip, &mut first));
        let to = to.map(|cell| K::look(cell, flip, &mut last));
        for (entry_key, entry) in collection.rows.range(from, to) {
            if entry.mark.present() && !yields(entry_key.cell(flip), entry.stamped()) {
                return;
            }
        }
    }

    fn set(&mut self, change: &mut Change<'_>, point: Point<'_>, value: Stamped<'_>) {
        let number = self.find_or_add(point.hash, point.key);
        let collection = self.collections[number as usize].as_mut();
        let Collection { key, rows, .. } = collection.expect("it was found or added");
        let (mut word, stamp) = (0, S::new(value.stamp));
        let look = K::look(point.entry, self.changes.flip, &mut word);
        if let Some(entry) = rows.get_mut(look) {
            let mark = self.changes.note(change, (number, key), look, entry);
            self.len += usize::from(!mark.present());
            entry.mark = mark.with_present(true);
            entry.value.set(value.value);
            entry.stamp = stamp;
            return;
        }
        let mark = Mark::default().first_write(change.version).with_present(true);
        let mut entry = Entry { value: V::default(), stamp, mark };
        entry.value.set(value.value);
        rows.insert(K::own(look), entry);
        self.len += 1;
        if let (Some(undo), Some(id)) = (&mut change.undo, self.changes.held) {
            undo.entry(id, point.key, point.entry, None);
        }
        if change.tracked {
            self.changes.dirty.push((number, K::own(look)));
        }
    }

    fn remove(&mut self, change: &mut Change<'_>, point: Point<'_>) {
        self.remove_if(change, point, |_| true);
    }

    fn remove_expired(&mut self, change: &mut Change<'_>, point: Point<'_>, now: Now) {
        let ttl = self.changes.ttl;
        self.remove_if(change, point, |entry| entry.is_expired(ttl, now));
    }

    fn restamp(&mut self, change: &mut Change<'_>, point: Point<'_>, stamp: i64, now: Now) {
        let Some(number) = self.find(point.hash, point.key) else { return };
        let Some(Collection { key, rows, .. }) = &mut self.collections[number as usize] else {
            return;
        };
        let mut word = 0;
        let look = K::look(point.entry, self.changes.flip, &mut word);
        if let Some(entry) = rows.get_mut(look)
            && entry.mark.present()
            && !entry.is_expired(self.changes.ttl, now)
            && ttl::renewed(entry.stamp.get(), stamp) != entry.stamp.get()
        {
            entry.mark = self.changes.note(change, (number, key), look, entry);
            entry.stamp = S::new(stamp);
        }
    }

    fn clear(&mut self, change: &mut Change<'_>, hash: u64, key: Cell<'_>) {
        let Some(number) = self.find(hash, key) else { return };
        let Some(Collection { key, rows, .. }) = &mut self.collections[number as usize] else {
            return;
        };
        let (changes, len) = (&mut self.changes, &mut self.len);
        rows.retain(|entry_key, entry| {
            if !entry.mark.present() {
                return true;
            }
            *len -= 1;
            changes.bury(change, (number, key), entry_key.borrow(), entry)
        });
        self.free_if_empty(number);
        self.forget_stale(change.version);
    }

    fn clean(&mut self, change: &mut Change<'_>, now: Now, budget: &mut usize) -> bool {
        let Some(ttl) = self.changes.ttl else { return true };
        let (mut number, mut after) = std::mem::take(&mut self.cleaned);
        let first_stamp = ttl::first_stamp(&ttl, now);
        while *budget > 0 {
            let Some(collection) = self.collections.get_mut(number as usize) else { return true };
            *budget -= 1;
            let mut expired = Vec::new();
            let mut done = true;
            if let Some(Collection { key, rows, .. }) = collection {
                for (entry_key, entry) in rows.after_mut(after.as_ref()) {
                    if *budget == 0 {
                        done = false;
                        break;
                    }
                    *budget -= 1;
                    after = Some(entry_key.clone());
                    if !entry.mark.present() {
                    } else if entry.is_expired(Some(ttl), now) {
                        expired.push(entry_key.clone());
                    } else if entry.stamp.get() == NO_STAMP && first_stamp != NO_STAMP {
                        let look = entry_key.borrow();
                        entry.mark = self.changes.note(change, (number, key), look, entry);
                        entry.stamp = S::new(first_stamp);
                    }
                }
            }
            for entry_key in expired {
                self.remove_at(change, number, entry_key.borrow(), |_| true);
            }
            if done {
                (number, after) = (number + 1, None);
            }
        }
        self.cleaned = (number, after);
        false
    }

    fn is_changed(&self) -> bool {
        !self.changes.dirty.is_empty()
    }

    fn forget_changes(&mut self) {
        (self.changes.dirty, self.changes.stale) = (Vec::new(), 0);
    }

    fn start(&mut self, full: bool, version: u32, now: Now) {
        let list = std::mem::take(&mut self.changes.dirty);
        self.changes.stale = 0;
        self.changes.pass = Some(match full {
            true => Pass::All { number: 0, after: None, now },
            false => Pass::Changed { list, next: 0, version },
        });
    }

    fn advance(&mut self, writer: &mut Writer, version: u32, budget: &mut usize) -> bool {
        let Some(mut pass) = self.changes.pass.take() else { return true };
        let done = match &mut pass {
            Pass::All { .. } => self.walk(&mut pass, writer, version, budget),
            Pass::Changed { .. } => self.walk_changed(&mut pass, writer, budget),
        };
        self.changes.pass = Some(pass);
        done
    }

    fn end(&mut self) {
        self.changes.pass = None;
    }

    fn declare(&mut self, id: StateId, ttl: Option<Ttl>) {
        (self.changes.id, self.changes.ttl) = (id, ttl);
    }

    fn hold(&mut self) {
        self.changes.held = Some(self.changes.id);
    }

    fn walk(
        &self,
        place: &mut EntryPlace,
        budget: &mut usize,
        yields: &mut dyn FnMut(Point<'_>, Stamped<'_>),
    ) -> bool {
        self.walk_from(place, budget, yields)
    }

    fn shed(&mut self, budget: &mut usize) -> bool {
        self.shed_some(budget)
    }
}
