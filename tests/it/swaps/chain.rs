//! One version after another over the same state, and back.

use super::*;

#[test]
fn five_versions_and_another_language_take_over_from_one_another() {
    let ledger = Ledger::new();
    ledger.place.write("foreign.wasm", &statehouse_tests::foreign::ledger());
    let mut job = ledger.start(&[]);
    pause(300, &mut job);
    for version in ["v2", "foreign", "v1", "v3", "v4", "v5"] {
        let kept = ledger.swapped(version, &["--watch", "150ms", "--yes"]);
        assert_eq!(stage(&kept), "kept", "{version}: {kept:#}");
        let passed: Vec<&str> =
            kept["passed"].as_array().unwrap().iter().map(|one| one[0].as_str().unwrap()).collect();
        assert_eq!(passed.first(), Some(&"queued"));
        assert!(passed.ends_with(&["trial", "keeping", "kept"]), "{passed:?}");
        pause(200, &mut job);
    }
    let rows = ledger.end(job);
    for version in ["v1", "v2", "foreign", "v3", "v4", "v5"] {
        assert!(rows.get(version).is_some_and(|rows| *rows > 100), "{version}: {rows:?}");
    }
    let kept = ledger.events().iter().filter(|event| *event == "kept").count();
    assert_eq!(kept, 6, "{:?}", ledger.events());
    assert_eq!(ledger.savepoints(), [""; 0], "those of swaps are gone");
}

#[test]
fn going_back_is_a_swap_too() {
    let ledger = Ledger::new();
    let mut job = ledger.start(&[]);
    let back = |more: &[&str]| {
        ledger
            .place
            .run(&[&["swap", "job.toml", "ledger", "--watch", "100ms", "--json"], more].concat())
    };
    let none = back(&["--back"]);
    assert!(none.json()["reason"].as_str().unwrap().contains("none to go back to"), "{none:#?}");
    pause(200, &mut job);
    let kept = ledger.swapped("v2", &["--watch", "100ms", "--savepoint", "before-v2"]);
    assert_eq!(kept["savepoint"], "before-v2", "{kept:#}");
    let before = kept["plan"]["operators"][0]["from"]["component"].as_str().unwrap().to_owned();
    pause(100, &mut job);
    let kept = back(&["--back"]).succeeded().json();
    assert_eq!(kept["plan"]["operators"][0]["to"]["component"], before.as_str(), "{kept:#}");
    pause(100, &mut job);
    let v2 = kept["plan"]["operators"][0]["from"]["component"].as_str().unwrap();
    let kept = back(&["--to-version", &v2[..8]]).succeeded().json();
    assert_eq!(kept["plan"]["operators"][0]["to"]["component"], v2, "{kept:#}");
    pause(100, &mut job);
    ledger.stop(job);
    assert_eq!(ledger.savepoints(), ["before-v2"], "the user's own stays");
    // And back to the state as it was, by the savepoint, as a job of its own: it has the component from before.
    let set =
        ["--set", "job.name=again", "--set", "checkpoint.dir=c2", "--set", "sink.totals.path=o2"];
    let fork = [&["job.toml", "--fork-from", "checkpoints@before-v2"], &set[..]].concat();
    let mut again = ledger.place.start_job(&fork, "state/again");
    pause(300, &mut again);
    again.signal("INT");
    again.end().succeeded();
    let rows = ledger.place.rows("o2");
    assert!(!rows.is_empty() && rows.iter().all(|row| row["value"]["by"] == "v1"));
    ledger.check();
}

#[test]
fn several_operators_flip_at_one_barrier() {
    let second = r#"
[[operator]]
id = "second"
component = "ledger.wasm"
operator = "ledger"
input = "numbers"
[[sink]]
id = "more"
connector = "jsonl"
input = "second.totals"
path = "more"
with-key = true
"#;
    let ledger = Ledger::of(&[JOB, second].concat());
    let mut job = ledger.start(&[]);
    pause(200, &mut job);
    let (v2, v3) = (ledger.component("v2"), ledger.component("v3"));
    let both = ["swap", "job.toml", "ledger", &v2, "second", &v3, "--watch", "150ms", "--json"];
    let kept = ledger.place.run(&both).succeeded().json();
    assert_eq!(kept["operators"], serde_json::json!(["ledger", "second"]));
    pause(200, &mut job);
    // If one of them misbehaves, neither stays.
    let trapping = ledger.component("trapping");
    let both = ["swap", "job.toml", "ledger", &trapping, "second", &v2, "--json"];
    let undone = ledger.place.run(&both);
    assert_eq!((undone.code, stage(&undone.json())), (Some(1), "refused"), "{undone:#?}");
    let both =
        ["swap", "job.toml", "ledger", &trapping, "second", &ledger.component("v4"), "--json"];
    let undone = ledger.place.run(&both);
    assert_eq!((undone.code, stage(&undone.json())), (Some(1), "rolled-back"), "{undone:#?}");
    pause(200, &mut job);
    let rows = ledger.end(job);
    assert!(rows["v1"] > 0 && rows["v2"] > 0 && rows.len() == 2, "{rows:?}");
    let rows = check_ledger(&ledger.place.rows("more"));
    assert!(rows["v1"] > 0 && rows["v3"] > 0 && rows.len() == 2, "{rows:?}");
}
