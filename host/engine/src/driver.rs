//! The driver: tells the coordinator what happens, and does what it decides.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures::executor::block_on;

use crate::channel::{Receiver, Sender};
use crate::clock::Clock;
use crate::coordinator::{Command, Coordinator, Event};
use crate::element::{Control, Report, TaskSnapshot};
use crate::graph::Graph;
use crate::handle::{JobHandle, TaskKind};
use crate::publish::Publisher;

/// What a turn of the driver came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// The job goes on. Turn again when woken, or at this time.
    Running {
        /// When to turn again at the latest.
        until: Option<i64>,
    },
    /// All tasks have finished.
    Completed,
    /// The job cannot go on.
    Failed {
        /// What happened.
        reason: String,
    },
}

/// Carries out what the coordinator decides. Checkpoints are published on the driver's own thread.
#[derive(Debug)]
pub struct Driver {
    coordinator: Coordinator,
    publisher: Option<Publisher>,
    reports: Receiver<Report>,
    controls: Vec<Sender<Control>>,
    /// Words to tasks that found no room yet.
    waiting: VecDeque<(usize, Control)>,
    /// For each task its node and number.
    places: Vec<(usize, u32)>,
    /// What the tasks acknowledged for the epoch that is collected.
    collected: BTreeMap<(usize, u32), TaskSnapshot>,
    collecting: u64,
    triggered_ms: i64,
    stop_seen: bool,
    clock: Arc<dyn Clock>,
    handle: JobHandle,
}

impl Driver {
    pub(crate) fn new(
        graph: &Graph,
        coordinator: Coordinator,
        publisher: Option<Publisher>,
        reports: Receiver<Report>,
        controls: Vec<Sender<Control>>,
        clock: Arc<dyn Clock>,
        handle: &JobHandle,
    ) -> Self {
        let places = graph.nodes.iter().enumerate();
        let places = places.flat_map(|(node, n)| (0..n.parallelism).map(move |task| (node, task)));
        Self {
            coordinator,
            publisher,
            reports,
            controls,
            waiting: VecDeque::new(),
            places: places.collect(),
            collected: BTreeMap::new(),
            collecting: 0,
            triggered_ms: 0,
            stop_seen: false,
            clock,
            handle: handle.clone(),
        }
    }

    /// Takes what the tasks reported, and acts.
    pub fn turn(&mut self) -> Turn {
        self.flush();
        if self.handle.is_stopping() && !self.stop_seen {
            self.stop_seen = true;
            if let Some(end) = self.tell(Event::Stop) {
                return end;
            }
        }
        while let Some(report) = self.reports.try_receive() {
            let event = self.take_report(report);
            if let Some(end) = self.tell(event) {
                return end;
            }
        }
        if let Some(end) = self.tell(Event::Tick) {
            return end;
        }
        self.flush();
        Turn::Running { until: self.coordinator.next_tick() }
    }

    fn take_report(&mut self, report: Report) -> Event {
        match report {
            Report::Acknowledged { task, epoch, snapshot } => {
                if epoch == self.collecting {
                    self.collected.insert(self.places[task.0 as usize], snapshot);
                }
                Event::Acknowledged { task, epoch }
            }
            Report::Exhausted => Event::Exhausted,
            Report::Finished => Event::Finished,
            Report::Failed { reason } => Event::TaskFailed { reason },
        }
    }

    /// Tells the coordinator, and does what it decides, until there is nothing more to do or the job is over.
    fn tell(&mut self, event: Event) -> Option<Turn> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for command in self.coordinator.handle(self.clock.now(), event) {
                match command {
                    Command::Trigger(barrier) => {
                        self.collected.clear();
                        self.collecting = barrier.epoch;
                        self.triggered_ms = self.clock.now();
                        self.send(TaskKind::Source, Control::Trigger(barrier));
                    }
                    Command::Publish { epoch } => events.push_back(self.publish(epoch)),
                    Command::Discard { epoch, reason } => {
                        self.collected.clear();
                        tracing::warn!(epoch, "{reason}; the next checkpoint takes its place");
                    }
                    Command::Commit { epoch } => {
                        self.send(TaskKind::Sink, Control::Committed { epoch });
                    }
                    Command::Complete => return Some(Turn::Completed),
                    Command::Fail { reason } => return Some(Turn::Failed { reason }),
                }
            }
        }
        None
    }

    fn publish(&mut self, epoch: u64) -> Event {
        let publisher = self.publisher.as_mut().expect("only durable jobs publish");
        let snapshots = std::mem::take(&mut self.collected);
        let published =
            block_on(publisher.publish(epoch, self.triggered_ms, snapshots, &*self.clock));
        match published {
            Ok(record) => {
                tracing::debug!(epoch, record.duration_ms, record.written_bytes, "checkpoint");
                self.handle.record(record);
                Event::Published { epoch }
            }
            // Whoever fenced this process goes on with the job; nothing more may be said or committed here.
            Err(error) if error.is_fenced() => Event::TaskFailed { reason: error.chain() },
            Err(error) => {
                let reason = format!("checkpoint {epoch} cannot be published: {}", error.chain());
                Event::PublishFailed { epoch, reason }
            }
        }
    }

    fn send(&mut self, kind: TaskKind, control: Control) {
        for (task, entry) in self.handle.tasks().iter().enumerate() {
            if entry.kind == kind {
                self.waiting.push_back((task, control));
            }
        }
        self.flush();
    }

    fn flush(&mut self) {
        while let Some((task, control)) = self.waiting.pop_front() {
            if let Err(control) = self.controls[task].try_send(control) {
                self.waiting.push_front((task, control));
                return;
            }
        }
    }
}
