//! A task that takes records out.

use std::collections::VecDeque;

use serde_json::Value;

use super::gate::Incoming;
use super::{Frame, Gate, Step, TaskError, count_in};
use crate::connector::Sink;
use crate::element::{Barrier, BarrierKind, TaskSnapshot};

/// A sink and what goes with it.
#[derive(Debug)]
pub(crate) struct SinkBody {
    gate: Gate,
    sink: Box<dyn Sink>,
    /// Prepared, not known to be committed. All of it goes into every checkpoint, since a checkpoint that failed may
    /// have left the ones before it without a commit.
    prepared: VecDeque<(u64, Value)>,
    /// The stream has ended with the barrier that was seen last.
    ended: bool,
}

impl SinkBody {
    pub(crate) fn new(gate: Gate, sink: Box<dyn Sink>) -> Self {
        Self { gate, sink, prepared: VecDeque::new(), ended: false }
    }

    /// Makes visible what belongs to a checkpoint that exists.
    pub(crate) fn commit(&mut self, epoch: u64) -> Result<(), TaskError> {
        while let Some((_, token)) = self.prepared.pop_front_if(|(prepared, _)| *prepared <= epoch)
        {
            self.sink.commit(&token).map_err(TaskError::new)?;
        }
        Ok(())
    }

    /// Takes what came in.
    pub(crate) fn step(&mut self, frame: &mut Frame) -> Result<Step, TaskError> {
        if self.ended {
            let done = self.prepared.is_empty();
            return Ok(if done { Step::Finished } else { Step::Waiting { until: None } });
        }
        match self.gate.next() {
            None => return Ok(Step::Waiting { until: None }),
            Some(Incoming::Watermark(_)) => {}
            // What operators do about it is nothing to a sink.
            Some(Incoming::Barrier(Barrier { kind: BarrierKind::Flip, .. })) => {}
            Some(Incoming::Batch(_, batch)) => {
                count_in(&frame.metrics, batch.len());
                self.sink.write(&batch).map_err(TaskError::new)?;
            }
            Some(Incoming::Barrier(barrier)) => {
                let token = self.sink.prepare(barrier.epoch).map_err(TaskError::new)?;
                self.prepared.push_back((barrier.epoch, token));
                let tokens = self.prepared.iter().map(|(_, token)| token.clone()).collect();
                let position = Some(Value::Array(tokens));
                let snapshot = TaskSnapshot { position, ..TaskSnapshot::default() };
                frame.acknowledge(barrier.epoch, snapshot);
                self.ended = barrier.last.is_some();
            }
        }
        Ok(Step::Worked)
    }
}
