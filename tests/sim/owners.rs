//! Two processes that both believe that the job is theirs: one that was taken for dead and goes on, and its successor.

use rand::Rng;

use crate::scheduler::{Ending, Scenario};

#[test]
fn a_process_that_was_taken_for_dead_does_no_harm() {
    for seed in 400..440 {
        println!("seed {seed}");
        let mut scenario = Scenario::new(seed);
        let mut elder = Some(scenario.start().unwrap());
        for _ in 0..scenario.random.random_range(100..6000) {
            if let Some(life) = &mut elder
                && scenario.step(life).is_some()
            {
                elder = None;
            }
        }
        let mut successor = scenario.start().unwrap();
        let mut ending = None;
        while ending.is_none() {
            match &mut elder {
                Some(life) if scenario.random.random_bool(0.5) => {
                    if let Some(end) = scenario.step(life) {
                        assert!(matches!(end, Ending::Died(_)), "seed {seed}: {end:?}");
                        elder = None;
                    }
                }
                _ => ending = scenario.step(&mut successor),
            }
        }
        assert_eq!(ending, Some(Ending::Completed), "seed {seed}");
        drop(successor);
        // It finds out at the latest when it wants to publish something.
        while let Some(life) = &mut elder {
            if let Some(end) = scenario.step(life) {
                assert!(matches!(&end, Ending::Died(reason) if reason.contains("generation")));
                elder = None;
            }
        }
        scenario.check();
    }
}
