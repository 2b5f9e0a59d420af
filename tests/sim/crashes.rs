//! The process dies: with every single store call, and at random.

use statehouse_engine::Mode;

use crate::from_environment;
use crate::scheduler::{Death, Ending, Scenario};

#[test]
fn a_crash_at_every_single_store_call_loses_and_doubles_nothing() {
    for seed in [1, 2] {
        let mut undisturbed = Scenario::short(seed);
        assert_eq!(undisturbed.run(Death::Never), Ending::Completed);
        let calls = undisturbed.world.store.calls();
        assert!(calls > 40, "{calls} calls: the run is too short to be a test");
        for calls in 0..calls {
            let mut scenario = Scenario::short(seed);
            // The calls of the last collection come when all is done.
            if scenario.run(Death::AfterCalls(calls)) != Ending::Completed {
                scenario.complete();
            }
            scenario.world.store.heal();
            scenario.check();
        }
    }
}

#[test]
fn an_answer_lost_at_every_single_store_call_loses_and_doubles_nothing() {
    let mut undisturbed = Scenario::short(5);
    assert_eq!(undisturbed.run(Death::Never), Ending::Completed);
    for calls in 0..undisturbed.world.store.calls() {
        let mut scenario = Scenario::short(5);
        scenario.world.store.lose_answer_after(calls);
        // The store did what it was asked and did not say so: the process goes on, or stops and is started again.
        if scenario.run(Death::Never) != Ending::Completed {
            scenario.world.store.heal();
            assert_eq!(scenario.run(Death::Never), Ending::Completed, "after {calls} calls");
        }
        scenario.check();
    }
}

#[test]
fn many_crashes_in_one_life_lose_and_double_nothing() {
    let seeds =
        match (from_environment("STATEHOUSE_SIM_SEED"), from_environment("STATEHOUSE_SIM_RUNS")) {
            (Some(first), runs) => first..first + runs.unwrap_or(1000),
            (None, _) => 100..160,
        };
    for seed in seeds {
        println!("seed {seed}");
        // In a long run some of the seeds use RocksDB, which takes its time.
        crash_often(seed, seed >= 1000 && seed % 10 == 3);
    }
}

#[test]
fn crashes_that_move_state_between_the_heap_and_rocksdb_lose_and_double_nothing() {
    for seed in 200..206 {
        println!("seed {seed}");
        crash_often(seed, true);
    }
}

fn crash_often(seed: u64, rocks: bool) {
    let mut scenario = Scenario::new(seed);
    scenario.hasty = seed.is_multiple_of(2);
    scenario.rocks = rocks;
    let mut deaths = 0;
    while deaths < 12 {
        let death = match deaths % 2 {
            0 => Death::AfterCalls(3 + seed % 7 + deaths * 5),
            _ => Death::AfterSteps(200 + seed * 37 % 1500 + deaths * 300),
        };
        if scenario.run(death) == Ending::Completed {
            break;
        }
        scenario.world.store.heal();
        deaths += 1;
    }
    scenario.complete();
    scenario.check();
}

#[test]
fn a_death_at_any_step_loses_and_doubles_nothing() {
    for steps in (0..9_000).step_by(97) {
        let mut scenario = Scenario::new(steps);
        if scenario.run(Death::AfterSteps(steps)) != Ending::Completed {
            assert_eq!(scenario.run(Death::Never), Ending::Completed, "after {steps} steps");
        }
        scenario.check();
    }
}

#[test]
fn what_is_late_does_not_depend_on_failures() {
    for seed in 0..25 {
        let tardy = || {
            let mut scenario = Scenario::new(seed);
            scenario.tardy = true;
            scenario
        };
        let mut undisturbed = tardy();
        assert_eq!(undisturbed.run(Death::Never), Ending::Completed);
        let late = undisturbed.world.late.committed();
        assert!(late.len() > 10, "only {} records were late", late.len());
        let mut disturbed = tardy();
        for death in 1..8 {
            if disturbed.run(Death::AfterSteps(death * 400 + seed * 13)) == Ending::Completed {
                break;
            }
        }
        assert_eq!(disturbed.run(Death::Never), Ending::Completed);
        assert!(disturbed.world.late.committed() == late, "seed {seed}");
        assert!(disturbed.world.sums.committed() == undisturbed.world.sums.committed());
        disturbed.world.check_raw(None);
        disturbed.check_store();
    }
}

#[test]
fn a_checkpoint_that_cannot_be_published_commits_nothing() {
    let mut given_up = 0;
    for calls in (4..60).step_by(2) {
        for steps in [600, 1500, 2500, 4000] {
            let mut scenario = Scenario::new(calls);
            scenario.outage = Some(calls);
            // The process goes on without that checkpoint, and dies later, before or after the next one.
            let ending = scenario.run(Death::AfterSteps(steps));
            given_up += u32::from(scenario.outage.is_none());
            scenario.outage = None;
            scenario.world.store.heal();
            if ending != Ending::Completed {
                let ending = scenario.run(Death::Never);
                assert_eq!(ending, Ending::Completed, "{calls} calls, {steps} steps");
            }
            scenario.check();
        }
    }
    assert!(given_up > 25, "the store failed in {given_up} runs only");
}

#[test]
fn what_a_checkpoint_leaves_that_is_given_up_is_collected_in_the_same_run() {
    let mut completed = 0;
    for calls in 30..70 {
        let mut scenario = Scenario::new(calls);
        scenario.outage = Some(calls);
        if scenario.run(Death::Never) == Ending::Completed {
            completed += 1;
            scenario.world.check_store(&scenario.savepoints());
        }
    }
    assert!(completed > 20, "{completed} runs came to their end");
}

#[test]
fn at_least_once_loses_nothing() {
    let mut twice = 0;
    for seed in 300..315 {
        let mut scenario = Scenario::new(seed);
        scenario.mode = Mode::AtLeastOnce;
        for death in 1..6 {
            if scenario.run(Death::AfterSteps(death * 700 + seed * 13)) == Ending::Completed {
                break;
            }
        }
        scenario.complete();
        twice += scenario.world.check_nothing_lost();
        scenario.check_store();
    }
    assert!(twice > 0, "nothing went ahead of its barrier: the runs are too calm to be a test");
}
