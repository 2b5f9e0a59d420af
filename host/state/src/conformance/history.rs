//! Random histories of a backend, held against a model made of ordered maps.

mod evolving;
mod model;
mod segments;
#[cfg(test)]
mod strategy;

use std::collections::{BTreeMap, BTreeSet};

use super::driver::{Batch, Chain, Datum, Driver, Op};
use super::states::setup;
use super::{Make, Setup};
use crate::backend::{Backend, Now};
use crate::declaration::{KeyLayout, StateDeclaration, StateKind, TimeDomain};
use crate::key::{KeyGroupRange, KeyGroups};
use crate::snapshot::Snapshot;

use model::{Model, Touched};
#[cfg(test)]
pub use strategy::steps;

/// How many keys a history is about.
pub const KEYS: u8 = 60;
/// How many entry keys.
pub const ENTRIES: u8 = 24;

/// A write to a state. Its parts are numbers of which the history makes what the state takes.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Write {
    pub state: u8,
    pub key: u8,
    pub op: u8,
    pub entry: u8,
    pub value: u8,
}

/// A timer to set or delete.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Timer {
    pub timer: u8,
    pub key: u8,
    pub time: i8,
    pub namespace: u8,
    pub set: bool,
}

/// One step of a history.
#[derive(Debug, Clone)]
pub enum Step {
    /// An invocation that writes, with event times around that of the watermark if `records_have_times`.
    #[expect(missing_docs, reason = "the names say it")]
    Commit { writes: Vec<Write>, timers: Vec<Timer>, records_have_times: bool },
    /// An invocation over these keys that is not committed.
    Abandon(Vec<u8>),
    /// The clocks go on by that many milliseconds.
    #[expect(missing_docs, reason = "the names say it")]
    Time { processing: u8, event: u8 },
    /// A snapshot starts, if none runs.
    Start {
        /// Whether every group is to be written in full.
        full: bool,
    },
    /// The running snapshot goes on for that many entries.
    Advance(u8),
    /// The running snapshot, or the last one, is not kept.
    Lose,
    /// A state gets a newer form.
    Retire(u8),
    /// States change places.
    Rotate(u8),
    /// Values of an older form move, for these keys.
    #[expect(missing_docs, reason = "the names say it")]
    Move { state: u8, keys: Vec<u8> },
    /// Some values of an older form move.
    #[expect(missing_docs, reason = "the names say it")]
    Sweep { state: u8, limit: u8 },
    /// A snapshot starts and the backend is held, if none runs.
    Hold,
    /// It is not held any more.
    Release,
    /// It goes back, if it is held.
    Revert,
    /// The task dies, and is restored from the last snapshot that was kept, on the other backend.
    Die,
}

/// Plays a history on a backend and a model, and compares: what keys have after each step, the next timer of each
/// clock, every snapshot's segments, and what backends of `restore_on` that were restored from them hold, cut into
/// `parallelism` ranges. When the task dies, the two kinds of backends change places.
///
/// # Panics
/// If they differ.
pub fn check(
    make: impl Fn(Setup) -> Box<dyn Backend>,
    restore_on: impl Fn(Setup) -> Box<dyn Backend>,
    key: KeyLayout,
    parallelism: u32,
    steps: &[Step],
) {
    let makes = [Make::new(&make), Make::new(&restore_on)];
    // So few groups that a group's keys outgrow its first table.
    let groups = KeyGroups::new(3).expect("three is a number of key groups");
    let setup = Setup { groups, range: KeyGroupRange::all(groups), ..setup(key) };
    let mut history = History {
        makes,
        parallelism,
        driver: Driver::new(makes[0], &setup),
        setup,
        epoch: 0,
        event_time: 100,
        serial: 0,
        model: Model::default(),
        last_start: Model::default(),
        touched: Touched::default(),
        running: None,
        must_be_full: true,
        chain: Chain::default(),
        kept: Model::default(),
        kept_setup: None,
        held: None,
    };
    for step in steps {
        history.play(step);
    }
    history.play(&Step::Start { full: false });
    while history.running.is_some() {
        history.play(&Step::Advance(7));
    }
    history.compare(0..KEYS);
}

/// A snapshot under way: what it must hold, and what held before and was touched in between.
struct Running {
    at_start: Model,
    before: Model,
    touched: Touched,
    now: Now,
}

struct History<'a> {
    /// What the task runs on, and what its snapshots are restored on.
    makes: [Make<'a>; 2],
    setup: Setup,
    parallelism: u32,
    driver: Driver,
    epoch: u64,
    /// The highest watermark so far, or where it will begin.
    event_time: i64,
    /// The number of the last list element.
    serial: u64,
    model: Model,
    last_start: Model,
    touched: Touched,
    running: Option<Running>,
    must_be_full: bool,
    chain: Chain,
    kept: Model,
    /// What was served when the last snapshot was made.
    kept_setup: Option<Setup>,
    held: Option<evolving::Held>,
}

impl History<'_> {
    fn key(&self, number: u8) -> Datum {
        let number = number % KEYS;
        match self.setup.key {
            KeyLayout::U64 => Datum::Word(u64::from(number)),
            KeyLayout::S64 => Datum::signed(i64::from(number) - 5),
            KeyLayout::Bytes => Datum::Bytes(vec![b'k'; usize::from(number)]),
        }
    }

    fn play(&mut self, step: &Step) {
        let mut keys = Vec::new();
        match step {
            Step::Commit { writes, timers, records_have_times } => {
                keys.extend(writes.iter().map(|write| write.key));
                self.commit(writes, timers, *records_have_times);
            }
            Step::Abandon(numbers) => {
                let numbers: BTreeSet<_> = numbers.iter().map(|number| number % KEYS).collect();
                keys.extend(numbers);
                let keys: Vec<_> = keys.iter().map(|&key| self.key(key)).collect();
                self.driver.begin(&keys).expect("the keys are of the range");
            }
            Step::Time { processing, event } => self.pass(*processing, *event),
            Step::Start { full } => self.start(*full),
            Step::Advance(entries) => {
                let advanced = self.driver.backend.advance_snapshot(usize::from(*entries));
                if let Some(snapshot) = advanced.expect("the storage works") {
                    self.finish(&snapshot);
                }
            }
            Step::Lose => {
                self.driver.backend.abandon_snapshot();
                self.running = None;
                self.must_be_full = true;
            }
            Step::Retire(state) => self.retire(*state),
            Step::Rotate(places) => self.rotate(*places),
            Step::Move { state, keys: numbers } => {
                self.move_keys(*state, numbers);
                keys.extend(numbers);
            }
            Step::Sweep { state, limit } => {
                self.sweep(*state, *limit);
                keys.extend(0..KEYS);
            }
            Step::Hold => self.hold(),
            Step::Release => self.release(),
            Step::Revert => self.revert(),
            Step::Die => {
                self.die();
                keys.extend(0..KEYS);
            }
        }
        self.compare(keys);
    }

    fn commit(&mut self, writes: &[Write], timers: &[Timer], records_have_times: bool) {
        let mut batch = Batch::default();
        for write in writes {
            let state = u32::from(write.state) % self.active() as u32;
            let key = self.key(write.key);
            if records_have_times {
                let time = self.event_time + i64::from(write.key % 24) - 12;
                batch.event_times.insert(key.clone(), time);
            }
            if let Some(op) = self.op(state, &key, write) {
                batch.writes.push((state, key, op));
            }
        }
        for &Timer { timer, key, time, namespace, set } in timers {
            let timer = u32::from(timer) % self.setup.timers.len() as u32;
            let namespace = u64::from(namespace % 3);
            batch.timers.push((timer, self.key(key), i64::from(time), namespace, set));
        }
        self.driver.apply(&batch);
        let now = self.driver.now;
        self.model.apply(&batch, &self.setup.states, now, &mut self.touched);
    }

    /// What a write does, in a way that its state knows.
    fn op(&mut self, state: u32, key: &Datum, write: &Write) -> Option<Op> {
        let declared = self.setup.states[state as usize].clone();
        let number = write.op % 9;
        Some(match declared.kind {
            StateKind::List => match number {
                0..=4 => {
                    self.serial += 1;
                    Op::Append(model::element(&declared, self.serial))
                }
                8 => Op::Clear,
                _ => {
                    let elements = self.driver.entries(state, key);
                    let at = usize::from(write.entry).checked_rem(elements.len())?;
                    let number = elements[at].0.clone();
                    self.model.number(state, key, &elements[at]);
                    if number_is_touch(write.op) {
                        Op::TouchEntry(number)
                    } else {
                        Op::RemoveEntry(number)
                    }
                }
            },
            StateKind::Map => match number {
                0..=4 => Op::Put(entry(&declared, write.entry), value(&declared, write.value)),
                5 | 6 => Op::RemoveEntry(entry(&declared, write.entry)),
                7 => Op::TouchEntry(entry(&declared, write.entry)),
                _ => Op::Clear,
            },
            kind => match number {
                0..=4 if kind == StateKind::Reducing => Op::Merge(value(&declared, write.value)),
                0..=4 | 8 => Op::Set(value(&declared, write.value)),
                5 | 6 => Op::Remove,
                _ => Op::Touch,
            },
        })
    }

    fn pass(&mut self, processing: u8, event: u8) {
        let now = &mut self.driver.now;
        now.processing_time += i64::from(processing);
        if event > 0 {
            self.event_time += i64::from(event);
            now.watermark = self.event_time;
        }
        self.driver.begin(&[]).expect("an invocation may have no keys");
    }

    fn compare(&mut self, keys: impl IntoIterator<Item = u8>) {
        let keys: BTreeSet<_> = keys.into_iter().map(|key| self.key(key)).collect();
        let keys: Vec<_> = keys.into_iter().collect();
        self.model.compare(&mut self.driver, &keys);
        for domain in [TimeDomain::EventTime, TimeDomain::ProcessingTime] {
            let of_domain = |timer: u32| self.setup.timers[timer as usize].domain == domain;
            let times = self.model.timers.iter().filter(|(timer, ..)| of_domain(*timer));
            let next = times.map(|&(_, _, time, _)| time).min();
            assert_eq!(self.driver.backend.next_timer(domain), next);
        }
    }

    fn start(&mut self, full: bool) {
        self.epoch += 1;
        let started = self.driver.backend.start_snapshot(self.epoch, full);
        assert_eq!(started.is_ok(), self.running.is_none(), "one snapshot at a time: {started:?}");
        if started.is_ok() {
            self.held = None;
            self.must_be_full |= full;
            self.running = Some(Running {
                at_start: self.model.clone(),
                before: std::mem::replace(&mut self.last_start, self.model.clone()),
                touched: std::mem::take(&mut self.touched),
                now: self.driver.now,
            });
        }
    }

    fn finish(&mut self, snapshot: &Snapshot) {
        let running = self.running.take().expect("only a running snapshot finishes");
        if snapshot.tables.is_none() {
            segments::check(&self.driver, &running, snapshot, &self.chain, self.must_be_full);
        }
        self.must_be_full = false;
        self.chain.add(snapshot);
        self.kept = running.at_start;
        self.kept_setup = Some(self.setup.clone());
        self.check_restored();
    }

    fn check_restored(&self) {
        let mut timers = BTreeSet::new();
        for mut task in self.chain.restore(self.makes[1], &self.setup, self.parallelism) {
            task.now = self.driver.now;
            let keys = (0..KEYS).map(|key| self.key(key));
            let keys: Vec<_> = keys.filter(|key| task.owns(key)).collect();
            self.kept.compare(&mut task, &keys);
            for domain in [TimeDomain::EventTime, TimeDomain::ProcessingTime] {
                timers.extend(task.drain_timers(domain));
            }
        }
        assert_eq!(timers, self.kept.timers, "restored timers");
    }

    fn die(&mut self) {
        self.makes.swap(0, 1);
        if let Some(setup) = &self.kept_setup {
            self.setup = setup.clone();
        }
        self.held = None;
        let now = self.driver.now;
        self.driver = self.chain.restore(self.makes[0], &self.setup, 1).remove(0);
        self.driver.now = now;
        self.model = self.kept.clone();
        self.last_start = self.kept.clone();
        self.touched = Touched::default();
        self.running = None;
        self.must_be_full = false;
    }
}

fn number_is_touch(op: u8) -> bool {
    op % 9 == 7
}

/// An entry key of a map: in no order of the numbers, with those that are hard to keep in order.
fn entry(state: &StateDeclaration, number: u8) -> Datum {
    let number = number % ENTRIES;
    match state.map_key {
        Some(KeyLayout::S64) => Datum::signed((i64::from(number) - 12) * (1 << 40)),
        Some(KeyLayout::Bytes) => {
            let bytes: &[&[u8]] = &[b"", b"\0", b"\0\0", b"\0\x01", b"\x01", b"a", b"a\0", b"ab"];
            match bytes.get(usize::from(number)) {
                Some(bytes) => Datum::from(*bytes),
                None => Datum::Bytes(vec![0xff; usize::from(number) - 7]),
            }
        }
        _ => Datum::Word(u64::from(number) << 56 | u64::from(number)),
    }
}

/// A value of a state.
fn value(state: &StateDeclaration, number: u8) -> Datum {
    if state.value.is_words() {
        return Datum::Word(u64::from(number).wrapping_sub(9));
    }
    if state.name == "tags" {
        return Datum::Bytes(vec![1, number % 40]);
    }
    Datum::Bytes(vec![number; usize::from(number % 40)])
}

/// Entries by state, key and entry key.
type ByEntry<T> = BTreeMap<(u32, Datum, Datum), T>;
