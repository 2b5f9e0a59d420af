//! Changes what a driven backend serves, and moves its values.

use std::collections::BTreeMap;

use super::{Datum, Driver};
use crate::column::Column;
use crate::declaration::{StateDeclaration, StateId, TimerDeclaration};
use crate::error::Error;
use crate::evolve::{Converted, Move, Moved, Which};
use crate::segment::Schema;
use crate::snapshot::Segment;

/// What a backend shows of some keys: values by state and key, and entries in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::conformance) struct Shown {
    values: BTreeMap<(u32, Datum), Datum>,
    entries: BTreeMap<(u32, Datum), Vec<(Datum, Datum)>>,
}

/// Converts row by row.
pub(in crate::conformance) fn by_row(
    words: bool,
    convert: impl Fn(Datum) -> Result<Datum, String>,
) -> impl FnMut(&Column) -> Result<Converted, Error> {
    move |values| {
        let (mut rows, mut failed) = (Vec::new(), Vec::new());
        for row in 0..values.len() {
            rows.push(convert(Datum::at(values, row)).unwrap_or_else(|reason| {
                failed.push((row as u32, reason));
                if words { Datum::Word(0) } else { Datum::Bytes(Vec::new()) }
            }));
        }
        Ok(Converted { values: Datum::column(words, &rows), failed })
    }
}

/// Moves values as they are.
pub(in crate::conformance) fn as_it_is(values: &Column) -> Result<Converted, Error> {
    Ok(Converted { values: values.clone(), failed: Vec::new() })
}

impl Driver {
    pub(in crate::conformance) fn evolve(
        &mut self,
        states: &[StateDeclaration],
        timers: &[TimerDeclaration],
    ) {
        self.backend.evolve(states, timers).expect("the declarations fit those before");
        assert_eq!(self.backend.declared(), (states, timers), "it says what it serves");
        self.follow(states, timers);
    }

    /// The backend serves these declarations now.
    pub(in crate::conformance) fn follow(
        &mut self,
        states: &[StateDeclaration],
        timers: &[TimerDeclaration],
    ) {
        (self.setup.states, self.setup.timers) = (states.to_vec(), timers.to_vec());
        self.schema = Schema::new(self.setup.key, states, timers);
    }

    /// Adds a state behind the others.
    pub(in crate::conformance) fn add_state(&mut self, state: StateDeclaration) -> u32 {
        let mut states = self.setup.states.clone();
        states.push(state);
        let timers = self.setup.timers.clone();
        self.evolve(&states, &timers);
        states.len() as u32 - 1
    }

    /// Moves the values of some keys, in an invocation that is then over.
    pub(in crate::conformance) fn move_keys(
        &mut self,
        (from, to): (u32, u32),
        keys: &[Datum],
        convert: &mut dyn FnMut(&Column) -> Result<Converted, Error>,
    ) -> Moved {
        self.begin(keys).expect("the keys are of the range");
        let values = Move { from: StateId(from), to: StateId(to) };
        let moved = self.backend.migrate(values, Which::Invocation, convert);
        let moved = moved.expect("the storage works");
        assert!(!moved.done, "nobody knows, of the keys of an invocation");
        moved
    }

    /// Moves all values, at most so many at a time. No call moves more.
    pub(in crate::conformance) fn move_all(
        &mut self,
        (from, to): (u32, u32),
        limit: usize,
        convert: &mut dyn FnMut(&Column) -> Result<Converted, Error>,
    ) -> Moved {
        let values = Move { from: StateId(from), to: StateId(to) };
        let mut all = Moved::default();
        for _ in 0..100_000 {
            let moved = self.backend.migrate(values, Which::Next(limit), convert);
            let moved = moved.expect("the storage works");
            assert!(moved.moved as usize + moved.failed.len() <= limit, "{moved:?} of {limit}");
            assert!(moved.failed.iter().all(|failed| failed.slot.is_none()));
            all.moved += moved.moved;
            all.failed.extend(moved.failed);
            if moved.done {
                all.done = true;
                return all;
            }
        }
        panic!("moving values comes to an end")
    }

    pub(in crate::conformance) fn values(&self, state: u32) -> u64 {
        self.backend.values(StateId(state))
    }

    /// What it shows of these keys.
    pub(in crate::conformance) fn shown(&mut self, keys: &[Datum]) -> Shown {
        let mut shown = Shown::default();
        for state in 0..self.setup.states.len() as u32 {
            if self.setup.states[state as usize].kind.is_collection() {
                for key in keys {
                    let entries = self.entries(state, key);
                    if !entries.is_empty() {
                        shown.entries.insert((state, key.clone()), entries);
                    }
                }
            } else {
                self.begin(keys).expect("the keys are of the range");
                let loaded = self.load(state, keys.len());
                let there = keys.iter().zip(loaded).filter_map(|(key, value)| Some((key, value?)));
                shown.values.extend(there.map(|(key, value)| ((state, key.clone()), value)));
            }
        }
        shown
    }

    /// A copy of what is kept for some keys.
    pub(in crate::conformance) fn copy_keys(&mut self, keys: &[Datum]) -> Vec<Segment> {
        let column = Datum::column(self.setup.key.is_words(), keys);
        let mut hashes = Vec::new();
        crate::key::hash_column(&column, &mut hashes);
        self.backend.copy_keys(&column, &hashes).expect("the keys are of the range")
    }
}
