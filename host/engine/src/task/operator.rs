//! A task that runs an operator.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use statehouse_operator::{InvokeError, Invoker, Moment};
use statehouse_state::TimeDomain;

use self::sweep::Sweeping;
use super::flip::Flips;
use super::gate::Incoming;
use super::{Frame, Gate, Step, TaskError, count_in, pass_barrier};
use crate::element::{Barrier, BarrierKind, Element, Report, TaskSnapshot};
use crate::graph::Output;
use crate::version::OperatorVersion;
use crate::watermark::Generator;

mod sweep;

/// How many entries of a running snapshot are written between two invocations.
const SNAPSHOT_ENTRIES_PER_STEP: usize = 4096;

/// What was fixed at the barrier of the snapshot that is being written.
#[derive(Debug)]
struct Running {
    barrier: Barrier,
    watermark: Option<i64>,
    task_states: Option<Vec<u8>>,
    version: Arc<OperatorVersion>,
}

/// An operator and what goes with it.
#[derive(Debug)]
pub(crate) struct OperatorBody {
    gate: Gate,
    pub(super) invoker: Invoker,
    pub(super) flips: Flips,
    /// What manifests say of the operator.
    version: Arc<OperatorVersion>,
    sweeping: Sweeping,
    /// Whether batches are copied for a shadow run.
    capturing: bool,
    watermarks: Option<Generator>,
    /// The watermark whose timers are firing; it is passed on when all have fired.
    firing: Option<i64>,
    /// The snapshot that is being written, and what goes with it.
    snapshot: Option<Running>,
    /// The epoch of the newest snapshot: the next increment builds on it, if its checkpoint exists.
    snapshot_epoch: Option<u64>,
    /// The stream has ended with the barrier that was seen last.
    ended: bool,
    /// Advanced at every invocation, for the operator's randomness.
    seed: u64,
}

impl OperatorBody {
    pub(crate) fn new(
        gate: Gate,
        invoker: Invoker,
        version: Arc<OperatorVersion>,
        watermarks: Option<Generator>,
        seed: u64,
        restored: Option<u64>,
    ) -> Self {
        Self {
            gate,
            invoker,
            flips: Flips::default(),
            version,
            sweeping: Sweeping::default(),
            capturing: false,
            watermarks,
            firing: None,
            snapshot: None,
            snapshot_epoch: restored,
            ended: false,
            seed,
        }
    }

    /// Fires timers that are due, else takes what came in.
    pub(crate) fn step(&mut self, frame: &mut Frame) -> Result<Step, TaskError> {
        if let Some(barrier) = self.flips.due.take() {
            self.flip(frame, barrier)?;
            return Ok(Step::Worked);
        }
        if self.ended {
            let done = self.snapshot.is_none();
            // The snapshot goes on at the next step, or when the store has taken some of it.
            return Ok(if done { Step::Finished } else { Step::Waiting { until: None } });
        }
        // Event-time timers keep the gate shut until all have fired. Those of the clock must not: one that always sets
        // another would never let a barrier in.
        let fired = self.fire_processing_timers(frame)?;
        if fired {
            self.fire_what_is_past();
        }
        if self.fire_event_timers(frame)? {
            return Ok(Step::Worked);
        }
        match self.gate.next() {
            None if fired => return Ok(Step::Worked),
            None => {
                let sweep = self.sweep_idle(frame)?;
                let timer = self.invoker.next_timer(TimeDomain::ProcessingTime);
                return Ok(Step::Waiting { until: timer.into_iter().chain(sweep).min() });
            }
            Some(Incoming::Batch(port, mut batch)) => {
                count_in(&frame.metrics, batch.len());
                // Only a keyed exchange has hashed the keys on the way.
                if self.invoker.description().inputs[port as usize].key.is_some() {
                    batch.hash_keys();
                } else {
                    batch.keys = None;
                }
                let moment = self.moment(frame);
                self.invoke(frame, |invoker| invoker.process(port, &batch, moment))?;
                self.send_outputs(frame);
                self.fire_what_is_past();
                self.hand_over_capture(frame);
                self.sweep_after(frame, batch.len())?;
            }
            Some(Incoming::Watermark(watermark)) => {
                frame.metrics.watermark.store(watermark, Ordering::Relaxed);
                self.firing = Some(watermark);
            }
            Some(Incoming::Barrier(barrier)) if barrier.kind == BarrierKind::Flip => {
                self.flips.due = Some(barrier);
            }
            Some(Incoming::Barrier(barrier)) => self.end_epoch(frame, barrier)?,
        }
        Ok(Step::Worked)
    }

    /// Runs an invocation, and notes how long it took.
    fn invoke<T>(
        &mut self,
        frame: &Frame,
        invocation: impl FnOnce(&mut Invoker) -> Result<T, InvokeError>,
    ) -> Result<T, TaskError> {
        let begun = frame.clock.monotonic_ns();
        let done = invocation(&mut self.invoker).map_err(TaskError::new)?;
        self.worked(frame, frame.clock.monotonic_ns().saturating_sub(begun));
        Ok(done)
    }

    /// A timer that was set in the past fires at once, not with the next watermark.
    fn fire_what_is_past(&mut self) {
        let watermark = self.gate.watermark();
        let next = self.invoker.next_timer(TimeDomain::EventTime);
        if next.is_some_and(|time| time <= watermark) {
            self.firing = Some(watermark);
        }
    }

    fn moment(&mut self, frame: &Frame) -> Moment {
        // The golden ratio's fraction: successive seeds differ in about half of their bits once mixed.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let (processing_time, watermark) = (frame.clock.now(), self.gate.watermark());
        Moment { processing_time, watermark, seed: self.seed }
    }

    /// One invocation with timers that the clock has reached. Whether there were any.
    fn fire_processing_timers(&mut self, frame: &mut Frame) -> Result<bool, TaskError> {
        let next = self.invoker.next_timer(TimeDomain::ProcessingTime);
        if next.is_none_or(|time| time > frame.clock.now()) {
            return Ok(false);
        }
        let moment = self.moment(frame);
        let until = moment.processing_time;
        let domain = TimeDomain::ProcessingTime;
        self.invoke(frame, |invoker| invoker.fire_timers(domain, until, moment))?;
        self.send_outputs(frame);
        Ok(true)
    }

    /// One invocation with timers that the watermark has reached. Whether something was done.
    fn fire_event_timers(&mut self, frame: &mut Frame) -> Result<bool, TaskError> {
        let Some(watermark) = self.firing else { return Ok(false) };
        let moment = self.moment(frame);
        let domain = TimeDomain::EventTime;
        let fired = self.invoke(frame, |invoker| invoker.fire_timers(domain, watermark, moment))?;
        if fired {
            self.send_outputs(frame);
        } else {
            self.firing = None;
            if self.watermarks.is_none() || watermark == i64::MAX {
                frame.outlets.broadcast(|| Element::Watermark(watermark));
            }
        }
        Ok(true)
    }

    fn send_outputs(&mut self, frame: &mut Frame) {
        let mut watermark = None;
        let mut rows = 0;
        for (port, batch) in self.invoker.outputs().iter_mut().enumerate() {
            if let Some(watermarks) = &mut self.watermarks {
                watermark = watermarks.observe(&batch.times).or(watermark);
            }
            rows += batch.len() as u64;
            frame.outlets.send(Output::Port(port as u32), batch);
        }
        frame.outlets.send(Output::DeadLetters, self.invoker.dead_letters());
        frame.metrics.records_out.fetch_add(rows, Ordering::Relaxed);
        frame.metrics.rejected.store(self.invoker.rejected(), Ordering::Relaxed);
        if let Some(watermark) = watermark {
            frame.outlets.broadcast(|| Element::Watermark(watermark));
        }
    }

    fn end_epoch(&mut self, frame: &mut Frame, barrier: Barrier) -> Result<(), TaskError> {
        pass_barrier(frame, barrier);
        self.ended = barrier.last.is_some();
        self.settle_canary(barrier);
        let watermark =
            self.watermarks.as_ref().and_then(|watermarks| match self.gate.watermark() {
                // The end was passed on as it came in.
                i64::MAX => Some(i64::MAX),
                _ => watermarks.current(),
            });
        let task_states = self.invoker.task_states().map(|states| states.snapshot());
        let version = self.version();
        self.sweep_anew();
        match self.invoker.backend() {
            Some(backend) => {
                if self.snapshot_epoch.replace(barrier.epoch) != barrier.builds_on {
                    // The checkpoint of the snapshot before this one was discarded.
                    backend.abandon_snapshot();
                }
                backend.start_snapshot(barrier.epoch, false).map_err(TaskError::new)?;
                self.hold(barrier, task_states.as_ref());
                self.snapshot = Some(Running { barrier, watermark, task_states, version });
            }
            None => {
                self.hold(barrier, task_states.as_ref());
                let version = Some(version);
                let snapshot =
                    TaskSnapshot { task_states, watermark, version, ..TaskSnapshot::default() };
                frame.acknowledge(barrier.epoch, snapshot);
            }
        }
        Ok(())
    }

    /// What manifests are to say of the operator from the next barrier on. A flip calls this with what it flipped to,
    /// as soon as the new operator has all keys; what the operator has still to take over is added at each barrier.
    pub(super) fn set_version(&mut self, version: Arc<OperatorVersion>) {
        self.version = version;
        self.sweep_anew();
    }

    /// The operator that runs now, with what it has still to take over.
    fn version(&mut self) -> Arc<OperatorVersion> {
        let (retired, keyed) = (self.invoker.retired(), self.invoker.backend().is_some());
        if self.version.retired != retired || self.version.keyed != keyed {
            self.version = Arc::new(OperatorVersion { retired, keyed, ..(*self.version).clone() });
        }
        Arc::clone(&self.version)
    }

    /// From now on copies so many batches for a shadow run.
    pub(super) fn capture(&mut self, batches: u32) {
        self.invoker.capture(batches);
        self.capturing = true;
    }

    /// Hands over what was copied, if it is all.
    fn hand_over_capture(&mut self, frame: &mut Frame) {
        if self.capturing
            && let Some(capture) = self.invoker.take_capture()
        {
            self.capturing = false;
            let task = frame.index;
            frame.reports.push(Report::Captured { task, capture: Some(Box::new(capture)) });
        }
    }

    /// Hands over what was copied until now, which may be nothing.
    pub(super) fn end_capture(&mut self, frame: &mut Frame) {
        if self.capturing {
            self.capturing = false;
            let (task, capture) = (frame.index, self.invoker.end_capture().map(Box::new));
            frame.reports.push(Report::Captured { task, capture });
        }
    }

    /// Writes a piece of the running snapshot. Whether something was done.
    pub(crate) fn advance_snapshot(&mut self, frame: &mut Frame) -> Result<bool, TaskError> {
        let Some(Running { barrier, .. }) = &self.snapshot else { return Ok(false) };
        if !frame.budget.has_room() {
            return Ok(false);
        }
        let backend = self.invoker.backend().expect("only a backend has a snapshot running");
        let finished =
            backend.advance_snapshot(SNAPSHOT_ENTRIES_PER_STEP).map_err(TaskError::new)?;
        frame.hand_over(barrier.epoch, backend.take_segments());
        if let Some(state) = finished
            && let Some(Running { barrier, watermark, task_states, version }) = self.snapshot.take()
        {
            let (state, position, version) = (Some(state), None, Some(version));
            let snapshot = TaskSnapshot { state, task_states, position, watermark, version };
            frame.acknowledge(barrier.epoch, snapshot);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
