//! Entries of lists and maps of one key group.
//!
//! Each collection state has a store a group: an index from keys to collections, and in each collection its entries in
//! order. An entry has a mark like a value in a row, so snapshots take entries one by one: what a running one still
//! needs is encoded before its first change, the rest in passing, behind a cursor that no insertion or removal
//! disturbs. A removed entry that the last snapshot knew stays as a tombstone until an increment has told of it.

mod cells;
mod index;
mod rows;
mod store;

use std::fmt;
use std::ops::Bound;

use crate::backend::Now;
use crate::declaration::{KeyLayout, StateDeclaration, StateId, Ttl};
use crate::segment::{Cell, Stamped, Writer};
use crate::timers::Key;

use super::change::Change;
use store::Store;

/// An entry's place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point<'a> {
    pub(super) hash: u64,
    pub(super) key: Cell<'a>,
    pub(super) entry: Cell<'a>,
}

/// The entries of one state in one key group, whatever their layouts.
pub(super) trait Entries: fmt::Debug + Send {
    /// How many entries there are.
    fn len(&self) -> usize;

    /// Bytes of memory held, spare room included.
    fn allocated_bytes(&self) -> usize;

    /// Reads where a search for a key begins, so that a search that follows finds it in the cache.
    fn touch(&self, hash: u64) -> u64;

    /// An entry.
    fn get(&self, point: Point<'_>) -> Option<Stamped<'_>>;

    /// Passes a key's entries to `yields` in order, until that says no.
    fn scan<'a>(
        &'a self,
        hash: u64,
        key: Cell<'_>,
        range: (Bound<Cell<'_>>, Bound<Cell<'_>>),
        yields: &mut dyn FnMut(Cell<'a>, Stamped<'a>) -> bool,
    );

    /// Sets an entry.
    fn set(&mut self, change: &mut Change<'_>, point: Point<'_>, value: Stamped<'_>);

    /// Removes an entry.
    fn remove(&mut self, change: &mut Change<'_>, point: Point<'_>);

    /// Removes an entry that is expired.
    fn remove_expired(&mut self, change: &mut Change<'_>, point: Point<'_>, now: Now);

    /// Gives an entry that is not expired this stamp, unless its own is newer.
    fn restamp(&mut self, change: &mut Change<'_>, point: Point<'_>, stamp: i64, now: Now);

    /// Removes all entries of a key.
    fn clear(&mut self, change: &mut Change<'_>, hash: u64, key: Cell<'_>);

    /// Looks at some entries, removes those that are expired, and stamps those without a stamp. Says whether it came
    /// past the last one.
    fn clean(&mut self, change: &mut Change<'_>, now: Now, budget: &mut usize) -> bool;

    /// Whether there are changes that no snapshot has.
    fn is_changed(&self) -> bool;

    /// Forgets which entries changed.
    fn forget_changes(&mut self);

    /// Fixes what a snapshot holds: all, or what changed in the version that ends now.
    fn start(&mut self, full: bool, version: u32, now: Now);

    /// Encodes about `budget` of what is left. Says whether nothing is.
    fn advance(&mut self, writer: &mut Writer, version: u32, budget: &mut usize) -> bool;

    /// The snapshot is finished or given up.
    fn end(&mut self);

    /// From now on the state has this number, and its entries live so long.
    fn declare(&mut self, id: StateId, ttl: Option<Ttl>);

    /// From now on what is there before a change is remembered under the number that the state has now.
    fn hold(&mut self);

    /// Passes entries behind a place to `yields`, about `budget` of them, and moves the place there. Says whether it
    /// came past the last one.
    fn walk(
        &self,
        place: &mut EntryPlace,
        budget: &mut usize,
        yields: &mut dyn FnMut(Point<'_>, Stamped<'_>),
    ) -> bool;

    /// Gives back some of the memory of a store that is not used any more. Whether none is left.
    fn shed(&mut self, budget: &mut usize) -> bool;
}

/// Behind an entry of a collection, in the order in which a store has them.
#[derive(Debug, Default)]
pub(super) struct EntryPlace {
    number: u32,
    pub(super) after: Option<Key>,
}

/// An empty store for a collection state.
pub(super) fn store(id: StateId, state: &StateDeclaration) -> Box<dyn Entries> {
    // Signed numbers are in order with their highest bit turned.
    let signed = state.entry_key() == Some(KeyLayout::S64);
    let flip = u64::from(signed) << 63;
    let words = state.entry_key().is_none_or(KeyLayout::is_words);
    type Text = Box<[u8]>;
    match (words, state.value.is_words(), state.ttl) {
        (true, true, None) => Box::new(Store::<u64, u64, ()>::new(id, flip, None)),
        (true, false, None) => Box::new(Store::<u64, Text, ()>::new(id, flip, None)),
        (false, true, None) => Box::new(Store::<Text, u64, ()>::new(id, flip, None)),
        (false, false, None) => Box::new(Store::<Text, Text, ()>::new(id, flip, None)),
        (true, true, ttl) => Box::new(Store::<u64, u64, i64>::new(id, flip, ttl)),
        (true, false, ttl) => Box::new(Store::<u64, Text, i64>::new(id, flip, ttl)),
        (false, true, ttl) => Box::new(Store::<Text, u64, i64>::new(id, flip, ttl)),
        (false, false, ttl) => Box::new(Store::<Text, Text, i64>::new(id, flip, ttl)),
    }
}
