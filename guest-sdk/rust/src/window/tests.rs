//! Windows against what anyone would compute by hand: all records at hand, in the order in which they came.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::prelude::*;
use crate::{Aggregate, Trigger, Window, Windowed, Windows};

/// Adds numbers up.
struct Sum;

impl Aggregate for Sum {
    type Input = i64;
    type Accumulator = i64;
    type Output = i64;

    fn add(sum: &mut i64, input: &i64) {
        *sum += input;
    }

    fn merge(sum: &mut i64, other: &i64) {
        *sum += other;
    }

    fn result(sum: &i64) -> i64 {
        *sum
    }
}

/// What a test wants to see of a window: key, start, end, result, whether again.
type Seen = (u64, i64, i64, i64, bool);

/// Which windows an operator has: what it declares may not depend on its settings, but their lengths may.
const FIXED: u8 = 0;
const SESSION: u8 = 1;
const GLOBAL: u8 = 2;
const CLOCK: u8 = 3;

/// Emits all that its windows say, and the times of late records. Its windows are chosen by a setting.
struct Watch<const KIND: u8> {
    sums: Windowed<Sum>,
    windows: Output<Seen>,
    late: KeyedOutput<u64, i64>,
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn chosen(name: &str) -> Windows {
    match name {
        "sliding" => Windows::sliding(seconds(10), seconds(4)),
        "every second" => Windows::sliding(seconds(10), seconds(1)),
        "offset" => Windows::tumbling(seconds(10)).offset(seconds(3)),
        "lenient" => Windows::sliding(seconds(10), seconds(5)).allowed_lateness(seconds(7)),
        "session" => Windows::session(seconds(5)),
        "lenient session" => Windows::session(seconds(5)).allowed_lateness(seconds(7)),
        "three" => Windows::global(Trigger::count(3)),
        "three purged" => Windows::global(Trigger::count(3).purging()),
        "minute" => Windows::global(Trigger::every(seconds(60)).purging()),
        "clock" => Windows::tumbling(seconds(10)).processing_time(),
        "gaps" => Windows::sliding(seconds(1), seconds(2)),
        "nothing" => Windows::tumbling(Duration::ZERO),
        "late clock" => Windows::session(seconds(5)).processing_time().allowed_lateness(seconds(1)),
        _ => Windows::tumbling(seconds(10)),
    }
}

fn usual(kind: u8) -> String {
    ["tumbling", "session", "three", "clock"][usize::from(kind)].to_owned()
}

impl<const KIND: u8> Operator for Watch<KIND> {
    const NAME: &str = "watch";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        let windows = chosen(&setup.config_or("windows", usual(KIND)));
        Watch {
            sums: setup.windows("sums", windows, Self::on_window),
            windows: setup.output("windows"),
            late: setup.keyed_output("late"),
        }
    }
}

impl<const KIND: u8> Watch<KIND> {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        if !self.sums.add(&number.value) {
            self.late.emit(&number.key, &number.time)?;
        }
        Ok(())
    }

    fn on_window(&mut self, window: Window<u64, i64>) -> Result<()> {
        let Window { key, start, end, result, again } = window;
        self.windows.emit(&(key, start, end, result, again))
    }
}

fn watch<const KIND: u8>(windows: &str) -> TestHarness<Watch<KIND>> {
    TestHarness::new().config("windows", windows)
}

fn seen<const KIND: u8>(harness: &mut TestHarness<Watch<KIND>>) -> Vec<Seen> {
    harness.take_values("windows")
}

/// Random numbers, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A record as it came: its batch, key, time and number, and the watermark before it.
struct Came {
    batch: i64,
    key: u64,
    time: i64,
    number: i64,
    watermark: i64,
}

/// Sends random batches, moves the watermark in between, and ends the stream.
fn play<const KIND: u8>(windows: &str, seed: u64) -> (Vec<Came>, Vec<Seen>, Vec<i64>) {
    let mut harness = watch::<KIND>(windows);
    let mut random = Random(seed);
    let (mut came, mut watermark) = (Vec::new(), i64::MIN);
    for step in 0..60 {
        let mut batch = harness.batch("numbers");
        for _ in 0..random.below(8) {
            let key = random.below(3);
            let time = step * 1000 + random.below(30_000) as i64 - 15_000;
            let number = 1 << random.below(20);
            batch = batch.push(key, number, time);
            came.push(Came { batch: step, key, time, number, watermark });
        }
        batch.send();
        if random.below(3) == 0 {
            watermark = watermark.max(step * 1000 - random.below(4000) as i64);
            harness.advance_watermark(watermark);
        }
    }
    harness.advance_watermark(i64::MAX);
    let late = harness.take_records::<u64, i64>("late");
    (came, seen(&mut harness), late.into_iter().map(|record| record.value).collect())
}

/// For each key and end of a window: the sum of the records that came before it was forgotten.
fn by_hand(
    came: &[Came],
    (size, slide, offset, lateness): (i64, i64, i64, i64),
) -> (BTreeMap<(u64, i64), i64>, Vec<i64>) {
    let mut sums = BTreeMap::new();
    let mut late = Vec::new();
    for record in came {
        let mut taken = false;
        for start in record.time - size + 1..=record.time {
            let end = start + size;
            let is_window = (start - offset).rem_euclid(slide) == 0;
            if is_window && end.saturating_add(lateness) > record.watermark {
                *sums.entry((record.key, end)).or_insert(0) += record.number;
                taken = true;
            }
        }
        if !taken {
            late.push(record.time);
        }
    }
    (sums, late)
}

#[test]
fn windows_of_fixed_length_hold_what_came_in_time() {
    let shapes = [
        ("tumbling", (10_000, 10_000, 0, 0)),
        ("offset", (10_000, 10_000, 3000, 0)),
        ("sliding", (10_000, 4000, 0, 0)),
        ("every second", (10_000, 1000, 0, 0)),
        ("lenient", (10_000, 5000, 0, 7000)),
    ];
    for (name, shape) in shapes {
        for seed in 0..20 {
            let (came, windows, late) = play::<FIXED>(name, seed);
            let (expected, expected_late) = by_hand(&came, shape);
            let mut last = BTreeMap::new();
            for (key, start, end, sum, again) in windows {
                assert_eq!(end - start, shape.0, "{name}, seed {seed}");
                let before = last.insert((key, end), sum);
                assert!(
                    before.is_none() || again,
                    "{name}, seed {seed}: only corrections come again"
                );
                assert!(shape.3 > 0 || !again, "{name}, seed {seed}: nothing is corrected");
            }
            assert_eq!(last, expected, "{name}, seed {seed}");
            assert_eq!(late, expected_late, "{name}, seed {seed}");
        }
    }
}

/// Sums of sessions by key, start and end.
type Sums = BTreeMap<(u64, i64, i64), i64>;

/// Sessions as they are when records are taken one by one, and the times of those that come too late.
fn sessions_by_hand(came: &[Came], lateness: i64) -> (Sums, Vec<i64>) {
    const GAP: i64 = 5000;
    let mut open: Vec<(u64, i64, i64, i64)> = Vec::new();
    let mut done = BTreeMap::new();
    let mut late = Vec::new();
    let mut batch = -1;
    for record in came {
        // Windows are told of between batches. A session is forgotten once its end and the lateness have passed.
        let is_new_batch = std::mem::replace(&mut batch, record.batch) != record.batch;
        open.retain(|&(key, start, end, sum)| {
            let forgotten = end.saturating_add(lateness) <= record.watermark;
            if is_new_batch && end <= record.watermark {
                done.insert((key, start, end), sum);
            }
            !forgotten
        });
        let (mut start, mut end, mut sum) = (record.time, record.time + GAP, record.number);
        let touches = |&(key, from, to, _): &(u64, i64, i64, i64)| {
            key == record.key && from <= record.time + GAP && to >= record.time
        };
        if end.saturating_add(lateness) <= record.watermark && !open.iter().any(touches) {
            late.push(record.time);
            continue;
        }
        for (_, from, to, other) in open.extract_if(.., |session| touches(session)) {
            start = start.min(from);
            end = end.max(to);
            sum += other;
        }
        open.push((record.key, start, end, sum));
    }
    done.extend(open.into_iter().map(|(key, start, end, sum)| ((key, start, end), sum)));
    (done, late)
}

#[test]
fn sessions_hold_what_is_close_together() {
    for (name, lateness) in [("session", 0), ("lenient session", 7000)] {
        for seed in 0..30 {
            let (came, windows, late) = play::<SESSION>(name, seed);
            let (expected, expected_late) = sessions_by_hand(&came, lateness);
            let mut last = BTreeMap::new();
            for (key, start, end, sum, again) in windows {
                assert!(lateness > 0 || !again, "{name}, seed {seed}: nothing is corrected");
                last.insert((key, start, end), sum);
            }
            assert_eq!(late, expected_late, "{name}, seed {seed}");
            assert_eq!(last, expected, "{name}, seed {seed}");
        }
    }
}

/// Some records for one key, and then the end.
fn to_the_end<const KIND: u8>(name: &str) -> TestHarness<Watch<KIND>> {
    let mut harness = watch::<KIND>(name);
    for time in [1000, 2000, 14_000, 40_000] {
        harness.send("numbers", 1_u64, 1_i64, time);
    }
    harness.advance_watermark(i64::MAX);
    assert!(!seen(&mut harness).is_empty());
    assert!(harness.timers("sums", 1_u64).is_empty(), "{name}");
    harness
}

#[test]
fn a_window_leaves_nothing_behind() {
    for name in ["tumbling", "sliding", "lenient"] {
        let harness = to_the_end::<FIXED>(name);
        assert!(harness.map::<i64, i64>("sums.panes", 1_u64).is_empty(), "{name}");
        assert_eq!(harness.state::<(i64, u64, Option<i64>)>("sums.open", 1_u64), None, "{name}");
        assert_eq!(harness.state::<Vec<u8>>("sums.closed", 1_u64), None, "{name}");
    }
    for name in ["session", "lenient session"] {
        let harness = to_the_end::<SESSION>(name);
        assert!(harness.map::<i64, (i64, i64)>("sums.sessions", 1_u64).is_empty(), "{name}");
    }
}

#[test]
fn a_global_window_speaks_by_its_trigger() {
    let results = |name: &str| {
        let mut harness = watch::<GLOBAL>(name);
        let mut batch = harness.batch("numbers");
        for number in 1..=7_i64 {
            batch = batch.push(1_u64, number, number * 10_000);
        }
        batch.send();
        harness.advance_watermark(70_000);
        let results: Vec<i64> = seen(&mut harness).into_iter().map(|seen| seen.3).collect();
        results
    };
    assert_eq!(results("three"), [6, 21]);
    assert_eq!(results("three purged"), [6, 15]);
    assert_eq!(results("minute"), [28]);
}

#[test]
fn windows_of_the_clock_go_by_the_clock() {
    let mut harness = watch::<CLOCK>("clock");
    harness.advance_processing_time(12_000);
    harness.send("numbers", 1_u64, 1_i64, 999_000);
    harness.advance_processing_time(19_999);
    harness.send("numbers", 1_u64, 2_i64, 0);
    assert!(seen(&mut harness).is_empty());
    harness.advance_processing_time(20_000);
    assert_eq!(seen(&mut harness), [(1, 10_000, 20_000, 3, false)]);
    assert!(harness.take_records::<u64, i64>("late").is_empty());
}

#[test]
fn windows_that_cannot_be_are_refused() {
    let refused = |opened: Option<String>, reason: &str| {
        let refused = opened.expect("it is refused");
        assert!(refused.contains("windows `sums`") && refused.contains(reason), "{refused}");
    };
    let gaps = watch::<FIXED>("gaps").open().err();
    refused(gaps, "the slide is longer than a window");
    refused(watch::<FIXED>("nothing").open().err(), "at least a millisecond");
    let late = watch::<SESSION>("late clock").open().err();
    refused(late, "nothing is late by the host's clock");
}
