//! A walk through a map's entries, in order, while the map may change.

use std::ops::Bound;

use super::key::{EntryKey, KeyRows};
use super::{Base, Source, Span};
use crate::codec::Value;
use crate::error::Result;

/// Where a walk is.
pub(crate) struct Cursor<V> {
    /// After the last entry that was yielded.
    pub(crate) start: Bound<EntryKey>,
    pub(crate) end: Bound<EntryKey>,
    /// Of a map that did not come as a whole.
    page: Option<Page<V>>,
}

/// Entries that the host was asked for, for one walk.
struct Page<V> {
    rows: Source<V>,
    at: u32,
    more: bool,
}

impl<V: Value> Cursor<V> {
    pub(crate) fn new(start: Bound<EntryKey>, end: Bound<EntryKey>) -> Self {
        Self { start, end, page: None }
    }

    /// What is left of the range; `None` if that is nothing.
    pub(crate) fn range(&self) -> Option<(Bound<&EntryKey>, Bound<&EntryKey>)> {
        let (start, end) = (self.start.as_ref(), self.end.as_ref());
        let some = match (start, end) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
            (Bound::Included(first), Bound::Included(last)) => first <= last,
            (Bound::Excluded(first) | Bound::Included(first), Bound::Excluded(last))
            | (Bound::Excluded(first), Bound::Included(last)) => first < last,
        };
        some.then_some((start, end))
    }

    /// Where the host is to be asked on from, if entries are missing before the walk can go on.
    pub(crate) fn missing(&self, base: Base) -> Option<Bound<EntryKey>> {
        if matches!(base, Base::Whole(_)) || self.range().is_none() {
            return None;
        }
        match &self.page {
            None => Some(self.start.clone()),
            Some(page) if page.more && page.at >= page.rows.keys.len() => {
                Some(match page.rows.keys.len().checked_sub(1) {
                    Some(last) => Bound::Excluded(page.rows.keys.key(last)),
                    None => return None,
                })
            }
            Some(_) => None,
        }
    }

    /// Takes a page that was missing.
    pub(crate) fn turn_page(&mut self, rows: Source<V>, more: bool) {
        self.page = Some(Page { rows, at: 0, more });
    }

    /// The next row that came from the host and lies in the range.
    pub(crate) fn peek<'a>(
        &'a self,
        base: Base,
        sources: &'a [Source<V>],
    ) -> Option<(&'a KeyRows, u32)> {
        let (keys, row, to) = match (base, &self.page) {
            (Base::Whole(None), _) => return None,
            (Base::Whole(Some(Span { source, from, to })), _) => {
                let keys = &sources[source as usize].keys;
                (keys, self.first_of(keys, from, to), to)
            }
            (_, Some(page)) => {
                let keys = &page.rows.keys;
                (keys, self.first_of(keys, page.at, keys.len()), keys.len())
            }
            (_, None) => return None,
        };
        let within = row < to
            && match &self.end {
                Bound::Unbounded => true,
                Bound::Included(last) => keys.compare(row, last).is_le(),
                Bound::Excluded(last) => keys.compare(row, last).is_lt(),
            };
        within.then_some((keys, row))
    }

    /// The value of the row that [`peek`](Cursor::peek) shows.
    pub(crate) fn value(&self, base: Base, sources: &[Source<V>]) -> Result<V> {
        let missing = || crate::error!("there is no row to read");
        let (_, row) = self.peek(base, sources).ok_or_else(missing)?;
        let rows = match (base, &self.page) {
            (Base::Whole(Some(span)), _) => &sources[span.source as usize],
            (_, Some(page)) => &page.rows,
            _ => return Err(missing()),
        };
        rows.values.get(row as usize)
    }

    /// Goes on behind an entry.
    pub(crate) fn pass(&mut self, key: EntryKey) {
        if let Some(page) = &mut self.page {
            let (row, same) = page.rows.keys.lower_bound(page.at, page.rows.keys.len(), &key);
            page.at = row + u32::from(same);
        }
        self.start = Bound::Excluded(key);
    }

    fn first_of(&self, keys: &KeyRows, from: u32, to: u32) -> u32 {
        match &self.start {
            Bound::Unbounded => from,
            Bound::Included(key) => keys.lower_bound(from, to, key).0,
            Bound::Excluded(key) => {
                let (row, same) = keys.lower_bound(from, to, key);
                row + u32::from(same)
            }
        }
    }
}
