//! One invocation as the operator sees it: state windows, timers, outputs and context, all scoped to the batch.

use statehouse_state::{
    Backend, Column, Now, StateId, TimerChange, TimerDeclaration, TimerId, Window, WriteSet,
};

use crate::batch::Batch;
use crate::description::{Description, MetricKind};
use crate::failure::Failure;

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
    pub(crate) writes: WriteSet,
    pub(crate) outputs: Vec<Batch>,
    pub(crate) rejected: Vec<(u32, String)>,
    pub(crate) moment: Moment,
    pub(crate) slots: u32,
    pub(crate) rows: u32,
    /// How many rows each output had when the invocation began: what is after it is not committed yet.
    marks: Vec<usize>,
    state_words: Vec<bool>,
    timers: Vec<TimerDeclaration>,
    metrics: Vec<(MetricKind, f64)>,
}

impl Call {
    /// A call for an operator, over its backend if it is keyed.
    pub fn new(description: &Description, backend: Option<Box<dyn Backend>>) -> Self {
        Self {
            operator: description.name.clone(),
            backend,
            writes: WriteSet::new(&description.states),
            outputs: description.outputs.iter().map(crate::Port::empty_batch).collect(),
            rejected: Vec::new(),
            moment: Moment::default(),
            slots: 0,
            rows: 0,
            marks: Vec::new(),
            state_words: description.states.iter().map(|state| state.value.is_words()).collect(),
            timers: description.timers.clone(),
            metrics: description.metrics.iter().map(|metric| (metric.kind, 0.0)).collect(),
        }
    }

    /// A call that belongs to no operator: what stands in a place while the real one is away.
    pub fn idle() -> Self {
        Self {
            operator: String::new(),
            backend: None,
            writes: WriteSet::new(&[]),
            outputs: Vec::new(),
            rejected: Vec::new(),
            moment: Moment::default(),
            slots: 0,
            rows: 0,
            marks: Vec::new(),
            state_words: Vec::new(),
            timers: Vec::new(),
            metrics: Vec::new(),
        }
    }

    /// Starts an invocation with that many rows; keys follow by [`hand_out`](Call::hand_out).
    pub(crate) fn start(&mut self, rows: u32, moment: Moment) {
        self.moment = moment;
        self.rows = rows;
        self.slots = 0;
        self.writes.clear();
        self.rejected.clear();
        self.marks.clear();
        self.marks.extend(self.outputs.iter().map(Batch::len));
    }

    /// Hands the keys of the invocation out as slots.
    pub(crate) fn hand_out(&mut self, keys: &Column, hashes: &[u64]) -> Result<(), Failure> {
        self.slots = keys.len() as u32;
        match &mut self.backend {
            Some(backend) => {
                let Moment { processing_time, watermark, .. } = self.moment;
                Ok(backend.begin(keys, hashes, Now { processing_time, watermark })?)
            }
            None => Ok(()),
        }
    }

    /// Makes what the invocation did count.
    pub(crate) fn commit(&mut self) -> Result<(), Failure> {
        match &mut self.backend {
            Some(backend) if !self.writes.is_empty() => Ok(backend.commit(&self.writes)?),
            _ => Ok(()),
        }
    }

    /// Makes it as if the invocation had never been.
    pub(crate) fn undo(&mut self) {
        self.writes.clear();
        self.rejected.clear();
        for (output, &mark) in self.outputs.iter_mut().zip(&self.marks) {
            output.truncate(mark);
        }
    }

    /// Fills a window with a state's values for every slot, with what this invocation wrote laid over them.
    ///
    /// # Errors
    /// If there is no such state, or the window is of another kind.
    pub fn load(&mut self, state: StateId, window: &mut Window) -> Result<(), Failure> {
        if self.is_words(state)? != window.values.is_words() {
            return Err(trapped(format!("state {} has another layout", state.0)));
        }
        match &mut self.backend {
            Some(backend) if self.slots > 0 => backend.load(state, window)?,
            _ => window.reset(0),
        }
        self.writes.overlay(state, window);
        Ok(())
    }

    /// Whether a state holds words.
    ///
    /// # Errors
    /// If there is no such state.
    pub fn is_words(&self, state: StateId) -> Result<bool, Failure> {
        let words = self.state_words.get(state.0 as usize).copied();
        words.ok_or_else(|| trapped(format!("there is no state {}", state.0)))
    }

    /// Writes numbers: `words[i]` for `slots[i]`.
    ///
    /// # Errors
    /// If the state, a slot or the layout is not what was declared or handed out.
    pub fn store_words(
        &mut self,
        state: StateId,
        slots: &[u32],
        words: &[u64],
    ) -> Result<(), Failure> {
        self.check_store(state, slots, true, words.len())?;
        self.writes.set_words(state, slots, words);
        Ok(())
    }

    /// Writes a column: row `i` for `slots[i]`.
    ///
    /// # Errors
    /// As [`store_words`](Call::store_words).
    pub fn store(&mut self, state: StateId, slots: &[u32], values: &Column) -> Result<(), Failure> {
        self.check_store(state, slots, values.is_words(), values.len())?;
        self.writes.set_column(state, slots, values);
        Ok(())
    }

    /// Removes values.
    ///
    /// # Errors
    /// If there is no such state or slot.
    pub fn remove(&mut self, state: StateId, slots: &[u32]) -> Result<(), Failure> {
        self.is_words(state)?;
        self.check_slots(slots)?;
        self.writes.remove(state, slots);
        Ok(())
    }

    fn check_store(
        &self,
        state: StateId,
        slots: &[u32],
        words: bool,
        values: usize,
    ) -> Result<(), Failure> {
        if self.is_words(state)? != words {
            return Err(trapped(format!("state {} has another layout", state.0)));
        }
        if slots.len() != values {
            return Err(trapped(format!("{} slots for {values} values", slots.len())));
        }
        self.check_slots(slots)
    }

    fn check_slots(&self, slots: &[u32]) -> Result<(), Failure> {
        match slots.iter().find(|&&slot| slot >= self.slots) {
            Some(slot) => Err(trapped(format!(
                "slot {slot} was not handed out: the invocation has {} keys",
                self.slots
            ))),
            None => Ok(()),
        }
    }

    /// Sets (or deletes) timers: `times[i]` of `slots[i]`.
    ///
    /// # Errors
    /// If there is no such timer or slot, or the columns differ in length.
    pub fn change_timers(
        &mut self,
        timer: TimerId,
        slots: &[u32],
        times: &[i64],
        set: bool,
    ) -> Result<(), Failure> {
        if timer.0 as usize >= self.timers.len() {
            return Err(trapped(format!("there is no timer {}", timer.0)));
        }
        if slots.len() != times.len() {
            return Err(trapped(format!("{} slots for {} times", slots.len(), times.len())));
        }
        self.check_slots(slots)?;
        for (&slot, &time) in slots.iter().zip(times) {
            self.writes.change_timer(TimerChange { timer, slot, namespace: 0, time, set });
        }
        Ok(())
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

    /// The timer families, in the order of the description.
    pub fn timer_families(&self) -> &[TimerDeclaration] {
        &self.timers
    }
}

fn trapped(reason: String) -> Failure {
    Failure::Trapped { reason }
}
