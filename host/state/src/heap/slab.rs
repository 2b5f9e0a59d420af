//! Numbered byte strings: keys and values that do not fit into a row.

/// Byte strings, each under a number that stays its own until it is removed.
#[derive(Debug, Default)]
pub(super) struct Slab {
    cells: Vec<Box<[u8]>>,
    free: Vec<u32>,
    bytes: usize,
}

impl Slab {
    pub(super) fn get(&self, number: u64) -> &[u8] {
        &self.cells[number as usize]
    }

    pub(super) fn insert(&mut self, bytes: &[u8]) -> u64 {
        self.bytes += bytes.len();
        if let Some(number) = self.free.pop() {
            self.cells[number as usize] = bytes.into();
            return u64::from(number);
        }
        let number = u32::try_from(self.cells.len()).expect("a key group holds under 2^32 strings");
        self.cells.push(bytes.into());
        u64::from(number)
    }

    pub(super) fn replace(&mut self, number: u64, bytes: &[u8]) {
        let cell = &mut self.cells[number as usize];
        self.bytes = self.bytes + bytes.len() - cell.len();
        if cell.len() == bytes.len() {
            cell.copy_from_slice(bytes);
        } else {
            *cell = bytes.into();
        }
    }

    /// Changes a byte string in place.
    pub(super) fn update(&mut self, number: u64, change: impl FnOnce(&mut Vec<u8>)) {
        let cell = &mut self.cells[number as usize];
        let mut bytes = std::mem::take(cell).into_vec();
        self.bytes -= bytes.len();
        change(&mut bytes);
        self.bytes += bytes.len();
        *cell = bytes.into_boxed_slice();
    }

    pub(super) fn remove(&mut self, number: u64) {
        let cell = std::mem::take(&mut self.cells[number as usize]);
        self.bytes -= cell.len();
        self.free.push(number as u32);
    }

    /// Gives back some of the memory of a slab that is not used any more. Whether none is left.
    pub(super) fn shed(&mut self, budget: &mut usize) -> bool {
        let left = self.cells.len().saturating_sub(*budget);
        *budget -= self.cells.len() - left;
        self.cells.truncate(left);
        if left == 0 {
            *self = Self::default();
        }
        left == 0
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        self.cells.capacity() * size_of::<Box<[u8]>>() + self.free.capacity() * 4 + self.bytes
    }
}
