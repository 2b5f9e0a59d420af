//! Single keys and values, outside of columns.

use crate::bindings::{BytesColumn, Column};
use crate::codec::{Decode, Encode, Layout};
use crate::column::{from_words, row_bytes};
use crate::error::Result;

/// One key or value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cell {
    U64(u64),
    S64(u64),
    F64(u64),
    Bytes(Vec<u8>),
}

impl Cell {
    pub(super) fn of<T: Encode>(value: &T) -> Self {
        match T::layout() {
            Layout::U64 => Self::U64(value.to_word()),
            Layout::S64 => Self::S64(value.to_word()),
            Layout::F64 => Self::F64(value.to_word()),
            Layout::Bytes(_) => {
                let mut bytes = Vec::new();
                value.write(&mut bytes).expect("serde writes a test's keys and values");
                Self::Bytes(bytes)
            }
        }
    }

    pub(super) fn read<T: Decode>(&self) -> Result<T> {
        match self {
            Self::U64(word) | Self::S64(word) | Self::F64(word) => T::from_word(*word),
            Self::Bytes(bytes) => T::read(bytes),
        }
    }

    /// A cell of the layout of a column's rows, without a meaning: what a window holds where there
    /// is no value.
    pub(super) fn blank(layout: crate::bindings::ValueType) -> Self {
        use crate::bindings::ValueType;
        match layout {
            ValueType::U64 => Self::U64(0),
            ValueType::S64 => Self::S64(0),
            ValueType::F64 => Self::F64(0),
            ValueType::Bytes => Self::Bytes(Vec::new()),
        }
    }
}

/// Cells of one layout as a column.
pub(super) fn column_of(cells: &[Cell]) -> Column {
    let words = |layout| {
        let word = |cell: &Cell| match cell {
            Cell::U64(word) | Cell::S64(word) | Cell::F64(word) => *word,
            Cell::Bytes(_) => panic!("numbers and bytes in one column"),
        };
        from_words(layout, cells.iter().map(word).collect())
    };
    match cells.first() {
        Some(Cell::U64(_)) => words(Layout::U64),
        Some(Cell::S64(_)) => words(Layout::S64),
        Some(Cell::F64(_)) => words(Layout::F64),
        Some(Cell::Bytes(_)) | None => {
            let mut column = BytesColumn { offsets: vec![0], arena: Vec::new() };
            for cell in cells {
                let Cell::Bytes(bytes) = cell else { panic!("numbers and bytes in one column") };
                column.arena.extend_from_slice(bytes);
                column.offsets.push(column.arena.len() as u32);
            }
            Column::Bytes(column)
        }
    }
}

/// A column's rows as cells.
pub(super) fn cells_of(column: &Column) -> Vec<Cell> {
    match column {
        Column::U64s(words) => words.iter().map(|&word| Cell::U64(word)).collect(),
        Column::S64s(words) => words.iter().map(|&word| Cell::S64(word as u64)).collect(),
        Column::F64s(words) => words.iter().map(|word| Cell::F64(word.to_bits())).collect(),
        Column::Bytes(bytes) => {
            let rows = bytes.offsets.len().saturating_sub(1);
            let row = |row| row_bytes(bytes, row).expect("offsets lie within the arena");
            (0..rows).map(|at| Cell::Bytes(row(at).to_vec())).collect()
        }
    }
}
