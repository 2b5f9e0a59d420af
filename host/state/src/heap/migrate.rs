//! Moves values from a state's older form to its new one: for the keys of an invocation, or a few at a time.
//!
//! A value that moves is set in one place and removed from the other, both like any write: snapshots, increments and
//! holds see it so.

mod gather;

use super::collections::{EntryPlace, Point};
use super::sheet::Any;
use super::values::At;
use super::{HeapBackend, Home};
use crate::column::Column;
use crate::declaration::{StateDeclaration, StateId};
use crate::error::Error;
use crate::evolve::{Convert, Converted, Move, Moved, NotMoved, Which};
use crate::segment::{Cell, Stamped};
use crate::ttl::NO_STAMP;

use gather::{Gathered, Rows, Source};

/// The most values that are converted at once.
const ROWS_MAX: usize = 4096;

/// Where values are moved on from, round by round.
#[derive(Debug)]
pub(super) struct Cursor {
    values: Move,
    at: Position,
}

/// How far a walk over what moves came.
#[derive(Debug, Default)]
struct Position {
    /// The group, or the slot of the invocation.
    at: usize,
    row: u32,
    /// How often rows of the group's sheet had moved.
    moves: u32,
    entry: EntryPlace,
}

impl HeapBackend {
    pub(super) fn move_values(
        &mut self,
        values: Move,
        which: Which,
        convert: &mut Convert<'_>,
    ) -> Result<Moved, Error> {
        let source = self.source(values)?;
        self.written = true;
        let mut moved = Moved::default();
        match which {
            Which::Invocation => {
                let mut at = Position::default();
                let mut done = self.is_empty(source.from);
                while !done {
                    let (mut rows, mut budget) = (ROWS_MAX, usize::MAX);
                    let gathered = self.gather(&source, true, &mut at, &mut rows, &mut budget);
                    done = gathered.done;
                    self.apply(&source, gathered, &mut moved, convert)?;
                }
            }
            Which::Next(limit) => {
                let cursor = self.cursor.take().filter(|cursor| cursor.values == values);
                let mut at = cursor.map(|cursor| cursor.at).unwrap_or_default();
                // Rows and groups without values count less, but they count.
                let (mut left, mut budget) = (limit, limit.saturating_mul(8).saturating_add(1024));
                while left > 0 && budget > 0 && !moved.done {
                    let (first, mut rows) = (at.at, left.min(ROWS_MAX));
                    left -= rows;
                    let gathered = self.gather(&source, false, &mut at, &mut rows, &mut budget);
                    left += rows;
                    moved.done = gathered.done;
                    self.apply(&source, gathered, &mut moved, convert)?;
                    for group in &mut self.groups[first..at.at] {
                        group.compact(&self.layouts, self.version);
                    }
                }
                if !moved.done {
                    self.cursor = Some(Cursor { values, at });
                }
            }
        }
        if moved.moved > 0 && self.invocation.slots() > 0 {
            for (sheet, layout) in self.layouts.iter().enumerate() {
                self.invocation.find_again(sheet, &self.groups, layout);
            }
        }
        Ok(moved)
    }

    /// What moves where, if it can.
    fn source(&self, values: Move) -> Result<Source, Error> {
        let (from, to) = (self.declared(values.from)?, self.declared(values.to)?);
        let kind = |state: &StateDeclaration| {
            (state.kind.is_collection().then_some(state.kind), state.entry_key())
        };
        if values.from == values.to || kind(from) != kind(to) {
            return Err(Error::Access {
                reason: format!(
                    "values of state `{}` ({:?}) cannot move to state `{}` ({:?}): they are kept in other ways",
                    from.name, from.kind, to.name, to.kind
                ),
            });
        }
        let domain = |state: &StateDeclaration| state.ttl.map(|ttl| ttl.domain);
        let home = |state: StateId| self.homes[state.0 as usize];
        Ok(Source {
            from: home(values.from),
            to: home(values.to),
            entry_words: from.entry_key().is_none_or(|key| key.is_words()),
            words: from.value.is_words(),
            to_words: to.value.is_words(),
            keeps_stamps: domain(from) == domain(to),
        })
    }

    fn is_empty(&self, home: Home) -> bool {
        self.groups.iter().all(|group| super::values_in(group, home) == 0)
    }

    /// Converts values and puts them where they go; removes those that are not wanted any more.
    fn apply(
        &mut self,
        source: &Source,
        gathered: Gathered,
        moved: &mut Moved,
        convert: &mut Convert<'_>,
    ) -> Result<(), Error> {
        let Gathered { rows, outdated, .. } = gathered;
        if !rows.slots.is_empty() {
            let Converted { values, failed } = convert(&rows.values)?;
            if values.len() != rows.slots.len() || values.is_words() != source.to_words {
                return Err(Error::Access {
                    reason: format!(
                        "{} values became {}, or not of the layout that the state has now",
                        rows.slots.len(),
                        values.len()
                    ),
                });
            }
            let mut failed = failed.into_iter().peekable();
            for row in 0..rows.slots.len() {
                if let Some((_, reason)) = failed.next_if(|(failed, _)| *failed as usize == row) {
                    let mut key = Column::empty(rows.keys.is_words());
                    key.push_from(&rows.keys, row);
                    moved.failed.push(NotMoved { slot: rows.slots[row], key, reason });
                    continue;
                }
                let stamp = if source.keeps_stamps { rows.stamps[row] } else { NO_STAMP };
                let value = Stamped { value: values.cell(row), stamp };
                self.put(source.to, &rows, row, Some(value));
                self.put(source.from, &rows, row, None);
                moved.moved += 1;
            }
        }
        for row in 0..outdated.slots.len() {
            self.put(source.from, &outdated, row, None);
        }
        Ok(())
    }

    fn put(&mut self, home: Home, rows: &Rows, row: usize, value: Option<Stamped<'_>>) {
        let (hash, key) = (rows.hashes[row], rows.keys.cell(row));
        let group = &mut self.groups[rows.groups[row] as usize];
        match home {
            Home::Column { sheet, column } => {
                let layout = &self.layouts[sheet];
                let at = At { pick: Any(sheet), layout, version: self.version };
                at.put(group, (hash, key), column, value);
            }
            Home::Store(store) => {
                let (entries, mut change) = group.change_store(store, self.version);
                let point = Point { hash, key, entry: rows.entries.cell(row) };
                match value {
                    Some(value) => entries.set(&mut change, point, value),
                    None => entries.remove(&mut change, point),
                }
            }
        }
    }
}

/// An entry key for rows that have none.
const NO_ENTRY: Cell<'static> = Cell::Word(0);
