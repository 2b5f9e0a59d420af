//! What `wit-bindgen` makes of the contract: types, imports, and the macro that exports a
//! component.

wit_bindgen::generate!({
    path: "../../wit",
    world: "stream-operator-with-migration",
    pub_export_macro: true,
    export_macro_name: "export_component",
});

pub use self::exports::statehouse::operator::migration::{
    Guest as MigrationGuest, OperatorMigrations, Rename, Renamed, Step,
};
pub use self::exports::statehouse::operator::operator::{Batch, Guest, TimerBatch};
pub use self::statehouse::operator::describe::{
    Description, KeyDescription, Merge, Metric, MetricKind, Port, State, StateKind, TaskState,
    TaskStateKind, TimeDomain, Timer, Ttl, TtlUpdate, TtlVisibility, ValueDescription,
};
pub use self::statehouse::operator::list_state::{Lists, Page as ListPage};
pub use self::statehouse::operator::map_state::{Maps, Page as MapPage};
pub use self::statehouse::operator::task_state::Entries;
pub use self::statehouse::operator::types::{
    Bound, BytesColumn, Cell, Codec, Column, Failure, KeyType, ValueType, Window,
};
pub use self::statehouse::operator::{
    context, list_state, map_state, output, state, task_state, timers,
};
