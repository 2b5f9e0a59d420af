//! The same job as it runs in production: tasks on threads of their own, a publisher beside them, real time.

use std::sync::Arc;
use std::time::Duration;

use statehouse_engine::{
    Clock, Decision, Ending, JobHandle, NodeSwap, SavepointRequest, Stop, SwapRequest, SwapStage,
    SwapTicket, SystemClock, threads,
};
use statehouse_tests::faulty::{Fault, Faulty};
use statehouse_tests::tally::TallyFactory;

use crate::backends::{Backends, folder};
use crate::conductor::evolution;
use crate::scheduler::Scenario;
use crate::world::World;

/// Runs the job on threads. The error says why it failed.
fn run(scenario: &mut Scenario, look: impl FnOnce(&JobHandle)) -> Result<(), String> {
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

const PATIENCE: Duration = Duration::from_secs(60);

/// Swaps the tally for one with a fault, or for one without.
fn swap(scenario: &Scenario, handle: &JobHandle, fault: Option<Fault>) -> SwapTicket {
    let new = Arc::new(TallyFactory::new(2));
    let evolution = evolution("tally", &*new, &handle.graph(), &scenario.world.store).unwrap();
    let factory: Arc<dyn statehouse_engine::OperatorFactory> = match fault {
        Some(fault) => Arc::new(Faulty::new(new, fault)),
        None => new,
    };
    let nodes = vec![NodeSwap { node: "tally".into(), factory, evolution }];
    let savepoint = if fault.is_some() { "before-fault" } else { "before" }.to_owned();
    handle.swap(SwapRequest { nodes, savepoint, commit_outputs: false, canary: None })
}

/// Waits for a stage that passes, or for the last one.
fn reach(ticket: &SwapTicket, passes: impl Fn(&SwapStage) -> bool) -> SwapStage {
    let mut stage = ticket.stage();
    while !passes(&stage) && !stage.is_final() {
        stage = ticket.wait_past(&stage, PATIENCE);
    }
    stage
}

#[test]
fn a_job_on_threads_rolls_back_and_goes_on_and_swaps_again() {
    let mut scenario = Scenario::on(World::new(802, 60_000), 802);
    scenario.restores_max = 4;
    let folder = folder();
    let (backends, clock) = (Backends::heap(folder.path()), Arc::new(SystemClock::default()));
    let clock: Arc<dyn Clock> = clock;
    let mut job = scenario.assemble(&backends, Arc::clone(&clock)).unwrap();
    let first = job.handle.clone();
    let failing = swap(&scenario, &first, Some(Fault::After(3)));
    let Ending::RolledBack(rollback) = threads::run(job, &clock).unwrap() else {
        panic!("{:?}", failing.stage())
    };
    assert!(rollback.reason.contains("cannot be made to work again"), "{}", rollback.reason);
    assert!(rollback.warm.backends() > 0, "{rollback:?}");
    assert!(matches!(failing.stage(), SwapStage::RollingBack { .. }));

    // What was asked of the handle before, and between the runs, is done by the next one.
    let asked = first.savepoint(SavepointRequest { name: Some("between".into()), then: None });
    let working = swap(&scenario, &first, None);
    job = scenario.assemble_again(*rollback, &backends, Arc::clone(&clock)).unwrap();
    let kept = std::thread::scope(|scope| {
        let deciding = scope.spawn(|| {
            let on_trial = |stage: &SwapStage| matches!(stage, SwapStage::Trial { .. });
            reach(&working, on_trial);
            first.decide(Decision::Keep);
            reach(&working, SwapStage::is_final)
        });
        assert!(matches!(threads::run(job, &clock), Ok(Ending::Finished)));
        deciding.join().unwrap()
    });
    assert!(matches!(kept, SwapStage::Kept { .. }), "{kept:?}");
    assert_eq!(asked.wait(PATIENCE).unwrap().name.as_deref(), Some("between"));
    scenario.world.check(None);
}
