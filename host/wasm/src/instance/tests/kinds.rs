//! Tests of guests with every kind of state, of task states, and of timers in namespaces.

use statehouse_operator::{Description, Port};
use statehouse_state::{
    KeyLayout, Merge, StateDeclaration, StateKind, TaskStateDeclaration, TaskStateKind, Ttl,
    TtlUpdate, TtlVisibility,
};

use super::*;

/// Functions that emit what a call returned: numbers as keys, numbers as values.
const EMIT_COLUMNS: &str = r#"
  (func $emit_lists (param $keys i32) (param $values i32)
    (call $emit (i32.const 0) (i32.load (local.get $keys)) (i32.load offset=4 (local.get $keys))
      (i32.const 1) (i32.const 0) (i32.load (local.get $keys))
      (i32.load offset=4 (local.get $keys)) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.load (local.get $values)) (i32.load offset=4 (local.get $values))
      (i32.const 0) (i32.const 0)))
  (func $emit_columns (param $keys i32) (param $values i32)
    (call $emit_lists (i32.add (local.get $keys) (i32.const 4))
      (i32.add (local.get $values) (i32.const 4))))
  (func $must (param $holds i32)
    (if (i32.eqz (local.get $holds)) (then unreachable)))
"#;

/// A batch's values as an argument.
const VALUES: &str = "(i32.const 0) (local.get $values) (local.get $values_len)
    (i32.const 0) (i32.const 0)";
const BYTES: &str = "(i32.const 3) (local.get $values) (local.get $values_len)
    (local.get $arena) (local.get $arena_len)";
const SLOTS: &str = "(local.get $slots) (local.get $slots_len)";

fn operator(states: Vec<StateDeclaration>) -> Description {
    Description { states, ..keyed("op") }
}

fn kind(kind: StateKind, value: ValueLayout) -> StateDeclaration {
    StateDeclaration { kind, ..state("it", value) }
}

fn map(key: KeyLayout, value: ValueLayout) -> StateDeclaration {
    let map_key_codec = Some(Codec::Raw.name().to_owned());
    StateDeclaration { map_key: Some(key), map_key_codec, ..kind(StateKind::Map, value) }
}

fn of_bytes(states: Vec<StateDeclaration>) -> Description {
    let mut operator = operator(states);
    operator.inputs[0].value = ValueType::new(ValueLayout::Bytes, Codec::Raw);
    operator.outputs[0].value = operator.inputs[0].value.clone();
    operator
}

fn guest(operator: Description, process: &str) -> Guest {
    Guest::new(operator).extra(EMIT_COLUMNS).process(process)
}

/// Everything that was emitted: times, which are keys, and values.
fn emitted(invoker: &mut Invoker) -> (Vec<i64>, Vec<u64>) {
    let out = &mut invoker.outputs()[0];
    let Column::Words(values) = &out.values else { panic!() };
    let rows = (out.times.clone(), values.clone());
    out.clear();
    rows
}

#[test]
fn maps_are_loaded_scanned_and_changed_in_bulk_and_one_by_one() {
    let body = format!(
        r#"(call $put (i32.const 0) {SLOTS} {VALUES} {VALUES})
        (call $load_entries (i32.const 0) {SLOTS} {VALUES} (i32.const 64))
        (call $must (i32.eq (i32.const 7) (i32.load8_u (i32.load (i32.const 64)))))
        (call $emit_columns (i32.const 72) (i32.const 72))
        (call $scan_map (i32.const 0) (i32.const 0)
          (i32.const 2) (i32.const 0) (i64.const 1) (i32.const 0)
          (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 1) (i32.const 64))
        (call $must (i32.load8_u (i32.const 104)))
        (call $emit_columns (i32.const 64) (i32.const 84))
        (call $delete_entry (i32.const 0) (i32.const 0)
          (i32.const 0) (i64.const 1) (i32.const 0))
        (call $set_entry (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 9) (i32.const 0)
          (i32.const 0) (i64.const 90) (i32.const 0))
        (call $get_entry (i32.const 0) (i32.const 0)
          (i32.const 0) (i64.const 9) (i32.const 0) (i32.const 64))
        (call $must (i32.load8_u (i32.const 64)))
        (call $must (i32.eqz (i32.load8_u (i32.const 72))))
        (call $must (i64.eq (i64.const 90) (i64.load (i32.const 80))))
        (call $remove_entries (i32.const 0) (local.get $slots) (i32.const 1)
          (i32.const 0) (local.get $values) (i32.const 1) (i32.const 0) (i32.const 0))
        (call $touch_entries (i32.const 0) {SLOTS} {VALUES})
        (call $load_maps (i32.const 0) (i32.const 10) (i32.const 64))
        (call $must (i32.load8_u (i32.load (i32.const 72))))
        (call $must (i32.eq (i32.const 3) (i32.load (i32.load (i32.const 64)))))
        (call $emit_columns (i32.const 80) (i32.const 100))
        (call $must (i32.eqz (call $is_empty (i32.const 0) (i32.const 0))))
        (if (i64.eq (i64.load (local.get $values)) (i64.const 5)) (then
          (call $clear_maps (i32.const 0) {SLOTS})
          (call $must (call $is_empty (i32.const 0) (i32.const 0)))))"#
    );
    let declared = operator(vec![map(KeyLayout::U64, ValueLayout::U64)]);
    let mut invoker = invoker(&guest(declared, &body), ErrorPolicy::Fail);
    invoker.process(0, &batch(&[(7, 1), (7, 2), (7, 3)]), Moment::default()).unwrap();
    assert_eq!(emitted(&mut invoker).1, [1, 2, 3, 2, 2, 3, 90]);
    assert_eq!(invoker.backend().unwrap().entries(), 3);
    // Those of another key end with a clear.
    invoker.process(0, &batch(&[(8, 5), (8, 6), (8, 7)]), Moment::default()).unwrap();
    assert_eq!(emitted(&mut invoker).1, [5, 6, 7, 5, 6, 7, 90]);
    assert_eq!(invoker.backend().unwrap().entries(), 3);
}

#[test]
fn maps_of_bytes_are_scanned_by_prefix() {
    // The prefix `ab`, and the key `ab` to go on after.
    let emit_page = "(local.set $n (i32.sub (i32.load (i32.const 92)) (i32.const 1)))
        (call $emit (i32.const 0) (local.get $times) (local.get $n)
          (i32.const 1) (i32.const 0) (local.get $times) (local.get $n) (i32.const 0) (i32.const 0)
          (i32.const 3) (i32.load (i32.const 88)) (i32.load (i32.const 92))
          (i32.load (i32.const 96)) (i32.load (i32.const 100)))";
    let body = format!(
        r#"(call $put (i32.const 0) {SLOTS} {BYTES} {BYTES})
        (i32.store (i32.const 512) (i32.const 0x6261))
        (call $scan_prefix (i32.const 0) (i32.const 0) (i32.const 512) (i32.const 2)
          (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 10) (i32.const 64))
        {emit_page}
        (call $scan_prefix (i32.const 0) (i32.const 0) (i32.const 512) (i32.const 2)
          (i32.const 1) (i32.const 512) (i32.const 2) (i32.const 1) (i32.const 64))
        (call $must (i32.load8_u (i32.const 104)))
        {emit_page}
        (call $get_entry (i32.const 0) (i32.const 0)
          (i32.const 1) (i64.const 512) (i32.const 2) (i32.const 64))
        (call $must (i32.load8_u (i32.const 64)))
        (call $must (i32.eq (i32.const 1) (i32.load8_u (i32.const 72))))
        (call $must (i32.eq (i32.const 2) (i32.load (i32.const 84))))
        (call $must (i32.eq (i32.const 0x6261) (i32.load16_u (i32.load (i32.const 80)))))"#
    );
    let declared = of_bytes(vec![map(KeyLayout::Bytes, ValueLayout::Bytes)]);
    let mut invoker = invoker(&guest(declared, &body), ErrorPolicy::Fail);
    let rows = batch_of(vec![7; 5], bytes(&["b", "abc", "ab", "a", "abd"]));
    invoker.process(0, &rows, Moment::default()).unwrap();
    assert_eq!(invoker.outputs()[0].values, bytes(&["ab", "abc", "abd", "abc"]));
}

#[test]
fn lists_are_appended_to_paged_replaced_and_removed_from() {
    let body = format!(
        r#"(call $append (i32.const 0) {SLOTS} {VALUES})
        (call $add (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 50) (i32.const 0))
        (call $scan_list (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 2)
          (i32.const 64))
        (call $must (i32.load8_u (i32.const 92)))
        (call $emit_lists (i32.const 64) (i32.const 76))
        ;; On after the second, and then without it.
        (local.set $p (i32.load (i32.const 64)))
        (call $scan_list (i32.const 0) (i32.const 0) (i32.const 1)
          (i64.load offset=8 (local.get $p)) (i32.const 100) (i32.const 64))
        (call $must (i32.eqz (i32.load8_u (i32.const 92))))
        (call $emit_lists (i32.const 64) (i32.const 76))
        (call $remove_elements (i32.const 0) (local.get $slots) (i32.const 1)
          (i32.add (local.get $p) (i32.const 8)) (i32.const 1))
        (call $get_list (i32.const 0) (i32.const 0) (i32.const 64))
        (call $emit_columns (i32.const 64) (i32.const 64))
        (call $touch_lists (i32.const 0) {SLOTS})
        (if (i64.eq (i64.load (local.get $values)) (i64.const 4)) (then
          (i32.store (i32.const 512) (i32.const 2))
          (call $replace_lists (i32.const 0) (local.get $slots) (i32.const 1)
            (i32.const 512) (i32.const 1) (i32.const 0) (local.get $values) (i32.const 2)
            (i32.const 0) (i32.const 0))
          (call $load_lists (i32.const 0) (i32.const 2) (i32.const 64))
          (call $must (i32.load8_u (i32.load (i32.const 72))))
          (call $must (i32.eq (i32.const 2) (i32.load (i32.load (i32.const 64)))))
          (call $emit_columns (i32.const 80) (i32.const 80))
          (call $clear_lists (i32.const 0) {SLOTS})))"#
    );
    let declared = operator(vec![kind(StateKind::List, ValueLayout::U64)]);
    let mut invoker = invoker(&guest(declared, &body), ErrorPolicy::Fail);
    invoker.process(0, &batch(&[(7, 1), (7, 2), (7, 3)]), Moment::default()).unwrap();
    assert_eq!(emitted(&mut invoker).1, [1, 2, 3, 50, 1, 3, 50]);
    assert_eq!(invoker.backend().unwrap().entries(), 3);
    invoker.process(0, &batch(&[(7, 4), (7, 5)]), Moment::default()).unwrap();
    assert_eq!(emitted(&mut invoker).1, [1, 3, 50, 4, 5, 50, 1, 50, 4, 5, 50, 4, 5]);
    assert_eq!(invoker.backend().unwrap().entries(), 0);
}

#[test]
fn pages_are_never_more_than_a_guest_can_take() {
    // Lists of 4 KiB elements, and 256 KiB a page.
    let append = format!("(call $append (i32.const 0) {SLOTS} {BYTES})");
    let body = format!(
        r#"(if (local.get $arena_len) (then {append}) (else
          (call $scan_list (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0)
            (i32.const 1000) (i32.const 64))
          (call $must (i32.load8_u (i32.const 92)))
          (call $must (i32.eq (i32.load (i32.const 68)) (i32.const 63)))
          (call $load_lists (i32.const 0) (i32.const 1000) (i32.const 64))
          (call $must (i32.eqz (i32.load8_u (i32.load (i32.const 72)))))
          (call $get_list (i32.const 0) (i32.const 0) (i32.const 64))))"#
    );
    let declared = of_bytes(vec![kind(StateKind::List, ValueLayout::Bytes)]);
    let mut invoker = invoker(&guest(declared, &body), ErrorPolicy::Fail);
    let element = "x".repeat(4096);
    let rows = batch_of(vec![7; 30], bytes(&[element.as_str(); 30]));
    for _ in 0..10 {
        invoker.process(0, &rows, Moment::default()).unwrap();
    }
    let rows = batch_of(vec![7], bytes(&[""]));
    let error = invoker.process(0, &rows, Moment::default()).unwrap_err();
    assert!(error.to_string().contains("scan it page by page"), "{error}");
}

#[test]
fn the_host_merges_what_guests_hand_it() {
    let body = format!(
        "(call $merge (i32.const 0) {SLOTS} {VALUES})
        (call $merge_one (i32.const 0) (i32.const 1) (i32.const 0) (i64.const 100) (i32.const 0))
        (call $touch (i32.const 0) {SLOTS})
        (call $get_word (i32.const 0) (i32.const 1) (i32.const 64))
        (call $merge_one (i32.const 0) (i32.const 0) (i32.const 0) (i64.load (i32.const 72))
          (i32.const 0))"
    );
    let sum =
        StateDeclaration { merge: Some(Merge::Sum), ..kind(StateKind::Reducing, ValueLayout::U64) };
    let mut invoker = invoker(&guest(operator(vec![sum]), &body), ErrorPolicy::Fail);
    invoker.process(0, &batch(&[(7, 1), (8, 2), (7, 3)]), Moment::default()).unwrap();
    assert_eq!(totals(&mut invoker, &[7, 8]), [Some(1 + 3 + 102), Some(102)]);
}

#[test]
fn timers_come_back_with_their_namespaces() {
    let namespaces = "(local.get $values) (local.get $values_len)";
    let guest = Guest::new(keyed("op"))
        .process(&format!(
            "(call $set_timers_in (i32.const 0) {SLOTS} (local.get $times) (local.get $times_len)
               {namespaces})
             (call $delete_timers_in (i32.const 0) (local.get $slots) (i32.const 1)
               (local.get $times) (i32.const 1) (local.get $values) (i32.const 1))"
        ))
        .on_timers(&format!(
            "(call $store (i32.const 0) {SLOTS} (i32.const 0) (local.get $namespaces)
               (local.get $namespaces_len) (i32.const 0) (i32.const 0))"
        ));
    let mut invoker = invoker(&guest, ErrorPolicy::Fail);
    invoker.process(0, &batch(&[(5, 10), (6, 20), (7, 30)]), Moment::default()).unwrap();
    while invoker.fire_timers(TimeDomain::EventTime, 9, Moment::default()).unwrap() {}
    assert_eq!(totals(&mut invoker, &[5, 6, 7]), [None, Some(20), Some(30)]);
}

fn task_state(name: &str, kind: TaskStateKind) -> TaskStateDeclaration {
    let is_map = kind == TaskStateKind::Broadcast;
    TaskStateDeclaration {
        name: name.to_owned(),
        kind,
        value: ValueLayout::U64,
        codec: Codec::Raw.name().to_owned(),
        schema: None,
        map_key: is_map.then_some(KeyLayout::S64),
        map_key_codec: is_map.then(|| Codec::Raw.name().to_owned()),
        map_key_schema: None,
        schema_version: 1,
    }
}

fn with_rules() -> Description {
    let mut operator = keyed("op");
    let value = operator.inputs[0].value.clone();
    operator.inputs.push(Port { name: "rules".to_owned(), key: None, value, broadcast: true });
    operator.task_states = vec![
        task_state("parts", TaskStateKind::Split),
        task_state("rules", TaskStateKind::Broadcast),
    ];
    operator
}

fn rules(values: &[u64]) -> Batch {
    let values = Column::Words(values.to_vec());
    Batch { times: vec![0; values.len()], keys: None, hashes: Vec::new(), values }
}

#[test]
fn task_states_are_changed_by_broadcast_records_and_read_by_all() {
    let keys = VALUES.replacen("(i32.const 0)", "(i32.const 1)", 1);
    let body = format!(
        r#"(if (local.get $port)
          (then
            (call $put_broadcast (i32.const 1) {keys} {VALUES})
            (call $append_task (i32.const 0) {VALUES})
            (if (i64.eqz (i64.load (local.get $values))) (then
              (call $remove_broadcast (i32.const 1) {keys})
              (call $replace_task (i32.const 0) {VALUES})))
            (if (i64.eq (i64.const 99) (i64.load (local.get $values))) (then
              (call $clear_broadcast (i32.const 1))))
            (if (i64.eq (i64.const 13) (i64.load (local.get $values))) (then unreachable)))
          (else
            (call $load_broadcast (i32.const 1) (i32.const 64))
            (call $emit_columns (i32.const 64) (i32.const 84))
            (call $load_task (i32.const 0) (i32.const 64))
            (call $emit_columns (i32.const 64) (i32.const 64))
            (call $get_broadcast (i32.const 1) (i32.const 0) (i64.const -1) (i32.const 0)
              (i32.const 64))
            (call $must (i32.load8_u (i32.const 64)))
            (call $must (i64.eq (i64.const -1) (i64.load (i32.const 80))))
            (if (i64.eq (i64.const 1) (i64.load (local.get $values))) (then
              (call $put_broadcast (i32.const 1) {keys} {VALUES})))))"#
    );
    let mut invoker = invoker(&guest(with_rules(), &body), ErrorPolicy::Skip);
    let minus = u64::MAX;
    invoker.process(1, &rules(&[5, minus]), Moment::default()).unwrap();
    invoker.process(1, &rules(&[13]), Moment::default()).unwrap();
    assert_eq!(invoker.rejected(), 1, "and what it wrote was undone");
    let seen = |invoker: &mut Invoker, value| {
        invoker.process(0, &batch(&[(7, value)]), Moment::default()).unwrap();
        emitted(invoker).1
    };
    assert_eq!(seen(&mut invoker, 0), [minus, 5, 5, minus]);
    assert_eq!(seen(&mut invoker, 1), [0; 0], "only broadcast records change broadcast state");
    assert_eq!(invoker.rejected(), 2);
    invoker.process(1, &rules(&[0, 5]), Moment::default()).unwrap();
    assert_eq!(seen(&mut invoker, 0), [minus, 0, 5]);
    invoker.process(1, &rules(&[99]), Moment::default()).unwrap();
    assert!(invoker.task_states().unwrap().entries(1).unwrap().is_empty());
}

#[test]
fn everything_that_can_be_declared_is_described() {
    let ttl = Some(Ttl {
        milliseconds: 60_000,
        domain: TimeDomain::ProcessingTime,
        update: TtlUpdate::OnReadAndWrite,
        visibility: TtlVisibility::ReturnUntilCleaned,
    });
    let mut declared = with_rules();
    let merge = Some(Merge::SetUnion);
    let states = [
        StateDeclaration { ttl, ..kind(StateKind::List, ValueLayout::F64) },
        map(KeyLayout::Bytes, ValueLayout::S64),
        StateDeclaration { ttl, merge, ..kind(StateKind::Reducing, ValueLayout::Bytes) },
        kind(StateKind::Aggregating, ValueLayout::Bytes),
    ];
    for (index, state) in states.into_iter().enumerate() {
        declared.states.push(StateDeclaration { name: format!("state {index}"), ..state });
    }
    declared.task_states.push(task_state("all", TaskStateKind::Union));
    let guest = Guest::new(declared.clone());
    let component = Component::load(&engine(), &guest.build(), &limits()).unwrap();
    assert_eq!(component.operators(), [declared]);
}

#[track_caller]
fn check(declared: &Description, body: &str, said: &str) {
    let guest = guest(declared.clone(), body);
    let mut invoker = invoker(&guest, ErrorPolicy::Fail);
    let error = invoker.process(0, &batch(&[(7, 1)]), Moment::default()).unwrap_err().to_string();
    assert!(error.contains(said), "{error}");
}

#[test]
fn whoever_uses_state_as_another_kind_traps() {
    let mut declared = with_rules();
    declared.states.push(StateDeclaration {
        name: "list".to_owned(),
        ..kind(StateKind::List, ValueLayout::U64)
    });
    declared
        .states
        .push(StateDeclaration { name: "map".to_owned(), ..map(KeyLayout::S64, ValueLayout::U64) });
    let cell = "(i32.const 0) (i64.const 1) (i32.const 0)";
    let text = "(i32.const 1) (i64.const 64) (i32.const 1)";
    let all = |state: u32, name: &str| {
        format!("(call ${name} (i32.const {state}) (i32.const 9) (i32.const 64))")
    };
    let check = |body: &str, said: &str| check(&declared, body, said);
    check(&all(0, "load_maps"), "state `total` is a Value state");
    check(&all(2, "load_lists"), "state `map` is a Map state");
    check(&all(3, "load_maps"), "there is no state 3");
    check("(call $load (i32.const 1) (i32.const 64))", "state `list` is a list state");
    let keys =
        "(i32.const 1) (local.get $values) (local.get $values_len) (i32.const 0) (i32.const 0)";
    check(
        &format!("(call $put (i32.const 2) {SLOTS} {VALUES} {VALUES})"),
        "the map key of state `map` was declared as s64 and handed u64",
    );
    check(
        &format!("(call $put (i32.const 2) {SLOTS} {keys} {keys})"),
        "state `map` was declared as u64 and handed s64",
    );
    check(
        &format!("(call $set_entry (i32.const 2) (i32.const 0) {text} {cell})"),
        "the map keys of state `map` have another layout",
    );
    check(
        &format!("(call $set_entry (i32.const 2) (i32.const 1) {cell} {cell})"),
        "slot 1 was not handed out",
    );
    check(&format!("(call $add (i32.const 1) (i32.const 0) {text})"), "another layout");
    check(&format!("(call $merge (i32.const 0) {SLOTS} {VALUES})"), "declares no merge");
    check(
        &format!("(call $append (i32.const 1) (local.get $slots) (i32.const 0) {VALUES})"),
        "0 slots for 1 values",
    );
    check(&format!("(call $append_task (i32.const 0) {keys})"), "handed s64");
    check("(call $load_task (i32.const 1) (i32.const 64))", "`rules` is a Broadcast state");
    check("(call $load_broadcast (i32.const 0) (i32.const 64))", "`parts` is a Split state");
    check("(call $clear_broadcast (i32.const 1))", "changes with records of a broadcast input");
    check("(call $clear_broadcast (i32.const 2))", "there is no task state 2");
}
