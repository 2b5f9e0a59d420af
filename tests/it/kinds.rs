//! Every kind of state, on both backends: the same results, whatever is between two checkpoints.

use std::process::Child;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::kill::{note_owners, wait};
use crate::workplace::Workplace;

/// Numbers into every kind of state.
fn job(records: u64, rate: &str) -> String {
    format!(
        r#"
[job]
name = "kinds"
[checkpoint]
dir = "checkpoints"
interval = "20ms"
[state]
backend = "heap"
[state.rocksdb]
write-behind-cache = "32KiB"
[[source]]
id = "numbers"
connector = "generator"
keys = 40
records = {records}
batch = 64
watermark-lag = "50ms"
{rate}
[[operator]]
id = "kinds"
component = "guests.wasm"
input = "numbers"
[[sink]]
id = "seen"
connector = "jsonl"
input = "kinds.seen"
path = "seen"
with-key = true
[[sink]]
id = "fired"
connector = "jsonl"
input = "kinds.fired"
path = "fired"
with-key = true
"#
    )
}

/// What makes the next run another one: its backend and its tasks.
fn run_as(backend: &str, parallelism: u32) -> [String; 6] {
    let set = |what: String| ["--set".to_owned(), what];
    let [a, b] = set(format!("state.backend={backend}"));
    let [c, d] = set(format!("operator.kinds.parallelism={parallelism}"));
    ["run".to_owned(), "job.toml".to_owned(), a, b, c, d]
}

fn strs(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

fn results(place: &Workplace) -> [Vec<String>; 2] {
    ["seen", "fired"].map(|folder| place.lines(folder))
}

#[test]
fn both_backends_give_the_same_results_whatever_the_parallelism() {
    let run = |backend: &str, parallelism: u32| {
        let place = Workplace::with_guests(&job(6000, ""));
        place.run(&strs(&run_as(backend, parallelism))).succeeded();
        place.run(&["checkpoint", "verify", "checkpoints"]).succeeded();
        results(&place)
    };
    let expected = run("heap", 1);
    assert_eq!(expected[0].len(), 6000);
    assert!(expected[1].len() > 1000, "{} timers and windows", expected[1].len());
    for (backend, parallelism) in [("heap", 3), ("rocksdb", 1), ("rocksdb", 3)] {
        assert!(run(backend, parallelism) == expected, "{backend}, {parallelism} tasks");
    }
}

#[test]
fn state_moves_between_backends_and_tasks_while_the_process_is_killed() {
    const KILLS: u32 = 25;
    let undisturbed = Workplace::with_guests(&job(12_000, ""));
    undisturbed.run(&["run", "job.toml"]).succeeded();
    let expected = results(&undisturbed);

    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let place = Workplace::with_guests(&job(12_000, "rate = 5000"));
    place.run(&["inspect", "guests.wasm"]).succeeded();
    let (mut kills, mut owners) = (0, std::collections::BTreeSet::new());
    let mut next = || {
        let backend = if random.random() { "heap" } else { "rocksdb" };
        (run_as(backend, random.random_range(1..4)), random.random_range(20..400))
    };
    while kills < KILLS {
        let (arguments, patience) = next();
        let mut child = place.start(&strs(&arguments));
        if !wait(&mut child, Duration::from_millis(patience + u64::from(kills) * 30)) {
            let ended = child.wait().unwrap();
            let again = || place.run(&strs(&arguments));
            assert!(ended.success(), "after {kills} kills, seed {seed}: {:#?}", again());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        note_owners(&place, &mut owners);
    }
    place.run(&strs(&next().0)).succeeded();
    note_owners(&place, &mut owners);
    println!("{kills} kills, {} owners", owners.len());
    assert!(results(&place) == expected, "after {kills} kills the results differ; seed {seed}");
    assert!(owners.len() >= 3, "the kills met processes that had begun to work; seed {seed}");
    assert!(kills >= 5, "only {kills} kills; seed {seed}");
    let left: Vec<_> = place.files("state").into_keys().collect();
    assert!(left.is_empty(), "local state outlives the job: {left:?}");
}

#[test]
fn a_state_that_became_something_else_is_refused_by_name() {
    let text = job(100, "").replace("id = \"kinds\"", "id = \"sum\"\noperator = \"sum\"");
    let (head, _) = text.split_once("[[sink]]").unwrap();
    let sink = "[[sink]]\nid = \"sums\"\nconnector = \"discard\"\ninput = \"sum.sums\"\n";
    let place = Workplace::with_guests(&format!("{head}{sink}"));
    place.run(&["run", "job.toml"]).succeeded();
    let before = place.files("checkpoints");
    let set = format!("operator.sum.operator={}", "turned");
    place
        .run(&["run", "job.toml", "--set", &set])
        .refused(&["`sum`", "was a value state and is a map state now"]);
    let added = |files: &std::collections::BTreeMap<_, _>| files.len() - before.len();
    assert!(added(&place.files("checkpoints")) <= 1, "no more than a claim was written");
}

#[test]
fn what_is_too_large_undoes_its_record_and_no_other() {
    let text = r#"
[job]
name = "limits"
[dead-letters]
path = "dead"
[[source]]
id = "rows"
connector = "jsonl"
path = "rows.jsonl"
[[operator]]
id = "shape"
component = "guests.wasm"
input = "rows"
config = { for = "limits" }
[[operator]]
id = "limits"
component = "guests.wasm"
input = "shape.numbers"
on-error = "dead-letter"
memory-limit = "1GiB"
deadline = "20s"
[[sink]]
id = "sizes"
connector = "jsonl"
input = "limits.sizes"
path = "sizes"
"#;
    for backend in ["heap", "rocksdb"] {
        let place = Workplace::with_guests(text);
        let rows: Vec<String> = [10, -70_000, -60_000, 70_000_000, 5]
            .map(|value: i64| serde_json::json!({ "key": 1, "value": value }).to_string())
            .into();
        place.write("rows.jsonl", rows.join("\n").as_bytes());
        place.run(&["run", "job.toml", "--set", &format!("state.backend={backend}")]).succeeded();
        let sizes: Vec<u64> = place.rows("sizes").iter().map(|row| row.as_u64().unwrap()).collect();
        assert_eq!(sizes, [10, 11, 16], "{backend}");
        let dead = place.rows("dead");
        let reason = |value: i64| {
            let of_value = |row: &&Value| row["record"]["value"] == value;
            dead.iter().find(of_value).and_then(|row| row["reason"].as_str()).unwrap().to_owned()
        };
        assert_eq!(dead.len(), 2, "{backend}: {dead:?}");
        assert!(reason(-70_000).contains("`map`"), "{backend}: {}", reason(-70_000));
        assert!(reason(-70_000).contains("65536"), "{backend}: {}", reason(-70_000));
        assert!(reason(70_000_000).contains("`log`"), "{backend}: {}", reason(70_000_000));
    }
}

#[test]
fn two_jobs_cannot_share_a_folder_of_local_state() {
    let place = Workplace::with_guests(&job(1_000_000, "rate = 500"));
    let mut first = place.start(&strs(&run_as("rocksdb", 1)));
    let mut owned = false;
    for _ in 0..1200 {
        owned = owned || place.path("state/kinds/tasks/kinds-0").is_dir();
        if owned || !wait(&mut first, Duration::from_millis(50)) {
            break;
        }
    }
    assert!(owned, "the first job has its folder");
    let mut second = run_as("rocksdb", 1).to_vec();
    second.extend(["--set".to_owned(), "checkpoint.dir=others".to_owned()]);
    second.extend(["--set".to_owned(), "sink.seen.path=others-seen".to_owned()]);
    second.extend(["--set".to_owned(), "sink.fired.path=others-fired".to_owned()]);
    let done = place.run(&strs(&second));
    first.kill().unwrap();
    first.wait().unwrap();
    done.refused(&["state/kinds", "in use by another process", "`directory` of `[state]`"]);
}

/// Ends a job with a last checkpoint.
fn stop(mut child: Child) {
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
}

/// The pairs (own, all) of `rules`, in the order in which a folder's files and lines are.
fn remembered(place: &Workplace) -> Vec<(i64, i64)> {
    let rows = place.rows("sums");
    let numbers = rows.iter().map(|row| row["value"].as_i64().unwrap());
    let pairs = numbers.filter(|number| *number >= 1_000_000);
    let mut pairs: Vec<_> = pairs.map(|pair| (pair / 1_000_000, pair % 1_000_000)).collect();
    pairs.sort_unstable();
    pairs
}

#[test]
fn task_states_are_dealt_out_and_broadcast_state_reaches_every_task() {
    let text = r#"
[job]
name = "rules"
[checkpoint]
dir = "checkpoints"
interval = "30ms"
[[source]]
id = "laws"
connector = "jsonl"
path = "laws.jsonl"
[[source]]
id = "numbers"
connector = "generator"
keys = 60
rate = 1000
batch = 20
[[operator]]
id = "rules"
component = "guests.wasm"
inputs = { rules = "laws", numbers = "numbers" }
[[sink]]
id = "sums"
connector = "jsonl"
input = "rules.sums"
path = "sums"
with-key = true
"#;
    let place = Workplace::with_guests(text);
    place.write("laws.jsonl", b"[0,0]\n[1,0]\n[2,0]\n");
    let with_tasks = |tasks: u32| {
        let set = format!("operator.rules.parallelism={tasks}");
        let before = remembered(&place).len();
        let mut child = place.start(&["run", "job.toml", "--set", &set]);
        for _ in 0..1200 {
            if remembered(&place).len() > before + 300
                || !wait(&mut child, Duration::from_millis(50))
            {
                break;
            }
        }
        stop(child);
        remembered(&place)
    };
    let first = with_tasks(1);
    let count = first.len() as i64;
    assert!(count > 300, "{count} numbers");
    assert_eq!(first.last(), Some(&(count, count)), "one task remembers everything");
    let second = with_tasks(3);
    let new: Vec<_> = second.iter().filter(|pair| !first.contains(pair)).collect();
    let least_own = new.iter().map(|pair| pair.0).min().unwrap();
    let least_all = new.iter().map(|pair| pair.1).min().unwrap();
    assert_eq!(least_all, count + 1, "each task has what all had");
    assert!((count / 3..=count / 3 + 2).contains(&least_own), "{least_own} of {count}");
    // Every key has its rule by then: nothing but zeros is emitted for the numbers themselves.
    let rows = place.rows("sums");
    let numbers = rows.iter().map(|row| row["value"].as_i64().unwrap());
    let wild = numbers.filter(|number| *number != 0 && *number < 1_000_000).count();
    assert!(wild < 300, "{wild} numbers came before the rules did");
}
