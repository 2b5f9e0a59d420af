//! Cases about values: layouts, invocations, removal, refused accesses.

use super::driver::{Datum, Driver};
use super::states::{COUNT, MEAN, SUM, TEXT, setup};
use super::{Make, Setup};
use crate::declaration::{KeyLayout, StateId};
use crate::error::Error;
use crate::key::KeyGroupRange;
use crate::window::Window;
use crate::writes::WriteSet;

pub(super) fn run(make: Make<'_>) {
    every_layout_is_read_as_it_was_committed(make);
    extreme_keys_are_keys_like_others(make);
    an_invocation_that_is_not_committed_changed_nothing(make);
    the_last_write_of_a_slot_wins(make);
    removed_values_are_gone_and_may_come_back(make);
    large_values_come_back_whole(make);
    many_keys_come_and_go(make);
    accesses_outside_the_declaration_are_refused(make);
}

fn keys(layout: KeyLayout) -> Vec<Datum> {
    match layout {
        KeyLayout::U64 => [0, 1, u64::MAX, 1 << 63].map(Datum::Word).to_vec(),
        KeyLayout::S64 => [0, -1, i64::MIN, i64::MAX].map(|key| Datum::Word(key as u64)).to_vec(),
        KeyLayout::Bytes => {
            let long = Datum::Bytes(vec![7; 100_000]);
            vec!["".into(), "\0".into(), "\0\0".into(), "key".into(), "keys".into(), long]
        }
    }
}

fn every_layout_is_read_as_it_was_committed(make: Make<'_>) {
    for layout in [KeyLayout::U64, KeyLayout::S64, KeyLayout::Bytes] {
        let mut driver = Driver::new(make, &setup(layout));
        let key = &keys(layout)[1];
        assert_eq!(driver.get(SUM, key), None, "a new backend is empty");
        driver.put(SUM, key, -5_i64 as u64);
        driver.put(TEXT, key, "five");
        driver.put(MEAN, key, f64::NAN.to_bits());
        driver.put(COUNT, key, u64::MAX);
        assert_eq!(driver.get(SUM, key), Some(Datum::Word(-5_i64 as u64)));
        assert_eq!(driver.get(TEXT, key), Some("five".into()));
        assert_eq!(driver.get(MEAN, key), Some(Datum::Word(f64::NAN.to_bits())));
        assert_eq!(driver.get(COUNT, key), Some(Datum::Word(u64::MAX)));
        assert_eq!(driver.get(SUM, &keys(layout)[2]), None, "other keys have no values");
        driver.assert_entries(4);
    }
}

fn extreme_keys_are_keys_like_others(make: Make<'_>) {
    for layout in [KeyLayout::U64, KeyLayout::S64, KeyLayout::Bytes] {
        let mut driver = Driver::new(make, &setup(layout));
        let keys = keys(layout);
        for (number, key) in keys.iter().enumerate() {
            driver.put(COUNT, key, number as u64);
        }
        driver.begin(&keys).expect("the keys are of the range");
        let expected: Vec<_> = (0..keys.len()).map(|number| Some((number as u64).into())).collect();
        assert_eq!(driver.load(COUNT, keys.len()), expected, "{layout:?}");
        assert_eq!(driver.load(SUM, keys.len()), vec![None; keys.len()], "{layout:?}");
    }
}

fn an_invocation_that_is_not_committed_changed_nothing(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let keys: Vec<Datum> = (0..100).map(Datum::Word).collect();
    driver.put(SUM, &keys[0], 1);
    driver.begin(&keys).expect("the keys are of the range");
    driver.load(SUM, 100);
    driver.begin(&keys[1..]).expect("a new invocation abandons the one before");
    assert_eq!(driver.load(SUM, 99), vec![None; 99]);
    driver.backend.commit(&WriteSet::new(&driver.setup.states)).expect("nothing to write");
    driver.assert_entries(1);
    assert_eq!(driver.get(SUM, &keys[0]), Some(1.into()));
    driver.begin(&[]).expect("an invocation may have no keys");
    assert_eq!(driver.load(TEXT, 0), vec![]);
}

fn the_last_write_of_a_slot_wins(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::Bytes));
    let (ann, bob, cid) = (Datum::from("ann"), Datum::from("bob"), Datum::from("cid"));
    driver.put(TEXT, &cid, "old");
    driver.commit(
        &[
            (TEXT, ann.clone(), Some("first".into())),
            (TEXT, bob.clone(), Some("gone".into())),
            (TEXT, cid.clone(), None),
            (TEXT, ann.clone(), Some("second".into())),
            (TEXT, bob.clone(), None),
            (TEXT, cid.clone(), Some("new".into())),
            (SUM, ann.clone(), Some(1.into())),
            (SUM, ann.clone(), Some(2.into())),
        ],
        &[],
    );
    assert_eq!(driver.get(TEXT, &ann), Some("second".into()));
    assert_eq!(driver.get(TEXT, &bob), None);
    assert_eq!(driver.get(TEXT, &cid), Some("new".into()));
    assert_eq!(driver.get(SUM, &ann), Some(2.into()));
    driver.assert_entries(3);
}

fn removed_values_are_gone_and_may_come_back(make: Make<'_>) {
    for layout in [KeyLayout::U64, KeyLayout::Bytes] {
        let mut driver = Driver::new(make, &setup(layout));
        let key = &keys(layout)[0];
        driver.remove(SUM, key);
        driver.assert_entries(0);
        driver.put(SUM, key, 1);
        driver.put(TEXT, key, "");
        assert_eq!(driver.get(TEXT, key), Some("".into()), "an empty value is a value");
        driver.remove(SUM, key);
        assert_eq!(driver.get(SUM, key), None);
        assert_eq!(driver.get(TEXT, key), Some("".into()), "states are apart");
        driver.remove(TEXT, key);
        driver.assert_entries(0);
        driver.put(SUM, key, 2);
        assert_eq!(driver.get(SUM, key), Some(2.into()));
        assert_eq!(driver.get(TEXT, key), None);
    }
}

fn large_values_come_back_whole(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let large: Vec<u8> = (0..3_000_000_u32).map(|byte| (byte % 251) as u8).collect();
    driver.put(TEXT, &1.into(), Datum::Bytes(large.clone()));
    driver.put(TEXT, &2.into(), "small");
    assert_eq!(driver.get(TEXT, &1.into()), Some(Datum::Bytes(large)));
    driver.put(TEXT, &1.into(), "now small");
    assert_eq!(driver.get(TEXT, &1.into()), Some("now small".into()));
    assert_eq!(driver.get(TEXT, &2.into()), Some("small".into()));
}

/// More keys than any table holds at first, in one invocation; then others in their place, several
/// times over.
fn many_keys_come_and_go(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    for round in 0..6_u64 {
        let keys: Vec<Datum> = (round * 1500..round * 1500 + 3000).map(Datum::Word).collect();
        let mut writes = Vec::new();
        if round > 0 {
            let old = (round - 1) * 1500..round * 1500;
            writes.extend(old.map(|key| (COUNT, Datum::Word(key), None)));
        }
        writes.extend(keys.iter().map(|key| (COUNT, key.clone(), Some(Datum::Word(round)))));
        driver.commit(&writes, &[]);
        driver.assert_entries(3000);
        driver.begin(&keys).expect("the keys are of the range");
        assert_eq!(driver.load(COUNT, 3000), vec![Some(Datum::Word(round)); 3000]);
    }
}

fn accesses_outside_the_declaration_are_refused(make: Make<'_>) {
    let all = setup(KeyLayout::U64);
    let range = KeyGroupRange { start: 2, end: 5 };
    let mut driver = Driver::new(make, &Setup { range, ..all });
    let (owned, others): (Vec<_>, Vec<_>) =
        (0..64).map(Datum::Word).partition(|key| driver.owns(key));
    driver.begin(&owned).expect("these keys are of the range");
    let refused = driver.begin(&[owned[0].clone(), others[0].clone()]);
    assert!(matches!(refused, Err(Error::Access { .. })), "a key of another task: {refused:?}");
    driver.begin(&owned[..1]).expect("a refused invocation does no harm");
    let refused = driver.backend.load(StateId(TEXT), &mut Window::new(true));
    assert!(matches!(refused, Err(Error::Access { .. })), "a window of words: {refused:?}");
    let refused = driver.backend.load(StateId(COUNT), &mut Window::new(false));
    assert!(matches!(refused, Err(Error::Access { .. })), "a window of bytes: {refused:?}");
}
