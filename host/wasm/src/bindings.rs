//! The contract as Rust types.
//!
//! `describe` is generated from `wit/`. What crosses the boundary with every batch is written down by hand, with
//! wasmtime's derives, because generated types own what they hold: here, columns of the host are lent to the guest,
//! and columns of the guest are read where they lie. Each instantiation checks these types against the component's.

use wasmtime::component::{ComponentType, Lift, Lower, TypedFunc, WasmList};

mod generated {
    wasmtime::component::bindgen!({
        inline: "
            package statehouse:host;
            world descriptions {
                import statehouse:operator/describe@0.1.0;
            }
        ",
        path: "../../wit",
        world: "statehouse:host/descriptions",
    });
}

pub(crate) use generated::statehouse::operator::{describe, types};

/// The version of the contract that this host serves.
pub(crate) const VERSION: &str = "0.1.0";
/// The interface that components export.
pub(crate) const OPERATOR: &str = "statehouse:operator/operator@0.1.0";
/// The interface that components export if they take over what has changed.
pub(crate) const MIGRATION: &str = "statehouse:operator/migration@0.1.0";

/// Rows of bytes, lent to the guest.
#[derive(ComponentType, Lower, Debug, Clone, Copy)]
#[component(record)]
pub(crate) struct BytesIn<'a> {
    pub(crate) offsets: &'a [u32],
    pub(crate) arena: &'a [u8],
}

/// A column, lent to the guest.
#[derive(ComponentType, Lower, Debug, Clone, Copy)]
#[component(variant)]
pub(crate) enum ColumnIn<'a> {
    #[component(name = "u64s")]
    U64s(&'a [u64]),
    #[component(name = "s64s")]
    S64s(&'a [i64]),
    #[component(name = "f64s")]
    F64s(&'a [f64]),
    #[component(name = "bytes")]
    Bytes(BytesIn<'a>),
}

/// A batch, lent to the guest.
#[derive(ComponentType, Lower, Debug, Clone, Copy)]
#[component(record)]
pub(crate) struct BatchIn<'a> {
    pub(crate) port: u32,
    pub(crate) times: &'a [i64],
    pub(crate) slots: &'a [u32],
    pub(crate) keys: Option<ColumnIn<'a>>,
    pub(crate) values: ColumnIn<'a>,
}

/// Due timers, lent to the guest.
#[derive(ComponentType, Lower, Debug, Clone, Copy)]
#[component(record)]
pub(crate) struct TimerBatchIn<'a> {
    pub(crate) timer: u32,
    pub(crate) times: &'a [i64],
    pub(crate) namespaces: &'a [u64],
    pub(crate) slots: &'a [u32],
    pub(crate) keys: ColumnIn<'a>,
}

/// Rows of bytes, given to the guest, or given back by it as the result of a call.
#[derive(ComponentType, Lower, Lift, Debug)]
#[component(record)]
pub(crate) struct BytesGiven {
    pub(crate) offsets: Vec<u32>,
    pub(crate) arena: Vec<u8>,
}

/// A column, given to the guest, or given back by it as the result of a call.
#[derive(ComponentType, Lower, Lift, Debug)]
#[component(variant)]
pub(crate) enum ColumnGiven {
    #[component(name = "u64s")]
    U64s(Vec<u64>),
    #[component(name = "s64s")]
    S64s(Vec<i64>),
    #[component(name = "f64s")]
    F64s(Vec<f64>),
    #[component(name = "bytes")]
    Bytes(BytesGiven),
}

/// A window of state, given to the guest.
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct WindowGiven {
    pub(crate) present: Vec<u64>,
    pub(crate) values: ColumnGiven,
}

/// A page of a list, given to the guest.
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct ListPageGiven {
    pub(crate) numbers: Vec<u64>,
    pub(crate) values: ColumnGiven,
    pub(crate) more: bool,
}

/// The lists of all slots, given to the guest.
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct ListsGiven {
    pub(crate) ends: Vec<u32>,
    pub(crate) complete: Vec<u64>,
    pub(crate) values: ColumnGiven,
}

/// A page of a map, given to the guest.
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct MapPageGiven {
    pub(crate) keys: ColumnGiven,
    pub(crate) values: ColumnGiven,
    pub(crate) more: bool,
}

/// The maps of all slots, given to the guest.
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct MapsGiven {
    pub(crate) ends: Vec<u32>,
    pub(crate) complete: Vec<u64>,
    pub(crate) keys: ColumnGiven,
    pub(crate) values: ColumnGiven,
}

/// All entries of a map, given to the guest.
#[derive(ComponentType, Lower, Debug)]
#[component(record)]
pub(crate) struct EntriesGiven {
    pub(crate) keys: ColumnGiven,
    pub(crate) values: ColumnGiven,
}

/// One value, given to the guest.
#[derive(ComponentType, Lower, Debug)]
#[component(variant)]
pub(crate) enum CellGiven {
    #[component(name = "word")]
    Word(u64),
    #[component(name = "bytes")]
    Bytes(Vec<u8>),
}

/// One key or value in the guest's memory.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum CellThere {
    #[component(name = "word")]
    Word(u64),
    #[component(name = "bytes")]
    Bytes(WasmList<u8>),
}

/// An end of a range in the guest's memory.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum BoundThere {
    #[component(name = "unbounded")]
    Unbounded,
    #[component(name = "included")]
    Included(CellThere),
    #[component(name = "excluded")]
    Excluded(CellThere),
}

/// Rows of bytes in the guest's memory.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct BytesThere {
    pub(crate) offsets: WasmList<u32>,
    pub(crate) arena: WasmList<u8>,
}

/// A column in the guest's memory. Floating-point numbers are copied out: wasmtime lends integers only.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum ColumnThere {
    #[component(name = "u64s")]
    U64s(WasmList<u64>),
    #[component(name = "s64s")]
    S64s(WasmList<i64>),
    #[component(name = "f64s")]
    F64s(Vec<f64>),
    #[component(name = "bytes")]
    Bytes(BytesThere),
}

/// Why the operator refused an invocation.
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct Refusal {
    pub(crate) row: Option<u32>,
    pub(crate) reason: String,
}

/// What can have another name.
#[derive(ComponentType, Lift, Debug, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(
    dead_code,
    reason = "lifting makes cases from their numbers, which the compiler does not see"
)]
pub(crate) enum RenamedKind {
    #[component(name = "state")]
    State,
    #[component(name = "timer")]
    Timer,
}

/// Something that had another name before.
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct RenameDeclared {
    pub(crate) kind: RenamedKind,
    pub(crate) was: String,
    pub(crate) now: String,
}

/// Values that an operator can convert.
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct StepDeclared {
    pub(crate) state: String,
    #[component(name = "from-version")]
    pub(crate) from_version: u32,
}

/// What an operator takes over from its earlier versions.
#[derive(ComponentType, Lift, Debug)]
#[component(record)]
pub(crate) struct MigrationsDeclared {
    pub(crate) operator: String,
    pub(crate) renames: Vec<RenameDeclared>,
    pub(crate) steps: Vec<StepDeclared>,
}

/// How grave a log line is.
#[derive(ComponentType, Lift, Debug, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(
    dead_code,
    reason = "lifting makes cases from their numbers, which the compiler does not see"
)]
pub(crate) enum LogLevel {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

/// `describe`.
pub(crate) type Describe = TypedFunc<(), (Vec<describe::Description>,)>;
/// `open`.
pub(crate) type Open = TypedFunc<(String, Vec<(String, String)>), (Result<(), String>,)>;
/// `process`. It can be called with a batch of any lifetime.
pub(crate) type Process<'a> = TypedFunc<(BatchIn<'a>,), (Result<(), Refusal>,)>;
/// `on-timers`.
pub(crate) type OnTimers<'a> = TypedFunc<(TimerBatchIn<'a>,), (Result<(), Refusal>,)>;
/// `migrations`.
pub(crate) type ListMigrations = TypedFunc<(), (Vec<MigrationsDeclared>,)>;
/// `migrate`. It can be called with a column of any lifetime.
pub(crate) type Migrate<'a> = TypedFunc<(u32, u32, ColumnIn<'a>), (Result<ColumnGiven, Refusal>,)>;
