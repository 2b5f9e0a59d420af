//! Compares what was left in keyed state, key by key.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use statehouse_state::segment::{Reader, Record, Schema, Stamped};
use statehouse_state::{KeyGroup, Now, Segment, StateDeclaration, StateId, StateKind, ttl};

use super::{Capture, ComparedState, Difference, EXAMPLES_MAX};
use crate::description::{Description, KeyType};
use crate::evolution::Evolution;
use crate::form::{CellBuf, Form};

/// What one key has in one state: one value, or entries in order.
type Contents = Vec<(Option<CellBuf>, CellBuf)>;

/// By state and key.
type Dump = BTreeMap<(StateId, CellBuf), Contents>;

/// Compares the states that both versions have.
pub(super) fn compare(
    capture: &Capture,
    now: &Description,
    evolution: &Evolution,
    expected: &[Segment],
    after: &[Segment],
) -> Result<Vec<ComparedState>, String> {
    let key = now.state_key().expect("states have a key");
    let moment = capture.steps.last().map(|step| step.moment).unwrap_or_default();
    let clocks = Now { processing_time: moment.processing_time, watermark: moment.watermark };
    let (expected, after) = (read(key, now, expected, clocks)?, read(key, now, after, clocks)?);
    let was_there = |id: StateId, state: &StateDeclaration| {
        evolution.moves.iter().any(|step| step.values.to == id)
            || capture.states.iter().any(|before| {
                before.name == state.name && before.schema_version == state.schema_version
            })
    };
    let states = (0..).map(StateId).zip(&now.states);
    let states = states.filter(|(id, state)| was_there(*id, state));
    Ok(states.map(|(id, state)| compare_state(key, (id, state), &expected, &after)).collect())
}

fn compare_state(
    key_type: &KeyType,
    (id, state): (StateId, &StateDeclaration),
    expected: &Dump,
    after: &Dump,
) -> ComparedState {
    let mut compared = ComparedState { state: state.name.clone(), ..ComparedState::default() };
    let keys = expected.keys().chain(after.keys()).filter(|(of, _)| *of == id);
    let keys: BTreeSet<_> = keys.collect();
    for at in keys {
        let (was, is) = (expected.get(at), after.get(at));
        match (was, is) {
            (Some(was), Some(is)) if same(state.kind, was, is) => {
                compared.same += 1;
                continue;
            }
            (Some(_), Some(_)) => compared.differing += 1,
            (Some(_), None) => compared.only_before += 1,
            (None, _) => compared.only_after += 1,
        }
        if compared.examples.len() < EXAMPLES_MAX {
            let key = Form::of_key(key_type).render(at.1.cell());
            let shown = |contents: &Contents| shown(state, contents);
            compared.examples.push(Difference::new(Some(key), was.map(shown), is.map(shown)));
        }
    }
    compared
}

/// Elements of lists have numbers of their own in each of the two.
fn same(kind: StateKind, was: &Contents, is: &Contents) -> bool {
    let values = |contents: &Contents| contents.iter().map(|(_, value)| value.clone()).collect();
    match kind {
        StateKind::List => {
            let (was, is): (Vec<_>, Vec<_>) = (values(was), values(is));
            was == is
        }
        _ => was == is,
    }
}

fn shown(state: &StateDeclaration, contents: &Contents) -> Value {
    let form = Form::of_state(state);
    let value = |value: &CellBuf| form.render(value.cell());
    match (state.kind, Form::of_map_key(state)) {
        (StateKind::Map, Some(keys)) => contents
            .iter()
            .map(|(entry, content)| {
                let entry = entry.as_ref().map(|entry| keys.render(entry.cell()));
                serde_json::json!([entry, value(content)])
            })
            .collect(),
        (StateKind::List, _) => contents.iter().map(|(_, content)| value(content)).collect(),
        _ => contents.first().map(|(_, content)| value(content)).unwrap_or_default(),
    }
}

/// What is in segments of the operator's states, without what is expired.
fn read(
    key: &KeyType,
    now: &Description,
    segments: &[Segment],
    clocks: Now,
) -> Result<Dump, String> {
    let mut schema = Schema::new(key.layout, &now.states, &now.timers);
    schema.drop_unclaimed();
    let mut dump = Dump::new();
    for segment in segments {
        let text = |error: statehouse_state::Error| error.to_string();
        let mut reader = Reader::open(KeyGroup(0), &segment.bytes, &schema).map_err(text)?;
        while let Some(record) = reader.next().map_err(text)? {
            let (state, key, entry, value) = match record {
                Record::Value { state, key, value } => (state, key, None, value),
                Record::Entry { state, key, entry, value } => (state, key, Some(entry), value),
                Record::Timer { .. } => continue,
            };
            let ttl = now.states[state.0 as usize].ttl;
            let lives = |value: &Stamped<'_>| {
                ttl.is_none_or(|ttl| !ttl::is_expired(&ttl, value.stamp, clocks))
            };
            if let Some(value) = value.filter(lives) {
                let contents = dump.entry((state, CellBuf::from(key))).or_default();
                contents.push((entry.map(CellBuf::from), CellBuf::from(value.value)));
            }
        }
    }
    dump.values_mut().for_each(|contents| contents.sort_unstable());
    Ok(dump)
}
