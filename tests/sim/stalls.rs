//! A store that never answers one of its requests: the job goes on without that checkpoint.

use crate::scheduler::{Death, Ending, Scenario};

#[test]
fn a_request_that_is_never_answered_hangs_no_job_and_loses_nothing() {
    let mut given_up = 0;
    for request in 0..90 {
        for takes_effect in [false, true] {
            let mut scenario = Scenario::new(500 + request);
            scenario.stall = Some((request, takes_effect));
            if scenario.run(Death::Never) != Ending::Completed {
                // It was the last checkpoint, which nothing can take the place of.
                given_up += 1;
                scenario.stall = None;
                scenario.complete();
            }
            scenario.world.store.heal();
            scenario.check();
        }
    }
    // Nothing waits for a collection that hangs.
    assert!(given_up < 10, "{given_up} runs could not end");
}
