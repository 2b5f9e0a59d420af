//! Why a job cannot start or go on.

use crate::connector::ConnectorError;
use crate::graph::GraphError;
use crate::recovery::RecoveryError;

/// An error of a job. Each names the part of the job that it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The graph cannot run.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The checkpoint does not fit the job, or cannot be read.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// A source or sink cannot be opened.
    #[error("`{node}`: {source}")]
    Connector {
        /// The node's id.
        node: String,
        /// What is wrong.
        source: ConnectorError,
    },
    /// An operator cannot be made.
    #[error("operator `{node}`: {reason}")]
    Operator {
        /// The node's id.
        node: String,
        /// What is wrong.
        reason: String,
    },
    /// The checkpoint store failed.
    #[error("the checkpoint store: {}", .0.chain())]
    Checkpoint(#[from] statehouse_checkpoint::Error),
    /// The job ran and cannot go on.
    #[error("{reason}")]
    Failed {
        /// What happened, and where.
        reason: String,
    },
}
