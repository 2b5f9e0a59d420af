//! Tests of shadow runs.

use statehouse_state::{
    Column, HeapBackend, KeyGroupRange, KeyGroups, KeyLayout, StateDeclaration, StateId, StateKind,
    TaskStateDeclaration, TaskStateKind, TimeDomain, TimerDeclaration, TimerId, ValueLayout,
    Window,
};

use super::*;
use crate::batch::Batch;
use crate::call::{Call, Moment};
use crate::description::{Codec, KeyType, Port, ValueType};
use crate::evolution::{Left, Migrations, Retired, Step, plan};
use crate::failure::Failure;
use crate::invoker::Invoker;
use crate::operator::{Rows, TimerRows};

const UNLUCKY: u64 = 13;

/// What the operator under test does otherwise than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    TheSame,
    AddsMore,
    SkipsEven,
    EmitsTwice,
    Forgets,
    Refuses,
    Traps,
    IsGone,
}

/// Adds values up, keeps the last ones in a list, and emits the sum; a timer emits it once more.
struct Sums {
    description: Description,
    does: Does,
}

fn state(name: &str, kind: StateKind, schema_version: u32) -> StateDeclaration {
    StateDeclaration {
        name: name.into(),
        kind,
        value: ValueLayout::U64,
        codec: "raw".into(),
        schema: None,
        map_key: None,
        map_key_codec: None,
        map_key_schema: None,
        merge: None,
        ttl: None,
        schema_version,
    }
}

fn sums(does: Does, version: u32) -> Box<Sums> {
    let key = || Some(KeyType { layout: KeyLayout::U64, codec: Codec::Raw, schema: None });
    let value = || ValueType::new(ValueLayout::U64, Codec::Raw);
    let port =
        |name: &str| Port { name: name.into(), key: key(), value: value(), broadcast: false };
    let seen = TaskStateDeclaration {
        name: "seen".into(),
        kind: TaskStateKind::Split,
        value: ValueLayout::U64,
        codec: "raw".into(),
        schema: None,
        map_key: None,
        map_key_codec: None,
        map_key_schema: None,
        schema_version: 1,
    };
    let description = Description {
        name: "sums".into(),
        version: "1".into(),
        inputs: vec![port("in")],
        outputs: vec![port("out")],
        states: vec![state("sum", StateKind::Value, version), state("last", StateKind::List, 1)],
        timers: vec![TimerDeclaration { name: "later".into(), domain: TimeDomain::EventTime }],
        task_states: vec![seen],
        metrics: vec![],
    };
    Box::new(Sums { description, does })
}

fn words(column: &Column) -> &[u64] {
    let Column::Words(words) = column else { panic!("only words here") };
    words
}

impl Sums {
    fn emit(&self, call: &mut Call, time: i64, key: u64, sum: u64) -> Result<(), Failure> {
        let (key, sum) = (Column::Words(vec![key]), Column::Words(vec![sum]));
        call.emit(0, &[time], Some(&key), &sum)
    }
}

impl Operator for Sums {
    fn description(&self) -> &Description {
        &self.description
    }

    fn process(&mut self, rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
        let mut known = Window::new(true);
        let unit = if self.description.states[0].schema_version == 1 { 1 } else { 100 };
        for (row, (&slot, &value)) in rows.slots.iter().zip(words(rows.values)).enumerate() {
            call.load(StateId(0), &mut known)?;
            let more = u64::from(self.does == Does::AddsMore && value == 7);
            let sum = words(&known.values)[slot as usize] + (value + more) * unit;
            let key = words(rows.keys.expect("keyed"))[slot as usize];
            match self.does {
                Does::Refuses if value == UNLUCKY => {
                    let reason = "unlucky".into();
                    return Err(Failure::Refused { row: Some(row as u32), reason });
                }
                Does::Traps => return Err(Failure::Trapped { reason: "unreachable".into() }),
                Does::IsGone => return Err(Failure::Host { reason: "no instance".into() }),
                Does::SkipsEven if value % 2 == 0 => continue,
                Does::EmitsTwice => self.emit(call, rows.times[row], key, sum / unit)?,
                _ => {}
            }
            self.emit(call, rows.times[row], key, sum / unit)?;
            if self.does == Does::Forgets && key == 2 {
                call.remove(StateId(0), &[slot])?;
                continue;
            }
            call.store_words(StateId(0), &[slot], &[sum])?;
            call.append(StateId(1), &[slot], &Column::Words(vec![value]))?;
            call.append_task_list(0, &Column::Words(vec![value]))?;
            call.change_timers(TimerId(0), &[slot], &[1000], true)?;
        }
        Ok(())
    }

    fn on_timers(&mut self, timers: TimerRows<'_>, call: &mut Call) -> Result<(), Failure> {
        // How many records the task has seen is in its state, too.
        let seen = call.task_list(0)?.len() as u64;
        for (&key, &time) in words(timers.keys).iter().zip(timers.times) {
            self.emit(call, time, key, seen)?;
        }
        Ok(())
    }

    fn migrate(&mut self, _: StateId, _: u32, values: &Column) -> Result<Column, Failure> {
        if let Some(row) = words(values).iter().position(|&value| value == UNLUCKY) {
            let (row, reason) = (Some(row as u32), "unlucky".into());
            return Err(Failure::Refused { row, reason });
        }
        Ok(Column::Words(words(values).iter().map(|&value| value * 100).collect()))
    }
}

fn running() -> Invoker {
    let operator = sums(Does::TheSame, 1);
    let groups = KeyGroups::DEFAULT;
    let Description { states, timers, .. } = &operator.description;
    let range = KeyGroupRange::all(groups);
    let backend = HeapBackend::new(KeyLayout::U64, states, timers, groups, range).unwrap();
    Invoker::new(operator, Some(Box::new(backend)), ErrorPolicy::Skip)
}

fn batch(rows: &[(u64, u64)]) -> Batch {
    let mut batch = Batch {
        times: (0..rows.len() as i64).collect(),
        keys: Some(Column::Words(rows.iter().map(|row| row.0).collect())),
        hashes: Vec::new(),
        values: Column::Words(rows.iter().map(|row| row.1).collect()),
    };
    batch.hash_keys();
    batch
}

fn process(invoker: &mut Invoker, rows: &[(u64, u64)]) {
    invoker.process(0, &batch(rows), Moment::default()).unwrap();
    invoker.outputs()[0].clear();
}

/// Two batches, timers between them, and a batch before that is not copied.
fn captured() -> Capture {
    let mut invoker = running();
    process(&mut invoker, &[(1, 100), (9, 9), (3, 1)]);
    invoker.capture(2);
    process(&mut invoker, &[(1, 1), (2, 2), (1, 7)]);
    assert!(invoker.take_capture().is_none(), "one more is to come");
    while invoker.fire_timers(TimeDomain::EventTime, 5000, Moment::default()).unwrap() {}
    invoker.outputs()[0].clear();
    process(&mut invoker, &[(2, 4), (3, UNLUCKY)]);
    let capture = invoker.take_capture().expect("both are there");
    process(&mut invoker, &[(2, 1000)]);
    assert!(invoker.take_capture().is_none() && invoker.end_capture().is_none());
    capture
}

fn compared(capture: Capture, does: Does, version: u32, policy: ErrorPolicy) -> Comparison {
    let before = sums(Does::TheSame, 1).description;
    let operator = sums(does, version);
    let left = Left { description: before.clone(), retired: Retired::default() };
    let steps = vec![Step { state: "sum".into(), from_version: 1 }];
    let migrations = Migrations { renames: vec![], steps };
    let evolution = plan(&left, operator.description(), &migrations, false).unwrap();
    compare(capture, &before, &evolution, operator, policy).unwrap()
}

/// Same, differing, missing and extra records.
fn out(comparison: &Comparison) -> (u64, u64, u64, u64) {
    let [port] = &comparison.outputs[..] else { panic!("there is one") };
    (port.same, port.differing, port.missing, port.extra)
}

/// Same and differing keys, and those of one version only.
fn kept(comparison: &Comparison, state: usize) -> (u64, u64, u64, u64) {
    let state = &comparison.states[state];
    (state.same, state.differing, state.only_before, state.only_after)
}

#[test]
fn a_version_that_does_the_same_has_no_differences() {
    for version in [1, 2] {
        let comparison = compared(captured(), Does::TheSame, version, ErrorPolicy::Fail);
        assert!(comparison.is_same(), "{comparison:#?}");
        // Five records, and the timers of four keys.
        assert_eq!((comparison.batches, comparison.rows, comparison.cut_short), (2, 9, false));
        assert_eq!(out(&comparison), (9, 0, 0, 0));
        assert_eq!(
            (comparison.states[0].state.as_str(), kept(&comparison, 0)),
            ("sum", (4, 0, 0, 0))
        );
        assert_eq!(kept(&comparison, 1), (4, 0, 0, 0));
        assert!(comparison.row_ns_before > 0.0 && comparison.row_ns_after > 0.0);
        let json = serde_json::to_string(&comparison).unwrap();
        assert_eq!(serde_json::from_str::<Comparison>(&json).unwrap(), comparison);
    }
}

#[test]
fn differences_are_counted_and_shown() {
    let differs = |does| compared(captured(), does, 1, ErrorPolicy::Skip);
    let more = differs(Does::AddsMore);
    assert_eq!((out(&more), kept(&more, 0)), ((8, 1, 0, 0), (3, 1, 0, 0)));
    let port = Difference {
        key: Some("1".into()),
        before: Some(r#"{"key":1,"time":2,"value":108}"#.into()),
        after: Some(r#"{"key":1,"time":2,"value":109}"#.into()),
    };
    assert_eq!(more.outputs[0].examples, [port]);
    let (before, after) = (Some("108".into()), Some("109".into()));
    assert_eq!(more.states[0].examples, [Difference { key: Some("1".into()), before, after }]);

    let twice = differs(Does::EmitsTwice);
    assert_eq!((out(&twice), kept(&twice, 0)), ((9, 0, 0, 5), (4, 0, 0, 0)));
    assert_eq!(twice.outputs[0].examples[0].before, None);

    // Two records are missing, and what timers say of how many there were is another thing.
    let even = differs(Does::SkipsEven);
    assert_eq!((out(&even), kept(&even, 0)), ((3, 4, 2, 0), (3, 0, 1, 0)));
    assert_eq!(kept(&even, 1), (3, 0, 1, 0));
    let forgets = differs(Does::Forgets);
    assert_eq!(kept(&forgets, 0), (3, 0, 1, 0));
    assert_eq!(forgets.states[0].examples[0].before.as_deref(), Some("6"));
    assert!(!forgets.is_same());
}

#[test]
fn what_the_other_version_cannot_take_is_shown_whatever_the_policy() {
    for policy in [ErrorPolicy::Fail, ErrorPolicy::Skip] {
        let comparison = compared(captured(), Does::Refuses, 1, policy);
        assert_eq!((comparison.rejected_before, comparison.rejected_after), (0, 1));
        assert_eq!(comparison.failures, ["unlucky"]);
        assert_eq!(comparison.would_fail, policy == ErrorPolicy::Fail);
        assert_eq!((out(&comparison), kept(&comparison, 0)), ((8, 0, 1, 0), (3, 1, 0, 0)));
    }
    let comparison = compared(captured(), Does::Traps, 1, ErrorPolicy::Fail);
    assert_eq!(comparison.rejected_after, 5);
    assert!(comparison.failures.iter().all(|reason| reason == "trapped: unreachable"));
    let comparison = compared(captured(), Does::IsGone, 1, ErrorPolicy::Skip);
    assert!(comparison.would_fail && comparison.failures[0].contains("no instance"));
}

#[test]
fn values_that_cannot_be_converted_are_counted() {
    let mut invoker = running();
    process(&mut invoker, &[(1, UNLUCKY), (2, 5)]);
    invoker.capture(1);
    process(&mut invoker, &[(1, 0), (2, 0)]);
    let capture = invoker.take_capture().unwrap();
    let comparison = compared(capture, Does::TheSame, 2, ErrorPolicy::DeadLetter);
    assert_eq!((comparison.unconverted, comparison.rejected_after), (1, 1));
    let reason = "its state `sum` of schema version 1 cannot be migrated: unlucky";
    assert_eq!(comparison.failures, [reason]);
    assert!(!comparison.is_same());
}

#[test]
fn a_capture_takes_so_much_memory_and_no_more() {
    let mut invoker = running();
    invoker.capture_within(100, 4096);
    let rows: Vec<_> = (0..50).map(|key| (key, key)).collect();
    let mut batches = 0;
    let capture = loop {
        process(&mut invoker, &rows);
        batches += 1;
        assert!(batches < 100, "it must have ended");
        if let Some(capture) = invoker.take_capture() {
            break capture;
        }
    };
    assert!(capture.is_cut_short() && capture.batches() == batches);
    let comparison = compared(capture, Does::TheSame, 1, ErrorPolicy::Fail);
    assert!(comparison.is_same() && comparison.cut_short);
}

#[test]
fn a_capture_can_be_ended_and_ends_with_the_operator() {
    let mut invoker = running();
    invoker.capture(5);
    process(&mut invoker, &[(1, 1)]);
    let capture = invoker.end_capture().unwrap();
    assert_eq!((capture.batches(), capture.rows(), capture.is_cut_short()), (1, 1, true));

    invoker.capture(5);
    process(&mut invoker, &[(1, 1)]);
    let evolution = Evolution::unchanged(invoker.description());
    invoker.replace(sums(Does::TheSame, 1), &evolution, None).unwrap();
    process(&mut invoker, &[(1, 1)]);
    assert_eq!(invoker.take_capture().map(|capture| capture.batches()), Some(1));
}
