//! What only the heap promises of evolving and going back: how long it takes, and what memory it holds.

use std::time::{Duration, Instant};

use super::*;
use crate::evolve::{Converted, Move, Which};

const KEYS: u64 = 1_000_000;

#[expect(clippy::disallowed_methods, reason = "the test measures")]
fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let done = work();
    (start.elapsed(), done)
}

fn filled(states: &[StateDeclaration], keys: u64) -> HeapBackend {
    let mut backend = new(states, &[]).unwrap();
    let keys: Vec<u64> = (0..keys).collect();
    keys.chunks(4096).for_each(|keys| put(&mut backend, keys, Some(1)));
    backend
}

fn at_version(state: StateDeclaration, schema_version: u32) -> StateDeclaration {
    StateDeclaration { schema_version, ..state }
}

fn as_it_is(values: &Column) -> Result<Converted, Error> {
    Ok(Converted { values: values.clone(), failed: Vec::new() })
}

fn idle(backend: &mut HeapBackend, commits: usize) {
    for _ in 0..commits {
        begin(backend, &[], Now::default());
        backend.commit(&WriteSet::new(backend.schema.states())).unwrap();
    }
}

#[test]
fn evolving_takes_no_longer_with_a_million_keys() {
    let map =
        StateDeclaration { kind: StateKind::Map, map_key: Some(KeyLayout::U64), ..state("map") };
    let mut backend = filled(&[state("sum")], KEYS);
    let mut best = Duration::MAX;
    // Not to be misled by whatever else the machine does.
    for version in 2..22 {
        let states = [at_version(state("other"), version), state("sum"), map.clone()];
        let (took, evolved) = timed(|| backend.evolve(&states, &[]));
        evolved.unwrap();
        best = best.min(took);
        assert_eq!(backend.values(StateId(1)), KEYS);
        begin(&mut backend, &[1, 2], Now::default());
        let mut writes = WriteSet::new(&states);
        writes.set_words(StateId(0), &[0, 1], &[1, 2]);
        backend.commit(&writes).unwrap();
        assert_eq!(backend.values(StateId(0)), 2);
    }
    let (removed, evolved) = timed(|| backend.evolve(&[map], &[]));
    evolved.unwrap();
    assert_eq!(backend.entries(), 0);
    println!("evolving with {KEYS} keys: {best:?}; taking them away: {removed:?}");
    assert!(best < Duration::from_millis(1), "{best:?}");
    idle(&mut backend, 2000);
    assert!(backend.doomed.is_empty() && backend.allocated_bytes() < 1_000_000);
}

#[test]
fn going_back_takes_as_long_as_what_changed() {
    let mut backend = filled(&[state("sum")], KEYS);
    backend.start_snapshot(1, false).unwrap();
    let (held, ()) = timed(|| backend.hold());
    while backend.advance_snapshot(10_000).unwrap().is_none() {}
    backend.evolve(&[at_version(state("sum"), 2), state("sum")], &[]).unwrap();
    let changed: Vec<u64> = (0..100_000).map(|key| key * 7).collect();
    let values = Move { from: StateId(1), to: StateId(0) };
    for keys in changed.chunks(1000) {
        begin(&mut backend, keys, Now::default());
        let moved = backend.migrate(values, Which::Invocation, &mut as_it_is).unwrap();
        assert_eq!(moved.moved, 1000);
        let mut writes = WriteSet::new(backend.schema.states());
        writes.set_words(StateId(0), &(0..1000).collect::<Vec<_>>(), keys);
        backend.commit(&writes).unwrap();
    }
    let (took, back) = timed(|| backend.revert().unwrap());
    println!("holding {KEYS} keys: {held:?}; going back over {} changes: {took:?}", changed.len());
    assert!(back && took < Duration::from_secs(1), "{took:?}");
    assert_eq!(backend.values(StateId(0)), KEYS);
    begin(&mut backend, &changed[..100], Now::default());
    let mut window = Window::new(true);
    backend.load(StateId(0), &mut window).unwrap();
    assert_eq!(window.values, Column::Words(vec![1; 100]));
}

#[test]
fn what_takes_too_much_to_go_back_is_forgotten() {
    let mut backend = filled(&[state("sum")], 10_000);
    backend.set_undo_bytes_max(20_000);
    let keys: Vec<u64> = (0..10_000).collect();
    for (count, fits) in [(500, true), (5000, false)] {
        finish(&mut backend, 1);
        backend.start_snapshot(2, false).unwrap();
        backend.hold();
        put(&mut backend, &keys[..count], Some(2));
        assert_eq!(backend.revert().unwrap(), fits, "{count} changes");
        backend.abandon_snapshot();
    }
    finish(&mut backend, 1);
    put(&mut backend, &keys[..1], Some(3));
    backend.hold();
    put(&mut backend, &keys[..1], Some(4));
    assert!(!backend.revert().unwrap(), "it was held too late to know what was there");
}

#[test]
fn moving_everything_gives_the_memory_back() {
    for snapshots in [false, true] {
        let mut backend = filled(&[state("sum")], 200_000);
        let before = backend.allocated_bytes();
        if snapshots {
            finish(&mut backend, 1);
        }
        backend.evolve(&[at_version(state("sum"), 2), state("sum")], &[]).unwrap();
        let values = Move { from: StateId(1), to: StateId(0) };
        let (mut calls, mut most) = (0, before);
        while !backend.migrate(values, Which::Next(1000), &mut as_it_is).unwrap().done {
            calls += 1;
            if snapshots && calls % 20 == 0 {
                finish(&mut backend, 1 + calls);
            }
            most = most.max(backend.allocated_bytes());
        }
        assert!((200..2000).contains(&calls), "{calls} calls of 1000 for 200000 values");
        assert!(most < before + before / 2, "{most} bytes on the way, {before} before");
        backend.evolve(&[at_version(state("sum"), 2)], &[]).unwrap();
        finish(&mut backend, 10_000);
        assert_eq!((backend.layouts.len(), backend.values(StateId(0))), (1, 200_000));
        assert!(backend.allocated_bytes() < before + before / 4, "{}", backend.allocated_bytes());
    }
}

/// A state that goes while another in the same rows stays.
#[test]
fn a_column_that_is_gone_is_emptied_in_passing() {
    let text = StateDeclaration { value: ValueLayout::Bytes, ..state("text") };
    let mut backend = new(&[state("sum"), text], &[]).unwrap();
    let keys: Vec<u64> = (0..20_000).collect();
    put(&mut backend, &keys, Some(1));
    begin(&mut backend, &keys, Now::default());
    let mut writes = WriteSet::new(backend.schema.states());
    keys.iter().for_each(|&key| writes.set_bytes(StateId(1), key as u32, &[7; 1000]));
    backend.commit(&writes).unwrap();
    assert!(backend.allocated_bytes() > 20_000_000);
    backend.evolve(&[state("sum")], &[]).unwrap();
    assert_eq!(backend.entries(), 20_000);
    idle(&mut backend, 3000);
    assert!(backend.sweeper.is_none() && backend.allocated_bytes() < 4_000_000);
    assert_eq!(backend.values(StateId(0)), 20_000);
}
