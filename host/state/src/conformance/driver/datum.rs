//! Keys and values of their own.

use crate::column::Column;
use crate::key::{hash_bytes, hash_word};
use crate::segment::Cell;

/// A key or a value of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Datum {
    /// A number's 64 bits.
    Word(u64),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Datum {
    pub(in crate::conformance) fn signed(number: i64) -> Self {
        Self::Word(number as u64)
    }

    pub(in crate::conformance) fn hash(&self) -> u64 {
        match self {
            Self::Word(word) => hash_word(*word),
            Self::Bytes(bytes) => hash_bytes(bytes),
        }
    }

    pub(in crate::conformance) fn cell(&self) -> Cell<'_> {
        match self {
            Self::Word(word) => Cell::Word(*word),
            Self::Bytes(bytes) => Cell::Bytes(bytes),
        }
    }

    fn push_to(&self, column: &mut Column) {
        match (self, column) {
            (Self::Word(word), Column::Words(words)) => words.push(*word),
            (Self::Bytes(bytes), Column::Bytes(rows)) => rows.push(bytes),
            _ => panic!("{self:?} is not of the column's kind"),
        }
    }

    pub(in crate::conformance) fn column(words: bool, rows: &[Self]) -> Column {
        let mut column = Column::empty(words);
        rows.iter().for_each(|row| row.push_to(&mut column));
        column
    }

    pub(in crate::conformance) fn at(column: &Column, row: usize) -> Self {
        match column {
            Column::Words(words) => Self::Word(words[row]),
            Column::Bytes(rows) => Self::Bytes(rows.get(row).to_vec()),
        }
    }
}

impl From<Cell<'_>> for Datum {
    fn from(cell: Cell<'_>) -> Self {
        match cell {
            Cell::Word(word) => Self::Word(word),
            Cell::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}

impl From<u64> for Datum {
    fn from(word: u64) -> Self {
        Self::Word(word)
    }
}

impl From<&str> for Datum {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl From<&[u8]> for Datum {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}
