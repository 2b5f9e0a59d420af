//! Write Statehouse stream operators in Rust.
//!
//! An operator is a struct whose fields are its states, outputs and timers, and whose methods take
//! records one at a time. The SDK turns that into what the host wants: whole columns of records,
//! and windows of state, so that nothing crosses the sandbox once a record. The host keeps the
//! state, checkpoints it and may replace the operator's code without losing it.
//!
//! ```
//! use statehouse::prelude::*;
//!
//! /// Counts words.
//! struct Count {
//!     seen: ValueState<u64>,
//!     counts: Output<(String, u64)>,
//! }
//!
//! impl Operator for Count {
//!     const NAME: &str = "count";
//!
//!     fn new(setup: &mut Setup<Self>) -> Self {
//!         setup.keyed_input("words", Self::on_word);
//!         Count { seen: setup.value("seen"), counts: setup.output("counts") }
//!     }
//! }
//!
//! impl Count {
//!     fn on_word(&mut self, word: Record<String, u64>) -> Result<()> {
//!         let seen = self.seen.get_or_default() + word.value;
//!         self.seen.set(seen);
//!         self.counts.emit(&(word.key, seen))
//!     }
//! }
//!
//! statehouse::export!(Count);
//!
//! // Without Wasm, in a plain test:
//! let mut harness = TestHarness::<Count>::new();
//! harness.send("words", "tea", 1_u64, 0);
//! harness.send("words", "tea", 2_u64, 0);
//! assert_eq!(harness.take_values::<(String, u64)>("counts").last(), Some(&("tea".into(), 3)));
//! ```
//!
//! The host keeps these kinds of state, each declared with a name on [`Setup`] and kept as a field of
//! the operator:
//!
//! | declared by | is | holds |
//! |---|---|---|
//! | [`value`](Setup::value) | [`ValueState`] | one value a key |
//! | [`list`](Setup::list) | [`ListState`] | a list a key; adding reads nothing |
//! | [`map`](Setup::map) | [`MapState`] | a map a key, in the order of its keys, of any size |
//! | `sum`, `min`, `max`, [`count`](Setup::count) | [`ReducingState`] | a number a key that the host merges into |
//! | [`append`](Setup::append) | [`AppendState`] | bytes a key that the host appends to |
//! | [`set`](Setup::set) | [`SetState`] | a small set a key that the host adds to |
//! | [`aggregating`](Setup::aggregating) | [`AggregatingState`] | what an [`Aggregate`] gathers for a key |
//! | [`split`](Setup::split), [`union`](Setup::union) | [`TaskList`] | a list of the task's, without keys |
//! | [`broadcast`](Setup::broadcast) | [`BroadcastState`] | a map that is the same in every task |
//!
//! All but the last two may [expire](Setup::expiring). [`Timer`]s belong to a key, too.
//!
//! What a handler may rely on:
//!
//! - It sees the state and timers of its record's key, and of no other.
//! - A batch is a transaction. When a handler returns an error, nothing of its batch has happened;
//!   the host hands the batch out again without the record, which goes to the job's policy for bad
//!   records with the reason.
//! - A panic is worse than an error: the instance is thrown away, and the host has to search for
//!   the record.
//! - There are no files, no network, no clock and no randomness but those of [`Context`].

#[doc(hidden)]
pub mod bindings;
mod call;
mod codec;
mod column;
#[doc(hidden)]
pub mod component;
mod context;
mod error;
mod harness;
mod host;
mod instance;
mod lineage;
mod local;
mod output;
mod record;
mod settings;
mod setup;
mod state;
mod task;
mod timer;
mod ttl;
mod window;

pub use codec::{Decode, Encode, Json, Value};
pub use context::{Context, Counter, Gauge};
pub use error::{Error, Result};
pub use harness::{Batch, LogLine, Reject, TestHarness};
pub use lineage::KeyedState;
pub use output::{KeyedOutput, Output};
pub use record::{Fired, OnRecord, OnTimer, Operator, Record};
pub use setup::{Expiring, Setup};
pub use state::ValueState;
pub use state::aggregating::{Aggregate, AggregatingState};
pub use state::append::AppendState;
pub use state::list::ListState;
pub use state::map::{MapRange, MapState};
pub use state::reducing::{Number, ReducingState};
pub use state::set::SetState;
pub use task::TaskList;
pub use task::broadcast::BroadcastState;
pub use timer::Timer;
pub use ttl::Ttl;
pub use window::{OnWindow, Trigger, Window, Windowed, Windows};

/// What an operator's source file needs.
pub mod prelude {
    pub use crate::{
        Aggregate, AggregatingState, AppendState, BroadcastState, Context, Counter, Error, Fired,
        Gauge, Json, KeyedOutput, KeyedState, ListState, MapState, Operator, Output, Record,
        ReducingState, Result, SetState, Setup, TaskList, TestHarness, Timer, Trigger, Ttl,
        ValueState, Window, Windowed, Windows, bail, error,
    };
    pub use serde::{Deserialize, Serialize};
}

/// Makes the crate a component that holds these operators: `statehouse::export!(Split, Count);`
///
/// On any target but Wasm it only checks that they are operators, so that the crate can be tested
/// as usual.
#[macro_export]
macro_rules! export {
    ($($operator:ty),+ $(,)?) => {
        const _: () = {
            const OPERATORS: &[$crate::component::Exported] =
                &[$($crate::component::Exported::of::<$operator>()),+];

            struct Component;

            impl $crate::bindings::Guest for Component {
                fn describe() -> ::std::vec::Vec<$crate::bindings::Description> {
                    $crate::component::describe(OPERATORS, ::std::env!("CARGO_PKG_VERSION"))
                }

                fn open(
                    operator: ::std::string::String,
                    settings: ::std::vec::Vec<(::std::string::String, ::std::string::String)>,
                ) -> ::std::result::Result<(), ::std::string::String> {
                    $crate::component::open(OPERATORS, &operator, &settings)
                }

                fn process(
                    batch: $crate::bindings::Batch,
                ) -> ::std::result::Result<(), $crate::bindings::Failure> {
                    $crate::component::process(batch)
                }

                fn on_timers(
                    timers: $crate::bindings::TimerBatch,
                ) -> ::std::result::Result<(), $crate::bindings::Failure> {
                    $crate::component::on_timers(timers)
                }
            }

            impl $crate::bindings::MigrationGuest for Component {
                fn migrations() -> ::std::vec::Vec<$crate::bindings::OperatorMigrations> {
                    $crate::component::migrations(OPERATORS)
                }

                fn migrate(
                    state: u32,
                    from_version: u32,
                    values: $crate::bindings::Column,
                ) -> ::std::result::Result<$crate::bindings::Column, $crate::bindings::Failure> {
                    $crate::component::migrate(state, from_version, values)
                }
            }

            // Uses it on every target: nothing of an operator is dead code because it is not Wasm.
            const _: Component = Component;

            #[cfg(target_family = "wasm")]
            $crate::bindings::export_component!(Component with_types_in $crate::bindings);
        };
    };
}
