//! Tests of what components take over, and of the values that they convert.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use statehouse_operator::call::Moment;
use statehouse_operator::{Batch, ErrorPolicy, Invoker, Operator, ValueType};
use statehouse_state::{Column, StateDeclaration, StateId, StateKind, ValueLayout};

use super::*;
use crate::bindings::MIGRATION;
use crate::fixture::{Guest, SUM, bytes, heap, keyed, state};
use crate::{Component, Error, Limits, WasmEngine, WasmOperator, WasmSettings};

fn limits() -> Limits {
    Limits { memory_bytes: 1 << 20, deadline: Duration::from_millis(50), ..Limits::default() }
}

fn load(guest: &Guest) -> Result<Component, Error> {
    let engine = WasmEngine::new(WasmSettings { instances: 4, cache: None }).unwrap();
    Component::load(&engine, &guest.build(), &limits())
}

fn open(guest: &Guest) -> WasmOperator {
    let component = load(guest).unwrap();
    WasmOperator::open(&component, "op", &BTreeMap::new(), limits()).unwrap()
}

fn rename(kind: Renamed, was: &str, now: &str) -> Rename {
    Rename { kind, was: was.to_owned(), now: now.to_owned() }
}

fn step(state: &str, from_version: u32) -> Step {
    Step { state: state.to_owned(), from_version }
}

/// `keyed` with its state `total` at schema version 3, laid out like that.
fn newer(layout: ValueLayout) -> Description {
    let total = StateDeclaration { schema_version: 3, ..state("total", layout) };
    Description { states: vec![total], ..keyed("op") }
}

/// What `newer` takes over.
fn from_one() -> Vec<(&'static str, Migrations)> {
    vec![("op", Migrations { renames: vec![], steps: vec![step("total", 1)] })]
}

/// Gives back the values as they came, as a column of that case.
fn echo(case: u32) -> String {
    format!(
        "(i32.store (i32.const 20) (i32.const {case}))
         (i32.store (i32.const 24) (local.get $values))
         (i32.store (i32.const 28) (local.get $values_len))
         (i32.store (i32.const 32) (local.get $arena))
         (i32.store (i32.const 36) (local.get $arena_len))"
    )
}

fn migrating(layout: ValueLayout, body: &str) -> WasmOperator {
    open(&Guest::new(newer(layout)).migrate(&from_one(), body).process(SUM))
}

const TOTAL: StateId = StateId(0);

#[test]
fn a_component_without_migrations_takes_nothing_over() {
    let guest = Guest::new(keyed("op")).process(SUM);
    let component = load(&guest).unwrap();
    assert_eq!(component.migrations("op"), &Migrations::default());
    let inspection = component.inspect();
    assert!(inspection.migrations.is_empty());
    assert!(!inspection.exports.iter().any(|export| export.name == MIGRATION));
    let mut operator = open(&guest);
    assert_eq!(operator.migrations(), Migrations::default());
    let refused = operator.migrate(TOTAL, 1, &Column::Words(vec![1])).unwrap_err();
    assert!(refused.to_string().contains("exports no `migrate`"), "{refused}");
    check_goes_on(operator);
}

#[test]
fn what_operators_take_over_is_known_once_they_are_loaded() {
    let migrations = Migrations {
        renames: vec![
            rename(Renamed::State, "sum", "total"),
            rename(Renamed::Timer, "end", "close"),
        ],
        steps: vec![step("total", 1), step("total", 2)],
    };
    let guest = Guest::new(keyed("other")).and(newer(ValueLayout::U64));
    let component = load(&guest.migrate(&[("op", migrations.clone())], "")).unwrap();
    assert_eq!(component.migrations("op"), &migrations);
    assert_eq!(component.migrations("other"), &Migrations::default());
    assert_eq!(component.migrations("nobody"), &Migrations::default());
    let operator = WasmOperator::open(&component, "op", &BTreeMap::new(), limits()).unwrap();
    assert_eq!(operator.migrations(), migrations);
    let inspection = component.inspect();
    assert_eq!(inspection.migrations, [("op".to_owned(), migrations)].into());
    let json = serde_json::to_string(&inspection).unwrap();
    assert_eq!(serde_json::from_str::<crate::Inspection>(&json).unwrap(), inspection);
}

#[test]
fn what_cannot_be_taken_over_is_refused_by_name() {
    let renames = |renames: &[Rename]| Migrations { renames: renames.to_vec(), steps: vec![] };
    let steps = |steps: &[Step]| Migrations { renames: vec![], steps: steps.to_vec() };
    let (state, timer) = (Renamed::State, Renamed::Timer);
    let sum = rename(state, "sum", "total");
    for (migrations, says) in [
        (
            renames(&[rename(state, "sum", "sums")]),
            "state `sum` to `sums`, which it does not declare",
        ),
        (renames(&[rename(timer, "end", "total")]), "timer `end` to `total`, which it does not"),
        (renames(&[rename(state, "total", "total")]), "and still declares `total`"),
        (renames(&[rename(timer, "close", "close")]), "and still declares `close`"),
        (renames(&[rename(state, "", "total")]), "renames a state without a name to `total`"),
        (renames(&[sum.clone(), sum]), "renames state `sum` twice"),
        (steps(&[step("sum", 1)]), "migrates state `sum`, which it does not declare"),
        (steps(&[step("total", 3)]), "`total` from schema version 3, and declares it at version 3"),
        (steps(&[step("total", 9)]), "raise the version"),
        (steps(&[step("total", 1), step("total", 1)]), "from schema version 1 twice"),
    ] {
        let guest = Guest::new(newer(ValueLayout::U64)).migrate(&[("op", migrations)], "");
        let error = load(&guest).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("operator `op`"), "{error}");
    }
    let guest = Guest::new(keyed("op"));
    let nobody = guest.migrate(&[("nobody", Migrations::default())], "");
    assert!(load(&nobody).unwrap_err().to_string().contains("operator `nobody`"));
    let guest = Guest::new(keyed("op"));
    let twice = [("op", Migrations::default()), ("op", Migrations::default())];
    assert!(load(&guest.migrate(&twice, "")).unwrap_err().to_string().contains("`op` twice"));
}

#[test]
fn half_an_interface_of_another_version_is_refused() {
    let guest = Guest::new(newer(ValueLayout::U64)).migrate(&from_one(), "");
    let mut bytes = guest.build();
    let name = b"operator/migration@0.1.0";
    for at in 0..bytes.len() - name.len() {
        if &bytes[at..at + name.len()] == name {
            bytes[at..at + name.len()].copy_from_slice(b"operator/migration@9.1.0");
        }
    }
    let engine = WasmEngine::new(WasmSettings { instances: 4, cache: None }).unwrap();
    let error = Component::load(&engine, &bytes, &limits()).unwrap_err();
    assert!(matches!(&error, Error::Version { name, .. } if name.ends_with("9.1.0")), "{error}");
}

/// One batch through an operator whose `total` is a u64.
#[track_caller]
fn check_goes_on(operator: WasmOperator) {
    let backend = heap(operator.description());
    let mut invoker = Invoker::new(Box::new(operator), Some(backend), ErrorPolicy::Fail);
    let (keys, values) = (Some(Column::Words(vec![7])), Column::Words(vec![5]));
    let mut batch = Batch { times: vec![0], keys, hashes: Vec::new(), values };
    batch.hash_keys();
    invoker.process(0, &batch, Moment::default()).unwrap();
    assert_eq!(invoker.backend().unwrap().entries(), 1);
}

#[test]
fn values_of_every_layout_are_converted() {
    let words = Column::Words(vec![0, 1, u64::MAX, f64::to_bits(-0.5)]);
    for (layout, case) in [(ValueLayout::U64, 0), (ValueLayout::S64, 1), (ValueLayout::F64, 2)] {
        let mut operator = migrating(layout, &echo(case));
        for _ in 0..3 {
            assert_eq!(operator.migrate(TOTAL, 1, &words).unwrap(), words);
        }
        let none = Column::Words(vec![]);
        assert_eq!(operator.migrate(TOTAL, 1, &none).unwrap(), none);
    }
    let texts = bytes(&["", "one", "", "three", "ü"]);
    let mut operator = migrating(ValueLayout::Bytes, &echo(3));
    assert_eq!(operator.migrate(TOTAL, 1, &texts).unwrap(), texts);
    assert_eq!(operator.migrate(TOTAL, 1, &bytes(&[])).unwrap(), bytes(&[]));
    check_goes_on(migrating(ValueLayout::U64, &echo(0)));
}

#[test]
fn numbers_become_bytes_and_know_where_they_came_from() {
    // Each value becomes a byte: state, version and value added up. The offsets follow at 512.
    let body = r#"
        (i32.store (i32.const 512) (i32.const 0))
        (block $done (loop $each
          (br_if $done (i32.ge_u (local.get $i) (local.get $values_len)))
          (i32.store8 (i32.add (i32.const 256) (local.get $i)) (i32.add
            (i32.add (local.get $state) (i32.mul (local.get $from) (i32.const 16)))
            (i32.load (i32.add (local.get $values) (i32.shl (local.get $i) (i32.const 3))))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (i32.store (i32.add (i32.const 512) (i32.shl (local.get $i) (i32.const 2))) (local.get $i))
          (br $each)))
        (i32.store (i32.const 20) (i32.const 3))
        (i32.store (i32.const 24) (i32.const 512))
        (i32.store (i32.const 28) (i32.add (local.get $values_len) (i32.const 1)))
        (i32.store (i32.const 32) (i32.const 256))
        (i32.store (i32.const 36) (local.get $values_len))"#;
    let mut operator = newer(ValueLayout::U64);
    let name = StateDeclaration { schema_version: 3, ..state("name", ValueLayout::Bytes) };
    operator.states.push(name);
    let migrations = Migrations { renames: vec![], steps: vec![step("name", 2)] };
    let mut operator = open(&Guest::new(operator).migrate(&[("op", migrations)], body));
    let converted = operator.migrate(StateId(1), 2, &Column::Words(vec![32, 33])).unwrap();
    assert_eq!(converted, bytes(&["A", "B"]));
}

#[track_caller]
fn check_fails(body: &str, says: &[&str]) {
    let mut operator = migrating(ValueLayout::U64, body);
    let failure = operator.migrate(TOTAL, 1, &Column::Words(vec![5, 6])).unwrap_err();
    let text = failure.to_string();
    for said in says {
        assert!(text.contains(said), "{text:?} does not say {said:?}");
    }
    check_goes_on(operator);
}

#[test]
fn what_comes_back_must_be_what_was_asked_for() {
    let fewer = format!("(local.set $values_len (i32.const 1)) {}", echo(0));
    check_fails(&fewer, &["state `total`", "version 1", "1 values came out and 2 went in"]);
    check_fails(&echo(1), &["declared as u64 and s64 came out"]);
    check_fails(
        "(i32.store (i32.const 20) (i32.const 3))",
        &["declared as u64 and bytes came out"],
    );
    let astray = format!("(local.set $values (i32.const 0x7ffffff0)) {}", echo(0));
    check_fails(&astray, &["state `total`"]);
    let mut operator = migrating(ValueLayout::Bytes, &echo(3).replace("$arena_len", "$state"));
    let failure = operator.migrate(TOTAL, 1, &bytes(&["one", "two"])).unwrap_err();
    assert!(failure.to_string().contains("do not cut an arena"), "{failure}");
}

#[test]
fn conversions_run_within_the_limits_of_a_call() {
    check_fails("unreachable", &["state `total`", "unreachable"]);
    check_fails("(loop $on (br $on))", &["deadline", "50ms"]);
    let hog = "(if (i32.eq (i32.const -1) (memory.grow (i32.const 64))) (then unreachable))";
    check_fails(hog, &["1048576 bytes"]);
}

/// Refuses with the reason `one`, naming that row.
fn refusal(row: u32) -> String {
    format!(
        "(i32.store (i32.const 16) (i32.const 1))
         (i32.store (i32.const 20) (i32.const 1)) (i32.store (i32.const 24) (i32.const {row}))
         (i32.store (i32.const 64) (i32.const 0x656e6f))
         (i32.store (i32.const 28) (i32.const 64)) (i32.store (i32.const 32) (i32.const 3))"
    )
}

#[test]
fn a_refusal_names_the_value_that_is_to_blame() {
    for (row, blamed) in [(1, Some(1)), (2, None)] {
        let mut operator = migrating(ValueLayout::U64, &refusal(row));
        let failure = operator.migrate(TOTAL, 1, &Column::Words(vec![5, 6])).unwrap_err();
        assert_eq!(failure, Failure::Refused { row: blamed, reason: "one".to_owned() });
        check_goes_on(operator);
    }
}

#[test]
fn nothing_else_can_be_reached_meanwhile() {
    let column = "(i32.const 0) (local.get $values) (i32.const 1) (i32.const 0) (i32.const 0)";
    let slot = "(i32.const 700) (i32.const 1)";
    let times = "(i32.const 704) (i32.const 1)";
    let calls = [
        ("no state", "(call $load (i32.const 0) (i32.const 64))".to_owned()),
        ("no state", format!("(call $store (i32.const 0) {slot} {column})")),
        ("no state", format!("(call $remove (i32.const 0) {slot})")),
        ("no state", format!("(call $touch (i32.const 0) {slot})")),
        ("no state", "(call $get_word (i32.const 0) (i32.const 0) (i32.const 64))".to_owned()),
        ("no state", "(call $set_word (i32.const 0) (i32.const 0) (i64.const 1))".to_owned()),
        ("no state", "(call $load_lists (i32.const 1) (i32.const 9) (i32.const 64))".to_owned()),
        ("no state", format!("(call $append (i32.const 1) {slot} {column})")),
        ("no state", format!("(call $clear_lists (i32.const 1) {slot})")),
        ("no state", "(call $get_list (i32.const 1) (i32.const 0) (i32.const 64))".to_owned()),
        ("no state", "(call $load_maps (i32.const 2) (i32.const 9) (i32.const 64))".to_owned()),
        ("no state", format!("(call $put (i32.const 2) {slot} {column} {column})")),
        ("no state", format!("(call $clear_maps (i32.const 2) {slot})")),
        ("no state", "(drop (call $is_empty (i32.const 2) (i32.const 0)))".to_owned()),
        ("no timer", format!("(call $set_timers (i32.const 0) {slot} {times})")),
        ("no timer", format!("(call $delete_timers (i32.const 0) {slot} {times})")),
        (
            "no output port",
            format!("(call $emit (i32.const 0) {times} (i32.const 1) {column} {column})"),
        ),
        (
            "row",
            "(call $reject (i32.const 700) (i32.const 1) (i32.const 64) (i32.const 1))".to_owned(),
        ),
        ("no counter", "(call $add_counter (i32.const 0) (i64.const 1))".to_owned()),
    ];
    let mut operator = newer(ValueLayout::U64);
    let list = StateDeclaration { kind: StateKind::List, ..state("list", ValueLayout::U64) };
    let mut map = StateDeclaration { kind: StateKind::Map, ..state("map", ValueLayout::U64) };
    map.map_key = Some(statehouse_state::KeyLayout::U64);
    map.map_key_codec = Some("raw".to_owned());
    operator.states.extend([list, map]);
    operator.metrics = vec![statehouse_operator::MetricDeclaration {
        name: "count".to_owned(),
        kind: statehouse_operator::MetricKind::Counter,
    }];
    for (says, call) in calls {
        let guest =
            Guest::new(operator.clone()).migrate(&from_one(), &format!("{call} {}", echo(0)));
        let mut migrating = open(&guest);
        let failure = migrating.migrate(TOTAL, 1, &Column::Words(vec![5])).unwrap_err();
        let Failure::Trapped { reason } = &failure else { panic!("{call}: {failure:?}") };
        assert!(reason.contains("reaches no state, timer or output"), "{call}: {reason}");
        assert!(reason.contains(says), "{call}: {reason}");
    }
}

#[test]
fn an_operator_that_loops_in_open_is_refused_at_its_deadline() {
    let component = load(&Guest::new(keyed("op")).open("(loop $on (br $on))")).unwrap();
    let begun = started();
    let error = WasmOperator::open(&component, "op", &BTreeMap::new(), limits()).unwrap_err();
    let deadline = limits().deadline;
    assert_eq!(error, Error::DeadlineExceeded { call: "open", limit: deadline });
    let taken = begun.elapsed();
    assert!(taken >= deadline && taken < deadline * 100, "{taken:?}");
    // What was begun is gone: as often as it is tried, there is room for it.
    for _ in 0..8 {
        WasmOperator::open(&component, "op", &BTreeMap::new(), limits()).unwrap_err();
    }
}

#[expect(clippy::disallowed_methods, reason = "the deadline is one of real time")]
fn started() -> Instant {
    Instant::now()
}

#[test]
fn values_that_the_component_has_no_room_for_are_a_failure_of_the_call() {
    let mut operator = migrating(ValueLayout::U64, &echo(0));
    let many = Column::Words(vec![1; 1 << 18]);
    let failure = operator.migrate(TOTAL, 1, &many).unwrap_err();
    assert_eq!(failure, Failure::MemoryExceeded { limit_bytes: 1 << 20 });
    assert!(operator.migrate(StateId(9), 1, &many).unwrap_err().to_string().contains("no state 9"));
    let few = Column::Words(vec![1; 100]);
    assert_eq!(operator.migrate(TOTAL, 1, &few).unwrap(), few);
}

#[test]
fn a_state_of_another_type_is_unlike_the_one_before() {
    // The column that comes in says how the values were laid out, not how they are now.
    let mut operator = migrating(ValueLayout::Bytes, &echo(3));
    let failure = operator.migrate(TOTAL, 1, &Column::Words(vec![1])).unwrap_err();
    assert!(matches!(failure, Failure::Trapped { .. }), "{failure}");
    let value = ValueType::new(ValueLayout::Bytes, statehouse_operator::Codec::Raw);
    assert_eq!(operator.description().states[0].value, value.layout);
}
