//! The harness keeps the contract: order of timers, transactions, settings, descriptions.

use std::time::Duration;

use crate::bindings::{Codec, KeyType, StateKind, ValueType};
use crate::prelude::*;

/// Sets timers as told and says when which fired.
struct Clockwork {
    event: Timer,
    processing: Timer,
    fired: KeyedOutput<String, (String, i64)>,
    fires: Counter,
    last: Gauge,
    context: Context,
}

impl Operator for Clockwork {
    const NAME: &str = "clockwork";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("set", Self::on_set);
        setup.keyed_input("delete", Self::on_delete);
        setup.keyed_input("process", Self::on_process);
        Clockwork {
            event: setup.event_timer("event", Self::on_event),
            processing: setup.processing_timer("processing", Self::on_processing),
            fired: setup.keyed_output("fired"),
            fires: setup.counter("fires"),
            last: setup.gauge("last"),
            context: setup.context(),
        }
    }
}

impl Clockwork {
    fn on_set(&mut self, at: Record<String, i64>) -> Result<()> {
        self.event.set(at.value);
        Ok(())
    }

    fn on_delete(&mut self, at: Record<String, i64>) -> Result<()> {
        self.event.set(at.value + 1);
        self.event.delete(at.value);
        self.event.delete(at.value + 1);
        Ok(())
    }

    fn on_process(&mut self, at: Record<String, i64>) -> Result<()> {
        if at.value < 0 {
            self.context.reject("before the epoch");
            self.context.warn(format_args!(
                "odd time {} at {}",
                at.value,
                self.context.watermark()
            ));
        }
        self.processing.set(at.value);
        Ok(())
    }

    fn on_event(&mut self, fired: Fired<String>) -> Result<()> {
        if fired.time == 100 {
            self.event.set(50);
        }
        self.tell("event", fired)
    }

    fn on_processing(&mut self, fired: Fired<String>) -> Result<()> {
        assert!(self.context.processing_time() >= fired.time);
        self.tell("processing", fired)
    }

    fn tell(&mut self, what: &str, fired: Fired<String>) -> Result<()> {
        self.fires.add(1);
        self.last.set(fired.time as f64);
        self.fired.emit(&fired.key, &(what.to_owned(), fired.time))
    }
}

fn fired(harness: &mut TestHarness<Clockwork>) -> Vec<(String, i64)> {
    let records = harness.take_records::<String, (String, i64)>("fired");
    assert!(records.iter().all(|record| record.time == record.value.1));
    records.into_iter().map(|record| (record.key, record.value.1)).collect()
}

#[test]
fn timers_fire_once_in_order_of_time_when_the_watermark_reaches_them() {
    let mut clockwork = TestHarness::<Clockwork>::new();
    for (key, time) in [("a", 20_i64), ("b", 10), ("a", 10), ("a", 10), ("b", 30)] {
        clockwork.send("set", key, time, 0);
    }
    assert_eq!(clockwork.timers("event", "a"), [10, 20]);
    clockwork.advance_watermark(9);
    assert_eq!(fired(&mut clockwork), []);
    clockwork.advance_watermark(20);
    let expected = [("a", 10), ("b", 10), ("a", 20)].map(|(key, time)| (key.to_owned(), time));
    assert_eq!(fired(&mut clockwork), expected);
    assert_eq!(clockwork.metric("fires"), 3.0);
    assert_eq!(clockwork.metric("last"), 20.0);
}

#[test]
fn a_timer_set_in_the_past_fires_next_and_a_deleted_one_does_not() {
    let mut clockwork = TestHarness::<Clockwork>::new();
    clockwork.send("set", "a", 100_i64, 0);
    clockwork.send("set", "a", 70_i64, 0);
    clockwork.send("delete", "a", 70_i64, 0);
    clockwork.advance_watermark(100);
    assert_eq!(fired(&mut clockwork), [("a".to_owned(), 100), ("a".to_owned(), 50)]);
}

#[test]
fn processing_timers_follow_the_clock_and_not_the_watermark() {
    let mut clockwork = TestHarness::<Clockwork>::new();
    clockwork.send("process", "a", 1000_i64, 0);
    clockwork.advance_watermark(5000);
    assert_eq!(fired(&mut clockwork), []);
    clockwork.advance_processing_time(1000);
    assert_eq!(fired(&mut clockwork), [("a".to_owned(), 1000)]);
}

#[test]
fn reject_keeps_what_was_done_and_reports_the_record() {
    let mut clockwork = TestHarness::<Clockwork>::new();
    clockwork.send("process", "a", -5_i64, 3);
    let rejects = clockwork.take_rejects();
    assert_eq!((rejects[0].time, rejects[0].reason.as_str()), (3, "before the epoch"));
    assert_eq!(fired(&mut clockwork), [("a".to_owned(), -5)], "it was set in the past");
    let log = clockwork.take_log();
    assert_eq!(log[0].level, "warn");
    assert_eq!(log[0].line, format!("odd time -5 at {}", i64::MIN));
}

#[test]
fn the_description_says_what_was_declared() {
    let description = crate::instance::describe::<Clockwork>(blank_host(), "1.2.3");
    assert_eq!((description.name.as_str(), description.version.as_str()), ("clockwork", "1.2.3"));
    let key = description.inputs[0].key.as_ref().unwrap();
    assert!(key.layout == KeyType::Bytes && key.codec == Codec::Text);
    assert!(description.inputs[0].value.layout == ValueType::S64);
    let output = &description.outputs[0];
    assert!(output.value.layout == ValueType::Bytes && output.value.codec == Codec::Msgpack);
    assert_eq!(description.timers.len(), 2);
    assert_eq!(description.metrics.len(), 2);

    let description = crate::instance::describe::<Demanding>(blank_host(), "");
    assert!(description.states[0].kind == StateKind::Value);
    assert!(description.states[0].value.layout == ValueType::F64);
}

fn blank_host() -> Box<dyn crate::host::Host> {
    Box::new(super::HarnessHost(std::rc::Rc::default()))
}

/// Cannot do without its settings.
struct Demanding {
    limit: u64,
    every: Duration,
    mean: ValueState<f64>,
}

impl Operator for Demanding {
    const NAME: &str = "demanding";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        let limit = setup.config_required("limit");
        let every = setup.config_duration("every", Duration::from_secs(1));
        if limit == 13 {
            setup.refuse("13 is no good limit");
        }
        Demanding { limit, every, mean: setup.value("mean") }
    }
}

impl Demanding {
    fn on_number(&mut self, number: Record<u64, u64>) -> Result<()> {
        if number.value > self.limit {
            bail!("{} is above {}", number.value, self.limit);
        }
        self.mean.set(self.every.as_secs_f64());
        Ok(())
    }
}

#[test]
fn settings_reach_the_operator_and_wrong_ones_refuse_the_job() {
    let open = |settings: &[(&str, &str)]| {
        let blank = TestHarness::<Demanding>::new();
        let add =
            |harness: TestHarness<_>, (name, value): &(&str, &str)| harness.config(name, value);
        settings.iter().fold(blank, add).open().map(drop)
    };
    assert_eq!(open(&[]), Err("setting `limit` is missing".to_owned()));
    assert_eq!(open(&[("limit", "13")]), Err("13 is no good limit".to_owned()));
    assert_eq!(
        open(&[("limit", "12"), ("evry", "1s")]),
        Err("there is no setting `evry`: it has `limit`, `every`".to_owned())
    );
    let mut harness = TestHarness::<Demanding>::new().config("limit", "12").config("every", "2s");
    harness.send("numbers", 1_u64, 12_u64, 0);
    harness.send("numbers", 1_u64, 14_u64, 0);
    assert_eq!(harness.state("mean", 1_u64), Some(2.0_f64));
    assert_eq!(harness.take_rejects()[0].reason, "14 is above 12");
}

/// Declares what cannot be.
struct Keyless;

impl Operator for Keyless {
    const NAME: &str = "keyless";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.input("numbers", |_: &mut Self, _: Record<(), u64>| Ok(()));
        setup.value::<u64>("lost");
        Keyless
    }
}

#[test]
fn state_needs_a_keyed_input() {
    assert_eq!(
        TestHarness::<Keyless>::new().open().map(drop),
        Err("operator `keyless` has state or timers, but no keyed input that they could belong to"
            .to_owned())
    );
}

/// Has inputs whose keys differ, and one name twice.
struct Torn;

impl Operator for Torn {
    const NAME: &str = "torn";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("left", |_: &mut Self, _: Record<u64, u64>| Ok(()));
        setup.keyed_input("right", |_: &mut Self, _: Record<String, u64>| Ok(()));
        Torn
    }
}

#[test]
fn keyed_inputs_must_agree_on_the_key() {
    assert_eq!(
        TestHarness::<Torn>::new().open().map(drop),
        Err("operator `torn` has different keys at inputs `left` and `right`".to_owned())
    );
}

/// Sets timers in namespaces and says which fired.
struct Windows {
    closes: Timer,
    closed: Output<(i64, u64)>,
}

impl Operator for Windows {
    const NAME: &str = "windows";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("open", |windows: &mut Self, at: Record<u64, (i64, u64)>| {
            windows.closes.set_in(at.value.0, at.value.1);
            Ok(())
        });
        setup.keyed_input("drop", |windows: &mut Self, at: Record<u64, (i64, u64)>| {
            windows.closes.delete_in(at.value.0, at.value.1);
            Ok(())
        });
        let closes = setup.event_timer("closes", |windows: &mut Self, fired: Fired<u64>| {
            windows.closed.emit(&(fired.time, fired.namespace))
        });
        Windows { closes, closed: setup.output("closed") }
    }
}

#[test]
fn timers_of_one_time_are_told_apart_by_their_namespace() {
    let mut windows = TestHarness::<Windows>::new();
    for window in [(10_i64, 3_u64), (10, 1), (10, 3), (10, 0), (5, 2), (10, 2)] {
        windows.send("open", 1_u64, window, 0);
    }
    assert_eq!(windows.calls(), ["timers.set-in"]);
    windows.send("drop", 1_u64, (10_i64, 2_u64), 0);
    assert_eq!(windows.timers_in("closes", 1_u64), [(5, 2), (10, 0), (10, 1), (10, 3)]);
    assert_eq!(windows.timers("closes", 1_u64), [5, 10, 10, 10]);
    windows.advance_watermark(10);
    let closed = windows.take_values::<(i64, u64)>("closed");
    assert_eq!(closed, [(5, 2), (10, 0), (10, 1), (10, 3)]);
}
