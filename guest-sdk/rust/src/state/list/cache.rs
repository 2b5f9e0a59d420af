//! What is known of the lists of a batch, and what is to be sent.

use crate::bindings::{Column, ListPage, Lists};
use crate::call::Call;
use crate::codec::{Layout, Value};
use crate::column::{ColumnReader, ColumnWriter, append, len};
use crate::error::Result;
use crate::host::Host;
use crate::state::entries::{Base, Span};
use crate::state::{Identity, bit};

/// Lists with at most as many elements are fetched as a whole.
pub(super) const WHOLE_MAX: u32 = 64;
/// Elements of a longer list that are fetched at once.
pub(super) const PAGE: u32 = 4096;

pub(super) struct Cache<T> {
    opened: bool,
    /// Whether the short lists were fetched.
    loaded: bool,
    /// One for every slot.
    lists: Vec<Known>,
    sources: Vec<ColumnReader<T>>,
    /// What was added, in the order in which it was.
    added: ColumnWriter,
    added_slots: Vec<u32>,
    leaving: Leaving,
}

/// What is known of one list.
struct Known {
    base: Base,
    /// Rows of what was added.
    added: Vec<u32>,
    cleared: bool,
    read: bool,
}

/// What is sent at the end, besides what was added.
struct Leaving {
    cleared: Vec<u32>,
    replaced: Vec<u32>,
    counts: Vec<u32>,
    replacing: ColumnWriter,
    appending: ColumnWriter,
    appended: Vec<u32>,
    read: Vec<u32>,
}

impl<T> Cache<T> {
    pub(super) fn new(layout: Layout) -> Self {
        Self {
            opened: false,
            loaded: false,
            lists: Vec::new(),
            sources: Vec::new(),
            added: ColumnWriter::new(layout),
            added_slots: Vec::new(),
            leaving: Leaving {
                cleared: Vec::new(),
                replaced: Vec::new(),
                counts: Vec::new(),
                replacing: ColumnWriter::new(layout),
                appending: ColumnWriter::new(layout),
                appended: Vec::new(),
                read: Vec::new(),
            },
        }
    }

    /// Makes room for the batch's lists. Whether the slot is one of them.
    #[inline]
    pub(super) fn open(&mut self, call: &Call, slot: usize) -> bool {
        if !self.opened {
            let unknown =
                || Known { base: Base::Unknown, added: Vec::new(), cleared: false, read: false };
            self.lists.resize_with(call.slots.get() as usize, unknown);
            self.opened = true;
        }
        slot < self.lists.len()
    }

    pub(super) fn clear(&mut self, slot: usize) {
        let list = &mut self.lists[slot];
        list.base = Base::Whole(None);
        list.added.clear();
        list.cleared = true;
    }

    /// Puts together what is sent.
    ///
    /// # Errors
    /// If it is too much for one column.
    pub(super) fn gather(&mut self, touches: bool) -> Result<()> {
        let leaving = &mut self.leaving;
        let cleared = self.lists.iter().any(|list| list.cleared);
        for (slot, list) in self.lists.iter().enumerate() {
            if touches && list.read && !list.cleared {
                leaving.read.push(slot as u32);
            }
            if list.cleared && list.added.is_empty() {
                leaving.cleared.push(slot as u32);
            } else if list.cleared {
                leaving.replaced.push(slot as u32);
                leaving.counts.push(list.added.len() as u32);
                for &row in &list.added {
                    leaving.replacing.push_row_of(&self.added, row as usize)?;
                }
            } else if cleared {
                for &row in &list.added {
                    leaving.appending.push_row_of(&self.added, row as usize)?;
                    leaving.appended.push(slot as u32);
                }
            }
        }
        if !cleared {
            // Everything that was added stays: it goes as it is.
            std::mem::swap(&mut leaving.appended, &mut self.added_slots);
            std::mem::swap(&mut leaving.appending, &mut self.added);
        }
        Ok(())
    }

    pub(super) fn send(&mut self, index: u32, host: &dyn Host) {
        let leaving = &mut self.leaving;
        if !leaving.cleared.is_empty() {
            host.clear_lists(index, &leaving.cleared);
        }
        if !leaving.replaced.is_empty() {
            let (slots, counts) = (&leaving.replaced, &leaving.counts);
            leaving.replacing.send(|values| host.replace_lists(index, slots, counts, values));
        }
        if !leaving.appended.is_empty() {
            let slots = &leaving.appended;
            leaving.appending.send(|values| host.append_elements(index, slots, values));
        }
        if !leaving.read.is_empty() {
            host.touch_lists(index, &leaving.read);
        }
    }

    pub(super) fn discard(&mut self) {
        if !self.opened {
            return;
        }
        self.opened = false;
        self.loaded = false;
        self.lists.clear();
        self.sources.clear();
        self.added.clear();
        self.added_slots.clear();
        let Leaving { cleared, replaced, counts, replacing, appending, appended, read } =
            &mut self.leaving;
        for slots in [cleared, replaced, counts, appended, read] {
            slots.clear();
        }
        replacing.clear();
        appending.clear();
    }
}

impl<T: Value> Cache<T> {
    pub(super) fn add(&mut self, slot: usize, value: &T) -> Result<()> {
        self.added.push(value)?;
        self.lists[slot].added.push(self.added_slots.len() as u32);
        self.added_slots.push(slot as u32);
        Ok(())
    }

    pub(super) fn get(&mut self, call: &Call, of: &Identity, slot: usize) -> Result<Vec<T>> {
        self.load(call, of, slot)?;
        if matches!(self.lists[slot].base, Base::Large) {
            self.load_long(call, of, slot)?;
        }
        let list = &mut self.lists[slot];
        list.read = true;
        let span = match list.base {
            Base::Whole(Some(span)) => span,
            _ => Span { source: 0, from: 0, to: 0 },
        };
        let mut all = Vec::with_capacity((span.to - span.from) as usize + list.added.len());
        for row in span.from..span.to {
            all.push(self.sources[span.source as usize].get(row as usize)?);
        }
        for &row in &list.added {
            all.push(self.added.get(row as usize)?);
        }
        Ok(all)
    }

    pub(super) fn is_empty(&mut self, call: &Call, of: &Identity, slot: usize) -> Result<bool> {
        if !self.lists[slot].added.is_empty() {
            return Ok(false);
        }
        self.load(call, of, slot)?;
        Ok(match self.lists[slot].base {
            Base::Whole(span) => span.is_none(),
            _ => call.host.scan_list(of.index, slot as u32, None, 1).numbers.is_empty(),
        })
    }

    /// Fetches the lists that are short, once, if this one is not known by other means.
    #[inline]
    fn load(&mut self, call: &Call, of: &Identity, slot: usize) -> Result<()> {
        let known = self.loaded || !matches!(self.lists[slot].base, Base::Unknown);
        if known { Ok(()) } else { self.load_short(call, of) }
    }

    #[cold]
    fn load_short(&mut self, call: &Call, of: &Identity) -> Result<()> {
        self.loaded = true;
        let Lists { ends, complete, values } = call.host.load_lists(of.index, WHOLE_MAX);
        let source = self.sources.len() as u32;
        self.sources.push(ColumnReader::new(values)?);
        let mut from = 0;
        for (slot, list) in self.lists.iter_mut().enumerate() {
            let to = ends.get(slot).copied().unwrap_or(from);
            if matches!(list.base, Base::Unknown) {
                list.base = match bit(&complete, slot) {
                    true => Base::Whole((from < to).then_some(Span { source, from, to })),
                    false => Base::Large,
                };
            }
            from = to;
        }
        Ok(())
    }

    /// Fetches a list that is not short.
    fn load_long(&mut self, call: &Call, of: &Identity, slot: usize) -> Result<()> {
        let mut after = None;
        let mut whole: Option<Column> = None;
        loop {
            let ListPage { numbers, values, more } =
                call.host.scan_list(of.index, slot as u32, after, PAGE);
            match &mut whole {
                None => whole = Some(values),
                Some(whole) => append(whole, values),
            }
            match numbers.last() {
                Some(&last) if more => after = Some(last),
                _ => break,
            }
        }
        if let Some(values) = whole {
            let to = len(&values) as u32;
            let span = Span { source: self.sources.len() as u32, from: 0, to };
            self.sources.push(ColumnReader::new(values)?);
            self.lists[slot].base = Base::Whole((to > 0).then_some(span));
        }
        Ok(())
    }
}
