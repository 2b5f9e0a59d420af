//! Cases about coming back to where a backend was held.

use super::Make;
use super::driver::{Chain, Datum, Driver, Op, by_row};
use super::evolution::{fill, keys, next_version, restored};
use super::migration::digits;
use super::states::{
    BY_NAME, GAP, ITEMS, RETRY, SHORT, SUM, TEXT, TOTAL, WINDOW, setup, state, timer,
};
use crate::backend::Now;
use crate::declaration::{KeyLayout, StateDeclaration, TimeDomain, ValueLayout};

pub(super) fn run(make: Make<'_>) {
    all_that_was_written_is_as_before(make);
    evolutions_and_moves_are_undone(make);
    a_hold_ends(make);
    it_can_be_held_again(make);
    what_comes_and_goes_is_as_before(make);
    time_goes_back_as_well(make);
}

/// Holds, right behind the start of a snapshot.
fn hold(driver: &mut Driver, epoch: u64) {
    driver.start(epoch, false);
    driver.backend.hold();
}

fn revert(driver: &mut Driver, (was, timers): (&[StateDeclaration], usize)) {
    assert!(driver.backend.revert().expect("the storage works"), "it is held");
    let (states, families) = driver.backend.declared();
    assert_eq!((states, families.len()), (was, timers), "what it serves is as it was");
    let (states, families) = (states.to_vec(), families.to_vec());
    driver.follow(&states, &families);
}

/// Writes, removes and merges in every kind of state, and changes timers.
fn disturb(driver: &mut Driver) {
    for (number, key) in (0_u64..).zip(keys()) {
        let value = (number % 3 != 0).then(|| Datum::Word(number + 100));
        let text = (number % 2 == 0).then(|| Datum::from("after"));
        let timers = [
            (WINDOW, key.clone(), number as i64, false),
            (RETRY, key.clone(), 6, number % 2 == 0),
            (GAP, key.clone(), 101, true),
            (GAP, key.clone(), 101, false),
        ];
        driver.commit(&[(SUM, key.clone(), value), (TEXT, key.clone(), text)], &timers);
        driver.ops(TOTAL, &key, [Op::Merge(1.into())]);
        let (first, _) = driver.entries(ITEMS, &key).swap_remove(0);
        driver.ops(ITEMS, &key, [Op::RemoveEntry(first), Op::Append("c".into())]);
        driver.ops(BY_NAME, &key, [Op::Clear, Op::Put("k".into(), "after".into())]);
        driver.ops(BY_NAME, &key, [Op::RemoveEntry("k".into()), Op::Put("l".into(), "l".into())]);
        if number % 4 == 0 {
            driver.ops(ITEMS, &key, [Op::Clear]);
            driver.ops(ITEMS, &key, [Op::Append("d".into())]);
        }
        driver.put(SUM, &(number + 1000).into(), 1);
        driver.remove(SHORT, &key);
    }
}

fn all_keys() -> Vec<Datum> {
    keys().into_iter().chain((1000..1040).map(Datum::Word)).collect()
}

fn timers(driver: &mut Driver) -> [Vec<(u32, Datum, i64, u64)>; 2] {
    let domains = [TimeDomain::EventTime, TimeDomain::ProcessingTime];
    domains.map(|domain| driver.drain_timers(domain))
}

fn all_that_was_written_is_as_before(make: Make<'_>) {
    for finish_first in [true, false] {
        let mut driver = Driver::new(make, &setup(KeyLayout::U64));
        fill(&mut driver);
        let (before, entries) = (driver.shown(&all_keys()), driver.backend.entries());
        let states = driver.setup.states.clone();
        hold(&mut driver, 1);
        let mut chain = Chain::default();
        if finish_first {
            chain.add(&driver.finish());
        }
        disturb(&mut driver);
        if !finish_first {
            chain.add(&driver.finish());
        }
        assert_ne!(driver.shown(&all_keys()), before);
        revert(&mut driver, (&states, 3));
        assert_eq!(driver.shown(&all_keys()), before);
        driver.assert_entries(entries);
        let mut held = chain.restore(make, &driver.setup, 1).remove(0);
        assert_eq!(held.shown(&all_keys()), before, "the snapshot is as of the hold");
        driver.ops(ITEMS, &1.into(), [Op::Append("z".into())]);
        let list = driver.list(ITEMS, &1.into());
        assert_eq!(list, ["a", "b", "z"].map(Datum::from), "elements are added behind the others");
        let next = driver.snapshot(2, false);
        assert!(next.segments.iter().all(|segment| segment.full), "the chain begins anew");
        let mut chain = Chain::default();
        chain.add(&next);
        let mut copy = chain.restore(make, &driver.setup, 1).remove(0);
        assert_eq!(copy.shown(&all_keys()), driver.shown(&all_keys()));
        let expected = timers(&mut held);
        assert_eq!(timers(&mut copy), expected);
        assert_eq!(timers(&mut driver), expected);
    }
}

fn evolutions_and_moves_are_undone(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    fill(&mut driver);
    let before = driver.shown(&all_keys());
    let (states, families) = (driver.setup.states.clone(), driver.setup.timers.clone());
    hold(&mut driver, 1);
    driver.finish();
    driver.put(SUM, &1.into(), 50);
    // `sum` becomes text, `text` goes, `items` has a newer form; a family of timers goes, and one comes.
    let mut new = states.clone();
    new.remove(TEXT as usize);
    new[SUM as usize] = StateDeclaration { value: ValueLayout::Bytes, ..next_version(&states[0]) };
    let items = next_version(&states[ITEMS as usize]);
    new.extend([items, states[SUM as usize].clone(), state("added", ValueLayout::U64)]);
    new.rotate_left(3);
    let timers_now = [timer("added", TimeDomain::EventTime), families[GAP as usize].clone()];
    driver.evolve(&new, &timers_now);
    let at = |name: &str, version: u32| {
        let mut states = new.iter();
        states.position(|state| (&state.name[..], state.schema_version) == (name, version))
    };
    let id = |name, version| at(name, version).expect("the state is declared") as u32;
    let (old, now) = (id("sum", 1), id("sum", 2));
    driver.move_keys((old, now), &keys()[..5], &mut by_row(false, digits));
    driver.move_all((old, now), 7, &mut by_row(false, digits));
    driver.move_all((id("items", 1), id("items", 2)), 7, &mut super::driver::as_it_is);
    assert_eq!((driver.values(old), driver.get(now, &1.into())), (0, Some("50".into())));
    driver.commit(
        &[(now, 1.into(), Some("x".into())), (id("added", 1), 9.into(), Some(9.into()))],
        &[(0, 1.into(), 1, true), (1, 2.into(), 100, false), (1, 2.into(), 1, true)],
    );
    driver.ops(id("items", 2), &1.into(), [Op::Clear, Op::Append("q".into())]);
    // What has moved is not needed any more.
    let mut last = new.clone();
    last.remove(old as usize);
    driver.evolve(&last, &timers_now);
    revert(&mut driver, (&states, 3));
    assert_eq!(driver.shown(&all_keys()), before);
    let mut copy = restored(make, &mut driver, 2);
    assert_eq!(copy.shown(&all_keys()), before);
    let expected = timers(&mut copy);
    assert_eq!(expected.iter().map(Vec::len).sum::<usize>(), 120);
    assert_eq!(timers(&mut driver), expected);
}

fn a_hold_ends(make: Make<'_>) {
    let never = |driver: &mut Driver| assert!(!driver.backend.revert().expect("nothing is read"));
    never(&mut Driver::new(make, &setup(KeyLayout::U64)));
    let held = |ends: fn(&mut Driver)| {
        let mut driver = Driver::new(make, &setup(KeyLayout::U64));
        fill(&mut driver);
        hold(&mut driver, 1);
        driver.finish();
        disturb(&mut driver);
        ends(&mut driver);
        let shown = driver.shown(&all_keys());
        assert!(!driver.backend.revert().expect("nothing is read"));
        let mut again = Driver::new(make, &setup(KeyLayout::U64));
        fill(&mut again);
        disturb(&mut again);
        assert_eq!(shown, again.shown(&all_keys()), "what was written stays");
    };
    held(|driver| driver.backend.release());
    held(|driver| {
        driver.snapshot(2, false);
    });
}

fn it_can_be_held_again(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    fill(&mut driver);
    let states = driver.setup.states.clone();
    for epoch in 1..5 {
        driver.put(SUM, &epoch.into(), epoch + 500);
        let before = driver.shown(&all_keys());
        hold(&mut driver, epoch);
        driver.finish();
        disturb(&mut driver);
        revert(&mut driver, (&states, 3));
        assert_eq!(driver.shown(&all_keys()), before, "epoch {epoch}");
    }
    hold(&mut driver, 9);
    driver.finish();
    driver.backend.release();
    disturb(&mut driver);
    let shown = driver.shown(&all_keys());
    hold(&mut driver, 10);
    driver.finish();
    driver.put(SUM, &1.into(), 1);
    revert(&mut driver, (&states, 3));
    assert_eq!(driver.shown(&all_keys()), shown);
}

/// What is removed and written again, and removed again, and so many keys that tables grow and shrink.
fn what_comes_and_goes_is_as_before(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::Bytes));
    let key = |number: u64| Datum::Bytes(format!("key {number}").into_bytes());
    let all: Vec<_> = (0..600).map(key).collect();
    let write = |driver: &mut Driver, keys: &[Datum], value: Option<&str>| {
        let write = |key: &Datum| (TEXT, key.clone(), value.map(Datum::from));
        driver.commit(&keys.iter().map(write).collect::<Vec<_>>(), &[]);
    };
    write(&mut driver, &all[..300], Some("before"));
    driver.ops(BY_NAME, &all[0], [Op::Put("a".into(), "a".into())]);
    let before = driver.shown(&all);
    let states = driver.setup.states.clone();
    hold(&mut driver, 1);
    driver.finish();
    for _ in 0..3 {
        write(&mut driver, &all, None);
        write(&mut driver, &all, Some("after"));
        driver.ops(BY_NAME, &all[0], [Op::Clear]);
        driver.ops(BY_NAME, &all[0], [Op::Put("a".into(), "b".into())]);
    }
    write(&mut driver, &all, None);
    revert(&mut driver, (&states, 3));
    assert_eq!(driver.shown(&all), before);
    write(&mut driver, &all[..300], None);
    driver.ops(BY_NAME, &all[0], [Op::Clear]);
    assert_eq!(driver.values(TEXT), 0);
    driver.assert_entries(0);
}

/// What expired on the way has not expired when the way is gone back: the snapshot after it holds that.
fn time_goes_back_as_well(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let at = |processing_time| Now { processing_time, ..Now::default() };
    let states = driver.setup.states.clone();
    driver.now = at(100);
    for key in keys() {
        driver.put(SHORT, &key, 5);
    }
    hold(&mut driver, 1);
    driver.finish();
    driver.now = at(10_000);
    for key in keys() {
        assert_eq!(driver.get(SHORT, &key), None);
        driver.put(SUM, &key, 1);
    }
    revert(&mut driver, (&states, 3));
    let copy = restored(make, &mut driver, 2);
    for mut back in [copy, driver] {
        back.now = at(105);
        for key in keys() {
            assert_eq!(back.get(SHORT, &key), Some(5.into()));
        }
    }
}
