//! Cases about values that move from a state to another.

use super::driver::{Chain, Datum, Driver, Op, as_it_is, by_row};
use super::evolution::{id, keys, next_version, restored};
use super::states::{
    BY_NAME, BY_NUMBER, ITEMS, NUMBERS, SHORT, SUM, TEXT, TOTAL, map, setup, state,
};
use super::{Make, heap};
use crate::column::Column;
use crate::declaration::{KeyLayout, StateDeclaration, StateId, ValueLayout};
use crate::error::Error;
use crate::evolve::{Converted, Move, Which};

pub(super) fn run(make: Make<'_>) {
    the_keys_of_an_invocation_move_and_are_written_then(make);
    all_values_move_a_few_at_a_time(make);
    what_is_newer_stays(make);
    what_fails_stays_and_does_not_hold_up_the_rest(make);
    a_conversion_that_breaks_moves_nothing(make);
    entries_keep_their_keys_and_order(make);
    stamps_stay_as_they_are(make);
    snapshots_in_the_middle_restore(make);
    a_running_snapshot_is_as_of_its_start(make);
    other_kinds_are_refused(make);
}

/// Numbers become their digits, up to a hundred.
pub(super) fn digits(value: Datum) -> Result<Datum, String> {
    match value {
        Datum::Word(word) if word < 100 => Ok(Datum::Bytes(word.to_string().into_bytes())),
        other => Err(format!("{other:?} is too much")),
    }
}

/// The form of a state of numbers that has text instead.
fn as_text(state: &StateDeclaration) -> StateDeclaration {
    StateDeclaration { value: ValueLayout::Bytes, ..next_version(state) }
}

/// A backend with `sum` of each key as its number, and an empty `sum` of text.
fn with_sums(make: Make<'_>, count: u64) -> (Driver, u32) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let key = |number: u64| (SUM, Datum::Word(number), Some(Datum::Word(number)));
    driver.commit(&(0..count).map(key).collect::<Vec<_>>(), &[]);
    let to = driver.add_state(as_text(&driver.setup.states[SUM as usize]));
    (driver, to)
}

fn text(number: u64) -> Datum {
    Datum::Bytes(number.to_string().into_bytes())
}

fn the_keys_of_an_invocation_move_and_are_written_then(make: Make<'_>) {
    let (mut driver, to) = with_sums(make, 50);
    let few: Vec<Datum> = [3, 49, 1000, 7].map(Datum::Word).to_vec();
    let moved = driver.move_keys((SUM, to), &few, &mut by_row(false, digits));
    assert_eq!((moved.moved, moved.failed.len()), (3, 0));
    let loaded = driver.load(to, few.len());
    assert_eq!(loaded, [Some(text(3)), Some(text(49)), None, Some(text(7))], "loaded again");
    assert_eq!(driver.load(SUM, few.len()), [None, None, None, None]);
    let moved = driver.move_keys((SUM, to), &few, &mut by_row(false, digits));
    assert_eq!(moved.moved, 0, "once");
    let mut set = crate::writes::WriteSet::new(&driver.setup.states);
    set.set_bytes(StateId(to), 0, b"three");
    set.set_bytes(StateId(to), 2, b"new");
    driver.backend.commit(&set).expect("the storage works");
    assert_eq!(driver.get(to, &3.into()), Some("three".into()));
    assert_eq!(driver.get(to, &1000.into()), Some("new".into()));
    assert_eq!(driver.get(to, &7.into()), Some(text(7)));
    assert_eq!(driver.get(SUM, &8.into()), Some(8.into()), "others are where they were");
    driver.assert_entries(51);
}

fn all_values_move_a_few_at_a_time(make: Make<'_>) {
    for limit in [1, 7, 100_000] {
        let (mut driver, to) = with_sums(make, 90);
        driver.move_keys((SUM, to), &[5.into()], &mut by_row(false, digits));
        let moved = driver.move_all((SUM, to), limit, &mut by_row(false, digits));
        assert_eq!((moved.moved, moved.failed), (89, Vec::new()));
        assert_eq!(driver.values(SUM), 0, "exact when there is none");
        assert!(driver.values(to) > 0);
        for number in 0..90 {
            assert_eq!(driver.get(to, &number.into()), Some(text(number)));
            assert_eq!(driver.get(SUM, &number.into()), None);
        }
        driver.assert_entries(90);
        let again = driver.move_all((SUM, to), limit, &mut by_row(false, digits));
        assert_eq!(again.moved, 0);
        let mut states = driver.setup.states.clone();
        states.remove(SUM as usize);
        let timers = driver.setup.timers.clone();
        driver.evolve(&states, &timers);
        let mut copy = restored(make, &mut driver, 1);
        let to = to - 1;
        assert_eq!(copy.get(to, &89.into()), Some(text(89)));
        driver.put(to, &89.into(), "x");
        assert_eq!(driver.get(to, &89.into()), Some("x".into()));
    }
}

fn what_is_newer_stays(make: Make<'_>) {
    for whole in [false, true] {
        let (mut driver, to) = with_sums(make, 200);
        driver.put(to, &1.into(), "newer");
        driver.put(to, &150.into(), "newer");
        // A value that is not wanted any more is not converted: 150 would fail.
        let keys = [1, 2, 150].map(Datum::Word);
        let mut convert = by_row(false, digits);
        if whole {
            let moved = driver.move_all((SUM, to), 1000, &mut convert);
            assert_eq!((moved.moved, moved.failed.len()), (99, 99));
        } else {
            let moved = driver.move_keys((SUM, to), &keys, &mut convert);
            assert_eq!((moved.moved, moved.failed), (1, Vec::new()));
        }
        for key in &keys {
            assert_eq!(driver.get(SUM, key), None);
        }
        let values = keys.map(|key| driver.get(to, &key));
        assert_eq!(values, [Some("newer".into()), Some(text(2)), Some("newer".into())]);
    }
}

fn what_fails_stays_and_does_not_hold_up_the_rest(make: Make<'_>) {
    let (mut driver, to) = with_sums(make, 120);
    let keys: Vec<Datum> = [110, 1, 2, 101].map(Datum::Word).to_vec();
    let moved = driver.move_keys((SUM, to), &keys, &mut by_row(false, digits));
    assert_eq!(moved.moved, 2);
    let failed: Vec<_> =
        moved.failed.iter().map(|it| (it.slot, Datum::at(&it.key, 0), &it.reason[..])).collect();
    let reason = ["Word(110) is too much", "Word(101) is too much"];
    let expected = [(Some(0), 110.into(), reason[0]), (Some(3), 101.into(), reason[1])];
    assert_eq!(failed, expected);
    for limit in [3, 1000] {
        let moved = driver.move_all((SUM, to), limit, &mut by_row(false, digits));
        let mut failed: Vec<_> = moved.failed.iter().map(|it| Datum::at(&it.key, 0)).collect();
        failed.sort();
        assert_eq!(failed, (100..120).map(Datum::Word).collect::<Vec<_>>());
        // Whoever evolves may know better how to convert them.
        let (states, timers) = (driver.setup.states.clone(), driver.setup.timers.clone());
        driver.evolve(&states, &timers);
    }
    assert!(driver.values(SUM) > 0);
    driver.assert_entries(120);
    let wider = |value: Datum| match value {
        Datum::Word(word) => Ok(text(word)),
        other => Err(format!("{other:?}")),
    };
    let moved = driver.move_all((SUM, to), 3, &mut by_row(false, wider));
    assert_eq!((moved.moved, driver.values(SUM)), (20, 0), "a later version can take them");
}

fn a_conversion_that_breaks_moves_nothing(make: Make<'_>) {
    let (mut driver, to) = with_sums(make, 20);
    let values = Move { from: StateId(SUM), to: StateId(to) };
    let mut breaks = |_: &Column| -> Result<Converted, Error> {
        Err(Error::Access { reason: "it trapped".to_owned() })
    };
    let mut too_few =
        |_: &Column| Ok(Converted { values: Column::empty(false), failed: Vec::new() });
    driver.begin(&keys()).expect("the keys are of the range");
    for which in [Which::Invocation, Which::Next(10)] {
        assert!(driver.backend.migrate(values, which, &mut breaks).is_err());
        assert!(driver.backend.migrate(values, which, &mut too_few).is_err());
    }
    driver.assert_entries(20);
    let moved = driver.move_all((SUM, to), 7, &mut by_row(false, digits));
    assert_eq!(moved.moved, 20, "everything is still there");
}

fn entries_keep_their_keys_and_order(make: Make<'_>) {
    for whole in [false, true] {
        let mut driver = Driver::new(make, &setup(KeyLayout::U64));
        for key in keys() {
            for number in 0..5_u64 {
                let entry = Datum::signed(number as i64 - 2);
                driver.ops(BY_NUMBER, &key, [Op::Put(entry, number.into())]);
                driver.ops(NUMBERS, &key, [Op::Append(number.into())]);
            }
        }
        let [numbers, by_number] = [NUMBERS, BY_NUMBER].map(|old| {
            let new = as_text(&driver.setup.states[old as usize]);
            driver.add_state(new)
        });
        driver.ops(by_number, &1.into(), [Op::Put(Datum::signed(-2), "newer".into())]);
        driver.ops(numbers, &1.into(), [Op::Append("last".into())]);
        for pair in [(NUMBERS, numbers), (BY_NUMBER, by_number)] {
            let mut convert = by_row(false, digits);
            if whole {
                driver.move_all(pair, 3, &mut convert);
                assert_eq!(driver.values(pair.0), 0);
            } else {
                let moved = driver.move_keys(pair, &keys()[..3], &mut convert);
                assert_eq!(moved.moved, if pair.0 == NUMBERS { 15 } else { 14 });
                assert_eq!(driver.entries(pair.0, &2.into()), []);
                assert_eq!(driver.entries(pair.0, &3.into()).len(), 5);
            }
        }
        let list = driver.list(numbers, &1.into());
        let expected = ["0", "1", "2", "3", "4", "last"].map(Datum::from);
        assert_eq!(list, expected, "elements are in the order in which they were added");
        let map = driver.entries(by_number, &1.into());
        let values: Vec<_> = map.iter().map(|(_, value)| value.clone()).collect();
        assert_eq!(values, ["newer", "1", "2", "3", "4"].map(Datum::from));
        assert_eq!(map[0].0, Datum::signed(-2));
        assert_eq!(driver.entries(by_number, &2.into()).len(), 5);
        driver.ops(numbers, &2.into(), [Op::Append("9".into())]);
        assert_eq!(driver.list(numbers, &2.into()).last(), Some(&"9".into()));
    }
}

fn stamps_stay_as_they_are(make: Make<'_>) {
    for whole in [false, true] {
        let mut driver = Driver::new(make, &setup(KeyLayout::U64));
        driver.put(SHORT, &1.into(), 5);
        driver.now.processing_time = 6;
        driver.put(SHORT, &2.into(), 6);
        let to = driver.add_state(as_text(&driver.setup.states[SHORT as usize]));
        let mut convert = by_row(false, digits);
        if whole {
            driver.move_all((SHORT, to), 10, &mut convert);
        } else {
            driver.move_keys((SHORT, to), &[1.into(), 2.into()], &mut convert);
        }
        driver.now.processing_time = 9;
        assert_eq!(driver.get(to, &1.into()), Some("5".into()));
        driver.now.processing_time = 10;
        assert_eq!(driver.get(to, &1.into()), None, "its time is up, as it was before");
        assert_eq!(driver.get(to, &2.into()), Some("6".into()));
        driver.now.processing_time = 16;
        assert_eq!(driver.get(to, &2.into()), None);
    }
}

fn snapshots_in_the_middle_restore(make: Make<'_>) {
    for restore_on in [make, Make::new(&heap)] {
        let (mut driver, to) = with_sums(make, 90);
        let mut chain = Chain::default();
        chain.add(&driver.snapshot(1, false));
        let values = Move { from: StateId(SUM), to: StateId(to) };
        let mut done = false;
        for epoch in 2..200 {
            if done {
                break;
            }
            let mut convert = by_row(false, digits);
            let moved = driver.backend.migrate(values, Which::Next(13), &mut convert);
            done = moved.expect("the storage works").done;
            driver.move_keys((SUM, to), &[(epoch * 7 % 90).into()], &mut convert);
            chain.add(&driver.snapshot(epoch, epoch % 3 == 0));
            let mut copy = chain.restore(restore_on, &driver.setup, 2);
            for task in &mut copy {
                let owned: Vec<_> = (0..90).map(Datum::Word).filter(|key| task.owns(key)).collect();
                assert_eq!(task.shown(&owned), driver.shown(&owned));
            }
        }
        let mut copy = chain.restore(restore_on, &driver.setup, 1).remove(0);
        assert!(done && copy.values(SUM) == 0);
        assert_eq!(copy.move_all((SUM, to), 5, &mut as_it_is).moved, 0);
    }
}

fn a_running_snapshot_is_as_of_its_start(make: Make<'_>) {
    for before in [false, true] {
        let (mut driver, to) = with_sums(make, 90);
        let list = driver.add_state(next_version(&driver.setup.states[ITEMS as usize]));
        for key in keys() {
            driver.ops(ITEMS, &key, [Op::Append("a".into())]);
        }
        let mut chain = Chain::default();
        if before {
            chain.add(&driver.snapshot(1, false));
            for number in 0..30_u64 {
                driver.put(SUM, &number.into(), number + 1);
            }
        }
        let all: Vec<_> = (0..90).map(Datum::Word).collect();
        let shown = driver.shown(&all);
        driver.start(2, false);
        driver.move_keys((SUM, to), &all[..20], &mut by_row(false, digits));
        let early = driver.backend.advance_snapshot(3).expect("the storage works");
        driver.move_all((SUM, to), 11, &mut by_row(false, digits));
        driver.move_all((ITEMS, list), 11, &mut as_it_is);
        let snapshot = early.unwrap_or_else(|| driver.finish());
        chain.add(&snapshot);
        let mut copy = chain.restore(make, &driver.setup, 1).remove(0);
        assert_eq!(copy.shown(&all), shown);
        chain.add(&driver.snapshot(3, false));
        let mut copy = chain.restore(make, &driver.setup, 1).remove(0);
        assert_eq!(copy.shown(&all), driver.shown(&all));
        assert_eq!((copy.values(SUM), copy.values(ITEMS)), (0, 0));
    }
}

fn other_kinds_are_refused(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let other = driver.add_state(map("other", KeyLayout::U64, ValueLayout::Bytes));
    let total = driver.add_state(state("plain", ValueLayout::S64));
    driver.begin(&keys()).expect("the keys are of the range");
    for pair in [(SUM, ITEMS), (ITEMS, BY_NAME), (BY_NAME, other), (other, SUM), (TEXT, 99)] {
        for which in [Which::Invocation, Which::Next(5)] {
            let values = Move { from: StateId(pair.0), to: StateId(pair.1) };
            let refused = driver.backend.migrate(values, which, &mut as_it_is);
            assert!(matches!(refused, Err(Error::Access { .. })), "{pair:?}: {refused:?}");
        }
    }
    driver.ops(TOTAL, &1.into(), [Op::Merge(5.into())]);
    driver.move_all((TOTAL, total), 5, &mut as_it_is);
    assert_eq!(driver.get(id(&driver, "plain"), &1.into()), Some(5.into()), "one value is another");
}
