//! The driver: tells the coordinator what happens, and does what it decides.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::channel::{Receiver, Sender};
use crate::clock::Clock;
use crate::coordinator::{Command, Coordinator, Event};
use crate::element::{Barrier, BarrierKind, Control, Report, TaskIndex};
use crate::graph::Graph;
use crate::handle::desk::Taken;
use crate::handle::{JobHandle, Stop, TaskKind};
use crate::publish::CheckpointRecord;
use crate::publish::assembly::Place;
use crate::publish::line::{DriverLine, Order, Outcome};
use crate::savepoint::{Asked, SavepointRecord};
use crate::swap::Decision;

mod swap;

use self::swap::Swapping;

/// What a turn of the driver came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// The job goes on. Turn again when woken, or at this time.
    Running {
        /// When to turn again at the latest.
        until: Option<i64>,
    },
    /// The sources came to their end, and everything was committed.
    Finished,
    /// The job was asked to end, and has.
    Stopped(Stop),
    /// A swap is undone. What is left is taken over by [`Driver::roll_back`].
    RolledBack,
    /// The job cannot go on.
    Failed {
        /// What happened.
        reason: String,
    },
}

/// The ends of channels that belong to the driver.
#[derive(Debug)]
pub(crate) struct DriverEnds {
    /// To the publisher; `None` if the job keeps no checkpoints.
    pub(crate) line: Option<DriverLine>,
    pub(crate) reports: Receiver<Report>,
    pub(crate) controls: Vec<Sender<Control>>,
}

/// Carries out what the coordinator decides.
#[derive(Debug)]
pub struct Driver {
    coordinator: Coordinator,
    ends: DriverEnds,
    /// Words to tasks that found no room yet.
    waiting: VecDeque<(usize, Control)>,
    places: Vec<Place>,
    /// The highest epoch that was triggered, and those up to which checkpoints were given up.
    triggered: u64,
    given_up: u64,
    stop_seen: Option<Stop>,
    swap: Swapping,
    /// Savepoints that wait for the next barrier.
    asked: Vec<Asked>,
    /// Savepoints whose checkpoint is under way, by its epoch.
    saving: BTreeMap<u64, Vec<Asked>>,
    clock: Arc<dyn Clock>,
    handle: JobHandle,
}

impl Driver {
    pub(crate) fn new(
        graph: &Graph,
        coordinator: Coordinator,
        ends: DriverEnds,
        clock: Arc<dyn Clock>,
        handle: &JobHandle,
    ) -> Self {
        let nodes = graph.nodes.iter().enumerate();
        let places = nodes
            .flat_map(|(node, entry)| (0..entry.parallelism).map(move |task| Place { node, task }));
        Self {
            coordinator,
            ends,
            waiting: VecDeque::new(),
            places: places.collect(),
            triggered: 0,
            given_up: 0,
            stop_seen: None,
            swap: Swapping::default(),
            asked: Vec::new(),
            saving: BTreeMap::new(),
            clock,
            handle: handle.clone(),
        }
    }

    /// Takes what the tasks and the publisher reported and what the user asked for, and acts.
    pub fn turn(&mut self) -> Turn {
        self.flush();
        match self.take_all() {
            Some(end) => {
                match &end {
                    Turn::Failed { reason } => self.end(&format!("the job has failed: {reason}")),
                    // What was asked for and not done is left to the next run.
                    Turn::RolledBack => {}
                    _ => self.end("the job has ended"),
                }
                end
            }
            None => {
                self.flush();
                Turn::Running { until: self.coordinator.next_tick() }
            }
        }
    }

    /// Says that no orders follow, so that the publisher ends when it has done what it was told. It is cut short when
    /// the driver is dropped.
    pub fn hang_up(&mut self) {
        if let Some(line) = &mut self.ends.line {
            line.hang_up();
        }
    }

    /// Takes everything that has happened. Something if the job is over.
    fn take_all(&mut self) -> Option<Turn> {
        if let Some(end) = self.take_wishes() {
            return Some(end);
        }
        while let Some(report) = self.ends.reports.try_receive() {
            if let Some(event) = self.take_report(report)
                && let Some(end) = self.tell(event)
            {
                return Some(end);
            }
        }
        while let Some(outcome) = self.ends.line.as_mut().and_then(DriverLine::next_outcome) {
            let event = self.take_outcome(outcome);
            if let Some(end) = self.tell(event) {
                return Some(end);
            }
        }
        self.tell(Event::Tick)
    }

    fn take_wishes(&mut self) -> Option<Turn> {
        let desk = self.handle.desk();
        self.waiting.extend(desk.captures.orders(self.handle.tasks()));
        let Taken { stop, savepoints, swap, decision } = desk.take();
        if stop > self.stop_seen
            && let Some(stop) = stop
        {
            self.stop_seen = Some(stop);
            if let Some(end) = self.tell(Event::Stop(stop)) {
                return Some(end);
            }
        }
        for asked in savepoints {
            if self.ends.line.is_none() {
                asked.answer(Err(
                    "the job keeps no checkpoints; set `dir` of `[checkpoint]` for it to keep some"
                        .to_owned(),
                ));
                continue;
            }
            let then = asked.request().then;
            self.asked.push(asked);
            if let Some(end) = self.tell(Event::Savepoint { then }) {
                return Some(end);
            }
        }
        if let Some(swap) = swap {
            let event = self.swap.take(swap);
            if let Some(end) = self.tell(event) {
                return Some(end);
            }
        }
        match decision? {
            Decision::Keep => self.tell(Event::Keep),
            Decision::RollBack { reason } => self.tell(Event::RollBack { reason }),
        }
    }

    fn take_report(&mut self, report: Report) -> Option<Event> {
        match report {
            Report::Part { task, epoch, part } => {
                let place = self.place(task);
                self.order(Order::Part { epoch, place, part });
                None
            }
            Report::Acknowledged { task, epoch, snapshot } => {
                let place = self.place(task);
                self.order(Order::Acknowledged { epoch, place, snapshot });
                Some(Event::Acknowledged { task, epoch })
            }
            Report::Captured { task, capture } => {
                let entry = &self.handle.tasks()[task.0 as usize];
                self.handle.desk().captures.captured(entry, capture);
                None
            }
            Report::Exhausted => Some(Event::Exhausted),
            Report::Finished => Some(Event::Finished),
            Report::Flipped { task, epoch, before } => {
                // That may take a while, which is nothing to the task.
                drop(before);
                Some(Event::Flipped { task, epoch })
            }
            Report::Failed { reason } => Some(Event::TaskFailed { reason }),
        }
    }

    fn take_outcome(&mut self, outcome: Outcome) -> Event {
        match outcome {
            Outcome::Published { record, mut savepoints } => {
                let epoch = record.epoch;
                // One that was given up may exist all the same; nobody is told.
                if epoch > self.given_up {
                    let (duration, bytes) = (record.duration_ms, record.written_bytes);
                    tracing::debug!(epoch, duration, bytes, "checkpoint");
                    self.handle.desk().record(record);
                    let pinned = self.swap.take_pin(epoch, &mut savepoints);
                    self.answer_savepoints(&record, savepoints);
                    if let Err(reason) = pinned {
                        self.tell(Event::PinFailed { reason });
                    }
                }
                Event::Published { epoch }
            }
            Outcome::Failed { epoch, reason } => Event::PublishFailed { epoch, reason },
            Outcome::Fenced { reason } => Event::Failed { reason },
            Outcome::Broken => Event::Failed {
                reason: "the publisher of checkpoints broke an assumption of its own and is gone"
                    .to_owned(),
            },
        }
    }

    fn answer_savepoints(
        &mut self,
        record: &CheckpointRecord,
        pinned: Vec<(String, Result<(), String>)>,
    ) {
        let mut pinned = pinned.into_iter();
        for asked in self.saving.remove(&record.epoch).unwrap_or_default() {
            let name = asked.request().name.clone();
            let result = match &name {
                // The checkpoint alone was asked for, and exists.
                None => Ok(()),
                Some(_) => match pinned.next() {
                    Some((_, result)) => result,
                    None => Err("the savepoint was not kept with its checkpoint".to_owned()),
                },
            };
            asked.answer(result.map(|()| SavepointRecord {
                name,
                epoch: record.epoch,
                triggered_ms: record.triggered_ms,
                duration_ms: record.duration_ms,
                written_bytes: record.written_bytes,
                state_bytes: record.state_bytes,
            }));
        }
    }

    /// Tells the coordinator, and does what it decides. Something if the job is over.
    fn tell(&mut self, event: Event) -> Option<Turn> {
        for command in self.coordinator.handle(self.clock.now(), event) {
            match command {
                Command::Trigger(barrier) => self.trigger(barrier),
                Command::Publish { epoch } => {
                    let asked = self.saving.get(&epoch).into_iter().flatten();
                    let savepoints = asked.filter_map(|asked| asked.request().name.clone());
                    // The swap's is the last one.
                    let savepoints = savepoints.chain(self.swap.savepoint(epoch)).collect();
                    self.order(Order::Publish { epoch, savepoints });
                }
                Command::Discard { from, reason } => self.discard(from, &reason),
                Command::Commit { epoch } => {
                    self.send(TaskKind::Sink, || Control::Committed { epoch });
                }
                Command::Swap(stage) => self.swap_at(stage),
                Command::RollBack { to, reason } => {
                    self.swap.undo(to, reason);
                    return Some(Turn::RolledBack);
                }
                Command::Complete { stopped: None } => return Some(Turn::Finished),
                Command::Complete { stopped: Some(stop) } => return Some(Turn::Stopped(stop)),
                Command::Fail { reason } => return Some(Turn::Failed { reason }),
            }
        }
        None
    }

    fn trigger(&mut self, barrier: Barrier) {
        let (epoch, triggered_ms) = (barrier.epoch, self.clock.now());
        self.triggered = epoch;
        if barrier.kind != BarrierKind::Flip {
            self.saving.insert(epoch, std::mem::take(&mut self.asked));
            self.order(Order::Begin { epoch, triggered_ms });
        }
        self.send(TaskKind::Source, || Control::Trigger(barrier));
    }

    fn discard(&mut self, from: u64, reason: &str) {
        tracing::warn!(epoch = from, "{reason}; the next checkpoint takes its place");
        self.given_up = self.triggered;
        if let Some(line) = &self.ends.line {
            line.give_up(self.triggered);
        }
        for asked in self.saving.split_off(&from).into_values().flatten() {
            asked.answer(Err(format!("its checkpoint failed: {reason}")));
        }
    }

    /// Refuses what was asked for and did not come to be.
    fn end(&mut self, reason: &str) {
        if self.swap.is_undone() {
            return;
        }
        self.handle.desk().close(reason);
        self.swap.run_ends(reason);
        let saving = std::mem::take(&mut self.saving).into_values().flatten();
        for asked in saving.chain(std::mem::take(&mut self.asked)) {
            asked.answer(Err(reason.to_owned()));
        }
    }

    fn place(&self, task: TaskIndex) -> Place {
        self.places[task.0 as usize]
    }

    fn order(&self, order: Order) {
        if let Some(line) = &self.ends.line {
            line.order(order);
        }
    }

    fn send(&mut self, kind: TaskKind, control: impl Fn() -> Control) {
        for (task, entry) in self.handle.tasks().iter().enumerate() {
            if entry.kind == kind {
                self.waiting.push_back((task, control()));
            }
        }
        self.flush();
    }

    fn flush(&mut self) {
        while let Some((task, control)) = self.waiting.pop_front() {
            if let Err(control) = self.ends.controls[task].try_send(control) {
                self.waiting.push_front((task, control));
                return;
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.end("the job has ended");
    }
}
