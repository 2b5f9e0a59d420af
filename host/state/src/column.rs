//! Columns: rows of one type, laid out so that a batch of them is one or two flat buffers.

use crate::error::Error;
use crate::segment::Cell;

/// Rows of bytes in one arena: row `i` is `arena[offsets[i]..offsets[i + 1]]`.
///
/// `clone` copies both buffers. Offsets always start with 0 and never decrease.
#[derive(Clone, PartialEq, Eq)]
pub struct BytesColumn {
    offsets: Vec<u32>,
    arena: Vec<u8>,
}

/// The largest arena: offsets are 32 bits wide.
pub const ARENA_BYTES_MAX: usize = u32::MAX as usize;

impl Default for BytesColumn {
    fn default() -> Self {
        Self { offsets: vec![0], arena: Vec::new() }
    }
}

impl std::fmt::Debug for BytesColumn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(String::from_utf8_lossy)).finish()
    }
}

impl BytesColumn {
    /// An empty column with room for that many rows and bytes.
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { offsets, arena: Vec::with_capacity(bytes) }
    }

    /// Takes over two buffers. Empty offsets stand for no rows.
    ///
    /// # Errors
    /// If the offsets do not start with 0, decrease, or do not end at the arena's end.
    pub fn from_parts(mut offsets: Vec<u32>, arena: Vec<u8>) -> Result<Self, Error> {
        if offsets.is_empty() {
            offsets.push(0);
        }
        let sound = offsets[0] == 0
            && offsets.is_sorted()
            && offsets.last().is_some_and(|&end| end as usize == arena.len());
        if !sound {
            return Err(Error::Column {
                reason: format!(
                    "{} offsets do not cut an arena of {} bytes into rows",
                    offsets.len(),
                    arena.len()
                ),
            });
        }
        Ok(Self { offsets, arena })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Row `row`. Panics if there is no such row.
    pub fn get(&self, row: usize) -> &[u8] {
        &self.arena[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    /// Appends a row. Panics when the arena would outgrow [`ARENA_BYTES_MAX`].
    pub fn push(&mut self, bytes: &[u8]) {
        self.arena.extend_from_slice(bytes);
        let end = u32::try_from(self.arena.len()).expect("a column's arena stays under 4 GiB");
        self.offsets.push(end);
    }

    /// Appends a row if the arena has room for it, else an empty one. Whether it had.
    pub fn push_if_it_fits(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= ARENA_BYTES_MAX - self.arena.len();
        self.push(if fits { bytes } else { &[] });
        fits
    }

    /// Appends the rows `from..to` of another column.
    pub fn extend_from_range(&mut self, other: &Self, from: usize, to: usize) {
        let (start, end) = (other.offsets[from], other.offsets[to]);
        let base = self.arena.len();
        self.arena.extend_from_slice(&other.arena[start as usize..end as usize]);
        assert!(self.arena.len() <= ARENA_BYTES_MAX, "a column's arena stays under 4 GiB");
        let shift = |offset: u32| (base + (offset - start) as usize) as u32;
        self.offsets.extend(other.offsets[from + 1..=to].iter().map(|&offset| shift(offset)));
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.offsets.truncate(1);
        self.arena.clear();
    }

    /// Forgets the rows from `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        if rows < self.len() {
            self.offsets.truncate(rows + 1);
            self.arena.truncate(self.offsets[rows] as usize);
        }
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Where each row starts, and where the last one ends.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// All rows' bytes, end to end.
    pub fn arena(&self) -> &[u8] {
        &self.arena
    }

    /// The two buffers: offsets and arena.
    pub fn into_parts(self) -> (Vec<u32>, Vec<u8>) {
        (self.offsets, self.arena)
    }
}

/// A column of keys or values: numbers as their 64 bits, or bytes.
///
/// Which number a word stands for is said by the layout that was declared, not by the column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// One 64-bit word a row: a `u64`, the bits of an `i64`, or the bits of an `f64`.
    Words(Vec<u64>),
    /// Rows of bytes.
    Bytes(BytesColumn),
}

impl Column {
    /// An empty column of words (`words`) or bytes.
    pub fn empty(words: bool) -> Self {
        if words { Self::Words(Vec::new()) } else { Self::Bytes(BytesColumn::default()) }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Words(words) => words.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether rows are 64-bit words.
    pub fn is_words(&self) -> bool {
        matches!(self, Self::Words(_))
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        match self {
            Self::Words(words) => words.clear(),
            Self::Bytes(bytes) => bytes.clear(),
        }
    }

    /// Forgets the rows from `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        match self {
            Self::Words(words) => words.truncate(rows),
            Self::Bytes(bytes) => bytes.truncate(rows),
        }
    }

    /// Bytes held by the rows, without spare room.
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Words(words) => words.len() * 8,
            Self::Bytes(bytes) => bytes.arena.len() + bytes.offsets.len() * 4,
        }
    }

    /// Row `row`. Panics if there is no such row.
    #[inline]
    pub fn cell(&self, row: usize) -> Cell<'_> {
        match self {
            Self::Words(words) => Cell::Word(words[row]),
            Self::Bytes(bytes) => Cell::Bytes(bytes.get(row)),
        }
    }

    /// Appends a row. Panics if it is of the other kind.
    #[inline]
    pub fn push_cell(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Self::Words(words), Cell::Word(word)) => words.push(word),
            (Self::Bytes(rows), Cell::Bytes(bytes)) => rows.push(bytes),
            _ => panic!("a column has one kind of rows"),
        }
    }

    /// Appends row `row` of a column of the same kind. Panics if the kinds differ.
    pub fn push_from(&mut self, other: &Self, row: usize) {
        match (self, other) {
            (Self::Words(to), Self::Words(from)) => to.push(from[row]),
            (Self::Bytes(to), Self::Bytes(from)) => to.push(from.get(row)),
            _ => panic!("columns of one port have one kind"),
        }
    }

    /// Appends the rows `from..to` of a column of the same kind. Panics if the kinds differ.
    pub fn extend_from_range(&mut self, other: &Self, from: usize, to: usize) {
        match (self, other) {
            (Self::Words(mine), Self::Words(theirs)) => mine.extend_from_slice(&theirs[from..to]),
            (Self::Bytes(mine), Self::Bytes(theirs)) => mine.extend_from_range(theirs, from, to),
            _ => panic!("columns of one port have one kind"),
        }
    }
}
