//! What the harness's host keeps: committed state, timers and outputs, and the running invocation's
//! changes.

use std::cell::{Cell as Memory, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::cell::{Cell, cells_of, column_of};
use super::{LogLine, Row, level_name};
use crate::bindings::{Column, Description, TimeDomain, ValueType, Window};
use crate::host::{Host, Level};

/// The host's memory.
#[derive(Default)]
pub(super) struct Ledger {
    layouts: Vec<ValueType>,
    domains: Vec<TimeDomain>,
    kept: RefCell<Kept>,
    running: RefCell<Running>,
    pub(super) log: RefCell<Vec<LogLine>>,
    pub(super) watermark: Memory<i64>,
    pub(super) processing_time: Memory<i64>,
    seeds: Memory<u64>,
}

/// What was committed.
#[derive(Default)]
struct Kept {
    states: BTreeMap<(usize, Cell), Cell>,
    timers: BTreeSet<(i64, Cell, usize)>,
    outputs: BTreeMap<usize, Vec<Row>>,
    metrics: BTreeMap<usize, f64>,
}

/// What the running invocation has done.
#[derive(Default)]
struct Running {
    keys: Vec<Cell>,
    writes: Vec<(usize, Cell, Option<Cell>)>,
    timers: Vec<(bool, (i64, Cell, usize))>,
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
        Self {
            layouts: description.states.iter().map(|state| state.value.layout).collect(),
            domains: description.timers.iter().map(|timer| timer.domain).collect(),
            watermark: Memory::new(i64::MIN),
            ..Self::default()
        }
    }

    pub(super) fn begin(&self, keys: Vec<Cell>) {
        *self.running.borrow_mut() = Running { keys, ..Running::default() };
    }

    pub(super) fn roll_back(&self) {
        self.begin(Vec::new());
    }

    /// Makes the invocation's changes last. Returns the rejected rows.
    pub(super) fn commit(&self) -> Vec<(u32, String)> {
        let running = self.running.take();
        let kept = &mut *self.kept.borrow_mut();
        for (state, key, value) in running.writes {
            match value {
                Some(value) => drop(kept.states.insert((state, key), value)),
                None => drop(kept.states.remove(&(state, key))),
            }
        }
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
    pub(super) fn take_due(
        &self,
        domain: TimeDomain,
        until: i64,
    ) -> Option<(u32, Vec<(i64, Cell)>)> {
        let timers = &mut self.kept.borrow_mut().timers;
        let due: Vec<_> = timers
            .iter()
            .take_while(|(time, ..)| *time <= until)
            .filter(|(.., family)| self.domains[*family] == domain)
            .cloned()
            .collect();
        let family = due.first()?.2;
        let mut seen = BTreeSet::new();
        let firsts = due.into_iter().filter(|(_, key, _)| seen.insert(key.clone()));
        let batch: Vec<_> = firsts.filter(|timer| timer.2 == family).collect();
        for timer in &batch {
            timers.remove(timer);
        }
        Some((family as u32, batch.into_iter().map(|(time, key, _)| (time, key)).collect()))
    }

    pub(super) fn state(&self, state: usize, key: &Cell) -> Option<Cell> {
        self.kept.borrow().states.get(&(state, key.clone())).cloned()
    }

    pub(super) fn timers(&self, family: usize, key: &Cell) -> Vec<i64> {
        let kept = self.kept.borrow();
        let of_key = kept.timers.iter().filter(|timer| timer.2 == family && timer.1 == *key);
        of_key.map(|timer| timer.0).collect()
    }

    pub(super) fn take_output(&self, port: usize) -> Vec<Row> {
        self.kept.borrow_mut().outputs.remove(&port).unwrap_or_default()
    }

    pub(super) fn metric(&self, metric: usize) -> f64 {
        self.kept.borrow().metrics.get(&metric).copied().unwrap_or(0.0)
    }
}

/// The host that operators in a harness call.
pub(super) struct HarnessHost(pub(super) Rc<Ledger>);

impl HarnessHost {
    fn change_timers(&self, family: u32, slots: &[u32], times: &[i64], set: bool) {
        let running = &mut *self.0.running.borrow_mut();
        for (&slot, &time) in slots.iter().zip(times) {
            let key = running.key(slot);
            running.timers.push((set, (time, key, family as usize)));
        }
    }
}

impl Host for HarnessHost {
    fn load(&self, state: u32) -> Window {
        let state = state as usize;
        let running = self.0.running.borrow();
        let of_key = |key: &Cell| {
            let mut writes = running.writes.iter().rev();
            match writes.find(|(written, of, _)| *written == state && of == key) {
                Some((_, _, value)) => value.clone(),
                None => self.0.state(state, key),
            }
        };
        let mut present = vec![0_u64; running.keys.len().div_ceil(64)];
        let mut cells = Vec::new();
        for (slot, key) in running.keys.iter().enumerate() {
            let value = of_key(key);
            present[slot / 64] |= u64::from(value.is_some()) << (slot % 64);
            cells.push(value.unwrap_or_else(|| Cell::blank(self.0.layouts[state])));
        }
        Window { present, values: column_of(&cells) }
    }

    fn store(&self, state: u32, slots: &[u32], values: &Column) {
        let running = &mut *self.0.running.borrow_mut();
        let cells = cells_of(values);
        assert_eq!(slots.len(), cells.len(), "as many slots as values");
        for (&slot, cell) in slots.iter().zip(cells) {
            let key = running.key(slot);
            running.writes.push((state as usize, key, Some(cell)));
        }
    }

    fn remove(&self, state: u32, slots: &[u32]) {
        let running = &mut *self.0.running.borrow_mut();
        for &slot in slots {
            let key = running.key(slot);
            running.writes.push((state as usize, key, None));
        }
    }

    fn set_timers(&self, timer: u32, slots: &[u32], times: &[i64]) {
        self.change_timers(timer, slots, times, true);
    }

    fn delete_timers(&self, timer: u32, slots: &[u32], times: &[i64]) {
        self.change_timers(timer, slots, times, false);
    }

    fn emit(&self, port: u32, times: &[i64], keys: Option<&Column>, values: &Column) {
        let outputs = &mut self.0.running.borrow_mut().outputs;
        let keys = keys.map(cells_of);
        for (row, (&time, value)) in times.iter().zip(cells_of(values)).enumerate() {
            let key = keys.as_ref().map(|keys| keys[row].clone());
            outputs.push((port as usize, Row { key, value, time }));
        }
    }

    fn reject(&self, rows: &[u32], reasons: &[String]) {
        let rejected = rows.iter().copied().zip(reasons.iter().cloned());
        self.0.running.borrow_mut().rejected.extend(rejected);
    }

    fn processing_time(&self) -> i64 {
        self.0.processing_time.get()
    }

    fn watermark(&self) -> i64 {
        self.0.watermark.get()
    }

    fn random_seed(&self) -> u64 {
        self.0.seeds.set(self.0.seeds.get() + 1);
        self.0.seeds.get()
    }

    fn log(&self, level: Level, message: &str) {
        let line = LogLine { level: level_name(level), line: message.to_owned() };
        self.0.log.borrow_mut().push(line);
    }

    fn add_counter(&self, metric: u32, amount: u64) {
        *self.0.kept.borrow_mut().metrics.entry(metric as usize).or_default() += amount as f64;
    }

    fn set_gauge(&self, metric: u32, value: f64) {
        self.0.kept.borrow_mut().metrics.insert(metric as usize, value);
    }
}
