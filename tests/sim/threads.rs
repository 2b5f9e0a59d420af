//! The same job as it runs in production: tasks on threads of their own, a publisher beside them, real time.

use std::sync::Arc;
use std::time::Duration;

use statehouse_engine::{Clock, SavepointRequest, Stop, SystemClock, threads};

use crate::backends::{Backends, folder};
use crate::scheduler::Scenario;

/// Runs the job on threads. The error says why it failed.
fn run(
    scenario: &mut Scenario,
    look: impl FnOnce(&statehouse_engine::JobHandle),
) -> Result<(), String> {
    let folder = folder();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let job = scenario.assemble(&Backends::heap(folder.path()), Arc::clone(&clock))?;
    look(&job.handle);
    let ended = threads::run(job, &clock);
    ended.map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_job_on_threads_sees_everything_once_and_keeps_its_savepoint() {
    let mut scenario = Scenario::new(800);
    scenario.restores_max = 4;
    let mut ticket = None;
    let then = Some(Stop::Checkpoint);
    run(&mut scenario, |handle| {
        let request = SavepointRequest { name: Some("first".into()), then };
        ticket = Some(handle.savepoint(request));
    })
    .unwrap();
    let record = ticket.unwrap().wait(Duration::ZERO).unwrap();
    assert_eq!((record.name.as_deref(), record.epoch), (Some("first"), 1));
    run(&mut scenario, |_| ()).unwrap();
    scenario.check();
}

#[test]
fn a_store_that_does_not_answer_ends_the_job_in_time() {
    let mut scenario = Scenario::new(801);
    scenario.hasty = true;
    let store = scenario.world.store.clone();
    // While it runs, not while it is put together; and at its only checkpoint, which nothing can take the place of.
    let stalled = run(&mut scenario, |handle| {
        store.stall_after(1, true);
        handle.stop(Stop::Checkpoint);
    });
    let reason = stalled.unwrap_err();
    assert!(reason.contains("was not published within its timeout"), "{reason}");
    scenario.complete();
    scenario.check();
}
