//! Keyed state with a set a key that the host adds to.

mod element;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::rc::Rc;

use super::{Identity, bit};
use crate::bindings::{BytesColumn, Codec, Column, Window};
use crate::call::{Call, Pending};
use crate::codec::{Decode, Layout, Value};
use crate::column::{ColumnWriter, row_bytes};
use crate::error::Result;
use crate::host::Host;

pub(crate) use element::{as_bytes, elements, write};

/// The elements of a set, from its bytes.
pub(crate) fn read_all<T: Decode>(set: &[u8]) -> Result<Vec<T>> {
    elements(set)?.into_iter().map(element::read).collect()
}

/// A set a key: that of the key of the record, or timer, being handled.
///
/// Adding needs no read: what a batch adds goes to the host once, after the last record. Elements are in the order of
/// their bytes: numbers by number, text and bytes by byte. The whole set is one value, so it should stay small;
/// a [`MapState`](crate::MapState) holds sets of any size.
///
/// ```
/// use statehouse::prelude::*;
///
/// struct Visitors { seen: SetState<String>, fresh: Output<String> }
///
/// impl Visitors {
///     fn on_visit(&mut self, visit: Record<u64, String>) -> Result<()> {
///         if !self.seen.contains(&visit.value) {
///             self.seen.add(&visit.value);
///             self.fresh.emit(&visit.value)?;
///         }
///         Ok(())
///     }
/// }
///
/// impl Operator for Visitors {
///     const NAME: &str = "visitors";
///     fn new(setup: &mut Setup<Self>) -> Self {
///         setup.keyed_input("visits", Self::on_visit);
///         Visitors { seen: setup.set("seen"), fresh: setup.output("fresh") }
///     }
/// }
///
/// let mut harness = TestHarness::<Visitors>::new();
/// for who in ["eva", "ada", "eva"] {
///     harness.send("visits", 7_u64, who, 0);
/// }
/// assert_eq!(harness.take_values::<String>("fresh"), ["eva", "ada"]);
/// assert_eq!(harness.set::<String>("seen", 7_u64), ["ada", "eva"]);
/// ```
pub struct SetState<T: Value> {
    call: Rc<Call>,
    sets: Rc<Sets>,
    of: PhantomData<fn(T) -> T>,
}

/// The sets of one state in the running invocation.
struct Sets {
    of: Identity,
    rows: RefCell<Rows>,
}

struct Rows {
    opened: bool,
    /// One for every slot.
    known: Vec<Known>,
    /// What the host has, if that was asked for.
    kept: Option<(Vec<u64>, BytesColumn)>,
    deltas: ColumnWriter,
}

#[derive(Default)]
struct Known {
    /// What the host has, taken apart at the first look.
    kept: Option<BTreeSet<Vec<u8>>>,
    added: BTreeSet<Vec<u8>>,
    cleared: bool,
    read: bool,
}

impl<T: Value> SetState<T> {
    pub(crate) fn new(call: &Rc<Call>, of: Identity) -> (Self, Rc<dyn Pending>) {
        let deltas = ColumnWriter::new(Layout::Bytes(Codec::Raw));
        let rows = RefCell::new(Rows { opened: false, known: Vec::new(), kept: None, deltas });
        let sets = Rc::new(Sets { of, rows });
        let pending: Rc<dyn Pending> = Rc::<Sets>::clone(&sets);
        (Self { call: Rc::clone(call), sets, of: PhantomData }, pending)
    }

    /// The invocation that it belongs to, and which state it is.
    pub(crate) fn of(&self) -> (&Call, &Identity) {
        (&self.call, &self.sets.of)
    }

    /// Adds an element. Adding what is there changes nothing.
    pub fn add(&self, element: &T) {
        self.each(|rows, slot| {
            rows.known[slot].added.insert(write(element)?);
            Ok(())
        });
    }

    /// All elements, in order.
    pub fn get(&self) -> Vec<T> {
        let all = self.each(|rows, slot| {
            let known = rows.look(&self.call, &self.sets.of, slot)?;
            let kept = known.kept.iter().flatten();
            let all: BTreeSet<_> = kept.chain(&known.added).collect();
            all.into_iter().map(|element| element::read(element)).collect()
        });
        all.unwrap_or_default()
    }

    /// Whether an element is in the set.
    pub fn contains(&self, element: &T) -> bool {
        let is = self.each(|rows, slot| {
            let element = write(element)?;
            let known = rows.look(&self.call, &self.sets.of, slot)?;
            let kept = known.kept.as_ref().is_some_and(|kept| kept.contains(&element));
            Ok(kept || known.added.contains(&element))
        });
        is.unwrap_or(false)
    }

    /// Removes all elements.
    pub fn clear(&self) {
        self.each(|rows, slot| {
            let known = &mut rows.known[slot];
            known.added.clear();
            known.kept = None;
            known.cleared = true;
            Ok(())
        });
    }

    /// Goes to the set of the current key. `None` if the record was refused for it.
    fn each<R>(&self, act: impl FnOnce(&mut Rows, usize) -> Result<R>) -> Option<R> {
        let of = &self.sets.of;
        let Ok(mut rows) = self.sets.rows.try_borrow_mut() else {
            of.nested(&self.call);
            return None;
        };
        if !rows.opened {
            rows.known.resize_with(self.call.slots.get() as usize, Known::default);
            rows.opened = true;
        }
        let slot = self.call.slot.get() as usize;
        if slot >= rows.known.len() {
            self.call.no_key("state", &of.name);
            return None;
        }
        match act(&mut rows, slot) {
            Ok(result) => Some(result),
            Err(error) => {
                of.fault(&self.call, error);
                None
            }
        }
    }
}

impl Rows {
    /// Makes sure that what the host has is known.
    fn look(&mut self, call: &Call, of: &Identity, slot: usize) -> Result<&Known> {
        let known = &mut self.known[slot];
        known.read = true;
        if known.kept.is_none() && !known.cleared {
            if self.kept.is_none() {
                let Window { present, values } = call.host.load(of.index);
                let Column::Bytes(bytes) = values else {
                    return Err(crate::error!("it came as numbers, but is declared as bytes"));
                };
                self.kept = Some((present, bytes));
            }
            let kept = self.kept.as_ref().filter(|(present, _)| bit(present, slot));
            let set = kept.and_then(|(_, bytes)| row_bytes(bytes, slot)).unwrap_or(&[]);
            known.kept = Some(elements(set)?.into_iter().map(<[u8]>::to_vec).collect());
        }
        Ok(known)
    }
}

impl Pending for Sets {
    fn prepare(&self) -> Result<()> {
        let Rows { known, deltas, .. } = &mut *self.rows.borrow_mut();
        let added = known.iter().filter(|known| !known.added.is_empty());
        let written = added
            .map(|known| as_bytes(known.added.iter().map(Vec::as_slice)))
            .try_for_each(|delta| deltas.push_row(0, &delta));
        written.map_err(|error| error.about(format_args!("state `{}`", self.of.name)))
    }

    fn send(&self, host: &dyn Host) {
        let rows = &mut *self.rows.borrow_mut();
        let (mut cleared, mut added, mut read) = (Vec::new(), Vec::new(), Vec::new());
        for (slot, known) in rows.known.iter().enumerate() {
            if known.cleared {
                cleared.push(slot as u32);
            }
            if !known.added.is_empty() {
                added.push(slot as u32);
            } else if known.read && !known.cleared && self.of.touches {
                read.push(slot as u32);
            }
        }
        if !cleared.is_empty() {
            host.remove(self.of.index, &cleared);
        }
        if !added.is_empty() {
            rows.deltas.send(|deltas| host.merge(self.of.index, &added, deltas));
        }
        if !read.is_empty() {
            host.touch(self.of.index, &read);
        }
    }

    fn discard(&self) {
        let rows = &mut *self.rows.borrow_mut();
        rows.opened = false;
        rows.known.clear();
        rows.kept = None;
        rows.deltas.clear();
    }
}

#[cfg(test)]
mod tests;
