//! Tests of every access to state, against a simple model where reads and writes mix.

use statehouse_state::{
    Backend, BytesColumn, Cell, Entries, HeapBackend, KeyGroupRange, KeyGroups, KeyLayout, Merge,
    Scan, StateId, StateKind, Ttl, TtlUpdate, TtlVisibility, ValueLayout, Window, WriteOp,
};

use super::*;
use crate::description::{Codec, KeyType, Port, ValueType};

mod collections;
mod rules;

fn state(kind: StateKind, value: ValueLayout) -> StateDeclaration {
    StateDeclaration {
        name: format!("{kind:?}").to_lowercase(),
        kind,
        value,
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

fn map(key: KeyLayout, value: ValueLayout) -> StateDeclaration {
    StateDeclaration { map_key: Some(key), ..state(StateKind::Map, value) }
}

fn reducing(merge: Merge, value: ValueLayout) -> StateDeclaration {
    StateDeclaration { merge: Some(merge), ..state(StateKind::Reducing, value) }
}

fn port(name: &str, broadcast: bool) -> Port {
    let key = KeyType { layout: KeyLayout::U64, codec: Codec::Raw, schema: None };
    let value = ValueType::new(ValueLayout::U64, Codec::Raw);
    Port { name: name.into(), key: (!broadcast).then_some(key), value, broadcast }
}

/// An operator keyed by u64, with these states named `0:…`, `1:…`.
fn description(states: Vec<StateDeclaration>) -> Description {
    let named = states.into_iter().enumerate().map(|(index, state)| StateDeclaration {
        name: format!("{index}:{}", state.name),
        ..state
    });
    Description {
        name: "op".into(),
        version: "1".into(),
        inputs: vec![port("in", false), port("rules", true)],
        outputs: vec![],
        states: named.collect(),
        timers: vec![TimerDeclaration { name: "later".into(), domain: TimeDomain::EventTime }],
        task_states: vec![],
        metrics: vec![],
    }
}

fn backend(description: &Description) -> Box<dyn Backend> {
    let (groups, Description { states, timers, .. }) = (KeyGroups::DEFAULT, description);
    let all = KeyGroupRange::all(groups);
    Box::new(HeapBackend::new(KeyLayout::U64, states, timers, groups, all).unwrap())
}

fn call(states: Vec<StateDeclaration>) -> Call {
    let description = description(states);
    description.check().unwrap();
    Call::new(&description, Some(backend(&description)))
}

/// An invocation over keys 0, 1, 2, …, so that slots are keys.
fn invoke<R>(
    call: &mut Call,
    keys: u64,
    act: impl FnOnce(&mut Call) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let keys = Column::Words((0..keys).collect());
    let mut hashes = Vec::new();
    statehouse_state::key::hash_column(&keys, &mut hashes);
    call.start(keys.len() as u32, Moment::default());
    call.hand_out(&keys, &hashes)?;
    let done = act(call);
    match &done {
        Ok(_) => call.commit()?,
        Err(_) => call.undo(),
    }
    done
}

fn words(words: &[u64]) -> Column {
    Column::Words(words.to_vec())
}

fn bytes<B: AsRef<[u8]>>(rows: &[B]) -> Column {
    let mut column = BytesColumn::default();
    rows.iter().for_each(|row| column.push(row.as_ref()));
    Column::Bytes(column)
}

#[track_caller]
fn trapped<R: std::fmt::Debug>(result: Result<R, Failure>, said: &str) {
    match result {
        Err(Failure::Trapped { reason }) => {
            assert!(reason.contains(said), "{reason:?} lacks {said:?}")
        }
        other => panic!("{other:?}"),
    }
}

fn loaded(call: &mut Call, state: u32, words: bool) -> Vec<Option<Vec<u8>>> {
    let mut window = Window::new(words);
    call.load(StateId(state), &mut window).unwrap();
    rows_of(&window)
}

fn rows_of(window: &Window) -> Vec<Option<Vec<u8>>> {
    let value = |row: usize| match &window.values {
        Column::Words(words) => words[row].to_string().into_bytes(),
        Column::Bytes(rows) => rows.get(row).to_vec(),
    };
    (0..window.values.len()).map(|row| window.present.get(row).then(|| value(row))).collect()
}

#[test]
fn merges_show_at_once_and_stay() {
    let sum = StateId(0);
    let text = StateId(1);
    let set = StateId(2);
    let mut call = call(vec![
        reducing(Merge::Sum, ValueLayout::S64),
        reducing(Merge::Append, ValueLayout::Bytes),
        reducing(Merge::SetUnion, ValueLayout::Bytes),
    ]);
    let some = |text: &[u8]| Some(text.to_vec());
    invoke(&mut call, 2, |call| {
        call.merge(sum, &[0, 0], &words(&[5, u64::MAX]))?;
        call.merge(text, &[1, 1], &bytes(&["a", "b"]))?;
        call.merge(set, &[0, 0], &bytes(&[&b"\x01b"[..], &b"\x01a\x01b"[..]]))?;
        assert_eq!(loaded(call, 0, true), [some(b"4"), None]);
        assert_eq!(loaded(call, 1, false), [None, some(b"ab")]);
        assert_eq!(loaded(call, 2, false), [some(b"\x01a\x01b"), None]);
        Ok(())
    })
    .unwrap();
    invoke(&mut call, 2, |call| {
        call.merge(sum, &[0], &words(&[1]))?;
        call.merge(text, &[1], &bytes(&["c"]))?;
        call.remove(set, &[0])?;
        call.merge(set, &[0], &bytes(&[b"\x01c"]))?;
        assert_eq!(loaded(call, 0, true), [some(b"5"), None]);
        Ok(())
    })
    .unwrap();
    invoke(&mut call, 2, |call| {
        assert_eq!(loaded(call, 0, true), [some(b"5"), None]);
        assert_eq!(loaded(call, 1, false), [None, some(b"abc")]);
        assert_eq!(loaded(call, 2, false), [some(b"\x01c"), None]);
        trapped(call.merge(set, &[0], &bytes(&[b"\x01b\x01a"])), "state `2:reducing` is no set");
        trapped(call.store(set, &[0], &bytes(&[b"\x09b"])), "is no set");
        Ok(())
    })
    .unwrap();
}

#[test]
fn timers_are_known_by_their_namespaces_too() {
    let mut call = call(vec![state(StateKind::Value, ValueLayout::U64)]);
    let timer = TimerId(0);
    invoke(&mut call, 1, |call| {
        call.change_timers_in(timer, &[0, 0, 0], &[5, 5, 5], &[1, 2, 1], true)?;
        call.change_timers_in(timer, &[0], &[5], &[2], false)?;
        call.change_timers(timer, &[0], &[5], false)?;
        trapped(call.change_timers_in(timer, &[0], &[5], &[], true), "1 slots for 0 namespaces");
        trapped(call.change_timers_in(timer, &[1], &[5], &[0], true), "slot 1 was not handed out");
        Ok(())
    })
    .unwrap();
    let due = call.backend.as_mut().unwrap().due_timers(TimeDomain::EventTime, 5, 10).unwrap();
    assert_eq!((due.times, due.namespaces), (vec![5], vec![1]));
    assert_eq!(call.backend.as_ref().unwrap().entries(), 1);
}
