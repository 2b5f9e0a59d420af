//! Columns being written and columns being read.

use std::marker::PhantomData;

use bytemuck::allocation::cast_vec;

use crate::bindings::{BytesColumn, Column};
use crate::codec::{Decode, Encode, Layout};
use crate::error::{Error, Result};

/// A column that grows by rows and keeps its memory from one invocation to the next.
#[derive(Debug)]
pub(crate) struct ColumnWriter {
    layout: Layout,
    words: Vec<u64>,
    bytes: BytesColumn,
}

impl ColumnWriter {
    pub(crate) fn new(layout: Layout) -> Self {
        let bytes = BytesColumn { offsets: Vec::new(), arena: Vec::new() };
        Self { layout, words: Vec::new(), bytes }
    }

    /// Appends a value of bytes. On an error the column stays as it was.
    pub(crate) fn push_coded<T: Encode>(&mut self, value: &T) -> Result<()> {
        let start = self.bytes.arena.len();
        let written = value.write(&mut self.bytes.arena).and_then(|()| self.end_of_row());
        if written.is_err() {
            self.bytes.arena.truncate(start);
        }
        written
    }

    /// Appends a number.
    #[inline(always)]
    pub(crate) fn push_word(&mut self, word: u64) {
        self.words.push(word);
    }

    /// Appends a row of the column's layout: the word, or the bytes. On an error the column stays as it was.
    pub(crate) fn push_row(&mut self, word: u64, bytes: &[u8]) -> Result<()> {
        if self.layout.is_word() {
            self.words.push(word);
            return Ok(());
        }
        let start = self.bytes.arena.len();
        self.bytes.arena.extend_from_slice(bytes);
        let ended = self.end_of_row();
        if ended.is_err() {
            self.bytes.arena.truncate(start);
        }
        ended
    }

    /// Appends a value of the column's layout. On an error the column stays as it was.
    pub(crate) fn push<T: Encode>(&mut self, value: &T) -> Result<()> {
        if self.layout.is_word() {
            self.push_word(value.to_word());
            return Ok(());
        }
        self.push_coded(value)
    }

    /// The value of a row.
    pub(crate) fn get<T: Decode>(&self, row: usize) -> Result<T> {
        read_row(&self.words, &self.bytes, row)
    }

    /// Appends a row of another column of the same layout.
    pub(crate) fn push_row_of(&mut self, other: &Self, row: usize) -> Result<()> {
        let word = other.words.get(row).copied().unwrap_or(0);
        self.push_row(word, row_bytes(&other.bytes, row).unwrap_or(&[]))
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        if self.layout.is_word() {
            self.words.len()
        } else {
            self.bytes.offsets.len().saturating_sub(1)
        }
    }

    fn end_of_row(&mut self) -> Result<()> {
        let end = u32::try_from(self.bytes.arena.len())
            .map_err(|_| Error::new("more than 4 GiB in one column: emit or store less at once"))?;
        if self.bytes.offsets.is_empty() {
            self.bytes.offsets.push(0);
        }
        self.bytes.offsets.push(end);
        Ok(())
    }

    /// Takes the last row back.
    pub(crate) fn pop(&mut self) {
        if self.layout.is_word() {
            self.words.pop();
        } else if self.bytes.offsets.pop().is_some() {
            let end = self.bytes.offsets.last().copied().unwrap_or(0);
            self.bytes.arena.truncate(end as usize);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.words.clear();
        self.bytes.offsets.clear();
        self.bytes.arena.clear();
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.words.len() * 8 + self.bytes.arena.len()
    }

    /// Shows the column to `send`, then forgets its rows.
    pub(crate) fn send<R>(&mut self, send: impl FnOnce(&Column) -> R) -> R {
        let column = match self.layout {
            Layout::Bytes(_) => {
                let arena = std::mem::take(&mut self.bytes.arena);
                Column::Bytes(BytesColumn {
                    offsets: std::mem::take(&mut self.bytes.offsets),
                    arena,
                })
            }
            layout => from_words(layout, std::mem::take(&mut self.words)),
        };
        let sent = send(&column);
        match column {
            Column::Bytes(bytes) => self.bytes = bytes,
            column => self.words = into_words(column),
        }
        self.clear();
        sent
    }
}

/// Words as a column of a layout. The memory stays where it is.
pub(crate) fn from_words(layout: Layout, words: Vec<u64>) -> Column {
    match layout {
        Layout::S64 => Column::S64s(cast_vec(words)),
        Layout::F64 => Column::F64s(cast_vec(words)),
        Layout::U64 | Layout::Bytes(_) => Column::U64s(words),
    }
}

/// A column's words. The memory stays where it is. Empty for bytes.
pub(crate) fn into_words(column: Column) -> Vec<u64> {
    match column {
        Column::U64s(words) => words,
        Column::S64s(words) => cast_vec(words),
        Column::F64s(words) => cast_vec(words),
        Column::Bytes(_) => Vec::new(),
    }
}

/// The bytes of one row.
pub(crate) fn row_bytes(column: &BytesColumn, row: usize) -> Option<&[u8]> {
    let start = *column.offsets.get(row)? as usize;
    let end = *column.offsets.get(row + 1)? as usize;
    column.arena.get(start..end)
}

/// A column read as rows of one type.
pub(crate) struct ColumnReader<T> {
    words: Vec<u64>,
    bytes: BytesColumn,
    of: PhantomData<fn() -> T>,
}

impl<T: Decode> ColumnReader<T> {
    /// Takes a column.
    ///
    /// # Errors
    /// If its layout is not that of the type.
    pub(crate) fn new(column: Column) -> Result<Self> {
        let same = matches!(
            (T::layout(), &column),
            (Layout::U64, Column::U64s(_))
                | (Layout::S64, Column::S64s(_))
                | (Layout::F64, Column::F64s(_))
                | (Layout::Bytes(_), Column::Bytes(_))
        );
        if !same {
            let declared = T::layout();
            return Err(Error::new(format_args!("a column is not of the declared {declared:?}")));
        }
        let (words, bytes) = match column {
            Column::Bytes(bytes) => (Vec::new(), bytes),
            words => (into_words(words), BytesColumn { offsets: Vec::new(), arena: Vec::new() }),
        };
        Ok(Self { words, bytes, of: PhantomData })
    }

    /// Takes a column of values of an older schema version: numbers of every type come as their 64 bits.
    ///
    /// # Errors
    /// If it has bytes and the type is a number, or the other way round.
    pub(crate) fn of_older(column: Column) -> Result<Self> {
        let column = match column {
            Column::Bytes(bytes) => Column::Bytes(bytes),
            words => from_words(T::layout(), into_words(words)),
        };
        Self::new(column).map_err(|_| {
            let old = std::any::type_name::<T>();
            Error::new(format_args!("the values that are there are laid out otherwise than {old}"))
        })
    }

    /// A column without rows.
    pub(crate) fn empty() -> Self {
        let bytes = BytesColumn { offsets: Vec::new(), arena: Vec::new() };
        Self { words: Vec::new(), bytes, of: PhantomData }
    }

    /// The value of a row.
    #[inline(always)]
    pub(crate) fn get(&self, row: usize) -> Result<T> {
        read_row(&self.words, &self.bytes, row)
    }
}

/// A row of words, or of bytes, as a value.
#[inline(always)]
fn read_row<T: Decode>(words: &[u64], bytes: &BytesColumn, row: usize) -> Result<T> {
    if T::layout().is_word() {
        match words.get(row) {
            Some(&word) => T::from_word(word),
            None => Err(no_row(row)),
        }
    } else {
        T::read(row_bytes(bytes, row).ok_or_else(|| no_row(row))?)
    }
}

#[cold]
fn no_row(row: usize) -> Error {
    Error::new(format_args!("a column has no row {row}"))
}

/// Appends the rows of a column of the same layout to another.
pub(crate) fn append(column: &mut Column, more: Column) {
    match (column, more) {
        (Column::U64s(words), Column::U64s(more)) => words.extend(more),
        (Column::S64s(words), Column::S64s(more)) => words.extend(more),
        (Column::F64s(words), Column::F64s(more)) => words.extend(more),
        (Column::Bytes(bytes), Column::Bytes(more)) => {
            let base = bytes.arena.len() as u32;
            if bytes.offsets.is_empty() {
                bytes.offsets.push(0);
            }
            bytes.offsets.extend(more.offsets.iter().skip(1).map(|offset| base + offset));
            bytes.arena.extend(more.arena);
        }
        // The reader finds the rows missing.
        _ => {}
    }
}

/// Number of rows.
pub(crate) fn len(column: &Column) -> usize {
    match column {
        Column::U64s(words) => words.len(),
        Column::S64s(words) => words.len(),
        Column::F64s(words) => words.len(),
        Column::Bytes(bytes) => bytes.offsets.len().saturating_sub(1),
    }
}
