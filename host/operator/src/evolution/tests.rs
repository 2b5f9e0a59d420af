//! Tests of plans: what is taken over, and what is refused and how.

use statehouse_state::{
    KeyLayout, Merge, StateDeclaration, StateId, StateKind, TimeDomain, TimerDeclaration, TimerId,
    Ttl, TtlUpdate, TtlVisibility, ValueLayout,
};

use super::*;
use crate::description::{Codec, KeyType, Port, ValueType};

mod names;
mod places;
mod versions;

fn state(name: &str, schema_version: u32) -> StateDeclaration {
    StateDeclaration {
        name: name.into(),
        kind: StateKind::Value,
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

fn timer(name: &str) -> TimerDeclaration {
    TimerDeclaration { name: name.into(), domain: TimeDomain::EventTime }
}

fn description(states: Vec<StateDeclaration>, timers: Vec<TimerDeclaration>) -> Description {
    let key = Some(KeyType { layout: KeyLayout::U64, codec: Codec::Raw, schema: None });
    let value = ValueType::new(ValueLayout::U64, Codec::Raw);
    Description {
        name: "totals".into(),
        version: "1".into(),
        inputs: vec![Port { name: "in".into(), key, value, broadcast: false }],
        outputs: vec![],
        states,
        timers,
        task_states: vec![],
        metrics: vec![],
    }
}

fn states(states: Vec<StateDeclaration>) -> Description {
    description(states, vec![])
}

fn left(description: Description) -> Left {
    Left { description, retired: Retired::default() }
}

fn with_retired(description: Description, states: Vec<StateDeclaration>) -> Left {
    Left { description, retired: Retired { states, timers: vec![] } }
}

fn renames(kind: Renamed, names: &[(&str, &str)]) -> Migrations {
    let rename = |&(was, now): &(&str, &str)| Rename { kind, was: was.into(), now: now.into() };
    Migrations { renames: names.iter().map(rename).collect(), steps: vec![] }
}

fn steps(steps: &[(&str, u32)]) -> Migrations {
    let step = |&(state, from_version): &(&str, u32)| Step { state: state.into(), from_version };
    Migrations { renames: vec![], steps: steps.iter().map(step).collect() }
}

/// What becomes of each thing, on a line.
fn changes(evolution: &Evolution) -> Vec<String> {
    let line = |Change { kind, what, note }: &Change| format!("{kind:?} {what}: {note}");
    evolution.changes.iter().map(line).collect()
}

/// The moves as (from, to, version converted from).
fn moves(evolution: &Evolution) -> Vec<(u32, u32, Option<u32>)> {
    let flat = |step: &StateMove| (step.values.from.0, step.values.to.0, step.from_version);
    evolution.moves.iter().map(flat).collect()
}

fn identities(states: &[StateDeclaration]) -> Vec<(&str, u32)> {
    states.iter().map(|state| (state.name.as_str(), state.schema_version)).collect()
}

#[track_caller]
fn refused(plan: Result<Evolution, Vec<String>>, parts: &[&str]) {
    let reasons = plan.expect_err("it cannot be taken over");
    for (reason, part) in reasons.iter().zip(parts) {
        assert!(reason.contains(part), "{part:?} is not in {reasons:#?}");
    }
    assert_eq!(reasons.len(), parts.len(), "{reasons:#?}");
}

#[test]
fn what_is_the_same_stays_where_it_is() {
    let now = description(vec![state("total", 3), state("new", 1)], vec![timer("end")]);
    let before = description(vec![state("total", 3)], vec![timer("end")]);
    let evolution = plan(&left(before), &now, &Migrations::default(), false).unwrap();
    assert_eq!(
        changes(&evolution),
        ["Kept state `total`: ", "Added state `new`: ", "Kept timer `end`: "]
    );
    assert_eq!((evolution.states.clone(), evolution.timers.clone()), (now.states, now.timers));
    assert!(!evolution.is_same_schema() && !evolution.needs_approval());
    let now = description(evolution.states, evolution.timers);
    let evolution = plan(&left(now.clone()), &now, &Migrations::default(), false).unwrap();
    assert!(evolution.is_same_schema() && evolution.retired(&now).is_empty());
}

#[test]
fn what_is_not_declared_any_more_goes_only_if_it_may() {
    let before = description(vec![state("total", 1), state("old", 1)], vec![timer("end")]);
    let left = with_retired(before, vec![state("old", 0)]);
    let now = states(vec![state("total", 1)]);
    let parts = [
        "state `old` is not declared any more; declare it as before",
        "timer `end` is not declared any more",
    ];
    refused(plan(&left, &now, &Migrations::default(), false), &parts);
    let evolution = plan(&left, &now, &Migrations::default(), true).unwrap();
    assert_eq!(
        changes(&evolution),
        ["Kept state `total`: ", "Dropped state `old`: ", "Dropped timer `end`: "]
    );
    assert!(evolution.needs_approval());
    assert_eq!(identities(&evolution.states), [("total", 1)]);
}

#[test]
fn a_declaration_of_the_same_version_means_the_same() {
    let ttl = |milliseconds, domain| {
        let (update, visibility) = (TtlUpdate::OnCreateAndWrite, TtlVisibility::NeverReturnExpired);
        Some(Ttl { milliseconds, domain, update, visibility })
    };
    let value = || StateDeclaration { ttl: ttl(5, TimeDomain::EventTime), ..state("s", 1) };
    let map = || StateDeclaration {
        kind: StateKind::Map,
        map_key: Some(KeyLayout::Bytes),
        map_key_codec: Some("text".into()),
        ..state("s", 1)
    };
    let sum =
        || StateDeclaration { kind: StateKind::Reducing, merge: Some(Merge::Sum), ..state("s", 1) };
    let text =
        || StateDeclaration { value: ValueLayout::Bytes, codec: "text".into(), ..state("s", 1) };
    let other_clock = ttl(5, TimeDomain::ProcessingTime);
    let update = TtlUpdate::OnReadAndWrite;
    let on_read = ttl(5, TimeDomain::EventTime).map(|ttl| Ttl { update, ..ttl });
    for (before, now, part) in [
        (value(), map(), "was a value state and is a map state now"),
        (map(), StateDeclaration { map_key: Some(KeyLayout::U64), ..map() }, "map keys of another"),
        (map(), StateDeclaration { map_key_codec: None, ..map() }, "map keys of another"),
        (sum(), StateDeclaration { merge: Some(Merge::Max), ..sum() }, "had the merge Sum"),
        (value(), StateDeclaration { value: ValueLayout::S64, ..value() }, "has values of s64"),
        (text(), StateDeclaration { codec: "json".into(), ..text() }, "had values of text"),
        (value(), StateDeclaration { ttl: None, ..value() }, "has no time-to-live any more"),
        (StateDeclaration { ttl: None, ..value() }, value(), "has a time-to-live now"),
        (value(), StateDeclaration { ttl: on_read, ..value() }, "its time-to-live by another rule"),
        (value(), StateDeclaration { ttl: other_clock, ..value() }, "on another clock"),
    ] {
        let (before, now) = (left(states(vec![before])), states(vec![now]));
        let planned = plan(&before, &now, &Migrations::default(), true);
        refused(planned, &[part]);
        let at_start = plan_at_start(&before, &now, &Migrations::default(), true);
        let expires = part.contains("time-to-live") || part.contains("clock");
        assert_eq!(at_start.is_ok(), expires, "{part}");
    }
    let longer = StateDeclaration { ttl: ttl(6, TimeDomain::EventTime), ..value() };
    let planned =
        plan(&left(states(vec![value()])), &states(vec![longer]), &Migrations::default(), false);
    assert_eq!(changes(&planned.unwrap()), ["Kept state `s`: its time-to-live changes"]);
}

#[test]
fn structures_are_compared_as_far_as_they_are_known() {
    let with = |schema: Option<&str>| {
        let (value, codec) = (ValueLayout::Bytes, "msgpack".into());
        let schema = schema.map(str::to_owned);
        states(vec![StateDeclaration { value, codec, schema, ..state("day", 1) }])
    };
    let (one, two) = (
        r#"{"type":{"struct":[["flights","u64"]]}}"#,
        r#"{"type":{"struct":[["flights","u64"],["note",{"optional":"text"}]]}}"#,
    );
    let planned =
        |before, now| plan(&left(with(before)), &with(now), &Migrations::default(), false);
    let widened = planned(Some(one), Some(two)).unwrap();
    assert_eq!(changes(&widened), ["Widened state `day`: the value has the new field `note`"]);
    assert!(widened.is_same_schema());
    refused(
        planned(Some(two), Some(one)),
        &["state `day` has another structure now: the value has lost its field `note`; raise its"],
    );
    for (before, now) in [(Some(one), None), (None, Some(two)), (Some("a day"), Some("days"))] {
        assert_eq!(changes(&planned(before, now).unwrap()), ["Kept state `day`: "]);
    }
}

#[test]
fn keys_cannot_change_under_state() {
    let keyed = |layout, schema: Option<&str>, mut description: Description| {
        let codec = Codec::Msgpack;
        description.inputs[0].key =
            Some(KeyType { layout, codec, schema: schema.map(str::to_owned) });
        description
    };
    let with_state = || states(vec![state("total", 1)]);
    let before = left(keyed(KeyLayout::U64, None, with_state()));
    let now = keyed(KeyLayout::S64, None, with_state());
    let part = "its keys were u64 and are s64 now; keys cannot change";
    refused(plan(&before, &now, &Migrations::default(), true), &[part]);
    let one = Some(r#"{"type":{"tuple":["u64","u64"]}}"#);
    let other = Some(r#"{"type":{"tuple":["u64","text"]}}"#);
    let before = left(keyed(KeyLayout::Bytes, one, with_state()));
    let now = keyed(KeyLayout::Bytes, other, with_state());
    let part = "its keys have another structure";
    refused(plan(&before, &now, &Migrations::default(), true), &[part]);
    let before = left(keyed(KeyLayout::U64, None, states(vec![])));
    assert!(plan(&before, &now, &Migrations::default(), false).is_ok(), "nothing has keys yet");
}
