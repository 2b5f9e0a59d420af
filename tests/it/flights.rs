//! The flights example against an independent computation over the same file, row by row.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::workplace::{Workplace, flights, root};

const MONTH: &str = "data/flights-2013-01.csv.gz";

/// A destination's day, computed in the plainest way.
#[derive(Debug, Default, PartialEq)]
struct Day {
    flights: u64,
    cancelled: u64,
    delays: Vec<i64>,
}

fn month() -> String {
    let mut text = String::new();
    let file = std::fs::File::open(root().join("examples/flights").join(MONTH)).unwrap();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

/// By destination and day (UTC, of the scheduled departure).
fn expected(csv: &str) -> BTreeMap<(String, String), Day> {
    let mut days: BTreeMap<(String, String), Day> = BTreeMap::new();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|column| column == name).unwrap();
    let [dest, hour, departed, delay] = ["dest", "time_hour", "dep_time", "arr_delay"].map(column);
    for row in reader.records() {
        let row = row.unwrap();
        // The minute is less than 60, so the hour alone decides the day.
        let day = row[hour][..10].to_owned();
        let day = days.entry((row[dest].to_owned(), day)).or_default();
        day.flights += 1;
        day.cancelled += u64::from(&row[departed] == "NA");
        day.delays.extend(row[delay].parse::<i64>().ok());
    }
    days
}

fn place(csv: &str) -> Workplace {
    let place = Workplace::new();
    let job = std::fs::read_to_string(root().join("examples/flights/job.toml")).unwrap();
    place.write("job.toml", job.replace(MONTH, "flights.csv").as_bytes());
    place.write("flights.csv", csv.as_bytes());
    place.write("flights.wasm", flights());
    place
}

/// The row with the highest revision for each destination and day.
fn last_revisions(rows: Vec<Value>) -> BTreeMap<(String, String), Value> {
    let mut last: BTreeMap<(String, String), Value> = BTreeMap::new();
    for row in rows {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let key = (text("dest"), text("day"));
        let newer = |old: &Value| row["revision"].as_u64() > old["revision"].as_u64();
        if last.get(&key).is_none_or(newer) {
            last.insert(key, row);
        }
    }
    last
}

#[track_caller]
fn check_days(place: &Workplace, csv: &str) {
    let rows = place.rows("out/days");
    assert!(rows.iter().any(|row| row["revision"].as_u64() > Some(1)), "no day was corrected");
    let found = last_revisions(rows);
    let expected = expected(csv);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (key, mut day) in expected {
        let row = &found[&key];
        day.delays.sort_unstable();
        let (arrived, sum) = (day.delays.len(), day.delays.iter().sum::<i64>());
        assert_eq!(row["flights"], day.flights, "{key:?}");
        assert_eq!(row["cancelled"], day.cancelled, "{key:?}");
        assert_eq!(row["arrived"], arrived, "{key:?}");
        assert_eq!(row["arrival_delay_sum"], sum, "{key:?}");
        if arrived == 0 {
            assert!(row["arrival_delay_mean"].is_null() && row["arrival_delay_p95"].is_null());
            continue;
        }
        assert_eq!(row["arrival_delay_mean"], sum as f64 / arrived as f64, "{key:?}");
        let rank = (arrived * 95).div_ceil(100);
        assert_eq!(row["arrival_delay_p95"], day.delays[rank - 1], "{key:?}");
    }
}

#[test]
fn every_day_of_january_is_what_a_plain_loop_says() {
    let csv = month();
    let place = place(&csv);
    let done = place.run(&["run", "job.toml", "--json"]).succeeded().json();
    assert_eq!(done["records"], csv.lines().count() as u64 - 1);
    assert_eq!(done["rejected"], 0);
    assert!(place.lines("out/late").is_empty());
    check_days(&place, &csv);
}

#[test]
fn bad_rows_go_to_the_dead_letters_and_change_nothing_else() {
    let good = month();
    let mut lines: Vec<String> = good.lines().map(str::to_owned).collect();
    let victim = lines[1].clone();
    let fields: Vec<&str> = victim.split(',').collect();
    let with = |place: usize, text: &str| {
        let mut fields = fields.clone();
        fields[place] = text;
        fields.join(",")
    };
    let bad = [with(8, "eleven"), with(13, ""), with(18, "yesterday"), "2013,1,1".to_owned()];
    for (at, bad) in bad.iter().enumerate() {
        lines.insert(at * 5_000 + 2, bad.clone());
    }
    let place = place(&(lines.join("\n") + "\n"));
    place.run(&["run", "job.toml"]).succeeded();
    let dead: Vec<String> =
        place.rows("out/dead-letters").iter().map(|dead| dead["reason"].to_string()).collect();
    assert_eq!(dead.len(), bad.len(), "{dead:?}");
    for field in ["arr_delay", "dest", "time_hour"] {
        assert!(dead.iter().any(|reason| reason.contains(field)), "{field}: {dead:?}");
    }
    check_days(&place, &good);
}

#[test]
fn alerts_follow_from_the_days() {
    let place = place(&month());
    place.run(&["run", "job.toml"]).succeeded();
    let days = place.rows("out/days");
    let alerts = place.rows("out/alerts");
    assert!(!alerts.is_empty());
    for alert in alerts {
        // An alert names the revision of the day that it looked at.
        let same = |day: &&Value| ["dest", "day", "revision"].iter().all(|at| day[at] == alert[at]);
        let day = days.iter().find(same).unwrap_or_else(|| panic!("{alert} has no day"));
        let mean = day["arrival_delay_mean"].as_f64().unwrap();
        assert_eq!(alert["arrival_delay_mean"].as_f64(), Some(mean));
        assert!(mean >= 15.0 && mean >= 2.0 * alert["previous_mean"].as_f64().unwrap(), "{alert}");
    }
}
