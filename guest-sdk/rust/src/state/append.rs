//! Keyed state with bytes a key that the host appends to.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Identity, bit};
use crate::bindings::{BytesColumn, Codec, Column, Window};
use crate::call::{Call, Pending};
use crate::codec::Layout;
use crate::column::{ColumnWriter, row_bytes};
use crate::error::Result;
use crate::host::Host;

/// Bytes a key that grow at the end: those of the key of the record, or timer, being handled.
///
/// Adding needs no read: what a batch adds goes to the host once, after the last record.
///
/// ```
/// use statehouse::prelude::*;
///
/// /// Keeps the first letters of what each key said.
/// struct Letters { letters: AppendState }
///
/// impl Letters {
///     fn on_word(&mut self, word: Record<u64, String>) -> Result<()> {
///         self.letters.add(&word.value.as_bytes()[..1]);
///         Ok(())
///     }
/// }
///
/// impl Operator for Letters {
///     const NAME: &str = "letters";
///     fn new(setup: &mut Setup<Self>) -> Self {
///         setup.keyed_input("words", Self::on_word);
///         Letters { letters: setup.append("letters") }
///     }
/// }
///
/// let mut harness = TestHarness::<Letters>::new();
/// harness.send("words", 7_u64, "tea", 0);
/// harness.send("words", 7_u64, "oats", 0);
/// assert_eq!(harness.state("letters", 7_u64), Some(b"to".to_vec()));
/// ```
pub struct AppendState {
    call: Rc<Call>,
    texts: Rc<Texts>,
}

/// What was added for each key of the running invocation.
struct Texts {
    of: Identity,
    rows: RefCell<Rows>,
}

struct Rows {
    opened: bool,
    /// One for every slot.
    known: Vec<Known>,
    /// What the host has, if that was asked for.
    kept: Option<(Vec<u64>, BytesColumn)>,
    added: ColumnWriter,
    added_slots: Vec<u32>,
}

#[derive(Default)]
struct Known {
    /// Rows of what was added.
    added: Vec<u32>,
    cleared: bool,
    read: bool,
}

impl AppendState {
    pub(crate) fn new(call: &Rc<Call>, of: Identity) -> (Self, Rc<dyn Pending>) {
        let rows = Rows {
            opened: false,
            known: Vec::new(),
            kept: None,
            added: ColumnWriter::new(Layout::Bytes(Codec::Raw)),
            added_slots: Vec::new(),
        };
        let texts = Rc::new(Texts { of, rows: RefCell::new(rows) });
        let pending: Rc<dyn Pending> = Rc::<Texts>::clone(&texts);
        (Self { call: Rc::clone(call), texts }, pending)
    }

    /// The invocation that it belongs to, and which state it is.
    pub(crate) fn of(&self) -> (&Call, &Identity) {
        (&self.call, &self.texts.of)
    }

    /// Adds bytes to the end of the key's.
    pub fn add(&self, bytes: &[u8]) {
        self.each(|rows, slot| {
            rows.added.push_row(0, bytes)?;
            rows.known[slot].added.push(rows.added_slots.len() as u32);
            rows.added_slots.push(slot as u32);
            Ok(())
        });
    }

    /// The key's bytes, with what was added so far; `None` if nothing ever was.
    pub fn get(&self) -> Option<Vec<u8>> {
        let got = self.each(|rows, slot| {
            if rows.kept.is_none() {
                let Window { present, values } = self.call.host.load(self.texts.of.index);
                let Column::Bytes(bytes) = values else {
                    return Err(crate::error!("it came as numbers, but is declared as bytes"));
                };
                rows.kept = Some((present, bytes));
            }
            let known = &mut rows.known[slot];
            known.read = true;
            let kept = rows.kept.as_ref().filter(|(present, _)| bit(present, slot));
            let kept = kept.filter(|_| !known.cleared);
            let kept = kept.and_then(|(_, bytes)| row_bytes(bytes, slot)).map(<[u8]>::to_vec);
            if kept.is_none() && known.added.is_empty() {
                return Ok(None);
            }
            let mut all = kept.unwrap_or_default();
            for &row in &known.added {
                all.extend(rows.added.get::<Vec<u8>>(row as usize)?);
            }
            Ok(Some(all))
        });
        got.flatten()
    }

    /// Removes the key's bytes.
    pub fn clear(&self) {
        self.each(|rows, slot| {
            rows.known[slot].added.clear();
            rows.known[slot].cleared = true;
            Ok(())
        });
    }

    /// Goes to the bytes of the current key. `None` if the record was refused for it.
    fn each<R>(&self, act: impl FnOnce(&mut Rows, usize) -> Result<R>) -> Option<R> {
        let rows = &mut *self.texts.rows.borrow_mut();
        if !rows.opened {
            rows.known.resize_with(self.call.slots.get() as usize, Known::default);
            rows.opened = true;
        }
        let slot = self.call.slot.get() as usize;
        if slot >= rows.known.len() {
            self.call.no_key("state", &self.texts.of.name);
            return None;
        }
        match act(rows, slot) {
            Ok(result) => Some(result),
            Err(error) => {
                self.texts.of.fault(&self.call, error);
                None
            }
        }
    }
}

impl Pending for Texts {
    fn prepare(&self) -> Result<()> {
        let rows = &mut *self.rows.borrow_mut();
        if !rows.known.iter().any(|known| known.cleared) {
            return Ok(());
        }
        // Only what was added since the last clearing stays.
        let mut staying = ColumnWriter::new(Layout::Bytes(Codec::Raw));
        rows.added_slots.clear();
        for (slot, known) in rows.known.iter().enumerate() {
            for &row in &known.added {
                staying.push_row_of(&rows.added, row as usize)?;
                rows.added_slots.push(slot as u32);
            }
        }
        rows.added = staying;
        Ok(())
    }

    fn send(&self, host: &dyn Host) {
        let rows = &mut *self.rows.borrow_mut();
        let those = |known: &[Known], is: fn(&Known) -> bool| {
            let slots = known.iter().enumerate().filter(|(_, known)| is(known));
            slots.map(|(slot, _)| slot as u32).collect::<Vec<_>>()
        };
        let cleared = those(&rows.known, |known| known.cleared);
        if !cleared.is_empty() {
            host.remove(self.of.index, &cleared);
        }
        if !rows.added_slots.is_empty() {
            let slots = &rows.added_slots;
            rows.added.send(|deltas| host.merge(self.of.index, slots, deltas));
        }
        if self.of.touches {
            // What was only read. A write makes the value live longer by itself.
            let read = |known: &Known| known.read && !known.cleared && known.added.is_empty();
            let read = those(&rows.known, read);
            if !read.is_empty() {
                host.touch(self.of.index, &read);
            }
        }
    }

    fn discard(&self) {
        let rows = &mut *self.rows.borrow_mut();
        rows.opened = false;
        rows.known.clear();
        rows.kept = None;
        rows.added.clear();
        rows.added_slots.clear();
    }
}

#[cfg(test)]
mod tests;
