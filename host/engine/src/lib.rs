//! The engine: runs a graph of operators over sources and sinks, with barriers, checkpoints between invocations,
//! and recovery.
//!
//! Responsible for: the job graph and its checks, tasks and the channels between them, watermarks, the alignment of
//! barriers, the coordinator of checkpoints, publishing and restoring them.
//!
//! Not responsible for: wasm, files, command lines. Operators, connectors, backends, stores and clocks are handed in;
//! so the whole engine runs in a simulation as it runs on threads.

mod barrier;
mod budget;
mod channel;
pub mod clock;
pub mod connector;
mod coordinator;
pub mod driver;
mod element;
pub mod error;
pub mod graph;
pub mod handle;
pub mod job;
pub mod metrics;
pub mod publish;
pub mod recovery;
pub mod savepoint;
pub mod settings;
pub mod swap;
pub mod task;
pub mod threads;
mod version;
mod watermark;

pub use clock::{Clock, ManualClock, SystemClock};
pub use connector::{
    ConnectorError, Malformed, Polled, Progress, Sink, SinkFactory, Source, SourceFactory,
};
pub use driver::{Driver, Turn};
pub use error::JobError;
pub use graph::{DEAD_LETTERS, Graph, GraphError, Node, NodeKind, OperatorFactory};
pub use handle::{
    CaptureRequest, CaptureTicket, Ending, JobHandle, Stop, TaskCapture, TaskEntry, TaskKind,
};
pub use job::{Assembled, BackendFactory, BackendRequest, JobPlan, assemble};
pub use metrics::TaskMetrics;
pub use publish::{CheckpointRecord, Checkpoints, Publisher};
pub use recovery::{RecoveryError, RestorePoint};
pub use savepoint::{SavepointRecord, SavepointRequest, SavepointResult, SavepointTicket};
pub use settings::{CheckpointSettings, Mode};
pub use swap::{Decision, NodeSwap, Rollback, SwapRequest, SwapStage, SwapTicket, Warm};
pub use task::{Step, Task};
