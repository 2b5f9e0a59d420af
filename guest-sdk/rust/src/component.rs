//! A component's exports: which operators it holds, and the one that this instance was opened as.

use std::cell::RefCell;

use crate::bindings::{Batch, Column, Description, Failure, OperatorMigrations, TimerBatch};
use crate::host::Host as _;
use crate::host::Level;
use crate::host::imports::Imports;
use crate::instance::{self, Instance};
use crate::record::Operator;

thread_local! {
    static OPENED: RefCell<Option<Box<dyn Instance>>> = const { RefCell::new(None) };
}

/// What the job file's `config` table says.
type Settings = [(String, String)];

/// One operator of a component, as the `export!` macro lists it.
pub struct Exported {
    name: &'static str,
    describe: fn(&str) -> Description,
    migrations: fn() -> OperatorMigrations,
    open: fn(&Settings) -> Result<Box<dyn Instance>, String>,
}

impl Exported {
    /// Lists an operator.
    pub const fn of<O: Operator>() -> Self {
        Self {
            name: O::NAME,
            describe: |version| instance::describe::<O>(Box::new(Imports), version),
            migrations: || instance::migrations::<O>(Box::new(Imports)),
            open: |settings| instance::open::<O>(|| Box::new(Imports), settings),
        }
    }
}

/// What the operators declare.
pub fn describe(operators: &[Exported], version: &str) -> Vec<Description> {
    operators.iter().map(|operator| (operator.describe)(version)).collect()
}

/// What the operators take over from their earlier versions; those that take nothing over are left out.
pub fn migrations(operators: &[Exported]) -> Vec<OperatorMigrations> {
    let all = operators.iter().map(|operator| (operator.migrations)());
    all.filter(|of| !of.renames.is_empty() || !of.steps.is_empty()).collect()
}

/// Makes this instance one of the operators.
pub fn open(operators: &[Exported], name: &str, settings: &Settings) -> Result<(), String> {
    std::panic::set_hook(Box::new(|panic| Imports.log(Level::Error, &panic.to_string())));
    let Some(operator) = operators.iter().find(|operator| operator.name == name) else {
        let names: Vec<_> = operators.iter().map(|operator| operator.name).collect();
        return Err(format!(
            "the component has no operator `{name}`; it has `{}`",
            names.join("`, `")
        ));
    };
    let instance = (operator.open)(settings)?;
    OPENED.set(Some(instance));
    Ok(())
}

/// Takes a batch.
pub fn process(batch: Batch) -> Result<(), Failure> {
    with_opened(|instance| instance.process(batch))
}

/// Takes timers that are due.
pub fn on_timers(timers: TimerBatch) -> Result<(), Failure> {
    with_opened(|instance| instance.on_timers(timers))
}

/// Converts values of an older schema version.
pub fn migrate(state: u32, from_version: u32, values: Column) -> Result<Column, Failure> {
    with_opened(|instance| instance.migrate(state, from_version, values))
}

fn with_opened<R>(
    call: impl FnOnce(&mut dyn Instance) -> Result<R, Failure>,
) -> Result<R, Failure> {
    OPENED.with_borrow_mut(|opened| match opened {
        Some(instance) => call(&mut **instance),
        None => Err(Failure { row: None, reason: "called before it was opened".to_owned() }),
    })
}
