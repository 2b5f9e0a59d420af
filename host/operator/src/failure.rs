//! How an invocation can end badly. A guest's failure is a value: it never harms the host.

use std::time::Duration;

/// Why one call of an operator did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The operator refused the batch.
    #[error("{reason}")]
    Refused {
        /// The row that it blames, if it knows.
        row: Option<u32>,
        /// In its own words.
        reason: String,
    },
    /// The operator trapped, or broke the contract.
    #[error("trapped: {reason}")]
    Trapped {
        /// What the trap was, and where.
        reason: String,
    },
    /// The call ran past its deadline.
    #[error("ran past its deadline of {limit:?}")]
    DeadlineExceeded {
        /// The time that a call may take.
        limit: Duration,
    },
    /// The operator asked for more memory than it may have.
    #[error("asked for more than the {limit_bytes} bytes of memory that it may have")]
    MemoryExceeded {
        /// The memory that an instance may have.
        limit_bytes: usize,
    },
    /// The host could not do its part (storage failed, an instance could not be made). No record is to blame.
    #[error("the host failed: {reason}")]
    Host {
        /// What failed.
        reason: String,
    },
}

impl Failure {
    /// Whether a record can be to blame, so that looking for it makes sense.
    pub fn can_blame_record(&self) -> bool {
        !matches!(self, Self::Host { .. })
    }
}

impl From<statehouse_state::Error> for Failure {
    fn from(error: statehouse_state::Error) -> Self {
        match error {
            statehouse_state::Error::Access { reason } => Self::Trapped { reason },
            other => Self::Host { reason: other.to_string() },
        }
    }
}

/// Why a job cannot go on after an invocation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// A record that the operator cannot take, and the policy says `fail`.
    #[error(
        "operator `{operator}` cannot take a record of input `{port}`: {failure}; the record: {record}; set \
         `on-error = \"skip\"` or `\"dead-letter\"` for the operator to go on without such records"
    )]
    PoisonRecord {
        /// The operator.
        operator: String,
        /// The input port.
        port: String,
        /// What happened.
        failure: Failure,
        /// The record, readable.
        record: String,
    },
    /// Timers that the operator cannot take, and the policy says `fail`.
    #[error(
        "operator `{operator}` cannot take its timer `{timer}` at {time} of key {key}: {failure}"
    )]
    PoisonTimer {
        /// The operator.
        operator: String,
        /// The timer family.
        timer: String,
        /// When it was to fire.
        time: i64,
        /// Whose it was, readable.
        key: String,
        /// What happened.
        failure: Failure,
    },
    /// A value of an earlier version that the operator cannot convert, and the policy says `fail`.
    #[error(
        "operator `{operator}` cannot migrate its state `{state}` of schema version {from_version} for key {key}: \
         {reason}; go back to the version of the operator before it, or set `on-error = \"skip\"` or \
         `\"dead-letter\"` for it to go on without the records of such keys"
    )]
    Unmigrated {
        /// The operator.
        operator: String,
        /// The state, by the name that it had.
        state: String,
        /// The schema version of the value.
        from_version: u32,
        /// Whose it is, readable.
        key: String,
        /// What happened.
        reason: String,
    },
    /// The host could not do its part.
    #[error("operator `{operator}` cannot go on: {reason}")]
    Host {
        /// The operator.
        operator: String,
        /// What failed.
        reason: String,
    },
}
