//! Evolution: what becomes of an operator's state when another version of the operator takes it over.
//!
//! A state is told apart by its name and schema version together. A version that is older than what the operator
//! declares, or has the name that it had before, is *retired*: it stays beside the new one until all its values have
//! moved over, as they are or converted by the operator.

use serde::{Deserialize, Serialize};
use statehouse_state::{Move, StateDeclaration, TimerDeclaration, TimerId};

use crate::description::Description;

mod compare;
mod plan;
mod ports;
mod renames;
mod states;
mod tasks;
mod timers;

pub use plan::{plan, plan_at_start};
pub use ports::ports;

/// What an operator can take over from its earlier versions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Migrations {
    /// What has another name now.
    pub renames: Vec<Rename>,
    /// The older values that it can convert.
    pub steps: Vec<Step>,
}

/// Something that has another name now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// What it is.
    pub kind: Renamed,
    /// Its name before.
    pub was: String,
    /// Its name now.
    pub now: String,
}

/// What can have another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Renamed {
    State,
    Timer,
}

/// Values that an operator can convert to what it declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The state, by its name now.
    pub state: String,
    /// The schema version that the values have.
    pub from_version: u32,
}

/// What is there besides the states and timers of the description.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retired {
    /// Older forms of states, which may still have values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<StateDeclaration>,
    /// Timers under their names before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timers: Vec<TimerDeclaration>,
}

impl Retired {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty() && self.timers.is_empty()
    }
}

/// What an operator left: of a checkpoint, or of a task that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// What it declared.
    pub description: Description,
    /// What its earlier versions left to it, and it had not taken over yet.
    pub retired: Retired,
}

/// How an operator takes state over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evolution {
    /// What the backend serves: the states that the operator declares, with their ids, then those that are retired.
    pub states: Vec<StateDeclaration>,
    /// The timers that the operator declares, then those that are retired.
    pub timers: Vec<TimerDeclaration>,
    /// Which values move.
    pub moves: Vec<StateMove>,
    /// Retired timers, and what they are fired as.
    pub aliases: Vec<(TimerId, TimerId)>,
    /// What it means, for people.
    pub changes: Vec<Change>,
}

impl Evolution {
    /// That of an operator whose state stays as it is, or that has none yet.
    pub fn unchanged(description: &Description) -> Self {
        let (states, timers) = (description.states.clone(), description.timers.clone());
        Self { states, timers, ..Self::default() }
    }

    /// Whether something goes with all that is in it, so that somebody has to agree first.
    pub fn needs_approval(&self) -> bool {
        self.changes.iter().any(|change| change.kind == ChangeKind::Dropped)
    }

    /// Whether state is and stays as it was: nothing moves, comes or goes.
    pub fn is_same_schema(&self) -> bool {
        let stays = |change: &Change| matches!(change.kind, ChangeKind::Kept | ChangeKind::Widened);
        self.moves.is_empty() && self.aliases.is_empty() && self.changes.iter().all(stays)
    }

    /// What there is besides the states and timers of the operator's description.
    pub fn retired(&self, description: &Description) -> Retired {
        Retired {
            states: self.states.iter().skip(description.states.len()).cloned().collect(),
            timers: self.timers.iter().skip(description.timers.len()).cloned().collect(),
        }
    }
}

/// Values that move from a retired state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateMove {
    /// From where to where.
    pub values: Move,
    /// The schema version of those that are to be converted; `None` if they move as they are.
    pub from_version: Option<u32>,
}

/// What becomes of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What becomes of it.
    pub kind: ChangeKind,
    /// The thing, in words: "state `total`".
    pub what: String,
    /// More about it, in words; empty if there is nothing to say.
    pub note: String,
}

/// What becomes of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// Nothing.
    Kept,
    /// It has a compatible structure: nothing is converted.
    Widened,
    /// Its values are converted.
    Migrated,
    /// It has another name.
    Renamed,
    /// It is new.
    Added,
    /// It goes, with all that is in it.
    Dropped,
}

#[cfg(test)]
mod tests;
