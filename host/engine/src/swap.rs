//! Swaps of a running job: what is asked for, how far it is, and what is decided about it.
//!
//! The protocol, and what a failure at each stage leads to, is in `docs/internals/swap.md`.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use statehouse_operator::{CanaryShare, Evolution};

use crate::graph::OperatorFactory;

pub(crate) mod staging;
pub(crate) mod warm;

pub use self::warm::{Rollback, Warm};

/// What is asked for: other operators in the place of those that run, all of them at the same barrier.
#[derive(Debug, Clone)]
pub struct SwapRequest {
    /// Which nodes, each once.
    pub nodes: Vec<NodeSwap>,
    /// The name that the savepoint before the swap is kept under.
    pub savepoint: String,
    /// Whether what the job puts out during the trial is committed as it goes. A roll back then puts it out again.
    pub commit_outputs: bool,
    /// If set, the new operators begin on this share of the key groups, beside those that run, in a trial of its own.
    /// Both must declare the same states and timers.
    pub canary: Option<CanaryShare>,
}

/// What one node gets.
#[derive(Debug, Clone)]
pub struct NodeSwap {
    /// The node's id.
    pub node: String,
    /// Makes the new operators.
    pub factory: Arc<dyn OperatorFactory>,
    /// How they take over what the running ones left.
    pub evolution: Evolution,
}

/// How far a swap is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwapStage {
    /// The new operators are being made, or wait for a checkpoint under way to end.
    Queued,
    /// The savepoint before the swap is being made.
    Pinning {
        /// Its checkpoint.
        epoch: u64,
    },
    /// Tasks take their new operators, or promote their canaries.
    Flipping {
        /// What its barrier ends. There is no checkpoint of this number.
        epoch: u64,
    },
    /// The new operators run, and nobody has decided about them.
    Trial {
        /// What the flip's barrier ended.
        epoch: u64,
        /// When the last task had flipped, in milliseconds since 1970-01-01T00:00:00Z.
        since_ms: i64,
    },
    /// It was decided to keep them: that is so once the next checkpoint exists.
    Keeping {
        /// The checkpoint that was triggered for it, or will be. If that fails, the next one stands in for it.
        epoch: u64,
    },
    /// It is over: the new operators are the job's.
    Kept {
        /// The first checkpoint that names them.
        epoch: u64,
    },
    /// It is over: the job goes back to where the savepoint was made, with the operators as before. The run ends for
    /// that, by itself or because it failed.
    RollingBack {
        /// Why.
        reason: String,
    },
    /// It is over: it did not come to a flip, and nothing has changed.
    Refused {
        /// Why, and what to do.
        reason: String,
    },
}

impl SwapStage {
    /// Whether no other stage follows.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Kept { .. } | Self::RollingBack { .. } | Self::Refused { .. })
    }

    /// Whether tasks may have flipped.
    pub(crate) fn has_flipped(&self) -> bool {
        matches!(self, Self::Flipping { .. } | Self::Trial { .. } | Self::Keeping { .. })
    }
}

impl fmt::Display for SwapStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queued => write!(f, "queued"),
            Self::Pinning { epoch } => write!(f, "pinning checkpoint {epoch}"),
            Self::Flipping { epoch } => write!(f, "flipping at epoch {epoch}"),
            Self::Trial { epoch, .. } => write!(f, "on trial since epoch {epoch}"),
            Self::Keeping { epoch } => write!(f, "to be kept with checkpoint {epoch}"),
            Self::Kept { epoch } => write!(f, "kept since checkpoint {epoch}"),
            Self::RollingBack { reason } => write!(f, "rolled back: {reason}"),
            Self::Refused { reason } => write!(f, "refused: {reason}"),
        }
    }
}

/// What is decided about a swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A trial has gone well: a canary is promoted, which begins another trial; else the new operators are kept. At
    /// any other stage it means nothing.
    Keep,
    /// It is not to be. Before the flip the swap is refused, after it the job rolls back. Once the checkpoint that
    /// keeps the swap is being published, it is too late.
    RollBack {
        /// Why, in words.
        reason: String,
    },
}

/// A swap to look on at. Clones look at the same one.
#[derive(Debug, Clone)]
pub struct SwapTicket {
    progress: Arc<Progress>,
}

#[derive(Debug)]
struct Progress {
    nodes: String,
    stage: Mutex<SwapStage>,
    moved: Condvar,
}

impl SwapTicket {
    pub(crate) fn new(request: &SwapRequest) -> Self {
        let ids = request.nodes.iter().map(|node| format!("`{}`", node.node));
        let nodes = ids.collect::<Vec<_>>().join(", ");
        let (stage, moved) = (Mutex::new(SwapStage::Queued), Condvar::new());
        Self { progress: Arc::new(Progress { nodes, stage, moved }) }
    }

    /// The swapped nodes, in words.
    pub(crate) fn nodes(&self) -> &str {
        &self.progress.nodes
    }

    /// How far it is.
    pub fn stage(&self) -> SwapStage {
        self.progress.stage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it is at another stage than this one, or the time is over. Returns the stage that it is at.
    pub fn wait_past(&self, stage: &SwapStage, patience: Duration) -> SwapStage {
        let now = self.progress.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.progress.moved.wait_timeout_while(now, patience, |now| now == stage);
        let (now, _) = waited.unwrap_or_else(PoisonError::into_inner);
        now.clone()
    }

    /// Goes to another stage, unless it is over.
    pub(crate) fn advance(&self, stage: SwapStage) {
        let mut now = self.progress.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if !now.is_final() {
            *now = stage;
            self.progress.moved.notify_all();
        }
    }

    /// Says that the run ends, which ends the swap with it, if it is not over.
    pub(crate) fn run_ends(&self, reason: &str) {
        let reason = match self.stage().has_flipped() {
            true => format!(
                "{reason} before a checkpoint kept the swap: the next run resumes from the newest checkpoint, with the \
                 component that it names"
            ),
            false => {
                format!("{reason} before the swap; nothing has changed, ask again when it runs")
            }
        };
        self.advance(match self.stage().has_flipped() {
            true => SwapStage::RollingBack { reason },
            false => SwapStage::Refused { reason },
        });
    }
}

#[cfg(test)]
mod tests;
