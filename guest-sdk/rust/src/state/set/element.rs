//! Sets as bytes: elements in ascending order, each once, each a varint length and its bytes.
//!
//! Numbers are eight bytes, the highest first, and so turned that their order is that of the numbers.

use crate::codec::{Decode, Layout, Value};
use crate::error::Result;

const SIGN: u64 = 1 << 63;

/// An element's bytes.
pub(crate) fn write<T: Value>(element: &T) -> Result<Vec<u8>> {
    let word = element.to_word();
    let turned = match <T as crate::codec::Encode>::layout() {
        Layout::U64 => word,
        Layout::S64 => word ^ SIGN,
        Layout::F64 if word & SIGN == 0 => word ^ SIGN,
        Layout::F64 => !word,
        Layout::Bytes(_) => {
            let mut bytes = Vec::new();
            element.write(&mut bytes)?;
            return Ok(bytes);
        }
    };
    Ok(turned.to_be_bytes().to_vec())
}

/// An element of these bytes.
pub(crate) fn read<T: Decode>(bytes: &[u8]) -> Result<T> {
    let layout = T::layout();
    if !layout.is_word() {
        return T::read(bytes);
    }
    let turned = u64::from_be_bytes(bytes.try_into()?);
    T::from_word(match layout {
        Layout::S64 => turned ^ SIGN,
        Layout::F64 if turned & SIGN != 0 => turned ^ SIGN,
        Layout::F64 => !turned,
        _ => turned,
    })
}

/// A set of these elements, which must be in ascending order.
pub(crate) fn as_bytes<'a>(elements: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut set = Vec::new();
    elements.into_iter().for_each(|element| push(&mut set, element));
    set
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

/// The elements of a set.
///
/// # Errors
/// If the bytes are not a set.
pub(crate) fn elements(set: &[u8]) -> Result<Vec<&[u8]>> {
    let (mut found, mut rest) = (Vec::new(), set);
    while !rest.is_empty() {
        let Some((element, after)) = first(rest) else {
            crate::bail!("its bytes are no set");
        };
        found.push(element);
        rest = after;
    }
    Ok(found)
}

fn first(set: &[u8]) -> Option<(&[u8], &[u8])> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn in_order<T: Value + PartialEq + std::fmt::Debug>(ascending: &[T]) {
        let bytes: Vec<_> = ascending.iter().map(|element| write(element).unwrap()).collect();
        assert!(bytes.is_sorted(), "{ascending:?} as {bytes:?}");
        for (element, bytes) in ascending.iter().zip(&bytes) {
            assert_eq!(&read::<T>(bytes).unwrap(), element);
        }
    }

    #[test]
    fn the_bytes_of_numbers_sort_as_the_numbers_do() {
        in_order(&[0_u64, 1, 255, 256, u64::MAX]);
        in_order(&[i64::MIN, -256, -1, 0, 1, i64::MAX]);
        in_order(&[f64::NEG_INFINITY, -1.5, -0.0, 0.0, 1e-300, 2.0, f64::INFINITY]);
        in_order(&["".to_owned(), "a".to_owned(), "aa".to_owned(), "b".to_owned()]);
    }

    #[test]
    fn a_set_is_taken_apart_as_it_was_put_together() {
        let long = "x".repeat(300);
        let set = as_bytes(["", "a", &long].map(str::as_bytes));
        assert_eq!(elements(&set).unwrap(), [b"", b"a".as_slice(), long.as_bytes()]);
        assert!(elements(&set[..set.len() - 1]).is_err());
        assert!(elements(&[0x80]).is_err());
    }
}
