//! The way of a snapshot through a store.

use super::{Collection, Store};
use crate::backend::Now;
use crate::heap::collections::cells::{EntryKey, EntryStamp, EntryValue};
use crate::heap::row::Mark;
use crate::segment::Writer;

/// What of a store is left to encode.
#[derive(Debug)]
pub(super) enum Pass<K> {
    /// Everything behind an entry of a collection that is not expired at a time.
    All { number: u32, after: Option<K>, now: Now },
    /// Those on a list that were written in a version.
    Changed { list: Vec<(u32, K)>, next: usize, version: u32 },
}

impl<K: EntryKey> Pass<K> {
    /// Whether an entry is left that was not written since the snapshot started.
    pub(super) fn needs(&self, number: u32, entry_key: &K::Look, mark: Mark) -> bool {
        match self {
            Self::All { number: at, after, .. } => {
                let behind = || after.as_ref().is_none_or(|after| entry_key > after.borrow());
                mark.present() && (number > *at || number == *at && behind())
            }
            Self::Changed { version, .. } => mark.version() == *version,
        }
    }
}

impl<K: EntryKey, V: EntryValue, S: EntryStamp> Store<K, V, S> {
    /// Encodes about `budget` entries of all, and takes out tombstones that nobody has to be told of.
    pub(super) fn walk(
        &mut self,
        pass: &mut Pass<K>,
        writer: &mut Writer,
        version: u32,
        budget: &mut usize,
    ) -> bool {
        let Pass::All { number, after, .. } = &*pass else { return true };
        let (mut number, mut after) = (*number, after.clone());
        let mut done = false;
        while *budget > 0 && !done {
            let Some(collection) = self.collections.get_mut(number as usize) else {
                number = u32::MAX; // also once there are more collections
                done = true;
                break;
            };
            *budget -= 1;
            let mut buried = Vec::new();
            let mut left = false;
            if let Some(Collection { key, rows, .. }) = collection {
                for (entry_key, entry) in rows.after_mut(after.as_ref()) {
                    if *budget == 0 {
                        left = true;
                        break;
                    }
                    *budget -= 1;
                    after = Some(entry_key.clone());
                    if entry.mark.version() == version {
                        continue;
                    }
                    if entry.mark.present() {
                        self.changes.put(pass, writer, key, entry_key, entry);
                        entry.mark = entry.mark.settled();
                    } else {
                        buried.push(entry_key.clone());
                    }
                }
                buried.iter().for_each(|entry_key| rows.remove(entry_key.borrow()));
            }
            if !buried.is_empty() {
                self.free_if_empty(number);
            }
            if !left {
                (number, after) = (number + 1, None);
            }
        }
        if let Pass::All { number: at, after: last, .. } = pass {
            (*at, *last) = (number, after);
        }
        done
    }

    /// Encodes about `budget` entries of the list, and takes out the tombstones among them.
    pub(super) fn walk_changed(
        &mut self,
        pass: &mut Pass<K>,
        writer: &mut Writer,
        budget: &mut usize,
    ) -> bool {
        loop {
            let Pass::Changed { list, next, version } = pass else { return true };
            let version = *version;
            let Some((number, entry_key)) = list.get(*next).cloned() else {
                (*list, *next) = (Vec::new(), 0);
                return true;
            };
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            *next += 1;
            let collection = self.collections.get_mut(number as usize).and_then(Option::as_mut);
            let Some(Collection { key, rows, .. }) = collection else { continue };
            let Some(entry) = rows.get_mut(entry_key.borrow()) else { continue };
            if entry.mark.version() != version {
                continue;
            }
            self.changes.put(pass, writer, key, &entry_key, entry);
            if entry.mark.present() {
                entry.mark = entry.mark.settled();
            } else {
                rows.remove(entry_key.borrow());
                self.free_if_empty(number);
            }
        }
    }
}
