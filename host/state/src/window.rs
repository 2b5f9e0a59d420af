//! A window: the values of one state for the keys of one invocation.

use crate::column::Column;

/// One bit a slot: whether it has a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presence {
    bits: Vec<u64>,
}

impl Presence {
    /// Makes room for that many slots, all absent.
    pub fn reset(&mut self, slots: usize) {
        self.bits.clear();
        self.bits.resize(slots.div_ceil(64), 0);
    }

    /// Whether the slot has a value.
    #[inline]
    pub fn get(&self, slot: usize) -> bool {
        self.bits[slot / 64] >> (slot % 64) & 1 == 1
    }

    /// Says whether the slot has a value.
    #[inline]
    pub fn set(&mut self, slot: usize, present: bool) {
        let mask = 1 << (slot % 64);
        if present {
            self.bits[slot / 64] |= mask;
        } else {
            self.bits[slot / 64] &= !mask;
        }
    }

    /// Says of the 64 slots from `64 * word` on whether they have a value, lowest bit first.
    #[inline]
    pub fn set_word(&mut self, word: usize, bits: u64) {
        self.bits[word] = bits;
    }

    /// The bits, 64 slots a word, lowest bit first.
    pub fn bits(&self) -> &[u64] {
        &self.bits
    }

    /// Gives the bits away.
    pub fn into_bits(self) -> Vec<u64> {
        self.bits
    }
}

/// The values of one state for every slot of an invocation: a row for every slot, zero or empty where absent.
///
/// Reused from invocation to invocation, so that loading allocates nothing once it has grown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Which slots have a value.
    pub present: Presence,
    /// A row a slot.
    pub values: Column,
}

impl Window {
    /// An empty window for a state of words, or of bytes.
    pub fn new(words: bool) -> Self {
        Self { present: Presence::default(), values: Column::empty(words) }
    }

    /// Empties the window and marks that many slots absent; rows are appended by who fills it.
    pub fn reset(&mut self, slots: usize) {
        self.present.reset(slots);
        self.values.clear();
    }
}
