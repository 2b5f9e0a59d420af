//! Keyed state with a list a key.

mod cache;

use std::borrow::Borrow;
use std::cell::RefCell;
use std::rc::Rc;

use super::Identity;
use crate::call::{Call, Pending};
use crate::codec::{Encode, Value};
use crate::error::Result;
use crate::host::Host;
use cache::Cache;

/// A state with a list a key: that of the key of the record, or timer, being handled.
///
/// Adding does not read: the new elements of the whole batch are sent after the last record. At the first look into a
/// list, the lists of all keys of the batch with at most 64 elements are fetched at once, longer ones as they are
/// asked for. Looks see what was written before.
///
/// ```
/// use statehouse::prelude::*;
///
/// /// Emits each customer's last three purchases.
/// struct Recent { items: ListState<String>, recent: Output<Vec<String>> }
///
/// impl Recent {
///     fn on_item(&mut self, item: Record<u64, String>) -> Result<()> {
///         self.items.add(&item.value);
///         let mut items = self.items.get();
///         if items.len() > 3 {
///             items.remove(0);
///             self.items.replace(&items);
///         }
///         self.recent.emit(&items)
///     }
/// }
///
/// impl Operator for Recent {
///     const NAME: &str = "recent";
///     fn new(setup: &mut Setup<Self>) -> Self {
///         setup.keyed_input("items", Self::on_item);
///         Recent { items: setup.list("items"), recent: setup.output("recent") }
///     }
/// }
///
/// let mut harness = TestHarness::<Recent>::new();
/// for item in ["tea", "rice", "salt", "soap"] {
///     harness.send("items", 7_u64, item, 0);
/// }
/// assert_eq!(harness.list::<String>("items", 7_u64), ["rice", "salt", "soap"]);
/// assert_eq!(harness.take_values::<Vec<String>>("recent")[1], ["tea", "rice"]);
/// ```
pub struct ListState<T: Value> {
    call: Rc<Call>,
    lists: Rc<Lists<T>>,
}

/// The lists of one state in the running invocation.
struct Lists<T> {
    of: Identity,
    cache: RefCell<Cache<T>>,
}

impl<T: Value> ListState<T> {
    pub(crate) fn new(call: &Rc<Call>, of: Identity) -> (Self, Rc<dyn Pending>) {
        let cache = RefCell::new(Cache::new(<T as Encode>::layout()));
        let lists = Rc::new(Lists { of, cache });
        let pending: Rc<dyn Pending> = Rc::<Lists<T>>::clone(&lists);
        (Self { call: Rc::clone(call), lists }, pending)
    }

    /// The invocation that it belongs to, and which state it is.
    pub(crate) fn of(&self) -> (&Call, &Identity) {
        (&self.call, &self.lists.of)
    }

    /// Adds an element to the end.
    pub fn add(&self, value: &T) {
        self.each(|cache, slot| cache.add(slot, value));
    }

    /// Adds elements to the end.
    pub fn extend<B: Borrow<T>>(&self, values: impl IntoIterator<Item = B>) {
        values.into_iter().for_each(|value| self.add(value.borrow()));
    }

    /// All elements, in the order in which they were added.
    pub fn get(&self) -> Vec<T> {
        let all = self.each(|cache, slot| cache.get(&self.call, &self.lists.of, slot));
        all.unwrap_or_default()
    }

    /// Makes these the list's elements.
    pub fn replace<B: Borrow<T>>(&self, values: impl IntoIterator<Item = B>) {
        // First all of them: they may come from a look into this list.
        let values: Vec<B> = values.into_iter().collect();
        self.clear();
        self.extend(values);
    }

    /// Removes all elements.
    pub fn clear(&self) {
        self.each(|cache, slot| {
            cache.clear(slot);
            Ok(())
        });
    }

    /// Whether the list has no elements.
    pub fn is_empty(&self) -> bool {
        let is = self.each(|cache, slot| cache.is_empty(&self.call, &self.lists.of, slot));
        is.unwrap_or(true)
    }

    /// Goes to the list of the current key. `None` if the record was refused for it.
    fn each<R>(&self, act: impl FnOnce(&mut Cache<T>, usize) -> Result<R>) -> Option<R> {
        let slot = self.call.slot.get() as usize;
        let lists = &self.lists;
        lists.of.visit(&self.call, (&lists.cache, slot), Cache::open, act)
    }
}

impl<T: Value> Pending for Lists<T> {
    fn prepare(&self) -> Result<()> {
        let gathered = self.cache.borrow_mut().gather(self.of.touches);
        gathered.map_err(|error| error.about(format_args!("state `{}`", self.of.name)))
    }

    fn send(&self, host: &dyn Host) {
        self.cache.borrow_mut().send(self.of.index, host);
    }

    fn discard(&self) {
        self.cache.borrow_mut().discard();
    }
}

#[cfg(test)]
mod tests;
