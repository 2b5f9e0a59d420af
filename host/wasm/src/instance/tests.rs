//! Tests of operators in instances: windows, outputs, limits, and guests that misbehave.

use std::time::Duration;

use statehouse_operator::call::Moment;
use statehouse_operator::{
    Batch, Codec, ErrorPolicy, InvokeError, Invoker, MetricDeclaration, MetricKind, ValueType,
};
use statehouse_state::{Column, Now, StateId, TimeDomain, ValueLayout, Window};

use super::*;
use crate::fixture::{EMIT, Guest, SUM, bytes, heap, keyed, state};
use crate::{WasmEngine, WasmSettings};

mod kinds;

fn engine() -> WasmEngine {
    WasmEngine::new(WasmSettings { instances: 4, cache: None }).unwrap()
}

fn limits() -> Limits {
    Limits { memory_bytes: 1 << 20, deadline: Duration::from_millis(50), ..Limits::default() }
}

fn open(guest: &Guest) -> WasmOperator {
    let component = Component::load(&engine(), &guest.build(), &limits()).unwrap();
    let name = component.operators()[0].name.clone();
    WasmOperator::open(&component, &name, &BTreeMap::new(), limits()).unwrap()
}

fn invoker(guest: &Guest, policy: ErrorPolicy) -> Invoker {
    let operator = open(guest);
    let backend = heap(operator.description());
    Invoker::new(Box::new(operator), Some(backend), policy)
}

/// Rows of key and value, at times 0, 1, 2, …
fn batch(rows: &[(u64, u64)]) -> Batch {
    batch_of(
        rows.iter().map(|(key, _)| *key).collect(),
        Column::Words(rows.iter().map(|(_, value)| *value).collect()),
    )
}

fn batch_of(keys: Vec<u64>, values: Column) -> Batch {
    let times = (0..keys.len() as i64).collect();
    let mut batch = Batch { times, keys: Some(Column::Words(keys)), hashes: Vec::new(), values };
    batch.hash_keys();
    batch
}

/// The values of keys in a state.
fn stored(invoker: &mut Invoker, state: u32, words: bool, keys: &[u64]) -> Window {
    let keys = Column::Words(keys.to_vec());
    let mut hashes = Vec::new();
    statehouse_state::key::hash_column(&keys, &mut hashes);
    let backend = invoker.backend().unwrap();
    backend.begin(&keys, &hashes, Now::default()).unwrap();
    let mut window = Window::new(words);
    backend.load(StateId(state), &mut window).unwrap();
    window
}

fn totals(invoker: &mut Invoker, keys: &[u64]) -> Vec<Option<u64>> {
    let window = stored(invoker, 0, true, keys);
    let Column::Words(words) = window.values else { panic!() };
    let value = |slot: usize| window.present.get(slot).then_some(words[slot]);
    (0..keys.len()).map(value).collect()
}

/// Runs one batch of one row through a guest that misbehaves, and returns what went wrong. Then the guest, whose
/// `process` must spare rows of value 0, must work again.
#[track_caller]
fn failure_of(guest: &Guest) -> Failure {
    let mut invoker = invoker(guest, ErrorPolicy::Fail);
    let failure = match invoker.process(0, &batch(&[(7, 1)]), Moment::default()) {
        Err(InvokeError::PoisonRecord { failure, .. }) => failure,
        other => panic!("{other:?}"),
    };
    assert!(invoker.backend().unwrap().entries() == 0, "nothing of it stays");
    invoker.process(0, &batch(&[(7, 0)]), Moment::default()).unwrap();
    failure
}

/// A guest that does `body` unless the first value is 0.
fn misbehaving(body: &str) -> Guest {
    Guest::new(keyed("op"))
        .process(&format!("(if (i32.wrap_i64 (i64.load (local.get $values))) (then {body}))"))
}

#[track_caller]
fn check_trap(body: &str, said: &[&str]) {
    let failure = failure_of(&misbehaving(body));
    let Failure::Trapped { reason } = &failure else { panic!("{failure:?}") };
    for said in said {
        assert!(reason.contains(said), "{reason:?} does not say {said:?}");
    }
}

#[test]
fn a_window_is_loaded_changed_and_stored_batch_after_batch() {
    let mut invoker = invoker(&Guest::new(keyed("sum")).process(SUM), ErrorPolicy::Fail);
    invoker.process(0, &batch(&[(1, 10), (2, 20), (1, 5)]), Moment::default()).unwrap();
    assert_eq!(totals(&mut invoker, &[1, 2, 3]), [Some(15), Some(20), None]);
    let many: Vec<(u64, u64)> = (0..5000).map(|row| (row % 1000, 1)).collect();
    for _ in 0..3 {
        invoker.process(0, &batch(&many), Moment::default()).unwrap();
    }
    assert_eq!(totals(&mut invoker, &[0, 1, 999, 1000]), [Some(15), Some(30), Some(15), None]);
}

#[test]
fn what_is_emitted_comes_out_in_order() {
    let mut invoker = invoker(&Guest::new(keyed("op")).process(EMIT), ErrorPolicy::Fail);
    let rows = batch(&[(1, 10), (2, 20), (3, 30)]);
    invoker.process(0, &rows, Moment::default()).unwrap();
    let out = &invoker.outputs()[0];
    assert_eq!((&out.times, &out.keys, &out.values), (&rows.times, &rows.keys, &rows.values));
}

#[test]
fn columns_of_every_layout_cross_both_ways_bit_by_bit() {
    let words = vec![0, 1, u64::MAX, 0x7ff8_dead_beef_0001, f64::to_bits(-0.5)];
    for layout in [ValueLayout::U64, ValueLayout::S64, ValueLayout::F64] {
        check_echo(layout, Column::Words(words.clone()));
    }
    check_echo(ValueLayout::Bytes, bytes(&["", "one", "", "three", "ü"]));
}

/// A guest that emits its values and stores them under their keys.
fn check_echo(layout: ValueLayout, values: Column) {
    let mut operator = keyed("echo");
    let value = ValueType::new(layout, Codec::Raw);
    operator.inputs[0].value = value.clone();
    operator.outputs[0].value = value;
    operator.states = vec![state("last", layout)];
    let body = "
        (call $emit (i32.const 0) (local.get $times) (local.get $times_len)
          (i32.const 1) (local.get $keys_kind) (local.get $keys) (local.get $keys_len)
          (i32.const 0) (i32.const 0) (local.get $kind) (local.get $values)
          (local.get $values_len) (local.get $arena) (local.get $arena_len))
        (call $load (i32.const 0) (i32.const 64))
        (call $store (i32.const 0) (local.get $slots) (local.get $slots_len) (local.get $kind)
          (local.get $values) (local.get $values_len) (local.get $arena) (local.get $arena_len))";
    let mut invoker = invoker(&Guest::new(operator).process(body), ErrorPolicy::Fail);
    let keys: Vec<u64> = (0..values.len() as u64).collect();
    for _ in 0..2 {
        let rows = batch_of(keys.clone(), values.clone());
        invoker.process(0, &rows, Moment::default()).unwrap();
        assert_eq!(invoker.outputs()[0].values, values, "{layout:?}");
        invoker.outputs()[0].clear();
        assert_eq!(stored(&mut invoker, 0, values.is_words(), &keys).values, values);
    }
}

#[test]
fn values_are_read_and_written_one_by_one_as_well() {
    let mut operator = keyed("single");
    operator.states.push(state("name", ValueLayout::Bytes));
    // Counts the rows of slot 0, and doubles the bytes of slot 0 (`a` at first).
    let body = r#"
        (loop $rows
          (call $get_word (i32.const 0) (i32.const 0) (i32.const 64))
          (call $set_word (i32.const 0) (i32.const 0) (i64.add (i64.const 1) (i64.mul
            (i64.extend_i32_u (i32.load8_u (i32.const 64))) (i64.load (i32.const 72)))))
          (call $get_bytes (i32.const 1) (i32.const 0) (i32.const 64))
          (if (i32.load8_u (i32.const 64))
            (then
              (local.set $n (i32.load (i32.const 72)))
              (local.set $p (call $allocate (i32.const 0) (i32.const 0) (i32.const 1)
                (i32.shl (local.get $n) (i32.const 1))))
              (memory.copy (local.get $p) (i32.load (i32.const 68)) (local.get $n))
              (memory.copy (i32.add (local.get $p) (local.get $n)) (i32.load (i32.const 68))
                (local.get $n))
              (call $set_bytes (i32.const 1) (i32.const 0) (local.get $p)
                (i32.shl (local.get $n) (i32.const 1))))
            (else
              (i32.store8 (i32.const 128) (i32.const 97))
              (call $set_bytes (i32.const 1) (i32.const 0) (i32.const 128) (i32.const 1))))
          (br_if $rows (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
            (local.get $times_len))))"#;
    let mut invoker = invoker(&Guest::new(operator).process(body), ErrorPolicy::Fail);
    invoker.process(0, &batch(&[(9, 0), (9, 0), (8, 0)]), Moment::default()).unwrap();
    assert_eq!(totals(&mut invoker, &[9, 8]), [Some(3), None]);
    invoker.process(0, &batch(&[(9, 0)]), Moment::default()).unwrap();
    assert_eq!(totals(&mut invoker, &[9]), [Some(4)]);
    assert_eq!(stored(&mut invoker, 1, false, &[9]).values, bytes(&["aaaaaaaa"]));
}

#[test]
fn removed_values_are_gone_also_for_the_invocation_that_removed_them() {
    let body = r#"
        (call $set_word (i32.const 0) (i32.const 0) (i64.const 5))
        (call $get_word (i32.const 0) (i32.const 0) (i32.const 64))
        (call $remove (i32.const 0) (local.get $slots) (i32.const 1))
        (call $get_word (i32.const 0) (i32.const 0) (i32.const 64))
        (if (i32.load8_u (i32.const 64)) (then unreachable))"#;
    let mut invoker = invoker(&Guest::new(keyed("op")).process(body), ErrorPolicy::Fail);
    invoker.process(0, &batch(&[(1, 0)]), Moment::default()).unwrap();
    assert_eq!(totals(&mut invoker, &[1]), [None]);
}

#[test]
fn timers_that_are_set_come_back() {
    // Sets a timer at the time of each row; when it fires, the time becomes the key's total.
    let guest = Guest::new(keyed("op"))
        .process(
            "(call $set_timers (i32.const 0) (local.get $slots) (local.get $slots_len)
               (local.get $times) (local.get $times_len))
             (call $delete_timers (i32.const 0) (local.get $slots) (i32.const 1)
               (local.get $times) (i32.const 1))",
        )
        .on_timers(
            "(call $store (local.get $timer) (local.get $slots) (local.get $slots_len)
               (i32.const 0) (local.get $times) (local.get $times_len)
               (i32.const 0) (i32.const 0))",
        );
    let mut invoker = invoker(&guest, ErrorPolicy::Fail);
    invoker.process(0, &batch(&[(5, 0), (6, 0), (7, 0)]), Moment::default()).unwrap();
    while invoker.fire_timers(TimeDomain::EventTime, 1, Moment::default()).unwrap() {}
    assert_eq!(totals(&mut invoker, &[5, 6, 7]), [None, Some(1), None]);
    assert_eq!(invoker.next_timer(TimeDomain::EventTime), Some(2));
}

#[test]
fn time_and_chance_come_from_the_host() {
    let body = "
        (call $set_word (i32.const 0) (i32.const 0)
          (i64.add (i64.add (call $now) (call $watermark)) (call $seed)))";
    let mut invoker = invoker(&Guest::new(keyed("op")).process(body), ErrorPolicy::Fail);
    let moment = Moment { processing_time: 1000, watermark: 200, seed: 30 };
    invoker.process(0, &batch(&[(1, 0)]), moment).unwrap();
    assert_eq!(totals(&mut invoker, &[1]), [Some(1230)]);
}

#[test]
fn metrics_are_counted_and_set() {
    let mut operator = keyed("op");
    operator.metrics = vec![
        MetricDeclaration { name: "rows".to_owned(), kind: MetricKind::Counter },
        MetricDeclaration { name: "size".to_owned(), kind: MetricKind::Gauge },
    ];
    let body = "
        (call $add_counter (i32.const 0) (i64.extend_i32_u (local.get $times_len)))
        (call $set_gauge (i32.const 1) (f64.const 2.5))";
    let mut invoker = invoker(&Guest::new(operator).process(body), ErrorPolicy::Fail);
    for _ in 0..2 {
        invoker.process(0, &batch(&[(1, 0), (2, 0)]), Moment::default()).unwrap();
    }
    assert_eq!(invoker.metrics().collect::<Vec<_>>(), [4.0, 2.5]);
}

#[test]
fn a_trap_says_what_happened_where_and_what_the_guest_said_last() {
    let guest = misbehaving("(call $outer)").extra(
        r#"(func $_ZN3sum5inner17h0123456789abcdefE unreachable)
           (func $outer (i32.store (i32.const 64) (i32.const 0x21414141))
             (call $log (i32.const 4) (i32.const 64) (i32.const 4))
             (call $_ZN3sum5inner17h0123456789abcdefE))"#,
    );
    let failure = failure_of(&guest);
    let Failure::Trapped { reason } = failure else { panic!("{failure:?}") };
    assert!(reason.contains("`unreachable`"), "{reason}");
    assert!(reason.contains(": AAA! (in sum::inner < outer < "), "{reason}");
}

#[test]
fn traps_of_the_machine_are_values() {
    check_trap("(drop (i32.load (i32.const -1)))", &["out of bounds"]);
    check_trap("(drop (i32.div_u (i32.const 1) (local.get $n)))", &["divide by zero"]);
    let endless = misbehaving("(call $deeper)").extra("(func $deeper (call $deeper))");
    let Failure::Trapped { reason } = failure_of(&endless) else { panic!() };
    assert!(reason.contains("stack"), "{reason}");
}

#[test]
fn whoever_breaks_the_contract_traps() {
    let stored = "(i32.const 0) (local.get $values) (i32.const 1) (i32.const 0) (i32.const 0)";
    check_trap("(call $load (i32.const 1) (i32.const 64))", &["there is no state 1"]);
    check_trap(
        &format!(
            "(i32.store (i32.const 64) (i32.const 1))
             (call $store (i32.const 0) (i32.const 64) (i32.const 1) {stored})"
        ),
        &["slot 1 was not handed out", "1 keys"],
    );
    check_trap(
        &format!("(call $store (i32.const 0) (local.get $slots) (i32.const 0) {stored})"),
        &["0 slots for 1 values"],
    );
    check_trap(
        "(call $store (i32.const 0) (local.get $slots) (i32.const 1)
           (i32.const 1) (local.get $values) (i32.const 1) (i32.const 0) (i32.const 0))",
        &["state `total` was declared as u64 and handed s64"],
    );
    check_trap("(call $get_word (i32.const 0) (i32.const 3) (i32.const 64))", &["slot 3"]);
    check_trap("(call $set_word (i32.const 2) (i32.const 0) (i64.const 0))", &["no state 2"]);
    check_trap(
        "(call $set_bytes (i32.const 0) (i32.const 0) (i32.const 64) (i32.const 0))",
        &["state `total` holds a number, not bytes"],
    );
    check_trap("(call $remove (i32.const 9) (i32.const 64) (i32.const 0))", &["no state 9"]);
    check_trap(
        "(call $set_timers (i32.const 1) (local.get $slots) (i32.const 1)
           (local.get $times) (i32.const 1))",
        &["there is no timer 1"],
    );
    check_trap("(call $add_counter (i32.const 0) (i64.const 1))", &["there is no counter 0"]);
    check_trap(
        "(call $reject (i32.const 64) (i32.const 0) (i32.const 64) (i32.const 1))",
        &["rejected 0 rows for 1 reasons"],
    );
}

#[test]
fn whoever_emits_what_was_not_declared_traps() {
    let emit = |port: u32, keyed: u32, kind: u32| {
        format!(
            "(call $emit (i32.const {port}) (local.get $times) (i32.const 1)
               (i32.const {keyed}) (i32.const 0) (local.get $keys) (i32.const 1) (i32.const 0)
               (i32.const 0) (i32.const {kind}) (local.get $values) (i32.const 1) (i32.const 64)
               (i32.const 0))"
        )
    };
    check_trap(&emit(1, 1, 0), &["there is no output port 1"]);
    check_trap(&emit(0, 0, 0), &["output `out` is keyed and was handed no keys"]);
    check_trap(&emit(0, 1, 2), &["output `out` was declared as u64 and handed f64"]);
    let mut operator = keyed("op");
    operator.outputs[0].value = ValueType::new(ValueLayout::Bytes, Codec::Raw);
    let body = emit(0, 1, 3);
    let guest = Guest::new(operator).process(&format!(
        "(if (i32.wrap_i64 (i64.load (local.get $values))) (then
           (local.set $values (i32.const 64)) {body}))
         (i32.store (i32.const 64) (i32.const 9))"
    ));
    let mut invoker = invoker(&guest, ErrorPolicy::Fail);
    invoker.process(0, &batch(&[(7, 0)]), Moment::default()).unwrap();
    let error = invoker.process(0, &batch(&[(7, 1)]), Moment::default()).unwrap_err();
    assert!(error.to_string().contains("malformed column"), "{error}");
}

#[test]
fn a_call_that_never_ends_runs_past_its_deadline() {
    let failure = failure_of(&misbehaving("(loop $on (br $on))"));
    assert_eq!(failure, Failure::DeadlineExceeded { limit: limits().deadline });
}

#[test]
fn memory_beyond_the_limit_is_a_failure_of_its_own() {
    let hog = "(loop $on (drop (call $allocate (i32.const 0) (i32.const 0) (i32.const 8)
        (i32.const 100000))) (br $on))";
    let failure = failure_of(&misbehaving(hog));
    assert_eq!(failure, Failure::MemoryExceeded { limit_bytes: 1 << 20 });
    // Asking and going without is allowed.
    let modest = "(if (i32.ne (i32.const -1) (memory.grow (i32.const 100))) (then unreachable))";
    let mut invoker = invoker(&misbehaving(modest), ErrorPolicy::Fail);
    invoker.process(0, &batch(&[(7, 1)]), Moment::default()).unwrap();
}

#[test]
fn a_batch_that_does_not_fit_into_memory_is_taken_in_halves() {
    let mut invoker = invoker(&Guest::new(keyed("sum")).process(SUM), ErrorPolicy::Fail);
    let many: Vec<(u64, u64)> = (0..100_000).map(|row| (row % 10, 1)).collect();
    invoker.process(0, &batch(&many), Moment::default()).unwrap();
    assert_eq!(totals(&mut invoker, &[0, 9]), [Some(10_000), Some(10_000)]);
}

#[test]
fn a_refusal_names_its_row_and_keeps_the_instance() {
    // Refuses row 1 if there is one, with the reason `no!`; counts its calls in its memory.
    let body = r#"
        (i32.store (i32.const 512) (i32.add (i32.const 1) (i32.load (i32.const 512))))
        (if (i32.gt_u (local.get $times_len) (i32.const 1)) (then
          (i32.store (i32.const 16) (i32.const 1))
          (i32.store (i32.const 20) (i32.const 1)) (i32.store (i32.const 24) (i32.const 1))
          (i32.store (i32.const 64) (i32.const 0x216f6e))
          (i32.store (i32.const 28) (i32.const 64)) (i32.store (i32.const 32) (i32.const 3))))
        (call $set_word (i32.const 0) (i32.const 0)
          (i64.extend_i32_u (i32.load (i32.const 512))))"#;
    let mut invoker = invoker(&Guest::new(keyed("op")).process(body), ErrorPolicy::Skip);
    invoker.process(0, &batch(&[(1, 0), (2, 0)]), Moment::default()).unwrap();
    assert_eq!(invoker.rejected(), 1);
    assert_eq!(totals(&mut invoker, &[1, 2]), [Some(2), None], "the second call took row 0 alone");
    let guest = Guest::new(keyed("op")).process(body);
    let rows = batch(&[(1, 0), (2, 0)]);
    let strict = &mut self::invoker(&guest, ErrorPolicy::Fail);
    let error = strict.process(0, &rows, Moment::default()).unwrap_err();
    assert!(error.to_string().contains("no!"), "{error}");
}

#[test]
fn after_a_trap_nothing_of_the_instance_is_left() {
    let body = r#"
        (i32.store (i32.const 512) (i32.add (i32.const 1) (i32.load (i32.const 512))))
        (if (i32.wrap_i64 (i64.load (local.get $values))) (then unreachable))
        (call $set_word (i32.const 0) (i32.const 0)
          (i64.extend_i32_u (i32.load (i32.const 512))))"#;
    let mut invoker = invoker(&Guest::new(keyed("op")).process(body), ErrorPolicy::Skip);
    for (value, calls) in [(0, 1), (0, 2), (1, 2), (0, 1)] {
        invoker.process(0, &batch(&[(1, value)]), Moment::default()).unwrap();
        assert_eq!(totals(&mut invoker, &[1]), [Some(calls)]);
    }
}

#[test]
fn an_operator_that_refuses_its_settings_is_not_opened() {
    // Refuses every number of settings but one, with the reason `one`.
    let guest = Guest::new(keyed("op")).open(
        "(if (i32.ne (local.get $settings_len) (i32.const 1)) (then
           (i32.store (i32.const 16) (i32.const 1))
           (i32.store (i32.const 64) (i32.const 0x656e6f))
           (i32.store (i32.const 20) (i32.const 64)) (i32.store (i32.const 24) (i32.const 3))))",
    );
    let component = Component::load(&engine(), &guest.build(), &limits()).unwrap();
    let mut settings = BTreeMap::new();
    let error = WasmOperator::open(&component, "op", &settings, limits()).unwrap_err();
    assert_eq!(error, Error::Refused { operator: "op".to_owned(), reason: "one".to_owned() });
    settings.insert("key".to_owned(), "value".to_owned());
    let operator = WasmOperator::open(&component, "op", &settings, limits()).unwrap();
    assert!(operator.memory_bytes() >= 65536);
    let error = WasmOperator::open(&component, "po", &settings, limits()).unwrap_err();
    assert!(error.to_string().contains("no operator `po`; it has `op`"), "{error}");
}

#[test]
fn an_instance_that_cannot_be_made_anew_is_the_hosts_failure() {
    let engine = WasmEngine::new(WasmSettings { instances: 1, cache: None }).unwrap();
    let guest = misbehaving("unreachable");
    let component = Component::load(&engine, &guest.build(), &limits()).unwrap();
    let operator = WasmOperator::open(&component, "op", &BTreeMap::new(), limits()).unwrap();
    let backend = heap(operator.description());
    let mut invoker = Invoker::new(Box::new(operator), Some(backend), ErrorPolicy::Skip);
    invoker.process(0, &batch(&[(1, 1)]), Moment::default()).unwrap();
    let taken = WasmOperator::open(&component, "op", &BTreeMap::new(), limits()).unwrap();
    let error = invoker.process(0, &batch(&[(1, 0)]), Moment::default()).unwrap_err();
    assert!(error.to_string().contains("no instance is free"), "{error}");
    drop(taken);
    invoker.process(0, &batch(&[(1, 0)]), Moment::default()).unwrap();
}
