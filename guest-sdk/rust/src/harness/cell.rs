//! Single keys and values, outside of columns.

use crate::bindings::{BytesColumn, Cell as WireCell, Column, KeyType, ValueType};
use crate::codec::{Decode, Encode, Layout};
use crate::column::{from_words, row_bytes};
use crate::error::Result;

/// One key or value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cell {
    U64(u64),
    S64(i64),
    F64(u64),
    Bytes(Vec<u8>),
}

impl Cell {
    pub(super) fn of<T: Encode>(value: &T) -> Self {
        match T::layout() {
            Layout::U64 => Self::U64(value.to_word()),
            Layout::S64 => Self::S64(value.to_word() as i64),
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
            Self::U64(word) | Self::F64(word) => T::from_word(*word),
            Self::S64(word) => T::from_word(*word as u64),
            Self::Bytes(bytes) => T::read(bytes),
        }
    }

    /// A cell of the layout of a column's rows, without a meaning: what a window holds where there
    /// is no value.
    pub(super) fn blank(layout: ValueType) -> Self {
        match layout {
            ValueType::U64 => Self::U64(0),
            ValueType::S64 => Self::S64(0),
            ValueType::F64 => Self::F64(0),
            ValueType::Bytes => Self::Bytes(Vec::new()),
        }
    }

    /// A number of a layout, by its bits.
    pub(super) fn of_word(layout: ValueType, word: u64) -> Self {
        match layout {
            ValueType::S64 => Self::S64(word as i64),
            ValueType::F64 => Self::F64(word),
            ValueType::U64 | ValueType::Bytes => Self::U64(word),
        }
    }

    /// What crossed the boundary by itself.
    pub(super) fn of_wire(layout: ValueType, cell: &WireCell) -> Self {
        match cell {
            WireCell::Word(word) => Self::of_word(layout, *word),
            WireCell::Bytes(bytes) => Self::Bytes(bytes.clone()),
        }
    }

    /// The bits of a number; 0 for bytes.
    pub(super) fn word(&self) -> u64 {
        match self {
            Self::U64(word) | Self::F64(word) => *word,
            Self::S64(word) => *word as u64,
            Self::Bytes(_) => 0,
        }
    }
}

/// The layout of a key as that of a value.
pub(super) fn as_value(key: KeyType) -> ValueType {
    match key {
        KeyType::U64 => ValueType::U64,
        KeyType::S64 => ValueType::S64,
        KeyType::Bytes => ValueType::Bytes,
    }
}

/// Cells of a layout as a column, also if there are none.
pub(super) fn typed_column(layout: ValueType, cells: &[Cell]) -> Column {
    match layout {
        _ if !cells.is_empty() => column_of(cells),
        ValueType::U64 => Column::U64s(Vec::new()),
        ValueType::S64 => Column::S64s(Vec::new()),
        ValueType::F64 => Column::F64s(Vec::new()),
        ValueType::Bytes => Column::Bytes(BytesColumn { offsets: vec![0], arena: Vec::new() }),
    }
}

/// Cells of one layout as a column.
pub(super) fn column_of(cells: &[Cell]) -> Column {
    let words = |layout| {
        let word = |cell: &Cell| match cell {
            Cell::Bytes(_) => panic!("numbers and bytes in one column"),
            number => number.word(),
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
        Column::S64s(words) => words.iter().map(|&word| Cell::S64(word)).collect(),
        Column::F64s(words) => words.iter().map(|word| Cell::F64(word.to_bits())).collect(),
        Column::Bytes(bytes) => {
            let rows = bytes.offsets.len().saturating_sub(1);
            let row = |row| row_bytes(bytes, row).expect("offsets lie within the arena");
            (0..rows).map(|at| Cell::Bytes(row(at).to_vec())).collect()
        }
    }
}
