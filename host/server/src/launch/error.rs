//! Why a job does not start.

use std::path::PathBuf;

use statehouse_checkpoint::Epoch;
use statehouse_engine::{JobError, RecoveryError};

use super::choose::{self, Chosen};

/// Why a job does not start. Nothing has run then, and nothing is lost.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum LaunchError {
    #[error(transparent)]
    Checkpoint(#[from] statehouse_checkpoint::Error),
    #[error(
        "the newest checkpoint in `{place}` is damaged; nothing was started and nothing changed\n{advice}"
    )]
    Damaged { place: String, advice: String },
    #[error("there is no checkpoint {epoch} in `{place}`; there {known}")]
    NoSuchCheckpoint { epoch: Epoch, place: String, known: String },
    #[error(
        "there is no savepoint `{name}` in `{place}`, and no folder of that name; there {known}"
    )]
    NoSuchSavepoint { name: String, place: String, known: String },
    #[error("there is no checkpoint in `{place}` to start from")]
    NoCheckpoints { place: String },
    #[error(
        "there is no checkpoint in `{place}`, but {known}: start from one of them with `--from NAME`, or from nothing \
         with `--fresh`"
    )]
    SavepointsOnly { place: String, known: String },
    #[error(
        "the run before was to go on from checkpoints of {known}, and ended before it had a checkpoint of its own: \
         start it again with the same `--from` or `--fork-from`, or from nothing with `--fresh`"
    )]
    OriginsOnly { known: String },
    #[error(
        "`--from {what}` names something in the job's own store, and the job file has no `[checkpoint]` table"
    )]
    NoPlace { what: String },
    #[error("`--from {given}`: {reason}")]
    BadSource { given: String, reason: String },
    #[error(
        "`--claim` takes a savepoint over and deletes it later, and checkpoint {epoch} is none: name a savepoint by \
         `--from`, or leave `--claim` out"
    )]
    NothingToClaim { epoch: Epoch },
    #[error(
        "`{place}` is the job's own: a fork is a job with checkpoints of its own; set `dir` of its `[checkpoint]` to \
         another place, or use `--from`"
    )]
    ForkOfItself { place: String },
    #[error(
        "`{place}` cannot be pinned, so its job could delete what this run needs: {reason}\nmake it writable, or copy \
         the checkpoint with `statehouse checkpoint copy` and start from the copy"
    )]
    CannotPin { place: String, reason: String },
    #[error(
        "the folder of local state `{}` cannot be emptied: {source}; make it writable, or set `directory` of `[state]`",
        directory.display()
    )]
    StateFolder {
        directory: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "the folder of local state `{}` is in use by another process{}; stop it first, or set `directory` of `[state]`",
        directory.display(),
        pid.map(|pid| format!(" ({pid})")).unwrap_or_default()
    )]
    StateFolderTaken { directory: PathBuf, pid: Option<u32> },
    #[error(
        "operator `{operator}` was swapped to component {component} before checkpoint {epoch}, and that cannot be had: \
         {reason}\nthe component of the job file is taken instead with `--component-from-file`, if it fits the state"
    )]
    SwappedIn { operator: String, component: String, epoch: u64, reason: String },
    #[error(
        "with the components that were swapped in the job does not fit together any more: {0}; change the job file \
         back, or take the components that it names with `--component-from-file`"
    )]
    Graph(#[from] statehouse_engine::GraphError),
    #[error(transparent)]
    Job(JobError),
}

/// Damage that was found while restoring is told with the way out.
pub(super) fn explain(error: JobError, chosen: Option<&Chosen>) -> LaunchError {
    let (
        JobError::Recovery(RecoveryError::Unreadable { .. } | RecoveryError::State { .. }),
        Some(chosen),
    ) = (&error, chosen)
    else {
        return LaunchError::Job(error);
    };
    match choose::advice(&chosen.store).ok().flatten() {
        Some(advice) => LaunchError::Damaged { place: chosen.place.to_string(), advice },
        None => LaunchError::Job(error),
    }
}
