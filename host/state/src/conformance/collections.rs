//! Cases about the entries of maps and lists.

mod refused;
mod snapshots;

use std::ops::Bound;

use super::Make;
use super::driver::{Batch, Datum, Driver, Op};
use super::states::{BY_NAME, BY_NUMBER, ITEMS, NUMBERS, SUM, setup};
use crate::declaration::KeyLayout;

pub(super) fn run(make: Make<'_>) {
    points_are_read_as_they_were_written(make);
    numbers_are_in_order_of_their_signs(make);
    bytes_are_in_order_of_their_bytes(make);
    every_bound_is_kept(make);
    a_limit_says_whether_there_is_more(make);
    keys_have_entries_of_their_own(make);
    clear_takes_all_entries_and_no_others(make);
    writes_of_one_entry_apply_in_their_order(make);
    elements_stay_in_the_order_in_which_they_were_added(make);
    elements_go_by_number(make);
    one_key_has_many_entries(make);
    what_is_not_committed_changed_nothing(make);
    snapshots::run(make);
    refused::run(make);
}

fn put(entry: impl Into<Datum>, value: impl Into<Datum>) -> Op {
    Op::Put(entry.into(), value.into())
}

fn append(value: impl Into<Datum>) -> Op {
    Op::Append(value.into())
}

fn points_are_read_as_they_were_written(make: Make<'_>) {
    for layout in [KeyLayout::U64, KeyLayout::S64, KeyLayout::Bytes] {
        let mut driver = Driver::new(make, &setup(layout));
        let key = if layout == KeyLayout::Bytes { "".into() } else { Datum::signed(-1) };
        assert_eq!(driver.entry(BY_NAME, &key, "a"), None);
        assert_eq!(driver.entries(BY_NAME, &key), []);
        driver.ops(BY_NAME, &key, [put("a", "1"), put("", ""), put("b", "2")]);
        driver.ops(BY_NUMBER, &key, [put(7, 70), put(u64::MAX, 1)]);
        driver.begin(std::slice::from_ref(&key)).expect("the key is of the range");
        let asked = ["b", "x", "", "b", "a"].map(|entry| (0, entry.into()));
        let found = driver.load_entries(BY_NAME, &asked);
        let expected = [Some("2"), None, Some(""), Some("2"), Some("1")];
        assert_eq!(found, expected.map(|value| value.map(Datum::from)), "also the same one twice");
        let found = driver.load_entries(BY_NUMBER, &[(0, 7.into()), (0, 8.into())]);
        assert_eq!(found, [Some(70.into()), None]);
        assert_eq!(driver.load_entries(BY_NUMBER, &[]), []);
        driver.ops(BY_NAME, &key, [put("a", "longer than it was"), Op::RemoveEntry("b".into())]);
        assert_eq!(driver.entry(BY_NAME, &key, "a"), Some("longer than it was".into()));
        assert_eq!(driver.entry(BY_NAME, &key, "b"), None);
        driver.assert_entries(4);
    }
}

fn numbers_are_in_order_of_their_signs(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let numbers = [3, -1, i64::MAX, 0, i64::MIN, -300, 1, 256];
    let ops = numbers.map(|number| Op::Put(Datum::signed(number), Datum::signed(number)));
    driver.ops(BY_NUMBER, &1.into(), ops);
    let mut expected = numbers.to_vec();
    expected.sort_unstable();
    let expected: Vec<_> =
        expected.into_iter().map(|number| (Datum::signed(number), Datum::signed(number))).collect();
    assert_eq!(driver.entries(BY_NUMBER, &1.into()), expected);
}

fn bytes_are_in_order_of_their_bytes(make: Make<'_>) {
    let sorted: [&[u8]; 14] = [
        b"",
        b"\0",
        b"\0\0",
        b"\0\0\x01",
        b"\0\x01",
        b"\0\xff",
        b"\x01",
        b"a",
        b"a\0",
        b"a\0b",
        b"ab",
        b"\xff",
        b"\xff\0",
        b"\xff\xff",
    ];
    for layout in [KeyLayout::U64, KeyLayout::Bytes] {
        let mut driver = Driver::new(make, &setup(layout));
        // Keys of which one begins with the other do not get into each other's entries.
        let keys: [Datum; 3] = match layout {
            KeyLayout::Bytes => [b"".as_slice(), b"\0", b"\0\0"].map(Datum::from),
            _ => [0, 1, 256].map(Datum::Word),
        };
        for key in &keys {
            let ops = sorted.iter().rev().map(|entry| put(*entry, *entry));
            driver.ops(BY_NAME, key, ops);
        }
        let expected = sorted.map(|entry| (Datum::from(entry), Datum::from(entry)));
        for key in &keys {
            assert_eq!(driver.entries(BY_NAME, key), expected, "{key:?}");
        }
    }
}

fn every_bound_is_kept(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let entries = [-30, -20, -10, 0, 10, 20];
    let key = Datum::from(5);
    driver.ops(BY_NUMBER, &key, entries.map(|entry| put(Datum::signed(entry), 1)));
    driver.ops(BY_NUMBER, &6.into(), [put(Datum::signed(5), 1)]);
    let at = [-40, -30, -25, -10, 0, 20, 30];
    let bounds = |number: i64| [Bound::Included(number), Bound::Excluded(number)];
    let mut all: Vec<Bound<i64>> = at.into_iter().flat_map(bounds).collect();
    all.push(Bound::Unbounded);
    driver.begin(std::slice::from_ref(&key)).expect("the key is of the range");
    for from in &all {
        for to in &all {
            let within = |entry: &&i64| {
                let low = match from {
                    Bound::Included(from) => from <= *entry,
                    Bound::Excluded(from) => from < *entry,
                    Bound::Unbounded => true,
                };
                low && match to {
                    Bound::Included(to) => *entry <= to,
                    Bound::Excluded(to) => *entry < to,
                    Bound::Unbounded => true,
                }
            };
            let expected: Vec<_> =
                entries.iter().filter(within).map(|entry| Datum::signed(*entry)).collect();
            let (first, last) = (from.map(Datum::signed), to.map(Datum::signed));
            let (found, more) = driver.scan(BY_NUMBER, 0, (first.as_ref(), last.as_ref()), 100);
            let found: Vec<_> = found.into_iter().map(|(entry, _)| entry).collect();
            assert_eq!((found, more), (expected, false), "from {from:?} to {to:?}");
        }
    }
    driver.ops(BY_NAME, &key, ["a", "ab", "b", "ba", "c"].map(|entry| put(entry, "")));
    driver.begin(std::slice::from_ref(&key)).expect("the key is of the range");
    let (from, to) = (Datum::from("ab"), Datum::from("ba"));
    let prefix = (Bound::Included(&from), Bound::Excluded(&to));
    let (found, more) = driver.scan(BY_NAME, 0, prefix, 10);
    let found: Vec<_> = found.into_iter().map(|(entry, _)| entry).collect();
    assert_eq!((found, more), (vec!["ab".into(), "b".into()], false));
}

fn a_limit_says_whether_there_is_more(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    driver.ops(BY_NUMBER, &1.into(), (0..10).map(|entry| put(entry, entry)));
    driver.begin(&[1.into(), 2.into()]).expect("the keys are of the range");
    let all = (Bound::Unbounded, Bound::Unbounded);
    for limit in 0..12 {
        let (found, more) = driver.scan(BY_NUMBER, 0, all, limit);
        assert_eq!((found.len(), more), (limit.min(10), limit < 10));
    }
    let last = Datum::Word(4);
    let (found, more) = driver.scan(BY_NUMBER, 0, (Bound::Unbounded, Bound::Excluded(&last)), 4);
    assert_eq!((found.len(), more), (4, false), "what is out of bounds is no more");
    assert_eq!(driver.scan(BY_NUMBER, 1, all, 0), (vec![], false), "of nothing there is no more");
}

fn keys_have_entries_of_their_own(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let keys: Vec<Datum> = (0..300_u64).map(Datum::Word).collect();
    let write = |key: &Datum| {
        let Datum::Word(number) = *key else { unreachable!("the keys are words") };
        (0..number % 5).map(move |entry| (BY_NUMBER, Datum::Word(number), put(entry, number)))
    };
    let writes: Vec<_> = keys.iter().flat_map(write).collect();
    let written = writes.len() as u64;
    driver.apply(&Batch { writes, ..Batch::default() });
    driver.assert_entries(written);
    driver.begin(&keys).expect("the keys are of the range");
    for slot in 0..300_u32 {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let (found, _) = driver.scan(BY_NUMBER, slot, all, 10);
        let value = Datum::Word(u64::from(slot));
        let expected: Vec<_> =
            (0..u64::from(slot) % 5).map(|entry| (entry.into(), value.clone())).collect();
        assert_eq!(found, expected);
    }
    let asked: Vec<_> = (0..300).rev().map(|slot| (slot, Datum::Word(3))).collect();
    let expected = (0..300_u64).rev().map(|slot| (slot % 5 > 3).then_some(Datum::Word(slot)));
    assert_eq!(driver.load_entries(BY_NUMBER, &asked), expected.collect::<Vec<_>>());
}

fn clear_takes_all_entries_and_no_others(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::Bytes));
    let keys = ["", "a", "ab", "b"].map(Datum::from);
    for key in &keys {
        driver.ops(BY_NAME, key, [put("", "1"), put("\0", "2"), put("z", "3")]);
        driver.ops(ITEMS, key, [append("x"), append("y")]);
        driver.put(SUM, key, 1);
    }
    driver.ops(BY_NAME, &keys[1], [Op::Clear]);
    driver.ops(ITEMS, &keys[2], [append("gone"), Op::Clear, append("new")]);
    driver.ops(BY_NAME, &"nobody".into(), [Op::Clear]);
    driver.assert_entries(4 * 6 - 3 - 1);
    for (number, key) in keys.iter().enumerate() {
        let entries = if number == 1 { 0 } else { 3 };
        assert_eq!(driver.entries(BY_NAME, key).len(), entries);
        let list: &[&str] = if number == 2 { &["new"] } else { &["x", "y"] };
        let list: Vec<_> = list.iter().map(|element| Datum::from(*element)).collect();
        assert_eq!(driver.list(ITEMS, key), list);
        assert_eq!(driver.get(SUM, key), Some(1.into()));
    }
}

fn writes_of_one_entry_apply_in_their_order(make: Make<'_>) {
    let remove = || Op::RemoveEntry(1.into());
    let touch = || Op::TouchEntry(1.into());
    let cases = [
        (vec![put(1, 5), put(1, 6)], Some(6)),
        (vec![put(1, 5), remove()], None),
        (vec![remove(), put(1, 5)], Some(5)),
        (vec![put(1, 5), Op::Clear], None),
        (vec![Op::Clear, put(1, 5)], Some(5)),
        (vec![put(1, 5), Op::Clear, put(1, 6), remove(), put(1, 7)], Some(7)),
        (vec![touch()], None),
        (vec![put(1, 5), touch()], Some(5)),
    ];
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    for (key, (ops, expected)) in (0_u64..).zip(cases) {
        let expected = expected.map(Datum::Word);
        driver.ops(BY_NUMBER, &key.into(), ops.clone());
        assert_eq!(driver.entry(BY_NUMBER, &key.into(), 1), expected, "{ops:?} of nothing");
        driver.ops(BY_NUMBER, &key.into(), [Op::Clear, put(1, 9), Op::Clear]);
        driver.ops(BY_NUMBER, &key.into(), ops.clone());
        assert_eq!(driver.entry(BY_NUMBER, &key.into(), 1), expected, "{ops:?} of what is gone");
    }
}

fn elements_stay_in_the_order_in_which_they_were_added(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    for round in 0..50_u64 {
        let append = |key: u64| {
            let value = Datum::Word(round.wrapping_mul(7) % 50);
            [(NUMBERS, Datum::Word(key), Op::Append(value))]
        };
        driver.apply(&Batch { writes: (0..4).flat_map(append).collect(), ..Batch::default() });
    }
    let expected: Vec<_> = (0..50_u64).map(|round| Datum::Word(round * 7 % 50)).collect();
    for key in 0..4_u64 {
        assert_eq!(driver.list(NUMBERS, &key.into()), expected);
    }
    driver.ops(ITEMS, &1.into(), [append("same"), append("same"), append("")]);
    assert_eq!(driver.list(ITEMS, &1.into()), ["same", "same", ""].map(Datum::from));
}

fn elements_go_by_number(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let key = Datum::from(1);
    driver.ops(ITEMS, &key, ["a", "b", "c", "d"].map(append));
    let numbers: Vec<_> = driver.entries(ITEMS, &key).into_iter().map(|(key, _)| key).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?} rise");
    assert_eq!(driver.entry(ITEMS, &key, numbers[2].clone()), Some("c".into()));
    let remove = [1, 3].map(|at: usize| Op::RemoveEntry(numbers[at].clone()));
    driver.ops(ITEMS, &key, remove);
    assert_eq!(driver.list(ITEMS, &key), ["a", "c"].map(Datum::from));
    driver.ops(ITEMS, &key, [append("e")]);
    let last = driver.entries(ITEMS, &key).pop().expect("there are three");
    assert!(last.0 > numbers[3], "numbers are not given again");
    assert_eq!(driver.list(ITEMS, &key), ["a", "c", "e"].map(Datum::from));
}

fn one_key_has_many_entries(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let key = Datum::from(1);
    let entry = |number: u64| Datum::Word(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    driver.ops(BY_NUMBER, &key, (0..5000).map(|number| Op::Put(entry(number), number.into())));
    driver.ops(BY_NUMBER, &key, (0..5000).step_by(2).map(|it| Op::RemoveEntry(entry(it))));
    driver.assert_entries(2500);
    let mut expected: Vec<_> =
        (1..5000).step_by(2).map(|number| (entry(number), Datum::Word(number))).collect();
    expected.sort_unstable_by_key(|(entry, _)| {
        let Datum::Word(word) = entry else { unreachable!("entries go by numbers") };
        *word as i64
    });
    assert_eq!(driver.entries(BY_NUMBER, &key), expected);
    let large: Vec<u8> = (0..1_000_000_u32).map(|byte| (byte % 251) as u8).collect();
    driver.ops(BY_NAME, &key, [put("large", large.as_slice()), put("small", "1")]);
    assert_eq!(driver.entry(BY_NAME, &key, "large"), Some(large.as_slice().into()));
    driver.ops(BY_NUMBER, &key, [Op::Clear]);
    assert_eq!(driver.entries(BY_NUMBER, &key), []);
    driver.assert_entries(2);
}

fn what_is_not_committed_changed_nothing(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    driver.ops(BY_NUMBER, &1.into(), [put(1, 1)]);
    driver.begin(&[1.into(), 2.into()]).expect("the keys are of the range");
    driver.load_entries(BY_NUMBER, &[(0, 1.into()), (1, 1.into())]);
    driver.begin(&[2.into()]).expect("a new invocation abandons the one before");
    assert_eq!(driver.load_entries(BY_NUMBER, &[(0, 1.into())]), [None]);
    assert_eq!(driver.entries(BY_NUMBER, &1.into()), [(1.into(), 1.into())]);
    driver.assert_entries(1);
}
