//! What the segments of a snapshot hold, held against the model: exactly what they should, entry by entry.

use std::collections::BTreeMap;

use super::Running;
use super::model::{self, Model, Stamped};
use crate::backend::Now;
use crate::conformance::driver::{Chain, Datum, Driver, Records};
use crate::declaration::{StateDeclaration, StateKind};
use crate::snapshot::Snapshot;

/// The part of a model that belongs to one key group, without what is expired. Elements of lists go by number.
#[derive(Debug, PartialEq, Eq)]
struct Part<'a> {
    values: BTreeMap<(u32, &'a Datum), &'a Stamped>,
    entries: BTreeMap<(u32, &'a Datum, &'a Datum), &'a Stamped>,
    timers: Vec<&'a (u32, Datum, i64, u64)>,
}

fn part<'a>(
    model: &'a Model,
    states: &[StateDeclaration],
    now: Now,
    of_group: impl Fn(&Datum) -> bool,
) -> Part<'a> {
    let live = |state: u32, stamp| model::is_live(states[state as usize].ttl, stamp, now);
    let values = model.values.iter();
    let values = values.filter(|((state, key), value)| of_group(key) && live(*state, value.1));
    let entries = model.entries.iter();
    let entries = entries.filter(|((state, key, _), value)| of_group(key) && live(*state, value.1));
    Part {
        values: values.map(|((state, key), value)| ((*state, key), value)).collect(),
        entries: entries
            .map(|((state, key, entry), value)| ((*state, key, entry), value))
            .collect(),
        timers: model.timers.iter().filter(|(_, key, ..)| of_group(key)).collect(),
    }
}

pub(super) fn check(
    driver: &Driver,
    running: &Running,
    snapshot: &Snapshot,
    chain: &Chain,
    must_be_full: bool,
) {
    let states = &driver.setup.states;
    let mut missing: Vec<_> = driver.setup.range.iter().collect();
    for segment in &snapshot.segments {
        let at = missing.iter().position(|group| *group == segment.group);
        missing.remove(at.expect("a group has one segment"));
        let records = driver.records(segment);
        let of_group = |key: &Datum| driver.setup.groups.group_of(key.hash()) == segment.group;
        let now = part(&running.at_start, states, running.now, of_group);
        if segment.full {
            check_full(&records, &now, states);
        } else {
            assert!(!must_be_full, "every segment of this snapshot is full");
            let before = part(&running.before, states, running.now, of_group);
            check_increment(&records, running, states, (&before, &now));
        }
    }
    for group in missing {
        let of_group = |key: &Datum| driver.setup.groups.group_of(key.hash()) == group;
        let now = part(&running.at_start, states, running.now, of_group);
        if chain.groups.contains_key(&group) {
            let before = part(&running.before, states, running.now, of_group);
            assert!(!must_be_full && now == before, "{group} has changed");
        } else {
            let nothing = now.values.is_empty() && now.entries.is_empty();
            assert!(nothing && now.timers.is_empty(), "{group} was never written");
        }
    }
}

/// The name of an entry in the model: elements of lists go by the number that is in their value.
fn entry_name(states: &[StateDeclaration], state: u32, entry: &Datum, value: &Datum) -> Datum {
    if states[state as usize].kind == StateKind::List {
        return model::serial(value);
    }
    entry.clone()
}

/// A full segment holds what is there, and nothing that is expired.
fn check_full(records: &Records, now: &Part<'_>, states: &[StateDeclaration]) {
    assert_eq!(records.values.len(), now.values.len(), "values of a full segment");
    assert_eq!(records.entries.len(), now.entries.len(), "entries of a full segment");
    for ((state, key), (value, stamp)) in &now.values {
        let name = (*state, (*key).clone());
        assert_eq!(records.values.get(&name), Some(&Some(value.clone())), "{name:?}");
        check_stamp(records, states, (*state, key, None), *stamp);
    }
    let mut last_element = None;
    for ((state, key, number), value) in &records.entries {
        let value = value.as_ref().expect("a full segment holds no removals");
        let entry = entry_name(states, *state, number, value);
        let expected = now.entries.get(&(*state, key, &entry));
        let (expected, stamp) = expected.unwrap_or_else(|| panic!("{entry:?} is not there"));
        assert_eq!(value, expected, "{entry:?} of {key:?}");
        check_stamp(records, states, (*state, key, Some(number)), *stamp);
        if states[*state as usize].kind == StateKind::List {
            let this = (*state, key, entry);
            assert!(last_element < Some(this.clone()), "numbers of elements rise");
            last_element = Some(this);
        }
    }
    let timers: Vec<_> = records.timers.keys().collect();
    assert_eq!(timers, now.timers, "timers of a full segment");
    assert!(records.timers.values().all(|set| *set), "a full segment holds no removals");
}

fn check_stamp(
    records: &Records,
    states: &[StateDeclaration],
    (state, key, entry): (u32, &Datum, Option<&Datum>),
    stamp: i64,
) {
    if states[state as usize].ttl.is_some() {
        let name = (state, key.clone(), entry.cloned());
        assert_eq!(records.stamps.get(&name), Some(&stamp), "the stamp of {name:?}");
    }
}

/// An increment holds what differs from the snapshot before, and nothing that was not written in between, except for
/// what was cleaned up.
fn check_increment(
    records: &Records,
    running: &Running,
    states: &[StateDeclaration],
    (before, now): (&Part<'_>, &Part<'_>),
) {
    let Running { at_start, touched, .. } = running;
    let expires = |state: u32| states[state as usize].ttl.is_some();
    for (name, value) in &records.values {
        let live = now.values.get(&(name.0, &name.1)).map(|(value, _)| value);
        let cleaned = expires(name.0) && live.is_none();
        assert!(cleaned || touched.values.contains(name), "{name:?} was not written");
        let right = value.as_ref() == at_start.values.get(name).map(|(value, _)| value);
        assert!(right || cleaned && value.is_none(), "{name:?} is {value:?}");
    }
    for ((state, key, number), value) in &records.entries {
        // Which element a removed number was, no segment tells.
        let list = states[*state as usize].kind == StateKind::List;
        let Some(value) = value else {
            if !list && !expires(*state) {
                let name = (*state, key.clone(), number.clone());
                assert!(touched.entries.contains(&name), "{name:?} was not written");
                assert!(!at_start.entries.contains_key(&name), "{name:?} is there");
            }
            continue;
        };
        let name = (*state, key.clone(), entry_name(states, *state, number, value));
        assert!(touched.entries.contains(&name), "{name:?} was not written");
        let expected = at_start.entries.get(&name).map(|(value, _)| value);
        assert_eq!(Some(value), expected, "{name:?}");
    }
    for (timer, set) in &records.timers {
        assert!(touched.timers.contains(timer), "{timer:?} was not changed");
        assert_eq!(*set, at_start.timers.contains(timer), "{timer:?}");
    }
    for (name, value) in &now.values {
        let differs = before.values.get(name) != Some(value);
        let owned = (name.0, name.1.clone());
        assert!(!differs || records.values.contains_key(&owned), "{name:?} is missing");
    }
    for name in before.values.keys().filter(|name| !now.values.contains_key(*name)) {
        let owned = (name.0, name.1.clone());
        // What a late record wrote may be expired from the start, and is there until it is cleaned up.
        let written = at_start.values.get(&owned).map(|(value, _)| value.clone());
        let written = written.filter(|_| expires(name.0));
        let told = records.values.get(&owned);
        assert!(told == Some(&None) || told == Some(&written), "{name:?} is missing: {told:?}");
    }
    check_entries_are_there(records, running, states, (before, now));
    for timer in before.timers.iter().filter(|timer| !now.timers.contains(timer)) {
        assert_eq!(records.timers.get(*timer), Some(&false), "{timer:?} is missing");
    }
    for timer in now.timers.iter().filter(|timer| !before.timers.contains(timer)) {
        assert_eq!(records.timers.get(*timer), Some(&true), "{timer:?} is missing");
    }
}

fn check_entries_are_there(
    records: &Records,
    running: &Running,
    states: &[StateDeclaration],
    (before, now): (&Part<'_>, &Part<'_>),
) {
    let set = records.entries.iter().filter_map(|((state, key, number), value)| {
        let entry = entry_name(states, *state, number, value.as_ref()?);
        Some((*state, key.clone(), entry))
    });
    let set: std::collections::BTreeSet<_> = set.collect();
    for (name, value) in &now.entries {
        let differs = before.entries.get(name) != Some(value);
        let owned = (name.0, name.1.clone(), name.2.clone());
        assert!(!differs || set.contains(&owned), "{name:?} is missing");
    }
    let mut removed = 0;
    for name in before.entries.keys().filter(|name| !now.entries.contains_key(*name)) {
        let owned = (name.0, name.1.clone(), name.2.clone());
        if states[name.0 as usize].kind == StateKind::List {
            removed += 1;
        } else {
            let written = running.at_start.entries.get(&owned).map(|(value, _)| value.clone());
            let written = written.filter(|_| states[name.0 as usize].ttl.is_some());
            let told = records.entries.get(&owned);
            assert!(told == Some(&None) || told == Some(&written), "{name:?} is missing: {told:?}");
        }
    }
    let is_list = |state: u32| states[state as usize].kind == StateKind::List;
    let told =
        records.entries.iter().filter(|((state, ..), value)| is_list(*state) && value.is_none());
    assert!(told.count() >= removed, "removed list elements are missing");
}
