//! Batches: records of one port, as columns.

use statehouse_state::Column;

/// Records of one port, a row each. All columns have the same length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Event times in milliseconds since 1970-01-01T00:00:00Z.
    pub times: Vec<i64>,
    /// Each row's key, if the port is keyed.
    pub keys: Option<Column>,
    /// The stable hash of each row's key. Empty until someone needs them; then as long as the keys.
    pub hashes: Vec<u64>,
    /// Each row's value.
    pub values: Column,
}

impl Batch {
    /// No rows, of these kinds: `keys` is `None` for an unkeyed port, else whether keys are words.
    pub fn empty(keys: Option<bool>, words: bool) -> Self {
        Self {
            times: Vec::new(),
            keys: keys.map(Column::empty),
            hashes: Vec::new(),
            values: Column::empty(words),
        }
    }

    /// No rows, of the same kinds as this batch.
    pub fn empty_like(&self) -> Self {
        Self::empty(self.keys.as_ref().map(Column::is_words), self.values.is_words())
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Forgets the rows from `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        self.times.truncate(rows);
        self.hashes.truncate(rows);
        if let Some(keys) = &mut self.keys {
            keys.truncate(rows);
        }
        self.values.truncate(rows);
    }

    /// Computes the hashes of the keys, if there are keys and it was not done before.
    pub fn hash_keys(&mut self) {
        if let Some(keys) = &self.keys
            && self.hashes.len() != keys.len()
        {
            self.hashes.clear();
            statehouse_state::key::hash_column(keys, &mut self.hashes);
        }
    }

    /// Appends the rows `from..to` of a batch of the same kinds.
    pub fn extend_from_range(&mut self, other: &Self, from: usize, to: usize) {
        self.times.extend_from_slice(&other.times[from..to]);
        if let (Some(mine), Some(theirs)) = (&mut self.keys, &other.keys) {
            mine.extend_from_range(theirs, from, to);
        }
        if !other.hashes.is_empty() {
            self.hashes.extend_from_slice(&other.hashes[from..to]);
        }
        self.values.extend_from_range(&other.values, from, to);
    }

    /// Appends one row of a batch of the same kinds.
    pub fn push_from(&mut self, other: &Self, row: usize) {
        self.times.push(other.times[row]);
        if let (Some(mine), Some(theirs)) = (&mut self.keys, &other.keys) {
            mine.push_from(theirs, row);
        }
        if let Some(&hash) = other.hashes.get(row) {
            self.hashes.push(hash);
        }
        self.values.push_from(&other.values, row);
    }

    /// Bytes held by the rows.
    pub fn size_bytes(&self) -> usize {
        self.times.len() * 8
            + self.hashes.len() * 8
            + self.keys.as_ref().map_or(0, Column::size_bytes)
            + self.values.size_bytes()
    }
}
