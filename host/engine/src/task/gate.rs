//! A task's inputs: channels read in turn, aligned at barriers (or counted, with at-least-once), with the watermark
//! merged over them.

use statehouse_operator::Batch;

use crate::barrier::Alignment;
use crate::channel::Receiver;
use crate::element::{Barrier, Element};
use crate::settings::Mode;
use crate::watermark::Merged;

/// One channel that comes in.
#[derive(Debug)]
pub(crate) struct Channel {
    /// The input port that it feeds.
    pub(crate) input: u32,
    pub(crate) receiver: Receiver<Element>,
    /// The watermark that it had at the checkpoint; the lowest number if there is none.
    pub(crate) watermark: i64,
}

/// What the task is to take next.
#[derive(Debug)]
pub(crate) enum Incoming {
    Batch(u32, Batch),
    /// The task's own watermark has moved.
    Watermark(i64),
    /// The barrier has come in on every channel.
    Barrier(Barrier),
}

/// All channels that come in.
#[derive(Debug)]
pub(crate) struct Gate {
    channels: Vec<Channel>,
    alignment: Alignment,
    watermark: Merged,
    /// The channel to look at first, so that none starves.
    next: usize,
}

impl Gate {
    pub(crate) fn new(channels: Vec<Channel>, mode: Mode) -> Self {
        let alignment = Alignment::new(channels.len(), mode);
        let watermark = Merged::new(channels.iter().map(|channel| channel.watermark).collect());
        Self { channels, alignment, watermark, next: 0 }
    }

    /// The next thing to take, if there is one. Elements that need nothing done are passed over.
    pub(crate) fn next(&mut self) -> Option<Incoming> {
        for _ in 0..self.channels.len() {
            let at = self.next;
            self.next = (self.next + 1) % self.channels.len();
            while !self.alignment.is_blocked(at) {
                let Some(element) = self.channels[at].receiver.try_receive() else { break };
                match element {
                    Element::Batch(batch) => {
                        return Some(Incoming::Batch(self.channels[at].input, batch));
                    }
                    Element::Watermark(watermark) => {
                        if let Some(mine) = self.watermark.advance(at, watermark) {
                            return Some(Incoming::Watermark(mine));
                        }
                    }
                    Element::Barrier(barrier) => {
                        if let Some(barrier) = self.alignment.arrive(at, barrier) {
                            return Some(Incoming::Barrier(barrier));
                        }
                    }
                }
            }
        }
        None
    }

    /// Whether a barrier has come in that waits for other channels.
    pub(crate) fn is_aligning(&self) -> bool {
        self.alignment.is_under_way()
    }

    /// The task's watermark.
    pub(crate) fn watermark(&self) -> i64 {
        self.watermark.current()
    }
}
