//! The suite that every backend must pass.
//!
//! A backend's tests call [`run`] with a way to make empty backends, and [`history::check`] with random histories and
//! two ways: what the first writes, the second restores. A failed case panics and says what it expected.

mod cells;
mod collections;
mod copies;
mod driver;
mod evolution;
mod expiry;
mod going_back;
pub mod history;
mod migration;
mod segments;
mod states;
mod timers;
mod unclaimed;
mod values;

use std::fmt;

use crate::backend::Backend;
use crate::declaration::{KeyLayout, StateDeclaration, TimerDeclaration};
use crate::heap::HeapBackend;
use crate::key::{KeyGroupRange, KeyGroups};

pub use driver::Datum;

/// What a backend is made for.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The layout of the keys.
    pub key: KeyLayout,
    /// The states.
    pub states: Vec<StateDeclaration>,
    /// The timer families.
    pub timers: Vec<TimerDeclaration>,
    /// The job's key groups.
    pub groups: KeyGroups,
    /// The backend's key groups.
    pub range: KeyGroupRange,
}

/// Makes empty backends of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Make<'a> {
    make: &'a dyn Fn(Setup) -> Box<dyn Backend>,
    /// Whether its snapshots are tables. Such a backend is on disk, and may estimate how many entries it has; what is
    /// in a snapshot shows only once it is restored.
    tables: bool,
}

impl<'a> Make<'a> {
    pub(crate) fn new(make: &'a dyn Fn(Setup) -> Box<dyn Backend>) -> Self {
        let mut backend = make(states::setup(KeyLayout::U64));
        backend.start_snapshot(1, true).expect("an empty backend has a snapshot");
        let snapshot = loop {
            if let Some(snapshot) = backend.advance_snapshot(1).expect("the storage works") {
                break snapshot;
            }
        };
        Self { make, tables: snapshot.tables.is_some() }
    }

    pub(crate) fn backend(&self, setup: Setup) -> Box<dyn Backend> {
        (self.make)(setup)
    }
}

impl fmt::Debug for Make<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Make").field("tables", &self.tables).finish_non_exhaustive()
    }
}

/// The backend whose segments every backend must restore.
fn heap(setup: Setup) -> Box<dyn Backend> {
    let Setup { key, states, timers, groups, range } = setup;
    Box::new(HeapBackend::new(key, &states, &timers, groups, range).expect("it serves everything"))
}

/// Runs every case. `make` yields a new, empty backend each time.
///
/// # Panics
/// If the backend does not keep the contract of [`Backend`].
pub fn run(make: impl Fn(Setup) -> Box<dyn Backend>) {
    let make = Make::new(&make);
    values::run(make);
    cells::run(make);
    collections::run(make);
    expiry::run(make);
    timers::run(make);
    segments::run(make);
    unclaimed::run(make);
    evolution::run(make);
    migration::run(make);
    going_back::run(make);
    copies::run(make);
}
