//! Cases about declarations that change while a backend runs.

use super::Make;
use super::driver::{Chain, Datum, Driver, Op};
use super::states::{
    BY_NAME, GAP, ITEMS, RETRY, SHORT, SUM, TEXT, WINDOW, map, setup, state, timer,
};
use crate::declaration::{
    KeyLayout, StateDeclaration, StateKind, TimeDomain, TimerDeclaration, ValueLayout,
};
use crate::error::Error;

pub(super) fn run(make: Make<'_>) {
    states_come_go_and_change_places(make);
    timers_come_go_and_change_places(make);
    what_went_is_empty_when_it_comes_back(make);
    a_name_at_two_versions_is_two_states(make);
    the_chain_goes_on_or_begins_anew(make);
    many_evolutions_leave_nothing_behind(make);
    what_does_not_fit_is_refused_and_changes_nothing(make);
    a_time_to_live_may_change_its_length(make);
}

pub(super) fn keys() -> Vec<Datum> {
    (0..40_u64).map(Datum::Word).collect()
}

/// Something in every kind of state, and timers.
pub(super) fn fill(driver: &mut Driver) {
    for key in keys() {
        let number = if let Datum::Word(word) = key { word } else { 0 };
        driver.commit(
            &[
                (SUM, key.clone(), Some(number.into())),
                (TEXT, key.clone(), Some(Datum::Bytes(vec![b'x'; number as usize]))),
            ],
            &[
                (WINDOW, key.clone(), number as i64, true),
                (RETRY, key.clone(), 5, true),
                (GAP, key.clone(), 100, true),
            ],
        );
        driver.ops(ITEMS, &key, [Op::Append("a".into()), Op::Append("b".into())]);
        driver.ops(BY_NAME, &key, [Op::Put("k".into(), "v".into())]);
        driver.put(SHORT, &key, 7);
    }
}

/// The id of a state by its name.
pub(super) fn id(driver: &Driver, name: &str) -> u32 {
    let states = &driver.setup.states;
    states.iter().position(|state| state.name == name).expect("the state is declared") as u32
}

/// What comes back from a snapshot of a driver.
pub(super) fn restored(make: Make<'_>, driver: &mut Driver, epoch: u64) -> Driver {
    let mut chain = Chain::default();
    chain.add(&driver.snapshot(epoch, true));
    chain.restore(make, &driver.setup, 1).remove(0)
}

fn states_come_go_and_change_places(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    fill(&mut driver);
    let mut states = driver.setup.states.clone();
    states.retain(|state| state.name != "text" && state.name != "by-name");
    states.reverse();
    states.insert(1, state("new", ValueLayout::Bytes));
    states.push(map("new-map", KeyLayout::U64, ValueLayout::U64));
    states.push(state("number", ValueLayout::U64));
    let timers = driver.setup.timers.clone();
    driver.evolve(&states, &timers);
    let [sum, items, new, new_map, number] =
        ["sum", "items", "new", "new-map", "number"].map(|name| id(&driver, name));
    for state in [new, new_map, number] {
        assert_eq!(driver.values(state), 0);
    }
    assert!(driver.values(sum) > 0 && driver.values(items) > 0);
    driver.assert_entries(40 * (1 + 2 + 1 + 3));
    for round in 0..2 {
        for key in keys() {
            assert_eq!(driver.get(sum, &key), Some(key.clone()));
            assert_eq!(driver.list(items, &key), ["a".into(), "b".into()]);
            let new_one = (round == 1).then(|| Datum::from("fresh"));
            assert_eq!(driver.get(new, &key), new_one);
            let entry = (round == 1).then(|| Datum::from(9));
            assert_eq!(driver.entry(new_map, &key, 1), entry);
        }
        for key in keys() {
            driver.put(new, &key, "fresh");
            driver.ops(new_map, &key, [Op::Put(1.into(), 9.into())]);
        }
    }
    driver.put(number, &1.into(), 11);
    driver.put(number, &1000.into(), 12);
    driver.assert_entries(40 * (1 + 2 + 1 + 3 + 2) + 2);
    let mut keys = keys();
    keys.push(1000.into());
    let shown = driver.shown(&keys);
    assert_eq!(restored(make, &mut driver, 1).shown(&keys), shown);
    driver.remove(number, &1.into());
    driver.remove(number, &1000.into());
    assert_eq!(driver.values(number), 0);
}

fn timers_come_go_and_change_places(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    fill(&mut driver);
    driver.snapshot(1, false);
    driver.commit(&[], &[(GAP, 1.into(), 3, true)]);
    let (states, old) = (driver.setup.states.clone(), driver.setup.timers.clone());
    let new = timer("new", TimeDomain::EventTime);
    let timers = [new, old[GAP as usize].clone(), old[RETRY as usize].clone()];
    driver.evolve(&states, &timers);
    assert_eq!(driver.backend.next_timer(TimeDomain::EventTime), Some(3), "no window is left");
    driver.commit(&[], &[(0, 2.into(), 1, true)]);
    let mut copy = restored(make, &mut driver, 2);
    for driver in [&mut driver, &mut copy] {
        let event_time = driver.drain_timers(TimeDomain::EventTime);
        assert_eq!(event_time.len(), 40 + 2);
        assert_eq!(event_time[..2], [(0, 2.into(), 1, 0), (1, 1.into(), 3, 0)]);
        let processing_time = driver.drain_timers(TimeDomain::ProcessingTime);
        assert!(processing_time.iter().all(|timer| timer.0 == 2) && processing_time.len() == 40);
    }
}

fn what_went_is_empty_when_it_comes_back(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    fill(&mut driver);
    let (states, timers) = (driver.setup.states.clone(), driver.setup.timers.clone());
    let without = |name: &str| {
        let mut states = states.clone();
        states.retain(|state| state.name != name);
        states
    };
    for name in ["sum", "text", "items", "by-name", "short"] {
        driver.evolve(&without(name), &timers);
        driver.evolve(&states, &timers);
        assert_eq!(driver.values(id(&driver, name)), 0, "`{name}`");
    }
    driver.evolve(&states, &timers[1..]);
    driver.evolve(&states, &timers);
    assert_eq!(driver.backend.next_timer(TimeDomain::EventTime), Some(100));
    driver.put(SUM, &1.into(), 8);
    let mut copy = restored(make, &mut driver, 1);
    for driver in [&mut driver, &mut copy] {
        assert_eq!(driver.get(SUM, &1.into()), Some(8.into()));
        assert_eq!(driver.get(SUM, &2.into()), None);
        assert_eq!(driver.list(ITEMS, &2.into()), []);
        assert_eq!(driver.values(SUM), 1);
    }
}

/// A state at its next schema version.
pub(super) fn next_version(state: &StateDeclaration) -> StateDeclaration {
    StateDeclaration { schema_version: state.schema_version + 1, ..state.clone() }
}

fn a_name_at_two_versions_is_two_states(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    fill(&mut driver);
    let (mut states, timers) = (driver.setup.states.clone(), driver.setup.timers.clone());
    let old = std::mem::replace(&mut states[SUM as usize], state("sum", ValueLayout::Bytes));
    states[SUM as usize].schema_version = 2;
    states.push(old);
    driver.evolve(&states, &timers);
    let retired = states.len() as u32 - 1;
    driver.put(SUM, &1.into(), "one");
    let mut copy = restored(make, &mut driver, 1);
    for driver in [&mut driver, &mut copy] {
        assert_eq!(driver.get(SUM, &1.into()), Some("one".into()));
        assert_eq!(driver.get(SUM, &2.into()), None);
        assert_eq!(driver.get(retired, &1.into()), Some(1.into()));
        assert_eq!(driver.get(retired, &2.into()), Some(2.into()));
        assert_eq!(driver.get(TEXT, &2.into()), Some("xx".into()));
    }
}

/// What is added is in the next increments; what was taken away must not come back with older ones.
fn the_chain_goes_on_or_begins_anew(make: Make<'_>) {
    for takes_away in [false, true] {
        let mut driver = Driver::new(make, &setup(KeyLayout::U64));
        fill(&mut driver);
        let mut chain = Chain::default();
        chain.add(&driver.snapshot(1, false));
        driver.put(SUM, &3.into(), 33);
        let timers = driver.setup.timers.clone();
        let mut states = driver.setup.states.clone();
        states.rotate_left(2);
        states.push(state("new", ValueLayout::U64));
        driver.evolve(&states, &timers);
        let (new, sum) = (id(&driver, "new"), id(&driver, "sum"));
        driver.put(new, &1.into(), 5);
        driver.put(sum, &4.into(), 44);
        if takes_away {
            let mut fewer = states.clone();
            fewer.retain(|state| state.name != "text");
            driver.evolve(&fewer, &timers);
            driver.evolve(&states, &timers);
        }
        let snapshot = driver.snapshot(2, false);
        assert!(!takes_away || snapshot.segments.iter().all(|segment| segment.full));
        chain.add(&snapshot);
        let mut copy = chain.restore(make, &driver.setup, 1).remove(0);
        assert_eq!(copy.shown(&keys()), driver.shown(&keys()));
        assert_eq!(copy.get(sum, &3.into()), Some(33.into()));
        assert_eq!(copy.get(sum, &4.into()), Some(44.into()));
        assert_eq!(copy.get(new, &1.into()), Some(5.into()));
        assert_eq!(copy.values(id(&copy, "text")) > 0, !takes_away);
    }
}

fn many_evolutions_leave_nothing_behind(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    fill(&mut driver);
    let timers: [TimerDeclaration; 0] = [];
    for version in 2..30_u32 {
        let mut value = state("value", ValueLayout::U64);
        value.schema_version = version;
        let mut list = state("list", ValueLayout::U64);
        (list.schema_version, list.kind) = (version, StateKind::List);
        driver.evolve(&[value, list], &timers);
        assert_eq!((driver.values(0), driver.values(1)), (0, 0));
        driver.assert_entries(0);
        for key in keys() {
            driver.put(0, &key, u64::from(version));
            driver.ops(1, &key, [Op::Append(u64::from(version).into())]);
        }
        driver.assert_entries(80);
    }
    let mut copy = restored(make, &mut driver, 1);
    assert_eq!(copy.shown(&keys()), driver.shown(&keys()));
    assert_eq!(copy.get(0, &7.into()), Some(29.into()));
}

fn what_does_not_fit_is_refused_and_changes_nothing(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    fill(&mut driver);
    let before = driver.shown(&keys());
    let (states, timers) = (driver.setup.states.clone(), driver.setup.timers.clone());
    let refuse = |driver: &mut Driver, states: &[StateDeclaration], names: &str| {
        let refused = driver.backend.evolve(states, &timers);
        let Err(Error::Declaration { state, reason }) = refused else {
            panic!("expected a refusal that names {names}: {refused:?}")
        };
        assert_eq!(state, names, "{reason}");
    };
    let with = |state: u32, change: fn(&mut StateDeclaration)| {
        let mut states = states.clone();
        change(&mut states[state as usize]);
        states
    };
    refuse(&mut driver, &with(SUM, |state| state.value = ValueLayout::U64), "sum");
    refuse(&mut driver, &with(ITEMS, |state| state.value = ValueLayout::U64), "items");
    refuse(&mut driver, &with(BY_NAME, |state| state.map_key = Some(KeyLayout::U64)), "by-name");
    refuse(&mut driver, &with(SHORT, |state| state.ttl = None), "short");
    let mut twice = states.clone();
    twice.push(states[0].clone());
    refuse(&mut driver, &twice, "sum");
    let clock = [timer("window", TimeDomain::ProcessingTime)];
    let refused = driver.backend.evolve(&states, &clock);
    assert!(matches!(refused, Err(Error::Timers { .. })), "{refused:?}");
    driver.start(1, true);
    assert!(driver.backend.evolve(&states[1..], &timers).is_err(), "a snapshot runs");
    driver.finish();
    assert_eq!(driver.shown(&keys()), before);
    assert_eq!(driver.backend.declared(), (&states[..], &timers[..]));
}

fn a_time_to_live_may_change_its_length(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    driver.put(SHORT, &1.into(), 5);
    driver.now.processing_time = 15;
    let (mut states, timers) = (driver.setup.states.clone(), driver.setup.timers.clone());
    if let Some(ttl) = &mut states[SHORT as usize].ttl {
        ttl.milliseconds = 20;
    }
    driver.evolve(&states, &timers);
    assert_eq!(driver.get(SHORT, &1.into()), Some(5.into()), "it lives longer now");
    driver.now.processing_time = 20;
    assert_eq!(driver.get(SHORT, &1.into()), None);
}
