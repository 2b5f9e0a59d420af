//! Starting a job: the directory is locked, the job claimed, the checkpoint chosen, everything assembled.
//!
//! What can be refused is refused before anything is written: a job that does not fit, a directory that is taken, a
//! newest checkpoint that is damaged. Going back to an older checkpoint loses what came after it, so that is never
//! done by itself: the user says `--from` or `--fallback`.
//!
//! A run that starts from another job's store goes on from the packs there: it pins what it starts from in that store,
//! and notes in its own where they are. Nothing is copied.

mod adopt;
mod backends;
mod choose;
mod error;
mod start;
mod stores;
#[cfg(test)]
mod tests;

use std::num::NonZero;
use std::sync::Arc;

use futures::executor::block_on;
use statehouse_checkpoint::{CheckpointStore, DirectoryLock};
use statehouse_engine::{
    Assembled, Checkpoints, Clock, Graph, JobError, JobPlan, RestorePoint, SystemClock, Warm,
    assemble,
};

use crate::job_file::JobFile;
use crate::place::Place;
use adopt::adopt;
use backends::Backends;
use choose::Chosen;

pub use backends::{StateFolder, heap_backends, rocks_backends};
pub use choose::newest_listed;
pub use error::LaunchError;
pub use start::{Start, StartFrom};
pub use stores::{StoreOptions, open_store};

/// A job that is ready to run.
#[derive(Debug)]
pub struct Launched {
    /// The job.
    pub job: Assembled,
    /// The time that it runs by.
    pub clock: Arc<dyn Clock>,
    /// The checkpoint that it resumes from.
    pub resumed_from: Option<ResumedFrom>,
    /// The store of its checkpoints, if it has one.
    pub store: Option<CheckpointStore>,
    /// A savepoint that the run has been given: it goes when the run has a checkpoint of its own.
    pub claimed: Option<ClaimedSavepoint>,
    /// Kept for as long as the job runs.
    pub locks: Locks,
}

/// What a running job holds on this machine.
#[derive(Debug)]
pub struct Locks {
    /// Its checkpoint directory, if it has one.
    pub checkpoints: Option<DirectoryLock>,
    /// Its folder of local state. Let go of when the job is gone: its backends have files open there.
    pub state: StateFolder,
}

/// The checkpoint that a run resumes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumedFrom {
    /// Its number.
    pub epoch: u64,
    /// The savepoint's name, if it is one.
    pub savepoint: Option<String>,
    /// Where it is.
    pub place: Place,
}

/// A savepoint that belongs to the run from now on.
#[derive(Debug, Clone)]
pub struct ClaimedSavepoint {
    /// Where it is.
    pub store: CheckpointStore,
    /// Its name.
    pub name: String,
}

/// Puts everything together; what is left is to run it.
///
/// # Errors
/// If the directory is taken or cannot be used, the checkpoint is damaged or does not fit, or anything cannot be
/// opened.
pub fn launch(file: &JobFile, graph: Graph, start: &Start) -> Result<Launched, LaunchError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let seed = clock.now().cast_unsigned();
    let own = file.checkpoint_place();
    // Looked at before anything is locked or claimed, so that a refusal leaves everything as it was; and again
    // afterwards, because only then no earlier owner can publish any more.
    let before = stores::open_if_there(file)?;
    check(choose::restore_point(before.as_ref(), start)?.as_ref(), own.as_ref(), &graph, start)?;
    let lock = own.as_ref().and_then(Place::directory).map(DirectoryLock::acquire).transpose()?;
    // Whoever runs this job on this machine is told apart here, where the store has no lock of its own.
    let backends = Backends::of_job(file)?;
    let (mut checkpoints, mut store) = (None, None);
    let chosen = match stores::open_own(file)? {
        None => choose::restore_point(None, start)?,
        Some(mut opened) => {
            let lease = block_on(opened.store.claim())?;
            let mut chosen = choose::restore_point(Some(&opened), start)?;
            if let Some(chosen) = chosen.as_mut().filter(|chosen| !chosen.is_own) {
                opened.store = adopt(&opened.store, chosen, graph.name(), start.fork, seed)?;
            }
            store = Some(opened.store.clone());
            checkpoints = Some(Checkpoints { store: opened.store, lease });
            chosen
        }
    };
    let resumed_from = chosen.as_ref().map(Chosen::resumed_from);
    let claimed = chosen.as_ref().filter(|_| start.claim).and_then(Chosen::claimed);
    let plan = JobPlan {
        graph,
        settings: file.checkpoint.as_ref().map(|table| table.settings()).unwrap_or_default(),
        restore: chosen.as_ref().map(|chosen| restore_point(chosen, store.as_ref(), start)),
        checkpoints,
        seed,
        clock: Arc::clone(&clock),
        backend: backends.factory,
        scratch: Some(backends.scratch),
        restores_max: std::thread::available_parallelism().map_or(1, NonZero::get),
        warm: Warm::default(),
    };
    let job = assemble(plan).map_err(|error| error::explain(error, chosen.as_ref()))?;
    let locks = Locks { checkpoints: lock, state: backends.folder };
    Ok(Launched { job, clock, resumed_from, store, claimed, locks })
}

/// What is restored. A store of the job's own reads what others hold for it, too.
fn restore_point(chosen: &Chosen, own: Option<&CheckpointStore>, start: &Start) -> RestorePoint {
    RestorePoint {
        store: own.unwrap_or(&chosen.store).clone(),
        manifest: chosen.manifest.clone(),
        point: chosen.point.clone(),
        continues: own.is_some(),
        drop_unclaimed: start.allow_non_restored_state,
        // A fork that ended before it had a checkpoint of its own still is one.
        fork: start.fork || chosen.point.as_ref().is_some_and(|point| point.fork),
    }
}

/// Refuses what does not go together, and a checkpoint that does not fit the job.
fn check(
    chosen: Option<&Chosen>,
    own: Option<&Place>,
    graph: &Graph,
    start: &Start,
) -> Result<(), LaunchError> {
    let Some(chosen) = chosen else { return Ok(()) };
    if start.claim && chosen.savepoint.is_none() {
        return Err(LaunchError::NothingToClaim { epoch: chosen.manifest.epoch });
    }
    if start.fork && chosen.is_own {
        let place = own.unwrap_or(&chosen.place).to_string();
        return Err(LaunchError::ForkOfItself { place });
    }
    if chosen.is_own {
        // Looked at when the job is put together, before anything of it is changed.
        return Ok(());
    }
    // Before it is pinned.
    restore_point(chosen, None, start)
        .check(graph)
        .map_err(|error| error::explain(JobError::Recovery(error), Some(chosen)))?;
    Ok(())
}
