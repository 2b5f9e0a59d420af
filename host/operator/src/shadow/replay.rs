//! Runs a capture on a small backend that holds the copy of its keys.

use statehouse_state::{
    Backend, DueTimers, HeapBackend, KeyGroup, KeyGroupRange, KeyGroups, Segment, TaskStates,
    TimerId,
};

use super::{Capture, EXAMPLES_MAX, Input, Step};
use crate::batch::Batch;
use crate::description::Description;
use crate::evolution::Evolution;
use crate::invoker::capture::now;
use crate::invoker::{ErrorPolicy, Invoker};
use crate::operator::Operator;

/// The other version, on the copy.
pub(super) struct Shadow {
    invoker: Invoker,
    /// By timer family of the capture, its number now.
    timers: Vec<Option<TimerId>>,
    /// Reasons of failures, the first ones.
    pub(super) failures: Vec<String>,
    /// Whether it could not go on.
    pub(super) ended: bool,
}

impl Shadow {
    /// The other version, with what the keys had before.
    pub(super) fn new(
        capture: &Capture,
        evolution: &Evolution,
        operator: Box<dyn Operator>,
    ) -> Result<Self, String> {
        let mut invoker = invoker(&capture.before, evolution, operator)?;
        if let (Some((declared, bytes)), Some(states)) =
            (&capture.task_states, invoker.task_states())
        {
            let restored = TaskStates::restore(declared, &[bytes], 0, 1);
            let restored = restored.map_err(|error| error.to_string())?;
            let declarations: Vec<_> = states.declarations().cloned().collect();
            *states = restored.evolved(&declarations);
        }
        let number = |name: &String| {
            let place = evolution.timers.iter().position(|timer| timer.name == *name);
            place.map(|place| TimerId(place as u32))
        };
        let timers = capture.timers.iter().map(|timer| number(&timer.name)).collect();
        Ok(Self { invoker, timers, failures: Vec::new(), ended: false })
    }

    /// Does what was done: what came out, and the nanoseconds that it took. `None` if the operator cannot go on.
    pub(super) fn replay(&mut self, capture: &Capture, step: &Step) -> Option<(&[Batch], u64)> {
        debug_assert!(self.timers.len() == capture.timers.len());
        let started = now();
        let result = match &step.input {
            Input::Batch(port, batch) => self.invoker.process(*port, batch, step.moment),
            // Timers that are not declared any more do not fire.
            Input::Timers(due) => match self.timers[due.timer.0 as usize] {
                Some(timer) => {
                    let due = DueTimers { timer, ..due.clone() };
                    self.invoker.fire(&due, step.moment)
                }
                None => Ok(()),
            },
        };
        let took = started.elapsed().as_nanos() as u64;
        self.note_letters();
        if let Err(error) = result {
            self.ended = true;
            self.failures.truncate(EXAMPLES_MAX - 1);
            self.failures.push(error.to_string());
            return None;
        }
        Some((self.invoker.outputs(), took))
    }

    /// Takes the reasons out of the letters.
    fn note_letters(&mut self) {
        let letters = self.invoker.dead_letters();
        if let statehouse_state::Column::Bytes(values) = &letters.values {
            let room = EXAMPLES_MAX - self.failures.len();
            let reason = |letter: &[u8]| {
                let letter: serde_json::Value = serde_json::from_slice(letter).ok()?;
                Some(letter["reason"].as_str()?.to_owned())
            };
            self.failures.extend(values.iter().filter_map(reason).take(room));
        }
        letters.clear();
    }

    /// Forgets what came out.
    pub(super) fn drain(&mut self) {
        self.invoker.outputs().iter_mut().for_each(Batch::clear);
    }

    /// Records and timers that were not taken.
    pub(super) fn rejected(&self) -> u64 {
        self.invoker.rejected()
    }

    /// What the keys have in the end, in its newest form, and the operator.
    pub(super) fn end(
        mut self,
        capture: &Capture,
    ) -> Result<(Vec<Segment>, Box<dyn Operator>), String> {
        sweep(&mut self.invoker)?;
        let segments = copied(&mut self.invoker, capture)?;
        Ok((segments, self.invoker.into_parts().0))
    }
}

/// What the version before left, in the form of the other one, and how many values cannot have it.
pub(super) fn expected(
    capture: &Capture,
    evolution: &Evolution,
    operator: Box<dyn Operator>,
) -> Result<(Vec<Segment>, u64), String> {
    let mut invoker = invoker(&capture.after, evolution, operator)?;
    sweep(&mut invoker)?;
    Ok((copied(&mut invoker, capture)?, invoker.migration().left))
}

/// The operator over a copy. What it cannot take it sets aside.
fn invoker(
    segments: &[Segment],
    evolution: &Evolution,
    operator: Box<dyn Operator>,
) -> Result<Invoker, String> {
    let backend = backend(operator.description(), evolution, segments)?;
    let invoker = Invoker::new(operator, backend, ErrorPolicy::DeadLetter);
    Ok(invoker.with_evolution(evolution))
}

/// All keys are of one group here: what is in segments says nothing of groups.
fn backend(
    now: &Description,
    evolution: &Evolution,
    segments: &[Segment],
) -> Result<Option<Box<dyn Backend>>, String> {
    let Some(key) = now.state_key() else { return Ok(None) };
    let groups = KeyGroups::new(1).expect("one group is a number of groups");
    let range = KeyGroupRange::all(groups);
    let Evolution { states, timers, .. } = evolution;
    let restored = HeapBackend::new(key.layout, states, timers, groups, range)
        .and_then(|mut backend| {
            backend.drop_unclaimed();
            for segment in segments {
                // Each is about keys of its own, so that none stands for the whole group.
                backend.restore(KeyGroup(0), false, &segment.bytes)?;
            }
            Ok(backend)
        })
        .map_err(|error| error.to_string())?;
    Ok(Some(Box::new(restored)))
}

/// Moves all values that can be moved.
fn sweep(invoker: &mut Invoker) -> Result<(), String> {
    while !invoker.sweep(usize::MAX).map_err(|error| error.to_string())?.done {}
    Ok(())
}

fn copied(invoker: &mut Invoker, capture: &Capture) -> Result<Vec<Segment>, String> {
    let Some(backend) = invoker.backend() else { return Ok(Vec::new()) };
    backend.copy_keys(&capture.keys, &capture.hashes).map_err(|error| error.to_string())
}
