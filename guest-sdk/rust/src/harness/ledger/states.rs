//! Keyed states, in memory, and the merges of reducing ones.

use std::collections::{BTreeMap, BTreeSet};

use crate::bindings::{Merge, ValueType};
use crate::codec::Layout;
use crate::harness::cell::Cell;
use crate::state::reducing;
use crate::state::set::{as_bytes, elements};

/// A value, and since when it lives.
#[derive(Debug, Clone)]
pub(super) struct Stamped {
    pub(super) value: Cell,
    pub(super) stamp: i64,
}

/// Where a value is: state, key, and in a collection the entry's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) state: usize,
    pub(super) key: Cell,
    pub(super) entry: Option<Cell>,
}

/// All values. An entry follows its key, so those of one key lie together.
#[derive(Default)]
pub(super) struct States {
    values: BTreeMap<Place, Stamped>,
    /// The number that the next element of a list gets.
    next: u64,
}

impl States {
    pub(super) fn get(&self, place: &Place) -> Option<&Stamped> {
        self.values.get(place)
    }

    /// Sets or removes a value. Returns what was there.
    pub(super) fn put(&mut self, place: Place, value: Option<Stamped>) -> Option<Stamped> {
        match value {
            Some(value) => self.values.insert(place, value),
            None => self.values.remove(&place),
        }
    }

    /// Takes the values of a state away.
    pub(super) fn take(&mut self, state: usize) -> Vec<(Place, Stamped)> {
        self.values.extract_if(.., |place, _| place.state == state).collect()
    }

    /// Goes on with the numbers of another's elements.
    pub(super) fn count_from(&mut self, other: &Self) {
        self.next = other.next;
    }

    pub(super) fn cell(&self, state: usize, key: &Cell) -> Option<&Stamped> {
        self.get(&Place { state, key: key.clone(), entry: None })
    }

    pub(super) fn entries(
        &self,
        state: usize,
        key: &Cell,
    ) -> impl Iterator<Item = (&Cell, &Stamped)> {
        let from = Place { state, key: key.clone(), entry: None };
        let of_key = self
            .values
            .range(from.clone()..)
            .take_while(move |(place, _)| place.state == from.state && place.key == from.key);
        of_key.filter_map(|(place, value)| Some((place.entry.as_ref()?, value)))
    }

    /// A number for a new element.
    pub(super) fn number(&mut self) -> Cell {
        self.next += 1;
        Cell::U64(self.next)
    }
}

/// Merges a value into another as the host does.
pub(super) fn merge(merge: Merge, layout: ValueType, current: Cell, delta: Cell) -> Cell {
    match (current, delta) {
        (Cell::Bytes(mut bytes), Cell::Bytes(delta)) if merge == Merge::Append => {
            bytes.extend(delta);
            Cell::Bytes(bytes)
        }
        (Cell::Bytes(left), Cell::Bytes(right)) => {
            let of = |set| elements(set).expect("what is kept, and what comes, are sets");
            let both: BTreeSet<&[u8]> = of(&left).into_iter().chain(of(&right)).collect();
            Cell::Bytes(as_bytes(both))
        }
        (current, delta) => {
            let of = match layout {
                ValueType::S64 => Layout::S64,
                ValueType::F64 => Layout::F64,
                ValueType::U64 | ValueType::Bytes => Layout::U64,
            };
            let merged = reducing::merge(merge, of, current.word(), delta.word());
            Cell::of_word(layout, merged)
        }
    }
}
