//! Copies what an operator is given and what it makes of it, for a shadow run.

use std::collections::HashSet;
use std::time::Instant;

use statehouse_state::{Column, DueTimers, Segment};

use super::Invoker;
use crate::batch::Batch;
use crate::call::Moment;
use crate::failure::{Failure, InvokeError};
use crate::form::CellBuf;
use crate::shadow::{Capture, Input, Step};

/// The most bytes that a task copies.
const CAPTURE_BYTES_MAX: usize = 64 << 20;

/// A capture under way.
pub(super) struct Recording {
    capture: Capture,
    /// How many batches were asked for.
    batches: u32,
    /// The keys of the capture.
    seen: HashSet<CellBuf>,
    bytes: usize,
    bytes_max: usize,
}

impl Invoker {
    /// From now on copies the next batches, and the timers that fire between them. What was copied before is dropped.
    pub fn capture(&mut self, batches: u32) {
        self.capture_within(batches, CAPTURE_BYTES_MAX);
    }

    /// The same with another limit of memory.
    pub(crate) fn capture_within(&mut self, batches: u32, bytes_max: usize) {
        let (states, timers) = match &self.call.backend {
            Some(backend) => {
                let (states, timers) = backend.declared();
                (states.to_vec(), timers.to_vec())
            }
            None => (Vec::new(), Vec::new()),
        };
        let task_states = self.call.task_states.as_ref();
        let task_states =
            task_states.map(|states| (self.description.task_states.clone(), states.snapshot()));
        let words = self.description.state_key().is_none_or(|key| key.layout.is_words());
        let bytes = task_states.as_ref().map_or(0, |(_, bytes)| bytes.len());
        let capture = Capture {
            steps: Vec::new(),
            batches: 0,
            keys: Column::empty(words),
            hashes: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            states,
            timers,
            task_states,
            rejected: 0,
            nanoseconds: 0,
            cut_short: false,
        };
        self.captured = None;
        self.recording =
            Some(Box::new(Recording { capture, batches, seen: HashSet::new(), bytes, bytes_max }));
    }

    /// What was copied, once all batches have come, or no more memory may be taken for it.
    pub fn take_capture(&mut self) -> Option<Capture> {
        self.captured.take().map(|capture| *capture)
    }

    /// Ends copying, and hands out what was copied until now.
    pub fn end_capture(&mut self) -> Option<Capture> {
        self.close_recording();
        self.take_capture()
    }

    /// Ends copying, if anything is being copied.
    pub(super) fn close_recording(&mut self) {
        if let Some(recording) = self.recording.take() {
            // What cannot be read any more is not compared.
            let _ = self.finish(recording, true);
        }
    }

    /// Has a batch processed, and copies it.
    pub(super) fn process_recorded(
        &mut self,
        port: u32,
        batch: &Batch,
        moment: Moment,
    ) -> Result<(), InvokeError> {
        let keys = batch.keys.as_ref().map(|keys| (keys, batch.hashes.as_slice()));
        let input = Input::Batch(port, batch.clone());
        self.record(input, keys, moment, |invoker| invoker.process_shared(port, batch, moment))
    }

    /// Fires timers, and copies them.
    pub(super) fn fire_recorded(
        &mut self,
        due: &DueTimers,
        moment: Moment,
    ) -> Result<(), InvokeError> {
        let keys = Some((&due.keys, due.hashes.as_slice()));
        let input = Input::Timers(due.clone());
        self.record(input, keys, moment, |invoker| invoker.fire_shared(due, moment))
    }

    /// Copies what `keys` have that were not seen before, does it, and copies what came of it.
    fn record(
        &mut self,
        input: Input,
        keys: Option<(&Column, &[u64])>,
        moment: Moment,
        run: impl FnOnce(&mut Self) -> Result<(), InvokeError>,
    ) -> Result<(), InvokeError> {
        let Some(mut recording) = self.recording.take() else { return run(self) };
        if let Some((keys, hashes)) = keys {
            let (keys, hashes) = recording.new_keys(keys, hashes);
            let segments = self.copy(&keys, &hashes)?;
            recording.add_keys(&keys, &hashes, segments);
        }
        let marks: Vec<usize> = self.call.outputs.iter().map(Batch::len).collect();
        let rejected = self.rejected;
        let started = now();
        run(self)?;
        recording.capture.nanoseconds += started.elapsed().as_nanos() as u64;
        recording.capture.rejected += self.rejected - rejected;
        let emitted = self.call.outputs.iter().zip(marks);
        let emitted = emitted.map(|(output, mark)| rows_from(output, mark)).collect();
        recording.add_step(Step { input, moment, emitted });
        if recording.is_full() {
            let cut_short = recording.capture.batches < recording.batches;
            self.finish(recording, cut_short)
        } else {
            self.recording = Some(recording);
            Ok(())
        }
    }

    /// Copies what the keys have in the end.
    fn finish(&mut self, recording: Box<Recording>, cut_short: bool) -> Result<(), InvokeError> {
        let mut capture = recording.capture;
        capture.after = self.copy(&capture.keys, &capture.hashes)?;
        capture.cut_short = cut_short;
        self.captured = Some(Box::new(capture));
        Ok(())
    }

    fn copy(&mut self, keys: &Column, hashes: &[u64]) -> Result<Vec<Segment>, InvokeError> {
        match &mut self.call.backend {
            Some(backend) if !keys.is_empty() => {
                let copied = backend.copy_keys(keys, hashes);
                copied.map_err(|error| self.host_failure(&Failure::from(error)))
            }
            _ => Ok(Vec::new()),
        }
    }
}

impl Recording {
    /// The keys that were not seen before, each once.
    fn new_keys(&mut self, keys: &Column, hashes: &[u64]) -> (Column, Vec<u64>) {
        let (mut new, mut new_hashes) = (Column::empty(keys.is_words()), Vec::new());
        for (row, &hash) in hashes.iter().enumerate() {
            if self.seen.insert(CellBuf::from(keys.cell(row))) {
                new.push_from(keys, row);
                new_hashes.push(hash);
            }
        }
        (new, new_hashes)
    }

    fn add_keys(&mut self, keys: &Column, hashes: &[u64], segments: Vec<Segment>) {
        self.capture.keys.extend_from_range(keys, 0, keys.len());
        self.capture.hashes.extend_from_slice(hashes);
        // Each key is kept twice, and what it has is copied once more in the end.
        self.bytes += 2 * keys.size_bytes() + size_of_val(hashes);
        self.bytes += 2 * segments.iter().map(|segment| segment.bytes.len()).sum::<usize>();
        self.capture.before.extend(segments);
    }

    fn add_step(&mut self, step: Step) {
        self.bytes += step.emitted.iter().map(Batch::size_bytes).sum::<usize>();
        self.bytes += match &step.input {
            Input::Batch(_, batch) => batch.size_bytes(),
            Input::Timers(due) => due.times.len() * 24 + due.keys.size_bytes(),
        };
        self.capture.batches += u32::from(matches!(step.input, Input::Batch(..)));
        self.capture.steps.push(step);
    }

    fn is_full(&self) -> bool {
        self.capture.batches >= self.batches || self.bytes >= self.bytes_max
    }
}

/// The rows from `from` on.
fn rows_from(batch: &Batch, from: usize) -> Batch {
    let mut rows = batch.empty_like();
    rows.extend_from_range(batch, from, batch.len());
    rows
}

/// Only how long a batch takes is measured: nothing that an operator can see.
#[expect(
    clippy::disallowed_methods,
    reason = "the time that batches take is compared, and nothing else"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
