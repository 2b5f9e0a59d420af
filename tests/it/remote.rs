//! Jobs whose checkpoints are in an object store: everything that a folder can do, and two owners without a lock.

use std::time::Duration;

use statehouse_checkpoint::testing::servers::{Server, are_left_out};

use crate::savepoints::{JOB, STATE, expected};
use crate::workplace::Workplace;

/// The job with its checkpoints in a store of this server.
fn job(server: &Server, name: &str) -> String {
    let options: Vec<String> =
        server.options().iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
    let dir = format!("dir = {:?}\nstore = {{ {} }}", server.location(name), options.join(", "));
    JOB.replace("dir = \"checkpoints\"", &dir)
}

#[test]
fn a_job_lives_in_an_object_store() {
    if are_left_out() {
        return;
    }
    for server in [Server::s3(), Server::s3_without_conditions(), Server::azure()] {
        let place = Workplace::with_guests(&job(&server, "lives"));
        let mut running = place.start_job(&["job.toml"], STATE);
        assert!(running.goes_on(Duration::from_millis(800)), "{:#?}", running.end());
        let create = ["savepoint", "create", "job.toml", "half", "--stop", "--json"];
        let made = place.run(&create).succeeded().json();
        assert_eq!(made["ended"]["status"], "stopped", "{made}");
        running.end().succeeded();
        let before = place.lines("out");

        // A fork from there to a folder, and a copy that stands on its own.
        let fork = ["run", "fork.toml", "--fork-from", "job.toml@half"];
        let forked = JOB.replace("path = \"out\"", "path = \"fork-out\"");
        place.write("fork.toml", forked.replace("\"saved\"", "\"fork\"").as_bytes());
        place.run(&fork).succeeded();
        place.run(&["checkpoint", "copy", "job.toml@half", "copy"]).succeeded();
        place.run(&["checkpoint", "scrub", "copy"]).succeeded();
        let mut both = [before, place.lines("fork-out")].concat();
        both.sort();
        assert!(both == expected(), "{}", server.location("fork"));

        let more = ["--from", "half", "--claim", "--set", "operator.sum.parallelism=2"];
        place.run(&[&["run", "job.toml"], &more[..]].concat()).succeeded();
        assert!(place.lines("out") == expected(), "{}", server.location("lives"));
        place.run(&["checkpoint", "collect", "job.toml"]).refused(&["--take-over"]);
        let collect = ["checkpoint", "collect", "job.toml", "--take-over", "--num-retained", "1"];
        place.run(&collect).succeeded();
        place.run(&["checkpoint", "scrub", "job.toml"]).succeeded();
        let listed = place.run(&["checkpoint", "list", "job.toml", "--json"]).succeeded().json();
        assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    }
}

#[test]
fn without_a_lock_the_older_of_two_processes_stops() {
    if are_left_out() {
        return;
    }
    for server in [Server::s3(), Server::s3_without_conditions()] {
        let place = Workplace::with_guests(&job(&server, "owners"));
        let mut older = place.start_job(&["job.toml"], STATE);
        assert!(older.goes_on(Duration::from_millis(800)), "{:#?}", older.end());
        let elsewhere = ["job.toml", "--json", "--set", "state.directory=elsewhere"];
        let newer = place.start_job(&elsewhere, "elsewhere/saved");
        older.end().refused(&["has lost the job to generation 2"]);
        let done = newer.end().succeeded().json();
        assert_eq!(done["status"], "completed");
        assert!(place.lines("out") == expected(), "nothing is lost, and nothing is there twice");
        place.run(&["checkpoint", "scrub", "job.toml"]).succeeded();
    }
}

#[test]
fn a_store_that_stalls_costs_a_checkpoint_its_timeout_and_no_more() {
    if are_left_out() {
        return;
    }
    let server = Server::s3();
    let place = Workplace::with_guests(&job(&server, "stalls"));
    let set = ["job.toml", "--set", "checkpoint.timeout=500ms"];
    let mut running = place.start_job(&set, STATE);
    assert!(running.goes_on(Duration::from_millis(800)), "{:#?}", running.end());
    server.pause();
    assert!(!running.goes_on(Duration::from_secs(3)), "the job hangs with its store");
    running.end().refused(&["within its timeout of 500ms", "`tolerable-failed` is 0"]);
    server.resume();

    let patient = [&set[..], &["--set", "checkpoint.tolerable-failed=100"]].concat();
    let mut running = place.start_job(&patient, STATE);
    assert!(running.goes_on(Duration::from_millis(300)), "{:#?}", running.end());
    server.pause();
    assert!(running.goes_on(Duration::from_millis(1200)), "{:#?}", running.end());
    server.resume();
    let done = running.end().succeeded();
    assert!(done.stderr.contains("the next checkpoint takes its place"), "{}", done.stderr);
    assert!(place.lines("out") == expected());
    place.run(&["checkpoint", "scrub", "job.toml"]).succeeded();
}

#[test]
fn a_store_that_cannot_be_reached_is_named_before_anything_is_touched() {
    let place = Workplace::with_guests(&JOB.replace("\"checkpoints\"", "\"ftp://host/x\""));
    place.run(&["run", "job.toml"]).refused(&["ftp://host/x", "`s3://`"]);
    let options = "dir = \"s3://bucket/x\"\nstore = { colour = \"red\" }";
    place.write("job.toml", JOB.replace("dir = \"checkpoints\"", options).as_bytes());
    place.run(&["run", "job.toml"]).refused(&["no option `colour`"]);
    assert!(!place.path("out").exists() && !place.path("state").exists());
}
