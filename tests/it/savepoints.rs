//! Savepoints: made of jobs that run and of jobs that do not, started from on other terms, listed and deleted.

use std::time::Duration;

use crate::workplace::Workplace;

pub(crate) const RECORDS: usize = 40_000;

pub(crate) const JOB: &str = r#"
[job]
name = "saved"
[checkpoint]
dir = "checkpoints"
interval = "50ms"
[[source]]
id = "numbers"
connector = "generator"
keys = 2000
records = 40000
rate = 10000
batch = 64
[[operator]]
id = "sum"
component = "guests.wasm"
input = "numbers"
[[sink]]
id = "sums"
connector = "jsonl"
input = "sum.sums"
path = "out"
with-key = true
"#;

pub(crate) const STATE: &str = "state/saved";

/// What the job writes if nothing disturbs it.
pub(crate) fn expected() -> Vec<String> {
    let place = Workplace::with_guests(&JOB.replace("rate = 10000\n", ""));
    place.run(&["run", "job.toml"]).succeeded();
    let lines = place.lines("out");
    assert_eq!(lines.len(), RECORDS);
    lines
}

fn create(place: &Workplace, more: &[&str]) -> serde_json::Value {
    let arguments = [&["savepoint", "create", "job.toml", "--json"], more].concat();
    place.run(&arguments).succeeded().json()
}

#[test]
fn a_job_moves_to_other_tasks_and_another_backend_by_savepoints() {
    let place = Workplace::with_guests(JOB);
    let terms: [&[&str]; 3] = [
        &["--set", "operator.sum.parallelism=3"],
        &["--set", "state.backend=rocksdb", "--set", "operator.sum.parallelism=2"],
        &["--set", "checkpoint.compression=zstd"],
    ];
    let mut job = place.start_job(&["job.toml"], STATE);
    for (round, terms) in terms.into_iter().enumerate() {
        assert!(job.goes_on(Duration::from_millis(400)), "{:#?}", job.end());
        let name = format!("round-{round}");
        let made = create(&place, &[&name, "--stop"]);
        assert_eq!(made["ended"]["status"], "stopped", "{made}");
        assert_eq!(job.end().succeeded().code, Some(0));
        let mut arguments = vec!["job.toml", "--json", "--from", &name];
        arguments.extend(terms);
        job = place.start_job(&arguments, STATE);
    }
    let last = job.end().succeeded().json();
    assert_eq!(last["resumed_from"]["savepoint"], "round-2");
    assert_eq!(last["status"], "completed");
    assert!(place.lines("out") == expected(), "the output is that of an undisturbed run");
    place.run(&["checkpoint", "scrub", "job.toml"]).succeeded();
}

#[test]
fn a_savepoint_outlives_the_checkpoints_around_it() {
    let place = Workplace::with_guests(JOB);
    let mut job = place.start_job(&["job.toml"], STATE);
    assert!(job.goes_on(Duration::from_millis(300)), "{:#?}", job.end());
    let made = create(&place, &["kept"]);
    assert_eq!((&made["name"], &made["ended"]), (&"kept".into(), &serde_json::Value::Null));
    let epoch = made["epoch"].as_u64().unwrap();
    job.end().succeeded();

    let listed = place.run(&["checkpoint", "list", "job.toml", "--json"]).succeeded().json();
    let epochs: Vec<u64> =
        listed.as_array().unwrap().iter().map(|one| one["epoch"].as_u64().unwrap()).collect();
    assert_eq!(epochs.len(), 3, "so many are retained: {listed}");
    assert!(!epochs.contains(&epoch), "the savepoint's own has been collected");
    let listed = place.run(&["savepoint", "list", "job.toml", "--json"]).succeeded().json();
    assert_eq!((&listed[0]["name"], &listed[0]["epoch"]), (&"kept".into(), &epoch.into()));
    let shown = place.run(&["savepoint", "show", "checkpoints", "kept"]).succeeded().stdout;
    assert!(shown.contains(&format!("checkpoint  {epoch}")), "{shown}");
    place.run(&["checkpoint", "scrub", "job.toml"]).succeeded();

    // Started from as a job of its own, it gives the rest of the output.
    let before = place.lines("out").len();
    let again = ["run", "job.toml", "--json", "--fork-from", "checkpoints@kept"];
    let set =
        ["--set", "job.name=again", "--set", "checkpoint.dir=c2", "--set", "sink.sums.path=o2"];
    let again = place.run(&[&again[..], &set[..]].concat()).succeeded().json();
    assert!(again["records"].as_u64() > Some(0), "{again}");
    assert!(place.lines("o2").len() < before);

    place.run(&["savepoint", "delete", "job.toml", "kept", "lost"]).refused(&["`lost`", "kept"]);
    place.run(&["savepoint", "delete", "job.toml", "kept"]).succeeded();
    place.run(&["savepoint", "show", "job.toml", "kept"]).refused(&["`kept`", "none at all"]);
}

#[test]
fn a_job_that_does_not_run_gives_its_newest_checkpoint() {
    let place = Workplace::with_guests(&JOB.replace("rate = 10000\n", ""));
    place.run(&["savepoint", "create", "job.toml", "early"]).refused(&["has not run yet"]);
    let done = place.run(&["run", "job.toml", "--json"]).succeeded().json();
    let newest = done["checkpoints"].as_array().unwrap().last().unwrap()["epoch"].clone();
    let made = create(&place, &[]);
    assert_eq!(made["epoch"], newest, "{made}");
    assert!(made["name"].as_str().unwrap().starts_with("savepoint-"), "{made}");
    for ends in ["--stop", "--drain"] {
        let refused = place.run(&["savepoint", "create", "job.toml", "b", ends]);
        refused.refused(&["is not running here", "newest checkpoint becomes the savepoint"]);
    }
    place.run(&["cancel", "job.toml"]).refused(&["is not running here", "--set"]);
}

#[test]
fn names_that_cannot_be_are_refused_and_those_that_are_taken() {
    let place = Workplace::with_guests(JOB);
    let mut job = place.start_job(&["job.toml"], STATE);
    assert!(job.goes_on(Duration::from_millis(150)), "{:#?}", job.end());
    for name in ["a/b", "../a", ".a", "7", "a b"] {
        let refused = place.run(&["savepoint", "create", "job.toml", name, "--stop"]);
        refused.refused(&[name, "letters, digits"]);
    }
    create(&place, &["taken"]);
    place.run(&["savepoint", "create", "job.toml", "taken"]).refused(&["taken", "another name"]);
    let listed = place.run(&["savepoint", "list", "job.toml", "--json"]).succeeded().json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    job.end().succeeded();
    assert!(place.lines("out") == expected(), "refusals do not disturb the job");
}

#[test]
fn a_claimed_savepoint_goes_when_the_run_has_a_checkpoint_of_its_own() {
    let place = Workplace::with_guests(JOB);
    let mut job = place.start_job(&["job.toml"], STATE);
    assert!(job.goes_on(Duration::from_millis(300)), "{:#?}", job.end());
    create(&place, &["claimed", "--stop"]);
    job.end().succeeded();
    place.run(&["run", "job.toml", "--from", "claimed", "--claim"]).succeeded();
    let listed = place.run(&["savepoint", "list", "job.toml", "--json"]).succeeded().json();
    assert_eq!(listed, serde_json::json!([]));
    assert!(place.lines("out") == expected());
    place.run(&["run", "job.toml", "--from", "claimed"]).refused(&["no savepoint `claimed`"]);
}

#[test]
fn a_savepoint_of_another_store_can_be_claimed() {
    let place =
        Workplace::with_guests(&JOB.replace("interval", "inline-threshold = \"0B\"\ninterval"));
    let mut job = place.start_job(&["job.toml"], STATE);
    assert!(job.goes_on(Duration::from_millis(300)), "{:#?}", job.end());
    create(&place, &["claimed", "--stop"]);
    job.end().succeeded();
    let moved = ["run", "job.toml", "--set", "checkpoint.dir=moved"];
    // There is no savepoint to be taken over.
    let newest = place.run(&[&moved[..], &["--from", "checkpoints", "--claim"]].concat());
    newest.refused(&["`--claim`", "name a savepoint"]);
    place.run(&[&moved[..], &["--from", "checkpoints@claimed", "--claim"]].concat()).succeeded();
    let listed = place.run(&["savepoint", "list", "checkpoints", "--json"]).succeeded().json();
    assert_eq!(listed, serde_json::json!([]));
    assert!(place.lines("out") == expected());
    // What the run shares with the other store outlives the savepoint there.
    place.run(&["checkpoint", "collect", "checkpoints", "--num-retained", "1"]).succeeded();
    place.run(&["checkpoint", "verify", "moved"]).succeeded();
    let again = place.run(&[&moved[..], &["--json"]].concat()).succeeded().json();
    assert_eq!(again["records"], 0, "{again}");
}

#[test]
fn a_portable_savepoint_stands_on_its_own() {
    for backend in ["heap", "rocksdb"] {
        let place = Workplace::with_guests(JOB);
        let set = format!("state.backend={backend}");
        let mut job = place.start_job(&["job.toml", "--set", &set], STATE);
        assert!(job.goes_on(Duration::from_millis(400)), "{:#?}", job.end());
        let made = create(&place, &["plain", "--portable", "--stop"]);
        assert_eq!(made["portable"], true);
        job.end().succeeded();
        let listed = place.run(&["savepoint", "list", "job.toml", "--json"]).succeeded().json();
        assert_eq!(listed.as_array().map(Vec::len), Some(1), "the native one has gone: {listed}");
        let other = if backend == "heap" { "state.backend=rocksdb" } else { "state.backend=heap" };
        place.run(&["run", "job.toml", "--from", "plain", "--set", other]).succeeded();
        assert!(place.lines("out") == expected(), "{backend}");
    }
}

/// Something lies where the savepoint is to be, and does not show among them.
fn in_the_way(place: &Workplace, name: &str) {
    std::fs::create_dir_all(place.path(&format!("checkpoints/savepoints/{name}.json"))).unwrap();
}

#[test]
fn a_job_that_ends_without_its_savepoint_keeps_its_checkpoints() {
    let place = Workplace::with_guests(JOB);
    let delete = ["job.toml", "--set", "checkpoint.retention-on-finish=delete"];
    let mut job = place.start_job(&delete, STATE);
    assert!(job.goes_on(Duration::from_millis(300)), "{:#?}", job.end());
    create(&place, &["taken"]);
    let drain = |name| place.run(&["savepoint", "create", "job.toml", name, "--drain"]);
    drain("taken").refused(&["`taken` already"]);
    assert!(job.goes_on(Duration::from_millis(100)), "{:#?}", job.end());
    in_the_way(&place, "done");
    drain("done").refused(&["`done` was not made", "ends all the same", "savepoint create"]);
    let done = job.end().succeeded();
    assert!(done.stderr.contains("the checkpoints stay"), "{}", done.stderr);
    create(&place, &["of-the-newest"]);
    place.run(&["checkpoint", "verify", "job.toml"]).succeeded();
}

#[test]
fn the_native_savepoint_stays_if_the_portable_one_cannot_be_written() {
    let place = Workplace::with_guests(JOB);
    let mut job = place.start_job(&["job.toml"], STATE);
    assert!(job.goes_on(Duration::from_millis(300)), "{:#?}", job.end());
    in_the_way(&place, "plain");
    let portable = ["savepoint", "create", "job.toml", "plain", "--portable", "--stop"];
    place.run(&portable).refused(&["`plain` was not written", "`plain.native`", "stays"]);
    job.end().succeeded();
    place.run(&["run", "job.toml", "--from", "plain.native"]).succeeded();
    assert!(place.lines("out") == expected());
}

#[test]
fn a_drained_job_fires_what_waits_for_the_end_of_time() {
    let job = r#"
[job]
name = "drained"
[checkpoint]
dir = "checkpoints"
[[source]]
id = "numbers"
connector = "generator"
keys = 40
rate = 2000
batch = 64
watermark-lag = "1h"
[[operator]]
id = "kinds"
component = "guests.wasm"
input = "numbers"
[[sink]]
id = "fired"
connector = "jsonl"
input = "kinds.fired"
path = "fired"
[[sink]]
id = "seen"
connector = "discard"
input = "kinds.seen"
"#;
    let place = Workplace::with_guests(job);
    let mut running = place.start_job(&["job.toml"], "state/drained");
    assert!(running.goes_on(Duration::from_millis(400)), "{:#?}", running.end());
    create(&place, &["half", "--stop"]);
    running.end().succeeded();
    assert!(place.lines("fired").is_empty(), "the watermark is an hour behind");
    let mut running = place.start_job(&["job.toml"], "state/drained");
    assert!(running.goes_on(Duration::from_millis(200)), "{:#?}", running.end());
    let made = create(&place, &["whole", "--drain"]);
    assert_eq!(made["ended"]["status"], "drained", "{made}");
    running.end().succeeded();
    assert!(!place.lines("fired").is_empty(), "everything that waited has fired");
}
