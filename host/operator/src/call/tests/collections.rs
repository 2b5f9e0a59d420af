//! Lists and maps: random reads and writes against a model, pages, prefixes.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::*;
use crate::call::overlay::HALF;
use crate::call::{Collections, Prefix};

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

const SLOTS: u64 = 3;
const STATE: StateId = StateId(0);

type Maps = Vec<BTreeMap<i64, Vec<u8>>>;

fn pairs(entries: &Entries) -> Vec<(u64, Vec<u8>)> {
    let (Column::Words(keys), Column::Bytes(values)) = (&entries.keys, &entries.values) else {
        panic!("numbers and bytes")
    };
    keys.iter().copied().zip(values.iter().map(<[u8]>::to_vec)).collect()
}

fn bound(random: &mut Random, key: i64) -> Bound<i64> {
    match random.below(3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(key),
        _ => Bound::Excluded(key),
    }
}

fn contains(from: Bound<i64>, to: Bound<i64>, key: i64) -> bool {
    std::ops::RangeBounds::contains(&(from, to), &key)
}

/// Some keys are read by point, range and as a whole, and compared.
fn check_map(call: &mut Call, maps: &Maps, random: &mut Random) {
    let slot = random.below(SLOTS) as usize;
    let key = |random: &mut Random| random.below(120) as i64 - 60;
    let (from, to) = (key(random), key(random));
    let (from, to) = (bound(random, from), bound(random, to));
    let limit = random.below(50) as usize;
    let cells = |bound: Bound<i64>| bound.map(|key| Cell::Word(key as u64));
    let scan = Scan { slot: slot as u32, from: cells(from), to: cells(to), limit };
    let mut found = Entries::new(true, false);
    let more = call.scan(STATE, &scan, 200, &mut found).unwrap();
    let all = maps[slot].iter().filter(|(key, _)| contains(from, to, **key));
    let mut all = all.map(|(key, value)| (*key as u64, value.clone()));
    let expected: Vec<_> = all.by_ref().take(found.len()).collect();
    assert_eq!(pairs(&found), expected);
    assert_eq!(more, all.next().is_some(), "{scan:?}");
    let size: usize = expected.iter().map(|(_, value)| 12 + value.len()).sum();
    assert!(found.len() <= limit && (size <= 200 || found.len() == 1));
    assert!(!more || found.len() == limit || size > 150, "pages are filled");

    let slots: Vec<u32> = (0..20).map(|_| random.below(SLOTS) as u32).collect();
    let keys: Vec<i64> = (0..20).map(|_| key(random)).collect();
    let mut window = Window::new(false);
    let column = words(&keys.iter().map(|&key| key as u64).collect::<Vec<_>>());
    call.load_entries(STATE, &slots, &column, &mut window).unwrap();
    let expected =
        slots.iter().zip(&keys).map(|(&slot, key)| maps[slot as usize].get(key).cloned());
    assert_eq!(rows_of(&window), expected.collect::<Vec<_>>());
    let empty = call.is_empty(STATE, slot as u32).unwrap();
    assert_eq!(empty, maps[slot].is_empty());
    check_all(&call.load_all(STATE, limit, usize::MAX).unwrap(), maps, limit);
}

fn check_all(all: &Collections, maps: &Maps, limit: usize) {
    let rows = pairs(&all.entries);
    let mut from = 0;
    for (slot, map) in maps.iter().enumerate() {
        let end = all.ends[slot] as usize;
        let fits = map.len() <= limit;
        assert_eq!(all.complete.get(slot), fits);
        let entries = map.iter().map(|(key, value)| (*key as u64, value.clone()));
        let expected: Vec<_> = entries.filter(|_| fits).collect();
        assert_eq!(rows[from..end], expected);
        from = end;
    }
    assert_eq!(rows.len(), from);
}

#[test]
fn maps_are_read_with_what_the_invocation_wrote() {
    let mut call = call(vec![map(KeyLayout::S64, ValueLayout::Bytes)]);
    let mut committed: Maps = vec![BTreeMap::new(); SLOTS as usize];
    let random = &mut Random(42);
    for round in 0..300_u64 {
        let mut maps = committed.clone();
        let done = invoke(&mut call, SLOTS, |call| {
            check_map(call, &maps, random);
            for _ in 0..random.below(8) {
                write_map(call, &mut maps, random)?;
                check_map(call, &maps, random);
            }
            if round % 5 == 4 {
                return Err(Failure::Refused { row: None, reason: "undone".into() });
            }
            Ok(())
        });
        if done.is_ok() {
            committed = maps;
        }
    }
    assert!(committed.iter().any(|map| map.len() > 30), "there was something to read");
}

fn write_map(call: &mut Call, maps: &mut Maps, random: &mut Random) -> Result<(), Failure> {
    let count = random.below(20);
    let slots: Vec<u32> = (0..count).map(|_| random.below(SLOTS) as u32).collect();
    let keys: Vec<i64> = (0..count).map(|_| random.below(120) as i64 - 60).collect();
    let column = words(&keys.iter().map(|&key| key as u64).collect::<Vec<_>>());
    let rows = slots.iter().zip(&keys);
    match random.below(20) {
        0 => {
            call.clear(STATE, &slots[..slots.len().min(1)])?;
            slots.iter().take(1).for_each(|&slot| maps[slot as usize].clear());
        }
        1..6 => {
            call.remove_entries(STATE, &slots, &column)?;
            rows.for_each(|(&slot, key)| drop(maps[slot as usize].remove(key)));
        }
        6 => call.touch_entries(STATE, &slots, &column)?,
        _ => {
            let value = |_| vec![b'x'; random.below(30) as usize];
            let values: Vec<Vec<u8>> = (0..count).map(value).collect();
            call.put(STATE, &slots, &column, &bytes(&values))?;
            for ((&slot, &key), value) in rows.zip(values) {
                maps[slot as usize].insert(key, value);
            }
        }
    }
    Ok(())
}

type Lists = Vec<Vec<u64>>;

/// All elements of a slot with their numbers, page by page.
fn elements(call: &mut Call, slot: u32, limit: usize) -> Vec<(u64, u64)> {
    let mut all: Vec<(u64, u64)> = Vec::new();
    loop {
        let from = all.last().map_or(Bound::Unbounded, |last| Bound::Excluded(Cell::Word(last.0)));
        let mut page = Entries::new(true, true);
        let scan = Scan { from, ..Scan::all(slot, limit) };
        let more = call.scan(STATE, &scan, 100, &mut page).unwrap();
        let (Column::Words(numbers), Column::Words(values)) = (&page.keys, &page.values) else {
            panic!("numbers")
        };
        all.extend(numbers.iter().copied().zip(values.iter().copied()));
        if !more {
            return all;
        }
        assert!(!numbers.is_empty());
    }
}

fn check_lists(call: &mut Call, lists: &Lists, random: &mut Random) {
    let limit = random.below(40) as usize;
    let all = call.load_all(STATE, limit, usize::MAX).unwrap();
    let Column::Words(rows) = &all.entries.values else { panic!() };
    let mut from = 0;
    for (slot, list) in lists.iter().enumerate() {
        let found = elements(call, slot as u32, limit.max(1));
        assert!(found.is_sorted_by(|one, next| one.0 < next.0), "numbers rise");
        let values: Vec<u64> = found.into_iter().map(|(_, value)| value).collect();
        assert_eq!(&values, list);
        assert_eq!(call.list(STATE, slot as u32, usize::MAX).unwrap(), words(list));
        let end = all.ends[slot] as usize;
        let fits = list.len() <= limit;
        assert_eq!((all.complete.get(slot), end - from), (fits, if fits { list.len() } else { 0 }));
        assert!(rows[from..end].iter().eq(list.iter().filter(|_| fits)));
        from = end;
    }
}

fn write_lists(call: &mut Call, lists: &mut Lists, random: &mut Random) -> Result<(), Failure> {
    let count = random.below(20) as usize;
    let slots: Vec<u32> = (0..count).map(|_| random.below(SLOTS) as u32).collect();
    let values: Vec<u64> = (0..count).map(|_| random.below(1000)).collect();
    match random.below(10) {
        0 => {
            // Twice the same slot: the last one counts.
            let (first, last) = values.split_at(count / 2);
            let slot = random.below(SLOTS) as u32;
            let counts = [first.len() as u32, last.len() as u32];
            call.replace(STATE, &[slot, slot], &counts, &words(&values))?;
            lists[slot as usize] = last.to_vec();
        }
        1 => {
            let (first, last) = values.split_at(count / 2);
            let counts = [first.len() as u32, last.len() as u32];
            call.replace(STATE, &[0, 2], &counts, &words(&values))?;
            (lists[0], lists[2]) = (first.to_vec(), last.to_vec());
        }
        2 => {
            call.clear(STATE, &[1])?;
            lists[1].clear();
        }
        3..6 => {
            // Elements of the backend and of this invocation, mixed.
            let slot = random.below(SLOTS) as u32;
            let found = elements(call, slot, 100);
            let keep: Vec<bool> = found.iter().map(|_| random.below(3) > 0).collect();
            let gone = || found.iter().zip(&keep).filter(|(_, keep)| !**keep);
            let numbers: Vec<u64> = gone().map(|((number, _), _)| *number).collect();
            call.remove_elements(STATE, &vec![slot; numbers.len()], &numbers)?;
            call.remove_elements(STATE, &[slot, slot], &[HALF | 1 << 40, HALF - 1])?;
            let mut keep = keep.iter();
            lists[slot as usize].retain(|_| *keep.next().unwrap());
        }
        _ => {
            call.append(STATE, &slots, &words(&values))?;
            slots.iter().zip(&values).for_each(|(&slot, &value)| lists[slot as usize].push(value));
        }
    }
    Ok(())
}

#[test]
fn lists_are_read_with_what_the_invocation_wrote() {
    let mut call = call(vec![state(StateKind::List, ValueLayout::U64)]);
    let mut committed: Lists = vec![Vec::new(); SLOTS as usize];
    let (random, mut longest) = (&mut Random(7), 0);
    for round in 0..300_u64 {
        let mut lists = committed.clone();
        let done = invoke(&mut call, SLOTS, |call| {
            check_lists(call, &lists, random);
            for _ in 0..random.below(8) {
                write_lists(call, &mut lists, random)?;
                if random.below(2) == 0 {
                    check_lists(call, &lists, random);
                }
            }
            if round % 5 == 4 {
                return Err(Failure::Refused { row: None, reason: "undone".into() });
            }
            Ok(())
        });
        if done.is_ok() {
            longest = longest.max(lists.iter().map(Vec::len).max().unwrap());
            committed = lists;
        }
    }
    assert!(longest > 30, "there was something to read");
}

#[test]
fn prefixes_are_scanned_and_continued() {
    let mut call = call(vec![map(KeyLayout::Bytes, ValueLayout::U64)]);
    let keys: Vec<&[u8]> =
        vec![b"a", b"ab", b"ab\xff", b"ab\xff\xff", b"ac", b"b", b"\xff", b"\xff\xff"];
    let put = |call: &mut Call, keys: &[&[u8]]| {
        call.put(STATE, &vec![0; keys.len()], &bytes(keys), &words(&vec![0; keys.len()]))
    };
    invoke(&mut call, 1, |call| put(call, &keys[..4])).unwrap();
    invoke(&mut call, 1, |call| {
        put(call, &keys[4..])?;
        let mut starting = |start: &[u8], after: Option<&[u8]>, limit| {
            let mut found = Entries::new(false, true);
            let prefix = Prefix { slot: 0, bytes: start, after, limit };
            let more = call.scan_prefix(STATE, &prefix, 1000, &mut found).unwrap();
            let Column::Bytes(rows) = found.keys else { panic!() };
            (rows.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), more)
        };
        assert_eq!(starting(b"", None, 100).0, keys);
        assert_eq!(starting(b"ab", None, 2), (vec![b"ab".to_vec(), b"ab\xff".to_vec()], true));
        assert_eq!(starting(b"ab", Some(b"ab\xff"), 2), (vec![b"ab\xff\xff".to_vec()], false));
        assert_eq!(starting(b"ab\xff", None, 9).0.len(), 2);
        assert_eq!(
            starting(b"\xff", None, 9),
            (vec![b"\xff".to_vec(), b"\xff\xff".to_vec()], false)
        );
        assert_eq!(starting(b"ab", Some(b"a"), 9).0.len(), 3, "from before the prefix");
        assert_eq!(starting(b"ab", Some(b"b"), 9), (vec![], false), "from behind it");
        Ok(())
    })
    .unwrap();
}

#[test]
fn pages_keep_to_their_bytes_but_hold_one_entry() {
    let mut call = call(vec![state(StateKind::List, ValueLayout::Bytes)]);
    let rows: Vec<Vec<u8>> =
        (0..100).map(|row| vec![0; if row == 50 { 5000 } else { 10 }]).collect();
    invoke(&mut call, 2, |call| call.append(STATE, &[0; 100], &bytes(&rows))).unwrap();
    invoke(&mut call, 2, |call| {
        call.append(STATE, &[1], &bytes(&["one"]))?;
        let mut sizes = Vec::new();
        let mut from = Bound::Unbounded;
        loop {
            let mut page = Entries::new(true, false);
            let more = call.scan(STATE, &Scan { from, ..Scan::all(0, 1000) }, 1000, &mut page)?;
            sizes.push(page.len());
            let Column::Words(numbers) = &page.keys else { panic!() };
            from = Bound::Excluded(Cell::Word(*numbers.last().unwrap()));
            if !more {
                break;
            }
        }
        assert_eq!(sizes, [45, 5, 1, 45, 4]);
        let all = call.load_all(STATE, 1000, 1000)?;
        assert_eq!(
            (all.ends.clone(), all.complete.get(0), all.complete.get(1)),
            (vec![0, 1], false, true)
        );
        trapped(call.list(STATE, 0, 1000), "has more than 1000 bytes");
        assert_eq!(call.list(STATE, 1, 1000)?, bytes(&["one"]));
        Ok(())
    })
    .unwrap();
}
