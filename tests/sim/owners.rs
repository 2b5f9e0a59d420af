//! Two processes that both believe that the job is theirs: one that was taken for dead and goes on, and its successor.

use rand::Rng;

use crate::conductor::Conductor;
use crate::scheduler::{Ending, Scenario};

#[test]
fn a_process_that_was_taken_for_dead_does_no_harm() {
    for seed in 400..440 {
        println!("seed {seed}");
        let mut scenario = Scenario::new(seed);
        if seed % 2 == 0 {
            scenario.conductor = Some(Conductor::new(5));
        }
        let mut elder = Some(scenario.start().unwrap());
        for _ in 0..scenario.random.random_range(100..6000) {
            let Some(mut life) = elder.take() else { break };
            elder = match scenario.step(&mut life) {
                None => Some(life),
                Some(Ending::RolledBack) => Some(scenario.go_back(life).unwrap()),
                Some(_) => None,
            };
        }
        // If it swaps something, that stays as it is.
        scenario.conductor = None;
        let mut successor = scenario.start().unwrap();
        let mut ending = None;
        while ending.is_none() {
            match &mut elder {
                Some(life) if scenario.random.random_bool(0.5) => {
                    if let Some(end) = scenario.step(life) {
                        let gone = matches!(end, Ending::Died(_) | Ending::RolledBack);
                        assert!(gone, "seed {seed}: {end:?}");
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
                let fenced = matches!(&end, Ending::Died(reason) if reason.contains("generation"));
                assert!(fenced || end == Ending::RolledBack, "{end:?}");
                elder = None;
            }
        }
        scenario.check();
    }
}
