//! How keys and values are laid out in RocksDB.
//!
//! ```text
//! key   = group tag operator-key rest
//!         group: u16; tag: u16, of a state, or of a timer family; all numbers with the most significant byte first,
//!         so that RocksDB's order is that of groups, then states, then keys, then entries
//! operator-key = u64, or u32 length and the bytes
//! rest  = nothing, for one value a key
//!       | entry-key, for an entry of a collection: u64, or s64 with its sign bit flipped, or the bytes
//! timer = group tag time operator-key namespace, and no value; time with its sign bit flipped, namespace u64
//! value = [stamp] word-or-bytes
//!         stamp: s64, only in states with a time-to-live; word: u64, least significant byte first, as merges want it
//! ```
//!
//! Groups end at 32,767, so the one key that begins with `ff ff` is for the catalog.

use crate::declaration::KeyLayout;
use crate::segment::{Cell, Stamped};
use crate::ttl::NO_STAMP;

/// The key of the catalog.
pub(super) const CATALOG: &[u8] = &[0xff, 0xff, b'c'];

/// The first tag of timers; those of states are below.
pub(super) const TIMER_TAGS: u16 = 0x8000;

/// Bytes before the operator key.
const HEAD: usize = 4;

const SIGN: u64 = 1 << 63;

pub(super) fn push_head(to: &mut Vec<u8>, group: u16, tag: u16) {
    to.extend_from_slice(&group.to_be_bytes());
    to.extend_from_slice(&tag.to_be_bytes());
}

pub(super) fn push_key(to: &mut Vec<u8>, key: Cell<'_>) {
    match key {
        Cell::Word(word) => to.extend_from_slice(&word.to_be_bytes()),
        Cell::Bytes(bytes) => {
            to.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
            to.extend_from_slice(bytes);
        }
    }
}

pub(super) fn push_entry(to: &mut Vec<u8>, layout: KeyLayout, entry: Cell<'_>) {
    match entry {
        Cell::Word(word) => {
            let flip = if layout == KeyLayout::S64 { SIGN } else { 0 };
            to.extend_from_slice(&(word ^ flip).to_be_bytes());
        }
        Cell::Bytes(bytes) => to.extend_from_slice(bytes),
    }
}

pub(super) fn push_timer(to: &mut Vec<u8>, time: i64, key: Cell<'_>, namespace: u64) {
    to.extend_from_slice(&(time as u64 ^ SIGN).to_be_bytes());
    push_key(to, key);
    to.extend_from_slice(&namespace.to_be_bytes());
}

pub(super) fn push_value(to: &mut Vec<u8>, stamped: bool, value: Stamped<'_>) {
    if stamped {
        to.extend_from_slice(&value.stamp.to_be_bytes());
    }
    match value.value {
        Cell::Word(word) => to.extend_from_slice(&word.to_le_bytes()),
        Cell::Bytes(bytes) => to.extend_from_slice(bytes),
    }
}

/// Turns a prefix into the first key after all that begin with it.
pub(super) fn successor(mut prefix: Vec<u8>) -> Vec<u8> {
    while let Some(last) = prefix.last_mut() {
        if *last < 0xff {
            *last += 1;
            break;
        }
        prefix.pop();
    }
    prefix
}

/// The group and tag of a key.
pub(super) fn head(key: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d] = *key.first_chunk::<HEAD>()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// The first key of a group and tag. That of the group after the last is the end of all groups.
pub(super) fn first(group: u32, tag: u16) -> Vec<u8> {
    let mut key = Vec::with_capacity(HEAD);
    push_head(&mut key, group as u16, tag);
    key
}

/// The group of a key, and what follows its tag.
pub(super) fn split(key: &[u8]) -> Option<(u16, &[u8])> {
    Some((head(key)?.0, &key[HEAD..]))
}

/// The operator key in what follows a tag, and the entry key's bytes.
pub(super) fn read_rest(rest: &[u8], words: bool) -> Option<(Cell<'_>, &[u8])> {
    take_key(rest, words)
}

/// Takes a number off the front.
fn take_word(from: &[u8]) -> Option<(u64, &[u8])> {
    let (word, rest) = from.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*word), rest))
}

/// Takes an operator key off the front.
fn take_key(from: &[u8], words: bool) -> Option<(Cell<'_>, &[u8])> {
    if words {
        return take_word(from).map(|(word, rest)| (Cell::Word(word), rest));
    }
    let (length, rest) = from.split_first_chunk::<4>()?;
    let (key, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((Cell::Bytes(key), rest))
}

/// The operator key of a state's value or entry, and the entry key's bytes.
pub(super) fn read_key(key: &[u8], words: bool) -> Option<(Cell<'_>, &[u8])> {
    read_rest(key.get(HEAD..)?, words)
}

/// An entry key.
pub(super) fn read_entry(entry: &[u8], layout: KeyLayout) -> Option<Cell<'_>> {
    if !layout.is_words() {
        return Some(Cell::Bytes(entry));
    }
    let (word, rest) = take_word(entry)?;
    let flip = if layout == KeyLayout::S64 { SIGN } else { 0 };
    rest.is_empty().then_some(Cell::Word(word ^ flip))
}

/// A timer's time, key and namespace.
pub(super) fn read_timer(key: &[u8], words: bool) -> Option<(i64, Cell<'_>, u64)> {
    let (time, rest) = take_word(key.get(HEAD..)?)?;
    let (key, rest) = take_key(rest, words)?;
    let (namespace, rest) = take_word(rest)?;
    rest.is_empty().then_some(((time ^ SIGN) as i64, key, namespace))
}

/// A value and its stamp.
pub(super) fn read_value(value: &[u8], stamped: bool, words: bool) -> Option<Stamped<'_>> {
    let (stamp, value) = if stamped { read_stamp(value)? } else { (NO_STAMP, value) };
    let value = if words {
        Cell::Word(u64::from_le_bytes(value.try_into().ok()?))
    } else {
        Cell::Bytes(value)
    };
    Some(Stamped { value, stamp })
}

/// The stamp of a value that has one, and what follows it.
pub(super) fn read_stamp(value: &[u8]) -> Option<(i64, &[u8])> {
    take_word(value).map(|(stamp, rest)| (stamp as i64, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_bytes_is_that_of_entries() {
        let encode = |number: i64| {
            let mut to = Vec::new();
            push_entry(&mut to, KeyLayout::S64, Cell::Word(number as u64));
            to
        };
        let numbers = [i64::MIN, -2, -1, 0, 1, i64::MAX];
        assert!(numbers.map(encode).is_sorted());
        for number in numbers {
            let read = encode(number);
            assert_eq!(read_entry(&read, KeyLayout::S64), Some(Cell::Word(number as u64)));
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for key in [Cell::Word(7), Cell::Bytes(b"seven"), Cell::Bytes(b"")] {
            let words = matches!(key, Cell::Word(_));
            let mut to = Vec::new();
            push_head(&mut to, 3, TIMER_TAGS | 1);
            push_timer(&mut to, -5, key, 9);
            assert_eq!(head(&to), Some((3, TIMER_TAGS | 1)));
            assert_eq!(read_timer(&to, words), Some((-5, key, 9)));
            assert_eq!(read_timer(&to[..to.len() - 1], words), None);
            to.truncate(HEAD);
            push_key(&mut to, key);
            push_entry(&mut to, KeyLayout::Bytes, Cell::Bytes(b"entry"));
            assert_eq!(read_key(&to, words), Some((key, &b"entry"[..])));
        }
        let mut to = Vec::new();
        push_value(&mut to, true, Stamped { value: Cell::Word(258), stamp: -1 });
        assert_eq!(
            read_value(&to, true, true),
            Some(Stamped { value: Cell::Word(258), stamp: -1 })
        );
        assert_eq!(read_value(&to, false, true), None);
    }

    #[test]
    fn a_prefix_has_a_successor() {
        assert_eq!(successor(vec![1, 2]), [1, 3]);
        assert_eq!(successor(vec![1, 0xff]), [2]);
    }
}
