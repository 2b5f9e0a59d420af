//! Other declarations while the backend runs, and going back.

use super::bed::*;
use super::*;
use crate::conformance::Setup;
use crate::declaration::{StateKind, TimerId, Ttl, TtlUpdate, TtlVisibility, ValueLayout};
use crate::writes::TimerChange;

fn value(name: &str) -> StateDeclaration {
    state(name, StateKind::Value, ValueLayout::U64)
}

fn total() -> StateDeclaration {
    state("total", StateKind::Reducing, ValueLayout::U64)
}

fn at_version(schema_version: u32, state: StateDeclaration) -> StateDeclaration {
    StateDeclaration { schema_version, ..state }
}

fn alarm() -> TimerDeclaration {
    TimerDeclaration { name: "alarm".to_owned(), domain: TimeDomain::EventTime }
}

fn retry() -> TimerDeclaration {
    TimerDeclaration { name: "retry".to_owned(), domain: TimeDomain::EventTime }
}

/// Keys and values that RocksDB has, the catalog left out.
fn stored(backend: &RocksBackend) -> usize {
    let mut rows = 0;
    let count = |_: &[u8], _: &[u8]| {
        rows += 1;
        Ok(true)
    };
    backend.database.scan(Vec::new(), vec![0xff], false, count).unwrap();
    rows
}

fn merge_into(backend: &mut RocksBackend, state: u32, keys: &[u64], delta: u64) {
    let slots: Vec<u32> = (0..keys.len() as u32).collect();
    let deltas = Column::Words(vec![delta; keys.len()]);
    commit(backend, keys, 0, |set| set.merge(StateId(state), &slots, &deltas)).unwrap();
}

/// One value for each key.
fn all(keys: &[u64], value: Option<u64>) -> Vec<Option<u64>> {
    vec![value; keys.len()]
}

#[test]
fn what_is_kept_stays_and_what_is_new_is_empty_whatever_the_order() {
    for options in [RocksOptions::default(), tiny()] {
        let bed = Bed::new(options);
        let items = state("items", StateKind::List, ValueLayout::U64);
        let setup = for_states(vec![value("a"), total(), items.clone(), value("b")]);
        let mut backend = bed.backend(&setup);
        let keys: Vec<u64> = (0..100).collect();
        put(&mut backend, 0, &keys, &keys, 0);
        put(&mut backend, 3, &keys, &keys, 0);
        merge_into(&mut backend, 1, &keys, 5);
        let one = Column::Words(vec![7]);
        commit(&mut backend, &[1], 0, |set| set.append(StateId(2), &[0], &one)).unwrap();
        set_timer(&mut backend, 1, 5);
        let now = [value("c"), items, total(), value("a")];
        backend.evolve(&now, &[retry(), alarm()]).unwrap();
        assert_eq!(backend.declared().0, now);
        assert_eq!(get(&mut backend, 0, &keys, 0), all(&keys, None));
        assert_eq!(list(&mut backend, 1, 1), [7]);
        assert_eq!(get(&mut backend, 2, &keys, 0), all(&keys, Some(5)));
        let same: Vec<_> = keys.iter().copied().map(Some).collect();
        assert_eq!(get(&mut backend, 3, &keys, 0), same);
        let due = backend.due_timers(TimeDomain::EventTime, 9, 9).unwrap();
        assert_eq!((due.timer, due.times), (TimerId(1), vec![5]));
        put(&mut backend, 0, &keys, &keys, 0);
        merge_into(&mut backend, 2, &keys, 1);
        let tables = snapshot(&mut backend, 1);
        let mut restored = bed.backend(&for_states(now.to_vec()));
        assert!(
            restored.restore_tables(tables.directory()).is_err(),
            "the timers are not declared"
        );
        let setup = Setup { timers: vec![alarm(), retry()], ..for_states(now.to_vec()) };
        let mut restored = bed.backend(&setup);
        restored.restore_tables(tables.directory()).unwrap();
        assert_eq!(get(&mut restored, 0, &keys, 0), same);
        assert_eq!(get(&mut restored, 2, &keys, 0), all(&keys, Some(6)));
        assert_eq!(restored.next_timer(TimeDomain::EventTime), Some(5));
    }
}

#[test]
fn what_is_removed_is_gone_and_does_not_come_back_with_its_name() {
    let bed = Bed::new(RocksOptions::default());
    let items = state("items", StateKind::List, ValueLayout::U64);
    let with = vec![value("a"), items, total()];
    let without = vec![value("a")];
    let mut backend = bed.backend(&for_states(with.clone()));
    let keys: Vec<u64> = (0..50).collect();
    for round in 0..3 {
        put(&mut backend, 0, &keys, &keys, 0);
        merge_into(&mut backend, 2, &keys, 5);
        let one = Column::Words(vec![7]);
        commit(&mut backend, &[1], 0, |set| set.append(StateId(1), &[0], &one)).unwrap();
        set_timer(&mut backend, 1, 5);
        if round > 0 {
            // What there is lies in tables, or in memory.
            snapshot(&mut backend, round);
        }
        backend.evolve(&without, &[]).unwrap();
        assert_eq!(backend.next_timer(TimeDomain::EventTime), None);
        if round > 1 {
            snapshot(&mut backend, 10 + round);
            assert_eq!(stored(&backend), keys.len(), "only what is served is stored");
        }
        backend.evolve(&with, &[alarm()]).unwrap();
        assert_eq!(get(&mut backend, 2, &keys, 0), all(&keys, None));
        assert!(list(&mut backend, 1, 1).is_empty());
        assert_eq!((backend.values(StateId(1)), backend.values(StateId(2))), (0, 0));
        assert_eq!(backend.next_timer(TimeDomain::EventTime), None);
    }
    merge_into(&mut backend, 2, &keys[..1], 1);
    let tables = snapshot(&mut backend, 20);
    let elsewhere = Setup { range: KeyGroupRange { start: 0, end: 4 }, ..for_states(with.clone()) };
    for setup in [for_states(with), elsewhere] {
        let mut restored = bed.backend(&setup);
        restored.restore_tables(tables.directory()).unwrap();
        let mine = owned(&setup, 0..50);
        let found = get(&mut restored, 2, &mine, 0);
        assert!(mine.iter().zip(found).all(|(&key, found)| found == (key == 0).then_some(1)));
        let first = owned(&setup, 1..2).first().map(|&key| list(&mut restored, 1, key));
        assert!(first.is_none_or(|list| list.is_empty()));
        assert_eq!(restored.next_timer(TimeDomain::EventTime), None);
    }
}

#[test]
fn timers_that_are_restored_in_another_order_are_deleted_where_they_are() {
    let bed = Bed::new(RocksOptions::default());
    let with = |timers| Setup { timers, ..for_states(vec![value("a")]) };
    let mut backend = bed.backend(&with(vec![alarm()]));
    set_timer(&mut backend, 1, 5);
    backend.evolve(&[value("a")], &[retry(), alarm()]).unwrap();
    let mut tables = snapshot(&mut backend, 1);
    for epoch in 2..4 {
        let mut restored = bed.backend(&with(vec![retry(), alarm()]));
        restored.restore_tables(tables.directory()).unwrap();
        let due = restored.due_timers(TimeDomain::EventTime, 99, 9).unwrap();
        assert_eq!((due.timer, due.times), (TimerId(1), vec![5]));
        let change =
            |timer, set| TimerChange { timer: TimerId(timer), slot: 0, namespace: 7, time: 5, set };
        commit(&mut restored, &[1], 0, |set| set.change_timer(change(1, false))).unwrap();
        commit(&mut restored, &[1], 0, |set| set.change_timer(change(0, true))).unwrap();
        let changed = snapshot(&mut restored, 10 + epoch);
        let mut again = bed.backend(&with(vec![retry(), alarm()]));
        again.restore_tables(changed.directory()).unwrap();
        let due = again.due_timers(TimeDomain::EventTime, 99, 9).unwrap();
        assert_eq!((due.timer, due.times), (TimerId(0), vec![5]));
        commit(&mut again, &[1], 0, |set| set.change_timer(change(0, false))).unwrap();
        assert_eq!(again.next_timer(TimeDomain::EventTime), None);
        commit(&mut again, &[1], 0, |set| set.change_timer(change(1, true))).unwrap();
        tables = snapshot(&mut again, 20 + epoch);
    }
}

#[test]
fn tags_are_not_given_twice_also_after_a_restore() {
    let bed = Bed::new(RocksOptions::default());
    let mut backend = bed.backend(&for_states(vec![value("a"), value("b")]));
    backend.evolve(&[value("a")], &[alarm()]).unwrap();
    let tables = snapshot(&mut backend, 1);
    let setup = for_states(vec![value("a")]);
    let mut restored = bed.backend(&setup);
    restored.restore_tables(tables.directory()).unwrap();
    restored.evolve(&[value("a"), value("c")], &[alarm()]).unwrap();
    assert_eq!(restored.tags.states, [1, 3], "2 was that of `b`");
}

#[test]
fn states_of_one_name_are_told_apart_by_their_schema_version() {
    let bed = Bed::new(RocksOptions::default());
    let (old, new) =
        (value("sum"), at_version(2, state("sum", StateKind::Value, ValueLayout::Bytes)));
    let mut backend = bed.backend(&for_states(vec![old.clone()]));
    put(&mut backend, 0, &[1, 2], &[10, 20], 0);
    backend.evolve(&[new.clone(), old.clone()], &[alarm()]).unwrap();
    commit(&mut backend, &[1], 0, |set| set.set_bytes(StateId(0), 0, b"new")).unwrap();
    assert_eq!(get(&mut backend, 1, &[1, 2], 0), [Some(10), Some(20)]);
    let tables = snapshot(&mut backend, 1);
    let error = bed.backend(&for_states(vec![new.clone()])).restore_tables(tables.directory());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`sum` of schema version 1"), "{error}");
    for range in [KeyGroupRange { start: 0, end: 8 }, KeyGroupRange { start: 0, end: 7 }] {
        let setup = Setup { range, ..for_states(vec![old.clone(), new.clone()]) };
        let mut restored = bed.backend(&setup);
        restored.restore_tables(tables.directory()).unwrap();
        for key in owned(&setup, 1..3) {
            assert_eq!(get(&mut restored, 0, &[key], 0), [Some(key * 10)]);
            let mut window = Window::new(false);
            begin(&mut restored, &[key], 0).unwrap();
            restored.load(StateId(1), &mut window).unwrap();
            assert_eq!(window.present.get(0), key == 1);
        }
    }
}

#[test]
fn a_time_to_live_may_get_longer_and_nothing_else_may_change() {
    let bed = Bed::new(RocksOptions::default());
    let life = |milliseconds| Ttl {
        milliseconds,
        domain: TimeDomain::ProcessingTime,
        update: TtlUpdate::OnCreateAndWrite,
        visibility: TtlVisibility::NeverReturnExpired,
    };
    let mut backend = bed.backend(&for_states(vec![expiring(value("a"), life(10))]));
    put(&mut backend, 0, &[1], &[5], 0);
    backend.evolve(&[expiring(value("a"), life(100))], &[alarm()]).unwrap();
    begin(&mut backend, &[], 50).unwrap();
    backend.compact().unwrap();
    assert_eq!(get(&mut backend, 0, &[1], 50), [Some(5)]);
    assert_eq!(get(&mut backend, 0, &[1], 100), [None]);
    let refused = [
        value("a"),
        expiring(state("a", StateKind::Value, ValueLayout::S64), life(10)),
        expiring(value("a"), Ttl { domain: TimeDomain::EventTime, ..life(10) }),
        expiring(state("a", StateKind::List, ValueLayout::U64), life(10)),
    ];
    for state in refused {
        let error = backend.evolve(&[value("b"), state], &[]).unwrap_err();
        assert!(error.to_string().contains("`a`"), "{error}");
    }
    assert_eq!(backend.declared().0, [expiring(value("a"), life(100))]);
    assert_eq!(backend.declared().1, [alarm()], "what is refused changes nothing");
    backend.start_snapshot(1, false).unwrap();
    assert!(backend.evolve(&[value("b")], &[]).is_err(), "a snapshot runs");
}

fn hold(backend: &mut RocksBackend, epoch: u64) -> Tables {
    backend.start_snapshot(epoch, false).unwrap();
    backend.hold();
    backend.advance_snapshot(usize::MAX).unwrap().unwrap().tables.unwrap()
}

fn timer(timer: u32, time: i64, set: bool) -> TimerChange {
    TimerChange { timer: TimerId(timer), slot: 0, namespace: 0, time, set }
}

#[test]
fn all_is_as_it_was_after_going_back() {
    for options in [RocksOptions::default(), tiny()] {
        let bed = Bed::new(options);
        let items = state("items", StateKind::List, ValueLayout::U64);
        let before = vec![value("a"), items, total()];
        let setup = Setup { timers: vec![alarm(), retry()], ..for_states(before.clone()) };
        let mut backend = bed.backend(&setup);
        let keys: Vec<u64> = (0..200).collect();
        put(&mut backend, 0, &keys, &keys, 0);
        merge_into(&mut backend, 2, &keys, 5);
        let element = |word| Column::Words(vec![word]);
        commit(&mut backend, &[1], 0, |set| {
            set.append(StateId(1), &[0], &element(7));
            set.change_timer(timer(0, 5, true));
            set.change_timer(timer(1, 6, true));
        })
        .unwrap();
        for round in 0..3 {
            drop(hold(&mut backend, 1 + round));
            let after = vec![total(), value("b")];
            if round != 1 {
                backend.evolve(&after, &[retry()]).unwrap();
                merge_into(&mut backend, 0, &keys, 1);
                put(&mut backend, 1, &keys, &keys, 0);
                commit(&mut backend, &[1], 0, |set| {
                    set.change_timer(timer(0, 6, false));
                    set.change_timer(timer(0, 60, true));
                })
                .unwrap();
                let again = TimerDeclaration { domain: TimeDomain::ProcessingTime, ..alarm() };
                backend.evolve(&after, &[again, retry()]).unwrap();
                commit(&mut backend, &[1], 0, |set| set.change_timer(timer(0, 1, true))).unwrap();
            } else {
                put(&mut backend, 0, &keys, &vec![0; 200], 0);
                commit(&mut backend, &[1], 0, |set| set.append(StateId(1), &[0], &element(8)))
                    .unwrap();
                commit(&mut backend, &[1], 0, |set| set.change_timer(timer(0, 5, false))).unwrap();
            }
            assert!(backend.revert().unwrap());
            assert_eq!(backend.declared().0, before);
            assert_eq!(backend.declared().1, [alarm(), retry()]);
            let same: Vec<_> = keys.iter().copied().map(Some).collect();
            assert_eq!(get(&mut backend, 0, &keys, 0), same);
            assert_eq!(get(&mut backend, 2, &keys, 0), all(&keys, Some(5)));
            assert_eq!(list(&mut backend, 1, 1), [7]);
            assert_eq!(backend.next_timer(TimeDomain::EventTime), Some(5));
            assert_eq!(backend.next_timer(TimeDomain::ProcessingTime), None);
        }
        // It goes on as if nothing had been, and so does what is restored from it.
        commit(&mut backend, &[1], 0, |set| set.append(StateId(1), &[0], &element(9))).unwrap();
        let tables = snapshot(&mut backend, 9);
        let mut restored = bed.backend(&setup);
        restored.restore_tables(tables.directory()).unwrap();
        assert_eq!(list(&mut restored, 1, 1), [7, 9]);
        let due = restored.due_timers(TimeDomain::EventTime, 99, 9).unwrap();
        assert_eq!((due.timer, due.times), (TimerId(0), vec![5]));
        commit(&mut restored, &[1], 0, |set| set.change_timer(timer(0, 5, false))).unwrap();
        let due = restored.due_timers(TimeDomain::EventTime, 99, 9).unwrap();
        assert_eq!((due.timer, due.times), (TimerId(1), vec![6]));
    }
}

#[test]
fn there_is_no_way_back_but_to_the_snapshot_that_was_just_started() {
    let bed = Bed::new(RocksOptions::default());
    let setup = for_states(vec![value("a")]);
    let refused = |act: &dyn Fn(&mut RocksBackend)| {
        let mut backend = bed.backend(&setup);
        put(&mut backend, 0, &[1], &[1], 0);
        act(&mut backend);
        put(&mut backend, 0, &[1], &[2], 0);
        assert!(!backend.revert().unwrap());
    };
    refused(&|backend| backend.hold());
    refused(&|backend| {
        backend.start_snapshot(1, false).unwrap();
        put(backend, 0, &[1], &[2], 0);
        backend.hold();
    });
    refused(&|backend| {
        drop(hold(backend, 1));
        backend.release();
    });
    refused(&|backend| {
        drop(hold(backend, 1));
        drop(snapshot(backend, 2));
    });
    let mut backend = bed.backend(&setup);
    drop(hold(&mut backend, 1));
    assert!(backend.revert().unwrap());
    assert!(!backend.revert().unwrap(), "once is enough");
}

#[test]
fn files_that_are_held_go_when_they_are_released() {
    let bed = Bed::new(RocksOptions::default());
    let mut backend = bed.backend(&for_states(vec![value("a")]));
    put(&mut backend, 0, &[1], &[1], 0);
    let directory = hold(&mut backend, 1).directory().to_owned();
    assert!(directory.join("CURRENT").exists());
    backend.release();
    assert!(!directory.exists());
}

#[test]
fn caches_share_the_room_whatever_is_added() {
    let bed = Bed::new(RocksOptions { write_behind_cache: 200 << 10, ..RocksOptions::default() });
    let mut backend = bed.backend(&for_states(vec![value("a")]));
    let mut states = vec![value("a")];
    for round in 0..4 {
        for first in (0..8000).step_by(500) {
            let keys: Vec<u64> = (first..first + 500).collect();
            for state in 0..states.len() as u32 {
                put(&mut backend, state, &keys, &vec![u64::from(state) + first; 500], 0);
            }
            assert!(backend.cells.used_bytes() <= 200 << 10, "round {round}");
        }
        states.push(value(&format!("new-{round}")));
        backend.evolve(&states, &[alarm()]).unwrap();
    }
    for state in 0..4 {
        assert_eq!(
            get(&mut backend, state, &[2, 7999], 0),
            [0, 7500].map(|n| Some(n + u64::from(state)))
        );
    }
    // Those that are not needed go, and with the last one the memory.
    backend.evolve(&[value("b")], &[]).unwrap();
    assert!(backend.cells.used_bytes() < 1000);
    assert_eq!(get(&mut backend, 0, &[1], 0), [None]);
}
