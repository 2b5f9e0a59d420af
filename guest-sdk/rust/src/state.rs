//! Keyed state as typed fields.

pub(crate) mod aggregating;
pub(crate) mod append;
mod coded;
pub(crate) mod entries;
pub(crate) mod list;
pub(crate) mod map;
pub(crate) mod reducing;
pub(crate) mod set;
mod words;

use std::cell::RefCell;
use std::rc::Rc;

use crate::call::{Call, Pending};
use crate::codec::{Encode, Value};
use crate::error::Result;
use crate::host::Host;
use coded::CodedWindow;
use words::WordWindow;

/// A state with one value a key: that of the key of the record, or timer, being handled.
///
/// The values of a whole batch are fetched at the first access, and the changed ones are sent back
/// after the last record; nothing crosses the sandbox in between.
///
/// A value that cannot be read (bytes of another type, a number out of range) refuses the record,
/// whatever the handler returns: it goes to the job's policy for bad records with the reason.
///
/// ```
/// use statehouse::prelude::*;
///
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// struct Seen { times: u32, last: i64 }
///
/// struct Watch { seen: ValueState<Seen>, total: ValueState<i64> }
///
/// impl Watch {
///     fn on_payment(&mut self, payment: Record<u64, i64>) -> Result<()> {
///         self.total.update(|total| *total += payment.value);
///         self.seen.update(|seen| {
///             seen.times += 1;
///             seen.last = payment.time;
///         });
///         Ok(())
///     }
/// }
///
/// impl Operator for Watch {
///     const NAME: &str = "watch";
///     fn new(setup: &mut Setup<Self>) -> Self {
///         setup.keyed_input("payments", Self::on_payment);
///         Watch { seen: setup.value("seen"), total: setup.value("total") }
///     }
/// }
///
/// let mut harness = TestHarness::<Watch>::new();
/// harness.send("payments", 7_u64, 40_i64, 1000);
/// harness.send("payments", 7_u64, 2_i64, 2000);
/// assert_eq!(harness.state("total", 7_u64), Some(42_i64));
/// let seen: Seen = harness.state("seen", 7_u64).unwrap();
/// assert_eq!((seen.times, seen.last), (2, 2000));
/// ```
pub struct ValueState<T: Value> {
    call: Rc<Call>,
    cells: Rc<Cells<T>>,
}

impl<T: Value> ValueState<T> {
    pub(crate) fn new(call: &Rc<Call>, of: Identity) -> (Self, Rc<dyn Pending>) {
        let cells = Rc::new(Cells {
            words: WordWindow::new(<T as Encode>::layout(), of.touches),
            coded: CodedWindow::new(<T as Encode>::layout(), of.touches),
            of,
        });
        let pending: Rc<dyn Pending> = Rc::<Cells<T>>::clone(&cells);
        (Self { call: Rc::clone(call), cells }, pending)
    }

    /// The invocation that it belongs to, and which state it is.
    pub(crate) fn of(&self) -> (&Call, &Identity) {
        (&self.call, &self.cells.of)
    }

    /// The key's value.
    #[inline]
    pub fn get(&self) -> Option<T>
    where
        T: Clone,
    {
        if is_word::<T>() { self.take_word() } else { self.with(|value| value.cloned()) }
    }

    /// The key's value, or the type's default (0, empty) if there is none.
    #[inline]
    pub fn get_or_default(&self) -> T
    where
        T: Clone + Default,
    {
        self.get().unwrap_or_default()
    }

    /// Whether the key has a value.
    #[inline]
    pub fn is_set(&self) -> bool {
        if is_word::<T>() { self.take_word().is_some() } else { self.with(|value| value.is_some()) }
    }

    /// Shows the key's value to `look` without copying it.
    #[inline]
    pub fn with<R>(&self, look: impl FnOnce(Option<&T>) -> R) -> R {
        if is_word::<T>() {
            return look(self.take_word().as_ref());
        }
        let value = self.cells.coded.take(&self.call, &self.cells.of);
        let seen = look(value.as_ref());
        self.cells.coded.put_back(&self.call, value);
        seen
    }

    /// Sets the key's value.
    #[inline]
    pub fn set(&self, value: T) {
        if is_word::<T>() {
            self.cells.words.set(&self.call, &self.cells.of, value.to_word());
        } else {
            self.cells.coded.set(&self.call, &self.cells.of, Some(value));
        }
    }

    /// Lets `change` alter the key's value in place, starting from the type's default if there is
    /// none. Returns what `change` returns.
    #[inline]
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R
    where
        T: Default,
    {
        let mut value = self.take_for_change().unwrap_or_default();
        let result = change(&mut value);
        self.set(value);
        result
    }

    /// Takes the key's value away.
    pub fn take(&self) -> Option<T> {
        let value = self.take_for_change();
        self.clear();
        value
    }

    /// Removes the key's value. Removing what is not there is no error.
    pub fn clear(&self) {
        if is_word::<T>() {
            self.cells.words.clear(&self.call, &self.cells.of);
        } else {
            self.cells.coded.set(&self.call, &self.cells.of, None);
        }
    }

    #[inline]
    fn take_for_change(&self) -> Option<T> {
        if is_word::<T>() {
            self.take_word()
        } else {
            self.cells.coded.take(&self.call, &self.cells.of)
        }
    }

    #[inline]
    fn take_word(&self) -> Option<T> {
        let word = self.cells.words.get(&self.call, &self.cells.of)?;
        match T::from_word(word) {
            Ok(value) => Some(value),
            Err(error) => {
                self.cells.of.fault(&self.call, error);
                None
            }
        }
    }
}

#[inline(always)]
fn is_word<T: Value>() -> bool {
    <T as Encode>::layout().is_word()
}

/// The values of one state in the running invocation. A type uses one of the two windows.
struct Cells<T> {
    of: Identity,
    words: WordWindow,
    coded: CodedWindow<T>,
}

/// Which state a window belongs to.
pub(crate) struct Identity {
    pub(crate) index: u32,
    pub(crate) name: Box<str>,
    /// Whether the host is told what was read, because a value then lives longer.
    pub(crate) touches: bool,
}

impl Identity {
    /// Says that the state's value for a row cannot be read or written.
    #[cold]
    fn fault(&self, call: &Call, error: crate::error::Error) {
        call.fault(error.about(format_args!("state `{}`", self.name)));
    }

    /// Goes to what a slot has in a cache, once `open` has made room in it. `None` if the record was refused for it.
    #[inline]
    fn visit<C, R>(
        &self,
        call: &Call,
        (cache, slot): (&RefCell<C>, usize),
        open: impl FnOnce(&mut C, &Call, usize) -> bool,
        act: impl FnOnce(&mut C, usize) -> Result<R>,
    ) -> Option<R> {
        let Ok(mut cache) = cache.try_borrow_mut() else {
            self.nested(call);
            return None;
        };
        if !open(&mut cache, call, slot) {
            call.no_key("state", &self.name);
            return None;
        }
        act(&mut cache, slot).map_err(|error| self.fault(call, error)).ok()
    }

    /// The error for code of the operator's that uses a state while the state is in the hands of such code.
    #[cold]
    fn nested(&self, call: &Call) {
        let name = &self.name;
        call.fault(crate::error!("state `{name}` was used within its own update"));
    }
}

impl<T: Value> Pending for Cells<T> {
    fn prepare(&self) -> Result<()> {
        let encoded = self.coded.encode();
        encoded.map_err(|error| error.about(format_args!("state `{}`", self.of.name)))
    }

    fn send(&self, host: &dyn Host) {
        if is_word::<T>() {
            self.words.send(&self.of, host);
        } else {
            self.coded.send(&self.of, host);
        }
    }

    fn discard(&self) {
        self.words.discard();
        self.coded.discard();
    }
}

/// Whether bit `slot` is set.
#[inline(always)]
fn bit(bits: &[u64], slot: usize) -> bool {
    bits.get(slot / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
}

/// Sets bit `slot`, if there is one.
#[inline(always)]
fn set_bit(bits: &mut [u64], slot: usize) {
    if let Some(word) = bits.get_mut(slot / 64) {
        *word |= 1 << (slot % 64);
    }
}

/// The places of the bits that are set.
fn ones(bits: &[u64]) -> Vec<u32> {
    let in_word = |(at, &word): (usize, &u64)| {
        (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at as u32 * 64 + bit)
    };
    bits.iter().enumerate().flat_map(in_word).collect()
}

/// The number of words that hold `slots` bits.
fn bitmap_len(slots: usize) -> usize {
    slots.div_ceil(64)
}

#[cfg(test)]
mod tests;
