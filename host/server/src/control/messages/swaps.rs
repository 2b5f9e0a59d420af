//! Requests and answers about swaps.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use statehouse_operator::Change;

/// A component that the endpoint has taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentTaken {
    /// The BLAKE3 hash of its bytes: what swaps name it by.
    pub digest: String,
    /// Its size.
    pub size_bytes: u64,
}

/// Asks for a swap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreateSwap {
    /// What is to be replaced, all at one barrier.
    pub operators: Vec<SwapOperator>,
    /// Nothing is done: the answer is the plan.
    #[serde(default)]
    pub plan_only: bool,
    /// States that the new version does not declare are dropped.
    #[serde(default)]
    pub allow_dropped_state: bool,
    /// The new component may import what the old one does not.
    #[serde(default)]
    pub allow_new_imports: bool,
    /// Before the swap, the new version runs this many batches of each task beside the old one.
    #[serde(default)]
    pub shadow: Option<u32>,
    /// A shadow run that differs refuses the swap.
    #[serde(default)]
    pub shadow_must_match: bool,
    /// What the trial must meet.
    #[serde(default)]
    pub watch: Watch,
    /// Checkpoints go on during the trial, and what it puts out is committed: a rollback may put it out twice.
    #[serde(default)]
    pub commit_outputs: bool,
    /// The trial begins with this share of the key groups, in percent.
    #[serde(default)]
    pub canary: Option<f64>,
    /// The savepoint before the swap is kept under this name.
    #[serde(default)]
    pub savepoint: Option<String>,
}

/// What is to be replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapOperator {
    /// The operator's id in the job.
    pub id: String,
    /// By what.
    pub to: SwapTo,
    /// Which of the component's operators; `None`: the one with the same name as before, or the only one.
    #[serde(default)]
    pub operator: Option<String>,
}

/// What an operator is replaced by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SwapTo {
    /// The component with this digest, or the only one in the job's store whose digest begins so.
    Component(String),
    /// The component that it had before the one that it has.
    Back,
}

/// What a trial must meet. What is `None` is not looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Watch {
    /// How long, in milliseconds; 0: it is kept at once.
    pub for_ms: u64,
    /// The most rejected records; `None`: a share of one percent above that of the time before.
    pub max_rejected: Option<u64>,
    /// The time for each record, at most this many times that of the time before.
    pub max_latency_factor: Option<f64>,
    /// The records out for each record in, at least this many times those of the time before.
    pub min_output_factor: Option<f64>,
    /// Conditions over the operator's counters.
    pub invariants: Vec<String>,
}

/// How long a trial is watched unless the user says otherwise.
pub const WATCH_MS: u64 = 30_000;

impl Default for Watch {
    fn default() -> Self {
        Self {
            for_ms: WATCH_MS,
            max_rejected: None,
            max_latency_factor: None,
            min_output_factor: None,
            invariants: Vec::new(),
        }
    }
}

/// All swaps that this process knows of, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwapList {
    /// They.
    pub swaps: Vec<SwapStatus>,
}

/// A swap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwapStatus {
    /// What it is called.
    pub id: String,
    /// Whether it is a plan and nothing more.
    #[serde(default)]
    pub plan_only: bool,
    /// How far it is.
    pub stage: SwapStageName,
    /// The stages that it has come to, with the time of each in milliseconds since 1970.
    pub passed: Vec<(SwapStageName, i64)>,
    /// When it was asked for, in milliseconds since 1970.
    pub asked_ms: i64,
    /// Who asked.
    pub who: String,
    /// The operators.
    pub operators: Vec<String>,
    /// What it means, when that is known.
    pub plan: Option<SwapPlan>,
    /// What the shadow run found, for each operator, when it has run.
    pub shadow: Vec<ShadowReport>,
    /// The savepoint that a rollback goes back to, when it exists.
    pub savepoint: Option<String>,
    /// The epoch of the barrier that it happened, or is to happen, at.
    pub epoch: Option<u64>,
    /// When the trial began, in milliseconds since 1970.
    pub trial_since_ms: Option<i64>,
    /// How long it is watched, in milliseconds.
    pub watch_ms: u64,
    /// What was counted, before and in the trial, by operator.
    pub counted: Vec<Counted>,
    /// Why it was refused or rolled back.
    pub reason: Option<String>,
}

/// How far a swap is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SwapStageName {
    /// It waits for the job to run, or to take it up.
    Queued,
    /// The component is compiled and compared with the one that runs.
    Planning,
    /// Only the plan was asked for, and it is there.
    Planned,
    /// The new version runs batches beside the old one.
    Shadow,
    /// The savepoint before it is made.
    Pinning,
    /// The barrier at which it happens is on its way.
    Flipping,
    /// Some key groups have the new version, and are watched.
    Canary,
    /// All key groups have the new version, and are watched.
    Trial,
    /// It stays; the checkpoint that says so is made.
    Keeping,
    /// The job goes back to the savepoint.
    RollingBack,
    /// It is done.
    Kept,
    /// The job runs as before.
    RolledBack,
    /// It was not done, and nothing changed.
    Refused,
}

impl SwapStageName {
    /// Whether nothing more happens.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Planned | Self::Kept | Self::RolledBack | Self::Refused)
    }

    /// The words for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Planning => "planning",
            Self::Planned => "planned",
            Self::Shadow => "shadow run",
            Self::Pinning => "pinning a savepoint",
            Self::Flipping => "flipping",
            Self::Canary => "canary",
            Self::Trial => "trial",
            Self::Keeping => "keeping",
            Self::RollingBack => "rolling back",
            Self::Kept => "kept",
            Self::RolledBack => "rolled back",
            Self::Refused => "refused",
        }
    }
}

/// What a swap would mean.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SwapPlan {
    /// Whether it would be done as it was asked for.
    pub accepted: bool,
    /// Why it cannot be done.
    pub refusals: Vec<String>,
    /// What is missing for it to be done: what to allow, and why.
    pub approvals: Vec<Approval>,
    /// For each operator, what becomes of it.
    pub operators: Vec<OperatorPlan>,
}

/// Something that a user has to allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// What it is, in words.
    pub what: String,
    /// What to pass: `allow-dropped-state`, `allow-new-imports`.
    pub pass: String,
    /// Whether it was passed.
    pub given: bool,
}

/// What becomes of one operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorPlan {
    /// Its id.
    pub id: String,
    /// The component that runs, if one does, and its version.
    pub from: Option<VersionName>,
    /// The new one.
    pub to: VersionName,
    /// What becomes of states, timers and ports.
    pub changes: Vec<Change>,
    /// Imports of the new component that the old one does not have.
    pub new_imports: Vec<String>,
}

/// A component and the version of its operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionName {
    /// The component's digest.
    pub component: String,
    /// The operator's name in it.
    pub operator: String,
    /// The operator's own version.
    pub version: String,
}

/// What the shadow run of one task's batches found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowReport {
    /// The operator's id.
    pub id: String,
    /// The task.
    pub task: u32,
    /// Whether outputs and state are the same.
    pub is_same: bool,
    /// The comparison.
    pub comparison: Value,
}

/// What was counted for one operator, by counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The operator's id.
    pub id: String,
    /// Until the flip.
    pub before: std::collections::BTreeMap<String, u64>,
    /// Since then.
    pub trial: std::collections::BTreeMap<String, u64>,
}

/// What a user decides about a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecideSwap {
    /// Which way.
    pub decision: SwapDecision,
}

/// What a user can decide about a swap under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SwapDecision {
    /// The trial ends well now.
    Keep,
    /// The trial ends badly now; before it, the swap is given up.
    Abort,
}
