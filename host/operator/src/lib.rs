//! What an operator is, in Rust: the same contract as `wit/`, for components and native operators alike.
//!
//! Responsible for: descriptions, batches, the [`Operator`] trait, and the invocation of an operator as a
//! transaction over its keyed state, down to the search for the record that makes it fail.
//!
//! Not responsible for: wasm (the `wasm` crate implements the trait), graphs, tasks and checkpoints (the `engine`).
//! An embedder needs this crate, `state` and `wasm` only: a batch in, columns out.

pub mod batch;
pub mod call;
pub mod canary;
pub mod description;
pub mod evolution;
pub mod failure;
pub mod form;
pub mod invoker;
pub mod limits;
pub mod operator;
pub mod parse;
pub mod render;
pub mod shadow;
mod slots;
pub mod structure;

pub use batch::Batch;
pub use call::{Call, Collections, Level, Moment, Prefix};
pub use canary::{CanaryCounts, CanaryShare, SideCounts, canary_refusal};
pub use description::{
    Codec, Description, KeyType, MetricDeclaration, MetricKind, Port, ValueType,
};
pub use evolution::{
    Change, ChangeKind, Evolution, Left, Migrations, Rename, Renamed, Retired, StateMove, Step,
};
pub use failure::{Failure, InvokeError};
pub use form::{CellBuf, Form};
pub use invoker::{ErrorPolicy, Invoker, MigrationProgress, Sweep};
pub use limits::StateLimits;
pub use operator::{Operator, Rows, TimerRows};
pub use shadow::{Capture, ComparedPort, ComparedState, Comparison, Difference};
pub use structure::{Elements, Shape, Structure};
