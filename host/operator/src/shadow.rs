//! Shadow runs: another version of an operator runs what the one before it was given, on a copy of its state, and what
//! both made of it is compared. Nothing of it is seen outside.

use serde::{Deserialize, Serialize};

use crate::description::Description;
use crate::evolution::Evolution;
use crate::invoker::ErrorPolicy;
use crate::operator::Operator;

/// The most examples that a comparison has of each thing.
pub const EXAMPLES_MAX: usize = 10;

/// Some batches of a task, with the state of their keys before and after, and what came of them.
#[derive(Debug)]
pub struct Capture {
    batches: u32,
}

impl Capture {
    /// How many batches there are.
    pub fn batches(&self) -> u32 {
        self.batches
    }
}

/// What came of a shadow run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// Batches that both versions were given.
    pub batches: u32,
    /// Records and timers in them.
    pub rows: u64,
    /// Whether the capture was ended before it had all batches, since it would have taken too much memory.
    pub cut_short: bool,
    /// By output port, what came out.
    pub outputs: Vec<ComparedPort>,
    /// By state, what it was afterwards.
    pub states: Vec<ComparedState>,
    /// Records and timers that the version before could not take.
    pub rejected_before: u64,
    /// Those that the other version could not take.
    pub rejected_after: u64,
    /// Whether those would end the job, by its policy.
    pub would_fail: bool,
    /// Reasons of the other version's failures: up to [`EXAMPLES_MAX`].
    pub failures: Vec<String>,
    /// Nanoseconds for a row, of the version before.
    pub row_ns_before: f64,
    /// Nanoseconds for a row, of the other version.
    pub row_ns_after: f64,
}

impl Comparison {
    /// Whether both versions made the same of everything.
    pub fn is_same(&self) -> bool {
        let ports = self.outputs.iter().all(|port| port.differing + port.missing + port.extra == 0);
        let same =
            |state: &ComparedState| state.differing + state.only_before + state.only_after == 0;
        ports && self.states.iter().all(same) && self.rejected_before == self.rejected_after
    }
}

/// What came out of a port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ComparedPort {
    /// Its name.
    pub port: String,
    /// Records that came of both versions.
    pub same: u64,
    /// Records of the same key and time with other values.
    pub differing: u64,
    /// Records that the other version did not emit.
    pub missing: u64,
    /// Records that only the other version emitted.
    pub extra: u64,
    /// Up to [`EXAMPLES_MAX`] of those that are not the same.
    pub examples: Vec<Difference>,
}

/// What a state was afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ComparedState {
    /// Its name.
    pub state: String,
    /// Keys of which both versions left the same.
    pub same: u64,
    /// Keys of which they left different things.
    pub differing: u64,
    /// Keys that only the version before left something for.
    pub only_before: u64,
    /// Keys that only the other version left something for.
    pub only_after: u64,
    /// Up to [`EXAMPLES_MAX`] of those that are not the same.
    pub examples: Vec<Difference>,
}

/// Something that is not the same, as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Difference {
    /// Whose it is: the key, if there is one.
    pub key: Option<String>,
    /// What the version before made of it.
    pub before: Option<String>,
    /// What the other version made of it.
    pub after: Option<String>,
}

/// Runs what was captured with another version of the operator, and compares. Takes as long as the operator does: not
/// for the thread of a task.
///
/// # Errors
/// If the copy cannot be made or read, in words.
pub fn compare(
    capture: Capture,
    before: &Description,
    evolution: &Evolution,
    operator: Box<dyn Operator>,
    policy: ErrorPolicy,
) -> Result<Comparison, String> {
    let _ = (capture, before, evolution, operator, policy);
    unimplemented!()
}
