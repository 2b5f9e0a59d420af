//! Tests of what becomes of state when invocations succeed or fail: limits, task states, times to live.

use statehouse_state::{TaskStateDeclaration, TaskStateKind, Ttl, TtlUpdate, TtlVisibility};

use super::*;
use crate::limits::StateLimits;

/// Does what it is made with.
struct Acting {
    description: Description,
    act: fn(Rows<'_>, &mut Call) -> Result<(), Failure>,
}

impl Operator for Acting {
    fn description(&self) -> &Description {
        &self.description
    }

    fn process(&mut self, rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
        (self.act)(rows, call)
    }

    fn on_timers(&mut self, _: TimerRows<'_>, _: &mut Call) -> Result<(), Failure> {
        Ok(())
    }
}

fn acting(
    description: Description,
    policy: ErrorPolicy,
    act: fn(Rows<'_>, &mut Call) -> Result<(), Failure>,
) -> Invoker {
    let groups = KeyGroups::DEFAULT;
    let range = KeyGroupRange::all(groups);
    let (states, timers) = (&description.states, &description.timers);
    let backend = HeapBackend::new(KeyLayout::U64, states, timers, groups, range).unwrap();
    description.check().unwrap();
    Invoker::new(Box::new(Acting { description, act }), Some(Box::new(backend)), policy)
}

/// Stores as many bytes as the row's value says.
fn store_bytes(rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
    let mut values = BytesColumn::default();
    words(rows.values).iter().for_each(|&length| values.push(&vec![0; length as usize]));
    call.store(StateId(0), rows.slots, &Column::Bytes(values))
}

#[test]
fn a_value_over_the_limit_is_its_records_failure() {
    let mut description = description();
    description.states[0].value = ValueLayout::Bytes;
    let limits = StateLimits { value_bytes: 100, ..StateLimits::default() };
    let rows = batch(&[(1, 10), (2, 101), (3, 100)]);
    let mut skipping =
        acting(description.clone(), ErrorPolicy::Skip, store_bytes).with_limits(limits);
    skipping.process(0, &rows, Moment::default()).unwrap();
    assert_eq!((skipping.rejected(), skipping.backend().unwrap().entries()), (1, 2));
    let mut failing = acting(description, ErrorPolicy::Fail, store_bytes).with_limits(limits);
    let error = failing.process(0, &rows, Moment::default()).unwrap_err().to_string();
    assert!(
        error.contains("a value of 101 bytes for state `sum`, and 100 are the most"),
        "{error}"
    );
    assert!(error.contains(r#""key":2"#), "{error}");
}

/// Stores values other than 0, and emits whether there was one before.
fn store_and_tell(rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
    let mut window = Window::new(true);
    call.load(StateId(0), &mut window)?;
    for (row, (&slot, &value)) in rows.slots.iter().zip(words(rows.values)).enumerate() {
        let before = u64::from(window.present.get(slot as usize));
        let one = Column::Words(vec![before]);
        call.emit(0, &rows.times[row..=row], Some(&one), &one)?;
        if value > 0 {
            call.store_words(StateId(0), &[slot], &[value])?;
        }
    }
    Ok(())
}

#[test]
fn values_expire_after_the_newest_event_time_of_their_records() {
    let mut description = description();
    description.states[0].ttl = Some(Ttl {
        milliseconds: 500,
        domain: TimeDomain::EventTime,
        update: TtlUpdate::OnCreateAndWrite,
        visibility: TtlVisibility::NeverReturnExpired,
    });
    let mut invoker = acting(description, ErrorPolicy::Fail, store_and_tell);
    let mut rows = batch(&[(1, 5), (1, 6), (1, 7)]);
    rows.times = vec![900, 1000, 800];
    invoker.process(0, &rows, Moment::default()).unwrap();
    invoker.outputs()[0].clear();
    let mut at = |watermark| {
        let moment = Moment { watermark, ..Moment::default() };
        invoker.process(0, &batch(&[(1, 0)]), moment).unwrap();
        (emitted(&mut invoker)[0].0, invoker.backend().unwrap().entries())
    };
    assert_eq!(at(1499), (1, 1));
    assert_eq!(at(1500), (0, 0), "it was cleaned up without a write");
}

/// Broadcast rows become rules and elements; 13 fails after the fact. Others read a rule.
fn rule(rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
    if rows.port == 1 {
        call.put_broadcast(1, rows.values, rows.values)?;
        call.append_task_list(0, rows.values)?;
        let unlucky = words(rows.values).iter().position(|&value| value == UNLUCKY);
        let refused = |_| Failure::Refused { row: None, reason: "unlucky".into() };
        return unlucky.map_or(Ok(()), |row| Err(refused(row)));
    }
    let known = call.broadcast_entries(1)?;
    let times = vec![0; known.len()];
    call.emit(0, &times, Some(&known.keys), &known.values)?;
    if words(rows.values)[0] == 1 { call.clear_broadcast(1) } else { Ok(()) }
}

fn with_rules() -> Description {
    let mut description = description();
    let value = description.inputs[0].value.clone();
    description.inputs.push(Port { name: "rules".into(), key: None, value, broadcast: true });
    let declared = |name: &str, kind, map_key| TaskStateDeclaration {
        name: name.into(),
        kind,
        value: ValueLayout::U64,
        codec: "raw".into(),
        schema: None,
        map_key,
        map_key_codec: None,
        map_key_schema: None,
        schema_version: 1,
    };
    description.task_states = vec![
        declared("parts", TaskStateKind::Split, None),
        declared("rules", TaskStateKind::Broadcast, Some(KeyLayout::U64)),
    ];
    description
}

#[test]
fn task_states_keep_what_succeeded_and_only_that() {
    let mut invoker = acting(with_rules(), ErrorPolicy::Skip, rule);
    let mut rules = batch(&[(0, 3), (0, UNLUCKY), (0, 2), (0, 4)]);
    (rules.keys, rules.hashes) = (None, vec![]);
    invoker.process(1, &rules, Moment::default()).unwrap();
    assert_eq!(invoker.rejected(), 1);
    let mut elements = words(invoker.task_states().unwrap().list(0).unwrap()).to_vec();
    elements.sort_unstable();
    assert_eq!(elements, [2, 3, 4]);
    invoker.process(0, &batch(&[(7, 0)]), Moment::default()).unwrap();
    assert_eq!(emitted(&mut invoker), [(2, 2), (3, 3), (4, 4)]);
    invoker.process(0, &batch(&[(7, 1)]), Moment::default()).unwrap();
    assert_eq!(invoker.rejected(), 2, "a keyed record changes no broadcast state");

    let snapshots = [invoker.task_states().unwrap().snapshot()];
    let declared = with_rules().task_states;
    let restored = TaskStates::restore(&declared, &snapshots, 0, 1).unwrap();
    let mut after = acting(with_rules(), ErrorPolicy::Skip, rule).with_task_states(restored);
    after.process(0, &batch(&[(7, 0)]), Moment::default()).unwrap();
    assert_eq!(emitted(&mut after), [(2, 2), (3, 3), (4, 4)]);
}
