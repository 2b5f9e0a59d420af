//! `kill -9` at random points: whatever the process was doing, the output is that of an undisturbed run.

use std::collections::BTreeSet;
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

/// Runs the job again and again, killing it, until a run ends by itself. Returns the kills, and how many processes have
/// published checkpoints.
fn run_with_kills(
    place: &Workplace,
    component: &str,
    random: &mut StdRng,
    longest: u64,
    kills_max: u32,
) -> (u32, usize) {
    // Compiles the component into the cache: otherwise the kills would meet nothing but compilation.
    place.run(&["inspect", component]).succeeded();
    let (mut kills, mut owners) = (0, BTreeSet::new());
    while kills < kills_max {
        let mut child = place.start(&["run", "job.toml", "--no-progress"]);
        // Longer with every kill, so that a slow machine gets somewhere too.
        let longest = longest + u64::from(kills) * 5;
        let patience = Duration::from_millis(random.random_range(5..longest));
        if !wait(&mut child, patience) {
            assert!(child.wait().unwrap().success(), "an undisturbed run succeeds");
            note_owners(place, &mut owners);
            return (kills, owners.len());
        }
        child.kill().expect("the process can be killed");
        child.wait().expect("the process can be waited for");
        kills += 1;
        note_owners(place, &mut owners);
    }
    place.run(&["run", "job.toml"]).succeeded();
    note_owners(place, &mut owners);
    (kills, owners.len())
}

/// Notes the processes whose checkpoints are there: each owner has a generation of its own, and names its manifests by
/// it. Later owners collect what earlier ones made, so this is to be looked at after each of them.
pub(crate) fn note_owners(place: &Workplace, owners: &mut BTreeSet<u64>) {
    for path in place.files("checkpoints/manifests").into_keys() {
        let name = path.file_name().unwrap().to_str().unwrap();
        // A process that is killed while it writes leaves a file of another name.
        let generation = name.strip_suffix(".json").and_then(|name| name.split_once('-'));
        owners.extend(generation.and_then(|(_, generation)| generation.parse::<u64>().ok()));
    }
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
    let (kills, owners) = run_with_kills(&place, "guests.wasm", &mut random, 200, 40);
    assert!(kills >= KILLS_MIN, "only {kills} kills; seed {seed}");
    assert!(place.lines("out") == expected, "after {kills} kills the output differs; seed {seed}");
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
        let (more, owners) = run_with_kills(&place, "flights.wasm", &mut random, 250, KILLS_MIN);
        kills += more;
        jobs += 1;
        owned += owners;
        for (output, expected) in outputs.iter().zip(&expected) {
            assert!(place.lines(output) == *expected, "{output} differs; seed {seed}, job {jobs}");
        }
        assert!(jobs < 100, "the job is over too quickly to be killed: {kills} kills");
    }
    println!("{kills} kills, {jobs} jobs, {owned} owners");
    assert!(owned > jobs, "the kills met {owned} processes that had begun to work; seed {seed}");
}
