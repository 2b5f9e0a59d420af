//! What a flip takes along, and when it is refused.

use statehouse_state::{TaskStateDeclaration, TaskStateKind};

use super::*;
use crate::description::{MetricDeclaration, MetricKind};

fn no_state() -> Totals {
    let mut operator = totals(1, Fails::Never);
    (operator.description.states, operator.description.timers) = (vec![], vec![]);
    operator
}

fn reason(result: Result<Box<dyn Operator>, InvokeError>) -> String {
    match result {
        Ok(_) => panic!("it must be refused"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_same_schema_flips_and_hands_the_operator_back() {
    let mut invoker = running(totals(1, Fails::Never), ErrorPolicy::Fail);
    process(&mut invoker, &[(1, 5)]);
    let operator = totals(1, Fails::Never);
    let evolution =
        plan(&left(&invoker), &operator.description, &Migrations::default(), false).unwrap();
    assert!(evolution.is_same_schema());
    let before = invoker.replace(Box::new(operator), &evolution, None).unwrap();
    assert_eq!(before.description(), invoker.description());
    assert!(!invoker.is_migrating());
    assert_eq!(process(&mut invoker, &[(1, 1)]), [(1, 6)]);
    let (_, backend, task_states) = invoker.into_parts();
    assert!(backend.is_some_and(|backend| backend.entries() == 2) && task_states.is_none());
}

#[test]
fn outputs_are_passed_on_before_a_flip() {
    let mut invoker = running(totals(1, Fails::Never), ErrorPolicy::Fail);
    invoker.process(0, &batch(&[(1, 5)]), Moment::default()).unwrap();
    let operator = || Box::new(totals(1, Fails::Never));
    let evolution = Evolution::unchanged(invoker.description());
    let refused = reason(invoker.replace(operator(), &evolution, None));
    assert!(refused.contains("still has output"), "{refused}");
    emitted(&mut invoker);
    assert!(invoker.replace(operator(), &evolution, None).is_ok());
}

#[test]
fn an_operator_without_state_gets_a_backend_when_it_needs_one() {
    let mut invoker = Invoker::new(Box::new(no_state()), None, ErrorPolicy::Fail);
    let operator = || totals(1, Fails::Never);
    let description = operator().description;
    let evolution = plan(&left(&invoker), &description, &Migrations::default(), false).unwrap();
    let refused = reason(invoker.replace(Box::new(operator()), &evolution, None));
    assert!(refused.contains("no backend"), "{refused}");
    let (_, backend, _) = running(operator(), ErrorPolicy::Fail).into_parts();
    invoker.replace(Box::new(operator()), &evolution, backend).unwrap();
    assert_eq!(process(&mut invoker, &[(1, 5), (1, 1)]), [(1, 5), (1, 6)]);

    let description = no_state().description;
    let gone = plan(&left(&invoker), &description, &Migrations::default(), true).unwrap();
    invoker.replace(Box::new(no_state()), &gone, None).unwrap();
    assert_eq!(invoker.backend().unwrap().entries(), 0);
}

#[test]
fn what_a_plan_did_not_know_of_is_not_thrown_away() {
    let mut invoker = running(totals(1, Fails::Never), ErrorPolicy::Fail);
    process(&mut invoker, &[(1, 5)]);
    let operator = totals(2, Fails::Never);
    let migrations = all_steps(&operator.description);
    replace(&mut invoker, operator, &migrations);
    // Planned as if nothing were left of version 1.
    let description = invoker.description().clone();
    let finished = Left { description: description.clone(), retired: Retired::default() };
    let evolution = plan(&finished, &description, &migrations, false).unwrap();
    let refused = reason(invoker.replace(Box::new(totals(2, Fails::Never)), &evolution, None));
    assert!(refused.contains("schema version 1 of state `total`"), "{refused}");
    sweep_all(&mut invoker);
    assert!(invoker.replace(Box::new(totals(2, Fails::Never)), &evolution, None).is_ok());
}

#[test]
fn a_flip_that_cannot_be_leaves_everything_as_it_was() {
    let mut invoker = running(totals(1, Fails::Never), ErrorPolicy::Fail);
    process(&mut invoker, &[(1, 5)]);
    let operator = totals(2, Fails::Never);
    let migrations = all_steps(&operator.description);
    let evolution = plan(&left(&invoker), &operator.description, &migrations, false).unwrap();
    invoker.backend().unwrap().start_snapshot(1, false).unwrap();
    assert!(invoker.replace(Box::new(operator), &evolution, None).is_err(), "a snapshot runs");
    assert_eq!(invoker.description().states[0].schema_version, 1);
    assert_eq!(process(&mut invoker, &[(1, 1)]), [(1, 6)]);
}

#[test]
fn task_states_and_counters_go_on_by_name() {
    let state = |name: &str| TaskStateDeclaration {
        name: name.into(),
        kind: TaskStateKind::Split,
        value: ValueLayout::U64,
        codec: "raw".into(),
        schema: None,
        map_key: None,
        map_key_codec: None,
        map_key_schema: None,
        schema_version: 1,
    };
    let metric = |name: &str, kind| MetricDeclaration { name: name.into(), kind };
    let with = |states: &[&str], metrics: Vec<MetricDeclaration>| {
        let mut operator = no_state();
        operator.description.task_states = states.iter().map(|name| state(name)).collect();
        operator.description.metrics = metrics;
        operator
    };
    let (counter, gauge) = (MetricKind::Counter, MetricKind::Gauge);
    let before = with(&["old", "seen"], vec![metric("a", gauge), metric("b", counter)]);
    let mut invoker = Invoker::new(Box::new(before), None, ErrorPolicy::Fail);
    invoker.call.append_task_list(0, &Column::Words(vec![1])).unwrap();
    invoker.call.append_task_list(1, &Column::Words(vec![2, 3])).unwrap();
    invoker.task_states().unwrap().commit();
    invoker.call.add_counter(1, 5).unwrap();
    invoker.call.set_gauge(0, 5.0).unwrap();

    let now = with(&["seen", "new"], vec![metric("b", counter), metric("a", gauge)]);
    let left = left(&invoker);
    let evolution = plan(&left, &now.description, &Migrations::default(), true).unwrap();
    invoker.replace(Box::new(now), &evolution, None).unwrap();
    let states = invoker.task_states().unwrap();
    assert_eq!(states.list(0).unwrap(), &Column::Words(vec![2, 3]));
    assert_eq!(states.list(1).unwrap(), &Column::Words(vec![]));
    assert_eq!(invoker.metrics().collect::<Vec<_>>(), [5.0, 0.0]);
}
