//! Random histories of a backend, held against a model made of ordered maps.

use std::collections::{BTreeMap, BTreeSet};

use super::driver::{Chain, Change, Datum, Driver, Records, Write, setup};
use super::{Make, Setup};
use crate::backend::Backend;
use crate::declaration::{KeyLayout, TimeDomain};
use crate::snapshot::Snapshot;

/// How many keys a history is about.
pub const KEYS: u8 = 60;
/// How many states it has.
pub const STATES: u8 = 4;
/// How many timer families it has.
pub const TIMERS: u8 = 3;

/// One step of a history.
#[derive(Debug, Clone)]
pub enum Step {
    /// An invocation that writes values (state, key, value or removal) and changes timers (family,
    /// key, time, set).
    Commit(Vec<(u8, u8, Option<u8>)>, Vec<(u8, u8, i8, bool)>),
    /// An invocation over these keys that is not committed.
    Abandon(Vec<u8>),
    /// A snapshot starts, if none runs.
    Start {
        /// Whether every group is to be written in full.
        full: bool,
    },
    /// The running snapshot goes on for that many entries.
    Advance(u8),
    /// The running snapshot, or the last one, is not kept.
    Lose,
    /// The task dies, and is restored from the last snapshot that was kept.
    Die,
}

/// Plays a history on a backend and a model, and compares: values after each commit, the next timer
/// of each clock, every snapshot's segments, and what backends restored from them hold, cut into
/// `parallelism` ranges.
///
/// # Panics
/// If they differ.
pub fn check(
    make: impl Fn(Setup) -> Box<dyn Backend>,
    key: KeyLayout,
    parallelism: u32,
    steps: &[Step],
) {
    let make: Make<'_> = &make;
    let setup = setup(key);
    let mut history = History {
        make,
        parallelism,
        driver: Driver::new(make, &setup),
        setup,
        epoch: 0,
        now: Model::default(),
        last_start: Model::default(),
        touched: Touched::default(),
        running: None,
        must_be_full: true,
        chain: Chain::default(),
        kept: Model::default(),
    };
    for step in steps {
        history.play(step);
    }
    history.play(&Step::Start { full: false });
    while history.running.is_some() {
        history.play(&Step::Advance(7));
    }
}

/// What a backend should hold.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Model {
    values: BTreeMap<(u32, Datum), Datum>,
    timers: BTreeSet<(u32, Datum, i64)>,
}

/// What was written since the last snapshot started.
#[derive(Debug, Default, Clone)]
struct Touched {
    values: BTreeSet<(u32, Datum)>,
    timers: BTreeSet<(u32, Datum, i64)>,
}

/// A snapshot under way: what it must hold, and what held before and was touched in between.
struct Running {
    at_start: Model,
    before: Model,
    touched: Touched,
}

struct History<'a> {
    make: Make<'a>,
    setup: Setup,
    parallelism: u32,
    driver: Driver,
    epoch: u64,
    now: Model,
    last_start: Model,
    touched: Touched,
    running: Option<Running>,
    must_be_full: bool,
    chain: Chain,
    kept: Model,
}

impl History<'_> {
    fn key(&self, number: u8) -> Datum {
        let number = number % KEYS;
        match self.setup.key {
            KeyLayout::U64 => Datum::Word(u64::from(number)),
            KeyLayout::S64 => Datum::Word((i64::from(number) - 5) as u64),
            KeyLayout::Bytes => Datum::Bytes(vec![b'k'; usize::from(number)]),
        }
    }

    fn value(&self, state: u32, number: u8) -> Datum {
        if self.setup.states[state as usize].value.is_words() {
            Datum::Word(u64::from(number))
        } else {
            Datum::Bytes(vec![number; usize::from(number % 40)])
        }
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::Commit(writes, changes) => self.commit(writes, changes),
            Step::Abandon(keys) => {
                let keys: BTreeSet<_> = keys.iter().map(|&key| self.key(key)).collect();
                let keys: Vec<_> = keys.into_iter().collect();
                self.driver.begin(&keys).expect("the keys are of the range");
            }
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
            Step::Die => self.die(),
        }
        self.compare();
    }

    fn commit(&mut self, writes: &[(u8, u8, Option<u8>)], changes: &[(u8, u8, i8, bool)]) {
        let write = |&(state, key, value): &(u8, u8, Option<u8>)| -> Write {
            let state = u32::from(state % STATES);
            (state, self.key(key), value.map(|value| self.value(state, value)))
        };
        let writes: Vec<_> = writes.iter().map(write).collect();
        let change = |&(timer, key, time, set): &(u8, u8, i8, bool)| -> Change {
            (u32::from(timer % TIMERS), self.key(key), i64::from(time), set)
        };
        let changes: Vec<_> = changes.iter().map(change).collect();
        self.driver.commit(&writes, &changes);
        for (state, key, value) in writes {
            self.touched.values.insert((state, key.clone()));
            match value {
                Some(value) => self.now.values.insert((state, key), value),
                None => self.now.values.remove(&(state, key)),
            };
        }
        for (timer, key, time, set) in changes {
            let timer = (timer, key, time);
            self.touched.timers.insert(timer.clone());
            if set {
                self.now.timers.insert(timer);
            } else {
                self.now.timers.remove(&timer);
            }
        }
    }

    fn compare(&mut self) {
        let keys: Vec<_> = (0..KEYS).map(|key| self.key(key)).collect();
        self.driver.begin(&keys).expect("the keys are of the range");
        for state in 0..u32::from(STATES) {
            let loaded = self.driver.load(state, keys.len());
            for (key, value) in keys.iter().zip(loaded) {
                let expected = self.now.values.get(&(state, key.clone()));
                assert_eq!(value.as_ref(), expected, "state {state} of {key:?}");
            }
        }
        for domain in [TimeDomain::EventTime, TimeDomain::ProcessingTime] {
            let of_domain = |timer: u32| self.setup.timers[timer as usize].domain == domain;
            let times = self.now.timers.iter().filter(|(timer, ..)| of_domain(*timer));
            let next = times.map(|&(_, _, time)| time).min();
            assert_eq!(self.driver.backend.next_timer(domain), next);
        }
        let entries = (self.now.values.len() + self.now.timers.len()) as u64;
        assert_eq!(self.driver.backend.entries(), entries);
    }

    fn start(&mut self, full: bool) {
        self.epoch += 1;
        let started = self.driver.backend.start_snapshot(self.epoch, full);
        assert_eq!(started.is_ok(), self.running.is_none(), "one snapshot at a time: {started:?}");
        if started.is_ok() {
            self.must_be_full |= full;
            self.running = Some(Running {
                at_start: self.now.clone(),
                before: std::mem::replace(&mut self.last_start, self.now.clone()),
                touched: std::mem::take(&mut self.touched),
            });
        }
    }

    fn finish(&mut self, snapshot: &Snapshot) {
        let running = self.running.take().expect("only a running snapshot finishes");
        let mut missing: BTreeSet<_> = self.setup.range.iter().collect();
        for segment in &snapshot.segments {
            assert!(missing.remove(&segment.group), "a group has one segment");
            let records = self.driver.records(segment);
            let of_group = |key: &Datum| self.setup.groups.group_of(key.hash()) == segment.group;
            if segment.full {
                assert_eq!(records, full_records(&running.at_start, of_group));
            } else {
                assert!(!self.must_be_full, "every segment of this snapshot is full");
                check_increment(&records, &running, of_group);
            }
        }
        for group in missing {
            let of_group = |key: &Datum| self.setup.groups.group_of(key.hash()) == group;
            let now = full_records(&running.at_start, of_group);
            let stored = self.chain.groups.contains_key(&group);
            if stored {
                let before = full_records(&running.before, of_group);
                assert!(!self.must_be_full && now == before, "{group} has changed");
            } else {
                assert_eq!(now, Records::default(), "{group} was never written");
            }
        }
        self.must_be_full = false;
        self.chain.add(snapshot);
        self.kept = running.at_start;
        self.check_restored();
    }

    fn check_restored(&self) {
        let mut restored = Model::default();
        for mut task in self.chain.restore(self.make, &self.setup, self.parallelism) {
            for key in
                (0..KEYS).map(|key| self.key(key)).filter(|key| task.owns(key)).collect::<Vec<_>>()
            {
                for state in 0..u32::from(STATES) {
                    let value = task.get(state, &key);
                    restored.values.extend(value.map(|value| ((state, key.clone()), value)));
                }
            }
            for domain in [TimeDomain::EventTime, TimeDomain::ProcessingTime] {
                restored.timers.extend(task.drain_timers(domain));
            }
        }
        assert_eq!(restored, self.kept);
    }

    fn die(&mut self) {
        self.driver = self.chain.restore(self.make, &self.setup, 1).remove(0);
        self.now = self.kept.clone();
        self.last_start = self.kept.clone();
        self.touched = Touched::default();
        self.running = None;
        self.must_be_full = false;
    }
}

fn full_records(model: &Model, of_group: impl Fn(&Datum) -> bool) -> Records {
    let values = model.values.iter().filter(|((_, key), _)| of_group(key));
    let timers = model.timers.iter().filter(|(_, key, _)| of_group(key));
    Records {
        values: values.map(|(key, value)| (key.clone(), Some(value.clone()))).collect(),
        timers: timers.map(|timer| (timer.clone(), true)).collect(),
    }
}

/// An increment holds what differs from the snapshot before, and nothing that was not written in
/// between.
fn check_increment(records: &Records, running: &Running, of_group: impl Fn(&Datum) -> bool) {
    let Running { at_start, before, touched } = running;
    for (pair, value) in &records.values {
        assert!(touched.values.contains(pair), "{pair:?} was not written");
        assert_eq!(value.as_ref(), at_start.values.get(pair), "{pair:?}");
    }
    for (timer, set) in &records.timers {
        assert!(touched.timers.contains(timer), "{timer:?} was not changed");
        assert_eq!(*set, at_start.timers.contains(timer), "{timer:?}");
    }
    for pair in touched.values.iter().filter(|(_, key)| of_group(key)) {
        let differs = before.values.get(pair) != at_start.values.get(pair);
        assert!(!differs || records.values.contains_key(pair), "{pair:?} is missing");
    }
    for timer in touched.timers.iter().filter(|(_, key, _)| of_group(key)) {
        let differs = before.timers.contains(timer) != at_start.timers.contains(timer);
        assert!(!differs || records.timers.contains_key(timer), "{timer:?} is missing");
    }
}
