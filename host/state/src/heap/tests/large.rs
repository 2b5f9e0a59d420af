//! One map and one list of very many entries.

use std::collections::BTreeMap;

use proptest::collection::vec;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Put { from: u16, count: u16, stride: u64 },
    Remove { from: u16, count: u16 },
    Append(u16),
    Shorten(u16),
    Clear,
    Start,
    Advance(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..5000_u16, 0..2000_u16, 1..4_u64)
            .prop_map(|(from, count, stride)| Step::Put { from, count, stride }),
        4 => (0..5000_u16, 0..2000_u16).prop_map(|(from, count)| Step::Remove { from, count }),
        4 => (0..2000_u16).prop_map(Step::Append),
        2 => (0..3000_u16).prop_map(Step::Shorten),
        1 => Just(Step::Clear),
        3 => Just(Step::Start),
        8 => (1..900_u16).prop_map(Step::Advance),
    ]
}

type Model = [BTreeMap<u64, u64>; 2];

fn states() -> [StateDeclaration; 2] {
    let map_key = Some(KeyLayout::U64);
    [
        StateDeclaration { kind: StateKind::Map, map_key, ..state("map") },
        StateDeclaration { kind: StateKind::List, ..state("list") },
    ]
}

fn contents(backend: &mut HeapBackend) -> Model {
    begin(backend, &[7], Now::default());
    [StateId(0), StateId(1)].map(|state| {
        let mut entries = Entries::new(true, true);
        assert!(!backend.scan(state, &Scan::all(0, usize::MAX), &mut entries).unwrap());
        let (Column::Words(keys), Column::Words(values)) = (entries.keys, entries.values) else {
            panic!("both are words")
        };
        assert!(keys.is_sorted());
        keys.into_iter().zip(values).collect()
    })
}

/// Adds a snapshot to the chain, and restores it.
fn restored(chain: &mut Vec<Segment>, snapshot: Snapshot) -> Model {
    for segment in snapshot.segments {
        if segment.full {
            chain.clear();
        }
        chain.push(segment);
    }
    let mut backend = new(&states(), &[]).unwrap();
    for segment in &*chain {
        backend.restore(segment.group, segment.full, &segment.bytes).unwrap();
    }
    contents(&mut backend)
}

fn play(steps: &[Step]) {
    let mut backend = new(&states(), &[]).unwrap();
    let (mut model, mut at_start, mut chain) = (Model::default(), None, Vec::new());
    let mut next_element = 0;
    for (number, step) in (0..).zip(steps) {
        let mut writes = WriteSet::new(backend.schema.states());
        begin(&mut backend, &[7], Now::default());
        match *step {
            Step::Put { from, count, stride } => {
                let entries = (0..u64::from(count)).map(|entry| u64::from(from) + entry * stride);
                let keys: Vec<u64> = entries.collect();
                model[0].extend(keys.iter().map(|key| (*key, number)));
                let values = Column::Words(vec![number; keys.len()]);
                let slots = vec![0; keys.len()];
                writes.put_entries(StateId(0), &slots, &Column::Words(keys), &values);
            }
            Step::Remove { from, count } => {
                let keys: Vec<u64> = (u64::from(from)..u64::from(from + count)).collect();
                model[0].retain(|key, _| keys.binary_search(key).is_err());
                let slots = vec![0; keys.len()];
                writes.remove_entries(StateId(0), &slots, &Column::Words(keys));
            }
            Step::Append(count) => {
                let numbers = next_element..next_element + u64::from(count);
                next_element = numbers.end;
                model[1].extend(numbers.map(|element| (element, number)));
                let values = Column::Words(vec![number; usize::from(count)]);
                writes.append(StateId(1), &vec![0; usize::from(count)], &values);
            }
            Step::Shorten(count) => {
                let keys: Vec<u64> = model[1].keys().take(usize::from(count)).copied().collect();
                model[1].retain(|key, _| keys.binary_search(key).is_err());
                let slots = vec![0; keys.len()];
                writes.remove_entries(StateId(1), &slots, &Column::Words(keys));
            }
            Step::Clear => {
                model = Model::default();
                writes.clear_entries(StateId(0), &[0]);
                writes.clear_entries(StateId(1), &[0]);
            }
            Step::Start | Step::Advance(_) => {}
        }
        backend.commit(&writes).unwrap();
        if let (Step::Start, None) = (step, &at_start) {
            backend.start_snapshot(number, false).unwrap();
            at_start = Some(model.clone());
        }
        if let Step::Advance(budget) = step
            && let Some(snapshot) = backend.advance_snapshot(usize::from(*budget)).unwrap()
        {
            assert_eq!(Some(restored(&mut chain, snapshot)), at_start.take());
        }
        assert_eq!(contents(&mut backend), model);
        assert_eq!(backend.entries(), (model[0].len() + model[1].len()) as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn large_maps_and_lists_match_the_model(steps in vec(step(), 0..60)) {
        play(&steps);
    }
}

#[test]
fn a_step_of_a_snapshot_is_short_however_large_a_map_is() {
    let mut backend = new(&states(), &[]).unwrap();
    play_put(&mut backend, 0..50_000);
    backend.start_snapshot(1, false).unwrap();
    let mut steps = 0;
    while backend.advance_snapshot(1000).unwrap().is_none() {
        steps += 1;
        play_put(&mut backend, 50_000 + steps..50_001 + steps);
    }
    assert!(steps >= 49, "50000 entries took {steps} steps of 1000");
}

fn play_put(backend: &mut HeapBackend, keys: std::ops::Range<u64>) {
    begin(backend, &[7], Now::default());
    let mut writes = WriteSet::new(backend.schema.states());
    let keys = Column::Words(keys.collect());
    writes.put_entries(StateId(0), &vec![0; keys.len()], &keys, &keys);
    backend.commit(&writes).unwrap();
}

#[test]
fn entries_that_come_and_go_between_snapshots_leave_nothing() {
    let mut backend = new(&states(), &[]).unwrap();
    play_put(&mut backend, 0..10);
    finish(&mut backend, 1);
    let before = backend.allocated_bytes();
    for round in 1..2000_u64 {
        play_put(&mut backend, round * 100..round * 100 + 50);
        begin(&mut backend, &[7], Now::default());
        let mut writes = WriteSet::new(backend.schema.states());
        let keys = Column::Words((round * 100..round * 100 + 50).collect());
        writes.remove_entries(StateId(0), &[0; 50], &keys);
        backend.commit(&writes).unwrap();
    }
    let after = backend.allocated_bytes();
    assert!(after < before + 10_000, "{after} bytes, from {before}");
    assert_eq!(finish(&mut backend, 2).segments, [], "nothing changed");
}

/// What the second snapshot may cost after one in a hundred was touched at random.
#[test]
fn an_increment_is_about_as_long_as_what_was_touched() {
    let keys: Vec<u64> = (0..100_000).collect();
    let touched: Vec<u64> = keys.iter().map(|key| key * 7919 % 100_000).take(1000).collect();
    let states = [state("sum"), states()[0].clone()];
    let mut backend = new(&states, &[]).unwrap();
    let write = |backend: &mut HeapBackend, keys: &[u64]| {
        begin(backend, keys, Now::default());
        let mut writes = WriteSet::new(&states);
        let slots: Vec<u32> = (0..keys.len() as u32).collect();
        writes.set_words(StateId(0), &slots, keys);
        let column = Column::Words(keys.to_vec());
        writes.put_entries(StateId(1), &slots, &column, &column);
        backend.commit(&writes).unwrap();
    };
    write(&mut backend, &keys);
    finish(&mut backend, 1);
    write(&mut backend, &touched);
    let increment = finish(&mut backend, 2);
    let bytes: usize = increment.segments.iter().map(|segment| segment.bytes.len()).sum();
    // A tag of one byte, and words for key and value, or key, entry key and value.
    let touched = touched.len() * (1 + 2 * 8 + 1 + 3 * 8);
    assert!(bytes * 2 <= touched * 3, "{bytes} bytes for {touched} of touched entries");
}

/// What hundreds of snapshots cost if one key in a hundred changes between them, groups that are written anew included.
#[test]
fn a_long_chain_costs_at_most_twice_what_changed() {
    let keys: Vec<u64> = (0..100_000).collect();
    let mut backend = new(&[state("sum")], &[]).unwrap();
    write_sums(&mut backend, &keys);
    finish(&mut backend, 1);
    let (mut written, mut most) = (0, 0);
    let snapshots = 500;
    for epoch in 2..2 + snapshots {
        let touched: Vec<u64> = (0..1000).map(|i| (i * 7919 + epoch * 104_729) % 100_000).collect();
        write_sums(&mut backend, &touched);
        let segments = finish(&mut backend, epoch).segments;
        let bytes = segments.iter().map(|segment| segment.bytes.len()).sum::<usize>();
        (written, most) = (written + bytes, most.max(bytes));
    }
    // A tag of one byte, and words for key and value.
    let (touched, all) = (1000 * (1 + 2 * 8), 100_000 * (1 + 2 * 8));
    let changed = touched * snapshots as usize;
    assert!(written <= 2 * changed, "{written} bytes for {changed} of changed entries");
    assert!(
        most <= all / 8,
        "{most} bytes in one snapshot: groups are not written anew all at once"
    );
}

fn write_sums(backend: &mut HeapBackend, keys: &[u64]) {
    begin(backend, keys, Now::default());
    let mut writes = WriteSet::new(backend.schema.states());
    let slots: Vec<u32> = (0..keys.len() as u32).collect();
    writes.set_words(StateId(0), &slots, keys);
    backend.commit(&writes).unwrap();
}

/// A full segment has its rows in the order of their hashes, the worst order for a table that grows.
#[test]
fn a_restored_table_has_room_from_the_first_row_on() {
    let keys: Vec<u64> = (0..200_000).collect();
    let groups = KeyGroups::new(1).unwrap();
    let states = [state("sum")];
    let make = || {
        HeapBackend::new(KeyLayout::U64, &states, &[], groups, KeyGroupRange::all(groups)).unwrap()
    };
    let mut backend = make();
    write_sums(&mut backend, &keys);
    let segments = finish(&mut backend, 1).segments;
    let mut restored = make();
    restored.restore(segments[0].group, true, &segments[0].bytes).unwrap();
    assert_eq!(restored.entries(), 200_000);
    // The size that its rows get at once. One that grew with its rows would have stopped at another.
    let at_once = (200_000 * 2_usize).div_ceil(3) * 64;
    let held = restored.allocated_bytes();
    assert!((at_once..at_once + at_once / 100).contains(&held), "{held} bytes, not {at_once}");
}
