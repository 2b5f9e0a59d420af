//! A job put together: tasks with channels between them, and the driver that the coordinator acts through.
//!
//! [`assemble`] builds everything and runs nothing. [`crate::threads`] runs it on threads; a simulation steps the
//! tasks and the driver itself, in an order of its own.

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_utils::sync::Parker;
use futures::executor::block_on;
use statehouse_checkpoint::Retention;
use statehouse_operator::Description;
use statehouse_state::{Backend, KeyGroupRange, KeyGroups, StateDeclaration, TimerDeclaration};

use self::builder::Builder;
use self::state::{Restoring, restore_states};
use self::wiring::Wiring;
use crate::clock::Clock;
use crate::coordinator::{Coordinator, Start};
use crate::driver::{Driver, DriverEnds};
use crate::error::JobError;
use crate::graph::Graph;
use crate::handle::{JobHandle, TaskKind};
use crate::publish::assembly::Assembly;
use crate::publish::line::line;
use crate::publish::service::Service;
use crate::publish::{Checkpoints, Publisher};
use crate::recovery::RestorePoint;
use crate::settings::CheckpointSettings;
use crate::swap::Warm;
use crate::swap::staging::Site;
use crate::task::Task;

mod builder;
mod sinks;
mod state;
mod wiring;

/// What a state backend is made for.
#[derive(Debug, Clone, Copy)]
pub struct BackendRequest<'a> {
    /// The operator's id in the job.
    pub node: &'a str,
    /// The task's number.
    pub task: u32,
    /// What the operator declares.
    pub description: &'a Description,
    /// The states to serve: those that it declares, then those that it has still to take over from earlier versions.
    pub states: &'a [StateDeclaration],
    /// The timers to serve, in the same order.
    pub timers: &'a [TimerDeclaration],
    /// The job's key groups.
    pub key_groups: KeyGroups,
    /// Those that the task owns.
    pub range: KeyGroupRange,
}

/// Makes the state backend of one task of an operator.
pub type BackendFactory = dyn Fn(BackendRequest<'_>) -> BackendResult + Send + Sync;

/// A backend, or why it cannot serve what is declared.
pub type BackendResult = Result<Box<dyn Backend>, statehouse_state::Error>;

/// Everything that a run needs. Time, randomness, stores and backends are handed in.
pub struct JobPlan {
    /// The checked graph.
    pub graph: Graph,
    /// How checkpoints are taken.
    pub settings: CheckpointSettings,
    /// Where they go. `None`: there are none, and a crash starts from nothing.
    pub checkpoints: Option<Checkpoints>,
    /// Where to start from. `None`: from nothing.
    pub restore: Option<RestorePoint>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The state backend.
    pub backend: Arc<BackendFactory>,
    /// A local folder for files on their way from a checkpoint into a backend. `None`: checkpoints with files cannot
    /// be restored.
    pub scratch: Option<PathBuf>,
    /// How many tasks are restored at once, on threads of their own; at least 1.
    pub restores_max: usize,
    /// Where the operators' randomness comes from.
    pub seed: u64,
    /// What a run before this one, in this process, has left in memory when it rolled back a swap. By default nothing.
    pub warm: Warm,
}

/// A job that is ready to run: whoever holds it steps the tasks, the driver and the publisher.
#[derive(Debug)]
pub struct Assembled {
    /// The tasks, and what to wake each by.
    pub tasks: Vec<(Task, Parker)>,
    /// Carries out what the coordinator decides.
    pub driver: Driver,
    /// Wakes the driver.
    pub driver_parker: Parker,
    /// Publishes checkpoints; `None` if the job keeps none.
    pub publisher: Option<Publisher>,
    /// For looking on, for savepoints and for stopping.
    pub handle: JobHandle,
    /// What of the checkpoint was dropped, in words.
    pub dropped: Vec<String>,
}

/// Puts a job together: checks it against the checkpoint, restores state, recovers sinks, opens everything.
///
/// # Errors
/// If anything cannot be opened or restored. Nothing has run then, and nothing is lost.
pub fn assemble(plan: JobPlan) -> Result<Assembled, JobError> {
    let JobPlan { graph, settings, checkpoints, restore, clock, backend, mut warm, .. } = plan;
    let dropped = restore.as_ref().map(|restore| restore.check(&graph)).transpose()?;
    let dropped = dropped.unwrap_or_default();
    for what in &dropped {
        tracing::warn!("{what} is dropped: the job has no place for it any more");
    }
    // All state is read before anything outside of this process is touched: what cannot be read is found by then.
    let (backends, scratch) = (&*backend, plan.scratch.as_deref());
    let restoring = Restoring { restore: restore.as_ref(), backends, scratch, warm: &warm };
    let states = restore_states(&graph, restoring, plan.restores_max)?;
    sinks::check(&graph, restore.as_ref())?;
    let first_epoch = begin_run(checkpoints.as_ref(), restore.as_ref())?;
    sinks::recover(&graph, restore.as_ref())?;

    let driver_parker = Parker::new();
    let driver_unparker = driver_parker.unparker();
    let builder = Builder::new(&graph, restore.as_ref(), states, plan.seed);
    let mut wiring = Wiring::new(&graph, &builder.watermarks(), driver_unparker.clone());
    let (tasks, entries) = builder.tasks(&mut wiring, settings.mode, &clock)?;
    let sources = entries.iter().filter(|entry| entry.kind == TaskKind::Source).count();
    let durable = checkpoints.is_some();
    let continued = restore.filter(|restore| restore.continues);
    let start = Start {
        durable,
        tasks: tasks.len(),
        sources,
        restored: continued.as_ref().map(RestorePoint::epoch),
        first_epoch,
        now: clock.now(),
    };
    let (driver_line, publisher_line) = line(driver_unparker.clone());
    let ends = DriverEnds {
        line: checkpoints.is_some().then_some(driver_line),
        reports: wiring.reports,
        controls: wiring.controls,
    };
    let publisher = checkpoints.map(|checkpoints| {
        Publisher::new(Service {
            assembly: Assembly::new(&graph, checkpoints.lease.generation()),
            checkpoints: Arc::new(checkpoints),
            settings: settings.packs(),
            line: publisher_line,
            clock: Arc::clone(&clock),
            retention: Retention { num_retained: settings.num_retained.max(1) },
            previous: continued.map(|restore| Arc::new(restore.manifest)),
        })
    });
    let site = Site { graph: graph.clone(), backend, durable, threads_max: plan.restores_max };
    let handle = JobHandle::new(entries, site, driver_unparker.clone(), warm.desk.take());
    let coordinator = Coordinator::new(settings, start);
    let driver = Driver::new(&graph, coordinator, ends, clock, &handle);
    Ok(Assembled { tasks, driver, driver_parker, publisher, handle, dropped })
}

/// Says in the store what this run starts from, before anything outside is touched. Returns the epoch of its first
/// checkpoint: above that of the checkpoint that it starts from too, since output is named by epochs.
fn begin_run(
    checkpoints: Option<&Checkpoints>,
    restore: Option<&RestorePoint>,
) -> Result<u64, JobError> {
    let above = restore.map_or(0, RestorePoint::epoch);
    let Some(Checkpoints { store, lease }) = checkpoints else { return Ok(above + 1) };
    let point = restore.and_then(|restore| restore.point.clone());
    let first = block_on(store.begin_run(lease, point))?;
    Ok(first.0.max(above + 1))
}
