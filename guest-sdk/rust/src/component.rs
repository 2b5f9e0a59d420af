//! A component's exports: which operators it holds, and the one that this instance was opened as.

use std::cell::RefCell;

use crate::bindings::{Batch, Description, Failure, TimerBatch};
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
    open: fn(&Settings) -> Result<Box<dyn Instance>, String>,
}

impl Exported {
    /// Lists an operator.
    pub const fn of<O: Operator>() -> Self {
        Self {
            name: O::NAME,
            describe: |version| instance::describe::<O>(Box::new(Imports), version),
            open: |settings| instance::open::<O>(|| Box::new(Imports), settings),
        }
    }
}

/// What the operators declare.
pub fn describe(operators: &[Exported], version: &str) -> Vec<Description> {
    operators.iter().map(|operator| (operator.describe)(version)).collect()
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

fn with_opened(call: impl FnOnce(&mut dyn Instance) -> Result<(), Failure>) -> Result<(), Failure> {
    OPENED.with_borrow_mut(|opened| match opened {
        Some(instance) => call(&mut **instance),
        None => Err(Failure { row: None, reason: "called before it was opened".to_owned() }),
    })
}
