//! Versions that misbehave, or that no job could be swapped to.

mod batches;
mod starts;
mod states;

pub use batches::{Quiet, Slow, Trapping};
pub use starts::{Hungry, Looping};
pub use states::{Picky, Rekeyed, Rewired, Unmapped};
