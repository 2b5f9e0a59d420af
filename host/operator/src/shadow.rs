//! Shadow runs: another version of an operator runs what the one before it was given, on a copy of its state, and what
//! both made of it is compared. Nothing of it is seen outside.

mod capture;
mod outputs;
mod replay;
mod states;

use serde::{Deserialize, Serialize};

use crate::description::Description;
use crate::evolution::Evolution;
use crate::invoker::ErrorPolicy;
use crate::operator::Operator;
use crate::render;

pub use capture::Capture;
pub(crate) use capture::{Input, Step};

/// The most examples that a comparison has of each thing.
pub const EXAMPLES_MAX: usize = 10;

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
    /// Values and entries, of the keys that were copied, that the other version cannot convert.
    pub unconverted: u64,
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

impl Difference {
    fn new(
        key: Option<serde_json::Value>,
        before: Option<serde_json::Value>,
        after: Option<serde_json::Value>,
    ) -> Self {
        let shown = |value: serde_json::Value| render::shortened(&value.to_string());
        Self { key: key.map(shown), before: before.map(shown), after: after.map(shown) }
    }
}

/// Runs what was captured with another version of the operator, and compares. Takes as long as the operator does: not
/// for the thread of a task.
///
/// Each thing that the other version cannot take is passed over, whatever the policy says, so that all of them show;
/// the policy decides only whether they would end the job.
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
    let now = operator.description().clone();
    let mut comparison = Comparison {
        batches: capture.batches,
        rows: capture.rows(),
        cut_short: capture.cut_short,
        rejected_before: capture.rejected,
        outputs: outputs::ports(before, &now),
        ..Comparison::default()
    };
    let mut shadow = replay::Shadow::new(&capture, evolution, operator)?;
    let mut nanoseconds = 0;
    for step in &capture.steps {
        let Some((emitted, took)) = shadow.replay(&capture, step) else { break };
        nanoseconds += took;
        outputs::compare(&mut comparison.outputs, (before, &step.emitted), (&now, emitted));
        shadow.drain();
    }
    let rows = comparison.rows.max(1) as f64;
    comparison.row_ns_before = capture.nanoseconds as f64 / rows;
    comparison.row_ns_after = nanoseconds as f64 / rows;
    comparison.rejected_after = shadow.rejected();
    comparison.failures = std::mem::take(&mut shadow.failures);
    comparison.would_fail =
        shadow.ended || (policy == ErrorPolicy::Fail && comparison.rejected_after > 0);
    if !capture.keys.is_empty() && !evolution.states.is_empty() {
        let (after, operator) = shadow.end(&capture)?;
        let (expected, unconverted) = replay::expected(&capture, evolution, operator)?;
        comparison.unconverted = unconverted;
        comparison.states = states::compare(&capture, &now, evolution, &expected, &after)?;
    }
    Ok(comparison)
}

#[cfg(test)]
mod tests;
