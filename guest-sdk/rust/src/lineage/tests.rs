//! Tests of operators that take over from earlier versions of themselves.

use crate::bindings::Renamed;
use crate::host::imports::Imports;
use crate::instance;
use crate::prelude::*;
use crate::record::OnRecord;

/// Adds up what it gets.
struct Adding;

impl Aggregate for Adding {
    type Input = u64;
    type Accumulator = u64;
    type Output = u64;

    fn add(sum: &mut u64, input: &u64) {
        *sum += input;
    }

    fn merge(sum: &mut u64, other: &u64) {
        *sum += other;
    }

    fn result(sum: &u64) -> u64 {
        *sum
    }
}

/// The same, and counts.
struct Counting;

impl Aggregate for Counting {
    type Input = u64;
    type Accumulator = (u64, u64);
    type Output = (u64, u64);

    fn add((sum, count): &mut (u64, u64), input: &u64) {
        *sum += input;
        *count += 1;
    }

    fn merge(counted: &mut (u64, u64), other: &(u64, u64)) {
        counted.0 += other.0;
        counted.1 += other.1;
    }

    fn result(counted: &(u64, u64)) -> (u64, u64) {
        *counted
    }
}

/// Every kind of state, as it was.
struct Old {
    value: ValueState<u32>,
    list: ListState<u64>,
    map: MapState<String, i64>,
    sum: ReducingState<u64>,
    text: AppendState,
    set: SetState<u64>,
    aggregate: AggregatingState<Adding>,
    tasks: TaskList<u64>,
    timer: Timer,
}

fn ignore<O: 'static>() -> impl OnRecord<O, u64, u64> {
    |_: &mut O, _: Record<u64, u64>| Ok(())
}

impl Operator for Old {
    const NAME: &str = "op";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("in", Self::on_number);
        Old {
            value: setup.value("value"),
            list: setup.list("list"),
            map: setup.map("map"),
            sum: setup.sum("sum"),
            text: setup.append("text"),
            set: setup.set("set"),
            aggregate: setup.aggregating("aggregate"),
            tasks: setup.split("tasks").at_version(4),
            timer: setup.event_timer("timer", |_: &mut Self, _: Fired<u64>| Ok(())),
        }
    }
}

impl Old {
    fn on_number(&mut self, number: Record<u64, u64>) -> Result<()> {
        let value = number.value;
        self.value.set(value as u32);
        self.list.add(&value);
        self.map.insert(&value.to_string(), -(value as i64));
        self.sum.add(value);
        self.text.add(value.to_string().as_bytes());
        self.set.add(&value);
        self.aggregate.add(&value);
        self.tasks.add(&value);
        self.timer.set(1000 + value as i64);
        Ok(())
    }
}

/// Every kind of state under another name and of another type.
struct New {
    fired: Output<i64>,
}

impl Operator for New {
    const NAME: &str = "op";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("in", ignore());
        let text = |value: u64| Ok(format!("<{value}>"));
        let _ = setup
            .value("value-2")
            .formerly("value")
            .at_version(2)
            .migrate_from(1, |value: u32| Ok(vec![value]));
        let _ = setup.list("list-2").formerly("list").at_version(2).migrate_from(1, text);
        let doubled = |value: i64| Ok(value as f64 * 2.0);
        let map = setup.map::<String, f64>("map-2").formerly("map");
        let _ = map.migrate_from(1, doubled).at_version(2);
        let negated = |sum: u64| Ok(-(sum as i64));
        let _ = setup.sum("sum-2").formerly("sum").at_version(2).migrate_from(1, negated);
        let framed = |text: Vec<u8>| Ok([b"[", &text[..], b"]"].concat());
        let _ = setup.append("text-2").formerly("text").at_version(2).migrate_from(1, framed);
        let _ = setup.set("set-2").formerly("set").at_version(2).migrate_from(1, text);
        let counted = |sum: u64| Ok((sum, 0));
        let aggregate = setup.aggregating::<Counting>("aggregate-2").formerly("aggregate");
        let _ = aggregate.at_version(2).migrate_from(1, counted);
        let _ = setup.split::<u64>("tasks").at_version(4);
        let on_timer = |new: &mut Self, timer: Fired<u64>| new.fired.emit(&timer.time);
        let _ = setup.event_timer("timer-2", on_timer).formerly("timer");
        New { fired: setup.output("fired") }
    }
}

#[test]
fn values_of_every_kind_are_taken_over() {
    let mut harness = TestHarness::<Old>::new();
    for value in [3_u64, 10, 4] {
        harness.send("in", 7_u64, value, 0);
    }
    let mut harness = harness.swap::<New>().unwrap();
    assert_eq!(harness.state("value-2", 7_u64), Some(vec![4_u32]));
    assert_eq!(harness.list::<String>("list-2", 7_u64), ["<3>", "<10>", "<4>"]);
    let map = [("10", -20.0), ("3", -6.0), ("4", -8.0)].map(|(key, value)| (key.to_owned(), value));
    assert_eq!(harness.map::<String, f64>("map-2", 7_u64), map);
    assert_eq!(harness.state("sum-2", 7_u64), Some(-17_i64));
    assert_eq!(harness.state("text-2", 7_u64), Some(b"[3104]".to_vec()));
    assert_eq!(harness.set::<String>("set-2", 7_u64), ["<10>", "<3>", "<4>"]);
    assert_eq!(harness.state("aggregate-2", 7_u64), Some((17_u64, 0_u64)));
    assert_eq!(harness.task_state::<u64>("tasks"), [3, 10, 4]);
    harness.advance_watermark(1005);
    assert_eq!(harness.take_values::<i64>("fired"), [1003, 1004]);
    assert_eq!(harness.timers("timer-2", 7_u64), [1010]);
}

#[test]
fn what_is_taken_over_is_described() {
    let description = instance::describe::<New>(Box::new(Imports), "1");
    assert!(description.states.iter().all(|state| state.schema_version == 2));
    assert_eq!(description.task_states[0].schema_version, 4);
    let migrations = instance::migrations::<New>(Box::new(Imports));
    assert_eq!(migrations.operator, "op");
    let renames: Vec<_> =
        migrations.renames.iter().map(|it| (it.kind, it.was.as_str(), it.now.as_str())).collect();
    assert_eq!(renames.first(), Some(&(Renamed::State, "value", "value-2")));
    assert_eq!(renames.last(), Some(&(Renamed::Timer, "timer", "timer-2")));
    let steps = migrations.steps.iter().map(|step| (step.state.as_str(), step.from_version));
    assert_eq!(steps.collect::<Vec<_>>()[..2], [("value-2", 1), ("list-2", 1)]);
    let none = instance::migrations::<Old>(Box::new(Imports));
    assert!(none.renames.is_empty() && none.steps.is_empty());
}

/// Takes over a value in some way that a setting says.
struct Taking {
    total: ValueState<u64>,
}

impl Operator for Taking {
    const NAME: &str = "op";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("in", |taking: &mut Self, number: Record<u64, u64>| {
            taking.total.update(|total| *total += number.value);
            Ok(())
        });
        let convert = |old: u32| {
            if old == 13 { bail!("13 is no number") } else { Ok(u64::from(old) * 100) }
        };
        Taking { total: setup.value("value").at_version(2).migrate_from(1, convert) }
    }
}

#[test]
fn a_value_that_is_refused_sets_its_key_aside() {
    let mut harness = TestHarness::<Old>::new();
    for (key, value) in [(1_u64, 12_u64), (2, 13), (3, 14)] {
        harness.send("in", key, value, 0);
    }
    let mut harness = harness.swap::<Taking>().unwrap();
    let batch = harness.batch("in").push(1_u64, 5_u64, 0).push(2_u64, 5_u64, 9);
    batch.push(3_u64, 5_u64, 0).send();
    assert_eq!(harness.state("value", 1_u64), Some(1205_u64));
    assert_eq!(harness.state::<u64>("value", 2_u64), None);
    assert_eq!(harness.state("value", 3_u64), Some(1405_u64));
    let rejects = harness.take_rejects();
    let [reject] = &rejects[..] else { panic!("{rejects:?}") };
    assert_eq!((reject.port.as_str(), reject.time), ("in", 9));
    assert!(reject.reason.contains("state `value`") && reject.reason.contains("13 is no number"));
}

/// Declares what `Old` left in ways that do not go together with it.
struct Misfit<const WAY: u32>;

impl<const WAY: u32> Operator for Misfit<WAY> {
    const NAME: &str = "op";

    fn new(setup: &mut Setup<Self>) -> Self {
        match WAY {
            0 => setup.keyed_input("in", |_: &mut Self, _: Record<String, u64>| Ok(())),
            _ => setup.keyed_input("in", ignore()),
        }
        let same = |value: u32| Ok(value);
        let _ = match WAY {
            1 => setup.value::<u32>("value").at_version(3).migrate_from(2, same),
            2 => setup.value::<u32>("value").migrate_from(1, same),
            3 => setup.value("value").at_version(2).migrate_from(1, same).migrate_from(1, same),
            4 => setup.value("value").formerly("value"),
            5 => setup.value("other").formerly("value").formerly("value"),
            _ => setup.value("value"),
        };
        match WAY {
            6 => drop(setup.value::<f64>("sum")),
            7 => drop(setup.value::<String>("list")),
            8 => drop(setup.list::<String>("list")),
            9 => drop(setup.split::<u64>("tasks")),
            10 => drop(setup.processing_timer("timer", |_: &mut Self, _: Fired<u64>| Ok(()))),
            11 => {
                let convert = |text: String| Ok(text.len() as u64);
                let _ = setup.list("list").at_version(2).migrate_from(1, convert);
            }
            _ => {}
        }
        Misfit
    }
}

#[track_caller]
fn check_misfit<const WAY: u32>(says: &[&str]) {
    let mut harness = TestHarness::<Old>::new();
    harness.send("in", 7_u64, 1_u64, 0);
    let refused = harness.swap::<Misfit<WAY>>().err().expect("it is refused");
    for said in says {
        assert!(refused.contains(said), "{refused:?} does not say {said:?}");
    }
}

#[test]
fn what_does_not_go_together_is_refused_by_name() {
    check_misfit::<0>(&["keys"]);
    check_misfit::<1>(&["state `value`", "at version 1 and declared at 3", "migrate_from(1, …)"]);
    check_misfit::<2>(&["state `value` from version 1", "`at_version`"]);
    check_misfit::<3>(&["state `value` from version 1 twice"]);
    check_misfit::<4>(&["declares state `value`", "had that name"]);
    check_misfit::<5>(&["says twice what state `value` is called now"]);
    check_misfit::<6>(&["state `sum`", "another"]);
    check_misfit::<7>(&["state `list`", "one kind of state"]);
    check_misfit::<8>(&["state `list`", "another type at the same version 1"]);
    check_misfit::<9>(&["task state `tasks`"]);
    check_misfit::<10>(&["timer `timer`", "another clock"]);
    check_misfit::<11>(&["laid out otherwise than", "String"]);
}

#[test]
fn what_is_no_longer_declared_is_dropped() {
    let mut harness = TestHarness::<Old>::new();
    harness.send("in", 7_u64, 1_u64, 0);
    let harness = harness.swap::<Misfit<99>>().unwrap();
    assert_eq!(harness.state("value", 7_u64), Some(1_u32));
    let harness = harness.swap::<Old>().unwrap();
    assert!(harness.list::<u64>("list", 7_u64).is_empty());
}
