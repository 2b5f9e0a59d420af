//! The process dies: with every single store call, and at random.

use crate::from_environment;
use crate::scheduler::{Ending, Scenario};

#[test]
fn a_crash_at_every_single_store_call_loses_and_doubles_nothing() {
    for seed in [1, 2] {
        let mut undisturbed = Scenario::new(seed);
        assert_eq!(undisturbed.run(None), Ending::Completed);
        let calls = undisturbed.world.store.calls();
        assert!(calls > 40, "{calls} calls: the run is too short to be a test");
        for calls in 0..calls {
            let mut scenario = Scenario::new(seed);
            let ending = scenario.run(Some(calls));
            assert!(matches!(ending, Ending::Died(_)), "seed {seed}, {calls} calls: {ending:?}");
            scenario.world.store.heal();
            assert_eq!(scenario.run(None), Ending::Completed, "seed {seed}, {calls} calls");
            scenario.check();
        }
    }
}

#[test]
fn an_answer_lost_at_every_single_store_call_loses_and_doubles_nothing() {
    let mut undisturbed = Scenario::new(5);
    assert_eq!(undisturbed.run(None), Ending::Completed);
    for calls in 0..undisturbed.world.store.calls() {
        let mut scenario = Scenario::new(5);
        scenario.world.store.lose_answer_after(calls);
        // The store did what it was asked and did not say so: the process goes on, or stops and is started again.
        if scenario.run(None) != Ending::Completed {
            scenario.world.store.heal();
            assert_eq!(scenario.run(None), Ending::Completed, "after {calls} calls");
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
        let mut scenario = Scenario::new(seed);
        scenario.hasty = seed % 2 == 0;
        let mut deaths = 0;
        while deaths < 12
            && matches!(scenario.run(Some(3 + seed % 7 + deaths * 5)), Ending::Died(_))
        {
            deaths += 1;
        }
        scenario.world.store.heal();
        assert_eq!(scenario.run(None), Ending::Completed, "seed {seed}");
        scenario.check();
    }
}
