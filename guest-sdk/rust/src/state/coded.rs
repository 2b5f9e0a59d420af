//! The window of a state whose values are bytes: each decoded at its key's first access, encoded
//! once at the end.

use std::cell::{Cell, RefCell};

use super::{Identity, bit};
use crate::bindings::{BytesColumn, Column, Window};
use crate::call::Call;
use crate::codec::{Encode, Layout, Value};
use crate::column::{ColumnWriter, row_bytes};
use crate::error::Error;
use crate::host::Host;

pub(super) struct CodedWindow<T> {
    loaded: Cell<bool>,
    touches: bool,
    rows: RefCell<Rows<T>>,
}

struct Rows<T> {
    present: Vec<u64>,
    bytes: BytesColumn,
    /// One for every slot.
    values: Vec<Cached<T>>,
    /// Encoded at the end of the invocation.
    stored: ColumnWriter,
    stored_slots: Vec<u32>,
    removed_slots: Vec<u32>,
    /// Read and not written, if that is noted.
    read_slots: Vec<u32>,
}

/// What is known of a key's value.
enum Cached<T> {
    /// Still bytes in the window.
    Unread,
    /// Read or written; the flag says whether it was changed.
    Known(Option<T>, bool),
    /// With the closure that looks at it or changes it.
    Lent(bool),
}

impl<T: Value> CodedWindow<T> {
    /// The key's value, lent until one is put back or set.
    pub(super) fn take(&self, call: &Call, of: &Identity) -> Option<T> {
        self.open(call, of);
        let Rows { present, bytes, values, .. } = &mut *self.rows.borrow_mut();
        let slot = call.slot.get() as usize;
        let cached =
            values.get_mut(slot).map(|cached| std::mem::replace(cached, Cached::Lent(false)));
        match cached {
            Some(Cached::Known(value, changed)) => {
                values[slot] = Cached::Lent(changed);
                value
            }
            Some(Cached::Unread) if bit(present, slot) => read(bytes, slot, call, of),
            Some(Cached::Unread) => None,
            Some(Cached::Lent(_)) => {
                let name = &of.name;
                call.fault(Error::new(format_args!(
                    "state `{name}` was used within its own update"
                )));
                None
            }
            None => {
                call.no_key("state", &of.name);
                None
            }
        }
    }

    /// Puts a value back that was taken only to be looked at.
    pub(super) fn put_back(&self, call: &Call, value: Option<T>) {
        let rows = &mut *self.rows.borrow_mut();
        if let Some(cached) = rows.values.get_mut(call.slot.get() as usize)
            && let Cached::Lent(changed) = *cached
        {
            *cached = Cached::Known(value, changed);
        }
    }

    pub(super) fn set(&self, call: &Call, of: &Identity, value: Option<T>) {
        self.open(call, of);
        match self.rows.borrow_mut().values.get_mut(call.slot.get() as usize) {
            Some(cached) => *cached = Cached::Known(value, true),
            None => call.no_key("state", &of.name),
        }
    }

    #[inline(always)]
    fn open(&self, call: &Call, of: &Identity) {
        if !self.loaded.get() && call.slots.get() > 0 {
            self.load(call, of);
        }
    }

    #[cold]
    fn load(&self, call: &Call, of: &Identity) {
        let Window { present, values } = call.host.load(of.index);
        let rows = &mut *self.rows.borrow_mut();
        rows.present = present;
        match values {
            Column::Bytes(bytes) => rows.bytes = bytes,
            _ => call.fault(Error::new(format_args!(
                "state `{}` came as numbers, but is declared as bytes",
                &of.name
            ))),
        }
        rows.values.clear();
        rows.values.resize_with(call.slots.get() as usize, || Cached::Unread);
        self.loaded.set(true);
    }
}

impl<T> CodedWindow<T> {
    pub(super) fn new(layout: Layout, touches: bool) -> Self {
        let rows = Rows {
            present: Vec::new(),
            bytes: BytesColumn { offsets: Vec::new(), arena: Vec::new() },
            values: Vec::new(),
            stored: ColumnWriter::new(layout),
            stored_slots: Vec::new(),
            removed_slots: Vec::new(),
            read_slots: Vec::new(),
        };
        Self { loaded: Cell::new(false), touches, rows: RefCell::new(rows) }
    }

    pub(super) fn discard(&self) {
        self.loaded.set(false);
        let rows = &mut *self.rows.borrow_mut();
        rows.values.clear();
        rows.stored.clear();
        rows.stored_slots.clear();
        rows.removed_slots.clear();
        rows.read_slots.clear();
    }
}

impl<T: Encode> CodedWindow<T> {
    /// Encodes what was changed.
    ///
    /// # Errors
    /// If a value cannot be encoded. Nothing was sent then.
    pub(super) fn encode(&self) -> Result<(), Error> {
        if !self.loaded.get() {
            return Ok(());
        }
        let Rows { values, stored, stored_slots, removed_slots, read_slots, .. } =
            &mut *self.rows.borrow_mut();
        for (slot, cached) in values.iter().enumerate() {
            match cached {
                Cached::Known(Some(value), true) => {
                    stored.push_coded(value)?;
                    stored_slots.push(slot as u32);
                }
                Cached::Known(None, true) => removed_slots.push(slot as u32),
                Cached::Known(Some(_), false) if self.touches => read_slots.push(slot as u32),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn send(&self, of: &Identity, host: &dyn Host) {
        let index = of.index;
        let rows = &mut *self.rows.borrow_mut();
        if !rows.stored_slots.is_empty() {
            let slots = &rows.stored_slots;
            rows.stored.send(|values| host.store(index, slots, values));
        }
        if !rows.removed_slots.is_empty() {
            host.remove(index, &rows.removed_slots);
        }
        if !rows.read_slots.is_empty() {
            host.touch(index, &rows.read_slots);
        }
    }
}

fn read<T: Value>(bytes: &BytesColumn, slot: usize, call: &Call, of: &Identity) -> Option<T> {
    let row = row_bytes(bytes, slot).ok_or_else(|| Error::new("the window is too short"));
    match row.and_then(T::read) {
        Ok(value) => Some(value),
        Err(error) => {
            call.fault(error.about(format_args!("state `{}` cannot be read", &of.name)));
            None
        }
    }
}
