//! Operators are swapped while the job runs, again and again, and the process dies in between.

use std::ops::Range;

use statehouse_engine::Mode;
use statehouse_tests::faulty::Fault;

use crate::conductor::{Conductor, Tallied};
use crate::from_environment;
use crate::scheduler::{Death, Ending, Scenario};

fn scenario(seed: u64, every: u32) -> Scenario {
    let mut scenario = Scenario::new(seed);
    scenario.conductor = Some(Conductor::new(every));
    scenario
}

fn tallied(scenario: &Scenario) -> Tallied {
    scenario.conductor.as_ref().unwrap().tallied
}

/// Those of a long run, or some that are always the same.
fn seeds(fixed: Range<u64>) -> Range<u64> {
    match from_environment("STATEHOUSE_SIM_SEED") {
        Some(first) => first..first + from_environment("STATEHOUSE_SIM_RUNS").unwrap_or(1000),
        None => fixed,
    }
}

#[test]
fn a_thousand_swaps_lose_and_double_nothing() {
    let (mut all, mut runs) = (Tallied::default(), 0);
    for seed in seeds(900..1040) {
        println!("seed {seed}");
        let mut scenario = scenario(seed, 2);
        scenario.conductor.as_mut().unwrap().trial = 3;
        assert_eq!(scenario.run(Death::Never), Ending::Completed, "seed {seed}");
        scenario.check();
        all += tallied(&scenario);
        runs += 1;
    }
    println!("{all:?}");
    // The operators of a refused swap never ran.
    assert!(runs < 140 || all.kept + all.rolled_back > 1000, "{all:?}");
    for some in [all.kept, all.rolled_back, all.refused, all.warm as u32] {
        assert!(some > all.asked / 10, "{all:?}");
    }
}

#[test]
fn deaths_between_swaps_lose_and_double_nothing() {
    let mut all = Tallied::default();
    for seed in seeds(1100..1140) {
        println!("seed {seed}");
        let mut scenario = scenario(seed, 15);
        scenario.hasty = seed % 4 == 0;
        scenario.rocks = seed % 13 == 5;
        for death in 0..10 {
            let death = match death % 2 {
                0 => Death::AfterCalls(10 + seed % 23 + death * 5),
                _ => Death::AfterSteps(300 + seed * 37 % 1500 + death * 300),
            };
            if scenario.run(death) == Ending::Completed {
                break;
            }
            scenario.world.store.heal();
        }
        scenario.complete();
        scenario.check();
        all += tallied(&scenario);
    }
    println!("{all:?}");
    assert!(all.kept > 20 && all.rolled_back > 50 && all.lost > 50, "{all:?}");
}

#[test]
fn a_crash_at_every_single_store_call_of_a_run_with_swaps_loses_and_doubles_nothing() {
    let short = || {
        let mut scenario = Scenario::short(11);
        scenario.conductor = Some(Conductor::new(8));
        scenario
    };
    let mut undisturbed = short();
    assert_eq!(undisturbed.run(Death::Never), Ending::Completed);
    let (calls, swaps) = (undisturbed.world.store.calls(), tallied(&undisturbed));
    assert!(swaps.kept > 0 && swaps.rolled_back > 0, "{swaps:?}: the run is too calm to be a test");
    for calls in 0..calls {
        let mut scenario = short();
        if scenario.run(Death::AfterCalls(calls)) != Ending::Completed {
            scenario.complete();
        }
        scenario.world.store.heal();
        scenario.check();
    }
}

#[test]
fn what_a_wrong_operator_did_on_trial_is_never_seen() {
    let mut rolled_back = 0;
    for seed in 1100..1120 {
        let mut scenario = scenario(seed, 30);
        let conductor = scenario.conductor.as_mut().unwrap();
        conductor.fault = Some(Fault::Wrong);
        conductor.trial = 40;
        let mut life = scenario.start().unwrap();
        // As long as there are records, so that no end of the stream keeps it.
        for _ in 0..3500 {
            match scenario.step(&mut life) {
                None => {}
                Some(Ending::RolledBack) => life = scenario.go_back(life).unwrap(),
                Some(ending) => panic!("seed {seed}: {ending:?}"),
            }
        }
        // The process dies, perhaps in the middle of a trial, and nobody asks for such a thing again.
        drop(life);
        rolled_back += tallied(&scenario).rolled_back;
        assert_eq!(tallied(&scenario).kept, 0, "seed {seed}");
        scenario.conductor = None;
        scenario.complete();
        scenario.check();
    }
    assert!(rolled_back > 20, "{rolled_back}");
}

#[test]
fn at_least_once_swaps_lose_nothing() {
    let mut all = Tallied::default();
    for seed in 1200..1210 {
        let mut scenario = scenario(seed, 12);
        scenario.mode = Mode::AtLeastOnce;
        scenario.run(Death::AfterSteps(2500));
        scenario.complete();
        scenario.world.check_nothing_lost();
        scenario.check_store();
        all += tallied(&scenario);
    }
    assert!(all.kept > 10 && all.rolled_back > 10, "{all:?}");
}

#[test]
fn outputs_that_are_committed_during_trials_are_seen_at_least_once() {
    let mut twice = 0;
    for seed in 1300..1320 {
        let mut scenario = scenario(seed, 12);
        let conductor = scenario.conductor.as_mut().unwrap();
        conductor.commit_outputs = true;
        conductor.trial = 60;
        scenario.complete();
        twice += scenario.world.check_nothing_lost();
        scenario.check_store();
    }
    assert!(twice > 0, "nothing was rolled back past a commit");
}
