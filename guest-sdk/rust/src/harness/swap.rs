//! Swapping the operator of a harness for another version of it.

use std::rc::Rc;

use super::TestHarness;
use super::cell::{Cell, cells_of, column_of};
use super::ledger::{HarnessHost, Ledger, Routes};
use crate::bindings::{
    Column, Description, KeyDescription, OperatorMigrations, Renamed, State, TaskState,
};
use crate::codec::Layout;
use crate::column::from_words;
use crate::instance::{self, Instance};
use crate::record::Operator;

/// Other versions of the operator.
impl<O: Operator> TestHarness<O> {
    /// Hands everything over to another version of the operator, as a job does when it is swapped, or started again
    /// with a newer component: states and timers by the names that they have or had, values of older schema versions
    /// converted. Settings, clocks, and what was not looked at yet stay. What the new version does not declare is
    /// dropped, as if that had been approved.
    ///
    /// A value that the new version refuses to convert sets its key aside: from then on, records of that key are
    /// rejected with the reason. [`KeyedState`](crate::KeyedState) has an example.
    ///
    /// # Errors
    /// Why the new version cannot take over: it refuses to open, has other keys, or declares a state as something else
    /// at the same schema version, or at another one without a conversion.
    pub fn swap<P: Operator>(mut self) -> Result<TestHarness<P>, String> {
        let mut next = TestHarness::<P>::new();
        next.settings = std::mem::take(&mut self.settings);
        next.rejects = std::mem::take(&mut self.rejects);
        next.aside = std::mem::take(&mut self.aside);
        next.try_open()?;
        let blank = HarnessHost(Rc::new(Ledger::default()));
        let migrations = instance::migrations::<P>(Box::new(blank));
        let routes = routes(&self.description, &next.description, &migrations)?;
        let ledger = Rc::clone(&next.ledger);
        let refused = self.ledger.hand_over(&ledger, &routes, |state, from_version, values| {
            convert(&*next.instance(), state, from_version, values)
        })?;
        for (state, key, reason) in refused {
            let name = &next.description.states[state].name;
            let reason = format!("state `{name}` of its key could not be migrated: {reason}");
            next.aside.entry(key).or_insert(reason);
        }
        Ok(next)
    }
}

/// Values that were converted, or the one that could not be.
pub(super) type Converted = Result<Vec<Cell>, (Option<usize>, String)>;

fn convert(instance: &dyn Instance, state: usize, from_version: u32, values: &[Cell]) -> Converted {
    let column = match column_of(values) {
        Column::Bytes(bytes) => Column::Bytes(bytes),
        // As on a host, which does not know what the words of an older version mean.
        _ => from_words(Layout::U64, values.iter().map(Cell::word).collect()),
    };
    match instance.migrate(state as u32, from_version, column) {
        Ok(column) => Ok(cells_of(&column)),
        Err(failure) => Err((failure.row.map(|row| row as usize), failure.reason)),
    }
}

/// Where everything goes.
fn routes(
    before: &Description,
    now: &Description,
    migrations: &OperatorMigrations,
) -> Result<Routes, String> {
    let (was, is) = (state_key(before), state_key(now));
    if let (Some(was), Some(is)) = (was, is)
        && (was.layout, was.codec) != (is.layout, is.codec)
    {
        let (was, is) = (was.layout, is.layout);
        return Err(format!("its keys are {is:?}, and those of the state are {was:?}"));
    }
    let name_now = |kind, name: &str| {
        let of_name = |rename: &&crate::bindings::Rename| rename.kind == kind && rename.was == name;
        migrations.renames.iter().find(of_name).map_or(name.to_owned(), |rename| rename.now.clone())
    };
    let mut routes = Routes::default();
    for state in &before.states {
        let name = name_now(Renamed::State, &state.name);
        let place = now.states.iter().position(|state| state.name == name);
        let route = place.map(|place| {
            let step = step(state, &now.states[place], migrations)?;
            Ok((place, step))
        });
        routes.states.push(route.transpose().map_err(|reason: String| about(&name, &reason))?);
    }
    for timer in &before.timers {
        let name = name_now(Renamed::Timer, &timer.name);
        let place = now.timers.iter().position(|timer| timer.name == name);
        if place.is_some_and(|place| now.timers[place].domain != timer.domain) {
            return Err(format!(
                "timer `{name}` runs on another clock than the timers that are set"
            ));
        }
        routes.timers.push(place);
    }
    for state in &before.task_states {
        let place = now.task_states.iter().position(|found| found.name == state.name);
        if place.is_some_and(|place| !same_task_state(state, &now.task_states[place])) {
            return Err(format!("task state `{}` is declared as something else", state.name));
        }
        routes.task_states.push(place);
    }
    for port in &before.outputs {
        routes.outputs.push(now.outputs.iter().position(|found| found.name == port.name));
    }
    for metric in &before.metrics {
        routes.metrics.push(now.metrics.iter().position(|found| found.name == metric.name));
    }
    Ok(routes)
}

fn about(state: &str, reason: &str) -> String {
    format!("state `{state}` {reason}")
}

fn state_key(description: &Description) -> Option<&KeyDescription> {
    description.inputs.iter().find_map(|port| port.key.as_ref())
}

/// The version to convert from, if it is another one.
fn step(was: &State, is: &State, migrations: &OperatorMigrations) -> Result<Option<u32>, String> {
    let of_map = |state: &State| state.map_key.as_ref().map(|key| (key.layout, key.codec));
    if (was.kind, of_map(was)) != (is.kind, of_map(is)) {
        return Err("is there as one kind of state, and declared as another".to_owned());
    }
    let (from, to) = (was.schema_version, is.schema_version);
    if from != to {
        let known =
            |step: &crate::bindings::Step| step.state == is.name && step.from_version == from;
        return if migrations.steps.iter().any(known) {
            Ok(Some(from))
        } else {
            Err(format!(
                "is there at version {from} and declared at {to}, without `migrate_from({from}, …)`"
            ))
        };
    }
    let layout = |state: &State| (state.value.layout, state.value.codec, state.merge);
    if layout(was) == layout(is) {
        return Ok(None);
    }
    Err(format!("is declared as another type at the same version {to}: raise it by `at_version`"))
}

fn same_task_state(was: &TaskState, is: &TaskState) -> bool {
    let key = |state: &TaskState| state.map_key.as_ref().map(|key| (key.layout, key.codec));
    let value = |state: &TaskState| (state.value.layout, state.value.codec, state.schema_version);
    was.kind == is.kind && key(was) == key(is) && value(was) == value(is)
}
