//! Walks over a store that is given up: its entries move elsewhere, or are freed.

use std::ops::Bound;

use super::{Collection, Store};
use crate::heap::collections::cells::{EntryKey, EntryStamp, EntryValue};
use crate::heap::collections::index::Index;
use crate::heap::collections::{EntryPlace, Point};
use crate::segment::Stamped;
use crate::timers::Key;

impl<K: EntryKey, V: EntryValue, S: EntryStamp> Store<K, V, S> {
    /// Passes entries behind a place to `yields`, and moves the place there.
    pub(super) fn walk_from(
        &self,
        place: &mut EntryPlace,
        budget: &mut usize,
        yields: &mut dyn FnMut(Point<'_>, Stamped<'_>),
    ) -> bool {
        let flip = self.changes.flip;
        while *budget > 0 {
            let Some(collection) = self.collections.get(place.number as usize) else { return true };
            *budget -= 1;
            if let Some(Collection { key, hash, rows }) = collection {
                let after = place.after.clone();
                let mut word = 0;
                let from = match &after {
                    Some(after) => Bound::Excluded(K::look(after.cell(), flip, &mut word)),
                    None => Bound::Unbounded,
                };
                for (entry_key, entry) in rows.range(from, Bound::Unbounded) {
                    if *budget == 0 {
                        return false;
                    }
                    *budget -= 1;
                    let entry_key = entry_key.cell(flip);
                    place.after = Some(Key::from(entry_key));
                    if entry.mark.present() {
                        let point = Point { hash: *hash, key: key.cell(), entry: entry_key };
                        yields(point, entry.stamped());
                    }
                }
            }
            (place.number, place.after) = (place.number + 1, None);
        }
        false
    }

    /// Gives back some of the memory of a store that is not used any more. Whether none is left.
    pub(super) fn shed_some(&mut self, budget: &mut usize) -> bool {
        self.index = Index::default();
        while *budget > 0 {
            let Some(last) = self.collections.last_mut() else { return true };
            if !last.as_mut().is_some_and(|last| last.rows.shed(budget)) {
                self.collections.pop();
                *budget = budget.saturating_sub(1);
            }
        }
        self.collections.is_empty()
    }
}
