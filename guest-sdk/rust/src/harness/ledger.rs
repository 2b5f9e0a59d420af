//! What the harness's host keeps: committed state, timers and outputs, and the running invocation's
//! changes.
//!
//! State is changed in place, and each change noted so that it can be taken back.

mod handover;
mod host;
mod states;
mod tasks;

use std::cell::{Cell as Memory, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::cell::Cell;
use super::{LogLine, Row, level_name};
use crate::bindings::{
    Description, State, TaskState, TimeDomain, TtlUpdate, TtlVisibility, ValueType,
};
pub(super) use handover::Routes;
use states::{Place, Stamped, States};
use tasks::Tasks;

/// The host's memory.
#[derive(Default)]
pub(super) struct Ledger {
    declared: Vec<State>,
    declared_tasks: Vec<TaskState>,
    domains: Vec<TimeDomain>,
    kept: RefCell<Kept>,
    running: RefCell<Running>,
    pub(super) log: RefCell<Vec<LogLine>>,
    pub(super) watermark: Memory<i64>,
    pub(super) processing_time: Memory<i64>,
    seeds: Memory<u64>,
    calls: RefCell<Vec<&'static str>>,
}

/// A timer: time, key, family, namespace.
type Timer = (i64, Cell, usize, u64);

/// A timer that is due.
pub(super) struct Due {
    pub(super) time: i64,
    pub(super) key: Cell,
    pub(super) namespace: u64,
}

/// What was committed, and what the running invocation has changed in place.
#[derive(Default)]
struct Kept {
    states: States,
    tasks: Tasks,
    timers: BTreeSet<Timer>,
    outputs: BTreeMap<usize, Vec<Row>>,
    metrics: BTreeMap<usize, f64>,
}

/// What the running invocation has done.
#[derive(Default)]
struct Running {
    keys: Vec<Cell>,
    /// The newest event time among each key's records.
    event_times: Vec<Option<i64>>,
    broadcast: bool,
    /// What was in the places that it has changed.
    states: Vec<(Place, Option<Stamped>)>,
    tasks: Vec<(usize, tasks::Task)>,
    timers: Vec<(bool, Timer)>,
    outputs: Vec<(usize, Row)>,
    rejected: Vec<(u32, String)>,
}

impl Running {
    #[track_caller]
    fn key(&self, slot: u32) -> Cell {
        let key = self.keys.get(slot as usize);
        key.unwrap_or_else(|| panic!("slot {slot} was not handed out")).clone()
    }
}

impl Ledger {
    pub(super) fn new(description: &Description) -> Self {
        let kept = Kept { tasks: Tasks::new(description.task_states.len()), ..Kept::default() };
        Self {
            declared: description.states.clone(),
            declared_tasks: description.task_states.clone(),
            domains: description.timers.iter().map(|timer| timer.domain).collect(),
            watermark: Memory::new(i64::MIN),
            kept: RefCell::new(kept),
            ..Self::default()
        }
    }

    /// Starts an invocation over these keys: with records (slot and time), or with timers.
    pub(super) fn begin<'a>(
        &self,
        keys: Vec<Cell>,
        records: impl Iterator<Item = (&'a u32, i64)>,
        broadcast: bool,
    ) {
        let mut event_times = vec![None; keys.len()];
        for (&slot, time) in records {
            let newest = &mut event_times[slot as usize];
            *newest = (*newest).max(Some(time));
        }
        self.calls.borrow_mut().clear();
        *self.running.borrow_mut() = Running { keys, event_times, broadcast, ..Running::default() };
    }

    pub(super) fn roll_back(&self) {
        let running = self.running.take();
        let kept = &mut *self.kept.borrow_mut();
        for (place, before) in running.states.into_iter().rev() {
            kept.states.put(place, before);
        }
        for (task, before) in running.tasks.into_iter().rev() {
            kept.tasks.put(task, before);
        }
    }

    /// Makes the invocation's changes last. Returns the rejected rows.
    pub(super) fn commit(&self) -> Vec<(u32, String)> {
        let running = self.running.take();
        let kept = &mut *self.kept.borrow_mut();
        for (set, timer) in running.timers {
            if set {
                kept.timers.insert(timer)
            } else {
                kept.timers.remove(&timer)
            };
        }
        for (port, row) in running.outputs {
            kept.outputs.entry(port).or_default().push(row);
        }
        running.rejected
    }

    /// Takes the timers of one family that are due next: those that are their keys' earliest, one a
    /// key.
    pub(super) fn take_due(&self, domain: TimeDomain, until: i64) -> Option<(u32, Vec<Due>)> {
        let timers = &mut self.kept.borrow_mut().timers;
        let due: Vec<_> = timers
            .iter()
            .take_while(|(time, ..)| *time <= until)
            .filter(|(_, _, family, _)| self.domains[*family] == domain)
            .cloned()
            .collect();
        let family = due.first()?.2;
        let mut seen = BTreeSet::new();
        let firsts = due.into_iter().filter(|(_, key, ..)| seen.insert(key.clone()));
        let batch: Vec<_> = firsts.filter(|timer| timer.2 == family).collect();
        for timer in &batch {
            timers.remove(timer);
        }
        let due = |(time, key, _, namespace)| Due { time, key, namespace };
        Some((family as u32, batch.into_iter().map(due).collect()))
    }

    /// The value of a state for a key.
    pub(super) fn cell(&self, state: usize, key: &Cell) -> Option<Cell> {
        let kept = self.kept.borrow();
        let found = kept.states.cell(state, key).filter(|found| self.is_visible(state, found));
        found.map(|found| found.value.clone())
    }

    /// The entries of a state for a key: those of a map, or a list's elements by their numbers.
    pub(super) fn entries(&self, state: usize, key: &Cell) -> Vec<(Cell, Cell)> {
        let kept = self.kept.borrow();
        let visible = kept.states.entries(state, key).filter(|(_, it)| self.is_visible(state, it));
        visible.map(|(entry, it)| (entry.clone(), it.value.clone())).collect()
    }

    pub(super) fn task_list(&self, task: usize) -> Vec<Cell> {
        self.kept.borrow().tasks.get(task).list.clone()
    }

    pub(super) fn task_map(&self, task: usize) -> Vec<(Cell, Cell)> {
        self.kept.borrow().tasks.get(task).map.clone().into_iter().collect()
    }

    pub(super) fn timers(&self, family: usize, key: &Cell) -> Vec<(i64, u64)> {
        let kept = self.kept.borrow();
        let of_key = kept.timers.iter().filter(|timer| timer.2 == family && timer.1 == *key);
        of_key.map(|timer| (timer.0, timer.3)).collect()
    }

    pub(super) fn take_output(&self, port: usize) -> Vec<Row> {
        self.kept.borrow_mut().outputs.remove(&port).unwrap_or_default()
    }

    pub(super) fn metric(&self, metric: usize) -> f64 {
        self.kept.borrow().metrics.get(&metric).copied().unwrap_or(0.0)
    }

    #[cfg(test)]
    pub(super) fn calls(&self) -> Vec<&'static str> {
        self.calls.borrow().clone()
    }

    fn note(&self, call: &'static str) {
        self.calls.borrow_mut().push(call);
    }

    fn layout(&self, state: u32) -> ValueType {
        self.declared[state as usize].value.layout
    }

    fn map_key(&self, state: u32) -> ValueType {
        let key = self.declared[state as usize].map_key.as_ref();
        key.map_or(ValueType::U64, |key| super::cell::as_value(key.layout))
    }

    fn now(&self, domain: TimeDomain) -> i64 {
        match domain {
            TimeDomain::EventTime => self.watermark.get(),
            TimeDomain::ProcessingTime => self.processing_time.get(),
        }
    }

    fn is_visible(&self, state: usize, found: &Stamped) -> bool {
        let Some(ttl) = &self.declared[state].ttl else { return true };
        let lives = i64::try_from(ttl.milliseconds).unwrap_or(i64::MAX);
        ttl.visibility == TtlVisibility::ReturnUntilCleaned
            || found.stamp.saturating_add(lives) > self.now(ttl.domain)
    }

    /// When something that is written for a slot begins to live.
    fn stamp(&self, state: u32, slot: u32) -> i64 {
        match &self.declared[state as usize].ttl {
            Some(ttl) if ttl.domain == TimeDomain::EventTime => {
                let times = &self.running.borrow().event_times;
                let newest = times.get(slot as usize).copied().flatten();
                newest.unwrap_or(self.watermark.get())
            }
            _ => self.processing_time.get(),
        }
    }

    fn touches(&self, state: u32) -> bool {
        let ttl = self.declared[state as usize].ttl.as_ref();
        ttl.is_some_and(|ttl| ttl.update == TtlUpdate::OnReadAndWrite)
    }

    /// Changes what is in a place, so that it can be taken back.
    fn put(&self, place: Place, value: Option<Stamped>) {
        let before = self.kept.borrow_mut().states.put(place.clone(), value);
        self.running.borrow_mut().states.push((place, before));
    }

    /// Changes a task's state, so that it can be taken back.
    fn change_task(&self, task: u32, change: impl FnOnce(&mut tasks::Task)) {
        let kept = &mut *self.kept.borrow_mut();
        let before = kept.tasks.get(task as usize).clone();
        self.running.borrow_mut().tasks.push((task as usize, before.clone()));
        let mut after = before;
        change(&mut after);
        kept.tasks.put(task as usize, after);
    }
}

/// The host that operators in a harness call.
pub(super) struct HarnessHost(pub(super) Rc<Ledger>);
