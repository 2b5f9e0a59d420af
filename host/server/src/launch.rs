//! Starting a job: the directory is locked, the job claimed, the checkpoint chosen, everything assembled.
//!
//! What can be refused is refused before anything is written: a job that does not fit, a directory that is taken, a
//! newest checkpoint that is damaged. Going back to an older checkpoint loses what came after it, so that is never
//! done by itself: the user says `--from`.

mod backends;
mod choose;
#[cfg(test)]
mod tests;

use std::num::NonZero;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use futures::executor::block_on;
use statehouse_checkpoint::{DirectoryLock, Epoch};
use statehouse_engine::{
    Assembled, Checkpoints, Clock, Graph, JobError, JobPlan, RecoveryError, SystemClock, assemble,
};

use crate::job_file::JobFile;
use backends::Backends;

pub use backends::{StateFolder, heap_backends, rocks_backends};
pub use choose::{checkpoint_directory, newest_listed, open_to_look};

/// Where a run starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StartFrom {
    /// At the newest checkpoint, if there is one.
    #[default]
    Newest,
    /// At the beginning, although there may be checkpoints. They stay.
    Nothing,
    /// At this checkpoint of the job's own directory.
    Epoch(Epoch),
    /// At the newest checkpoint of another directory, which is only read.
    Directory(PathBuf),
}

impl FromStr for StartFrom {
    type Err = std::convert::Infallible;

    /// What `--from` takes: a number is a checkpoint of the job's own directory, anything else a directory.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.parse().map_or_else(|_| Self::Directory(PathBuf::from(text)), Self::Epoch))
    }
}

/// Why a job does not start. Nothing has run then, and nothing is lost.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum LaunchError {
    #[error(transparent)]
    Checkpoint(#[from] statehouse_checkpoint::Error),
    #[error(
        "the newest checkpoint in `{}` is damaged; nothing was started and nothing changed\n{advice}",
        directory.display()
    )]
    Damaged { directory: PathBuf, advice: String },
    #[error("there is no checkpoint {epoch} in `{}`; there {known}", directory.display())]
    NoSuchCheckpoint { epoch: Epoch, directory: PathBuf, known: String },
    #[error("there is no checkpoint in `{}` to start from", directory.display())]
    NoCheckpoints { directory: PathBuf },
    #[error(
        "`--from {epoch}` names a checkpoint of the job's own directory, and the job file has no `[checkpoint]` table"
    )]
    NoDirectory { epoch: Epoch },
    #[error("`--from {}`: {reason}", given.display())]
    BadSource { given: PathBuf, reason: String },
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
    #[error(transparent)]
    Job(JobError),
}

/// A job that is ready to run.
#[derive(Debug)]
pub struct Launched {
    /// The job.
    pub job: Assembled,
    /// The time that it runs by.
    pub clock: Arc<dyn Clock>,
    /// The checkpoint that it resumes from.
    pub resumed_from: Option<ResumedFrom>,
    /// Kept for as long as the job runs.
    pub lock: Option<DirectoryLock>,
    /// Kept until the job is gone: it holds the files that its backends have open.
    pub state_folder: Option<StateFolder>,
}

/// The checkpoint that a run resumes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumedFrom {
    /// Its number.
    pub epoch: u64,
    /// Where it is.
    pub directory: PathBuf,
}

/// Puts everything together; what is left is to run it.
///
/// # Errors
/// If the directory is taken or cannot be used, the checkpoint is damaged or does not fit, or anything cannot be
/// opened.
pub fn launch(file: &JobFile, graph: Graph, from: &StartFrom) -> Result<Launched, LaunchError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let (mut lock, mut checkpoints) = (None, None);
    let chosen = match file.checkpoint_directory() {
        None => choose::restore_point(None, from)?,
        Some(directory) => {
            // Looked at before anything is locked or claimed, so that a refusal leaves everything as it was; and
            // again afterwards, because only then no earlier owner can publish any more.
            if directory.is_dir() {
                choose::restore_point(Some(&choose::open(&directory)?), from)?;
            }
            lock = Some(DirectoryLock::acquire(&directory)?);
            let own = choose::open(&directory)?;
            let lease = block_on(own.1.claim())?;
            checkpoints = Some(Checkpoints { store: own.1.clone(), lease });
            choose::restore_point(Some(&own), from)?
        }
    };
    let resumed_from = chosen.as_ref().map(|(directory, point)| ResumedFrom {
        epoch: point.manifest.epoch.0,
        directory: directory.clone(),
    });
    let backends = Backends::of_job(file)?;
    let plan = JobPlan {
        graph,
        settings: file.checkpoint.as_ref().map(|table| table.settings()).unwrap_or_default(),
        checkpoints,
        restore: chosen.map(|(_, point)| point),
        seed: clock.now().cast_unsigned(),
        clock: Arc::clone(&clock),
        backend: backends.factory,
        scratch: Some(backends.scratch),
        restores_max: std::thread::available_parallelism().map_or(1, NonZero::get),
    };
    let job = assemble(plan).map_err(|error| explain(error, resumed_from.as_ref()))?;
    Ok(Launched { job, clock, resumed_from, lock, state_folder: backends.folder })
}

/// Damage that was found while restoring is told with the way out.
fn explain(error: JobError, resumed_from: Option<&ResumedFrom>) -> LaunchError {
    let (
        JobError::Recovery(RecoveryError::Unreadable { .. } | RecoveryError::State { .. }),
        Some(from),
    ) = (&error, resumed_from)
    else {
        return LaunchError::Job(error);
    };
    let opened = choose::open(&from.directory).ok();
    let advice = opened.and_then(|(_, store)| choose::advice(&store).ok().flatten());
    match advice {
        Some(advice) => LaunchError::Damaged { directory: from.directory.clone(), advice },
        None => LaunchError::Job(error),
    }
}
