//! The entries of one map in the running invocation: what came from the host, and what was changed since.
//!
//! What came stays in its columns and is searched there; an entry is taken out of them only to be changed. Keys are
//! kept as the host orders them, so both sides agree on what comes first.

pub(crate) mod cursor;
pub(crate) mod key;

use std::collections::BTreeMap;

use crate::bindings::Column;
use crate::codec::Value;
use crate::column::ColumnReader;
use crate::error::Result;
use cursor::Cursor;
use key::{EntryKey, KeyRows};

/// Rows of keys and values that came from the host.
pub(crate) struct Source<V> {
    pub(crate) keys: KeyRows,
    pub(crate) values: ColumnReader<V>,
}

impl<V: Value> Source<V> {
    pub(crate) fn new(keys: Column, values: Column) -> Result<Self> {
        Ok(Self { keys: KeyRows::new(keys), values: ColumnReader::new(values)? })
    }
}

/// Rows of a source: from the first to before the last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) source: u32,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

/// What is known of a map as the host has it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Base {
    /// Nothing yet.
    Unknown,
    /// That it is not among the maps that were loaded as a whole.
    Large,
    /// All of it, or that it has been cleared (no rows).
    Whole(Option<Span>),
}

/// Where an entry's value is.
enum Cached<V> {
    /// In a row of a source.
    Loaded { source: u32, row: u32 },
    /// Here; or the entry is known not to be there.
    Known(Option<V>),
}

/// An entry that was changed, noted as read, or loaded by itself.
pub(crate) struct Entry<V> {
    value: Cached<V>,
    changed: bool,
    read: bool,
}

/// What to make of a value: of one that stays where it is, and of one that was read for this.
pub(crate) struct Look<R, V> {
    pub(crate) shared: fn(&V) -> R,
    pub(crate) owned: fn(V) -> R,
}

impl<V: Clone> Look<V, V> {
    /// A copy of it.
    pub(crate) fn copy() -> Self {
        Self { shared: V::clone, owned: |value| value }
    }
}

impl<V> Look<(), V> {
    /// Only that it is there.
    pub(crate) fn nothing() -> Self {
        Self { shared: |_| (), owned: |_| () }
    }
}

/// What a lookup found without asking the host.
pub(crate) enum Found<T> {
    There(T),
    Absent,
    Unknown,
}

/// One map.
pub(crate) struct Entries<V> {
    pub(crate) base: Base,
    overlay: BTreeMap<EntryKey, Entry<V>>,
    cleared: bool,
}

impl<V> Default for Entries<V> {
    fn default() -> Self {
        Self { base: Base::Unknown, overlay: BTreeMap::new(), cleared: false }
    }
}

impl<V> Entries<V> {
    /// The row of an entry in what came as a whole.
    fn base_row(&self, sources: &[Source<V>], key: &EntryKey) -> Found<(u32, u32)> {
        match self.base {
            Base::Unknown | Base::Large => Found::Unknown,
            Base::Whole(None) => Found::Absent,
            Base::Whole(Some(Span { source, from, to })) => {
                let keys = &sources[source as usize].keys;
                match keys.search(from, to, key) {
                    Some(row) => Found::There((source, row)),
                    None => Found::Absent,
                }
            }
        }
    }

    /// Whether an entry is there.
    pub(crate) fn contains(&self, sources: &[Source<V>], key: &EntryKey) -> Found<()> {
        match self.overlay.get(key) {
            Some(Entry { value: Cached::Known(None), .. }) => Found::Absent,
            Some(_) => Found::There(()),
            None => match self.base_row(sources, key) {
                Found::There(_) => Found::There(()),
                Found::Absent => Found::Absent,
                Found::Unknown => Found::Unknown,
            },
        }
    }

    /// Whether nothing is known of an entry.
    pub(crate) fn is_unknown(&self, key: &EntryKey) -> bool {
        !matches!(self.base, Base::Whole(_)) && !self.overlay.contains_key(key)
    }

    /// Learns one entry that was loaded by itself.
    pub(crate) fn learn(&mut self, key: EntryKey, row: Option<(u32, u32)>) {
        let value = match row {
            Some((source, row)) => Cached::Loaded { source, row },
            None => Cached::Known(None),
        };
        self.overlay.entry(key).or_insert(Entry { value, changed: false, read: false });
    }

    /// Sets or removes an entry.
    pub(crate) fn set(&mut self, key: &EntryKey, value: Option<V>) {
        match self.overlay.get_mut(key) {
            Some(entry) => {
                entry.value = Cached::Known(value);
                entry.changed = true;
            }
            None => {
                let entry = Entry { value: Cached::Known(value), changed: true, read: false };
                self.overlay.insert(key.clone(), entry);
            }
        }
    }

    /// An entry's value, to be changed in place, if it is here as one, or known not to be there.
    #[inline]
    pub(crate) fn known_mut(&mut self, key: &EntryKey) -> Option<&mut Option<V>> {
        match self.overlay.get_mut(key)? {
            Entry { value: Cached::Known(value), changed, .. } => {
                *changed = true;
                Some(value)
            }
            Entry { value: Cached::Loaded { .. }, .. } => None,
        }
    }

    /// Removes all entries.
    pub(crate) fn clear(&mut self) {
        self.overlay.clear();
        self.base = Base::Whole(None);
        self.cleared = true;
    }

    pub(crate) fn is_cleared(&self) -> bool {
        self.cleared
    }

    /// The entries that were changed: the new value, or none for one that was removed.
    pub(crate) fn changed(&self) -> impl Iterator<Item = (&EntryKey, Option<&V>)> {
        self.overlay.iter().filter(|(_, entry)| entry.changed).filter_map(|(key, entry)| {
            match &entry.value {
                Cached::Known(value) => Some((key, value.as_ref())),
                Cached::Loaded { .. } => None,
            }
        })
    }

    /// The entries that were noted as read and not changed.
    pub(crate) fn read_only(&self) -> impl Iterator<Item = &EntryKey> {
        let read = self.overlay.iter().filter(|(_, entry)| entry.read && !entry.changed);
        read.filter(|(_, entry)| !matches!(entry.value, Cached::Known(None))).map(|(key, _)| key)
    }

    /// Notes that an entry was read.
    pub(crate) fn note_read(&mut self, sources: &[Source<V>], key: &EntryKey) {
        if !self.overlay.contains_key(key)
            && let Found::There((source, row)) = self.base_row(sources, key)
        {
            self.learn(key.clone(), Some((source, row)));
        }
        if let Some(entry) = self.overlay.get_mut(key) {
            entry.read = true;
        }
    }
}

impl<V: Value> Entries<V> {
    /// Shows an entry's value.
    pub(crate) fn with<R>(
        &self,
        sources: &[Source<V>],
        key: &EntryKey,
        look: &Look<R, V>,
    ) -> Result<Found<R>> {
        let (source, row) = match self.overlay.get(key) {
            Some(Entry { value: Cached::Known(Some(value)), .. }) => {
                return Ok(Found::There((look.shared)(value)));
            }
            Some(Entry { value: Cached::Known(None), .. }) => return Ok(Found::Absent),
            Some(Entry { value: Cached::Loaded { source, row }, .. }) => (*source, *row),
            None => match self.base_row(sources, key) {
                Found::There(at) => at,
                Found::Absent => return Ok(Found::Absent),
                Found::Unknown => return Ok(Found::Unknown),
            },
        };
        let value = sources[source as usize].values.get(row as usize)?;
        Ok(Found::There((look.owned)(value)))
    }

    /// Reads an entry's value out of the row that it came in.
    pub(crate) fn read(&self, sources: &[Source<V>], key: &EntryKey) -> Result<Option<V>> {
        let at = match self.overlay.get(key).map(|entry| &entry.value) {
            Some(Cached::Loaded { source, row }) => Some((*source, *row)),
            Some(Cached::Known(_)) => None,
            None => match self.base_row(sources, key) {
                Found::There(at) => Some(at),
                Found::Absent | Found::Unknown => None,
            },
        };
        at.map(|(source, row)| sources[source as usize].values.get(row as usize)).transpose()
    }

    /// The next entry of a walk, of those that are known: in the overlay, in what came as a whole, and in the page
    /// that the cursor has at hand.
    pub(crate) fn next<R>(
        &self,
        sources: &[Source<V>],
        cursor: &mut Cursor<V>,
        look: Look<R, V>,
    ) -> Result<Option<(EntryKey, R)>> {
        loop {
            let Some(range) = cursor.range() else { return Ok(None) };
            let changed = self.overlay.range::<EntryKey, _>(range).next();
            let came = cursor.peek(self.base, sources);
            let overlay_first = match (&changed, &came) {
                (None, None) => return Ok(None),
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((key, _)), Some((keys, row))) => keys.compare(*row, key).is_ge(),
            };
            if overlay_first && let Some((key, entry)) = changed {
                cursor.pass(key.clone());
                let value = match &entry.value {
                    Cached::Known(None) => continue,
                    Cached::Known(Some(value)) => (look.shared)(value),
                    Cached::Loaded { source, row } => {
                        (look.owned)(sources[*source as usize].values.get(*row as usize)?)
                    }
                };
                return Ok(Some((key.clone(), value)));
            }
            let Some((keys, row)) = came else { return Ok(None) };
            let key = keys.key(row);
            let value = (look.owned)(cursor.value(self.base, sources)?);
            cursor.pass(key.clone());
            return Ok(Some((key, value)));
        }
    }
}
