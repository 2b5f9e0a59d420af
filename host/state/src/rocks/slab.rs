//! Numbered byte strings: keys and values of the cache that do not fit into a word.

/// Byte strings, each under a number that stays its own until it is removed. Memory of removed ones is used again.
#[derive(Debug, Default)]
pub(super) struct Slab {
    strings: Vec<Vec<u8>>,
    free: Vec<u32>,
    bytes: usize,
}

impl Slab {
    #[inline]
    pub(super) fn get(&self, number: u64) -> &[u8] {
        &self.strings[number as usize]
    }

    pub(super) fn insert(&mut self, bytes: &[u8]) -> u64 {
        if let Some(number) = self.free.pop() {
            self.replace(u64::from(number), bytes);
            return u64::from(number);
        }
        let string = bytes.to_vec();
        self.bytes += size_of::<Vec<u8>>() + string.capacity();
        self.strings.push(string);
        self.strings.len() as u64 - 1
    }

    pub(super) fn replace(&mut self, number: u64, bytes: &[u8]) {
        self.update(number, |string| {
            string.clear();
            string.extend_from_slice(bytes);
        });
    }

    /// Changes a string in place.
    pub(super) fn update(&mut self, number: u64, change: impl FnOnce(&mut Vec<u8>)) {
        let string = &mut self.strings[number as usize];
        let before = string.capacity();
        change(string);
        // Room that a long string left behind is given back.
        if string.capacity() > 64 && string.capacity() / 2 > string.len() {
            string.shrink_to_fit();
        }
        self.bytes = self.bytes + string.capacity() - before;
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.bytes -= self.strings[number as usize].capacity();
        self.strings[number as usize] = Vec::new();
        self.free.push(number as u32);
    }

    /// Bytes of memory held.
    pub(super) fn allocated_bytes(&self) -> usize {
        self.bytes + self.free.len() * 4
    }
}
