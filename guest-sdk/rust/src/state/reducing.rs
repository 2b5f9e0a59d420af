//! Keyed state with a number a key that the host merges into: sums, minima, maxima, counts.

use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;

use super::{Identity, bit, bitmap_len, ones, set_bit};
use crate::bindings::{Merge, Window};
use crate::call::{Call, Pending};
use crate::codec::{Encode, Layout, Value};
use crate::column::{from_words, into_words};
use crate::host::Host;
use crate::local::Local;

/// The numbers that the host can merge: `u64`, `i64` and `f64`.
///
/// ```
/// use statehouse::{Number, prelude::*};
///
/// /// What came in and what went out.
/// struct Flow<T: Number> { inward: ReducingState<T>, outward: ReducingState<T> }
///
/// fn flow<O, T: Number>(setup: &mut Setup<O>) -> Flow<T> {
///     Flow { inward: setup.sum("inward"), outward: setup.sum("outward") }
/// }
/// ```
pub trait Number: Value + Copy + sealed::Sealed {}

impl Number for u64 {}
impl Number for i64 {}
impl Number for f64 {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u64 {}
    impl Sealed for i64 {}
    impl Sealed for f64 {}
}

/// A number a key that is only added to: that of the key of the record, or timer, being handled.
///
/// [`Setup::sum`](crate::Setup::sum), [`min`](crate::Setup::min), [`max`](crate::Setup::max) and
/// [`count`](crate::Setup::count) say what adding does. It needs no read: what a batch adds for a key is merged here,
/// and the result goes to the host once, after the last record. So the order in which floating-point numbers are added
/// depends on the batches, and the last bits of a sum with it.
///
/// ```
/// use statehouse::prelude::*;
///
/// struct Totals { total: ReducingState<i64>, bills: ReducingState<u64>, dearest: ReducingState<i64> }
///
/// impl Totals {
///     fn on_bill(&mut self, bill: Record<u64, i64>) -> Result<()> {
///         self.total.add(bill.value);
///         self.bills.add(1);
///         self.dearest.add(bill.value);
///         Ok(())
///     }
/// }
///
/// impl Operator for Totals {
///     const NAME: &str = "totals";
///     fn new(setup: &mut Setup<Self>) -> Self {
///         setup.keyed_input("bills", Self::on_bill);
///         Totals {
///             total: setup.sum("total"),
///             bills: setup.count("bills"),
///             dearest: setup.max("dearest"),
///         }
///     }
/// }
///
/// let mut harness = TestHarness::<Totals>::new();
/// harness.send("bills", 7_u64, 40_i64, 0);
/// harness.send("bills", 7_u64, 2_i64, 0);
/// assert_eq!(harness.state("total", 7_u64), Some(42_i64));
/// assert_eq!(harness.state("bills", 7_u64), Some(2_u64));
/// assert_eq!(harness.state("dearest", 7_u64), Some(40_i64));
/// ```
pub struct ReducingState<T: Number> {
    call: Rc<Call>,
    sums: Rc<Sums>,
    of: PhantomData<fn(T) -> T>,
}

/// What was added for each key of the running invocation.
struct Sums {
    of: Identity,
    merge: Merge,
    layout: Layout,
    opened: Cell<bool>,
    rows: Local<Rows>,
}

#[derive(Default)]
struct Rows {
    deltas: Vec<u64>,
    /// Which slots have a delta.
    added: Vec<u64>,
    cleared: Vec<u64>,
    read: Vec<u64>,
    /// What the host has, if that was asked for.
    present: Vec<u64>,
    words: Vec<u64>,
}

impl<T: Number> ReducingState<T> {
    pub(crate) fn new(call: &Rc<Call>, of: Identity, merge: Merge) -> (Self, Rc<dyn Pending>) {
        let layout = <T as Encode>::layout();
        let (opened, rows) = (Cell::new(false), Local::default());
        let sums = Rc::new(Sums { of, merge, layout, opened, rows });
        let pending: Rc<dyn Pending> = Rc::<Sums>::clone(&sums);
        (Self { call: Rc::clone(call), sums, of: PhantomData }, pending)
    }

    /// The invocation that it belongs to, and which state it is.
    pub(crate) fn of(&self) -> (&Call, &Identity) {
        (&self.call, &self.sums.of)
    }

    /// Merges a number into the key's.
    #[inline]
    pub fn add(&self, number: T) {
        self.sums.add(&self.call, number.to_word());
    }

    /// The key's number, with what was added so far; `None` if nothing ever was.
    pub fn get(&self) -> Option<T> {
        match T::from_word(self.sums.get(&self.call)?) {
            Ok(number) => Some(number),
            Err(error) => {
                self.sums.of.fault(&self.call, error);
                None
            }
        }
    }

    /// Removes the key's number. What is added from then on starts anew.
    pub fn clear(&self) {
        self.sums.clear(&self.call);
    }
}

impl Sums {
    #[inline]
    fn add(&self, call: &Call, word: u64) {
        self.open(call);
        let slot = call.slot.get() as usize;
        let done = self.rows.with(|Rows { deltas, added, .. }| {
            let delta = deltas.get_mut(slot)?;
            if bit(added, slot) {
                *delta = merge(self.merge, self.layout, *delta, word);
            } else {
                *delta = word;
                set_bit(added, slot);
            }
            Some(())
        });
        if done.is_none() {
            call.no_key("state", &self.of.name);
        }
    }

    fn get(&self, call: &Call) -> Option<u64> {
        self.open(call);
        let slot = call.slot.get() as usize;
        if slot >= self.rows.with(|rows| rows.deltas.len()) {
            call.no_key("state", &self.of.name);
            return None;
        }
        if self.rows.with(|rows| rows.words.is_empty()) {
            let Window { present, values } = call.host.load(self.of.index);
            self.rows.with(|rows| (rows.present, rows.words) = (present, into_words(values)));
        }
        self.rows.with(|rows| {
            set_bit(&mut rows.read, slot);
            let there = bit(&rows.present, slot) && !bit(&rows.cleared, slot);
            let kept = rows.words.get(slot).copied().filter(|_| there);
            let added = bit(&rows.added, slot).then(|| rows.deltas[slot]);
            match (kept, added) {
                (Some(kept), Some(added)) => Some(merge(self.merge, self.layout, kept, added)),
                (kept, added) => kept.or(added),
            }
        })
    }

    fn clear(&self, call: &Call) {
        self.open(call);
        let slot = call.slot.get() as usize;
        let done = self.rows.with(|rows| {
            rows.deltas.get(slot)?;
            set_bit(&mut rows.cleared, slot);
            *rows.added.get_mut(slot / 64)? &= !(1 << (slot % 64));
            Some(())
        });
        if done.is_none() {
            call.no_key("state", &self.of.name);
        }
    }

    #[inline(always)]
    fn open(&self, call: &Call) {
        if !self.opened.get() {
            self.make_room(call);
        }
    }

    #[cold]
    fn make_room(&self, call: &Call) {
        let slots = call.slots.get() as usize;
        if slots == 0 {
            return;
        }
        self.rows.with(|Rows { deltas, added, cleared, read, .. }| {
            deltas.resize(slots, 0);
            for bits in [added, cleared, read] {
                bits.resize(bitmap_len(slots), 0);
            }
        });
        self.opened.set(true);
    }
}

impl Pending for Sums {
    fn send(&self, host: &dyn Host) {
        if !self.opened.get() {
            return;
        }
        self.rows.with(|rows| {
            let cleared = ones(&rows.cleared);
            if !cleared.is_empty() {
                host.remove(self.of.index, &cleared);
            }
            let slots = ones(&rows.added);
            if !slots.is_empty() {
                let deltas = if slots.len() == rows.deltas.len() {
                    std::mem::take(&mut rows.deltas)
                } else {
                    slots.iter().map(|&slot| rows.deltas[slot as usize]).collect()
                };
                host.merge(self.of.index, &slots, &from_words(self.layout, deltas));
            }
            if self.of.touches {
                // What was only read. A write makes the value live longer by itself.
                let changed =
                    rows.added.iter().zip(&rows.cleared).map(|(added, gone)| added | gone);
                let there = rows.present.iter().zip(changed).map(|(there, gone)| there & !gone);
                let read: Vec<_> =
                    rows.read.iter().zip(there).map(|(read, is)| read & is).collect();
                let read = ones(&read);
                if !read.is_empty() {
                    host.touch(self.of.index, &read);
                }
            }
        });
    }

    fn discard(&self) {
        if !self.opened.replace(false) {
            return;
        }
        self.rows.with(|Rows { deltas, added, cleared, read, present, words }| {
            for rows in [deltas, added, cleared, read, present, words] {
                rows.clear();
            }
        });
    }
}

/// Merges as the host does.
#[inline]
pub(crate) fn merge(merge: Merge, layout: Layout, current: u64, delta: u64) -> u64 {
    let floats = |merged: f64| merged.to_bits();
    let (a, b) = (f64::from_bits(current), f64::from_bits(delta));
    match (merge, layout) {
        (Merge::Sum, Layout::F64) => floats(a + b),
        (Merge::Min, Layout::F64) => floats(a.min(b)),
        (Merge::Max, Layout::F64) => floats(a.max(b)),
        (Merge::Min, Layout::S64) => (current as i64).min(delta as i64) as u64,
        (Merge::Max, Layout::S64) => (current as i64).max(delta as i64) as u64,
        (Merge::Min, _) => current.min(delta),
        (Merge::Max, _) => current.max(delta),
        // The others merge bytes, and no state of numbers is declared with them.
        _ => current.wrapping_add(delta),
    }
}

#[cfg(test)]
mod tests;
