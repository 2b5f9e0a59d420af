//! Cases about snapshots and restore.

use super::driver::{Chain, Datum, Driver, Records};
use super::states::{SUM, TEXT, setup, state, timer};
use super::{Make, Setup, heap};
use crate::declaration::{KeyLayout, TimeDomain, ValueLayout};
use crate::error::Error;
use crate::key::{KeyGroup, KeyGroupRange};
use crate::snapshot::Snapshot;

pub(super) fn run(make: Make<'_>) {
    if !make.tables {
        a_snapshot_holds_what_was_committed_before_it(make);
        an_increment_holds_the_changes_and_nothing_else(make);
        an_unused_backend_has_no_segments_and_an_emptied_one_has(make);
        after_abandoning_the_next_snapshot_is_full(make);
        increments_give_way_to_a_full_segment(make);
        increments_go_on_after_a_restore(make);
    }
    a_chain_restores_under_every_split(make);
    only_one_snapshot_runs_at_a_time(make);
    states_and_timers_are_found_by_name(make);
    what_cannot_be_restored_is_refused(make);
    a_restored_backend_snapshots_what_it_holds(make);
    what_is_removed_after_a_restore_stays_away(make);
}

/// All records of a snapshot, whatever their group.
fn records(driver: &Driver, snapshot: &Snapshot) -> Records {
    let mut all = Records::default();
    for segment in &snapshot.segments {
        all.extend(driver.records(segment));
    }
    all
}

fn a_snapshot_holds_what_was_committed_before_it(make: Make<'_>) {
    for full_before in [false, true] {
        let mut driver = Driver::new(make, &setup(KeyLayout::U64));
        if full_before {
            driver.snapshot(1, false);
        }
        let mut expected = Records::default();
        for key in 0..200_u64 {
            let writes = [
                (SUM, key.into(), Some(key.into())),
                (TEXT, key.into(), Some(Datum::Bytes(key.to_string().into_bytes()))),
            ];
            driver.commit(&writes, &[(0, key.into(), key as i64, true)]);
            let [sum, text] = writes.map(|(state, key, value)| ((state, key), value));
            expected.values.extend([sum, text]);
            expected.timers.insert((0, key.into(), key as i64, 0), true);
        }
        driver.start(2, false);
        let mut advanced = None;
        for key in 0..400_u64 {
            // Old values are overwritten and removed, new keys and timers appear, and old timers
            // go.
            let change = if key % 3 == 0 { None } else { Some(Datum::Word(1_000_000)) };
            let text = change.clone().map(|_| Datum::from("after"));
            let write = [(SUM, key.into(), change), (TEXT, key.into(), text)];
            let timers = [(0, key.into(), key as i64, key % 2 == 0), (0, key.into(), -1, true)];
            driver.commit(&write, &timers);
            if key % 4 == 0 && advanced.is_none() {
                advanced = driver.backend.advance_snapshot(1).expect("the storage works");
            }
        }
        let snapshot = advanced.unwrap_or_else(|| driver.finish());
        assert_eq!(snapshot.epoch, 2);
        assert_eq!(records(&driver, &snapshot), expected);
        assert_eq!(driver.get(SUM, &1.into()), Some(1_000_000.into()), "commits are not lost");
        assert_eq!(driver.get(SUM, &3.into()), None);
    }
}

fn an_increment_holds_the_changes_and_nothing_else(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    for key in 0..1000_u64 {
        let writes = [SUM, TEXT].map(|state| {
            (state, Datum::Word(key), Some(if state == SUM { key.into() } else { "text".into() }))
        });
        driver.commit(&writes, &[(0, key.into(), 9, true)]);
    }
    let first = driver.snapshot(1, false);
    assert!(first.segments.iter().all(|segment| segment.full), "the first segment is full");
    assert_eq!(driver.snapshot(2, false).segments, [], "nothing changed");

    driver.put(SUM, &1.into(), 10);
    driver.put(SUM, &1.into(), 11);
    driver.remove(SUM, &2.into());
    driver.remove(TEXT, &3.into());
    driver.put(TEXT, &3.into(), "again");
    driver.put(SUM, &5000.into(), 1);
    driver.commit(&[], &[(0, 4.into(), 9, false), (0, 4.into(), 10, true)]);
    let mut expected = Records::default();
    expected.values.insert((SUM, 1.into()), Some(11.into()));
    expected.values.insert((SUM, 2.into()), None);
    expected.values.insert((TEXT, 3.into()), Some("again".into()));
    expected.values.insert((SUM, 5000.into()), Some(1.into()));
    expected.timers.insert((0, 4.into(), 9, 0), false);
    expected.timers.insert((0, 4.into(), 10, 0), true);
    let increment = driver.snapshot(3, false);
    assert!(increment.segments.iter().all(|segment| !segment.full));
    assert_eq!(records(&driver, &increment), expected);
    assert_eq!(driver.snapshot(4, false).segments, []);
    let full = driver.snapshot(5, true);
    assert!(full.segments.iter().all(|segment| segment.full));
    assert_eq!(full.segments.len(), 8, "every group is written");
    let entries: u64 = full.segments.iter().map(|segment| segment.entries).sum();
    assert_eq!(entries, driver.backend.entries());
}

fn an_unused_backend_has_no_segments_and_an_emptied_one_has(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::Bytes));
    assert_eq!(driver.snapshot(1, true).segments, []);
    assert_eq!(driver.snapshot(2, false).segments, []);
    let key = Datum::from("key");
    driver.commit(&[(SUM, key.clone(), Some(1.into()))], &[(1, key.clone(), 1, true)]);
    let mut chain = Chain::default();
    chain.add(&driver.snapshot(3, false));
    driver.commit(&[(SUM, key.clone(), None)], &[(1, key.clone(), 1, false)]);
    for full in [false, true] {
        let snapshot = driver.snapshot(4, full);
        assert_eq!(snapshot.segments.len(), 1, "the emptied group has a segment");
        chain.add(&snapshot);
        let mut restored = chain.restore(make, &driver.setup, 1).remove(0);
        restored.assert_entries(0);
        assert_eq!(restored.get(SUM, &key), None);
    }
}

fn a_chain_restores_under_every_split(make: Make<'_>) {
    for layout in [KeyLayout::S64, KeyLayout::Bytes] {
        let mut driver = Driver::new(make, &setup(layout));
        let key = |number: u64| match layout {
            KeyLayout::Bytes => Datum::Bytes(number.to_string().into_bytes()),
            _ => Datum::Word(number.wrapping_neg()),
        };
        let mut chain = Chain::default();
        for epoch in 1..=4_u64 {
            for number in (0..120).filter(|number| number % epoch == 0) {
                let value = (number % 7 != epoch).then(|| Datum::Word(number + epoch));
                let timer = (2, key(number), epoch as i64, number % 3 != 0);
                driver.commit(&[(SUM, key(number), value)], &[timer]);
            }
            chain.add(&driver.snapshot(epoch, false));
        }
        let timers = {
            let mut copy = chain.restore(make, &driver.setup, 1).remove(0);
            copy.drain_timers(TimeDomain::EventTime)
        };
        for parallelism in [1, 2, 3, 5, 8, 11] {
            let mut tasks = chain.restore(make, &driver.setup, parallelism);
            let entries: u64 = tasks.iter().map(|task| task.backend.entries()).sum();
            assert!(make.tables || entries == driver.backend.entries());
            let mut restored = Vec::new();
            for task in &mut tasks {
                for number in 0..120 {
                    if task.owns(&key(number)) {
                        assert_eq!(task.get(SUM, &key(number)), driver.get(SUM, &key(number)));
                    }
                }
                restored.extend(task.drain_timers(TimeDomain::EventTime));
            }
            restored.sort_unstable();
            let mut expected = timers.clone();
            expected.sort_unstable();
            assert_eq!(restored, expected, "split over {parallelism}");
        }
    }
}

fn only_one_snapshot_runs_at_a_time(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    assert_eq!(driver.backend.advance_snapshot(10).expect("no storage is used"), None);
    driver.put(SUM, &1.into(), 1);
    driver.start(7, false);
    let refused = driver.backend.start_snapshot(8, false);
    assert!(matches!(refused, Err(Error::SnapshotRunning { epoch: 8, running: 7 })), "{refused:?}");
    assert_eq!(driver.finish().epoch, 7);
    assert_eq!(driver.backend.advance_snapshot(10).expect("no storage is used"), None);
}

fn after_abandoning_the_next_snapshot_is_full(make: Make<'_>) {
    for finish_first in [false, true] {
        let mut driver = Driver::new(make, &setup(KeyLayout::U64));
        for key in 0..100_u64 {
            driver.put(SUM, &key.into(), 1);
        }
        driver.snapshot(1, false);
        driver.put(SUM, &1.into(), 2);
        driver.start(2, false);
        driver.put(SUM, &2.into(), 2);
        if finish_first {
            driver.finish();
        }
        driver.backend.abandon_snapshot();
        assert_eq!(driver.backend.advance_snapshot(10).expect("no storage is used"), None);
        driver.put(SUM, &3.into(), 2);
        let snapshot = driver.snapshot(3, false);
        assert!(snapshot.segments.iter().all(|segment| segment.full));
        let records = records(&driver, &snapshot);
        for key in 0..100_u64 {
            let value = if (1..=3).contains(&key) { 2_u64 } else { 1 };
            assert_eq!(records.values[&(SUM, key.into())], Some(value.into()));
        }
        driver.put(SUM, &4.into(), 2);
        let next = driver.snapshot(4, false);
        assert_eq!(next.segments.iter().map(|segment| segment.entries).sum::<u64>(), 1);
    }
}

/// However long a backend runs, the chain of a group stays in proportion to its state.
fn increments_give_way_to_a_full_segment(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let mut chain = Chain::default();
    for epoch in 0..2000_u64 {
        driver.put(SUM, &1.into(), epoch);
        chain.add(&driver.snapshot(epoch, false));
        let longest = chain.groups.values().map(Vec::len).max();
        assert!(longest < Some(1000), "the chain does not grow without end");
    }
    let mut restored = chain.restore(make, &driver.setup, 1).remove(0);
    assert_eq!(restored.get(SUM, &1.into()), Some(1999.into()));
}

fn states_and_timers_are_found_by_name(make: Make<'_>) {
    let mut driver = Driver::new(Make::new(&heap), &setup(KeyLayout::U64));
    driver.commit(
        &[(SUM, 1.into(), Some(5.into())), (TEXT, 1.into(), Some("five".into()))],
        &[(2, 1.into(), 50, true)],
    );
    let snapshot = driver.snapshot(1, false);
    let mut other = setup(KeyLayout::U64);
    other.states.rotate_left(1);
    other.states.insert(0, state("new", ValueLayout::Bytes));
    other.timers.rotate_left(1);
    let mut chain = Chain::default();
    chain.add(&snapshot);
    let mut restored = chain.restore(make, &other, 1).remove(0);
    assert_eq!(restored.get(0, &1.into()), None);
    assert_eq!(restored.get(1, &1.into()), Some("five".into()));
    assert_eq!(restored.get(other.states.len() as u32 - 1, &1.into()), Some(5.into()));
    assert_eq!(restored.drain_timers(TimeDomain::EventTime), [(1, 1.into(), 50, 0)]);
}

fn what_cannot_be_restored_is_refused(make: Make<'_>) {
    let mut driver = Driver::new(Make::new(&heap), &setup(KeyLayout::U64));
    driver.put(SUM, &1.into(), 5);
    let segment = driver.snapshot(1, false).segments.remove(0);
    let refuse = |setup: &Setup, group: KeyGroup, bytes: &[u8], names: &str| {
        let refused = Driver::new(make, setup).backend.restore(group, true, bytes);
        let Err(Error::Segment { group: named, reason }) = refused else {
            panic!("expected a refusal that names {names}: {refused:?}")
        };
        assert_eq!(named, group);
        assert!(reason.contains(names), "`{reason}` names {names}");
    };
    let good = setup(KeyLayout::U64);
    let without = |index: usize| {
        let mut setup = good.clone();
        setup.states.remove(index);
        setup
    };
    refuse(&without(0), segment.group, &segment.bytes, "`sum`");
    refuse(&without(3), segment.group, &segment.bytes, "`count`");
    let mut other = good.clone();
    other.states[0].value = ValueLayout::F64;
    refuse(&other, segment.group, &segment.bytes, "`sum`");
    let mut other = good.clone();
    other.timers[1] = timer("again", TimeDomain::ProcessingTime);
    refuse(&other, segment.group, &segment.bytes, "`retry`");
    refuse(&setup(KeyLayout::S64), segment.group, &segment.bytes, "keys");
    let elsewhere = KeyGroup((segment.group.0 + 1) % 8);
    refuse(&good, elsewhere, &segment.bytes, "key group");
    let start = u32::from(elsewhere.0);
    let other = Setup { range: KeyGroupRange { start, end: start + 1 }, ..good.clone() };
    refuse(&other, segment.group, &segment.bytes, "key groups");
    refuse(&good, segment.group, &segment.bytes[..segment.bytes.len() - 1], "early");
    refuse(&good, segment.group, b"not a segment", "mark");
}

fn a_restored_backend_snapshots_what_it_holds(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    for key in 0..50_u64 {
        driver.commit(&[(SUM, key.into(), Some(key.into()))], &[(0, key.into(), 1, true)]);
    }
    let mut chain = Chain::default();
    chain.add(&driver.snapshot(1, false));
    let expected = chain.clone();
    let mut restored = chain.restore(make, &driver.setup, 1).remove(0);
    restored.put(SUM, &7.into(), 70);
    chain.add(&restored.snapshot(2, false));
    let mut second = chain.restore(make, &driver.setup, 2);
    for task in &mut second {
        for key in (0..50).map(Datum::Word).filter(|key| key.hash() != 0) {
            if task.owns(&key) {
                assert_eq!(task.get(SUM, &key), restored.get(SUM, &key));
            }
        }
    }
    let entries: u64 = second.iter().map(|task| task.backend.entries()).sum();
    assert!(make.tables || entries == 100);
    let mut first = expected.restore(make, &driver.setup, 1).remove(0);
    assert_eq!(first.get(SUM, &7.into()), Some(7.into()), "old segments are as they were");
}

/// A restored backend carries the chain on: what follows is what changed since.
fn increments_go_on_after_a_restore(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let mut chain = Chain::default();
    for key in 0..500_u64 {
        driver.commit(&[(SUM, key.into(), Some(key.into()))], &[(0, key.into(), 1, true)]);
    }
    chain.add(&driver.snapshot(1, false));
    driver.put(SUM, &3.into(), 30);
    chain.add(&driver.snapshot(2, false));
    let mut restored = chain.restore(make, &driver.setup, 1).remove(0);
    assert_eq!(restored.snapshot(3, false).segments, [], "nothing changed since");
    restored.put(SUM, &7.into(), 70);
    restored.remove(SUM, &8.into());
    restored.commit(&[], &[(0, 9.into(), 1, false)]);
    let increment = restored.snapshot(4, false);
    let records = records(&restored, &increment);
    let mut expected = Records::default();
    expected.values.insert((SUM, 7.into()), Some(70.into()));
    expected.values.insert((SUM, 8.into()), None);
    expected.timers.insert((0, 9.into(), 1, 0), false);
    assert_eq!(records, expected);
    chain.add(&increment);
    let mut again = chain.restore(make, &driver.setup, 1).remove(0);
    assert_eq!(again.get(SUM, &3.into()), Some(30.into()));
    assert_eq!(again.get(SUM, &7.into()), Some(70.into()));
    assert_eq!(again.get(SUM, &8.into()), None);
    restored.backend.abandon_snapshot();
    let full = restored.snapshot(5, false);
    assert!(full.segments.iter().all(|segment| segment.full), "a broken chain begins anew");
}

/// Also when it was all that a group had, and when the one backend follows the other.
fn what_is_removed_after_a_restore_stays_away(make: Make<'_>) {
    let makes = [make, Make::new(&heap)];
    for (written_on, followed_on) in makes.iter().flat_map(|make| makes.map(|other| (*make, other)))
    {
        let mut driver = Driver::new(written_on, &setup(KeyLayout::U64));
        driver.put(SUM, &1.into(), 5);
        driver.put(SUM, &2.into(), 6);
        let mut chain = Chain::default();
        chain.add(&driver.snapshot(1, false));
        let mut following = chain.restore(followed_on, &driver.setup, 1).remove(0);
        following.remove(SUM, &1.into());
        chain.add(&following.snapshot(2, false));
        for restore_on in makes {
            let mut restored = chain.restore(restore_on, &driver.setup, 1).remove(0);
            assert_eq!(restored.get(SUM, &1.into()), None);
            assert_eq!(restored.get(SUM, &2.into()), Some(6.into()));
        }
    }
}
