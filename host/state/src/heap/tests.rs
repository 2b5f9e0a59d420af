//! Tests of the heap backend: the suite of all backends, random histories, and what only this one
//! promises.

mod clean_up;
mod large;
mod swap;

use proptest::prelude::*;

use super::*;
use crate::conformance::{self, Setup, history};
use crate::declaration::{StateKind, Ttl, TtlUpdate, TtlVisibility, ValueLayout};

fn make(setup: Setup) -> Box<dyn Backend> {
    let Setup { key, states, timers, groups, range } = setup;
    Box::new(HeapBackend::new(key, &states, &timers, groups, range).unwrap())
}

fn state(name: &str) -> StateDeclaration {
    StateDeclaration {
        name: name.to_owned(),
        kind: StateKind::Value,
        value: ValueLayout::S64,
        codec: "raw".to_owned(),
        schema: None,
        map_key: None,
        map_key_codec: None,
        map_key_schema: None,
        merge: None,
        ttl: None,
        schema_version: 1,
    }
}

fn new(states: &[StateDeclaration], timers: &[TimerDeclaration]) -> Result<HeapBackend, Error> {
    let groups = KeyGroups::DEFAULT;
    HeapBackend::new(KeyLayout::U64, states, timers, groups, KeyGroupRange::all(groups))
}

#[test]
fn the_heap_backend_conforms() {
    conformance::run(make);
}

fn layout() -> impl Strategy<Value = KeyLayout> {
    prop_oneof![Just(KeyLayout::U64), Just(KeyLayout::S64), Just(KeyLayout::Bytes)]
}

proptest! {
    #[test]
    fn random_histories_match_the_model(
        key in layout(),
        parallelism in 1..10_u32,
        steps in history::steps(80),
    ) {
        history::check(make, make, key, parallelism, &steps);
    }
}

#[test]
fn what_it_cannot_serve_is_refused_by_name() {
    let refused = |states: &[StateDeclaration]| match new(states, &[]) {
        Err(Error::Declaration { state, reason }) => (state, reason),
        other => panic!("expected a refusal: {other:?}"),
    };
    let map = StateDeclaration { kind: StateKind::Map, ..state("all") };
    let (name, reason) = refused(&[state("sum"), map]);
    assert_eq!((name.as_str(), reason.contains("map keys")), ("all", true));
    let ttl = Some(Ttl {
        milliseconds: 0,
        domain: TimeDomain::EventTime,
        update: TtlUpdate::OnCreateAndWrite,
        visibility: TtlVisibility::NeverReturnExpired,
    });
    let (name, reason) = refused(&[StateDeclaration { ttl, ..state("short") }]);
    assert_eq!((name.as_str(), reason.contains("time-to-live")), ("short", true));
    let (name, reason) = refused(&[state("sum"), state("sum")]);
    assert_eq!((name.as_str(), reason.contains("twice")), ("sum", true));
    let timer = TimerDeclaration { name: "end".to_owned(), domain: TimeDomain::EventTime };
    let twice = new(&[], &[timer.clone(), timer]);
    assert!(matches!(twice, Err(Error::Timers { timer, .. }) if timer == "end"));
    let groups = KeyGroups::DEFAULT;
    let range = KeyGroupRange { start: 0, end: 129 };
    let outside = HeapBackend::new(KeyLayout::U64, &[], &[], groups, range);
    assert!(matches!(outside, Err(Error::Access { .. })));
}

fn begin(backend: &mut HeapBackend, keys: &[u64], now: Now) {
    let keys = Column::Words(keys.to_vec());
    let mut hashes = Vec::new();
    crate::key::hash_column(&keys, &mut hashes);
    backend.begin(&keys, &hashes, now).unwrap();
}

/// A snapshot, made at once.
fn finish(backend: &mut HeapBackend, epoch: u64) -> Snapshot {
    backend.start_snapshot(epoch, false).unwrap();
    loop {
        if let Some(snapshot) = backend.advance_snapshot(1000).unwrap() {
            return snapshot;
        }
    }
}

fn put(backend: &mut HeapBackend, keys: &[u64], value: Option<u64>) {
    let keys = Column::Words(keys.to_vec());
    let mut hashes = Vec::new();
    crate::key::hash_column(&keys, &mut hashes);
    backend.begin(&keys, &hashes, Now::default()).unwrap();
    let mut writes = WriteSet::new(backend.schema.states());
    let slots: Vec<u32> = (0..keys.len() as u32).collect();
    match value {
        Some(value) => writes.set_words(StateId(0), &slots, &vec![value; slots.len()]),
        None => writes.remove(StateId(0), &slots),
    }
    backend.commit(&writes).unwrap();
}

#[test]
fn memory_of_removed_keys_is_given_back() {
    for snapshots in [false, true] {
        let mut backend = new(&[state("sum")], &[]).unwrap();
        let keys: Vec<u64> = (0..100_000).collect();
        put(&mut backend, &keys, Some(1));
        let grown = backend.allocated_bytes();
        assert!(grown < 60 * keys.len(), "{grown} bytes");
        if snapshots {
            backend.start_snapshot(1, false).unwrap();
            while backend.advance_snapshot(1000).unwrap().is_none() {}
        }
        put(&mut backend, &keys, None);
        if snapshots {
            backend.start_snapshot(2, false).unwrap();
            while backend.advance_snapshot(1000).unwrap().is_none() {}
        }
        let left = backend.allocated_bytes();
        assert!(left < grown / 8, "{left} of {grown} bytes");
    }
}

#[test]
fn versions_may_come_round_again() {
    let mut backend = new(&[state("sum")], &[]).unwrap();
    backend.version = (u32::MAX >> 3) - 2;
    let mut entries = Vec::new();
    for epoch in 0..6 {
        put(&mut backend, &[epoch, epoch + 100], Some(epoch));
        backend.start_snapshot(epoch, false).unwrap();
        put(&mut backend, &[epoch], Some(epoch + 1));
        let snapshot = loop {
            if let Some(snapshot) = backend.advance_snapshot(1).unwrap() {
                break snapshot;
            }
        };
        entries.push(snapshot.segments.iter().map(|segment| segment.entries).sum::<u64>());
    }
    assert_eq!(backend.version, 4);
    assert_eq!(entries, [2, 3, 3, 3, 3, 3]);
}
