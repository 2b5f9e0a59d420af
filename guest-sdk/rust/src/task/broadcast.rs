//! State that belongs to the task, not to a key: maps that are the same in every task.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ops::Bound;
use std::rc::Rc;

use super::within;
use crate::bindings::Entries as WireEntries;
use crate::call::{Call, Pending};
use crate::codec::{Encode, Layout, Value};
use crate::column::ColumnWriter;
use crate::error::Result;
use crate::host::Host;
use crate::state::Identity;
use crate::state::entries::cursor::Cursor;
use crate::state::entries::key::EntryKey;
use crate::state::entries::{Base, Entries, Found, Look, Source, Span};

/// A map that is the same in every task, because it changes only with the records of
/// [broadcast inputs](crate::Setup::broadcast_input): for rules, settings and small tables that all keys share.
///
/// Every handler may look into it; a handler of another input that changes it refuses its record. It is fetched as a
/// whole and kept until it changes.
///
/// ```
/// use statehouse::prelude::*;
///
/// /// Lets through what is under its kind's limit.
/// struct Limits { limits: BroadcastState<String, u64>, passed: Output<u64> }
///
/// impl Limits {
///     fn on_limit(&mut self, limit: Record<(), (String, u64)>) -> Result<()> {
///         self.limits.insert(&limit.value.0, &limit.value.1);
///         Ok(())
///     }
///
///     fn on_amount(&mut self, amount: Record<String, u64>) -> Result<()> {
///         match self.limits.get(&amount.key) {
///             Some(limit) if amount.value > limit => Ok(()),
///             _ => self.passed.emit(&amount.value),
///         }
///     }
/// }
///
/// impl Operator for Limits {
///     const NAME: &str = "limits";
///     fn new(setup: &mut Setup<Self>) -> Self {
///         setup.broadcast_input("limits", Self::on_limit);
///         setup.keyed_input("amounts", Self::on_amount);
///         Limits { limits: setup.broadcast("limits"), passed: setup.output("passed") }
///     }
/// }
///
/// let mut harness = TestHarness::<Limits>::new();
/// harness.send("limits", (), ("tea".to_owned(), 10_u64), 0);
/// harness.batch("amounts").push("tea", 7_u64, 0).push("tea", 70_u64, 0).push("rice", 70_u64, 0).send();
/// assert_eq!(harness.take_values::<u64>("passed"), [7, 70]);
/// assert_eq!(harness.broadcast::<String, u64>("limits"), [("tea".to_owned(), 10)]);
/// ```
pub struct BroadcastState<K: Value, V: Value> {
    call: Rc<Call>,
    map: Rc<Map<V>>,
    of: PhantomData<fn(K) -> K>,
}

struct Map<V> {
    of: Identity,
    key: Layout,
    rows: RefCell<Rows<V>>,
    /// What a key becomes before it is looked up; kept for its memory.
    probe: Cell<EntryKey>,
}

struct Rows<V> {
    entries: Entries<V>,
    sources: Vec<Source<V>>,
    /// Whether the running invocation has changed it.
    changed: bool,
    put_keys: ColumnWriter,
    put_values: ColumnWriter,
    removed_keys: ColumnWriter,
}

impl<K: Value, V: Value> BroadcastState<K, V> {
    pub(crate) fn new(call: &Rc<Call>, of: Identity) -> (Self, Rc<dyn Pending>) {
        let key = <K as Encode>::layout();
        let rows = Rows {
            entries: Entries::default(),
            sources: Vec::new(),
            changed: false,
            put_keys: ColumnWriter::new(key),
            put_values: ColumnWriter::new(<V as Encode>::layout()),
            removed_keys: ColumnWriter::new(key),
        };
        let map = Rc::new(Map { of, key, rows: RefCell::new(rows), probe: Cell::default() });
        let pending: Rc<dyn Pending> = Rc::<Map<V>>::clone(&map);
        (Self { call: Rc::clone(call), map, of: PhantomData }, pending)
    }

    /// Sets the schema version, which is 1 unless it is set.
    #[must_use]
    pub fn at_version(self, version: u32) -> Self {
        self.call.lineage.borrow_mut().task_version(self.map.of.index, version);
        self
    }

    /// The value of an entry.
    pub fn get(&self, key: &K) -> Option<V>
    where
        V: Clone,
    {
        let mut probe = self.map.probe.take();
        let found = self.with(|rows| {
            probe.fill(key)?;
            rows.load(&self.call, &self.map.of)?;
            Ok(match rows.entries.with(&rows.sources, &probe, &Look::copy())? {
                Found::There(value) => Some(value),
                Found::Absent | Found::Unknown => None,
            })
        });
        self.map.probe.set(probe);
        found.flatten()
    }

    /// All entries, in the order of their keys.
    pub fn entries(&self) -> Vec<(K, V)>
    where
        V: Clone,
    {
        let all = self.with(|rows| {
            rows.load(&self.call, &self.map.of)?;
            let mut cursor = Cursor::new(Bound::Unbounded, Bound::Unbounded);
            let mut all = Vec::new();
            while let Some((key, value)) =
                rows.entries.next(&rows.sources, &mut cursor, Look::copy())?
            {
                all.push((key.read()?, value));
            }
            Ok(all)
        });
        all.unwrap_or_default()
    }

    /// Sets an entry. Only a handler of a broadcast input may.
    pub fn insert(&self, key: &K, value: &V) {
        // A copy that is as good as what the other tasks read.
        self.change(|rows| {
            let mut copy = ColumnWriter::new(<V as Encode>::layout());
            copy.push(value)?;
            rows.entries.set(&EntryKey::of(key)?, Some(copy.get(0)?));
            Ok(())
        });
    }

    /// Removes an entry. Removing what is not there is no error. Only a handler of a broadcast input may.
    pub fn remove(&self, key: &K) {
        self.change(|rows| {
            rows.entries.set(&EntryKey::of(key)?, None);
            Ok(())
        });
    }

    /// Removes all entries. Only a handler of a broadcast input may.
    pub fn clear(&self) {
        self.change(|rows| {
            rows.entries.clear();
            Ok(())
        });
    }

    fn change(&self, act: impl FnOnce(&mut Rows<V>) -> Result<()>) {
        self.with(|rows| {
            if !self.call.broadcast.get() {
                crate::bail!(
                    "it was changed outside of a handler of a broadcast input: the tasks would come to differ"
                );
            }
            rows.changed = true;
            act(rows)
        });
    }

    fn with<R>(&self, act: impl FnOnce(&mut Rows<V>) -> Result<R>) -> Option<R> {
        within(&self.call, &self.map.of, || {
            let Ok(mut rows) = self.map.rows.try_borrow_mut() else {
                crate::bail!("it was used within its own use");
            };
            act(&mut rows)
        })
    }
}

impl<V: Value> Rows<V> {
    /// Fetches the map, if it is not here.
    fn load(&mut self, call: &Call, of: &Identity) -> Result<()> {
        if matches!(self.entries.base, Base::Whole(_)) {
            return Ok(());
        }
        let WireEntries { keys, values } = call.host.load_broadcast(of.index);
        let rows = Source::new(keys, values)?;
        let span = Span { source: self.sources.len() as u32, from: 0, to: rows.keys.len() };
        self.sources.push(rows);
        self.entries.base = Base::Whole(Some(span));
        Ok(())
    }
}

impl<V: Value> Pending for Map<V> {
    fn prepare(&self) -> Result<()> {
        let Rows { entries, put_keys, put_values, removed_keys, .. } = &mut *self.rows.borrow_mut();
        let encoded = entries.changed().try_for_each(|(key, value)| {
            let (word, bytes) = key.row(self.key);
            match value {
                Some(value) => {
                    put_values.push(value)?;
                    put_keys.push_row(word, bytes)
                }
                None => removed_keys.push_row(word, bytes),
            }
        });
        encoded.map_err(|error| error.about(format_args!("task state `{}`", self.of.name)))
    }

    fn send(&self, host: &dyn Host) {
        let rows = &mut *self.rows.borrow_mut();
        let index = self.of.index;
        if rows.entries.is_cleared() {
            host.clear_broadcast(index);
        }
        if rows.put_keys.len() > 0 {
            let values = &mut rows.put_values;
            rows.put_keys.send(|keys| {
                values.send(|values| host.put_broadcast(index, keys, values));
            });
        }
        if rows.removed_keys.len() > 0 {
            rows.removed_keys.send(|keys| host.remove_broadcast(index, keys));
        }
    }

    /// What was only read stays: nothing else changes the map while the instance lives.
    fn discard(&self) {
        let rows = &mut *self.rows.borrow_mut();
        if rows.changed {
            rows.changed = false;
            rows.entries = Entries::default();
            rows.sources.clear();
        }
        rows.put_keys.clear();
        rows.put_values.clear();
        rows.removed_keys.clear();
    }
}
