//! The line between the driver and the publisher: orders one way, outcomes the other.

use crossbeam_utils::sync::Unparker;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;

use super::CheckpointRecord;
use super::assembly::Place;
use crate::element::{Part, TaskSnapshot};

/// What the driver tells the publisher. Of a checkpoint in this order: its beginning, parts and acknowledgements, then
/// that it is to be published; and nothing of the next one before that.
#[derive(Debug)]
pub(crate) enum Order {
    /// A checkpoint was triggered.
    Begin { epoch: u64, triggered_ms: i64 },
    /// A task sends some of its part ahead.
    Part { epoch: u64, place: Place, part: Part },
    /// A task's part, or what is left of it.
    Acknowledged { epoch: u64, place: Place, snapshot: TaskSnapshot },
    /// All is there. `savepoints` are the names to keep it under.
    Publish { epoch: u64, savepoints: Vec<String> },
}

impl Order {
    pub(super) fn epoch(&self) -> u64 {
        match self {
            Self::Begin { epoch, .. }
            | Self::Part { epoch, .. }
            | Self::Acknowledged { epoch, .. }
            | Self::Publish { epoch, .. } => *epoch,
        }
    }
}

/// What came of an order to publish, or of a collection.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The checkpoint exists. Each savepoint is pinned, or there is a reason why not.
    Published { record: CheckpointRecord, savepoints: Vec<(String, Result<(), String>)> },
    /// There is no such checkpoint, as far as one knows.
    Failed { epoch: u64, reason: String },
    /// Another owner has the job: nothing more may be said or committed here.
    Fenced { reason: String },
    /// The publisher is gone before it was told to.
    Broken,
}

/// The driver's end. Neither queue grows without limit: orders are as many as the checkpoints under way and their tasks
/// have, and parts are counted by the budget; each order to publish has one outcome.
#[derive(Debug)]
pub(crate) struct DriverLine {
    /// `None` once the driver has hung up.
    orders: Option<UnboundedSender<Order>>,
    given_up: watch::Sender<u64>,
    outcomes: UnboundedReceiver<Outcome>,
}

/// The publisher's end.
#[derive(Debug)]
pub(crate) struct PublisherLine {
    pub(super) orders: UnboundedReceiver<Order>,
    /// All checkpoints up to this epoch that do not exist yet are given up. Closed when the driver is gone.
    pub(super) given_up: watch::Receiver<u64>,
    outcomes: UnboundedSender<Outcome>,
    driver: Unparker,
}

/// A line; the publisher wakes the driver by the unparker.
pub(crate) fn line(driver: Unparker) -> (DriverLine, PublisherLine) {
    let (orders, taken) = mpsc::unbounded_channel();
    let (given_up, seen) = watch::channel(0);
    let (outcomes, told) = mpsc::unbounded_channel();
    let driver_line = DriverLine { orders: Some(orders), given_up, outcomes: told };
    (driver_line, PublisherLine { orders: taken, given_up: seen, outcomes, driver })
}

impl DriverLine {
    pub(crate) fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // A publisher that is gone has been fenced, or the job is over; the driver hears of that elsewhere.
            let _ = orders.send(order);
        }
    }

    /// Gives up all checkpoints up to this epoch that do not exist yet, whatever they wait for.
    pub(crate) fn give_up(&self, through: u64) {
        self.given_up.send_replace(through);
    }

    pub(crate) fn next_outcome(&mut self) -> Option<Outcome> {
        match self.outcomes.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Outcome::Broken),
        }
    }

    /// Says that there are no more orders: the publisher ends once it has done what it was told.
    pub(crate) fn hang_up(&mut self) {
        self.orders = None;
    }
}

impl PublisherLine {
    pub(super) fn tell(&self, outcome: Outcome) {
        // A driver that is gone does not want to know.
        let _ = self.outcomes.send(outcome);
        self.driver.unpark();
    }
}
