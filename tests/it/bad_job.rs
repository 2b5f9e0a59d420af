//! Job files that cannot work: each is refused with a message that names the thing, and nothing is touched.

use crate::workplace::Workplace;

const JOB: &str = r#"
[job]
name = "good"
[checkpoint]
dir = "checkpoints"
[[source]]
id = "numbers"
connector = "generator"
records = 10
[[operator]]
id = "sum"
component = "guests.wasm"
input = "numbers"
[[sink]]
id = "sums"
connector = "jsonl"
input = "sum.sums"
path = "out"
"#;

#[track_caller]
fn refused(from: &str, to: &str, says: &[&str]) {
    assert!(JOB.contains(from), "{from}");
    let place = Workplace::with_guests(&JOB.replace(from, to));
    place.run(&["run", "job.toml"]).refused(says);
    assert!(!place.path("out").exists(), "nothing is written");
}

#[test]
fn the_job_that_the_others_are_made_from_is_good() {
    let place = Workplace::with_guests(JOB);
    let done = place.run(&["run", "job.toml", "--json"]).succeeded().json();
    assert_eq!(done["records"], 10);
    assert_eq!(place.lines("out").len(), 10);
}

#[test]
fn unknown_fields_are_named() {
    refused("records = 10", "recordz = 10", &["recordz", "job.toml"]);
    refused("name = \"good\"", "name = \"good\"\ncolour = 1", &["colour"]);
    refused("dir = \"checkpoints\"", "dir = \"c\"\nintervall = \"1s\"", &["intervall"]);
    refused("path = \"out\"", "path = \"out\"\npaht = 1", &["paht"]);
    refused("id = \"sum\"", "id = \"sum\"\nparalelism = 2", &["paralelism"]);
    refused("[job]", "[jobs]\n[job]", &["jobs"]);
}

#[test]
fn two_nodes_with_one_id_are_refused() {
    refused("id = \"sums\"", "id = \"sum\"", &["`sum`", "unique"]);
}

#[test]
fn a_cycle_is_shown() {
    let second = r#"input = "again.sums"
[[operator]]
id = "again"
operator = "sum"
component = "guests.wasm"
input = "sum.sums"
[[sink]]"#;
    refused("input = \"numbers\"\n[[sink]]", second, &["cycle", "sum → again → sum"]);
}

#[test]
fn references_that_lead_nowhere_are_refused() {
    refused("input = \"numbers\"", "input = \"nmbers\"", &["`nmbers`", "`numbers`"]);
    refused("input = \"sum.sums\"", "input = \"sum.totals\"", &["`totals`", "`sums`"]);
    refused("guests.wasm", "gusts.wasm", &["gusts.wasm"]);
    let lines = "connector = \"lines\"\npath = \"no-such-file.txt\"";
    let generator = "connector = \"generator\"\nrecords = 10";
    refused(generator, lines, &["no-such-file.txt"]);
    refused("id = \"sum\"", "id = \"sum\"\noperator = \"summ\"", &["summ", "`chatter`"]);
}

#[test]
fn values_out_of_range_are_refused() {
    refused("dir = \"checkpoints\"", "dir = \"c\"\ninterval = \"soon\"", &["interval", "soon"]);
    refused("id = \"sum\"", "id = \"sum\"\nparallelism = 0", &["parallelism"]);
    refused("id = \"sum\"", "id = \"sum\"\nmemory-limit = \"lots\"", &["memory-limit", "lots"]);
    refused("name = \"good\"", "name = \"good\"\nkey-groups = 40000", &["key-groups", "32768"]);
}

#[test]
fn a_job_file_that_is_none_is_refused() {
    let place = Workplace::new();
    place.run(&["run", "no-job.toml"]).refused(&["no-job.toml"]);
    place.write("job.toml", b"[job\nname = ");
    place.run(&["run", "job.toml"]).refused(&["job.toml"]);
}

#[test]
fn output_that_is_there_already_is_not_overwritten() {
    let place = Workplace::with_guests(JOB);
    place.run(&["run", "job.toml"]).succeeded();
    let before = place.files("out");
    place.run(&["run", "job.toml", "--fresh"]).refused(&["out"]);
    assert_eq!(place.files("out"), before);
    // Resuming has nothing left to do, and changes nothing.
    let again = place.run(&["run", "job.toml", "--json"]).succeeded().json();
    assert_eq!(again["records"], 0);
    assert_eq!(place.lines("out").len(), 10);
}
