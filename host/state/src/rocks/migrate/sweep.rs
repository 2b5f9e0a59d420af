//! How far a sweep has come: the values that lie before it have moved, or could not be converted.

use std::cmp::Ordering;
use std::collections::HashSet;

use crate::key::KeyGroup;
use crate::rocks::cells::DirtyFrom;
use crate::rocks::keys;
use crate::segment::Cell;

/// Values that could not be converted and are remembered one by one.
const LEFT_MAX: usize = 100_000;

/// A sweep over the values of one state, to another.
#[derive(Debug)]
pub(in crate::rocks) struct Sweep {
    /// The tags of the two.
    tags: (u16, u16),
    /// Where to go on among the values that RocksDB had not got when the sweep began. `None` once these are done.
    pub(in crate::rocks) dirty: Option<DirtyFrom>,
    /// Where to go on in RocksDB. `None` at the end.
    pub(in crate::rocks) next: Option<Vec<u8>>,
    /// The keys of values that could not be converted.
    left: HashSet<Vec<u8>>,
    /// How many more there are of those.
    left_uncounted: u64,
}

impl Sweep {
    pub(super) fn new(tags: (u16, u16), dirty: Option<DirtyFrom>, first: Vec<u8>) -> Self {
        Self { tags, dirty, next: Some(first), left: HashSet::new(), left_uncounted: 0 }
    }

    /// The tags of the two states.
    pub(in crate::rocks) fn tags(&self) -> (u16, u16) {
        self.tags
    }

    /// The tag of the state that is swept.
    pub(in crate::rocks) fn old_tag(&self) -> u16 {
        self.tags.0
    }

    /// Whether it has come to the end.
    pub(in crate::rocks) fn is_done(&self) -> bool {
        self.dirty.is_none() && self.next.is_none()
    }

    /// Whether all values whose keys begin so have moved. `after` is the first key behind these.
    pub(super) fn is_past(&self, after: &[u8]) -> bool {
        let past = self.next.as_deref().is_none_or(|next| next >= after);
        self.dirty.is_none() && past && self.left() == 0
    }

    /// Whether the value of a key has moved.
    pub(super) fn is_past_key(&self, group: KeyGroup, key: Cell<'_>) -> bool {
        if self.dirty.is_some() || self.left() > 0 {
            return false;
        }
        let Some((next, rest)) = self.next.as_deref().and_then(keys::split) else {
            return self.next.is_none();
        };
        match group.0.cmp(&next) {
            Ordering::Equal => {
                let mut bytes = Vec::new();
                keys::push_key(&mut bytes, key);
                bytes.as_slice() < rest
            }
            order => order.is_lt(),
        }
    }

    /// How many values were left behind.
    pub(in crate::rocks) fn left(&self) -> u64 {
        self.left.len() as u64 + self.left_uncounted
    }

    pub(super) fn leave(&mut self, key: &[u8]) {
        if self.left.len() < LEFT_MAX {
            self.left.insert(key.to_vec());
        } else {
            self.left_uncounted += u64::from(!self.left.contains(key));
        }
    }

    pub(in crate::rocks) fn has_left(&self, key: &[u8]) -> bool {
        self.left.contains(key)
    }

    /// Says that a value is gone from where it was.
    pub(super) fn gone(&mut self, key: &[u8]) {
        self.left.remove(key);
    }
}
