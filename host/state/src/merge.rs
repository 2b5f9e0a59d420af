//! Merges that the host executes for reducing states.
//!
//! Sums of integers wrap around, as processors do. `min` and `max` of floating-point numbers pass over NaN. Sets are
//! their elements in ascending order of bytes, each once, each a varint length (unsigned LEB128) and that many bytes.

use crate::declaration::{Merge, ValueLayout};

/// Merges a number into another.
#[inline]
pub fn words(merge: Merge, layout: ValueLayout, current: u64, delta: u64) -> u64 {
    match (merge, layout) {
        (Merge::Sum, ValueLayout::F64) => {
            (f64::from_bits(current) + f64::from_bits(delta)).to_bits()
        }
        (Merge::Sum | Merge::Count, _) => current.wrapping_add(delta),
        (Merge::Min, ValueLayout::F64) => {
            f64::from_bits(current).min(f64::from_bits(delta)).to_bits()
        }
        (Merge::Max, ValueLayout::F64) => {
            f64::from_bits(current).max(f64::from_bits(delta)).to_bits()
        }
        (Merge::Min, ValueLayout::S64) => (current as i64).min(delta as i64) as u64,
        (Merge::Max, ValueLayout::S64) => (current as i64).max(delta as i64) as u64,
        (Merge::Min, _) => current.min(delta),
        (Merge::Max, _) => current.max(delta),
        (Merge::Append | Merge::SetUnion, _) => unreachable!("these merge bytes"),
    }
}

/// Merges bytes into others. Bytes that are not a set count as the elements before the damage.
pub fn bytes(merge: Merge, current: &mut Vec<u8>, delta: &[u8]) {
    match merge {
        Merge::Append => current.extend_from_slice(delta),
        Merge::SetUnion => *current = union(current, delta),
        Merge::Sum | Merge::Min | Merge::Max | Merge::Count => unreachable!("these merge numbers"),
    }
}

/// Whether bytes are a set: elements in ascending order, each once, nothing after the last.
pub fn is_set(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let mut last: Option<&[u8]> = None;
    while !rest.is_empty() {
        let Some((element, after)) = element(rest) else { return false };
        if last.is_some_and(|last| last >= element) {
            return false;
        }
        (last, rest) = (Some(element), after);
    }
    true
}

/// The elements of a set in their order; `None` if the bytes are no set.
pub fn elements(set: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut found, mut rest) = (Vec::new(), set);
    while !rest.is_empty() {
        let (element, after) = element(rest)?;
        found.push(element);
        rest = after;
    }
    Some(found)
}

/// The set of these elements, which come in ascending order, each once.
pub fn set_of<'a>(elements: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut set = Vec::new();
    elements.into_iter().for_each(|element| push(&mut set, element));
    set
}

/// The first element of a set, and what follows it.
fn element(set: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut shift) = (0_usize, 0);
    for (at, &byte) in set.iter().enumerate().take(5) {
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return set[at + 1..].split_at_checked(length);
        }
        shift += 7;
    }
    None
}

fn push(set: &mut Vec<u8>, element: &[u8]) {
    let mut length = element.len();
    while length >= 0x80 {
        set.push(length as u8 | 0x80);
        length >>= 7;
    }
    set.push(length as u8);
    set.extend_from_slice(element);
}

fn union(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (element(left), element(right));
    loop {
        let order = match (left, right) {
            (None, None) => return merged,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((mine, _)), Some((theirs, _))) => mine.cmp(theirs),
        };
        if let Some((first, _)) = if order.is_le() { left } else { right } {
            push(&mut merged, first);
        }
        if order.is_le() {
            left = left.and_then(|(_, rest)| element(rest));
        }
        if order.is_ge() {
            right = right.and_then(|(_, rest)| element(rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(elements: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        elements.iter().for_each(|element| push(&mut bytes, element.as_bytes()));
        bytes
    }

    #[test]
    fn numbers_merge_by_their_layout() {
        let s64 = |merge, a: i64, b: i64| words(merge, ValueLayout::S64, a as u64, b as u64) as i64;
        assert_eq!(s64(Merge::Sum, i64::MAX, 1), i64::MIN);
        assert_eq!(s64(Merge::Min, -1, 1), -1);
        assert_eq!(s64(Merge::Max, -1, 1), 1);
        assert_eq!(words(Merge::Min, ValueLayout::U64, u64::MAX, 1), 1);
        let f64 = |merge, a: f64, b: f64| {
            f64::from_bits(words(merge, ValueLayout::F64, a.to_bits(), b.to_bits()))
        };
        assert_eq!(f64(Merge::Sum, 0.5, 0.25), 0.75);
        assert_eq!(f64(Merge::Max, f64::NAN, 1.0), 1.0);
        assert_eq!(words(Merge::Count, ValueLayout::U64, 3, 2), 5);
    }

    #[test]
    fn a_union_is_a_set_again() {
        let long = "x".repeat(300);
        let mut left = set(&["a", "c", &long]);
        bytes(Merge::SetUnion, &mut left, &set(&["", "b", "c"]));
        assert_eq!(left, set(&["", "a", "b", "c", &long]));
        assert!(is_set(&left));
        assert!(!is_set(&set(&["b", "a"])) && !is_set(&set(&["a", "a"])) && !is_set(&[5, 1]));
        bytes(Merge::SetUnion, &mut left, &[9, 1]);
        assert!(is_set(&left), "a damaged delta adds nothing");
    }

    #[test]
    fn bytes_are_appended() {
        let mut text = b"ab".to_vec();
        bytes(Merge::Append, &mut text, b"c");
        assert_eq!(text, b"abc");
    }
}
