//! Deleting what nothing needs, and only that; finding damage and mending it.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::savepoints::{JOB, STATE, expected};
use crate::workplace::Workplace;

/// A place where the job has run to its end and kept many checkpoints.
fn finished() -> Workplace {
    let place = Workplace::with_guests(&JOB.replace("records = 40000", "records = 10000"));
    let retain =
        ["--set", "checkpoint.num-retained=100", "--set", "checkpoint.inline-threshold=0B"];
    place.run(&[&["run", "job.toml"], &retain[..]].concat()).succeeded();
    place
}

fn count(place: &Workplace, what: &str) -> usize {
    let list = place.run(&[what, "list", "job.toml", "--json"]).succeeded().json();
    list.as_array().unwrap().len()
}

#[test]
fn a_dry_run_says_what_a_collection_then_does() {
    let place = finished();
    let before = place.files("checkpoints");
    assert!(count(&place, "checkpoint") > 5);
    let plan = ["checkpoint", "collect", "job.toml", "--dry-run", "--json"];
    let plan: Value = place.run(&plan).succeeded().json();
    assert_eq!(place.files("checkpoints"), before, "a dry run changes nothing");
    let done = place.run(&["checkpoint", "collect", "job.toml", "--json"]).succeeded().json();
    assert_eq!((&plan["manifests"], &plan["packs"]), (&done["manifests"], &done["packs"]));
    assert!(done["manifests"].as_u64() > Some(0), "{done}");
    assert_eq!(count(&place, "checkpoint"), 3);
    place.run(&["checkpoint", "scrub", "job.toml"]).succeeded();
    let again = place.run(&["checkpoint", "collect", "job.toml", "--json"]).succeeded().json();
    assert_eq!((&again["manifests"], &again["packs"]), (&0.into(), &0.into()));
    place.run(&["run", "job.toml"]).succeeded();
}

#[test]
fn packs_that_nothing_names_are_collected() {
    let place = finished();
    let orphan = b"left by a process that was killed";
    let name = statehouse_checkpoint::Digest::of(orphan).to_string();
    let path = format!("checkpoints/packs/{}/{name}", &name[..2]);
    place.write(&path, orphan);
    let collect = ["checkpoint", "collect", "checkpoints", "--num-retained", "100"];
    place.run(&collect).succeeded();
    assert!(!place.path(&path).exists());
    place.run(&["checkpoint", "verify", "job.toml"]).succeeded();
}

#[test]
fn what_becomes_of_checkpoints_at_the_end_is_as_the_job_file_says() {
    let run = |setting: &str, end: &dyn Fn(&Workplace)| {
        let place = Workplace::with_guests(JOB);
        let mut job = place.start_job(&["job.toml", "--set", setting], STATE);
        assert!(job.goes_on(Duration::from_millis(300)), "{:#?}", job.end());
        place.run(&["savepoint", "create", "job.toml", "kept"]).succeeded();
        end(&place);
        let done = job.end().succeeded();
        (count(&place, "checkpoint"), count(&place, "savepoint"), done.stderr, place)
    };
    let cancel = |place: &Workplace| {
        let ended = place.run(&["cancel", "job.toml", "--json"]).succeeded().json();
        assert_eq!(ended["ended"]["status"], "cancelled");
    };
    let stop = |place: &Workplace| {
        place.run(&["savepoint", "create", "job.toml", "last", "--stop"]).succeeded();
    };
    let drain = |place: &Workplace| {
        place.run(&["savepoint", "create", "job.toml", "last", "--drain"]).succeeded();
    };
    let delete_cancelled = "checkpoint.retention-on-cancellation=delete";
    let delete_finished = "checkpoint.retention-on-finish=delete";
    let (checkpoints, savepoints, said, place) = run(delete_cancelled, &cancel);
    assert_eq!((checkpoints, savepoints), (0, 1), "{said}");
    assert!(said.contains("deleted"), "{said}");
    place.run(&["run", "job.toml"]).refused(&["the savepoint `kept`", "--from"]);
    place.run(&["checkpoint", "scrub", "job.toml"]).succeeded();

    let (checkpoints, savepoints, said, place) = run(delete_finished, &cancel);
    assert_eq!((checkpoints, savepoints), (3, 1), "{said}");
    place.run(&["run", "job.toml"]).succeeded();
    assert!(place.lines("out") == expected(), "a cancelled job can go on");

    assert_eq!(run(delete_cancelled, &stop).0, 3);
    assert_eq!(run(delete_finished, &stop).0, 3);
    assert_eq!(run(delete_finished, &drain).0, 0);
    let (checkpoints, savepoints, _, place) = run(delete_finished, &|_| ());
    assert_eq!((checkpoints, savepoints), (0, 1));
    assert!(place.lines("out") == expected());
}

#[test]
fn a_scrub_finds_every_kind_of_damage_and_mends_it_from_a_copy() {
    let place = finished();
    place.run(&["savepoint", "create", "job.toml", "kept"]).succeeded();
    place.run(&["checkpoint", "copy", "job.toml@kept", "backup"]).succeeded();
    place.run(&["checkpoint", "collect", "job.toml", "--num-retained", "1"]).succeeded();
    let packs: Vec<_> = place.files("checkpoints/packs").into_keys().collect();
    let mut bytes = fs::read(&packs[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&packs[0], bytes).unwrap();
    let name = packs[0].file_name().unwrap().to_str().unwrap();
    let scrub =
        |more: &[&str]| place.run(&[&["checkpoint", "scrub", "job.toml", "--json"], more].concat());
    let found = scrub(&[]);
    assert_eq!(found.code, Some(1), "{found:?}");
    assert!(found.stdout.contains(name), "{}", found.stdout);
    scrub(&["--repair-from", "backup"]).succeeded();
    scrub(&[]).succeeded();
    fs::remove_file(&packs[0]).unwrap();
    assert_eq!(scrub(&[]).code, Some(1));
    scrub(&["--repair-from", "backup"]).succeeded();
    place.run(&["run", "job.toml"]).succeeded();
}
