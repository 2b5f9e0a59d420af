//! The simulation: engine, coordinator and checkpoint protocol, with native operators, under a clock, a store and a
//! scheduler that a seed decides. No threads (but in `threads`), no wasm, no real time; the heap for state, and in some
//! runs RocksDB.
//!
//! The checks are always the same: whatever happened, once the job has ended the world outside has seen every result
//! exactly once.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without ends it")]

mod backends;
mod conductor;
mod crashes;
mod going_back;
mod owners;
mod savepoints;
mod scheduler;
mod stalls;
mod swaps;
mod tables;
mod threads;
mod upgrades;
mod world;

use scheduler::{Death, Ending, Scenario};

/// A seed for runs beyond the fixed ones: `STATEHOUSE_SIM_SEED`, and how many: `STATEHOUSE_SIM_RUNS`.
fn from_environment(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the soak target chooses its seeds")]
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {value}")))
}

#[test]
fn an_undisturbed_run_sees_everything_once() {
    for seed in 0..20 {
        let mut scenario = Scenario::new(seed);
        assert_eq!(scenario.run(Death::Never), Ending::Completed, "seed {seed}");
        scenario.check();
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 99] {
        let trace = |seed| {
            let mut scenario = Scenario::new(seed);
            scenario.run(Death::AfterCalls(9));
            scenario.world.store.heal();
            scenario.run(Death::Never);
            (scenario.trace, scenario.world.sums.committed())
        };
        let (first, second) = (trace(seed), trace(seed));
        assert!(first.0.len() > 100, "the trace shows what happened");
        assert_eq!(first, second);
        assert_ne!(first.0, trace(seed + 1).0);
    }
}
