//! Tests of what a description may say.

use statehouse_state::{Merge, StateKind, Ttl};

use super::*;

fn port(name: &str, key: Option<KeyLayout>, broadcast: bool) -> Port {
    let key = key.map(|layout| KeyType { layout, codec: Codec::Raw, schema: None });
    let value = ValueType::new(ValueLayout::U64, Codec::Raw);
    Port { name: name.into(), key, value, broadcast }
}

fn state(name: &str, kind: StateKind) -> StateDeclaration {
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
        schema_version: 1,
    }
}

fn task_state(name: &str, kind: TaskStateKind) -> TaskStateDeclaration {
    TaskStateDeclaration {
        name: name.into(),
        kind,
        value: ValueLayout::U64,
        codec: "raw".into(),
        schema: None,
        map_key: (kind == TaskStateKind::Broadcast).then_some(KeyLayout::Bytes),
        map_key_codec: None,
        map_key_schema: None,
        schema_version: 1,
    }
}

fn sound() -> Description {
    Description {
        name: "op".into(),
        version: "1".into(),
        inputs: vec![port("in", Some(KeyLayout::U64), false), port("rules", None, true)],
        outputs: vec![port("out", None, false)],
        states: vec![state("total", StateKind::Value)],
        timers: vec![],
        task_states: vec![
            task_state("rules", TaskStateKind::Broadcast),
            task_state("parts", TaskStateKind::Split),
        ],
        metrics: vec![],
    }
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Description), said: &str) {
    let mut description = sound();
    change(&mut description);
    let reason = description.check().unwrap_err();
    assert!(reason.contains(said), "{reason}");
}

#[test]
fn what_does_not_go_together_is_refused_by_name() {
    assert_eq!(sound().check(), Ok(()));
    refused(|op| op.states.push(state("parts", StateKind::Value)), "state `parts` twice");
    refused(
        |op| op.states.push(state("m", StateKind::Map)),
        "state `m` so that it cannot be: map states",
    );
    refused(|op| op.states.push(state("r", StateKind::Reducing)), "declare a merge");
    refused(
        |op| {
            let merge = Some(Merge::Append);
            op.states.push(StateDeclaration { merge, ..state("r", StateKind::Reducing) });
        },
        "does not go with values of U64",
    );
    refused(
        |op| {
            let ttl = Ttl {
                milliseconds: 0,
                domain: statehouse_state::TimeDomain::EventTime,
                update: statehouse_state::TtlUpdate::OnCreateAndWrite,
                visibility: statehouse_state::TtlVisibility::NeverReturnExpired,
            };
            op.states[0].ttl = Some(ttl);
        },
        "at least one millisecond",
    );
    refused(|op| op.task_states[1].map_key = Some(KeyLayout::U64), "`parts` so that it cannot be");
    refused(|op| op.task_states[0].map_key = None, "`rules` so that it cannot be");
}

#[test]
fn broadcast_inputs_have_no_key_and_broadcast_states_need_one_of_them() {
    refused(|op| op.inputs[0].broadcast = true, "input `in` as broadcast and keyed");
    refused(|op| op.outputs[0].broadcast = true, "output `out` as broadcast");
    refused(|op| op.inputs[1].broadcast = false, "broadcast state `rules` but no broadcast input");
}

#[test]
fn what_older_descriptions_did_not_say_is_read_as_none() {
    let mut json = serde_json::to_value(sound()).unwrap();
    json.as_object_mut().unwrap().remove("task_states");
    json["inputs"].as_array_mut().unwrap().remove(1);
    assert!(json["inputs"][0].get("broadcast").is_none(), "false goes without saying");
    let read: Description = serde_json::from_value(json).unwrap();
    assert_eq!((read.task_states.len(), read.inputs[0].broadcast), (0, false));
}
