//! Values that were found in a state's older form, and what becomes of them in RocksDB.

use crate::column::{BytesColumn, Column};
use crate::declaration::Ttl;
use crate::error::Error;
use crate::evolve::{Convert, Converted};
use crate::rocks::keys;
use crate::segment::{Cell, Stamped};

/// Values are converted when they are this many bytes, or all that were wanted.
pub(in crate::rocks) const CONVERT_BYTES_MAX: usize = 16 << 20;

/// Values of one state, in the order of their keys in RocksDB: a row each.
#[derive(Debug)]
pub(in crate::rocks) struct Found {
    pub(super) groups: Vec<u16>,
    /// The hashes of the operator's keys.
    pub(super) hashes: Vec<u64>,
    /// What follows the tag in their keys.
    pub(super) rests: BytesColumn,
    pub(super) values: Column,
    pub(super) stamps: Vec<i64>,
}

impl Found {
    pub(super) fn new(words: bool) -> Self {
        Self {
            groups: Vec::new(),
            hashes: Vec::new(),
            rests: BytesColumn::default(),
            values: Column::empty(words),
            stamps: Vec::new(),
        }
    }

    pub(in crate::rocks) fn push(
        &mut self,
        group: u16,
        hash: u64,
        rest: &[u8],
        value: Stamped<'_>,
    ) {
        self.groups.push(group);
        self.hashes.push(hash);
        self.rests.push(rest);
        self.values.push_cell(value.value);
        self.stamps.push(value.stamp);
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether no more should be found before these are converted.
    pub(super) fn is_full(&self, limit: usize) -> bool {
        self.len() >= limit || self.values.size_bytes() >= CONVERT_BYTES_MAX
    }

    /// The key that a row has under a tag.
    pub(super) fn push_key(&self, to: &mut Vec<u8>, tag: u16, row: usize) {
        keys::push_head(to, self.groups[row], tag);
        to.extend_from_slice(self.rests.get(row));
    }

    /// The operator's key of a row.
    pub(super) fn key(&self, row: usize, words: bool) -> Option<Cell<'_>> {
        keys::read_rest(self.rests.get(row), words).map(|(key, _)| key)
    }

    /// The values of these rows.
    pub(super) fn pick(&self, rows: &[usize]) -> Column {
        let mut picked = Column::empty(self.values.is_words());
        rows.iter().for_each(|&row| picked.push_from(&self.values, row));
        picked
    }
}

/// Has values converted.
///
/// # Errors
/// If that fails, or yields something else than a row for each.
pub(in crate::rocks) fn converted(
    convert: &mut Convert<'_>,
    values: &Column,
    words: bool,
) -> Result<Converted, Error> {
    let converted = convert(values)?;
    let rows = values.len();
    let (new, failed) = (&converted.values, &converted.failed);
    let ascends = failed.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let within = failed.last().is_none_or(|(row, _)| (*row as usize) < rows);
    if new.is_words() != words || new.len() != rows || !ascends || !within {
        return Err(Error::Column {
            reason: format!(
                "a conversion of {rows} values yields {} rows, of which {} failed, or not in the layout or \
                 order agreed",
                new.len(),
                failed.len()
            ),
        });
    }
    Ok(converted)
}

/// Whether stamps mean the same in both forms of a state.
pub(in crate::rocks) fn stamps_stay(old: Option<Ttl>, new: Option<Ttl>) -> bool {
    old.is_some() && old.map(|ttl| ttl.domain) == new.map(|ttl| ttl.domain)
}
