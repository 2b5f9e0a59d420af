//! How the changes of an invocation to a task state are taken back.
//!
//! What a state held before the invocation is kept once, however often the invocation changes it: an operator that
//! replaces a list again and again must not fill the host's memory with what it replaced.

use std::collections::BTreeMap;
use std::mem;

use super::Contents;
use super::map::{Kept, MapKey, set};

/// What was before the first change.
#[derive(Debug, Clone, Default)]
pub(super) enum Undo {
    /// Nothing changed.
    #[default]
    Nothing,
    /// The list was this long, and is only longer now.
    Truncate(usize),
    /// These entries had these values, or were not there.
    Entries(BTreeMap<MapKey, Option<Kept>>),
    /// This was all of it.
    Restore(Contents),
}

impl Undo {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Notes that a list is about to grow from that length.
    pub(super) fn grows(&mut self, rows: usize) {
        if self.is_empty() {
            *self = Self::Truncate(rows);
        }
    }

    /// Notes that an entry had this value.
    pub(super) fn changes(&mut self, key: MapKey, old: Option<Kept>) {
        if self.is_empty() {
            *self = Self::Entries(BTreeMap::new());
        }
        if let Self::Entries(entries) = self {
            entries.entry(key).or_insert(old);
        }
    }

    /// Notes that all of it was replaced.
    pub(super) fn replaces(&mut self, mut old: Contents) {
        if !matches!(self, Self::Restore(_)) {
            mem::take(self).apply(&mut old);
            *self = Self::Restore(old);
        }
    }

    /// Makes the contents what they were.
    pub(super) fn apply(self, contents: &mut Contents) {
        match (self, contents) {
            (Self::Nothing, _) => {}
            (Self::Truncate(rows), Contents::List(values, _)) => values.truncate(rows),
            (Self::Entries(old), Contents::Map { entries, bytes, layout }) => {
                for (key, value) in old {
                    set(entries, bytes, *layout, key, value);
                }
            }
            (Self::Restore(old), contents) => *contents = old,
            _ => unreachable!("a state keeps its kind"),
        }
    }
}
