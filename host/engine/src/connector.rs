//! Sources and sinks: how records come into a job and leave it exactly once.

use std::fmt;

use serde_json::Value;
use statehouse_operator::{Batch, Port};

/// What went wrong at a source or sink, in words that name the object, the cause and the next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConnectorError {
    message: String,
}

impl ConnectorError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// What a source has to offer.
#[derive(Debug)]
pub enum Polled {
    /// Some records, as many as the source gives at a time, in the order of the input.
    Batch(Batch),
    /// Nothing at the moment; ask again soon.
    Idle,
    /// Nothing any more.
    End,
}

/// A piece of input that is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Where it was: file and line, or the like.
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
    /// The input as it came, shortened if it is long.
    pub input: String,
}

/// How far a source is, in a unit of its own (bytes, records).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Done so far.
    pub done: u64,
    /// In all, if that is known.
    pub total: Option<u64>,
}

/// One task's share of an input, at a position that can be returned to.
///
/// # Contract
///
/// [`position`](Source::position) is where the next [`poll`](Source::poll) goes on. A source opened at a position
/// yields the same records in the same batches as the first time: where batches are cut must depend on the input
/// alone. `poll` does not block for long: a source that waits for something returns [`Polled::Idle`].
pub trait Source: Send + fmt::Debug {
    /// The next records. Batches are never empty.
    ///
    /// # Errors
    /// If the input cannot be read on.
    fn poll(&mut self) -> Result<Polled, ConnectorError>;

    /// Where the next poll goes on, as a JSON object.
    fn position(&self) -> Value;

    /// What of the input since the last call was no record.
    fn take_malformed(&mut self) -> Vec<Malformed>;

    /// How far it is.
    fn progress(&self) -> Progress;
}

/// An input that tasks can share.
pub trait SourceFactory: Send + Sync + fmt::Debug {
    /// The one port that records come out of.
    fn port(&self) -> &Port;

    /// Opens the share of task `task` of `parallelism`. `restored` holds the positions of all tasks of the run that
    /// is resumed, however many these were; it is empty in a fresh run.
    ///
    /// # Errors
    /// If the input is not there, cannot be read, or is not the one that the positions belong to.
    fn open(
        &self,
        task: u32,
        parallelism: u32,
        restored: &[Value],
    ) -> Result<Box<dyn Source>, ConnectorError>;
}

/// One task's way out of the job, in two phases: prepared with the checkpoint, committed when it exists.
///
/// # Contract
///
/// What was written becomes visible outside by [`commit`](Sink::commit) and by nothing else. Prepared output
/// survives the process. Committing twice is the same as committing once.
pub trait Sink: Send + fmt::Debug {
    /// Takes records.
    ///
    /// # Errors
    /// If they cannot be written; the job then fails and resumes from a checkpoint.
    fn write(&mut self, batch: &Batch) -> Result<(), ConnectorError>;

    /// Makes what was written since the last call durable, and returns a token that [`commit`](Sink::commit) or
    /// [`SinkFactory::recover`] can make it visible by, perhaps in another process.
    ///
    /// # Errors
    /// If it cannot be made durable.
    fn prepare(&mut self, epoch: u64) -> Result<Value, ConnectorError>;

    /// Makes what the token stands for visible.
    ///
    /// # Errors
    /// If it cannot be made visible; it is tried again on recovery.
    fn commit(&mut self, token: &Value) -> Result<(), ConnectorError>;
}

/// A way out of the job that tasks can share.
pub trait SinkFactory: Send + Sync + fmt::Debug {
    /// Says why records of this port cannot be written, if they cannot.
    ///
    /// # Errors
    /// In words that say what the sink can take.
    fn check(&self, input: &Port) -> Result<(), String>;

    /// Called before [`recover`](SinkFactory::recover), and on all sinks before it is called on any: says why it
    /// would fail, and changes nothing.
    ///
    /// # Errors
    /// If the output is not what the tokens say, or would be overwritten by a fresh run.
    fn check_recovery(&self, tokens: &[Value]) -> Result<(), ConnectorError>;

    /// Called once, before any task opens: commits the tokens of the checkpoint that the job resumes from, and
    /// discards whatever else was prepared. A fresh run has no tokens.
    ///
    /// # Errors
    /// If the output is not what the tokens say, or would be overwritten by a fresh run.
    fn recover(&self, tokens: &[Value]) -> Result<(), ConnectorError>;

    /// Opens the sink of task `task`.
    ///
    /// # Errors
    /// If it cannot be written to.
    fn open(&self, task: u32, input: &Port) -> Result<Box<dyn Sink>, ConnectorError>;
}
