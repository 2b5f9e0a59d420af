//! What `wit-bindgen` makes of the contract: types, imports, and the macro that exports a
//! component.

wit_bindgen::generate!({
    path: "../../wit",
    world: "stream-operator",
    pub_export_macro: true,
    export_macro_name: "export_component",
});

pub use self::exports::statehouse::operator::operator::{Batch, Guest, TimerBatch};
pub use self::statehouse::operator::describe::{
    Description, KeyDescription, Metric, MetricKind, Port, State, StateKind, TimeDomain, Timer,
    ValueDescription,
};
pub use self::statehouse::operator::types::{
    BytesColumn, Codec, Column, Failure, KeyType, ValueType, Window,
};
pub use self::statehouse::operator::{context, output, state, timers};
