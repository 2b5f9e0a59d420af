//! Forks: two jobs on the same files, each right, each collected, neither losing what it needs.

use std::fs;
use std::time::Duration;

use crate::savepoints::{JOB, RECORDS, STATE, expected};
use crate::workplace::Workplace;

/// The job, with nothing of its state in manifests.
fn job() -> String {
    JOB.replace("interval = \"50ms\"", "interval = \"50ms\"\ninline-threshold = \"0B\"")
}

/// A second job: another name, and places of its own.
fn fork_file(place: &Workplace) {
    let job = job()
        .replace("name = \"saved\"", "name = \"fork\"")
        .replace("\"checkpoints\"", "\"fork-checkpoints\"")
        .replace("path = \"out\"", "path = \"fork-out\"");
    place.write("fork.toml", job.as_bytes());
}

/// Stops the job half-way with the savepoint `half`; what it has written by then.
fn half(place: &Workplace) -> Vec<String> {
    let mut job = place.start_job(&["job.toml"], STATE);
    assert!(job.goes_on(Duration::from_millis(600)), "{:#?}", job.end());
    place.run(&["savepoint", "create", "job.toml", "half", "--stop"]).succeeded();
    job.end().succeeded();
    let lines = place.lines("out");
    assert!(!lines.is_empty() && lines.len() < RECORDS, "{} lines", lines.len());
    lines
}

#[test]
fn both_jobs_go_on_from_the_fork_and_are_right() {
    let place = Workplace::with_guests(&job());
    fork_file(&place);
    let before = half(&place);
    let packs = place.files("checkpoints/packs").len();
    let set = ["--set", "checkpoint.num-retained=1"];
    let one = place.start_job(&[&["job.toml"], &set[..]].concat(), STATE);
    let fork = ["fork.toml", "--fork-from", "job.toml@half"];
    let other = place.start_job(&[&fork[..], &set[..]].concat(), "state/fork");
    assert!(packs > 0);
    one.end().succeeded();
    other.end().succeeded();
    let expected = expected();
    assert!(place.lines("out") == expected, "the first job");
    let mut both = [before, place.lines("fork-out")].concat();
    both.sort();
    assert!(both == expected, "the fork writes what came after the savepoint");

    // The first job no longer needs what the fork still does.
    place.run(&["savepoint", "delete", "job.toml", "half"]).succeeded();
    for job in ["job.toml", "fork.toml"] {
        place.run(&["checkpoint", "collect", job, "--num-retained", "1"]).succeeded();
        place.run(&["checkpoint", "verify", job]).succeeded();
        let plan = ["checkpoint", "collect", job, "--num-retained", "1", "--dry-run", "--json"];
        let plan = place.run(&plan).succeeded().json();
        assert_eq!(plan["packs"], 0, "nothing is left to collect: {plan}");
    }
    let again = place.run(&["run", "fork.toml", "--json"]).succeeded().json();
    assert_eq!(again["records"], 0, "{again}");
}

#[test]
fn a_fork_shares_what_it_does_not_change() {
    let place = Workplace::with_guests(&job());
    fork_file(&place);
    half(&place);
    let fork = ["fork.toml", "--fork-from", "checkpoints@half", "--set", "source.numbers.rate=100"];
    let mut fork = place.start_job(&fork, "state/fork");
    assert!(fork.goes_on(Duration::from_millis(300)), "{:#?}", fork.end());
    place.run(&["savepoint", "create", "fork.toml", "--stop"]).succeeded();
    fork.end().succeeded();
    let size = |folder| place.files(folder).values().map(Vec::len).sum::<usize>();
    let (own, shared) = (size("fork-checkpoints/packs"), size("checkpoints/packs"));
    assert!(own < shared / 2, "{own} bytes of its own, {shared} shared");
    // Without the other store it cannot run, and says so.
    fs::rename(place.path("checkpoints"), place.path("away")).unwrap();
    place.run(&["run", "fork.toml"]).refused(&["checkpoints"]);
    fs::rename(place.path("away"), place.path("checkpoints")).unwrap();
    place.run(&["run", "fork.toml", "--json"]).succeeded();
}

#[test]
fn a_fork_that_is_killed_before_its_first_checkpoint_is_still_a_fork() {
    let place = Workplace::with_guests(&job());
    fork_file(&place);
    let before = half(&place);
    let seldom = ["--set", "checkpoint.interval=1h"];
    let fork = ["fork.toml", "--fork-from", "job.toml@half"];
    let mut fork = place.start_job(&[&fork[..], &seldom].concat(), "state/fork");
    assert!(fork.goes_on(Duration::from_millis(300)), "{:#?}", fork.end());
    fork.signal("KILL");
    fork.end();
    assert!(place.files("fork-checkpoints/manifests").is_empty());
    let create = place.run(&["savepoint", "create", "fork.toml"]);
    create.refused(&["no checkpoint of its own yet", "`saved`"]);
    let again = place.run(&["run", "fork.toml", "--json"]).succeeded().json();
    assert!(again["records"].as_u64() > Some(0), "{again}");
    let mut both = [before, place.lines("fork-out")].concat();
    both.sort();
    assert!(both == expected(), "the fork writes what came after the savepoint");
    place.run(&["run", "job.toml"]).succeeded();
    assert!(place.lines("out") == expected(), "and the first job loses nothing");
}

#[test]
fn a_fork_is_refused_where_it_cannot_be() {
    let place = Workplace::with_guests(&job());
    fork_file(&place);
    half(&place);
    let before = place.files("checkpoints");
    place.run(&["run", "job.toml", "--fork-from", "job.toml@half"]).refused(&["is the job's own"]);
    place.run(&["run", "fork.toml", "--fork-from", "job.toml@lost"]).refused(&["`lost`", "half"]);
    place.run(&["run", "fork.toml", "--fork-from", "nowhere"]).refused(&["nowhere"]);
    place.run(&["run", "fork.toml", "--from", "job.toml@half"]).refused(&["`saved`", "`fork`"]);
    let groups = ["run", "fork.toml", "--fork-from", "job.toml@half", "--set", "job.key-groups=64"];
    place.run(&groups).refused(&["key-groups = 128"]);
    assert_eq!(place.files("checkpoints"), before, "a refusal leaves no pin");
    assert!(!place.path("fork-checkpoints").exists(), "and no store");
}

#[test]
fn state_without_an_operator_is_dropped_where_the_user_allows_it() {
    let place = Workplace::with_guests(&job());
    half(&place);
    let renamed = job().replace("id = \"sum\"", "id = \"total\"\noperator = \"sum\"");
    place.write("job.toml", renamed.replace("sum.sums", "total.sums").as_bytes());
    place.run(&["run", "job.toml"]).refused(&["`sum`", "--allow-non-restored-state"]);
    let run = place.run(&["run", "job.toml", "--allow-non-restored-state", "--json"]).succeeded();
    assert!(run.stderr.contains("`sum`"), "what is dropped is named: {}", run.stderr);
    assert_eq!(place.lines("out").len(), RECORDS);
}

#[test]
fn a_copy_stands_on_its_own_and_copies_only_what_is_missing() {
    let place = Workplace::with_guests(&job());
    half(&place);
    let copy = |what: &str| {
        let copy = ["checkpoint", "copy", what, "backup/job", "--json"];
        place.run(&copy).succeeded().json()
    };
    let first = copy("job.toml@half");
    assert_eq!(first["name"], "half");
    assert!(first["packs_copied"].as_u64() > Some(0), "{first}");
    let again = copy("job.toml@half");
    assert_eq!(again["packs_copied"], 0, "{again}");
    place.run(&["checkpoint", "scrub", "backup/job"]).succeeded();
    fs::remove_dir_all(place.path("checkpoints")).unwrap();
    let moved = ["run", "job.toml", "--set", "checkpoint.dir=backup/job"];
    place.run(&moved).refused(&["the savepoint `half`", "--from"]);
    place.run(&[&moved[..], &["--from", "half"]].concat()).succeeded();
    assert!(place.lines("out") == expected());
    place.run(&["checkpoint", "copy", "backup/job", "backup/job"]).refused(&["savepoint create"]);
    place.run(&["checkpoint", "copy", "backup/job", "out"]).refused(&["other things"]);
}
