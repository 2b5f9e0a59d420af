//! Output ports as typed fields.

use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::call::{Call, Pending};
use crate::codec::{Encode, is};
use crate::column::ColumnWriter;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::local::Local;

/// Rows that are held back before some are sent on within an invocation.
const ROWS_MAX: usize = 64 * 1024;
/// Bytes that are held back before some are sent on within an invocation.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// An output port for records without a key.
///
/// Records leave in the order in which they were emitted, when the whole batch was handled without
/// an error.
pub struct Output<V> {
    port: Rc<Port>,
    call: Rc<Call>,
    of: PhantomData<fn(V)>,
}

/// An output port for records with a key.
pub struct KeyedOutput<K, V> {
    port: Rc<Port>,
    call: Rc<Call>,
    of: PhantomData<fn(K, V)>,
}

impl<V: Encode> Output<V> {
    pub(crate) fn new(port: Rc<Port>, call: &Rc<Call>) -> Self {
        Self { port, call: Rc::clone(call), of: PhantomData }
    }

    /// Emits a record at the time of the record, or timer, being handled.
    ///
    /// # Errors
    /// If serde cannot write the value.
    #[inline]
    pub fn emit(&self, value: &V) -> Result<()> {
        self.emit_at(self.call.time.get(), value)
    }

    /// Emits a record at a time of its own.
    ///
    /// # Errors
    /// If serde cannot write the value.
    #[inline]
    pub fn emit_at(&self, time: i64, value: &V) -> Result<()> {
        self.port.push(&self.call, time, &(), value)
    }
}

impl<K: Encode, V: Encode> KeyedOutput<K, V> {
    pub(crate) fn new(port: Rc<Port>, call: &Rc<Call>) -> Self {
        Self { port, call: Rc::clone(call), of: PhantomData }
    }

    /// Emits a record at the time of the record, or timer, being handled.
    ///
    /// # Errors
    /// If serde cannot write the key or the value.
    #[inline]
    pub fn emit(&self, key: &K, value: &V) -> Result<()> {
        self.emit_at(self.call.time.get(), key, value)
    }

    /// Emits a record at a time of its own.
    ///
    /// # Errors
    /// If serde cannot write the key or the value.
    #[inline]
    pub fn emit_at(&self, time: i64, key: &K, value: &V) -> Result<()> {
        self.port.push(&self.call, time, key, value)
    }
}

/// A port and the rows that wait to be sent.
pub(crate) struct Port {
    index: u32,
    name: Box<str>,
    keyed: bool,
    rows: Local<Rows>,
    /// What serde writes, before it becomes a row.
    aside: Cell<Vec<u8>>,
}

struct Rows {
    times: Vec<i64>,
    keys: ColumnWriter,
    values: ColumnWriter,
}

impl Port {
    pub(crate) fn new<K: Encode, V: Encode>(index: u32, name: &str) -> Rc<Self> {
        let rows = Rows {
            times: Vec::new(),
            keys: ColumnWriter::new(K::layout()),
            values: ColumnWriter::new(V::layout()),
        };
        let keyed = !is::<K, ()>();
        Rc::new(Self {
            index,
            name: name.into(),
            keyed,
            rows: Local::new(rows),
            aside: Cell::default(),
        })
    }

    #[inline]
    fn push<K: Encode, V: Encode>(&self, call: &Call, time: i64, key: &K, value: &V) -> Result<()> {
        let words = V::layout().is_word() && (is::<K, ()>() || K::layout().is_word());
        if !words {
            return self.push_coded(call, time, key, value);
        }
        let (key, value) = (key.to_word(), value.to_word());
        let full = self.rows.with(|rows| {
            rows.values.push_word(value);
            if !is::<K, ()>() {
                rows.keys.push_word(key);
            }
            rows.times.push(time);
            rows.times.len() >= ROWS_MAX
        });
        if full {
            self.flush(&*call.host);
        }
        Ok(())
    }

    /// Writes key and value aside first: serde runs code of the operator's.
    fn push_coded<K: Encode, V: Encode>(
        &self,
        call: &Call,
        time: i64,
        key: &K,
        value: &V,
    ) -> Result<()> {
        let mut aside = self.aside.take();
        aside.clear();
        if !V::layout().is_word() {
            value.write(&mut aside).map_err(|error| self.unwritten(&error))?;
        }
        let split = aside.len();
        if !is::<K, ()>() && !K::layout().is_word() {
            key.write(&mut aside).map_err(|error| self.unwritten(&error))?;
        }
        let full = self.rows.with(|rows| {
            rows.values.push_row(value.to_word(), &aside[..split])?;
            if !is::<K, ()>()
                && let Err(error) = rows.keys.push_row(key.to_word(), &aside[split..])
            {
                rows.values.pop();
                return Err(error);
            }
            rows.times.push(time);
            Ok(rows.times.len() >= ROWS_MAX || rows.values.size_bytes() >= BYTES_MAX)
        });
        self.aside.set(aside);
        if full.map_err(|error| self.unwritten(&error))? {
            self.flush(&*call.host);
        }
        Ok(())
    }

    #[cold]
    fn unwritten(&self, error: &Error) -> Error {
        Error::new(format_args!("output `{}`: {error}", self.name))
    }

    #[cold]
    fn flush(&self, host: &dyn Host) {
        self.rows.with(|Rows { times, keys, values }| {
            values.send(|values| {
                if self.keyed {
                    keys.send(|keys| host.emit(self.index, times, Some(keys), values));
                } else {
                    host.emit(self.index, times, None, values);
                }
            });
            times.clear();
        });
    }
}

impl Pending for Port {
    fn send(&self, host: &dyn Host) {
        if self.rows.with(|rows| !rows.times.is_empty()) {
            self.flush(host);
        }
    }

    fn discard(&self) {
        self.rows.with(|rows| {
            rows.times.clear();
            rows.keys.clear();
            rows.values.clear();
        });
    }
}
