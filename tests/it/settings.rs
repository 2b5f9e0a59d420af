//! The settings of `[checkpoint]`: what each does to a job that runs.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::savepoints::{JOB, RECORDS, STATE, expected};
use crate::workplace::{Done, Workplace};

/// A job without a limit to its speed.
fn quick() -> Workplace {
    Workplace::with_guests(&JOB.replace("rate = 10000\n", ""))
}

fn set(settings: &[&str]) -> Vec<String> {
    settings.iter().flat_map(|set| ["--set".to_owned(), format!("checkpoint.{set}")]).collect()
}

fn run(place: &Workplace, settings: &[&str]) -> Done {
    let settings = set(settings);
    let mut arguments = vec!["run", "job.toml", "--json"];
    arguments.extend(settings.iter().map(String::as_str));
    place.run(&arguments)
}

fn listed(place: &Workplace) -> Vec<Value> {
    let list = place.run(&["checkpoint", "list", "job.toml", "--json"]).succeeded().json();
    list.as_array().unwrap().clone()
}

#[test]
fn interval_and_min_pause_space_checkpoints_out() {
    let taken = |settings: &[&str]| {
        let place = Workplace::with_guests(&JOB.replace("records = 40000", "records = 15000"));
        let done = run(&place, settings).succeeded().json();
        done["checkpoints"].as_array().unwrap().len()
    };
    // A second and a half of records.
    let often = taken(&["interval=50ms"]);
    let rarely = taken(&["interval=600ms"]);
    let paused = taken(&["interval=50ms", "min-pause=600ms"]);
    assert!(often > 10, "{often}");
    assert!((2..=4).contains(&rarely), "{rarely}");
    assert!((2..=4).contains(&paused), "{paused}");
}

#[test]
fn num_retained_is_how_many_stay() {
    for (setting, stay) in [("num-retained=1", 1), ("num-retained=5", 5)] {
        let place = Workplace::with_guests(&JOB.replace("records = 40000", "records = 10000"));
        let done = run(&place, &[setting]).succeeded().json();
        assert!(done["checkpoints"].as_array().unwrap().len() > stay, "{done}");
        assert_eq!(listed(&place).len(), stay);
        place.run(&["checkpoint", "scrub", "job.toml"]).succeeded();
    }
}

#[test]
fn inline_threshold_decides_where_small_state_goes() {
    let shown = |settings: &[&str]| {
        let place = quick();
        run(&place, settings).succeeded();
        place.run(&["checkpoint", "show", "job.toml", "--json"]).succeeded().json()
    };
    let inline = shown(&["inline-threshold=1MiB", "interval=1h"]);
    assert_eq!(inline["packs"], serde_json::json!([]), "{inline}");
    let packed = shown(&["inline-threshold=0B", "interval=1h"]);
    assert_eq!(packed["inline_bytes"], 0);
}

#[test]
fn compression_makes_packs_smaller_and_can_be_changed() {
    let place = quick();
    let written = |compression: &str| {
        fs::remove_dir_all(place.path("checkpoints")).ok();
        fs::remove_dir_all(place.path("out")).ok();
        let compression = format!("compression={compression}");
        run(&place, &[&compression, "inline-threshold=0B", "interval=1h"]).succeeded();
        place.files("checkpoints/packs").values().map(Vec::len).sum::<usize>()
    };
    let [none, lz4, zstd] = ["none", "lz4", "zstd"].map(written);
    assert!(zstd < lz4 && lz4 < none, "none {none}, lz4 {lz4}, zstd {zstd}");
    run(&place, &["compression=none"]).succeeded();
    assert!(place.lines("out") == expected());
}

#[test]
fn failures_up_to_tolerable_failed_are_survived() {
    let block = |place: &Workplace| {
        // Nothing can be written where a file is in the way.
        fs::rename(place.path("checkpoints/manifests"), place.path("kept")).unwrap();
        fs::write(place.path("checkpoints/manifests"), b"in the way").unwrap();
    };
    let place = Workplace::with_guests(JOB);
    let mut job = place.start_job(&["job.toml"], STATE);
    assert!(job.goes_on(Duration::from_millis(300)), "{:#?}", job.end());
    block(&place);
    job.end().refused(&["`tolerable-failed` is 0", "manifests"]);

    let place = Workplace::with_guests(JOB);
    let settings = set(&["tolerable-failed=1000"]);
    let mut arguments = vec!["job.toml"];
    arguments.extend(settings.iter().map(String::as_str));
    let mut job = place.start_job(&arguments, STATE);
    assert!(job.goes_on(Duration::from_millis(300)), "{:#?}", job.end());
    block(&place);
    assert!(job.goes_on(Duration::from_millis(500)), "{:#?}", job.end());
    fs::remove_file(place.path("checkpoints/manifests")).unwrap();
    fs::rename(place.path("kept"), place.path("checkpoints/manifests")).unwrap();
    let done = job.end().succeeded();
    assert!(done.stderr.contains("the next checkpoint takes its place"), "{}", done.stderr);
    assert!(place.lines("out") == expected());
    place.run(&["checkpoint", "verify", "job.toml"]).succeeded();
}

#[test]
fn every_mode_and_several_checkpoints_at_once_give_all_results() {
    for settings in [&["mode=at-least-once"][..], &["max-concurrent=4", "interval=5ms"]] {
        let place = quick();
        run(&place, settings).succeeded();
        assert_eq!(place.lines("out").len(), RECORDS, "{settings:?}");
        place.run(&["checkpoint", "verify", "job.toml"]).succeeded();
    }
}

#[test]
fn a_local_copy_is_read_first_and_can_be_lost() {
    let place = Workplace::with_guests(JOB);
    let copy = ["local-copy=near", "inline-threshold=0B"];
    let arguments = set(&copy);
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    arguments.insert(0, "job.toml");
    let mut job = place.start_job(&arguments, STATE);
    assert!(job.goes_on(Duration::from_millis(500)), "{:#?}", job.end());
    job.signal("INT");
    job.end().succeeded();
    assert!(!place.files("near").is_empty());
    // With the store's own packs away, it is the copy that the job resumes from.
    fs::rename(place.path("checkpoints/packs"), place.path("packs")).unwrap();
    let mut job = place.start_job(&arguments, STATE);
    job.signal("INT");
    assert_eq!(job.end().code, Some(0));
    for entry in fs::read_dir(place.path("packs")).unwrap().map(Result::unwrap) {
        let target = place.path("checkpoints/packs").join(entry.file_name());
        fs::create_dir_all(&target).unwrap();
        for pack in fs::read_dir(entry.path()).unwrap().map(Result::unwrap) {
            fs::rename(pack.path(), target.join(pack.file_name())).unwrap();
        }
    }
    fs::remove_dir_all(place.path("near")).unwrap();
    run(&place, &copy).succeeded();
    assert!(place.lines("out") == expected());
}
