//! Cases about timers.

use std::collections::BTreeSet;

use super::driver::{Batch, Chain, Change, Datum, Driver, TimerOp};
use super::states::{GAP, RETRY, WINDOW, setup};
use super::{Make, heap};
use crate::declaration::{KeyLayout, TimeDomain, TimerId};

pub(super) fn run(make: Make<'_>) {
    timers_are_due_in_order_of_their_times(make);
    a_timer_is_set_once_however_often_it_is_set(make);
    a_batch_has_one_family_and_one_timer_a_key(make);
    due_timers_stay_until_they_are_deleted(make);
    the_clocks_are_apart(make);
    many_due_timers_come_in_batches(make);
    keys_of_bytes_have_timers_too(make);
    namespaces_tell_timers_of_one_time_apart(make);
    namespaces_are_restored(make);
}

fn set(timer: u32, key: u64, time: i64) -> Change {
    (timer, Datum::Word(key), time, true)
}

fn timers_are_due_in_order_of_their_times(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let event = TimeDomain::EventTime;
    assert_eq!(driver.backend.next_timer(event), None);
    assert_eq!(driver.backend.due_timers(event, i64::MAX, 10), None);
    let times = [30, -10, i64::MAX, 20, i64::MIN, 0];
    let changes: Vec<_> = (1..).zip(times).map(|(key, time)| set(WINDOW, key, time)).collect();
    driver.commit(&[], &changes);
    assert_eq!(driver.backend.next_timer(event), Some(i64::MIN));
    driver.assert_entries(6);
    let due = driver.backend.due_timers(event, 20, 10).expect("four are due");
    assert_eq!(due.times, [i64::MIN, -10, 0, 20]);
    let keys: Vec<_> = (0..4).map(|row| Datum::at(&due.keys, row)).collect();
    assert_eq!(keys, [5, 2, 6, 4].map(Datum::Word));
    let hashes: Vec<_> = keys.iter().map(Datum::hash).collect();
    assert_eq!(due.hashes, hashes);
    let two = driver.backend.due_timers(event, 20, 2).expect("four are due");
    assert_eq!(two.times, [i64::MIN, -10], "the limit cuts off the latest");
    let all = driver.backend.due_timers(event, i64::MAX, 10).expect("all are due");
    assert_eq!(all.times.len(), 6);
}

fn a_timer_is_set_once_however_often_it_is_set(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    driver.commit(&[], &[set(WINDOW, 1, 5), set(WINDOW, 1, 5)]);
    driver.commit(&[], &[set(WINDOW, 1, 5), set(GAP, 1, 5), set(WINDOW, 2, 5)]);
    driver.assert_entries(3);
    let has =
        |driver: &Driver| [WINDOW, GAP, RETRY].map(|id| driver.backend.has_timers(TimerId(id)));
    assert_eq!(has(&driver), [true, true, false]);
    let off = |timer, key, time| (timer, Datum::Word(key), time, false);
    driver.commit(&[], &[off(WINDOW, 1, 6), off(WINDOW, 3, 5), off(WINDOW, 1, 5)]);
    driver.assert_entries(2);
    driver.commit(&[], &[off(WINDOW, 2, 5), set(WINDOW, 2, 5), off(GAP, 1, 5)]);
    let left = driver.drain_timers(TimeDomain::EventTime);
    assert_eq!(left, [(WINDOW, Datum::Word(2), 5, 0)], "changes apply in their order");
    assert_eq!(has(&driver), [false; 3]);
    driver.assert_entries(0);
}

fn a_batch_has_one_family_and_one_timer_a_key(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let changes =
        [set(GAP, 1, 3), set(WINDOW, 1, 10), set(GAP, 1, 4), set(GAP, 2, 20), set(WINDOW, 2, 11)];
    driver.commit(&[], &changes);
    let due = driver.backend.due_timers(TimeDomain::EventTime, 100, 10).expect("some are due");
    assert_eq!(due.timer, TimerId(GAP), "the family of the earliest");
    assert_eq!(due.times, [3, 20], "of each key none but the earliest");
    let drained = driver.drain_timers(TimeDomain::EventTime);
    let mut sorted = drained.clone();
    sorted.sort_unstable();
    let mut expected: Vec<_> =
        changes.iter().map(|(t, k, time, _)| (*t, k.clone(), *time, 0)).collect();
    expected.sort_unstable();
    assert_eq!(sorted, expected, "each fires once");
}

fn due_timers_stay_until_they_are_deleted(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    driver.commit(&[], &[set(WINDOW, 1, 5)]);
    let event = TimeDomain::EventTime;
    let due = driver.backend.due_timers(event, 5, 1).expect("a time of `until` is due");
    assert_eq!(driver.backend.due_timers(event, 5, 1), Some(due));
    assert_eq!(driver.backend.due_timers(event, 4, 1), None);
    driver.commit(&[], &[(WINDOW, Datum::Word(1), 5, false), set(WINDOW, 1, 7)]);
    assert_eq!(driver.backend.next_timer(event), Some(7));
}

fn the_clocks_are_apart(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    driver.commit(&[], &[set(WINDOW, 1, 5), set(RETRY, 1, 3)]);
    assert_eq!(driver.backend.next_timer(TimeDomain::EventTime), Some(5));
    assert_eq!(driver.backend.next_timer(TimeDomain::ProcessingTime), Some(3));
    assert_eq!(driver.backend.due_timers(TimeDomain::EventTime, 4, 10), None);
    let due = driver.backend.due_timers(TimeDomain::ProcessingTime, 4, 10);
    assert_eq!(due.map(|due| (due.timer, due.times)), Some((TimerId(RETRY), vec![3])));
}

fn many_due_timers_come_in_batches(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let changes: Vec<_> =
        (0..5000).map(|number| set(WINDOW, number % 50, (number * 37 % 5000) as i64)).collect();
    driver.commit(&[], &changes);
    let mut fired = 0;
    let mut last = vec![i64::MIN; 50];
    while let Some(due) = driver.backend.due_timers(TimeDomain::EventTime, 2499, 64) {
        let mut changes = Vec::new();
        for (row, &time) in due.times.iter().enumerate() {
            let key = Datum::at(&due.keys, row);
            let Datum::Word(word) = key else { panic!("the keys are words") };
            assert!(time > last[word as usize], "a key's timers fire in order");
            last[word as usize] = time;
            changes.push((WINDOW, key, time, false));
        }
        fired += changes.len();
        driver.commit(&[], &changes);
    }
    assert_eq!(fired, 2500);
    assert_eq!(driver.backend.next_timer(TimeDomain::EventTime), Some(2500));
}

fn keys_of_bytes_have_timers_too(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::Bytes));
    let changes = ["b", "", "a"].map(|key| (RETRY, Datum::from(key), 1, true));
    driver.commit(&[], &changes);
    let mut keys: Vec<_> = driver
        .drain_timers(TimeDomain::ProcessingTime)
        .into_iter()
        .map(|(_, key, ..)| key)
        .collect();
    keys.sort_unstable();
    assert_eq!(keys, ["", "a", "b"].map(Datum::from));
}

fn namespaces_tell_timers_of_one_time_apart(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let timer = |namespace, set| (WINDOW, Datum::Word(1), 5, namespace, set);
    let mut apply = |timers: &[TimerOp]| {
        driver.apply(&Batch { timers: timers.to_vec(), ..Batch::default() });
    };
    apply(&[timer(9, true), timer(0, true), timer(u64::MAX, true), timer(9, true)]);
    apply(&[timer(8, false), timer(300, true), timer(300, false)]);
    driver.assert_entries(3);
    let due = driver.backend.due_timers(TimeDomain::EventTime, 5, 10).expect("some are due");
    assert_eq!((due.times, due.namespaces), (vec![5], vec![0]), "one a key, the lowest first");
    driver.apply(&Batch { timers: vec![timer(0, false)], ..Batch::default() });
    let due = driver.backend.due_timers(TimeDomain::EventTime, 5, 10).expect("two are left");
    assert_eq!((due.times, due.namespaces), (vec![5], vec![9]));
    driver.apply(&Batch { timers: vec![timer(9, false), timer(9, true)], ..Batch::default() });
    let left = driver.drain_timers(TimeDomain::EventTime);
    assert_eq!(left, [9, u64::MAX].map(|namespace| (WINDOW, Datum::Word(1), 5, namespace)));
}

fn namespaces_are_restored(make: Make<'_>) {
    for written_on in [make, Make::new(&heap)] {
        let mut driver = Driver::new(written_on, &setup(KeyLayout::Bytes));
        let timers = |epoch: i64| {
            let timer = move |number: i64| {
                let key = Datum::Bytes(vec![b'k'; number as usize % 4]);
                (GAP, key, number % 3, number as u64 / 4, number % 5 != epoch)
            };
            (0..40).map(timer).collect::<Vec<TimerOp>>()
        };
        let (mut chain, mut expected) = (Chain::default(), BTreeSet::new());
        for epoch in 1..=2 {
            for (timer, key, time, namespace, set) in timers(epoch) {
                let timer = (timer, key, time, namespace);
                let _ = if set { expected.insert(timer) } else { expected.remove(&timer) };
            }
            driver.apply(&Batch { timers: timers(epoch), ..Batch::default() });
            chain.add(&driver.snapshot(epoch as u64, false));
        }
        for parallelism in [1, 3] {
            let mut restored = BTreeSet::new();
            for mut task in chain.restore(make, &driver.setup, parallelism) {
                restored.extend(task.drain_timers(TimeDomain::EventTime));
            }
            assert_eq!(restored, expected, "over {parallelism}");
        }
    }
}
