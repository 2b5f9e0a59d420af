//! Where a run starts, as the user says it.

use std::str::FromStr;

use crate::control::check_name;
use crate::target::{Target, What};

/// Where a run starts, and on which terms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Start {
    /// Where.
    pub from: StartFrom,
    /// As a job of its own: the name may differ, and what the other job had prepared for its sinks stays the other's.
    pub fork: bool,
    /// The savepoint belongs to the run from now on, which deletes it when it has a checkpoint of its own.
    pub claim: bool,
    /// If the newest checkpoint is damaged, the newest older one that verifies is taken.
    pub fallback: bool,
    /// State that the job has no operator for is dropped.
    pub allow_non_restored_state: bool,
    /// Operators get the component that the job file names, also where a swap has put another in its place since.
    pub component_from_file: bool,
}

impl From<StartFrom> for Start {
    fn from(from: StartFrom) -> Self {
        Self { from, ..Self::default() }
    }
}

/// Where a run starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StartFrom {
    /// At the newest checkpoint, if there is one.
    #[default]
    Newest,
    /// At the beginning, although there may be checkpoints. They stay.
    Nothing,
    /// At this checkpoint or savepoint of the job's own store.
    Own(What),
    /// At the savepoint of this name in the job's own store, or else the newest checkpoint of the folder of this name.
    Word(String),
    /// At a checkpoint or savepoint of another place.
    Elsewhere(Target),
}

impl FromStr for StartFrom {
    type Err = std::convert::Infallible;

    /// What `--from` takes: a number is a checkpoint of the job's own store, a plain name a savepoint there, anything
    /// else a place.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(epoch) = text.parse() {
            return Ok(Self::Own(What::Checkpoint(epoch)));
        }
        match check_name(text) {
            Ok(()) => Ok(Self::Word(text.to_owned())),
            Err(_) => text.parse().map(Self::Elsewhere),
        }
    }
}
