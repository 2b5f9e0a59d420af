//! One parallel instance of a node: a loop over batches, a quantum at a time.
//!
//! A task does nothing by itself: whoever owns it calls [`Task::step`], a thread in production, the scheduler of the
//! simulation in tests. A step does a bounded piece of work and never blocks. Between two steps no invocation runs,
//! so that is where barriers, snapshots and the coordinator's words come in.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use statehouse_state::Segment;

use crate::budget::Budget;
use crate::channel::Receiver;
use crate::clock::Clock;
use crate::element::{Barrier, Control, Element, Part, Report, TaskIndex, TaskSnapshot};
use crate::metrics::TaskMetrics;
use crate::swap::warm::WarmTask;

mod flip;
mod gate;
mod operator;
mod outlet;
mod sink;
mod source;

pub(crate) use gate::{Channel, Gate};
pub(crate) use operator::OperatorBody;
pub(crate) use outlet::{Outlet, Outlets, Reports};
pub(crate) use sink::SinkBody;
pub(crate) use source::SourceBody;

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something was done; step again.
    Worked,
    /// Nothing can be done until a neighbour or the coordinator does something, or until this time.
    Waiting {
        /// When to step again at the latest.
        until: Option<i64>,
    },
    /// Nothing will be done any more.
    Finished,
}

/// Why a task cannot go on, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct TaskError {
    pub(crate) reason: String,
}

impl TaskError {
    pub(crate) fn new(reason: impl ToString) -> Self {
        Self { reason: reason.to_string() }
    }
}

/// What is the same for tasks of all kinds.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) index: TaskIndex,
    pub(crate) name: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) outlets: Outlets,
    pub(crate) reports: Reports,
    pub(crate) metrics: Arc<TaskMetrics>,
    pub(crate) budget: Arc<Budget>,
}

impl Frame {
    /// Sends finished segments of a running snapshot ahead.
    fn hand_over(&mut self, epoch: u64, segments: Vec<Segment>) {
        if segments.is_empty() {
            return;
        }
        let bytes = segments.iter().map(|segment| segment.bytes.len() as u64).sum();
        let part = Part { segments, _permit: self.budget.take(bytes) };
        self.reports.push(Report::Part { task: self.index, epoch, part });
    }

    /// Reports the task's part of a checkpoint.
    fn acknowledge(&mut self, epoch: u64, snapshot: TaskSnapshot) {
        self.reports.push(Report::Acknowledged { task: self.index, epoch, snapshot });
    }
}

/// What a task does.
#[derive(Debug)]
pub(crate) enum Body {
    Source(SourceBody),
    Operator(Box<OperatorBody>),
    Sink(SinkBody),
}

/// A task. Belongs to one thread at a time and takes no locks.
#[derive(Debug)]
pub struct Task {
    pub(crate) frame: Frame,
    pub(crate) control: Receiver<Control>,
    pub(crate) body: Body,
    finished: bool,
}

impl Task {
    pub(crate) fn new(frame: Frame, control: Receiver<Control>, body: Body) -> Self {
        Self { frame, control, body, finished: false }
    }

    /// The node's id and the task's number within it.
    pub fn name(&self) -> &str {
        &self.frame.name
    }

    /// Does a bounded piece of work. A task that fails reports it, and is finished.
    pub fn step(&mut self) -> Step {
        match self.try_step() {
            Ok(step) => step,
            Err(error) => self.fail(&error.reason),
        }
    }

    /// Reports that the task cannot go on, and finishes it.
    pub(crate) fn fail(&mut self, reason: &str) -> Step {
        let reason = format!("{}: {reason}", self.frame.name);
        self.frame.reports.push(Report::Failed { reason });
        self.finished = true;
        self.finish_reporting()
    }

    /// The task's number among all tasks, and its state as it was at the barrier of an epoch, as far as that can be.
    pub(crate) fn into_warm(self, epoch: u64) -> (TaskIndex, WarmTask) {
        let warm = match self.body {
            Body::Operator(body) => body.into_warm(epoch),
            Body::Source(_) | Body::Sink(_) => WarmTask::default(),
        };
        (self.frame.index, warm)
    }

    fn try_step(&mut self) -> Result<Step, TaskError> {
        if self.finished {
            return Ok(self.finish_reporting());
        }
        let reported = self.frame.reports.flush();
        let mut worked = self.take_control()?;
        if let Body::Operator(body) = &mut self.body {
            worked |= body.advance_snapshot(&mut self.frame)?;
        }
        if !self.frame.outlets.flush() || !reported {
            return Ok(if worked { Step::Worked } else { Step::Waiting { until: None } });
        }
        let step = match &mut self.body {
            Body::Source(body) => body.step(&mut self.frame)?,
            Body::Operator(body) => body.step(&mut self.frame)?,
            Body::Sink(body) => body.step(&mut self.frame)?,
        };
        match step {
            Step::Finished if self.frame.outlets.flush() => {
                self.finished = true;
                self.frame.reports.push(Report::Finished);
                Ok(self.finish_reporting())
            }
            Step::Waiting { .. } if worked => Ok(Step::Worked),
            step => Ok(step),
        }
    }

    fn finish_reporting(&mut self) -> Step {
        if self.frame.reports.flush() { Step::Finished } else { Step::Waiting { until: None } }
    }

    fn take_control(&mut self) -> Result<bool, TaskError> {
        let mut worked = false;
        while let Some(control) = self.control.try_receive() {
            worked = true;
            match (&mut self.body, control) {
                (Body::Source(body), Control::Trigger(barrier)) => body.trigger(barrier),
                (Body::Sink(body), Control::Committed { epoch }) => body.commit(epoch)?,
                (Body::Operator(body), Control::Stage(staged)) => body.stage(staged),
                (Body::Operator(body), Control::Capture { batches }) => body.capture(batches),
                (Body::Operator(body), Control::EndCapture) => body.end_capture(&mut self.frame),
                (Body::Operator(body), Control::Release { through }) => body.release(through),
                _ => {}
            }
        }
        Ok(worked)
    }
}

/// Sends a barrier on.
pub(crate) fn pass_barrier(frame: &mut Frame, barrier: Barrier) {
    frame.outlets.broadcast(|| Element::Barrier(barrier));
}

/// Counts a batch that came in.
pub(crate) fn count_in(metrics: &TaskMetrics, rows: usize) {
    metrics.records_in.fetch_add(rows as u64, Ordering::Relaxed);
    metrics.batches_in.fetch_add(1, Ordering::Relaxed);
}
