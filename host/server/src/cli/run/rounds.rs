//! A job from its first batch to its end, with everything that there is beside it. A swap that is rolled back ends one
//! round of it; the next one goes on in the same process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use indicatif::MultiProgress;
use statehouse_checkpoint::HistoryWriter;
use statehouse_engine::{Assembled, Ending, Stop, threads};

use super::claim::Claim;
use super::{EXIT_INTERRUPTED, retention};
use crate::cli::print;
use crate::cli::progress::Progress;
use crate::control::messages::{EndStatus, JobEnded};
use crate::control::{Control, RunningJob, SavepointRequests, own_user};
use crate::job_components::JobComponents;
use crate::job_file::JobFile;
use crate::launch::{LaunchError, Locks, Prepared, RunTerms};
use crate::live_job::LiveJob;
use crate::swap::Conductor;
use crate::swap::unfinished::{Starting, note_start};

/// Runs a job that this process owns, to its end.
pub(super) fn run(
    file: &JobFile,
    components: &JobComponents,
    mut prepared: Prepared,
    live: &LiveJob,
    bars: &MultiProgress,
) -> anyhow::Result<EndStatus> {
    let store = prepared.store.clone();
    let clock = Arc::clone(&prepared.terms.clock);
    let kept = store.clone().zip(prepared.history.clone());
    let conductor = Conductor::new(components.clone(), live.clone(), Arc::clone(&clock), kept);
    let savepoints = SavepointRequests::default();
    let running = RunningJob {
        live: live.clone(),
        name: file.job.name.clone(),
        started_ms: clock.now(),
        place: file.checkpoint_place().map(|place| place.to_string()),
        store: store.clone(),
        resumed_from: prepared.resumed_from.as_ref().map(|from| from.epoch),
        savepoints: savepoints.clone(),
        conductor: conductor.clone(),
    };
    // Before state is restored, so that what is asked meanwhile waits and is not lost.
    let control = serve(&prepared.locks, running);
    let claim = Claim::watch(prepared.claimed.take(), live.clone());
    let ended = stop_on_signals(live, bars).and_then(|()| {
        let progress = Progress::start(bars, live.clone(), clock);
        let ended = rounds(components, &mut prepared, live, &conductor);
        progress.finish();
        ended
    });
    live.end();
    claim.finish(live);
    conductor.finish();
    if let (Ok(status), Some(table), Some(store)) = (&ended, &file.checkpoint, &store) {
        retention::apply(table, store, *status, savepoints.missed().as_deref());
    }
    end(control, prepared.locks, &ended);
    ended
}

/// Says in the history that the run starts, and with what.
fn note(components: &JobComponents, prepared: &Prepared) -> anyhow::Result<()> {
    let (Some(store), Some(history)) = (&prepared.store, &prepared.history) else { return Ok(()) };
    let starting = Starting {
        at_ms: prepared.terms.clock.now(),
        who: own_user(),
        graph: &prepared.terms.graph,
        components,
        from: prepared.from_manifest(),
        from_savepoint: prepared.resumed_from.as_ref().and_then(|from| from.savepoint.as_deref()),
    };
    match note_start(store, history, &starting) {
        Ok(told) => told.into_iter().for_each(print::remark),
        // The job does not depend on it.
        Err(error) if error.is_damage() => tracing::warn!("{}", error.chain()),
        Err(error) => return Err(LaunchError::Checkpoint(error).into()),
    }
    Ok(())
}

/// One round, and another one after each rollback.
fn rounds(
    components: &JobComponents,
    prepared: &mut Prepared,
    live: &LiveJob,
    conductor: &Conductor,
) -> anyhow::Result<EndStatus> {
    for swapped_in in &prepared.swapped_in {
        print::remark(swapped_in);
    }
    let mut job = prepared.assemble()?;
    note(components, prepared)?;
    let mut resumed: Option<(Arc<HistoryWriter>, u64)> = None;
    loop {
        live.start(job.handle.clone());
        if let Some((history, epoch)) = resumed.take() {
            conductor.resumed(history, epoch);
        }
        let ending = threads::run(job, &prepared.terms.clock)?;
        let Ending::RolledBack(rollback) = ending else { return Ok(EndStatus::from(ending)) };
        let epoch = rollback.to_epoch;
        tracing::warn!("the swap is rolled back to checkpoint {epoch}: {}", rollback.reason);
        let (again, history) = go_on(&mut prepared.terms, &prepared.store, *rollback, conductor)?;
        resumed = Some((Arc::new(history), epoch));
        job = again;
    }
}

fn go_on(
    terms: &mut RunTerms,
    store: &Option<statehouse_checkpoint::CheckpointStore>,
    rollback: statehouse_engine::Rollback,
    conductor: &Conductor,
) -> anyhow::Result<(Assembled, HistoryWriter)> {
    let store = store.as_ref().expect("without checkpoints there is no swap");
    Ok(terms.again(store, rollback, conductor.savepoint().as_deref())?)
}

/// A job runs as well without the endpoint.
fn serve(locks: &Locks, running: RunningJob) -> Option<Control> {
    match Control::start(locks.state.directory(), running) {
        Ok(control) => {
            print::remark(format_args!("control socket: {}", control.path().display()));
            Some(control)
        }
        Err(error) => {
            let directory = locks.state.directory().display();
            tracing::warn!("there is no control socket in `{directory}`: {error}");
            None
        }
    }
}

/// Lets go of everything, and only then tells those who wait: they may start the job again.
fn end(control: Option<Control>, locks: Locks, ended: &anyhow::Result<EndStatus>) {
    if let Some(control) = &control {
        control.close();
    }
    drop(locks);
    if let Some(control) = control {
        control.finish(match ended {
            Ok(status) => JobEnded { status: *status, reason: None },
            Err(error) => JobEnded { status: EndStatus::Failed, reason: Some(error.to_string()) },
        });
    }
}

/// The first signal ends the job with a checkpoint, the second one the process.
fn stop_on_signals(live: &LiveJob, bars: &MultiProgress) -> anyhow::Result<()> {
    let count = AtomicU32::new(0);
    let (live, bars) = (live.clone(), bars.clone());
    ctrlc::set_handler(move || {
        if count.fetch_add(1, Ordering::AcqRel) == 0 {
            let message = "stopping with a last checkpoint; interrupt again to end at once";
            bars.suspend(|| print::remark(message));
            live.stop(Stop::Checkpoint);
        } else {
            #[expect(clippy::disallowed_methods, reason = "the user wants no orderly end")]
            std::process::exit(EXIT_INTERRUPTED);
        }
    })?;
    Ok(())
}
