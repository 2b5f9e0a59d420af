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
mod swapped_in;
#[cfg(test)]
mod tests;

use std::fmt;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;

use futures::executor::block_on;
use statehouse_checkpoint::{
    CheckpointStore, DirectoryLock, Epoch, HistoryWriter, Lease, Manifest, StartPlace, StartPoint,
};
use statehouse_engine::{
    Assembled, BackendFactory, CheckpointSettings, Checkpoints, Clock, Graph, JobError, JobPlan,
    RestorePoint, Rollback, SystemClock, Warm, assemble,
};

use crate::job_components::JobComponents;
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
pub use swapped_in::SwappedIn;

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

/// A start that has been decided, claimed and written down: what is left is to restore and assemble.
#[derive(Debug)]
pub struct Prepared {
    /// The checkpoint that it resumes from.
    pub resumed_from: Option<ResumedFrom>,
    /// Operators that run another component than the one that the job file names.
    pub swapped_in: Vec<SwappedIn>,
    /// The store of its checkpoints, if it has one.
    pub store: Option<CheckpointStore>,
    /// Adds to the job's history, if it has a store.
    pub history: Option<Arc<HistoryWriter>>,
    /// A savepoint that the run has been given: it goes when the run has a checkpoint of its own.
    pub claimed: Option<ClaimedSavepoint>,
    /// Kept for as long as the job runs.
    pub locks: Locks,
    /// What runs are made of.
    pub terms: RunTerms,
    restore: Option<RestorePoint>,
    lease: Option<Lease>,
    chosen: Option<Chosen>,
    components: JobComponents,
}

/// Decides where the job starts, and makes this process its owner. Nothing of the state is read yet.
///
/// # Errors
/// If the directory is taken or cannot be used, or the checkpoint is damaged or does not fit.
pub fn prepare(
    file: &JobFile,
    (graph, components): (Graph, &JobComponents),
    start: &Start,
) -> Result<Prepared, LaunchError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let seed = clock.now().cast_unsigned();
    let own = file.checkpoint_place();
    let choose_components =
        |chosen: Option<&Chosen>| swapped_in::choose(&graph, components, chosen, start);
    // Looked at before anything is locked or claimed, so that a refusal leaves everything as it was; and again
    // afterwards, because only then no earlier owner can publish any more.
    let before = stores::open_if_there(file)?;
    let first = choose::restore_point(before.as_ref(), start)?;
    if first.as_ref().is_some_and(|chosen| !chosen.is_own) {
        check(first.as_ref(), own.as_ref(), &choose_components(first.as_ref())?.0, start)?;
    } else {
        check(first.as_ref(), own.as_ref(), &graph, start)?;
    }
    let lock = own.as_ref().and_then(Place::directory).map(DirectoryLock::acquire).transpose()?;
    // Whoever runs this job on this machine is told apart here, where the store has no lock of its own.
    let backends = Backends::of_job(file)?;
    let (mut lease, mut store) = (None, None);
    let chosen = match stores::open_own(file)? {
        None => choose::restore_point(None, start)?,
        Some(mut opened) => {
            lease = Some(block_on(opened.store.claim())?);
            let mut chosen = choose::restore_point(Some(&opened), start)?;
            if let Some(chosen) = chosen.as_mut().filter(|chosen| !chosen.is_own) {
                opened.store = adopt(&opened.store, chosen, graph.name(), start.fork, seed)?;
            }
            store = Some(opened.store);
            chosen
        }
    };
    let (graph, swapped_in) = choose_components(chosen.as_ref())?;
    let locks = Locks { checkpoints: lock, state: backends.folder };
    Ok(Prepared {
        resumed_from: chosen.as_ref().map(Chosen::resumed_from),
        swapped_in,
        history: store
            .as_ref()
            .zip(lease.as_ref())
            .map(|(store, lease)| Arc::new(store.history_writer(lease))),
        claimed: chosen.as_ref().filter(|_| start.claim).and_then(Chosen::claimed),
        locks,
        terms: RunTerms {
            graph,
            settings: file.checkpoint.as_ref().map(|table| table.settings()).unwrap_or_default(),
            seed,
            clock,
            backends: backends.factory,
            scratch: backends.scratch,
        },
        restore: chosen.as_ref().map(|chosen| restore_point(chosen, store.as_ref(), start)),
        lease,
        store,
        chosen,
        components: components.clone(),
    })
}

/// Puts the components beside the checkpoints, where going back finds them: those that the job file names, and those
/// that a fork goes on with.
fn upload(
    store: &CheckpointStore,
    components: &JobComponents,
    chosen: Option<&Chosen>,
    swapped_in: &[SwappedIn],
) -> Result<(), LaunchError> {
    for bytes in components.take_bytes().into_values() {
        block_on(store.put_component(bytes))?;
    }
    for chosen in chosen.iter().filter(|chosen| !chosen.is_own) {
        for SwappedIn { component, .. } in swapped_in {
            block_on(store.put_component(block_on(chosen.store.component(*component))?))?;
        }
    }
    Ok(())
}

impl Prepared {
    /// What the checkpoint says that it resumes from.
    pub fn from_manifest(&self) -> Option<&Manifest> {
        self.chosen.as_ref().map(|chosen| &chosen.manifest)
    }

    /// Restores the state and puts everything together; what is left is to run it.
    ///
    /// # Errors
    /// If anything cannot be restored or opened.
    pub fn assemble(&mut self) -> Result<Assembled, LaunchError> {
        let (store, lease) = (self.store.clone(), self.lease.take());
        let checkpoints = store.zip(lease).map(|(store, lease)| Checkpoints { store, lease });
        let plan = self.terms.plan(checkpoints, self.restore.take());
        let job = assemble(plan).map_err(|error| error::explain(error, self.chosen.as_ref()))?;
        // Before the first checkpoint names them, and not for a start that is refused.
        if let Some(store) = &self.store {
            upload(store, &self.components, self.chosen.as_ref(), &self.swapped_in)?;
        }
        Ok(job)
    }
}

/// What every run of a job in this process is made of: the first one, and those after a rollback.
#[derive(Clone)]
pub struct RunTerms {
    /// What runs.
    pub graph: Graph,
    /// How checkpoints are taken.
    pub settings: CheckpointSettings,
    /// The time that it runs by.
    pub clock: Arc<dyn Clock>,
    seed: u64,
    backends: Arc<BackendFactory>,
    scratch: PathBuf,
}

impl fmt::Debug for RunTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunTerms").field("graph", &self.graph).finish_non_exhaustive()
    }
}

impl RunTerms {
    fn plan(&self, checkpoints: Option<Checkpoints>, restore: Option<RestorePoint>) -> JobPlan {
        JobPlan {
            graph: self.graph.clone(),
            settings: self.settings.clone(),
            restore,
            checkpoints,
            seed: self.seed,
            clock: Arc::clone(&self.clock),
            backend: Arc::clone(&self.backends),
            scratch: Some(self.scratch.clone()),
            restores_max: std::thread::available_parallelism().map_or(1, NonZero::get),
            warm: Warm::default(),
        }
    }
}

impl RunTerms {
    /// Puts the job together again after a swap was rolled back: as it was before, from the checkpoint before the swap.
    /// `savepoint` holds it, too, in case that newer ones have driven it out.
    ///
    /// # Errors
    /// If the job cannot be claimed, or anything not be restored or opened.
    pub fn again(
        &mut self,
        store: &CheckpointStore,
        rollback: Rollback,
        savepoint: Option<&str>,
    ) -> Result<(Assembled, HistoryWriter), LaunchError> {
        let Rollback { to_epoch, graph, warm, .. } = rollback;
        let lease = block_on(store.claim())?;
        let history = store.history_writer(&lease);
        let (epoch, mut place) = (Epoch(to_epoch), StartPlace::Checkpoint);
        let manifest = match (block_on(store.read(epoch)), savepoint) {
            (Err(statehouse_checkpoint::Error::Missing { .. }), Some(savepoint)) => {
                place = StartPlace::Savepoint(savepoint.to_owned());
                block_on(store.read_savepoint(savepoint))?
            }
            (read, _) => read?,
        };
        self.graph = graph;
        let restore = RestorePoint {
            store: store.clone(),
            manifest,
            point: Some(StartPoint { epoch, place, fork: false }),
            continues: true,
            drop_unclaimed: false,
            fork: false,
        };
        let checkpoints = Checkpoints { store: store.clone(), lease };
        let plan = self.plan(Some(checkpoints), Some(restore));
        let job = assemble(JobPlan { warm, ..plan }).map_err(LaunchError::Job)?;
        Ok((job, history))
    }
}

/// Puts everything together; what is left is to run it.
///
/// # Errors
/// If the directory is taken or cannot be used, the checkpoint is damaged or does not fit, or anything cannot be
/// opened.
pub fn launch(
    file: &JobFile,
    graph: (Graph, &JobComponents),
    start: &Start,
) -> Result<Launched, LaunchError> {
    let mut prepared = prepare(file, graph, start)?;
    let job = prepared.assemble()?;
    let Prepared { resumed_from, store, claimed, locks, terms, .. } = prepared;
    Ok(Launched { job, clock: terms.clock, resumed_from, store, claimed, locks })
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
