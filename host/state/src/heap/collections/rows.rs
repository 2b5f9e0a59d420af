//! The entries of one collection in order: a sorted vector while they are few, a tree when they are many.

use std::borrow::Borrow;
use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;
use std::slice;

/// A vector of more becomes a tree.
const FEW_MAX: usize = 64;
/// A tree of fewer becomes a vector.
const MANY_MIN: usize = 16;

/// Entries in order of their keys.
#[derive(Debug)]
pub(super) enum Rows<K, E> {
    Few(Vec<(K, E)>),
    Many(BTreeMap<K, E>),
}

impl<K: Ord, E> Rows<K, E> {
    pub(super) fn new() -> Self {
        Self::Few(Vec::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Few(rows) => rows.is_empty(),
            Self::Many(rows) => rows.is_empty(),
        }
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        match self {
            Self::Few(rows) => rows.capacity() * size_of::<(K, E)>(),
            // Nodes hold up to 11 entries, and are 8 full on average.
            Self::Many(rows) => rows.len() * (size_of::<(K, E)>() * 11 + 16) / 8,
        }
    }

    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&E>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Few(rows) => {
                let at = rows.binary_search_by(|(other, _)| other.borrow().cmp(key)).ok()?;
                Some(&rows[at].1)
            }
            Self::Many(rows) => rows.get(key),
        }
    }

    pub(super) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut E>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Few(rows) => {
                let at = rows.binary_search_by(|(other, _)| other.borrow().cmp(key)).ok()?;
                Some(&mut rows[at].1)
            }
            Self::Many(rows) => rows.get_mut(key),
        }
    }

    /// Adds an entry whose key is not there.
    pub(super) fn insert(&mut self, key: K, entry: E) {
        if let Self::Few(rows) = self
            && rows.len() == FEW_MAX
        {
            *self = Self::Many(std::mem::take(rows).into_iter().collect());
        }
        match self {
            Self::Few(rows) => {
                let last = rows.last().is_some_and(|(last, _)| *last > key);
                let at =
                    if last { rows.partition_point(|(other, _)| *other < key) } else { rows.len() };
                rows.insert(at, (key, entry));
            }
            Self::Many(rows) => {
                rows.insert(key, entry);
            }
        }
    }

    pub(super) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Few(rows) => {
                if let Ok(at) = rows.binary_search_by(|(other, _)| other.borrow().cmp(key)) {
                    rows.remove(at);
                }
            }
            Self::Many(rows) => {
                rows.remove(key);
                if rows.len() < MANY_MIN {
                    *self = Self::Few(std::mem::take(rows).into_iter().collect());
                }
            }
        }
    }

    /// Takes some entries out. Whether some are left.
    pub(super) fn shed(&mut self, budget: &mut usize) -> bool {
        while *budget > 0 && !self.is_empty() {
            *budget -= 1;
            match self {
                Self::Few(rows) => drop(rows.pop()),
                Self::Many(rows) => drop(rows.pop_first()),
            }
        }
        !self.is_empty()
    }

    /// Keeps the entries of which `keep` holds, and may change them.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K, &mut E) -> bool) {
        match self {
            Self::Few(rows) => rows.retain_mut(|(key, entry)| keep(key, entry)),
            Self::Many(rows) => {
                rows.retain(|key, entry| keep(key, entry));
                if rows.len() < MANY_MIN {
                    *self = Self::Few(std::mem::take(rows).into_iter().collect());
                }
            }
        }
    }

    pub(super) fn iter(&self) -> Range<'_, K, E> {
        match self {
            Self::Few(rows) => Range::Few(rows.iter()),
            Self::Many(rows) => Range::Many(rows.range(..)),
        }
    }

    /// The entries from one bound to another; none if the bounds cross.
    pub(super) fn range<Q: Ord + ?Sized>(&self, from: Bound<&Q>, to: Bound<&Q>) -> Range<'_, K, E>
    where
        K: Borrow<Q>,
    {
        if cross(from, to) {
            return Range::Few([].iter());
        }
        match self {
            Self::Few(rows) => {
                let start = start(rows, from);
                let end = match to {
                    Bound::Unbounded => rows.len(),
                    Bound::Included(to) => rows.partition_point(|(key, _)| key.borrow() <= to),
                    Bound::Excluded(to) => rows.partition_point(|(key, _)| key.borrow() < to),
                };
                Range::Few(rows[start..end].iter())
            }
            Self::Many(rows) => Range::Many(rows.range((from, to))),
        }
    }

    /// The entries behind a key, or all.
    pub(super) fn after_mut(&mut self, after: Option<&K>) -> RangeMut<'_, K, E> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        match self {
            Self::Few(rows) => {
                let start = start(rows, from);
                RangeMut::Few(rows[start..].iter_mut())
            }
            Self::Many(rows) => RangeMut::Many(rows.range_mut((from, Bound::Unbounded))),
        }
    }
}

fn start<K: Borrow<Q>, Q: Ord + ?Sized, E>(rows: &[(K, E)], from: Bound<&Q>) -> usize {
    match from {
        Bound::Unbounded => 0,
        Bound::Included(from) => rows.partition_point(|(key, _)| key.borrow() < from),
        Bound::Excluded(from) => rows.partition_point(|(key, _)| key.borrow() <= from),
    }
}

fn cross<Q: Ord + ?Sized>(from: Bound<&Q>, to: Bound<&Q>) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from >= to,
    }
}

pub(super) enum Range<'a, K, E> {
    Few(slice::Iter<'a, (K, E)>),
    Many(btree_map::Range<'a, K, E>),
}

impl<'a, K, E> Iterator for Range<'a, K, E> {
    type Item = (&'a K, &'a E);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Few(rows) => rows.next().map(|(key, entry)| (key, entry)),
            Self::Many(rows) => rows.next(),
        }
    }
}

pub(super) enum RangeMut<'a, K, E> {
    Few(slice::IterMut<'a, (K, E)>),
    Many(btree_map::RangeMut<'a, K, E>),
}

impl<'a, K, E> Iterator for RangeMut<'a, K, E> {
    type Item = (&'a K, &'a mut E);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Few(rows) => rows.next().map(|(key, entry)| (&*key, entry)),
            Self::Many(rows) => rows.next(),
        }
    }
}
