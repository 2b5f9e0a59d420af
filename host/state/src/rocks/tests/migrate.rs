//! Values that move from one form of a state to another.

use std::collections::BTreeMap;

use super::bed::*;
use super::*;
use crate::conformance::Setup;
use crate::declaration::{StateKind, Ttl, TtlUpdate, TtlVisibility, ValueLayout};
use crate::evolve::Converted;

const MOVE: Move = Move { from: StateId(1), to: StateId(0) };

fn state_at(version: u32, kind: StateKind, value: ValueLayout) -> StateDeclaration {
    StateDeclaration { schema_version: version, ..state("sum", kind, value) }
}

/// A backend that has served version 1, and now serves version 2 before it.
fn evolved(bed: &Bed, kind: StateKind, fill: impl FnOnce(&mut RocksBackend)) -> RocksBackend {
    let old = state_at(1, kind, ValueLayout::U64);
    let new = state_at(2, kind, ValueLayout::Bytes);
    let mut backend = bed.backend(&for_states(vec![old.clone()]));
    fill(&mut backend);
    let timers = backend.declared().1.to_vec();
    backend.evolve(&[new, old], &timers).unwrap();
    backend
}

/// Numbers become text; multiples of ten, where they fail, cannot.
fn to_text(fails: bool) -> impl FnMut(&Column) -> Result<Converted, Error> {
    move |values| {
        let Column::Words(words) = values else { panic!("they are words") };
        let mut text = crate::BytesColumn::default();
        let mut failed = Vec::new();
        for (row, word) in (0..).zip(words) {
            let fails = fails && word % 10 == 0;
            if fails {
                failed.push((row, format!("{word} is too round")));
            }
            text.push(if fails { "".to_owned() } else { word.to_string() }.as_bytes());
        }
        Ok(Converted { values: Column::Bytes(text), failed })
    }
}

fn text(backend: &mut RocksBackend, keys: &[u64], now: i64) -> Vec<Option<String>> {
    begin(backend, keys, now).unwrap();
    let mut window = Window::new(false);
    backend.load(StateId(0), &mut window).unwrap();
    let Column::Bytes(rows) = &window.values else { panic!("the state holds bytes") };
    let row = |row| String::from_utf8(rows.get(row).to_vec()).unwrap();
    (0..keys.len()).map(|slot| window.present.get(slot).then(|| row(slot))).collect()
}

fn numbers(keys: &[u64]) -> Vec<Option<String>> {
    keys.iter().map(|key| Some(key.to_string())).collect()
}

/// Moves everything by sweeps of so many, and says how many moved and failed.
fn sweep(backend: &mut RocksBackend, limit: usize, fails: bool) -> (u64, usize) {
    let (mut moved, mut failed) = (0, 0);
    for _ in 0..100_000 {
        let step = backend.migrate(MOVE, Which::Next(limit), &mut to_text(fails)).unwrap();
        assert!(step.moved as usize + step.failed.len() <= limit);
        assert!(step.failed.iter().all(|failed| failed.slot.is_none()));
        moved += step.moved;
        failed += step.failed.len();
        if step.done {
            return (moved, failed);
        }
    }
    panic!("the sweep does not end");
}

#[test]
fn a_sweep_moves_what_is_in_files_in_memory_and_not_yet_written() {
    for (options, limit) in [(RocksOptions::default(), 7), (tiny(), 7), (tiny(), usize::MAX)] {
        let bed = Bed::new(options);
        let keys: Vec<u64> = (0..300).collect();
        let mut backend = evolved(&bed, StateKind::Value, |backend| {
            put(backend, 0, &keys[..200], &keys[..200], 0);
            snapshot(backend, 1);
            put(backend, 0, &keys[100..], &keys[100..], 0);
        });
        assert!(backend.values(StateId(1)) > 0);
        assert_eq!(sweep(&mut backend, limit, false), (300, 0));
        assert_eq!((backend.values(StateId(1)), backend.values(StateId(0))), (0, 300));
        assert_eq!(text(&mut backend, &keys, 0), numbers(&keys));
        assert_eq!(get(&mut backend, 1, &keys, 0), vec![None; 300]);
        // What is restored is all new, and there is nothing to sweep.
        let tables = snapshot(&mut backend, 2);
        let mut restored = bed.backend(&for_states(backend.declared().0.to_vec()));
        restored.restore_tables(tables.directory()).unwrap();
        assert_eq!(restored.values(StateId(1)), 0);
        assert_eq!(sweep(&mut restored, limit, false), (0, 0));
        assert_eq!(text(&mut restored, &keys, 0), numbers(&keys));
        restored.evolve(&backend.declared().0[..1], backend.declared().1).unwrap();
        assert_eq!(text(&mut restored, &keys, 0), numbers(&keys));
    }
}

#[test]
fn keys_of_an_invocation_move_before_the_sweep_comes_to_them() {
    for options in [RocksOptions::default(), tiny()] {
        let bed = Bed::new(options);
        let keys: Vec<u64> = (0..300).collect();
        let mut backend = evolved(&bed, StateKind::Value, |backend| {
            put(backend, 0, &keys, &keys, 0);
            snapshot(backend, 1);
        });
        begin(&mut backend, &[250, 3, 999], 0).unwrap();
        let moved = backend.migrate(MOVE, Which::Invocation, &mut to_text(false)).unwrap();
        assert_eq!(moved, Moved { moved: 2, failed: Vec::new(), done: false });
        let mut set = WriteSet::new(backend.schema.states());
        set.set_bytes(StateId(0), 0, b"newer");
        set.remove(StateId(0), &[1]);
        backend.commit(&set).unwrap();
        let moved = sweep(&mut backend, 10, false);
        assert_eq!(moved, (298, 0), "what has moved is not found again");
        let newer = [Some("newer".to_owned()), None, None, Some("4".to_owned())];
        assert_eq!(text(&mut backend, &[250, 3, 999, 4], 0), newer);
        begin(&mut backend, &keys, 0).unwrap();
        let again = backend.migrate(MOVE, Which::Invocation, &mut to_text(false)).unwrap();
        assert_eq!(again, Moved::default());
    }
}

#[test]
fn a_newer_value_stays_and_the_older_one_goes_unconverted() {
    let bed = Bed::new(RocksOptions::default());
    for which in [Which::Invocation, Which::Next(100)] {
        let mut backend =
            evolved(&bed, StateKind::Value, |backend| put(backend, 0, &[1, 2], &[1, 2], 0));
        commit(&mut backend, &[1], 0, |set| set.set_bytes(StateId(0), 0, b"newer")).unwrap();
        begin(&mut backend, &[1, 2], 0).unwrap();
        let mut rows = 0;
        let mut count = |values: &Column| {
            rows += values.len();
            to_text(false)(values)
        };
        backend.migrate(MOVE, which, &mut count).unwrap();
        assert_eq!(rows, 1);
        assert_eq!(get(&mut backend, 1, &[1, 2], 0), [None, None]);
        let expected = [Some("newer".to_owned()), Some("2".to_owned())];
        assert_eq!(text(&mut backend, &[1, 2], 0), expected);
    }
}

#[test]
fn what_cannot_be_converted_stays_with_its_reason_until_it_can() {
    let bed = Bed::new(RocksOptions::default());
    for flushed in [false, true] {
        let keys: Vec<u64> = (1..=100).collect();
        let mut backend = evolved(&bed, StateKind::Value, |backend| {
            put(backend, 0, &keys, &keys, 0);
            if flushed {
                snapshot(backend, 1);
            }
        });
        assert_eq!(sweep(&mut backend, 9, true), (90, 10));
        assert_eq!(backend.values(StateId(1)), 10);
        begin(&mut backend, &[11, 40, 50], 0).unwrap();
        let moved = backend.migrate(MOVE, Which::Invocation, &mut to_text(true)).unwrap();
        let failed: Vec<_> = moved.failed.iter().map(|it| (it.slot, it.key.clone())).collect();
        let key = |key| Column::Words(vec![key]);
        assert_eq!(failed, [(Some(1), key(40)), (Some(2), key(50))]);
        assert_eq!(moved.failed[0].reason, "40 is too round");
        assert_eq!(get(&mut backend, 1, &[10, 11, 20], 0), [Some(10), None, Some(20)]);
        begin(&mut backend, &keys, 0).unwrap();
        let moved = backend.migrate(MOVE, Which::Invocation, &mut to_text(false)).unwrap();
        assert_eq!(moved.moved, 10);
        assert_eq!(text(&mut backend, &keys, 0), numbers(&keys));
        assert_eq!(backend.values(StateId(1)), 0);
    }
}

#[test]
fn a_conversion_that_fails_altogether_loses_nothing() {
    let bed = Bed::new(RocksOptions::default());
    for flushed in [false, true] {
        for which in [Which::Invocation, Which::Next(20)] {
            let keys: Vec<u64> = (1..=100).collect();
            let mut backend = evolved(&bed, StateKind::Value, |backend| {
                put(backend, 0, &keys, &keys, 0);
                if flushed {
                    snapshot(backend, 1);
                }
            });
            begin(&mut backend, &keys, 0).unwrap();
            let mut fail = |_: &Column| Err(Error::Access { reason: "out of fuel".to_owned() });
            let error = backend.migrate(MOVE, which, &mut fail).unwrap_err();
            assert!(error.to_string().contains("out of fuel"), "{error}");
            let mut short =
                |_: &Column| Ok(Converted { values: Column::empty(false), failed: Vec::new() });
            assert!(backend.migrate(MOVE, which, &mut short).is_err());
            assert_eq!(sweep(&mut backend, 30, false), (100, 0));
            assert_eq!(text(&mut backend, &keys, 0), numbers(&keys));
        }
    }
}

#[test]
fn entries_keep_their_keys_and_order() {
    for kind in [StateKind::List, StateKind::Map] {
        for (options, by_invocation) in
            [(tiny(), true), (tiny(), false), (RocksOptions::default(), false)]
        {
            let bed = Bed::new(options);
            let mut backend = evolved(&bed, kind, |backend| {
                for key in 0..40_u64 {
                    let words: Vec<u64> = (1..=5).map(|n| key * 100 + n).collect();
                    let (slots, words) = (vec![0; 5], Column::Words(words));
                    commit(backend, &[key], 0, |set| match kind {
                        StateKind::List => set.append(StateId(0), &slots, &words),
                        _ => set.put_entries(StateId(0), &slots, &words, &words),
                    })
                    .unwrap();
                }
            });
            if by_invocation {
                let keys: Vec<u64> = (0..40).collect();
                begin(&mut backend, &keys, 0).unwrap();
                let moved = backend.migrate(MOVE, Which::Invocation, &mut to_text(false)).unwrap();
                assert_eq!(moved.moved, 200);
                assert_eq!(sweep(&mut backend, 9, false), (0, 0));
            } else {
                assert_eq!(sweep(&mut backend, 9, false), (200, 0));
            }
            assert_eq!(backend.values(StateId(1)), 0);
            for key in 0..40_u64 {
                begin(&mut backend, &[key], 0).unwrap();
                let mut entries = Entries::new(true, false);
                backend.scan(StateId(0), &Scan::all(0, 99), &mut entries).unwrap();
                let expected: Vec<u64> = (1..=5).map(|n| key * 100 + n).collect();
                let Column::Bytes(values) = &entries.values else { panic!("it holds bytes") };
                let text: Vec<_> = values.iter().map(|it| String::from_utf8_lossy(it)).collect();
                assert_eq!(text, expected.iter().map(u64::to_string).collect::<Vec<_>>());
                if kind == StateKind::Map {
                    assert_eq!(entries.keys, Column::Words(expected));
                }
            }
        }
    }
}

#[test]
fn stamps_stay_where_the_clock_does() {
    let life = Ttl {
        milliseconds: 10,
        domain: TimeDomain::ProcessingTime,
        update: TtlUpdate::OnCreateAndWrite,
        visibility: TtlVisibility::NeverReturnExpired,
    };
    let other = Ttl { domain: TimeDomain::EventTime, ..life };
    let bed = Bed::new(RocksOptions::default());
    for (from, to, lives) in [
        (Some(life), Some(life), false),
        (Some(life), None, true),
        (None, Some(life), true),
        (Some(other), Some(life), true),
    ] {
        for flushed in [false, true] {
            for which in [Which::Invocation, Which::Next(100)] {
                let with = |ttl, state| StateDeclaration { ttl, ..state };
                let old = with(from, state_at(1, StateKind::Value, ValueLayout::U64));
                let new = with(to, state_at(2, StateKind::Value, ValueLayout::Bytes));
                let mut backend = bed.backend(&for_states(vec![old.clone()]));
                put(&mut backend, 0, &[7], &[7], 5);
                if flushed {
                    snapshot(&mut backend, 1);
                }
                backend.evolve(&[new, old], &[]).unwrap();
                begin(&mut backend, &[7], 6).unwrap();
                let moved = backend.migrate(MOVE, which, &mut to_text(false)).unwrap();
                assert_eq!(moved.moved, 1);
                assert_eq!(text(&mut backend, &[7], 14), numbers(&[7]));
                assert_eq!(text(&mut backend, &[7], 15)[0].is_some(), lives);
            }
        }
    }
}

#[test]
fn merges_that_wait_are_part_of_the_value() {
    let bed = Bed::new(RocksOptions::default());
    for based in [false, true] {
        let old = state_at(1, StateKind::Reducing, ValueLayout::U64);
        let new = state_at(2, StateKind::Value, ValueLayout::Bytes);
        let mut backend = bed.backend(&for_states(vec![old.clone()]));
        let mut merge = |delta| {
            let delta = Column::Words(vec![delta]);
            commit(&mut backend, &[1], 0, |set| set.merge(StateId(0), &[0], &delta)).unwrap();
            if based {
                snapshot(&mut backend, delta.len() as u64);
            }
        };
        merge(40);
        merge(2);
        backend.evolve(&[new, old], &[]).unwrap();
        assert_eq!(sweep(&mut backend, 5, false), (1, 0));
        assert_eq!(text(&mut backend, &[1], 0), numbers(&[42]));
    }
}

#[test]
fn moving_back_and_forth_finds_what_is_new_each_time() {
    let bed = Bed::new(RocksOptions::default());
    let old = state_at(1, StateKind::Value, ValueLayout::U64);
    let new = state_at(2, StateKind::Value, ValueLayout::U64);
    let mut backend = bed.backend(&for_states(vec![old.clone()]));
    let keys: Vec<u64> = (0..100).collect();
    put(&mut backend, 0, &keys, &keys, 0);
    for round in 0..4_u64 {
        let back = round % 2 == 1;
        let states = if back { [&old, &new] } else { [&new, &old] }.map(Clone::clone);
        backend.evolve(&states, &[]).unwrap();
        let mut add = |values: &Column| {
            let Column::Words(words) = values else { panic!("they are words") };
            let more = Column::Words(words.iter().map(|word| word + 1000).collect());
            Ok(Converted { values: more, failed: Vec::new() })
        };
        let mut moved = 0;
        for _ in 0..1000 {
            let step = backend.migrate(MOVE, Which::Next(16), &mut add).unwrap();
            moved += step.moved;
            if step.done {
                break;
            }
        }
        assert_eq!(moved, 100, "round {round}");
        put(&mut backend, 0, &keys[..10], &[(round + 1) * 1000; 10], 0);
    }
    assert_eq!(get(&mut backend, 0, &[3, 50], 0), [Some(4000), Some(4050)]);
}

#[test]
fn large_counts_are_estimated_and_never_none_by_mistake() {
    let bed = Bed::new(RocksOptions { write_behind_cache: 64 << 10, ..RocksOptions::default() });
    let setup = for_states(vec![
        state("a", StateKind::Value, ValueLayout::U64),
        state("b", StateKind::Value, ValueLayout::U64),
    ]);
    let mut backend = bed.backend(&setup);
    assert_eq!((backend.values(StateId(0)), backend.values(StateId(1))), (0, 0));
    put(&mut backend, 1, &[5], &[5], 0);
    assert_eq!(backend.values(StateId(1)), 1);
    for first in (0..40_000).step_by(1000) {
        let keys: Vec<u64> = (first..first + 1000).collect();
        put(&mut backend, 0, &keys, &keys, 0);
    }
    snapshot(&mut backend, 1);
    let counted = backend.values(StateId(0));
    assert!((20_000..80_000).contains(&counted), "{counted}");
    assert_eq!(backend.values(StateId(1)), 1);
    commit(&mut backend, &[5], 0, |set| set.remove(StateId(1), &[0])).unwrap();
    assert_eq!(backend.values(StateId(1)), 0, "what is to be removed is none");
}

#[test]
fn copies_of_keys_have_all_that_they_have_and_change_nothing() {
    for options in [RocksOptions::default(), tiny()] {
        let bed = Bed::new(options);
        let setup = for_states(vec![
            state("sum", StateKind::Value, ValueLayout::U64),
            state("items", StateKind::List, ValueLayout::U64),
            state("total", StateKind::Reducing, ValueLayout::U64),
        ]);
        let mut backend = bed.backend(&setup);
        let mut expected = BTreeMap::new();
        for round in 0..3_u64 {
            for key in 0..30_u64 {
                let word = Column::Words(vec![key + round]);
                commit(&mut backend, &[key], 0, |set| {
                    if (key + round) % 3 > 0 {
                        set.set_words(StateId(0), &[0], &[key + round]);
                    } else {
                        set.remove(StateId(0), &[0]);
                    }
                    set.append(StateId(1), &[0], &word);
                    set.merge(StateId(2), &[0], &word);
                })
                .unwrap();
                let (value, list, total): &mut (_, Vec<u64>, u64) =
                    expected.entry(key).or_default();
                *value = ((key + round) % 3 > 0).then_some(key + round);
                list.push(key + round);
                *total += key + round;
            }
            if round < 2 {
                snapshot(&mut backend, round);
            }
        }
        let wanted = [3, 4, 17, 29, 500];
        let keys = Column::Words(wanted.to_vec());
        let mut hashes = Vec::new();
        crate::key::hash_column(&keys, &mut hashes);
        let segments = backend.copy_keys(&keys, &hashes).unwrap();
        let mut copy = heap(setup.clone());
        for segment in &segments {
            assert!(segment.full);
            copy.restore(segment.group, true, &segment.bytes).unwrap();
        }
        assert_eq!(copy.entries(), segments.iter().map(|segment| segment.entries).sum::<u64>());
        for key in 0..31_u64 {
            let (value, items, total) = expected.get(&key).cloned().unwrap_or_default();
            let there = wanted.contains(&key);
            assert_eq!(get(&mut *copy, 0, &[key], 0), [value.filter(|_| there)]);
            assert_eq!(list(&mut *copy, 1, key), if there { items.clone() } else { Vec::new() });
            assert_eq!(get(&mut *copy, 2, &[key], 0), [Some(total).filter(|_| there)]);
            assert_eq!(get(&mut backend, 0, &[key], 0), [value]);
            if key < 30 {
                assert_eq!(get(&mut backend, 2, &[key], 0), [Some(total)]);
                assert_eq!(list(&mut backend, 1, key), items);
            }
        }
        let part = Setup { range: KeyGroupRange { start: 0, end: 1 }, ..setup };
        assert!(bed.backend(&part).copy_keys(&keys, &hashes).is_err(), "not all keys are its own");
    }
}
