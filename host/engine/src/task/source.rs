//! A task that brings records in.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use statehouse_operator::{Batch, ErrorPolicy};
use statehouse_state::Column;

use super::{Frame, Step, TaskError, pass_barrier};
use crate::connector::{Malformed, Polled, Source};
use crate::element::{Barrier, BarrierKind, Element, Last, Report, TaskSnapshot};
use crate::graph::Output;
use crate::watermark::Generator;

/// How long an idle source is left alone, in milliseconds.
const IDLE_MILLISECONDS: i64 = 5;

/// A source and what goes with it.
#[derive(Debug)]
pub(crate) struct SourceBody {
    source: Box<dyn Source>,
    watermarks: Option<Generator>,
    policy: ErrorPolicy,
    /// The epochs to end as soon as possible. Each must be ended, even one that was given up meanwhile: another source
    /// may have ended it already, and barriers are aligned one by one.
    triggered: VecDeque<Barrier>,
    exhausted: bool,
    /// The last barrier has been sent.
    ended: bool,
    dead_letters: Batch,
}

impl SourceBody {
    pub(crate) fn new(
        source: Box<dyn Source>,
        watermarks: Option<Generator>,
        policy: ErrorPolicy,
    ) -> Self {
        let dead_letters = Batch::empty(None, false);
        let (triggered, exhausted, ended) = (VecDeque::new(), false, false);
        Self { source, watermarks, policy, triggered, exhausted, ended, dead_letters }
    }

    /// Remembers to end an epoch.
    pub(crate) fn trigger(&mut self, barrier: Barrier) {
        self.triggered.push_back(barrier);
    }

    /// Ends the epoch if that was asked for, else polls.
    pub(crate) fn step(&mut self, frame: &mut Frame) -> Result<Step, TaskError> {
        if let Some(barrier) = self.triggered.pop_front() {
            let drained = barrier.last == Some(Last::Drained);
            if drained && !self.exhausted {
                // What waits for the end of the stream fires before the barrier.
                frame.outlets.broadcast(|| Element::Watermark(i64::MAX));
            }
            pass_barrier(frame, barrier);
            if barrier.kind == BarrierKind::Flip {
                return Ok(Step::Worked);
            }
            let snapshot = TaskSnapshot {
                position: Some(self.source.position()),
                watermark: match self.exhausted || drained {
                    true => Some(i64::MAX),
                    false => self.watermarks.as_ref().and_then(Generator::current),
                },
                ..TaskSnapshot::default()
            };
            frame.acknowledge(barrier.epoch, snapshot);
            self.ended = barrier.last.is_some();
            return Ok(Step::Worked);
        }
        if self.ended {
            return Ok(Step::Finished);
        }
        if self.exhausted {
            return Ok(Step::Waiting { until: None });
        }
        let polled = self.source.poll().map_err(TaskError::new)?;
        self.settle_malformed(frame)?;
        match polled {
            Polled::Batch(mut batch) => {
                let watermark = self
                    .watermarks
                    .as_mut()
                    .and_then(|watermarks| watermarks.observe(&batch.times));
                let rows = batch.len() as u64;
                frame.metrics.records_out.fetch_add(rows, Ordering::Relaxed);
                frame.outlets.send(Output::Port(0), &mut batch);
                if let Some(watermark) = watermark {
                    frame.outlets.broadcast(|| Element::Watermark(watermark));
                }
                let progress = self.source.progress();
                frame.metrics.progress_done.store(progress.done, Ordering::Relaxed);
                let total = progress.total.unwrap_or(0);
                frame.metrics.progress_total.store(total, Ordering::Relaxed);
                Ok(Step::Worked)
            }
            Polled::Idle => {
                Ok(Step::Waiting { until: Some(frame.clock.now() + IDLE_MILLISECONDS) })
            }
            Polled::End => {
                self.exhausted = true;
                let progress = self.source.progress();
                frame.metrics.progress_done.store(progress.done, Ordering::Relaxed);
                frame.outlets.broadcast(|| Element::Watermark(i64::MAX));
                frame.reports.push(Report::Exhausted);
                Ok(Step::Worked)
            }
        }
    }

    fn settle_malformed(&mut self, frame: &mut Frame) -> Result<(), TaskError> {
        for malformed in self.source.take_malformed() {
            let Malformed { place, reason, input } = malformed;
            frame.metrics.rejected.fetch_add(1, Ordering::Relaxed);
            match self.policy {
                ErrorPolicy::Skip => {}
                ErrorPolicy::Fail => {
                    return Err(TaskError::new(format!(
                        "{place}: {reason}; the input: {input}; set `on-error = \"skip\"` or `\"dead-letter\"` for \
                         the source to go on without it"
                    )));
                }
                ErrorPolicy::DeadLetter => {
                    let letter = serde_json::json!({
                        "source": frame.name, "place": place, "reason": reason, "record": input,
                    });
                    self.dead_letters.times.push(frame.clock.now());
                    if let Column::Bytes(values) = &mut self.dead_letters.values {
                        values.push(letter.to_string().as_bytes());
                    }
                }
            }
        }
        frame.outlets.send(Output::DeadLetters, &mut self.dead_letters);
        Ok(())
    }
}
