//! Many swaps at random, under load, well- and ill-behaved versions mixed: every record is told of once.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::*;

/// Swaps of an ordinary run of the tests. `make soak-swaps` does more.
const SWAPS: u64 = 30;

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var_os(name).and_then(|text| text.into_string().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Swaps of one job. It gets on to later versions of the state by the last of them.
const SWAPS_A_JOB: u64 = 30;

#[test]
fn random_swaps_lose_and_double_nothing() {
    let (seed, swaps) = (number("STATEHOUSE_SWAPS_SEED", 5), number("STATEHOUSE_SWAPS", SWAPS));
    let jobs = swaps.div_ceil(SWAPS_A_JOB);
    for job in 0..jobs {
        let count = SWAPS_A_JOB.min(swaps - job * SWAPS_A_JOB);
        swap_at_random(seed + job, count);
        println!("{} of {swaps} swaps", job * SWAPS_A_JOB + count);
    }
}

/// Which versions may come at this point, and what becomes of their swaps: later versions cannot give their state back
/// to earlier ones.
fn versions(round: u64, rounds: u64) -> &'static [(&'static str, &'static str)] {
    match round * 10 / rounds {
        0..=4 => {
            &[("v1", "kept"), ("v2", "kept"), ("trapping", "rolled-back"), ("quiet", "rolled-back")]
        }
        5..=6 => &[("v3", "kept"), ("rekeyed", "refused")],
        7..=8 => &[("v4", "kept"), ("rewired", "refused")],
        _ => &[("v5", "kept"), ("hungry", "refused")],
    }
}

fn swap_at_random(seed: u64, rounds: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let backend = if random.random_bool(0.5) { "heap" } else { "rocksdb" };
    let ledger = Ledger::of(&JOB.replace("rate = 4000\n", "rate = 20000\n"));
    let set = format!("state.backend={backend}");
    let mut job = ledger.start(&["--set", &set]);
    let mut records = 0;
    for round in 0..rounds {
        pause(random.random_range(0..60), &mut job);
        let (version, wanted) = *versions(round, rounds).choose(&mut random).unwrap();
        let watch = format!("{}ms", random.random_range(0..80));
        let mut more = vec!["--yes", "--watch"];
        match version {
            "trapping" => more.push("20s"),
            "quiet" => more.extend([&*watch, "--invariant", "records-out > 2 * records-in"]),
            _ => more.push(&watch),
        }
        if ["v1", "v2"].contains(&version) && random.random_bool(0.3) {
            more.extend(["--canary", "30%"]);
        }
        if random.random_bool(0.2) {
            more.extend(["--shadow", "2"]);
        }
        let status = ledger.swapped(version, &more);
        let told =
            || format!("seed {seed}, {backend}, round {round}, {version} {more:?}: {status:#}");
        assert_eq!(stage(&status), wanted, "{}", told());
        if random.random_bool(0.1) {
            job.signal(if random.random_bool(0.5) { "KILL" } else { "INT" });
            job.end();
            let seen: usize = check_ledger(&ledger.place.rows("out")).values().sum();
            assert!(seen >= records, "{}", told());
            records = seen;
            job = ledger.start(&["--set", &set]);
        }
    }
    let rows = ledger.end(job);
    assert!(rows.values().sum::<usize>() > 1000, "seed {seed}: {rows:?}");
    assert!(rows.keys().all(|by| by.starts_with('v')), "seed {seed}: {rows:?}");
}
