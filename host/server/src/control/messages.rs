//! Requests and answers of the control endpoint: plain data, the same for both sides.
//!
//! A field that one side does not know is passed over, so that either may be newer than the other.

mod swaps;

use serde::{Deserialize, Serialize};
use statehouse_engine::{Ending, Stop};

pub use swaps::*;

/// The paths of the endpoint.
pub mod path {
    /// `GET`: [`JobStatus`](super::JobStatus).
    pub const JOB: &str = "/v1/job";
    /// `POST` [`CreateSavepoint`](super::CreateSavepoint): [`SavepointCreated`](super::SavepointCreated).
    pub const SAVEPOINTS: &str = "/v1/savepoints";
    /// `POST`: [`CheckpointStatus`](super::CheckpointStatus) of a checkpoint that is taken at once.
    pub const CHECKPOINTS: &str = "/v1/checkpoints";
    /// `POST`: [`JobEnded`](super::JobEnded), when the job has.
    pub const CANCEL: &str = "/v1/cancel";
    /// `PUT` of a component's bytes: [`ComponentTaken`](super::ComponentTaken).
    pub const COMPONENTS: &str = "/v1/components";
    /// `POST` [`CreateSwap`](super::CreateSwap): [`SwapStatus`](super::SwapStatus); `GET`:
    /// [`SwapList`](super::SwapList).
    pub const SWAPS: &str = "/v1/swaps";
    /// `GET`: [`SwapStatus`](super::SwapStatus).
    pub const SWAP: &str = "/v1/swaps/{id}";
    /// `POST` [`DecideSwap`](super::DecideSwap): [`SwapStatus`](super::SwapStatus).
    pub const DECISION: &str = "/v1/swaps/{id}/decision";
}

/// A running job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    /// Its name.
    pub name: String,
    /// Whether it is on its way to its end.
    pub state: JobState,
    /// The process that runs it.
    pub pid: u32,
    /// When it started, in milliseconds since 1970.
    pub started_ms: i64,
    /// Where its checkpoints are, if anywhere.
    pub place: Option<String>,
    /// The checkpoint that it resumed from.
    pub resumed_from: Option<u64>,
    /// Every task with its counters.
    pub tasks: Vec<TaskStatus>,
    /// How many checkpoints this run has published.
    pub checkpoint_count: u64,
    /// The newest of them, in order.
    pub checkpoints: Vec<CheckpointStatus>,
}

/// What a running job is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Its state is being restored.
    Starting,
    /// It takes in records.
    Running,
    /// It was asked to end, and does.
    Ending,
}

/// A task and its counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// The node's id.
    pub node: String,
    /// The task's number within the node.
    pub task: u32,
    /// `source`, `operator` or `sink`.
    pub kind: String,
    /// Records taken in.
    pub records_in: u64,
    /// Batches taken in.
    pub batches_in: u64,
    /// Records sent on.
    pub records_out: u64,
    /// Records and timers that the node could not take.
    pub rejected: u64,
    /// How far a source is, in units of its own.
    pub progress_done: u64,
    /// How far a source has to go; 0 if that is not known.
    pub progress_total: u64,
    /// The task's watermark, in milliseconds since 1970; none before the first and after the last.
    pub watermark_ms: Option<i64>,
}

/// A checkpoint that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointStatus {
    /// The epoch that it ended.
    pub epoch: u64,
    /// When it was triggered, in milliseconds since 1970.
    pub triggered_ms: i64,
    /// From the trigger to the manifest.
    pub duration_ms: u64,
    /// Bytes written for it, without the manifest.
    pub written_bytes: u64,
    /// Bytes of state that it stands for.
    pub state_bytes: u64,
}

/// Asks for a savepoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateSavepoint {
    /// Its name, which must not be taken.
    pub name: String,
    /// What the job does when it exists; `None`: it goes on.
    #[serde(default)]
    pub then: Option<Then>,
}

/// What a job does after a savepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// It ends, to go on later from the savepoint.
    Stop,
    /// It ends for good: time runs to its end first, so that all windows and timers of event time fire.
    Drain,
}

/// A savepoint that exists now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavepointCreated {
    /// Its name.
    pub name: String,
    /// The checkpoint that it pins.
    pub epoch: u64,
    /// From the request to the savepoint.
    pub duration_ms: u64,
    /// How the job ended, if it was to end.
    pub ended: Option<JobEnded>,
}

/// How a job has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEnded {
    /// In which way.
    pub status: EndStatus,
    /// Why it failed, if it did.
    pub reason: Option<String>,
}

/// The ways in which a job can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndStatus {
    /// All input was read.
    Completed,
    /// It was stopped with a checkpoint, to go on later.
    Stopped,
    /// It was stopped for good after time had run to its end.
    Drained,
    /// It was given up without a last checkpoint.
    Cancelled,
    /// It could not go on.
    Failed,
}

impl From<Ending> for EndStatus {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Finished => Self::Completed,
            Ending::Stopped(Stop::Checkpoint) => Self::Stopped,
            Ending::Stopped(Stop::Drain) => Self::Drained,
            Ending::Stopped(Stop::Cancel) => Self::Cancelled,
            // Nobody went on with it.
            Ending::RolledBack(_) => Self::Failed,
        }
    }
}

impl EndStatus {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Stopped => "stopped",
            Self::Drained => "drained",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// A request that was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which kind: `bad-request`, `conflict`, `busy`, `not-found` or `failed`.
    pub code: String,
    /// Why, and what to do.
    pub error: String,
}
