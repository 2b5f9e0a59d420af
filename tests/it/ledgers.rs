//! The ledger in all its versions: each does what it is there for, and one takes over the state of another.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use statehouse_tests::foreign;

use crate::workplace::{Workplace, ledger};

const JOB: &str = r#"
[job]
name = "ledger"
[checkpoint]
dir = "checkpoints"
[[source]]
id = "numbers"
connector = "generator"
keys = 50
records = 2000
[[operator]]
id = "ledger"
component = "ledger.wasm"
input = "numbers"
deadline = "500ms"
[[sink]]
id = "totals"
connector = "jsonl"
input = "ledger.totals"
path = "out"
with-key = true
existing = "append"
"#;

/// Checks that rows of ledgers tell of every record once: by key, each total is the one before it and the amount.
/// Returns how many rows each version of the code has made.
#[track_caller]
pub(crate) fn check_ledger(rows: &[Value]) -> BTreeMap<String, usize> {
    let mut by_key: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    let mut by_code = BTreeMap::new();
    for row in rows {
        let number = |value: &Value| value.as_u64().expect("it is a number");
        let value = &row["value"];
        let totals = by_key.entry(number(&row["key"])).or_default();
        totals.push((number(&value["total"]), number(&value["amount"])));
        let by = value["by"].as_str().expect("rows say who made them");
        *by_code.entry(by.to_owned()).or_default() += 1;
    }
    for (key, mut totals) in by_key {
        totals.sort_unstable();
        let mut before = 0;
        for (total, amount) in totals {
            assert_eq!(total, before + amount, "key {key}: a record is lost or counted twice");
            before = total;
        }
    }
    by_code
}

fn place(component: &[u8]) -> Workplace {
    let place = Workplace::new();
    place.write("ledger.wasm", component);
    place.write("job.toml", JOB.as_bytes());
    place
}

#[test]
fn every_version_tells_of_every_record_once() {
    for package in ["ledger-v1", "ledger-v2", "ledger-v3", "ledger-v4", "ledger-v5"] {
        let place = place(ledger(package));
        place.run(&["run", "job.toml"]).succeeded();
        let version = package.trim_start_matches("ledger-").to_owned();
        assert_eq!(check_ledger(&place.rows("out")), BTreeMap::from([(version, 2000)]));
    }
}

#[test]
fn code_of_another_language_takes_over_the_state_and_gives_it_back() {
    let place = place(&[]);
    let foreign = foreign::ledger();
    let slowly = ["--set", "source.numbers.rate=1000", "--set", "source.numbers.batch=64"];
    for component in [ledger("ledger-v1"), &foreign, ledger("ledger-v2")] {
        place.write("ledger.wasm", component);
        let mut job = place.start_job(&[&["job.toml"], &slowly[..]].concat(), "state/ledger");
        assert!(job.goes_on(Duration::from_millis(150)), "{:#?}", job.end());
        job.signal("INT");
        job.end().succeeded();
    }
    place.write("ledger.wasm", &foreign);
    place.run(&[&["run", "job.toml"], &slowly[2..]].concat()).succeeded();
    let rows = check_ledger(&place.rows("out"));
    assert_eq!(rows.values().sum::<usize>(), 2000);
    assert_eq!(rows.into_keys().collect::<Vec<_>>(), ["foreign", "v1", "v2"]);
}

#[test]
fn what_a_version_takes_over_can_be_inspected() {
    let inspected = |component: &[u8]| {
        let place = place(component);
        let text = place.run(&["inspect", "ledger.wasm"]).succeeded().stdout;
        (text, place.run(&["inspect", "ledger.wasm", "--json"]).succeeded().json())
    };
    let (text, json) = inspected(ledger("ledger-v5"));
    for says in [
        "takes over",
        "state total, now balance",
        "timer review, now audit",
        "balance of schema version 1",
        "balance of schema version 2",
    ] {
        assert!(text.contains(says), "it does not say {says:?}:\n{text}");
    }
    let steps = &json["migrations"]["ledger"]["steps"];
    assert_eq!(steps[1], serde_json::json!({ "state": "balance", "from_version": 2 }));
    for component in [ledger("ledger-v1"), &foreign::ledger()] {
        let (text, json) = inspected(component);
        assert!(!text.contains("takes over") && json["migrations"].is_null(), "{text}");
    }
}

#[test]
fn versions_that_do_not_start_are_refused_in_time() {
    place(ledger("ledger-looping"))
        .run(&["run", "job.toml"])
        .refused(&["operator `ledger`", "`open` ran past its deadline of 500ms"]);
    place(ledger("ledger-hungry"))
        .run(&["run", "job.toml"])
        .refused(&["operator `ledger`", "needs more memory to start than the 67108864 bytes"]);
}

#[test]
fn versions_that_do_not_fit_the_job_are_refused() {
    place(ledger("ledger-rekeyed")).run(&["run", "job.toml"]).refused(&["ledger", "text"]);
    place(ledger("ledger-rewired")).run(&["run", "job.toml"]).refused(&["totals", "sums"]);
}

#[test]
fn odd_versions_are_as_odd_as_they_are_said_to_be() {
    let trapping = place(ledger("ledger-trapping"));
    trapping.run(&["run", "job.toml"]).refused(&["the total of key"]);
    let set = "operator.ledger.config={ fault-at = 1000000 }";
    let done = trapping.run(&["run", "job.toml", "--set", set]).succeeded();
    assert!(!done.stderr.contains("has reached"), "{}", done.stderr);
    let quiet = place(ledger("ledger-quiet"));
    quiet.run(&["run", "job.toml"]).succeeded();
    let rows = quiet.rows("out").len();
    assert!(
        (975..=1000).contains(&rows),
        "{rows} rows: half of 2000, rounded down for each of 50 keys"
    );
    for package in ["ledger-slow", "ledger-picky", "ledger-unmapped"] {
        let place = place(ledger(package));
        let few = "source.numbers.records=500";
        place.run(&["run", "job.toml", "--set", few]).succeeded();
        assert_eq!(check_ledger(&place.rows("out")).values().sum::<usize>(), 500, "{package}");
    }
}
