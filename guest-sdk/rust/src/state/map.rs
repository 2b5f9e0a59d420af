//! Keyed state with a map a key.

mod cache;
mod range;

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::rc::Rc;

use super::Identity;
use super::entries::Look;
use super::entries::cursor::Cursor;
use super::entries::key::{EntryKey, end_of_prefix};
use crate::call::{Call, Pending};
use crate::codec::{Encode, Layout, Value};
use crate::error::Result;
use crate::host::Host;
use cache::Cache;
pub use range::MapRange;

/// A state with a map a key: that of the key of the record, or timer, being handled.
///
/// At the first look into one, the small maps of all keys of the batch are fetched at once; of a map with more than 64
/// entries, those that are asked for, or a page at a time. Looks see what was written before, and what was written is
/// sent after the last record.
///
/// Entries are in the order of their keys: numbers by number, `String` and `Vec<u8>` by byte. Keys of other types are
/// in the order of their MessagePack bytes. So tuples of unsigned numbers sort as one expects; but in a tuple (or
/// `Option`, struct, …) text sorts by length before it sorts by letter, and negative numbers come after the others.
///
/// ```
/// use statehouse::prelude::*;
///
/// /// Adds up what each customer spent in which shop.
/// struct Spent { shops: MapState<String, u64>, top: Output<(String, u64)> }
///
/// impl Spent {
///     fn on_bill(&mut self, bill: Record<u64, (String, u64)>) -> Result<()> {
///         let (shop, amount) = bill.value;
///         self.shops.update(&shop, |sum| *sum += amount);
///         for (shop, sum) in self.shops.prefix("tea ") {
///             self.top.emit(&(shop, sum))?;
///         }
///         Ok(())
///     }
/// }
///
/// impl Operator for Spent {
///     const NAME: &str = "spent";
///     fn new(setup: &mut Setup<Self>) -> Self {
///         setup.keyed_input("bills", Self::on_bill);
///         Spent { shops: setup.map("shops"), top: setup.output("top") }
///     }
/// }
///
/// let mut harness = TestHarness::<Spent>::new();
/// harness.send("bills", 7_u64, ("tea house".to_owned(), 3_u64), 0);
/// harness.send("bills", 7_u64, ("books".to_owned(), 20_u64), 0);
/// harness.send("bills", 7_u64, ("tea house".to_owned(), 4_u64), 0);
/// let shops = harness.map::<String, u64>("shops", 7_u64);
/// assert_eq!(shops, [("books".to_owned(), 20), ("tea house".to_owned(), 7)]);
/// assert_eq!(harness.take_values::<(String, u64)>("top").last().unwrap().1, 7);
/// ```
pub struct MapState<K: Value, V: Value> {
    call: Rc<Call>,
    maps: Rc<Maps<V>>,
    of: PhantomData<fn(K) -> K>,
}

/// The maps of one state in the running invocation.
struct Maps<V> {
    of: Identity,
    cache: RefCell<Cache<V>>,
    /// What a key becomes before it is looked up; kept for its memory.
    probe: Cell<EntryKey>,
}

impl<K: Value, V: Value> MapState<K, V> {
    pub(crate) fn new(call: &Rc<Call>, of: Identity) -> (Self, Rc<dyn Pending>) {
        let cache = RefCell::new(Cache::new(<K as Encode>::layout(), <V as Encode>::layout()));
        let maps = Rc::new(Maps { of, cache, probe: Cell::default() });
        let pending: Rc<dyn Pending> = Rc::<Maps<V>>::clone(&maps);
        (Self { call: Rc::clone(call), maps, of: PhantomData }, pending)
    }

    /// The invocation that it belongs to, and which state it is.
    pub(crate) fn of(&self) -> (&Call, &Identity) {
        (&self.call, &self.maps.of)
    }

    /// The value of an entry.
    pub fn get(&self, key: &K) -> Option<V>
    where
        V: Clone,
    {
        self.look(key, Look::copy())
    }

    /// Whether there is an entry.
    pub fn contains_key(&self, key: &K) -> bool {
        let found = self.at(key, |cache, slot, key| {
            let is = cache.contains(&self.call, &self.maps.of, slot, key)?;
            if is && self.maps.of.touches {
                cache.note_read(slot, key);
            }
            Ok(is)
        });
        found.unwrap_or(false)
    }

    /// Sets an entry.
    pub fn insert(&self, key: &K, value: V) {
        self.at(key, |cache, slot, key| {
            cache.set(slot, key, Some(value));
            Ok(())
        });
    }

    /// Removes an entry. Removing what is not there is no error.
    pub fn remove(&self, key: &K) {
        self.at(key, |cache, slot, key| {
            cache.set(slot, key, None);
            Ok(())
        });
    }

    /// Lets `change` alter an entry's value in place, starting from the type's default if there is none. Returns what
    /// `change` returns.
    pub fn update<R>(&self, key: &K, change: impl FnOnce(&mut V) -> R) -> R
    where
        V: Default,
    {
        let mut change = Some(change);
        let changed = self.at(key, |cache, slot, key| {
            let change = |value: &mut V| (change.take().expect("it is called once"))(value);
            cache.update(&self.call, &self.maps.of, slot, key, change)
        });
        // Where there is no value to change, the record is refused already; the result is of no consequence.
        changed.unwrap_or_else(|| match change.take() {
            Some(change) => change(&mut V::default()),
            None => unreachable!("a change that was made has a result"),
        })
    }

    /// All entries, in the order of their keys.
    pub fn entries(&self) -> Vec<(K, V)>
    where
        V: Clone,
    {
        self.each(|cache, slot| cache.load_whole(&self.call, &self.maps.of, slot));
        self.range(..).collect()
    }

    /// The entries from one key to another, in order, fetched as they are asked for.
    ///
    /// The map may change meanwhile: entries that are written behind the walk do not come, those that are written
    /// before it do, and none comes twice.
    ///
    /// ```
    /// # use statehouse::prelude::*;
    /// # struct Readings { by_time: MapState<i64, f64> }
    /// # impl Readings {
    /// /// Forgets what is older than an hour, and adds up the rest.
    /// fn sum(&self, now: i64) -> f64 {
    ///     for (time, _) in self.by_time.range(..now - 3_600_000) {
    ///         self.by_time.remove(&time);
    ///     }
    ///     self.by_time.range(..=now).map(|(_, reading)| reading).sum()
    /// }
    /// # }
    /// ```
    pub fn range(&self, range: impl RangeBounds<K>) -> MapRange<'_, K, V>
    where
        V: Clone,
    {
        let bound = |bound: Bound<&K>| {
            Ok(match bound {
                Bound::Unbounded => Bound::Unbounded,
                Bound::Included(key) => Bound::Included(EntryKey::of(key)?),
                Bound::Excluded(key) => Bound::Excluded(EntryKey::of(key)?),
            })
        };
        match bound(range.start_bound()).and_then(|start| Ok((start, bound(range.end_bound())?))) {
            Ok((start, end)) => self.walk(start, end),
            Err(error) => {
                self.maps.of.fault(&self.call, error);
                MapRange::none(self)
            }
        }
    }

    /// The entries whose keys begin with `prefix` (text, or bytes), like [`range`](MapState::range). The keys must be
    /// `String` or `Vec<u8>`.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> MapRange<'_, K, V>
    where
        V: Clone,
    {
        let prefix = prefix.as_ref();
        if !crate::codec::is::<K, String>() && !crate::codec::is::<K, Vec<u8>>() {
            let keys = std::any::type_name::<K>();
            let sentence = "only String and Vec<u8> begin with a prefix";
            let error = crate::error!("its keys are {keys}, and {sentence}");
            self.maps.of.fault(&self.call, error);
            return MapRange::none(self);
        }
        let start = Bound::Included(EntryKey::Bytes(prefix.to_vec()));
        self.walk(start, end_of_prefix(prefix))
    }

    fn walk(&self, start: Bound<EntryKey>, end: Bound<EntryKey>) -> MapRange<'_, K, V> {
        match self.each(|_, slot| Ok(slot)) {
            Some(slot) => MapRange::new(self, slot, Cursor::new(start, end)),
            None => MapRange::none(self),
        }
    }

    /// Whether the map has no entries.
    pub fn is_empty(&self) -> bool {
        let first = self.each(|cache, slot| {
            let mut cursor = Cursor::new(Bound::Unbounded, Bound::Unbounded);
            cache.next(&self.call, &self.maps.of, slot, &mut cursor, Look::nothing())
        });
        !matches!(first, Some(Some(_)))
    }

    /// Removes all entries.
    pub fn clear(&self) {
        self.each(|cache, slot| {
            cache.clear(slot);
            Ok(())
        });
    }

    fn look<R>(&self, key: &K, look: Look<R, V>) -> Option<R> {
        let found = self.at(key, |cache, slot, key| {
            let found = cache.with(&self.call, &self.maps.of, slot, key, look)?;
            if found.is_some() && self.maps.of.touches {
                cache.note_read(slot, key);
            }
            Ok(found)
        });
        found.flatten()
    }

    /// Goes to an entry of the current key. `None` if the record was refused for it.
    #[inline]
    fn at<R>(
        &self,
        key: &K,
        act: impl FnOnce(&mut Cache<V>, usize, &EntryKey) -> Result<R>,
    ) -> Option<R> {
        let mut probe = self.maps.probe.take();
        let done = match probe.fill(key) {
            Ok(()) => self.each(|cache, slot| act(cache, slot, &probe)),
            Err(error) => {
                self.maps.of.fault(&self.call, error);
                None
            }
        };
        self.maps.probe.set(probe);
        done
    }

    /// Goes to the map of the current key. `None` if the record was refused for it.
    #[inline]
    fn each<R>(&self, act: impl FnOnce(&mut Cache<V>, usize) -> Result<R>) -> Option<R> {
        let slot = self.call.slot.get() as usize;
        self.on(slot, act)
    }

    fn on<R>(&self, slot: usize, act: impl FnOnce(&mut Cache<V>, usize) -> Result<R>) -> Option<R> {
        let maps = &self.maps;
        maps.of.visit(&self.call, (&maps.cache, slot), Cache::open, act)
    }
}

impl<V: Value> Pending for Maps<V> {
    fn prepare(&self) -> Result<()> {
        let encoded = self.cache.borrow_mut().encode(self.of.touches);
        encoded.map_err(|error| error.about(format_args!("state `{}`", self.of.name)))
    }

    fn send(&self, host: &dyn Host) {
        self.cache.borrow_mut().send(self.of.index, host);
    }

    fn discard(&self) {
        self.cache.borrow_mut().discard();
    }
}

/// Why a type cannot be the key of a map, if so.
pub(crate) fn check_key<K: Encode>() -> Option<&'static str> {
    if K::layout() == Layout::F64 {
        Some("floating-point numbers cannot be keys")
    } else if crate::codec::is::<K, ()>() {
        Some("() is no key: there would be one entry only, so declare a value state")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
