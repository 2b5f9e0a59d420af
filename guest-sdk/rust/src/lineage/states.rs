//! What keyed states of all kinds have in common: a schema version, names that they had, older values.

use std::collections::BTreeSet;

use super::{Convert, each_row};
use crate::bindings::Renamed;
use crate::call::Call;
use crate::codec::{Decode, Value};
use crate::error::Result;
use crate::state::aggregating::{Aggregate, AggregatingState};
use crate::state::append::AppendState;
use crate::state::list::ListState;
use crate::state::map::MapState;
use crate::state::reducing::{Number, ReducingState};
use crate::state::set::{SetState, as_bytes, read_all, write};
use crate::state::{Identity, ValueState};

/// What a keyed state was in earlier versions of the operator; said where the state is declared.
///
/// A new version of an operator finds the state of the one before by its name. Changes of a value's type that are
/// compatible need nothing:
///
/// - an `Option` added as the last field of a struct, also of one within another: values without it have `None`;
/// - a wider number: `u32` to `u64`, `i32` to `i64`, `f32` to `f64`.
///
/// Every other change needs a higher version, by [`at_version`](KeyedState::at_version), and for each older version
/// whose values may still be there a function that converts them, by [`migrate_from`](KeyedState::migrate_from). The
/// host calls it for the values of a batch's keys before the batch, and for the others in the background, so state of
/// any size is taken over without a pause.
///
/// ```
/// use statehouse::prelude::*;
///
/// #[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
/// struct Account { cents: i64, bookings: u64 }
///
/// /// The operator as it was: a sum of whole units, called `sum`.
/// struct Before { sum: ValueState<i64> }
///
/// impl Operator for Before {
///     const NAME: &str = "accounts";
///     fn new(setup: &mut Setup<Self>) -> Self {
///         setup.keyed_input("bookings", |accounts: &mut Self, booking: Record<u64, i64>| {
///             accounts.sum.update(|sum| *sum += booking.value);
///             Ok(())
///         });
///         Before { sum: setup.value("sum") }
///     }
/// }
///
/// struct Accounts { account: ValueState<Account> }
///
/// impl Operator for Accounts {
///     const NAME: &str = "accounts";
///     fn new(setup: &mut Setup<Self>) -> Self {
///         setup.keyed_input("bookings", |accounts: &mut Self, booking: Record<u64, i64>| {
///             accounts.account.update(|account| {
///                 account.cents += booking.value;
///                 account.bookings += 1;
///             });
///             Ok(())
///         });
///         Accounts {
///             account: setup
///                 .value("account")
///                 .formerly("sum")
///                 .at_version(2)
///                 .migrate_from(1, |units: i64| Ok(Account { cents: units * 100, bookings: 0 })),
///         }
///     }
/// }
///
/// let mut harness = TestHarness::<Before>::new();
/// harness.send("bookings", 7_u64, 3_i64, 0);
/// let mut harness = harness.swap::<Accounts>().unwrap();
/// harness.send("bookings", 7_u64, 50_i64, 0);
/// assert_eq!(harness.state("account", 7_u64), Some(Account { cents: 350, bookings: 1 }));
/// ```
pub trait KeyedState: Sized {
    /// What is converted by itself: the value of a key, an element of a list or set, the value of a map's entry, an
    /// aggregate's accumulator.
    type Value: Value;

    #[doc(hidden)]
    fn declared(&self) -> Declared<'_>;

    #[doc(hidden)]
    fn conversion<Old: Decode>(convert: impl Fn(Old) -> Result<Self::Value> + 'static) -> Convert {
        each_row(convert)
    }

    /// Sets the schema version, which is 1 unless it is set. It is raised when older values can no longer be read as
    /// what they are now.
    #[must_use]
    fn at_version(self, version: u32) -> Self {
        let Declared((call, of)) = self.declared();
        call.lineage.borrow_mut().version(of.index, version);
        self
    }

    /// Says a name that the state had in an earlier version of the operator. Its values move over as they are, or are
    /// converted if their version is older. A state may have had several names.
    #[must_use]
    fn formerly(self, name: &str) -> Self {
        let Declared((call, of)) = self.declared();
        call.lineage.borrow_mut().rename(Renamed::State, of.index, name);
        self
    }

    /// Converts values of an older schema version. Each one is converted straight to what is declared now, so there is
    /// a function for every version whose values may still be there.
    ///
    /// The function must be pure: it reaches no state, timer or output. A value that it refuses stays as it is and is
    /// set aside: the job's policy for bad records decides about the records of its key, with the reason.
    #[must_use]
    fn migrate_from<Old: Decode>(
        self,
        version: u32,
        convert: impl Fn(Old) -> Result<Self::Value> + 'static,
    ) -> Self {
        let Declared((call, of)) = self.declared();
        call.lineage.borrow_mut().conversion(of.index, version, Self::conversion(convert));
        self
    }
}

/// A state as it was declared. Only the SDK can make one, so only the SDK's states are keyed states.
pub struct Declared<'s>((&'s Call, &'s Identity));

impl<T: Value> KeyedState for ValueState<T> {
    type Value = T;

    fn declared(&self) -> Declared<'_> {
        Declared(self.of())
    }
}

impl<T: Value> KeyedState for ListState<T> {
    type Value = T;

    fn declared(&self) -> Declared<'_> {
        Declared(self.of())
    }
}

impl<K: Value, V: Value> KeyedState for MapState<K, V> {
    type Value = V;

    fn declared(&self) -> Declared<'_> {
        Declared(self.of())
    }
}

impl<T: Number> KeyedState for ReducingState<T> {
    type Value = T;

    fn declared(&self) -> Declared<'_> {
        Declared(self.of())
    }
}

impl KeyedState for AppendState {
    type Value = Vec<u8>;

    fn declared(&self) -> Declared<'_> {
        Declared(self.of())
    }
}

impl<T: Value> KeyedState for SetState<T> {
    type Value = T;

    fn declared(&self) -> Declared<'_> {
        Declared(self.of())
    }

    /// The host has a set as one value; its elements are taken out and put together again.
    fn conversion<Old: Decode>(convert: impl Fn(Old) -> Result<T> + 'static) -> Convert {
        each_row(move |set: Vec<u8>| {
            let elements = read_all::<Old>(&set)?.into_iter();
            let made = elements.map(|element| write(&convert(element)?));
            let made = made.collect::<Result<BTreeSet<Vec<u8>>>>()?;
            Ok(as_bytes(made.iter().map(Vec::as_slice)))
        })
    }
}

impl<A: Aggregate> KeyedState for AggregatingState<A> {
    type Value = A::Accumulator;

    fn declared(&self) -> Declared<'_> {
        Declared(self.of())
    }
}
