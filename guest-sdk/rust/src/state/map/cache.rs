//! What is known of the maps of a batch, and what is to be sent.

use std::ops::Bound;

use crate::bindings::{Column, MapPage, Maps};
use crate::call::Call;
use crate::codec::{Layout, Value};
use crate::column::{ColumnWriter, append};
use crate::error::Result;
use crate::host::Host;
use crate::state::entries::cursor::Cursor;
use crate::state::entries::key::{EntryKey, to_wire};
use crate::state::entries::{Base, Entries, Found, Look, Source, Span};
use crate::state::{Identity, bit};

/// Maps with at most as many entries are fetched as a whole.
pub(super) const WHOLE_MAX: u32 = 64;
/// Entries of a larger map that are fetched at once.
pub(super) const PAGE: u32 = 256;

pub(super) struct Cache<V> {
    key: Layout,
    opened: bool,
    /// Whether the small maps were fetched.
    loaded: bool,
    /// One for every slot.
    maps: Vec<Entries<V>>,
    sources: Vec<Source<V>>,
    leaving: Leaving,
}

/// What is sent at the end.
struct Leaving {
    cleared: Vec<u32>,
    put: Vec<u32>,
    put_keys: ColumnWriter,
    put_values: ColumnWriter,
    removed: Vec<u32>,
    removed_keys: ColumnWriter,
    read: Vec<u32>,
    read_keys: ColumnWriter,
}

impl Leaving {
    fn new(key: Layout, value: Layout) -> Self {
        Self {
            cleared: Vec::new(),
            put: Vec::new(),
            put_keys: ColumnWriter::new(key),
            put_values: ColumnWriter::new(value),
            removed: Vec::new(),
            removed_keys: ColumnWriter::new(key),
            read: Vec::new(),
            read_keys: ColumnWriter::new(key),
        }
    }

    fn clear(&mut self) {
        for slots in [&mut self.cleared, &mut self.put, &mut self.removed, &mut self.read] {
            slots.clear();
        }
        for column in
            [&mut self.put_keys, &mut self.put_values, &mut self.removed_keys, &mut self.read_keys]
        {
            column.clear();
        }
    }
}

impl<V> Cache<V> {
    pub(super) fn new(key: Layout, value: Layout) -> Self {
        Self {
            key,
            opened: false,
            loaded: false,
            maps: Vec::new(),
            sources: Vec::new(),
            leaving: Leaving::new(key, value),
        }
    }

    /// Makes room for the batch's maps. Whether the slot is one of them.
    #[inline]
    pub(super) fn open(&mut self, call: &Call, slot: usize) -> bool {
        if !self.opened {
            self.maps.resize_with(call.slots.get() as usize, Entries::default);
            self.opened = true;
        }
        slot < self.maps.len()
    }

    pub(super) fn set(&mut self, slot: usize, key: &EntryKey, value: Option<V>) {
        self.maps[slot].set(key, value);
    }

    pub(super) fn clear(&mut self, slot: usize) {
        self.maps[slot].clear();
    }

    pub(super) fn note_read(&mut self, slot: usize, key: &EntryKey) {
        self.maps[slot].note_read(&self.sources, key);
    }

    pub(super) fn discard(&mut self) {
        if self.opened {
            self.opened = false;
            self.loaded = false;
            self.maps.clear();
            self.sources.clear();
            self.leaving.clear();
        }
    }

    pub(super) fn send(&mut self, index: u32, host: &dyn Host) {
        let leaving = &mut self.leaving;
        if !leaving.cleared.is_empty() {
            host.clear_maps(index, &leaving.cleared);
        }
        if !leaving.put.is_empty() {
            let (slots, values) = (&leaving.put, &mut leaving.put_values);
            leaving.put_keys.send(|keys| {
                values.send(|values| host.put_entries(index, slots, keys, values));
            });
        }
        if !leaving.removed.is_empty() {
            let slots = &leaving.removed;
            leaving.removed_keys.send(|keys| host.remove_entries(index, slots, keys));
        }
        if !leaving.read.is_empty() {
            let slots = &leaving.read;
            leaving.read_keys.send(|keys| host.touch_entries(index, slots, keys));
        }
    }
}

impl<V: Value> Cache<V> {
    pub(super) fn contains(
        &mut self,
        call: &Call,
        of: &Identity,
        slot: usize,
        key: &EntryKey,
    ) -> Result<bool> {
        let mut found = self.maps[slot].contains(&self.sources, key);
        if matches!(found, Found::Unknown) {
            self.find_out(call, of, slot, key)?;
            found = self.maps[slot].contains(&self.sources, key);
        }
        Ok(matches!(found, Found::There(())))
    }

    pub(super) fn with<R>(
        &mut self,
        call: &Call,
        of: &Identity,
        slot: usize,
        key: &EntryKey,
        look: Look<R, V>,
    ) -> Result<Option<R>> {
        let mut found = self.maps[slot].with(&self.sources, key, &look)?;
        if matches!(found, Found::Unknown) {
            self.find_out(call, of, slot, key)?;
            found = self.maps[slot].with(&self.sources, key, &look)?;
        }
        match found {
            Found::There(result) => Ok(Some(result)),
            Found::Absent | Found::Unknown => Ok(None),
        }
    }

    /// Lets an entry's value be changed in place; the type's default if there is none.
    pub(super) fn update<R>(
        &mut self,
        call: &Call,
        of: &Identity,
        slot: usize,
        key: &EntryKey,
        change: impl FnOnce(&mut V) -> R,
    ) -> Result<R>
    where
        V: Default,
    {
        if let Some(value) = self.maps[slot].known_mut(key) {
            return Ok(change(value.get_or_insert_default()));
        }
        if self.maps[slot].is_unknown(key) {
            self.find_out(call, of, slot, key)?;
        }
        let mut value = self.maps[slot].read(&self.sources, key)?.unwrap_or_default();
        let result = change(&mut value);
        self.maps[slot].set(key, Some(value));
        Ok(result)
    }

    /// The next entry of a walk.
    pub(super) fn next<R>(
        &mut self,
        call: &Call,
        of: &Identity,
        slot: usize,
        cursor: &mut Cursor<V>,
        look: Look<R, V>,
    ) -> Result<Option<(EntryKey, R)>> {
        while let Some(from) = cursor.missing(self.maps[slot].base) {
            if !self.loaded {
                self.load_small(call, of)?;
                continue;
            }
            let page = self.page(call, of, slot, (&from, &cursor.end), PAGE);
            cursor.turn_page(Source::new(page.keys, page.values)?, page.more);
        }
        self.maps[slot].next(&self.sources, cursor, look)
    }

    /// Fetches the rest of a map, however large.
    pub(super) fn load_whole(&mut self, call: &Call, of: &Identity, slot: usize) -> Result<()> {
        if !self.loaded && !matches!(self.maps[slot].base, Base::Whole(_)) {
            self.load_small(call, of)?;
        }
        if matches!(self.maps[slot].base, Base::Whole(_)) {
            return Ok(());
        }
        let mut from = Bound::Unbounded;
        let mut whole: Option<(Column, Column)> = None;
        loop {
            let MapPage { keys, values, more } =
                self.page(call, of, slot, (&from, &Bound::Unbounded), PAGE * 16);
            let rows = crate::column::len(&keys);
            match &mut whole {
                None => whole = Some((keys, values)),
                Some(whole) => {
                    append(&mut whole.0, keys);
                    append(&mut whole.1, values);
                }
            }
            let keys = whole.as_ref().map(|(keys, _)| keys);
            match keys.and_then(EntryKey::last_of) {
                Some(last) if more && rows > 0 => from = Bound::Excluded(last),
                _ => break,
            }
        }
        if let Some((keys, values)) = whole {
            let rows = Source::new(keys, values)?;
            let span = Span { source: self.sources.len() as u32, from: 0, to: rows.keys.len() };
            self.sources.push(rows);
            self.maps[slot].base = Base::Whole(Some(span));
        }
        Ok(())
    }

    /// Asks the host for an entry of which nothing is known.
    #[cold]
    fn find_out(&mut self, call: &Call, of: &Identity, slot: usize, key: &EntryKey) -> Result<()> {
        if !self.loaded {
            self.load_small(call, of)?;
        }
        if self.maps[slot].is_unknown(key) {
            self.load_points(call, of, vec![(slot as u32, key.clone())])?;
        }
        Ok(())
    }

    fn load_points(
        &mut self,
        call: &Call,
        of: &Identity,
        points: Vec<(u32, EntryKey)>,
    ) -> Result<()> {
        let slots: Vec<_> = points.iter().map(|(slot, _)| *slot).collect();
        let mut keys = ColumnWriter::new(self.key);
        for (_, key) in &points {
            let (word, bytes) = key.row(self.key);
            keys.push_row(word, bytes)?;
        }
        let window = keys.send(|keys| call.host.load_entries(of.index, &slots, keys));
        let source = self.sources.len() as u32;
        self.sources.push(Source::new(Column::U64s(Vec::new()), window.values)?);
        for (row, (slot, key)) in points.into_iter().enumerate() {
            let there = bit(&window.present, row).then_some((source, row as u32));
            self.maps[slot as usize].learn(key, there);
        }
        Ok(())
    }

    /// Fetches all maps that are small.
    fn load_small(&mut self, call: &Call, of: &Identity) -> Result<()> {
        self.loaded = true;
        let Maps { ends, complete, keys, values } = call.host.load_maps(of.index, WHOLE_MAX);
        let source = self.sources.len() as u32;
        self.sources.push(Source::new(keys, values)?);
        let mut from = 0;
        for (slot, map) in self.maps.iter_mut().enumerate() {
            let to = ends.get(slot).copied().unwrap_or(from);
            if matches!(map.base, Base::Unknown) {
                map.base = match bit(&complete, slot) {
                    true => Base::Whole((from < to).then_some(Span { source, from, to })),
                    false => Base::Large,
                };
            }
            from = to;
        }
        Ok(())
    }

    fn page(
        &self,
        call: &Call,
        of: &Identity,
        slot: usize,
        (start, end): (&Bound<EntryKey>, &Bound<EntryKey>),
        limit: u32,
    ) -> MapPage {
        let (start, end) = (to_wire(start, self.key), to_wire(end, self.key));
        call.host.scan_map(of.index, slot as u32, (&start, &end), limit)
    }

    /// Encodes what was changed, and lists what was read if that is to be told.
    ///
    /// # Errors
    /// If a value cannot be encoded. Nothing was sent then.
    pub(super) fn encode(&mut self, touches: bool) -> Result<()> {
        let (key_layout, leaving) = (self.key, &mut self.leaving);
        for (slot, map) in self.maps.iter().enumerate() {
            let slot = slot as u32;
            if map.is_cleared() {
                leaving.cleared.push(slot);
            }
            for (key, value) in map.changed() {
                let (word, bytes) = key.row(key_layout);
                match value {
                    Some(value) => {
                        leaving.put_values.push(value)?;
                        leaving.put_keys.push_row(word, bytes)?;
                        leaving.put.push(slot);
                    }
                    None => {
                        leaving.removed_keys.push_row(word, bytes)?;
                        leaving.removed.push(slot);
                    }
                }
            }
            if touches {
                for key in map.read_only() {
                    let (word, bytes) = key.row(key_layout);
                    leaving.read_keys.push_row(word, bytes)?;
                    leaving.read.push(slot);
                }
            }
        }
        Ok(())
    }
}
