//! Looking into state, comparing and editing it, and running on from what was edited: both backends, real jobs.

use serde_json::Value;

use crate::savepoints::JOB;
use crate::workplace::Workplace;

fn lines(place: &Workplace, arguments: &[&str]) -> Vec<Value> {
    let text = place.run(arguments).succeeded().stdout;
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The job, run to its end on a backend, with checkpoints on the way.
fn finished(backend: &str) -> Workplace {
    let place = Workplace::with_guests(&JOB.replace("rate = 10000\n", ""));
    let set = format!("state.backend={backend}");
    place
        .run(&["run", "job.toml", "--set", &set, "--set", "operator.sum.parallelism=2"])
        .succeeded();
    place
}

#[test]
fn both_backends_show_the_same_state() {
    let places = ["heap", "rocksdb"].map(finished);
    let [heap, rocks] = places.each_ref().map(|place| {
        let mut rows = lines(place, &["state", "scan", "job.toml", "sum", "--json"]);
        rows.sort_by_key(|row| row["key"].as_u64());
        rows
    });
    assert_eq!(heap.len(), 2000);
    assert_eq!(heap, rocks);
    let place = &places[0];
    let listed = lines(place, &["state", "list", "job.toml", "--json"]);
    assert_eq!((listed.len(), &listed[0]["entries"]), (1, &Value::from(2000)), "{listed:?}");
    let text = place.run(&["state", "list", "checkpoints"]).succeeded().stdout;
    let expected = "operator  state  kind   type  entries      size\nsum       sum    value  s64     2,000  31.2 KiB\n";
    assert_eq!(text, expected);
    let key = heap[0]["key"].to_string();
    let got = lines(place, &["state", "get", "job.toml", "sum.sum", &key, "--json"]);
    assert_eq!(got, heap[..1]);
    let text = place.run(&["state", "get", "job.toml", "sum.sum", &key]).succeeded().stdout;
    let value = heap[0]["value"].to_string();
    let width = value.len().max(5);
    let expected = format!(
        "state  key  entry  {:width$}  expires\nsum    {key:3}  -      {value:width$}  -\n",
        "value"
    );
    assert_eq!(text, expected);
    let limited = place.run(&["state", "scan", "job.toml", "sum.sum", "--limit", "3"]).succeeded();
    assert_eq!(limited.stdout.lines().count(), 4);
    assert!(limited.stderr.contains("the first 3 rows"), "{}", limited.stderr);
}

#[test]
fn what_is_edited_is_what_a_run_goes_on_with() {
    for backend in ["heap", "rocksdb"] {
        let place = finished(backend);
        let before = lines(&place, &["state", "scan", "job.toml", "sum.sum", "--json"]);
        let [one, other] = [&before[0], &before[1]].map(|row| row["key"].to_string());
        let edit = ["state", "edit", "job.toml", "--name", "mended", "--json"];
        let changes = ["--set", "sum.sum", &one, "-4711", "--delete", "sum.sum", &other];
        let edited = place.run(&[&edit[..], &changes[..]].concat()).succeeded().json();
        assert_eq!(edited["changes"], 2, "{edited}");
        let found = lines(
            &place,
            &["state", "diff", "job.toml", "job.toml@mended", "--values-before", "--json"],
        );
        let mut kinds: Vec<_> = found.iter().map(|line| line["change"].as_str().unwrap()).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["changed", "removed"], "{found:?}");
        let text = place.run(&["state", "diff", "job.toml", "job.toml@mended"]).succeeded();
        assert!(text.stdout.contains("-4711") && text.stderr.contains("2 differences"), "{text:?}");
        place
            .run(&["state", "scan", "job.toml", "sum.sum", "--parquet", "sum.parquet"])
            .succeeded();
        let import =
            ["state", "edit", "job.toml@mended", "--name", "again", "--import", "sum.parquet"];
        place.run(&import).succeeded();
        let same = lines(
            &place,
            &["state", "diff", "job.toml", "job.toml@again", "--values-before", "--json"],
        );
        assert!(same.is_empty(), "{same:?}");
        place.run(&["run", "job.toml", "--from", "mended"]).succeeded();
        let after = lines(&place, &["state", "get", "job.toml", "sum.sum", &one, "--json"]);
        assert!(after[0]["value"].as_i64().unwrap() < 0, "{after:?}");
    }
}

#[test]
fn what_is_not_there_is_told() {
    let place = finished("heap");
    place.run(&["state", "list", "nowhere"]).refused(&["nowhere"]);
    place.run(&["state", "list", "job.toml@4711"]).refused(&["4711"]);
    place.run(&["state", "scan", "job.toml", "total"]).refused(&["`total`", "`sum`"]);
    place.run(&["state", "scan", "job.toml", "sum.total"]).refused(&["`total`", "`sum`"]);
    place.run(&["state", "get", "job.toml", "sum.sum", "tea"]).refused(&["`tea`", "keys are u64"]);
    let nothing = place.run(&["state", "get", "job.toml", "sum.sum", "999999"]);
    assert_eq!(nothing.code, Some(1));
    place.run(&["state", "edit", "job.toml", "--name", "same"]).refused(&["--set", "--import"]);
    let set = ["--set", "sum.sum", "1", "x"];
    place
        .run(&[&["state", "edit", "job.toml", "--name", "same"], &set[..]].concat())
        .refused(&["`x` is no s64"]);
    let set = ["--set", "sum.sum", "1", "7"];
    let edit = [&["state", "edit", "job.toml", "--name", "same"], &set[..]].concat();
    place.run(&edit).succeeded();
    place.run(&edit).refused(&["`same` already"]);
    place.write("bad.jsonl", b"{\"state\": \"sum\", \"key\": 1, \"value\": 2}\n{\"state\": 7}\n");
    place
        .run(&["state", "edit", "job.toml", "--name", "bad", "--import", "bad.jsonl"])
        .refused(&["bad.jsonl", "line 2"]);
}
