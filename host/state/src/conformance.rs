//! The suite that every backend must pass.
//!
//! A backend's crate calls [`run`] from a test with a way to make empty backends, and
//! [`history::check`] with random histories. A failed case panics and says what it expected.

mod driver;
pub mod history;
mod segments;
mod timers;
mod values;

use crate::backend::Backend;
use crate::declaration::{KeyLayout, StateDeclaration, TimerDeclaration};
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

/// Makes an empty backend.
pub(crate) type Make<'a> = &'a dyn Fn(Setup) -> Box<dyn Backend>;

/// Runs every case. `make` yields a new, empty backend each time.
///
/// # Panics
/// If the backend does not keep the contract of [`Backend`].
pub fn run(make: impl Fn(Setup) -> Box<dyn Backend>) {
    let make: Make<'_> = &make;
    values::run(make);
    timers::run(make);
    segments::run(make);
}
