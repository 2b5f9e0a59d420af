//! Entries in snapshots and after restores.

use super::{append, put};
use crate::conformance::driver::{Batch, Chain, Datum, Driver, Op, Records};
use crate::conformance::states::{BY_NAME, BY_NUMBER, ITEMS, NUMBERS, SUM, setup};
use crate::conformance::{Make, heap};
use crate::declaration::{KeyLayout, TimeDomain};
use crate::snapshot::Snapshot;

pub(super) fn run(make: Make<'_>) {
    if !make.tables {
        a_snapshot_holds_the_entries_that_were_there_when_it_started(make);
        an_increment_holds_the_entries_that_were_touched(make);
        clear_is_the_removal_of_what_the_last_snapshot_knew(make);
    }
    a_running_snapshot_is_not_disturbed(make);
    elements_added_after_a_restore_come_last(make);
    what_the_heap_wrote_is_restored_under_every_split(make);
    everything_of_a_key_is_in_the_segment_of_its_group(make);
}

fn records(driver: &Driver, snapshot: &Snapshot) -> Records {
    let mut all = Records::default();
    snapshot.segments.iter().for_each(|segment| all.extend(driver.records(segment)));
    all
}

/// A map large enough to be worked on in many steps, changed in front of the snapshot and behind it.
fn a_snapshot_holds_the_entries_that_were_there_when_it_started(make: Make<'_>) {
    for increment in [false, true] {
        let mut driver = Driver::new(make, &setup(KeyLayout::U64));
        if increment {
            driver.ops(BY_NUMBER, &1.into(), [put(5000, 0)]);
            driver.snapshot(1, false);
        }
        driver.ops(BY_NUMBER, &1.into(), (0..1000).map(|entry| put(entry, entry)));
        driver.start(2, false);
        let mut advanced = None;
        for entry in (0..1000_u64).rev() {
            let ops = match entry % 4 {
                0 => vec![Op::RemoveEntry(entry.into())],
                1 => vec![put(entry, 1_000_000), put(entry + 10_000, 1)],
                2 => vec![Op::RemoveEntry(entry.into()), put(entry, 1_000_001)],
                _ => vec![],
            };
            driver.ops(BY_NUMBER, &1.into(), ops);
            if entry == 300 {
                driver.ops(BY_NUMBER, &1.into(), [Op::Clear]);
            }
            if entry % 3 == 0 && advanced.is_none() {
                advanced = driver.backend.advance_snapshot(2).expect("the storage works");
            }
        }
        let snapshot = advanced.unwrap_or_else(|| driver.finish());
        let mut expected: Vec<_> =
            (0..1000_u64).map(|entry| ((BY_NUMBER, 1.into(), entry.into()), entry)).collect();
        if !increment {
            assert!(snapshot.segments.iter().all(|segment| segment.full));
        } else if snapshot.segments[0].full {
            expected.push(((BY_NUMBER, 1.into(), 5000.into()), 0));
        }
        let expected: Vec<_> =
            expected.into_iter().map(|(name, value)| (name, Some(Datum::Word(value)))).collect();
        let found: Vec<_> = records(&driver, &snapshot).entries.into_iter().collect();
        assert_eq!(found, expected);
    }
}

fn an_increment_holds_the_entries_that_were_touched(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    for key in 0..20_u64 {
        driver.ops(BY_NAME, &key.into(), ["a", "b", "c"].map(|entry| put(entry, "old")));
        driver.ops(NUMBERS, &key.into(), (0..5_u64).map(append));
    }
    driver.snapshot(1, false);
    assert_eq!(driver.snapshot(2, false).segments, [], "nothing changed");
    driver.ops(BY_NAME, &1.into(), [put("b", "new"), put("d", "new"), put("b", "newer")]);
    driver.ops(BY_NAME, &2.into(), [Op::RemoveEntry("c".into()), Op::RemoveEntry("x".into())]);
    driver.ops(BY_NAME, &3.into(), [Op::RemoveEntry("a".into()), put("a", "again")]);
    driver.ops(BY_NAME, &4.into(), [put("t", "in passing"), Op::RemoveEntry("t".into())]);
    let numbers = driver.entries(NUMBERS, &5.into());
    driver.ops(NUMBERS, &5.into(), [Op::RemoveEntry(numbers[1].0.clone()), append(9)]);
    let mut expected = Records::default();
    let mut by_name = |key: u64, entry: &str, value: Option<&str>| {
        let value = value.map(Datum::from);
        expected.entries.insert((BY_NAME, key.into(), entry.into()), value);
    };
    by_name(1, "b", Some("newer"));
    by_name(1, "d", Some("new"));
    by_name(2, "c", None);
    by_name(3, "a", Some("again"));
    let removed = (NUMBERS, 5.into(), numbers[1].0.clone());
    expected.entries.insert(removed, None);
    let last = driver.entries(NUMBERS, &5.into()).pop().expect("there are five");
    expected.entries.insert((NUMBERS, 5.into(), last.0), Some(9.into()));
    let increment = driver.snapshot(3, false);
    assert!(increment.segments.iter().all(|segment| !segment.full));
    assert_eq!(records(&driver, &increment), expected);
    assert_eq!(driver.snapshot(4, false).segments, [], "what is gone is told of once");
}

fn clear_is_the_removal_of_what_the_last_snapshot_knew(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    driver.ops(BY_NUMBER, &1.into(), (0..100).map(|entry| put(entry, 1)));
    // Another key of the same group, so that increments are worth their while.
    driver.ops(BY_NAME, &1.into(), [put("large", "x".repeat(100_000).as_str())]);
    driver.snapshot(1, false);
    driver.ops(BY_NUMBER, &1.into(), (100..200).map(|entry| put(entry, 1)));
    driver.ops(BY_NUMBER, &1.into(), [Op::Clear, put(7, 7)]);
    let snapshot = driver.snapshot(2, false);
    let found = records(&driver, &snapshot);
    let expected: Vec<_> = (0..100_u64)
        .map(|entry| {
            let value = (entry == 7).then_some(Datum::Word(7));
            ((BY_NUMBER, 1.into(), entry.into()), value)
        })
        .collect();
    assert_eq!(found.entries.into_iter().collect::<Vec<_>>(), expected);
}

/// Whatever a backend's snapshots are, what is restored is what was there when it started.
fn a_running_snapshot_is_not_disturbed(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::Bytes));
    let key = Datum::from("k");
    let mut chain = Chain::default();
    for epoch in 1..=4_u64 {
        let (first, last) = (epoch * 50, epoch * 50 + 200);
        driver.ops(BY_NUMBER, &key, (first..last).map(|entry| put(entry, epoch)));
        driver.ops(BY_NUMBER, &key, [Op::RemoveEntry((first + 1).into())]);
        driver.ops(ITEMS, &key, [append(epoch.to_string().as_str())]);
        let (entries, list) = (driver.entries(BY_NUMBER, &key), driver.list(ITEMS, &key));
        driver.start(epoch, false);
        driver.ops(BY_NUMBER, &key, (first..last).step_by(3).map(|it| put(it, 1_000_000)));
        driver.ops(BY_NUMBER, &key, [Op::RemoveEntry((last - 1).into()), put(9999, 1)]);
        driver.ops(ITEMS, &key, [append("late"), append("later")]);
        chain.add(&driver.finish());
        let mut restored = chain.restore(make, &driver.setup, 1).remove(0);
        assert_eq!(restored.entries(BY_NUMBER, &key), entries);
        assert_eq!(restored.list(ITEMS, &key), list);
    }
}

fn elements_added_after_a_restore_come_last(make: Make<'_>) {
    for written_on in [make, Make::new(&heap)] {
        let mut driver = Driver::new(written_on, &setup(KeyLayout::U64));
        let (one, other) = (Datum::from(1), Datum::from(2));
        driver.ops(ITEMS, &one, [append("a"), append("b")]);
        driver.ops(ITEMS, &other, (0..100).map(|_| append("x")));
        let mut chain = Chain::default();
        chain.add(&driver.snapshot(1, false));
        for round in 0..3_usize {
            let mut tasks = chain.restore(make, &driver.setup, 1 + round as u32);
            let task = tasks.iter_mut().find(|task| task.owns(&one)).expect("a task owns it");
            task.ops(ITEMS, &one, [append("c")]);
            let expected = ["a", "b", "c"].map(Datum::from);
            assert_eq!(task.list(ITEMS, &one), expected, "over {} tasks", round + 1);
        }
    }
}

fn what_the_heap_wrote_is_restored_under_every_split(make: Make<'_>) {
    for layout in [KeyLayout::S64, KeyLayout::Bytes] {
        let mut driver = Driver::new(Make::new(&heap), &setup(layout));
        let key = |number: u64| match layout {
            KeyLayout::Bytes => Datum::Bytes(number.to_string().into_bytes()),
            _ => Datum::Word(number.wrapping_neg()),
        };
        let mut chain = Chain::default();
        for epoch in 1..=3_u64 {
            for number in (0..60).filter(|number| number % epoch == 0) {
                let entry = Datum::signed(number as i64 % 7 - 3);
                let ops = [Op::Put(entry.clone(), epoch.into()), put(epoch, number)];
                driver.ops(BY_NUMBER, &key(number), ops);
                driver.ops(NUMBERS, &key(number), [append(epoch * 100 + number)]);
                if number % 5 == epoch {
                    driver.ops(BY_NUMBER, &key(number), [Op::RemoveEntry(entry)]);
                    driver.ops(NUMBERS, &key(number), [Op::Clear]);
                }
            }
            chain.add(&driver.snapshot(epoch, false));
        }
        for parallelism in [1, 3, 8, 11] {
            for task in &mut chain.restore(make, &driver.setup, parallelism) {
                for key in (0..60).map(key).filter(|key| task.owns(key)).collect::<Vec<_>>() {
                    let entries = driver.entries(BY_NUMBER, &key);
                    assert_eq!(task.entries(BY_NUMBER, &key), entries, "over {parallelism}");
                    assert_eq!(task.list(NUMBERS, &key), driver.list(NUMBERS, &key));
                }
            }
        }
    }
}

/// Values, entries and timers of a group are restored from one snapshot together.
fn everything_of_a_key_is_in_the_segment_of_its_group(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let key = Datum::from(1);
    let write = |state, op| (state, key.clone(), op);
    driver.apply(&Batch {
        writes: vec![
            write(SUM, Op::Set(1.into())),
            write(BY_NUMBER, put(2, 3)),
            write(ITEMS, append("x")),
        ],
        timers: vec![(0, key.clone(), 5, 7, true)],
        ..Batch::default()
    });
    let snapshot = driver.snapshot(1, false);
    if !make.tables {
        let [segment] = &snapshot.segments[..] else { panic!("one segment: {snapshot:?}") };
        assert_eq!(segment.entries, 4);
    }
    let mut chain = Chain::default();
    chain.add(&snapshot);
    let mut restored = chain.restore(make, &driver.setup, 1).remove(0);
    assert_eq!(restored.get(SUM, &key), Some(1.into()));
    assert_eq!(restored.entry(BY_NUMBER, &key, 2), Some(3.into()));
    assert_eq!(restored.list(ITEMS, &key), ["x".into()]);
    let timers = restored.drain_timers(TimeDomain::EventTime);
    assert_eq!(timers, [(0, key.clone(), 5, 7)]);
}
