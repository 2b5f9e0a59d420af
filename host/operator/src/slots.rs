//! Numbers the distinct keys of a batch.

use statehouse_state::{BytesColumn, Column};

/// Gives each row of a batch the slot of its key: slots are numbered in the order in which keys first occur.
///
/// A scratch table that is reused: a generation stamp in each cell saves clearing it.
#[derive(Debug)]
pub(crate) struct SlotAssigner {
    cells: Vec<Cell>,
    stamp: u32,
    /// Each row's slot.
    pub(crate) slots: Vec<u32>,
    /// Each slot's key.
    pub(crate) keys: Column,
    /// Each slot's key hash.
    pub(crate) hashes: Vec<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    stamp: u32,
    slot: u32,
}

impl Default for SlotAssigner {
    fn default() -> Self {
        Self {
            cells: Vec::new(),
            stamp: 0,
            slots: Vec::new(),
            keys: Column::empty(true),
            hashes: Vec::new(),
        }
    }
}

impl SlotAssigner {
    /// Assigns slots to rows with these keys and hashes.
    pub(crate) fn assign(&mut self, keys: &Column, hashes: &[u64]) {
        self.begin(keys);
        match keys {
            Column::Words(words) => self.assign_words(words, hashes),
            Column::Bytes(bytes) => self.assign_bytes(bytes, hashes),
        }
    }

    /// Takes keys that are distinct already: slot `i` is row `i`.
    pub(crate) fn assign_distinct(&mut self, keys: &Column, hashes: &[u64]) {
        self.begin(keys);
        self.slots.extend(0..keys.len() as u32);
        self.keys.extend_from_range(keys, 0, keys.len());
        self.hashes.extend_from_slice(hashes);
    }

    fn begin(&mut self, keys: &Column) {
        self.slots.clear();
        self.hashes.clear();
        if self.keys.is_words() == keys.is_words() {
            self.keys.clear();
        } else {
            self.keys = Column::empty(keys.is_words());
        }
        let wanted = (keys.len() * 2).next_power_of_two();
        self.stamp = self.stamp.wrapping_add(1);
        if self.cells.len() < wanted || self.stamp == 0 {
            self.cells.clear();
            self.cells.resize(wanted, Cell::default());
            self.stamp = 1;
        }
    }

    fn assign_words(&mut self, words: &[u64], hashes: &[u64]) {
        let Column::Words(distinct) = &mut self.keys else { unreachable!("set by begin") };
        let mask = self.cells.len() - 1;
        for (&word, &hash) in words.iter().zip(hashes) {
            let mut at = hash as usize & mask;
            let slot = loop {
                let cell = self.cells[at];
                if cell.stamp != self.stamp {
                    let slot = distinct.len() as u32;
                    self.cells[at] = Cell { stamp: self.stamp, slot };
                    distinct.push(word);
                    self.hashes.push(hash);
                    break slot;
                }
                if distinct[cell.slot as usize] == word {
                    break cell.slot;
                }
                at = (at + 1) & mask;
            };
            self.slots.push(slot);
        }
    }

    fn assign_bytes(&mut self, rows: &BytesColumn, hashes: &[u64]) {
        let Column::Bytes(distinct) = &mut self.keys else { unreachable!("set by begin") };
        let mask = self.cells.len() - 1;
        for (key, &hash) in rows.iter().zip(hashes) {
            let mut at = hash as usize & mask;
            let slot = loop {
                let cell = self.cells[at];
                if cell.stamp != self.stamp {
                    let slot = distinct.len() as u32;
                    self.cells[at] = Cell { stamp: self.stamp, slot };
                    distinct.push(key);
                    self.hashes.push(hash);
                    break slot;
                }
                if self.hashes[cell.slot as usize] == hash
                    && distinct.get(cell.slot as usize) == key
                {
                    break cell.slot;
                }
                at = (at + 1) & mask;
            };
            self.slots.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &Column, expected: &[u32]) {
        let mut hashes = Vec::new();
        statehouse_state::key::hash_column(keys, &mut hashes);
        let mut assigner = SlotAssigner::default();
        for _ in 0..3 {
            assigner.assign(keys, &hashes);
            assert_eq!(assigner.slots, expected);
            assert_eq!(assigner.hashes.len(), assigner.keys.len());
        }
    }

    #[test]
    fn equal_keys_share_a_slot_in_order_of_first_occurrence() {
        check(&Column::Words(vec![9, 3, 9, 9, 7, 3]), &[0, 1, 0, 0, 2, 1]);
        let mut bytes = BytesColumn::default();
        for key in ["b", "", "b", "a", ""] {
            bytes.push(key.as_bytes());
        }
        check(&Column::Bytes(bytes), &[0, 1, 0, 2, 1]);
        check(&Column::Words(vec![]), &[]);
    }

    #[test]
    fn keys_whose_hashes_collide_stay_apart() {
        let keys = Column::Words(vec![1, 2, 1]);
        let mut assigner = SlotAssigner::default();
        assigner.assign(&keys, &[5, 5, 5]);
        assert_eq!(assigner.slots, [0, 1, 0]);
    }
}
