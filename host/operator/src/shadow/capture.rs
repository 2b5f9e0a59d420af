//! What a shadow run is made of.

use statehouse_state::{
    Column, DueTimers, Segment, StateDeclaration, TaskStateDeclaration, TimerDeclaration,
};

use crate::batch::Batch;
use crate::call::Moment;

/// Some batches of a task, with the state of their keys before and after, and what came of them.
#[derive(Debug)]
pub struct Capture {
    /// What the operator was called with, in order.
    pub(crate) steps: Vec<Step>,
    /// How many of them are batches.
    pub(crate) batches: u32,
    /// All keys, each once.
    pub(crate) keys: Column,
    pub(crate) hashes: Vec<u64>,
    /// What the keys had before the first step that has them.
    pub(crate) before: Vec<Segment>,
    /// What they had after the last step.
    pub(crate) after: Vec<Segment>,
    /// What the backend served.
    pub(crate) states: Vec<StateDeclaration>,
    pub(crate) timers: Vec<TimerDeclaration>,
    /// The task states before the first step.
    pub(crate) task_states: Option<(Vec<TaskStateDeclaration>, Vec<u8>)>,
    /// Records and timers that were not taken.
    pub(crate) rejected: u64,
    /// How long the steps took.
    pub(crate) nanoseconds: u64,
    /// Whether not all batches are there that were asked for.
    pub(crate) cut_short: bool,
}

/// One call.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) input: Input,
    pub(crate) moment: Moment,
    /// By output port, what came out.
    pub(crate) emitted: Vec<Batch>,
}

/// What a call was about.
#[derive(Debug)]
pub(crate) enum Input {
    /// Records of an input port.
    Batch(u32, Batch),
    /// Timers of a family, by its number in what the backend served.
    Timers(DueTimers),
}

impl Input {
    /// How many records or timers.
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Batch(_, batch) => batch.len(),
            Self::Timers(due) => due.times.len(),
        }
    }
}

impl Capture {
    /// How many batches there are.
    pub fn batches(&self) -> u32 {
        self.batches
    }

    /// How many records and timers there are.
    pub fn rows(&self) -> u64 {
        self.steps.iter().map(|step| step.input.rows() as u64).sum()
    }

    /// Whether not all batches are there that were asked for: they would have taken too much memory, the operator was
    /// replaced, or whoever asked did not wait.
    pub fn is_cut_short(&self) -> bool {
        self.cut_short
    }
}
