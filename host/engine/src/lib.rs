//! The engine: runs a graph of operators over sources and sinks, with barriers, checkpoints between invocations,
//! and recovery.
//!
//! Responsible for: the job graph and its checks, tasks and the channels between them, watermarks, the alignment of
//! barriers, the coordinator of checkpoints, publishing and restoring them.
//!
//! Not responsible for: wasm, files, command lines. Operators, connectors, backends, stores and clocks are handed in;
//! so the whole engine runs in a simulation as it runs on threads.

pub mod clock;
pub mod connector;

pub use clock::{Clock, ManualClock, SystemClock};
pub use connector::{
    ConnectorError, Malformed, Polled, Progress, Sink, SinkFactory, Source, SourceFactory,
};
