//! What states and timers were in earlier versions of the operator: other names, older values.

mod states;

use std::collections::BTreeSet;
use std::fmt;

use crate::bindings::{Column, Description, Failure, OperatorMigrations, Rename, Renamed, Step};
use crate::codec::{Decode, Encode, Value};
use crate::column::{ColumnReader, ColumnWriter, len};
use crate::error::{Error, Result};

pub use states::KeyedState;

/// Converts a column of older values.
pub(crate) type Convert = Box<dyn Fn(Column) -> Result<Column, Failure>>;

/// Everything that was said about it, by the places of states and timers in the description.
#[derive(Default)]
pub(crate) struct Lineage {
    versions: Vec<(u32, u32)>,
    task_versions: Vec<(u32, u32)>,
    renames: Vec<(Renamed, u32, String)>,
    conversions: Vec<Conversion>,
}

struct Conversion {
    state: u32,
    from_version: u32,
    convert: Convert,
}

impl Lineage {
    /// The schema version of a keyed state.
    pub(crate) fn version(&mut self, state: u32, version: u32) {
        self.versions.push((state, version));
    }

    /// The schema version of a state of the task.
    pub(crate) fn task_version(&mut self, state: u32, version: u32) {
        self.task_versions.push((state, version));
    }

    /// A name that something had.
    pub(crate) fn rename(&mut self, kind: Renamed, index: u32, was: &str) {
        self.renames.push((kind, index, was.to_owned()));
    }

    /// How older values become what a state holds now.
    pub(crate) fn conversion(&mut self, state: u32, from_version: u32, convert: Convert) {
        self.conversions.push(Conversion { state, from_version, convert });
    }

    /// Puts the schema versions into what was declared.
    pub(crate) fn apply(&self, description: &mut Description) {
        for &(state, version) in &self.versions {
            if let Some(declared) = description.states.get_mut(state as usize) {
                declared.schema_version = version;
            }
        }
        for &(state, version) in &self.task_versions {
            if let Some(declared) = description.task_states.get_mut(state as usize) {
                declared.schema_version = version;
            }
        }
    }

    /// What the operator takes over, as the contract says it.
    pub(crate) fn describe(&self, description: &Description) -> OperatorMigrations {
        let renames = self.renames.iter().map(|(kind, index, was)| Rename {
            kind: *kind,
            was: was.clone(),
            now: name_of(description, *kind, *index).to_owned(),
        });
        let steps = self.conversions.iter().map(|conversion| Step {
            state: name_of(description, Renamed::State, conversion.state).to_owned(),
            from_version: conversion.from_version,
        });
        OperatorMigrations {
            operator: description.name.clone(),
            renames: renames.collect(),
            steps: steps.collect(),
        }
    }

    /// Checks that it can be so.
    pub(crate) fn check(&self, description: &Description) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for (kind, index, was) in &self.renames {
            let (what, now) = (what(*kind), name_of(description, *kind, *index));
            let declared = match kind {
                Renamed::State => description.states.iter().any(|state| state.name == *was),
                Renamed::Timer => description.timers.iter().any(|timer| timer.name == *was),
            };
            if declared {
                return Err(format!(
                    "declares {what} `{was}`, and says that {what} `{now}` had that name"
                ));
            }
            if !seen.insert((what, was)) {
                return Err(format!("says twice what {what} `{was}` is called now"));
            }
        }
        let mut seen = BTreeSet::new();
        for Conversion { state, from_version, .. } in &self.conversions {
            let name = name_of(description, Renamed::State, *state);
            let now =
                description.states.get(*state as usize).map_or(0, |state| state.schema_version);
            if *from_version >= now {
                return Err(format!(
                    "migrates state `{name}` from version {from_version}, and declares it at version {now}: raise that \
                     by `at_version`"
                ));
            }
            if !seen.insert((state, from_version)) {
                return Err(format!("migrates state `{name}` from version {from_version} twice"));
            }
        }
        Ok(())
    }

    /// Converts older values of a state.
    pub(crate) fn convert(
        &self,
        state: u32,
        from_version: u32,
        values: Column,
    ) -> Result<Column, Failure> {
        let asked =
            |found: &&Conversion| (found.state, found.from_version) == (state, from_version);
        match self.conversions.iter().find(asked) {
            Some(found) => (found.convert)(values),
            None => Err(whole(format_args!(
                "there is no `migrate_from` version {from_version} for state {state}"
            ))),
        }
    }
}

/// Converts rows of one type into rows of another, one at a time.
pub(crate) fn each_row<Old: Decode, New: Value>(
    convert: impl Fn(Old) -> Result<New> + 'static,
) -> Convert {
    Box::new(move |column| {
        let rows = len(&column);
        let older = ColumnReader::<Old>::of_older(column).map_err(whole)?;
        let mut newer = ColumnWriter::new(<New as Encode>::layout());
        for row in 0..rows {
            let made = older.get(row).and_then(&convert).and_then(|value| newer.push(&value));
            made.map_err(|error| of_row(row, &error))?;
        }
        Ok(newer.send(Column::clone))
    })
}

fn whole(reason: impl fmt::Display) -> Failure {
    Failure { row: None, reason: reason.to_string() }
}

#[cold]
fn of_row(row: usize, error: &Error) -> Failure {
    Failure { row: Some(row as u32), reason: error.to_string() }
}

fn what(kind: Renamed) -> &'static str {
    match kind {
        Renamed::State => "state",
        Renamed::Timer => "timer",
    }
}

fn name_of(description: &Description, kind: Renamed, index: u32) -> &str {
    let index = index as usize;
    let name = match kind {
        Renamed::State => description.states.get(index).map(|state| &state.name),
        Renamed::Timer => description.timers.get(index).map(|timer| &timer.name),
    };
    name.map_or("", String::as_str)
}

#[cfg(test)]
mod tests;
