//! The plan of an evolution: what of an operator's state another version of it takes over, and how.

use super::{Change, Rename};
use super::{
    ChangeKind, Evolution, Left, Migrations, Renamed, compare, renames, states, tasks, timers,
};
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
    Planner::new(left, now, migrations, may_drop, false).plan()
}

/// How the state of a checkpoint is taken over: as [`plan`], and times-to-live may be added, taken away and put on
/// another clock or rule, since every value is read anyway.
///
/// # Errors
/// As [`plan`].
pub fn plan_at_start(
    left: &Left,
    now: &Description,
    migrations: &Migrations,
    may_drop: bool,
) -> Result<Evolution, Vec<String>> {
    Planner::new(left, now, migrations, may_drop, true).plan()
}

/// A plan being made: everything that is found on the way.
pub(super) struct Planner<'a> {
    pub(super) left: &'a Left,
    pub(super) now: &'a Description,
    pub(super) migrations: &'a Migrations,
    /// Whether times-to-live may come, go and change their clock and rules.
    pub(super) any_ttl: bool,
    pub(super) evolution: Evolution,
    pub(super) refused: Vec<String>,
    may_drop: bool,
}

impl<'a> Planner<'a> {
    fn new(
        left: &'a Left,
        now: &'a Description,
        migrations: &'a Migrations,
        may_drop: bool,
        any_ttl: bool,
    ) -> Self {
        let evolution = Evolution::unchanged(now);
        Self { left, now, migrations, any_ttl, evolution, refused: Vec::new(), may_drop }
    }

    fn plan(mut self) -> Result<Evolution, Vec<String>> {
        self.key();
        renames::check(&mut self, Renamed::State);
        renames::check(&mut self, Renamed::Timer);
        states::plan(&mut self);
        timers::plan(&mut self);
        tasks::plan(&mut self);
        if self.refused.is_empty() { Ok(self.evolution) } else { Err(self.refused) }
    }

    /// State that is there belongs to keys, which stay what they are.
    fn key(&mut self) {
        let Left { description: before, retired } = self.left;
        if before.states.is_empty() && before.timers.is_empty() && retired.is_empty() {
            return;
        }
        let (Some(was), Some(is)) = (before.state_key(), self.now.state_key()) else { return };
        if let Err(reason) = compare::keys(was, is) {
            self.refuse(format!(
                "{reason}; keys cannot change while there is state: start the job afresh, or give the operator that \
                 has other keys another node in the graph"
            ));
        }
    }

    pub(super) fn refuse(&mut self, reason: String) {
        self.refused.push(reason);
    }

    pub(super) fn change(&mut self, kind: ChangeKind, what: String, note: String) {
        self.evolution.changes.push(Change { kind, what, note });
    }

    /// Something that nobody takes over.
    pub(super) fn gone(&mut self, what: String, note: String) {
        if self.may_drop {
            return self.change(ChangeKind::Dropped, what, note);
        }
        let note = if note.is_empty() { note } else { format!(" ({note})") };
        self.refuse(format!(
            "{what} is not declared any more{note}; declare it as before, map its name to the new one by a rename, or \
             drop it with all that is in it (`--allow-dropped-state` of `swap`, `--allow-non-restored-state` of `run`)"
        ));
    }

    /// The renames of one kind.
    pub(super) fn renames(&self, kind: Renamed) -> impl Iterator<Item = &'a Rename> + use<'a> {
        self.migrations.renames.iter().filter(move |rename| rename.kind == kind)
    }
}
