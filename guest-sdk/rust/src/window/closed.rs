//! Panes that are over, as the bytes of one value.
//!
//! A window that is over reads all of its panes, so they are laid out to be read quickly: one after the
//! other in the order of time, each its beginning (eight bytes, least significant first) and its
//! accumulator: eight bytes for a number, else its length (four bytes) and its encoding.

use std::marker::PhantomData;

use crate::codec::{Decode, Encode};
use crate::error::{Error, Result};

/// Reads and writes the panes of one type of accumulator.
pub(super) struct Closed<V>(PhantomData<V>);

impl<V: Encode + Decode> Closed<V> {
    /// The panes in a value.
    pub(super) fn read(bytes: &[u8]) -> Result<Vec<(i64, V)>> {
        let damaged = || Error::new("the panes of a window are damaged");
        if <V as Encode>::layout().is_word() {
            let (panes, rest) = bytes.as_chunks::<16>();
            if !rest.is_empty() {
                return Err(damaged());
            }
            let pane = |pane: &[u8; 16]| {
                let [start, word] = halves(pane);
                Ok((start as i64, V::from_word(word)?))
            };
            return panes.iter().map(pane).collect();
        }
        let mut panes = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (start, after) = rest.split_first_chunk().ok_or_else(damaged)?;
            let (length, after) = after.split_first_chunk().ok_or_else(damaged)?;
            let length = u32::from_le_bytes(*length) as usize;
            let (accumulator, after) = after.split_at_checked(length).ok_or_else(damaged)?;
            panes.push((i64::from_le_bytes(*start), V::read(accumulator)?));
            rest = after;
        }
        Ok(panes)
    }

    /// A value with these panes.
    pub(super) fn write(panes: &[(i64, V)]) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(panes.len() * 16);
        for (start, accumulator) in panes {
            bytes.extend_from_slice(&start.to_le_bytes());
            if <V as Encode>::layout().is_word() {
                bytes.extend_from_slice(&accumulator.to_word().to_le_bytes());
                continue;
            }
            let at = bytes.len();
            bytes.extend_from_slice(&[0; 4]);
            accumulator.write(&mut bytes)?;
            let length = u32::try_from(bytes.len() - at - 4)
                .map_err(|_| Error::new("an accumulator has more than 4 GiB"))?;
            bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
        }
        Ok(bytes)
    }
}

fn halves(bytes: &[u8; 16]) -> [u64; 2] {
    let both = u128::from_le_bytes(*bytes);
    [both as u64, (both >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panes_are_read_as_they_were_written() {
        let words = [(-5, 7_i64), (0, i64::MIN), (i64::MAX, -1)];
        let bytes = Closed::write(&words).unwrap();
        assert_eq!(bytes.len(), 48);
        assert_eq!(Closed::<i64>::read(&bytes).unwrap(), words);
        let texts = [(1, (String::from("a"), 2_u8)), (2, (String::new(), 0))];
        let bytes = Closed::write(&texts).unwrap();
        assert_eq!(Closed::<(String, u8)>::read(&bytes).unwrap(), texts);
        assert!(Closed::<i64>::read(&[]).unwrap().is_empty());
    }

    #[test]
    fn damaged_panes_are_errors() {
        let words = Closed::write(&[(1, 1_u64), (2, 2)]).unwrap();
        let texts = Closed::write(&[(1, String::from("text"))]).unwrap();
        for length in 1..texts.len() {
            assert!(Closed::<String>::read(&texts[..length]).is_err(), "{length}");
        }
        for length in (1..words.len()).filter(|length| length % 16 != 0) {
            assert!(Closed::<u64>::read(&words[..length]).is_err(), "{length}");
        }
    }
}
