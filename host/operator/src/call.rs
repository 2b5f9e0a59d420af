//! One invocation as the operator sees it: state windows, timers, outputs and context, all scoped to the batch.

use statehouse_state::{
    Backend, Column, Now, StateDeclaration, TaskStates, TimeDomain, TimerDeclaration, TimerId,
    WriteSet,
};

use crate::batch::Batch;
use crate::description::{Description, MetricKind};
use crate::failure::Failure;
use crate::limits::StateLimits;

mod cells;
mod check;
mod collections;
mod lists;
mod maps;
mod overlay;
mod served;
mod tasks;
mod timers;

pub use collections::Collections;
pub use maps::Prefix;

/// What an invocation knows of time and chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The host's clock, in milliseconds since 1970-01-01T00:00:00Z.
    pub processing_time: i64,
    /// No record older than this is expected any more.
    pub watermark: i64,
    /// For the operator's randomness.
    pub seed: u64,
}

impl Default for Moment {
    fn default() -> Self {
        Self { processing_time: 0, watermark: i64::MIN, seed: 0 }
    }
}

/// How grave a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// The host's side of an operator: its state backend, and what the running invocation has done so far.
///
/// An operator can reach nothing else. Everything that it passes is checked: slots, state numbers, layouts.
#[derive(Debug)]
pub struct Call {
    operator: String,
    pub(crate) backend: Option<Box<dyn Backend>>,
    pub(crate) task_states: Option<TaskStates>,
    pub(crate) limits: StateLimits,
    pub(crate) writes: WriteSet,
    pub(crate) outputs: Vec<Batch>,
    pub(crate) rejected: Vec<(u32, String)>,
    pub(crate) moment: Moment,
    pub(crate) slots: u32,
    pub(crate) rows: u32,
    /// Whether the rows of the invocation came in by a broadcast input.
    pub(crate) broadcast: bool,
    /// How many rows each output had when the invocation began: what is after it is not committed yet.
    marks: Vec<usize>,
    states: Vec<StateDeclaration>,
    /// By state, what was written to collections; empty unless there are any.
    overlays: Vec<overlay::Overlay>,
    expiring: Expiring,
    /// By slot, the newest event time; kept for its memory.
    newest: Vec<i64>,
    timers: Vec<TimerDeclaration>,
    /// Timers under their names before, which the backend serves after those above.
    retired_timers: Vec<TimerDeclaration>,
    /// What each of those is fired as.
    aliases: Vec<(TimerId, TimerId)>,
    metrics: Vec<(MetricKind, f64)>,
}

/// Which clocks times-to-live run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Expiring {
    /// Any of them: the backend wants to see the keys of an invocation that wrote nothing, to clean them up.
    any: bool,
    /// Event time: the backend wants to know that of the rows.
    event_time: bool,
}

impl Expiring {
    fn new(states: &[StateDeclaration]) -> Self {
        let event_time = |domain| domain == TimeDomain::EventTime;
        let mut domains = states.iter().filter_map(|state| Some(state.ttl?.domain));
        let any = states.iter().any(|state| state.ttl.is_some());
        Self { any, event_time: domains.any(event_time) }
    }
}

impl Call {
    /// A call for an operator, over its backend if it is keyed.
    pub fn new(description: &Description, backend: Option<Box<dyn Backend>>) -> Self {
        Self {
            operator: description.name.clone(),
            backend,
            task_states: (!description.task_states.is_empty())
                .then(|| TaskStates::new(&description.task_states)),
            limits: StateLimits::default(),
            writes: WriteSet::new(&description.states),
            outputs: description.outputs.iter().map(crate::Port::empty_batch).collect(),
            rejected: Vec::new(),
            moment: Moment::default(),
            slots: 0,
            rows: 0,
            broadcast: false,
            marks: Vec::new(),
            overlays: overlays(&description.states),
            expiring: Expiring::new(&description.states),
            newest: Vec::new(),
            states: description.states.clone(),
            timers: description.timers.clone(),
            retired_timers: Vec::new(),
            aliases: Vec::new(),
            metrics: description.metrics.iter().map(|metric| (metric.kind, 0.0)).collect(),
        }
    }

    /// A call that belongs to no operator: what stands in a place while the real one is away.
    pub fn idle() -> Self {
        Self {
            operator: String::new(),
            backend: None,
            task_states: None,
            limits: StateLimits::default(),
            writes: WriteSet::new(&[]),
            outputs: Vec::new(),
            rejected: Vec::new(),
            moment: Moment::default(),
            slots: 0,
            rows: 0,
            broadcast: false,
            marks: Vec::new(),
            states: Vec::new(),
            overlays: Vec::new(),
            expiring: Expiring::default(),
            newest: Vec::new(),
            timers: Vec::new(),
            retired_timers: Vec::new(),
            aliases: Vec::new(),
            metrics: Vec::new(),
        }
    }

    /// Starts an invocation with that many rows; keys follow by [`hand_out`](Call::hand_out).
    pub(crate) fn start(&mut self, rows: u32, moment: Moment) {
        self.moment = moment;
        self.rows = rows;
        self.slots = 0;
        self.broadcast = false;
        self.writes.clear();
        self.overlays.iter_mut().for_each(overlay::Overlay::clear);
        self.rejected.clear();
        self.marks.clear();
        self.marks.extend(self.outputs.iter().map(Batch::len));
    }

    /// Hands the keys of the invocation out as slots.
    pub(crate) fn hand_out(&mut self, keys: &Column, hashes: &[u64]) -> Result<(), Failure> {
        self.slots = keys.len() as u32;
        match &self.backend {
            Some(_) => self.check_record_keys(keys)?,
            None => return Ok(()),
        }
        let Moment { processing_time, watermark, .. } = self.moment;
        let now = Now { processing_time, watermark };
        self.backend.as_mut().map_or(Ok(()), |backend| Ok(backend.begin(keys, hashes, now)?))
    }

    /// Hands the event times of the rows on, if a time-to-live starts from them.
    #[inline]
    pub(crate) fn note_event_times(&mut self, slots: &[u32], times: &[i64]) {
        if !self.expiring.event_time {
            return;
        }
        self.newest.clear();
        self.newest.resize(self.slots as usize, i64::MIN);
        for (&slot, &time) in slots.iter().zip(times) {
            let newest = &mut self.newest[slot as usize];
            *newest = time.max(*newest);
        }
        self.writes.note_event_times(&self.newest);
    }

    /// Makes what the invocation did count.
    pub(crate) fn commit(&mut self) -> Result<(), Failure> {
        if let Some(backend) = &mut self.backend
            && (!self.writes.is_empty() || (self.expiring.any && self.slots > 0))
        {
            backend.commit(&self.writes)?;
        }
        if let Some(states) = &mut self.task_states {
            states.commit();
        }
        Ok(())
    }

    /// Makes it as if the invocation had never been.
    pub(crate) fn undo(&mut self) {
        self.writes.clear();
        if let Some(states) = &mut self.task_states {
            states.undo();
        }
        self.rejected.clear();
        for (output, &mark) in self.outputs.iter_mut().zip(&self.marks) {
            output.truncate(mark);
        }
    }

    /// Emits rows to an output port.
    ///
    /// # Errors
    /// If there is no such port, the columns differ in length, or are not of the port's kinds.
    pub fn emit(
        &mut self,
        port: u32,
        times: &[i64],
        keys: Option<&Column>,
        values: &Column,
    ) -> Result<(), Failure> {
        let Some(output) = self.outputs.get_mut(port as usize) else {
            return Err(trapped(format!("there is no output port {port}")));
        };
        let same_keys = match (&output.keys, keys) {
            (Some(mine), Some(theirs)) => mine.is_words() == theirs.is_words(),
            (None, None) => true,
            _ => false,
        };
        if !same_keys || output.values.is_words() != values.is_words() {
            return Err(trapped(format!("output port {port} was declared with other types")));
        }
        if values.len() != times.len() || keys.is_some_and(|keys| keys.len() != times.len()) {
            return Err(trapped(format!("columns of different lengths for output port {port}")));
        }
        let bytes = |batch: &Batch| {
            batch.values.size_bytes() + batch.keys.as_ref().map_or(0, Column::size_bytes)
        };
        let added = values.size_bytes() + keys.map_or(0, Column::size_bytes);
        let limit = self.limits.written_bytes;
        if bytes(output) + added > limit {
            return Err(trapped(format!(
                "output port {port} got more than {limit} bytes of one batch: emit less at once"
            )));
        }
        output.times.extend_from_slice(times);
        if let (Some(mine), Some(theirs)) = (&mut output.keys, keys) {
            mine.extend_from_range(theirs, 0, theirs.len());
        }
        output.values.extend_from_range(values, 0, values.len());
        Ok(())
    }

    /// Hands a row to the job's policy for bad records.
    ///
    /// # Errors
    /// If there is no such row in this invocation.
    pub fn reject(&mut self, row: u32, reason: String) -> Result<(), Failure> {
        if row >= self.rows {
            return Err(trapped(format!("row {row} is not one of the {} handed out", self.rows)));
        }
        if self.rejected.len() >= self.rows as usize {
            return Err(trapped(format!("more rejections than the {} rows handed out", self.rows)));
        }
        self.rejected.push((row, reason));
        Ok(())
    }

    /// The time and randomness of this invocation.
    pub fn moment(&self) -> Moment {
        self.moment
    }

    /// How many keys this invocation has.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// Writes a log line under the operator's name.
    pub fn log(&self, level: Level, message: &str) {
        let operator = self.operator.as_str();
        match level {
            Level::Trace => tracing::trace!(operator, "{message}"),
            Level::Debug => tracing::debug!(operator, "{message}"),
            Level::Info => tracing::info!(operator, "{message}"),
            Level::Warn => tracing::warn!(operator, "{message}"),
            Level::Error => tracing::error!(operator, "{message}"),
        }
    }

    /// Adds to a counter. Metrics count work done, and so also work that is undone later.
    ///
    /// # Errors
    /// If there is no such counter.
    pub fn add_counter(&mut self, metric: u32, amount: u64) -> Result<(), Failure> {
        match self.metrics.get_mut(metric as usize) {
            Some((MetricKind::Counter, value)) => {
                *value += amount as f64;
                Ok(())
            }
            _ => Err(trapped(format!("there is no counter {metric}"))),
        }
    }

    /// Sets a gauge.
    ///
    /// # Errors
    /// If there is no such gauge.
    pub fn set_gauge(&mut self, metric: u32, new: f64) -> Result<(), Failure> {
        match self.metrics.get_mut(metric as usize) {
            Some((MetricKind::Gauge, value)) => {
                *value = new;
                Ok(())
            }
            _ => Err(trapped(format!("there is no gauge {metric}"))),
        }
    }

    /// The metrics' values, in the order of the description.
    pub fn metrics(&self) -> impl Iterator<Item = f64> {
        self.metrics.iter().map(|(_, value)| *value)
    }
}

/// Nothing written yet, if any state is a collection.
fn overlays(states: &[StateDeclaration]) -> Vec<overlay::Overlay> {
    if states.iter().all(|state| state.kind.is_cell()) {
        return Vec::new();
    }
    states.iter().map(|_| overlay::Overlay::default()).collect()
}

fn trapped(reason: String) -> Failure {
    Failure::Trapped { reason }
}

#[cfg(test)]
mod tests;
