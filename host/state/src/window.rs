//! A window: the values of one state for the keys of one invocation.

use crate::column::Column;
use crate::segment::Cell;

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
    /// Whether the values are more than a column can hold: some rows are empty that should not be. The window is then
    /// of no use, and fewer slots are to be asked for.
    pub too_large: bool,
}

impl Window {
    /// An empty window for a state of words, or of bytes.
    pub fn new(words: bool) -> Self {
        Self { present: Presence::default(), values: Column::empty(words), too_large: false }
    }

    /// Appends a row: zero or empty if there is no value. Panics if the value is of the other kind.
    pub fn push(&mut self, value: Option<Cell<'_>>) {
        match (&mut self.values, value) {
            (Column::Words(words), Some(Cell::Word(word))) => words.push(word),
            (Column::Words(words), None) => words.push(0),
            (Column::Bytes(rows), Some(Cell::Bytes(bytes))) => {
                self.too_large |= !rows.push_if_it_fits(bytes);
            }
            (Column::Bytes(rows), None) => rows.push(&[]),
            _ => panic!("a window has one kind of values"),
        }
    }

    /// Empties the window and marks that many slots absent; rows are appended by who fills it.
    pub fn reset(&mut self, slots: usize) {
        self.present.reset(slots);
        self.values.clear();
        self.too_large = false;
    }
}
