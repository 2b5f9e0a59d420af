//! The plan of an evolution: what of an operator's state another version of it takes over, and how.

use super::{Evolution, Left, Migrations};
use crate::description::Description;

/// How a running operator's state is taken over by another version of it. Dropping something is refused unless
/// `may_drop`.
///
/// # Errors
/// Everything that stands in the way, in words, each with what to do about it.
pub fn plan(
    left: &Left,
    now: &Description,
    migrations: &Migrations,
    may_drop: bool,
) -> Result<Evolution, Vec<String>> {
    let _ = (left, now, migrations, may_drop);
    unimplemented!()
}

/// How the state of a checkpoint is taken over: as [`plan`], and times-to-live may be added, taken away and put on
/// another clock, since every value is restored one by one.
///
/// # Errors
/// As [`plan`].
pub fn plan_at_start(
    left: &Left,
    now: &Description,
    migrations: &Migrations,
    may_drop: bool,
) -> Result<Evolution, Vec<String>> {
    plan(left, now, migrations, may_drop)
}
