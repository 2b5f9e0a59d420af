//! What a handler may know and say besides its records: time, chance, log, metrics.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use crate::call::{Call, Pending, Phase};
use crate::error::Error;
use crate::host::{Host, Level};

/// Time, randomness and the log. Kept as a field, from [`Setup::context`](crate::Setup::context).
#[derive(Clone)]
pub struct Context {
    call: Rc<Call>,
}

impl Context {
    pub(crate) fn new(call: &Rc<Call>) -> Self {
        Self { call: Rc::clone(call) }
    }

    /// The host's clock, in milliseconds since 1970-01-01T00:00:00Z. It does not move within a
    /// batch.
    pub fn processing_time(&self) -> i64 {
        once(&self.call.processing_time, || self.call.host.processing_time())
    }

    /// No record older than this is expected any more. `i64::MIN` before the first watermark.
    pub fn watermark(&self) -> i64 {
        once(&self.call.watermark, || self.call.host.watermark())
    }

    /// A random number, of a small generator (SplitMix64) that the host seeds for each batch. Not
    /// for secrets.
    ///
    /// The same batch may see other numbers when it is handled again after a failure.
    pub fn random(&self) -> u64 {
        let state = once(&self.call.random, || self.call.host.random_seed());
        let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.call.random.set(Some(state));
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Hands the record being handled to the job's policy for bad records, and keeps what was done
    /// for it so far. To have that undone, return an [`Error`] instead.
    ///
    /// There is no record in a timer handler: calling this there refuses the timer's batch.
    pub fn reject(&self, reason: impl fmt::Display) {
        if self.call.phase.get() == Phase::Records {
            let (rows, reasons) = &mut *self.call.rejected.borrow_mut();
            rows.push(self.call.row.get());
            reasons.push(reason.to_string());
        } else {
            let sentence = "there is no record to reject here, only in a handler of records";
            self.call.fault(Error::new(format_args!("{sentence} (reason given: {reason})")));
        }
    }

    /// Writes a line to the job's log, at the level `trace`.
    pub fn trace(&self, line: impl fmt::Display) {
        self.call.host.log(Level::Trace, &line.to_string());
    }

    /// Writes a line to the job's log, at the level `debug`.
    pub fn debug(&self, line: impl fmt::Display) {
        self.call.host.log(Level::Debug, &line.to_string());
    }

    /// Writes a line to the job's log, at the level `info`.
    pub fn info(&self, line: impl fmt::Display) {
        self.call.host.log(Level::Info, &line.to_string());
    }

    /// Writes a line to the job's log, at the level `warn`.
    pub fn warn(&self, line: impl fmt::Display) {
        self.call.host.log(Level::Warn, &line.to_string());
    }

    /// Writes a line to the job's log, at the level `error`.
    pub fn error(&self, line: impl fmt::Display) {
        self.call.host.log(Level::Error, &line.to_string());
    }
}

fn once<T: Copy>(known: &Cell<Option<T>>, ask: impl FnOnce() -> T) -> T {
    known.get().unwrap_or_else(|| {
        let value = ask();
        known.set(Some(value));
        value
    })
}

/// A number that only grows, shown with the job's metrics. What a refused batch added is not
/// counted.
pub struct Counter(pub(crate) Rc<PendingCount>);

impl Counter {
    /// Adds to the counter.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.added.set(self.0.added.get() + amount);
    }
}

/// A number that goes up and down, shown with the job's metrics.
pub struct Gauge(pub(crate) Rc<PendingGauge>);

impl Gauge {
    /// Sets the gauge.
    #[inline]
    pub fn set(&self, value: f64) {
        self.0.value.set(Some(value));
    }
}

pub(crate) struct PendingCount {
    pub(crate) index: u32,
    pub(crate) added: Cell<u64>,
}

impl Pending for PendingCount {
    fn send(&self, host: &dyn Host) {
        match self.added.take() {
            0 => {}
            amount => host.add_counter(self.index, amount),
        }
    }

    fn discard(&self) {
        self.added.set(0);
    }
}

pub(crate) struct PendingGauge {
    pub(crate) index: u32,
    pub(crate) value: Cell<Option<f64>>,
}

impl Pending for PendingGauge {
    fn send(&self, host: &dyn Host) {
        if let Some(value) = self.value.take() {
            host.set_gauge(self.index, value);
        }
    }

    fn discard(&self) {
        self.value.set(None);
    }
}
