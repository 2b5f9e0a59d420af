//! Cases about merges, and about the order of writes to one value.

use super::Make;
use super::driver::{Batch, Datum, Driver, Op};
use super::states::{ACCUMULATOR, COUNT, LEAST, LOG, SUM, TAGS, TEXT, TOTAL, setup};
use crate::declaration::KeyLayout;

pub(super) fn run(make: Make<'_>) {
    merges_start_from_nothing(make);
    merges_of_one_write_set_add_up(make);
    merges_go_on_from_what_was_committed(make);
    writes_of_one_value_apply_in_their_order(make);
    reads_are_nothing_to_what_does_not_expire(make);
    an_accumulator_is_set_and_read(make);
    many_keys_are_merged_at_once(make);
}

fn word(number: i64) -> Datum {
    Datum::signed(number)
}

/// The parts of a set, each a single byte long.
fn tags(elements: &str) -> Datum {
    Datum::Bytes(elements.bytes().flat_map(|element| [1, element]).collect())
}

fn merges_start_from_nothing(make: Make<'_>) {
    for layout in [KeyLayout::S64, KeyLayout::Bytes] {
        let mut driver = Driver::new(make, &setup(layout));
        let key = |state: u32| match layout {
            KeyLayout::Bytes => Datum::Bytes(vec![b'k'; state as usize]),
            _ => word(-i64::from(state)),
        };
        let deltas = [(TOTAL, word(-7)), (LEAST, word(5)), (LOG, "a".into()), (TAGS, tags("bd"))];
        for (state, delta) in deltas {
            assert_eq!(driver.get(state, &key(state)), None);
            driver.ops(state, &key(state), [Op::Merge(delta.clone())]);
            assert_eq!(driver.get(state, &key(state)), Some(delta));
        }
        driver.ops(LOG, &key(LOG), [Op::Remove]);
        driver.ops(LOG, &key(LOG), [Op::Merge("".into())]);
        assert_eq!(driver.get(LOG, &key(LOG)), Some("".into()), "nothing, merged, is a value");
        driver.assert_entries(4);
    }
}

fn merges_of_one_write_set_add_up(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    for round in 1..=3_i64 {
        let merge = |state: u32, delta: Datum| (state, Datum::Word(1), Op::Merge(delta));
        driver.apply(&Batch {
            writes: vec![
                merge(TOTAL, word(5)),
                merge(LEAST, word(5 - round)),
                merge(TOTAL, word(-6)),
                merge(LOG, "a".into()),
                merge(TAGS, tags("b")),
                merge(LEAST, word(-round)),
                merge(LOG, "bc".into()),
                merge(TAGS, tags("ac")),
                merge(LOG, "".into()),
            ],
            ..Batch::default()
        });
        assert_eq!(driver.get(TOTAL, &1.into()), Some(word(-round)));
        assert_eq!(driver.get(LEAST, &1.into()), Some(word(-round)));
        let log = "abc".repeat(round as usize);
        assert_eq!(driver.get(LOG, &1.into()), Some(log.as_str().into()));
        assert_eq!(driver.get(TAGS, &1.into()), Some(tags("abc")));
    }
}

fn merges_go_on_from_what_was_committed(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    for number in 1..=200_u64 {
        driver.ops(TOTAL, &9.into(), [Op::Merge(number.into())]);
        driver.ops(LOG, &9.into(), [Op::Merge("xy".into())]);
        let total = driver.get(TOTAL, &9.into());
        assert_eq!(total, Some((number * (number + 1) / 2).into()));
    }
    assert_eq!(driver.get(LOG, &9.into()), Some("xy".repeat(200).as_str().into()));
    assert_eq!(driver.get(LOG, &8.into()), None);
}

fn writes_of_one_value_apply_in_their_order(make: Make<'_>) {
    let (set, merge) = (|number| Op::Set(word(number)), |number| Op::Merge(word(number)));
    let cases = [
        (vec![set(5), merge(1)], Some(6)),
        (vec![merge(1), set(5)], Some(5)),
        (vec![Op::Remove, merge(1)], Some(1)),
        (vec![merge(1), Op::Remove], None),
        (vec![merge(1), Op::Remove, merge(2), merge(3)], Some(5)),
        (vec![set(1), Op::Remove], None),
        (vec![Op::Touch, merge(4)], Some(4)),
        (vec![Op::Remove, Op::Touch], None),
        (vec![merge(4), Op::Touch, set(7), Op::Touch, merge(1)], Some(8)),
    ];
    for (ops, expected) in cases {
        let mut driver = Driver::new(make, &setup(KeyLayout::U64));
        driver.ops(TOTAL, &1.into(), ops.clone());
        assert_eq!(driver.get(TOTAL, &1.into()), expected.map(word), "{ops:?} of nothing");
        driver.assert_entries(u64::from(expected.is_some()));
        driver.ops(TOTAL, &1.into(), [Op::Remove]);
        driver.ops(TOTAL, &1.into(), ops.clone());
        assert_eq!(driver.get(TOTAL, &1.into()), expected.map(word), "{ops:?} of what is gone");
    }
}

fn reads_are_nothing_to_what_does_not_expire(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    driver.put(SUM, &1.into(), 5);
    driver.put(TEXT, &1.into(), "five");
    driver.snapshot(1, true);
    for state in [SUM, TEXT, COUNT] {
        driver.ops(state, &1.into(), [Op::Touch]);
        driver.ops(state, &2.into(), [Op::Touch]);
    }
    assert_eq!(driver.get(SUM, &1.into()), Some(5.into()));
    assert_eq!(driver.get(TEXT, &1.into()), Some("five".into()));
    assert_eq!(driver.get(COUNT, &1.into()), None);
    assert_eq!(driver.get(SUM, &2.into()), None);
    assert_eq!(driver.snapshot(2, false).segments, [], "nothing changed");
}

fn an_accumulator_is_set_and_read(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::Bytes));
    let key = Datum::from("k");
    driver.put(ACCUMULATOR, &key, "one");
    driver.put(ACCUMULATOR, &key, "three");
    assert_eq!(driver.get(ACCUMULATOR, &key), Some("three".into()));
    driver.remove(ACCUMULATOR, &key);
    assert_eq!(driver.get(ACCUMULATOR, &key), None);
}

/// More new keys than a table holds at first, all merged into and some set, in one invocation.
fn many_keys_are_merged_at_once(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let keys: Vec<Datum> = (0..3000_u64).map(Datum::Word).collect();
    for round in 1..=3_i64 {
        let mut writes = Vec::new();
        for (number, key) in keys.iter().enumerate() {
            writes.push((LEAST, key.clone(), Op::Merge(word(number as i64 + 1))));
            writes.push((TOTAL, key.clone(), Op::Merge(word(1))));
            writes.push((LEAST, key.clone(), Op::Merge(word(number as i64 + 2))));
        }
        driver.apply(&Batch { writes, ..Batch::default() });
        driver.begin(&keys).expect("the keys are of the range");
        let totals = driver.load(TOTAL, keys.len());
        assert_eq!(totals, vec![Some(word(round)); keys.len()]);
        let least: Vec<_> = (0..3000).map(|number| Some(word(number + 1))).collect();
        assert_eq!(driver.load(LEAST, keys.len()), least);
    }
    driver.assert_entries(6000);
}
