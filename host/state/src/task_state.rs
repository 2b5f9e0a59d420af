//! State that belongs to a task and not to a key: lists that are dealt out anew when the parallelism changes, and maps
//! that are the same in every task.
//!
//! It lies in memory as a whole. What an invocation changes is undone unless it is committed, and a snapshot is all of
//! it at once, so it is for small things: positions, rules, tables of a few thousand entries.

use std::collections::BTreeMap;
use std::mem;

use serde::{Deserialize, Serialize};

use crate::backend::Entries;
use crate::column::{ARENA_BYTES_MAX, Column};
use crate::declaration::{KeyLayout, ValueLayout};
use crate::error::Error;
use crate::segment::Cell;

mod evolve;
mod format;
mod map;
mod undo;

use map::{Kept, MapKey, set};
use undo::Undo;

/// The most bytes that one task state may hold, its keys and values together.
pub const TASK_STATE_BYTES_MAX: usize = 256 << 20;

/// The kinds of state that belong to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskStateKind {
    /// A list; after a restart its elements are dealt out to the tasks.
    Split,
    /// A list; after a restart every task gets the elements of all of them.
    Union,
    /// A map that is the same in every task.
    Broadcast,
}

/// One declared task state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStateDeclaration {
    /// Identifies the state across versions of the operator.
    pub name: String,
    /// Its kind.
    pub kind: TaskStateKind,
    /// The layout of its values.
    pub value: ValueLayout,
    /// The codec's name for bytes (`raw`, `text`, `json`, `msgpack`); for looking inside.
    pub codec: String,
    /// The structure inside the bytes, for looking inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The layout of the map's keys, for broadcast state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_key: Option<KeyLayout>,
    /// The codec's name for map keys that are bytes; for looking inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_key_codec: Option<String>,
    /// The structure inside map keys that are bytes, for looking inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_key_schema: Option<String>,
    /// Raised when the structure of the values changes.
    pub schema_version: u32,
}

impl TaskStateDeclaration {
    /// Says why the declaration cannot be served, if so: its parts do not go together.
    ///
    /// # Errors
    /// In words that follow the state's name.
    pub fn check(&self) -> Result<(), String> {
        if (self.kind == TaskStateKind::Broadcast) != self.map_key.is_some() {
            return Err(
                "broadcast states, and no other task states, declare the type of their map keys"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// What a state holds.
#[derive(Debug, Clone)]
enum Contents {
    /// The elements, and how many at the beginning another task's snapshot holds: those that a union state was
    /// restored with are written by the first task only, or they would multiply with every restart.
    List(Column, usize),
    Map {
        layout: KeyLayout,
        entries: BTreeMap<MapKey, Kept>,
        bytes: usize,
    },
}

#[derive(Debug, Clone)]
struct TaskState {
    declaration: TaskStateDeclaration,
    contents: Contents,
    undo: Undo,
}

/// The task states of one task. Changes count from [`commit`](TaskStates::commit) on; until then
/// [`undo`](TaskStates::undo) takes them back. Reads see them at once.
///
/// States are numbered as they were declared. A number that was not declared, a state of another kind, and columns of
/// another layout are [`Error::Access`].
#[derive(Debug, Clone)]
pub struct TaskStates {
    states: Vec<TaskState>,
}

impl TaskStates {
    /// Empty states. The declarations must have been checked.
    pub fn new(declarations: &[TaskStateDeclaration]) -> Self {
        let states = declarations.iter().map(|declaration| TaskState {
            contents: match declaration.map_key {
                Some(layout) => Contents::Map { layout, entries: BTreeMap::new(), bytes: 0 },
                None => Contents::List(Column::empty(declaration.value.is_words()), 0),
            },
            declaration: declaration.clone(),
            undo: Undo::Nothing,
        });
        Self { states: states.collect() }
    }

    /// The states as they were committed last, as bytes; see the module's `format`. Must be called between
    /// invocations.
    pub fn snapshot(&self) -> Vec<u8> {
        let unchanged = self.states.iter().all(|state| state.undo.is_empty());
        debug_assert!(unchanged, "snapshots are taken between invocations");
        format::write(&self.states)
    }

    /// The states of task `task` of `parallelism`, from what all tasks of a snapshot held, in the order of the tasks.
    ///
    /// Elements of split states are dealt out in contiguous shares: element `i` of `n` to task `i * parallelism / n`.
    /// Union states get all elements of all tasks. Broadcast states are the map of the first task that has one. States
    /// that the snapshot does not name begin empty.
    ///
    /// # Errors
    /// If the bytes are no snapshot of task states, or hold states that are not declared, or have other layouts.
    pub fn restore<B: AsRef<[u8]>>(
        declarations: &[TaskStateDeclaration],
        tasks: &[B],
        task: u32,
        parallelism: u32,
    ) -> Result<Self, Error> {
        let mut restored = Self::new(declarations);
        let mut filled = vec![false; declarations.len()];
        for bytes in tasks {
            format::read(bytes.as_ref(), declarations, |index, part| {
                let state = &mut restored.states[index];
                match (&mut state.contents, part) {
                    (Contents::List(all, _), Contents::List(part, _)) => {
                        if all.size_bytes() + part.size_bytes() > ARENA_BYTES_MAX {
                            let name = &state.declaration.name;
                            let reason = format!(
                                "the tasks' parts of state `{name}` are more than 4 GiB together"
                            );
                            return Err(Error::TaskStates { reason });
                        }
                        all.extend_from_range(&part, 0, part.len());
                    }
                    (map, part) if !mem::replace(&mut filled[index], true) => *map = part,
                    _ => {}
                }
                Ok(())
            })?;
        }
        for state in &mut restored.states {
            match (state.declaration.kind, &mut state.contents) {
                (TaskStateKind::Split, Contents::List(all, _)) => {
                    let (from, to) = share(all.len(), task, parallelism);
                    let mut mine = Column::empty(all.is_words());
                    mine.extend_from_range(all, from, to);
                    *all = mine;
                }
                (TaskStateKind::Union, Contents::List(all, others)) if task > 0 => {
                    *others = all.len();
                }
                _ => {}
            }
        }
        Ok(restored)
    }

    /// Forgets the states from this number on: those that the operator has no place for any more.
    pub fn truncate(&mut self, states: usize) {
        self.states.truncate(states);
    }

    /// What was declared.
    pub fn declarations(&self) -> impl Iterator<Item = &TaskStateDeclaration> {
        self.states.iter().map(|state| &state.declaration)
    }

    /// What was declared under a number.
    ///
    /// # Errors
    /// If nothing was.
    pub fn declaration(&self, state: u32) -> Result<&TaskStateDeclaration, Error> {
        let found = self.states.get(state as usize).map(|state| &state.declaration);
        found.ok_or_else(|| access(format!("there is no task state {state}")))
    }

    /// Makes the changes since the last commit count.
    pub fn commit(&mut self) {
        self.states.iter_mut().for_each(|state| state.undo = Undo::Nothing);
    }

    /// Takes the changes since the last commit back.
    pub fn undo(&mut self) {
        for TaskState { contents, undo, .. } in &mut self.states {
            mem::take(undo).apply(contents);
        }
    }

    /// The elements of a split or union state.
    ///
    /// # Errors
    /// See the type.
    pub fn list(&self, state: u32) -> Result<&Column, Error> {
        match self.states.get(state as usize).map(|state| &state.contents) {
            Some(Contents::List(values, _)) => Ok(values),
            _ => Err(self.not_a(state, "list")),
        }
    }

    /// Adds elements to a split or union state.
    ///
    /// # Errors
    /// See the type; also if the state would hold more than [`TASK_STATE_BYTES_MAX`].
    pub fn append(&mut self, state: u32, values: &Column) -> Result<(), Error> {
        let held = self.list(state)?;
        let rows = held.len();
        self.check_value(state, values)?;
        self.check_size(state, held.size_bytes() + values.size_bytes())?;
        let TaskState { contents: Contents::List(held, _), undo, .. } =
            &mut self.states[state as usize]
        else {
            unreachable!("it was one above")
        };
        held.extend_from_range(values, 0, values.len());
        undo.grows(rows);
        Ok(())
    }

    /// Replaces the elements of a split or union state.
    ///
    /// # Errors
    /// As [`append`](TaskStates::append).
    pub fn replace(&mut self, state: u32, values: &Column) -> Result<(), Error> {
        self.list(state)?;
        self.check_value(state, values)?;
        self.check_size(state, values.size_bytes())?;
        let TaskState { contents, undo, .. } = &mut self.states[state as usize];
        undo.replaces(mem::replace(contents, Contents::List(values.clone(), 0)));
        Ok(())
    }

    /// All entries of a broadcast state, in the order of their keys.
    ///
    /// # Errors
    /// See the type.
    pub fn entries(&self, state: u32) -> Result<Entries, Error> {
        let (layout, entries, _) = self.map(state)?;
        let value = self.declaration(state)?.value;
        let mut all = Entries::new(layout.is_words(), value.is_words());
        for (key, value) in entries {
            all.keys.push_cell(key.cell(layout));
            all.values.push_cell(value.cell());
        }
        Ok(all)
    }

    /// The entries of a broadcast state, in the order of their keys, where they are.
    ///
    /// # Errors
    /// See the type.
    pub fn cells(&self, state: u32) -> Result<impl Iterator<Item = (Cell<'_>, Cell<'_>)>, Error> {
        let (layout, entries, _) = self.map(state)?;
        Ok(entries.iter().map(move |(key, value)| (key.cell(layout), value.cell())))
    }

    /// One entry of a broadcast state.
    ///
    /// # Errors
    /// See the type.
    pub fn get(&self, state: u32, key: Cell<'_>) -> Result<Option<Cell<'_>>, Error> {
        let (layout, entries, _) = self.map(state)?;
        if matches!(key, Cell::Word(_)) != layout.is_words() {
            return Err(self.other_layout(state, "keys"));
        }
        Ok(entries.get(&MapKey::new(layout, key)).map(Kept::cell))
    }

    /// Sets the entry `keys[i]` of a broadcast state to `values[i]`.
    ///
    /// # Errors
    /// See the type; also if the state would hold more than [`TASK_STATE_BYTES_MAX`].
    pub fn put(&mut self, state: u32, keys: &Column, values: &Column) -> Result<(), Error> {
        let (layout, _, held) = self.map(state)?;
        self.check_value(state, values)?;
        if keys.is_words() != layout.is_words() {
            return Err(self.other_layout(state, "keys"));
        }
        if keys.len() != values.len() {
            return Err(access(format!("{} keys for {} values", keys.len(), values.len())));
        }
        self.check_size(state, held + keys.size_bytes() + values.size_bytes())?;
        for row in 0..keys.len() {
            let (key, value) = (MapKey::new(layout, keys.cell(row)), Kept::from(values.cell(row)));
            self.change(state, key, Some(value));
        }
        Ok(())
    }

    /// Removes entries of a broadcast state.
    ///
    /// # Errors
    /// See the type.
    pub fn remove(&mut self, state: u32, keys: &Column) -> Result<(), Error> {
        let (layout, ..) = self.map(state)?;
        if keys.is_words() != layout.is_words() {
            return Err(self.other_layout(state, "keys"));
        }
        for row in 0..keys.len() {
            self.change(state, MapKey::new(layout, keys.cell(row)), None);
        }
        Ok(())
    }

    /// Removes all entries of a broadcast state.
    ///
    /// # Errors
    /// See the type.
    pub fn clear(&mut self, state: u32) -> Result<(), Error> {
        let (layout, ..) = self.map(state)?;
        let empty = Contents::Map { layout, entries: BTreeMap::new(), bytes: 0 };
        let TaskState { contents, undo, .. } = &mut self.states[state as usize];
        undo.replaces(mem::replace(contents, empty));
        Ok(())
    }

    fn change(&mut self, state: u32, key: MapKey, value: Option<Kept>) {
        let TaskState { contents: Contents::Map { layout, entries, bytes }, undo, .. } =
            &mut self.states[state as usize]
        else {
            unreachable!("the caller has looked")
        };
        let old = set(entries, bytes, *layout, key.clone(), value);
        undo.changes(key, old);
    }

    fn map(&self, state: u32) -> Result<(KeyLayout, &BTreeMap<MapKey, Kept>, usize), Error> {
        match self.states.get(state as usize).map(|state| &state.contents) {
            Some(Contents::Map { layout, entries, bytes }) => Ok((*layout, entries, *bytes)),
            _ => Err(self.not_a(state, "map")),
        }
    }

    fn not_a(&self, state: u32, what: &str) -> Error {
        match self.declaration(state) {
            Ok(found) => access(format!(
                "task state `{}` is a {:?} state, and no {what}",
                found.name, found.kind
            )),
            Err(error) => error,
        }
    }

    fn check_value(&self, state: u32, values: &Column) -> Result<(), Error> {
        if self.declaration(state)?.value.is_words() == values.is_words() {
            return Ok(());
        }
        Err(self.other_layout(state, "values"))
    }

    fn other_layout(&self, state: u32, what: &str) -> Error {
        let name = &self.states[state as usize].declaration.name;
        access(format!("task state `{name}` was declared with {what} of another layout"))
    }

    fn check_size(&self, state: u32, bytes: usize) -> Result<(), Error> {
        if bytes <= TASK_STATE_BYTES_MAX {
            return Ok(());
        }
        let name = &self.states[state as usize].declaration.name;
        Err(access(format!(
            "task state `{name}` would hold {bytes} bytes, and {TASK_STATE_BYTES_MAX} are the most; keep what grows in \
             keyed state"
        )))
    }
}

/// Where a task's share of that many elements begins and ends.
fn share(elements: usize, task: u32, parallelism: u32) -> (usize, usize) {
    // Element i belongs to the task where floor(i * parallelism / elements) = task.
    let first = |task: u32| {
        let first = (task as u128 * elements as u128).div_ceil(u128::from(parallelism.max(1)));
        first.min(elements as u128) as usize
    };
    (first(task), first(task.saturating_add(1)))
}

fn access(reason: String) -> Error {
    Error::Access { reason }
}

#[cfg(test)]
mod tests;
