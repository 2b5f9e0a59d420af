//! The window of a state whose values are numbers: words, used as they come.

use std::cell::Cell;

use super::{Identity, bit, bitmap_len, ones, set_bit};
use crate::bindings::Window;
use crate::call::Call;
use crate::codec::Layout;
use crate::column::{from_words, into_words};
use crate::host::Host;
use crate::local::Local;

pub(super) struct WordWindow {
    layout: Layout,
    /// Stays false for a state whose reads are noted: each access then goes the long way, and the others pay nothing.
    loaded: Cell<bool>,
    touches: bool,
    rows: Local<Rows>,
}

#[derive(Default)]
struct Rows {
    words: Vec<u64>,
    present: Vec<u64>,
    dirty: Vec<u64>,
    /// Which slots were accessed, if that is noted.
    noted: Vec<u64>,
}

impl WordWindow {
    pub(super) fn new(layout: Layout, touches: bool) -> Self {
        Self { layout, loaded: Cell::new(false), touches, rows: Local::default() }
    }

    #[inline]
    pub(super) fn get(&self, call: &Call, of: &Identity) -> Option<u64> {
        self.open(call, of);
        let slot = call.slot.get() as usize;
        let found = self.rows.with(|rows| {
            let word = *rows.words.get(slot)?;
            Some(bit(&rows.present, slot).then_some(word))
        });
        found.unwrap_or_else(|| {
            call.no_key("state", &of.name);
            None
        })
    }

    #[inline]
    pub(super) fn set(&self, call: &Call, of: &Identity, word: u64) {
        self.change(call, of, Some(word));
    }

    pub(super) fn clear(&self, call: &Call, of: &Identity) {
        self.change(call, of, None);
    }

    #[inline(always)]
    fn change(&self, call: &Call, of: &Identity, word: Option<u64>) {
        self.open(call, of);
        let slot = call.slot.get() as usize;
        let (at, mask) = (slot / 64, 1 << (slot % 64));
        let done = self.rows.with(|Rows { words, present, dirty, .. }| {
            let row = words.get_mut(slot)?;
            let present = present.get_mut(at)?;
            *dirty.get_mut(at)? |= mask;
            match word {
                Some(word) => {
                    *row = word;
                    // Mostly it is there already, and a store would have to wait for the one of the row before.
                    if *present & mask == 0 {
                        *present |= mask;
                    }
                }
                None => *present &= !mask,
            }
            Some(())
        });
        if done.is_none() {
            call.no_key("state", &of.name);
        }
    }

    #[inline(always)]
    fn open(&self, call: &Call, of: &Identity) {
        if !self.loaded.get() {
            self.load(call, of);
        }
    }

    #[cold]
    fn load(&self, call: &Call, of: &Identity) {
        let slots = call.slots.get() as usize;
        if slots == 0 {
            return;
        }
        if self.touches && self.rows.with(|rows| !rows.words.is_empty()) {
            let slot = call.slot.get() as usize;
            return self.rows.with(|rows| set_bit(&mut rows.noted, slot));
        }
        let Window { present, values } = call.host.load(of.index);
        self.rows.with(|rows| {
            rows.words = into_words(values);
            rows.present = present;
            rows.present.resize(bitmap_len(slots), 0);
            rows.dirty.clear();
            rows.dirty.resize(bitmap_len(slots), 0);
            if self.touches {
                rows.noted.resize(bitmap_len(slots), 0);
                set_bit(&mut rows.noted, call.slot.get() as usize);
            }
        });
        self.loaded.set(!self.touches);
    }

    pub(super) fn send(&self, of: &Identity, host: &dyn Host) {
        self.rows.with(|rows| {
            if self.touches {
                rows.touch(of.index, host);
            }
            if !rows.words.is_empty() {
                rows.send(self.layout, of.index, host);
            }
        });
    }

    pub(super) fn discard(&self) {
        self.loaded.set(false);
        self.rows.with(|rows| *rows = Rows::default());
    }
}

impl Rows {
    /// What was read and not written. A write makes the value live longer by itself.
    fn touch(&mut self, index: u32, host: &dyn Host) {
        for ((noted, dirty), present) in self.noted.iter_mut().zip(&self.dirty).zip(&self.present) {
            *noted &= !dirty & present;
        }
        let read = ones(&self.noted);
        if !read.is_empty() {
            host.touch(index, &read);
        }
    }

    fn send(&mut self, layout: Layout, index: u32, host: &dyn Host) {
        let rows = self;
        let mut stored = Vec::with_capacity(rows.words.len());
        let mut removed = Vec::new();
        for (at, (&dirty, &present)) in rows.dirty.iter().zip(&rows.present).enumerate() {
            let first = at as u32 * 64;
            if dirty & present == u64::MAX {
                stored.extend(first..first + 64);
                continue;
            }
            let mut left = dirty;
            while left != 0 {
                let lowest = left.trailing_zeros();
                left &= left - 1;
                let slot = first + lowest;
                if present >> lowest & 1 == 1 { stored.push(slot) } else { removed.push(slot) }
            }
        }
        if !stored.is_empty() {
            let words = if stored.len() == rows.words.len() {
                std::mem::take(&mut rows.words)
            } else {
                stored.iter().map(|&slot| rows.words[slot as usize]).collect()
            };
            host.store(index, &stored, &from_words(layout, words));
        }
        if !removed.is_empty() {
            host.remove(index, &removed);
        }
    }
}
