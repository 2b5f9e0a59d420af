//! `kill -9` at random points: whatever the process was doing, the output is that of an undisturbed run.

use std::process::Child;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::workplace::{Workplace, flights, root};

/// Fewer kills than this prove little.
const KILLS_MIN: u32 = 20;

const SUM: &str = r#"
[job]
name = "killed"
[checkpoint]
dir = "checkpoints"
interval = "15ms"
[[source]]
id = "numbers"
connector = "generator"
keys = 500
records = 60000
rate = 15000
batch = 64
[[operator]]
id = "sum"
component = "guests.wasm"
input = "numbers"
parallelism = 2
[[sink]]
id = "sums"
connector = "jsonl"
input = "sum.sums"
path = "out"
with-key = true
"#;

/// Waits that long, or until the process has ended by itself. Whether it is still there.
pub(crate) fn wait(child: &mut Child, time: Duration) -> bool {
    let (tx, rx) = std::sync::mpsc::sync_channel::<()>(1);
    // Nothing is ever sent: the receiver is a clock that needs no polling of the wall.
    let _ = rx.recv_timeout(time);
    drop(tx);
    child.try_wait().expect("the process can be waited for").is_none()
}

/// Runs the job again and again, killing it, until a run ends by itself. Returns the kills.
fn run_with_kills(
    place: &Workplace,
    component: &str,
    random: &mut StdRng,
    longest: u64,
    kills_max: u32,
) -> u32 {
    // Compiles the component into the cache: otherwise the kills would meet nothing but compilation.
    place.run(&["inspect", component]).succeeded();
    let mut kills = 0;
    while kills < kills_max {
        let mut child = place.start(&["run", "job.toml", "--no-progress"]);
        // Longer with every kill, so that a slow machine gets somewhere too.
        let longest = longest + u64::from(kills) * 5;
        let patience = Duration::from_millis(random.random_range(5..longest));
        if !wait(&mut child, patience) {
            assert!(child.wait().unwrap().success(), "an undisturbed run succeeds");
            return kills;
        }
        child.kill().expect("the process can be killed");
        child.wait().expect("the process can be waited for");
        kills += 1;
    }
    place.run(&["run", "job.toml"]).succeeded();
    kills
}

/// How many different processes have published checkpoints: each owner has a generation of its own.
pub(crate) fn owners(place: &Workplace) -> usize {
    // A process that is killed while it writes leaves a file of another name, and perhaps with half of its bytes.
    let mut manifests = place.files("checkpoints/manifests");
    manifests.retain(|path, _| path.extension().is_some_and(|extension| extension == "json"));
    let generation = |manifest: Vec<u8>| {
        let text = String::from_utf8(manifest).unwrap();
        let (_, json) = text.split_once('\n').expect("a head and a body");
        serde_json::from_str::<serde_json::Value>(json).unwrap()["generation"].as_u64().unwrap()
    };
    manifests.into_values().map(generation).collect::<std::collections::BTreeSet<_>>().len()
}

#[test]
fn a_running_sum_survives_kills_at_random_points() {
    let undisturbed = Workplace::with_guests(SUM);
    undisturbed.run(&["run", "job.toml"]).succeeded();
    let expected = undisturbed.lines("out");
    assert_eq!(expected.len(), 60_000);

    let seed = rand::random();
    println!("seed {seed}");
    let place = Workplace::with_guests(SUM);
    let mut random = StdRng::seed_from_u64(seed);
    let kills = run_with_kills(&place, "guests.wasm", &mut random, 200, 40);
    assert!(kills >= KILLS_MIN, "only {kills} kills; seed {seed}");
    assert!(place.lines("out") == expected, "after {kills} kills the output differs; seed {seed}");
    let owners = owners(&place);
    println!("{kills} kills, {owners} owners");
    assert!(owners >= 3, "the kills met {owners} processes that had begun to work; seed {seed}");
    place.run(&["checkpoint", "verify", "checkpoints"]).succeeded();
}

#[test]
fn the_flights_survive_kills_at_random_points() {
    let set_up = || {
        let place = Workplace::new();
        let job = std::fs::read_to_string(root().join("examples/flights/job.toml")).unwrap();
        // Many small epochs, so that kills meet every stage of a checkpoint.
        let job = job.replace("interval = \"1s\"", "interval = \"10ms\"");
        place.write("job.toml", job.as_bytes());
        let data = "data/flights-2013-01.csv.gz";
        place.write(data, &std::fs::read(root().join("examples/flights").join(data)).unwrap());
        place.write("flights.wasm", flights());
        place
    };
    let undisturbed = set_up();
    undisturbed.run(&["run", "job.toml"]).succeeded();
    let outputs = ["out/days", "out/alerts", "out/late"];
    let expected = outputs.map(|output| undisturbed.lines(output));
    assert!(expected[0].len() > 2_000, "{} rows", expected[0].len());

    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut kills, mut jobs, mut owned) = (0, 0, 0);
    while kills < KILLS_MIN {
        let place = set_up();
        kills += run_with_kills(&place, "flights.wasm", &mut random, 250, KILLS_MIN);
        jobs += 1;
        owned += owners(&place);
        for (output, expected) in outputs.iter().zip(&expected) {
            assert!(place.lines(output) == *expected, "{output} differs; seed {seed}, job {jobs}");
        }
        assert!(jobs < 100, "the job is over too quickly to be killed: {kills} kills");
    }
    println!("{kills} kills, {jobs} jobs, {owned} owners");
    assert!(owned > jobs, "the kills met {owned} processes that had begun to work; seed {seed}");
}
