//! Many swaps at random, under load, well- and ill-behaved versions mixed: every record is told of once.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::*;

/// Swaps of an ordinary run of the tests. `make soak-swaps` does more.
const SWAPS: u32 = 30;

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var_os(name).and_then(|text| text.into_string().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn random_swaps_lose_and_double_nothing() {
    let seed = number("STATEHOUSE_SWAPS_SEED", 5);
    let swaps = number("STATEHOUSE_SWAPS", u64::from(SWAPS));
    let mut random = StdRng::seed_from_u64(seed);
    let backend = if random.random_bool(0.5) { "heap" } else { "rocksdb" };
    let ledger = Ledger::of(&JOB.replace("rate = 4000\n", "rate = 20000\n"));
    let set = format!("state.backend={backend}");
    let mut job = ledger.start(&["--set", &set]);
    let (mut kept, mut undone, mut restarts) = (0, 0, 0);
    for round in 0..swaps {
        pause(random.random_range(0..60), &mut job);
        // Later versions cannot give their state back to earlier ones.
        let versions: &[&str] = match round * 4 / swaps.max(1) {
            0 | 1 => &["v1", "v2", "trapping", "quiet-watched"],
            2 => &["v3", "v4", "trapping-refused"],
            _ => &["v5", "picky-refused"],
        };
        let version = *versions.choose(&mut random).unwrap();
        let watch = format!("{}ms", random.random_range(0..80));
        let mut more = vec!["--watch", &watch, "--yes"];
        let (name, wanted) = match version {
            "trapping" => ("trapping", "rolled-back"),
            "quiet-watched" => {
                more.extend(["--invariant", "records-out > 2 * records-in"]);
                ("quiet", "rolled-back")
            }
            "trapping-refused" => ("rekeyed", "refused"),
            "picky-refused" => ("rewired", "refused"),
            version => (version, "kept"),
        };
        if name == "trapping" {
            more[1] = "20s";
        }
        if wanted == "kept" && random.random_bool(0.2) && round < swaps / 2 {
            more.extend(["--canary", "30%"]);
        }
        let status = ledger.swapped(name, &more);
        assert_eq!(stage(&status), wanted, "seed {seed}, round {round}, {version}: {status:#}");
        kept += u32::from(wanted == "kept");
        undone += u32::from(wanted == "rolled-back");
        if random.random_bool(0.1) {
            let kill = random.random_bool(0.5);
            job.signal(if kill { "KILL" } else { "INT" });
            job.end();
            job = ledger.start(&["--set", &set]);
            restarts += 1;
        }
    }
    let rows = ledger.end(job);
    assert!(rows.values().sum::<usize>() > 1000, "{rows:?}");
    assert!(
        kept > 0 && undone > 0,
        "seed {seed}: {kept} kept, {undone} undone, {restarts} restarts"
    );
}
