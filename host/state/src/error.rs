//! What can go wrong with keyed state.

/// An error of keyed state. Each names the object that it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A column whose parts do not fit together.
    #[error("malformed column: {reason}")]
    Column {
        /// What does not fit.
        reason: String,
    },
    /// A declaration that this backend cannot serve.
    #[error("state `{state}` cannot be served: {reason}")]
    Declaration {
        /// The state's name.
        state: String,
        /// Why.
        reason: String,
    },
    /// A declaration of timers that this backend cannot serve.
    #[error("timers `{timer}` cannot be served: {reason}")]
    Timers {
        /// The family's name.
        timer: String,
        /// Why.
        reason: String,
    },
    /// An access that the declaration does not allow.
    #[error("refused access to state: {reason}")]
    Access {
        /// What was tried.
        reason: String,
    },
    /// A snapshot's segment that cannot be read.
    #[error("segment of {group} cannot be restored: {reason}")]
    Segment {
        /// The key group.
        group: crate::KeyGroup,
        /// What is wrong with it.
        reason: String,
    },
    /// A snapshot was asked for while another one runs.
    #[error("snapshot of epoch {epoch} cannot start: the snapshot of epoch {running} still runs")]
    SnapshotRunning {
        /// The epoch asked for.
        epoch: u64,
        /// The epoch of the running one.
        running: u64,
    },
    /// Files that cannot be read or written.
    #[error("storage at {path}: {reason}; {advice}", path = path.display())]
    Storage {
        /// The directory.
        path: std::path::PathBuf,
        /// What was tried, and why it failed.
        reason: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// State that another operator, or another version of it, left behind.
    #[error("state in {path} cannot be restored: {reason}")]
    Tables {
        /// The directory.
        path: std::path::PathBuf,
        /// What does not fit, and what to do about it.
        reason: String,
    },
}
