//! The Nexmark queries against answers that are computed from all events at once, row by row.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use statehouse_tests::nexmark::windows::bids_of_bidders;
use statehouse_tests::nexmark::{House, QUERIES};

use crate::workplace::{Workplace, nexmark, root};

/// Fifty seconds around midnight, somewhat out of order: five tumbling windows, and auctions that expire.
const HOUSE: House =
    House { events: 50_000, base_time: 1_436_918_370_000, event_rate: 1000, out_of_order: 40 };

/// How often a job is resumed before its windows must be over.
const RESUMED_MAX: u32 = 20;

fn place() -> Workplace {
    let place = Workplace::new();
    for entry in std::fs::read_dir(root().join("examples/nexmark")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_name().unwrap().to_str().unwrap();
            place.write(name, &std::fs::read(&path).unwrap());
        }
    }
    place.write("nexmark_queries.wasm", nexmark());
    place
}

/// Runs a query's job over the house's events.
fn run(place: &Workplace, query: &str, more: &[&str]) {
    let House { events, base_time, event_rate, out_of_order } = HOUSE;
    let job = format!("{query}.toml");
    let settings = [
        format!("source.events.events={events}"),
        format!("source.events.base-time={base_time}"),
        format!("source.events.event-rate={event_rate}"),
        format!("source.events.out-of-order={out_of_order}"),
    ];
    let mut arguments = vec!["run", &*job];
    for setting in settings.iter().map(String::as_str).chain(more.iter().copied()) {
        arguments.extend(["--set", setting]);
    }
    place.run(&arguments).succeeded();
}

/// A query's rows in the order in which each of the sink's tasks wrote them.
fn rows(place: &Workplace, query: &str) -> Vec<Value> {
    let mut parts: Vec<_> = place.files(&format!("out/{query}")).into_iter().collect();
    parts.sort_by_key(|(path, _)| {
        // part-TASK-EPOCH.jsonl
        let numbers = path.file_stem().unwrap().to_str().unwrap().split('-').skip(1);
        numbers.map(|number| number.parse::<u64>().unwrap()).collect::<Vec<_>>()
    });
    let lines = parts.iter().flat_map(|(_, bytes)| std::str::from_utf8(bytes).unwrap().lines());
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn check_every_query(settings: &[&str]) {
    let place = place();
    let events = HOUSE.events();
    for query in QUERIES {
        run(&place, query.name, settings);
        query.check(&events, rows(&place, query.name));
    }
}

#[test]
fn every_query_on_the_heap_gives_the_rows_of_a_plain_computation() {
    check_every_query(&[]);
}

#[test]
fn every_query_on_rocksdb_gives_the_rows_of_a_plain_computation() {
    check_every_query(&["state.backend=rocksdb"]);
}

#[test]
fn windows_of_the_clock_hold_every_bid_once_also_those_open_at_the_end() {
    let place = place();
    let expected = bids_of_bidders(&HOUSE.events());
    // What is open when the stream ends comes out of a run that resumes when its time is over.
    for _ in 0..RESUMED_MAX {
        run(&place, "q12", &["operator.q12.config.window=50ms", "source.events.rate=100000"]);
        let found = rows(&place, "q12");
        let mut counted: BTreeMap<u64, u64> = BTreeMap::new();
        let mut windows = BTreeSet::new();
        for row in &found {
            let [bidder, bids, start, end] = ["bidder", "bids", "window_start", "window_end"]
                .map(|name| row[name].as_u64().unwrap());
            assert_eq!((start % 50, end - start), (0, 50), "{row}");
            assert!(windows.insert((bidder, start)), "{row} has come before");
            *counted.entry(bidder).or_default() += bids;
        }
        if counted == expected {
            return;
        }
    }
    panic!("not every bid was counted after {RESUMED_MAX} runs");
}
