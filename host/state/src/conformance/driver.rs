//! Drives a backend by single keys and values, and keeps the chains of its snapshots.

use std::collections::BTreeMap;

use super::{Make, Setup};
use crate::backend::{Backend, Now};
use crate::column::Column;
use crate::declaration::{
    KeyLayout, StateDeclaration, StateId, StateKind, TimeDomain, TimerDeclaration, TimerId,
    ValueLayout,
};
use crate::error::Error;
use crate::key::{KeyGroup, KeyGroupRange, KeyGroups, hash_bytes, hash_column, hash_word};
use crate::segment::{Cell, Reader, Record, Schema};
use crate::snapshot::{Segment, Snapshot};
use crate::window::Window;
use crate::writes::{TimerChange, WriteSet};

/// A key or a value of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Datum {
    /// A number's 64 bits.
    Word(u64),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Datum {
    pub(super) fn hash(&self) -> u64 {
        match self {
            Self::Word(word) => hash_word(*word),
            Self::Bytes(bytes) => hash_bytes(bytes),
        }
    }

    pub(super) fn push_to(&self, column: &mut Column) {
        match (self, column) {
            (Self::Word(word), Column::Words(words)) => words.push(*word),
            (Self::Bytes(bytes), Column::Bytes(rows)) => rows.push(bytes),
            _ => panic!("{self:?} is not of the column's kind"),
        }
    }

    pub(super) fn at(column: &Column, row: usize) -> Self {
        match column {
            Column::Words(words) => Self::Word(words[row]),
            Column::Bytes(rows) => Self::Bytes(rows.get(row).to_vec()),
        }
    }
}

impl From<Cell<'_>> for Datum {
    fn from(cell: Cell<'_>) -> Self {
        match cell {
            Cell::Word(word) => Self::Word(word),
            Cell::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}

impl From<u64> for Datum {
    fn from(word: u64) -> Self {
        Self::Word(word)
    }
}

impl From<&str> for Datum {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

/// A value state.
pub(super) fn state(name: &str, value: ValueLayout) -> StateDeclaration {
    StateDeclaration {
        name: name.to_owned(),
        kind: StateKind::Value,
        value,
        codec: "raw".to_owned(),
        schema: None,
        map_key: None,
        merge: None,
        ttl: None,
        schema_version: 1,
    }
}

/// A timer family.
pub(super) fn timer(name: &str, domain: TimeDomain) -> TimerDeclaration {
    TimerDeclaration { name: name.to_owned(), domain }
}

/// What most cases use: one state of each layout and a timer family of each clock.
pub(super) fn setup(key: KeyLayout) -> Setup {
    let groups = KeyGroups::new(8).expect("eight is a number of key groups");
    Setup {
        key,
        states: vec![
            state("sum", ValueLayout::S64),
            state("text", ValueLayout::Bytes),
            state("mean", ValueLayout::F64),
            state("count", ValueLayout::U64),
        ],
        timers: vec![
            timer("window", TimeDomain::EventTime),
            timer("retry", TimeDomain::ProcessingTime),
            timer("session", TimeDomain::EventTime),
        ],
        groups,
        range: KeyGroupRange::all(groups),
    }
}

/// A value to set or remove: state, key, value.
pub(super) type Write = (u32, Datum, Option<Datum>);
/// A timer to set or delete: family, key, time, whether to set it.
pub(super) type Change = (u32, Datum, i64, bool);

/// A backend and what it was made for.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) backend: Box<dyn Backend>,
    pub(super) setup: Setup,
    pub(super) schema: Schema,
}

impl Driver {
    pub(super) fn new(make: Make<'_>, setup: &Setup) -> Self {
        let schema = Schema::new(setup.key, &setup.states, &setup.timers);
        Self { backend: make(setup.clone()), setup: setup.clone(), schema }
    }

    pub(super) fn owns(&self, key: &Datum) -> bool {
        self.setup.range.contains(self.setup.groups.group_of(key.hash()))
    }

    pub(super) fn begin(&mut self, keys: &[Datum]) -> Result<(), Error> {
        let mut column = Column::empty(self.setup.key.is_words());
        keys.iter().for_each(|key| key.push_to(&mut column));
        let mut hashes = Vec::new();
        hash_column(&column, &mut hashes);
        self.backend.begin(&column, &hashes, Now::default())
    }

    pub(super) fn load(&mut self, state: u32, slots: usize) -> Vec<Option<Datum>> {
        let words = self.setup.states[state as usize].value.is_words();
        let mut window = Window::new(words);
        self.backend.load(StateId(state), &mut window).expect("the window is the state's");
        assert_eq!(window.values.len(), slots, "a window has a row for every slot");
        let empty = if words { Datum::Word(0) } else { Datum::Bytes(Vec::new()) };
        let row = |slot| {
            let value = Datum::at(&window.values, slot);
            if window.present.get(slot) {
                return Some(value);
            }
            assert_eq!(value, empty, "an absent value is zero or empty");
            None
        };
        (0..slots).map(row).collect()
    }

    pub(super) fn get(&mut self, state: u32, key: &Datum) -> Option<Datum> {
        self.begin(std::slice::from_ref(key)).expect("the key is of the range");
        self.load(state, 1).remove(0)
    }

    /// One invocation: the writes and timer changes whose keys are of the range.
    pub(super) fn commit(&mut self, writes: &[Write], changes: &[Change]) {
        let writes: Vec<_> = writes.iter().filter(|(_, key, _)| self.owns(key)).collect();
        let changes: Vec<_> = changes.iter().filter(|(_, key, ..)| self.owns(key)).collect();
        let mut keys: Vec<Datum> = writes.iter().map(|(_, key, _)| key.clone()).collect();
        keys.extend(changes.iter().map(|(_, key, ..)| key.clone()));
        keys.sort_unstable();
        keys.dedup();
        let slot = |key| keys.binary_search(key).expect("every key has a slot") as u32;
        let mut set = WriteSet::new(&self.setup.states);
        for (state, key, value) in writes {
            match value {
                Some(Datum::Word(word)) => set.set_words(StateId(*state), &[slot(key)], &[*word]),
                Some(Datum::Bytes(bytes)) => set.set_bytes(StateId(*state), slot(key), bytes),
                None => set.remove(StateId(*state), &[slot(key)]),
            }
        }
        for (timer, key, time, set_it) in changes {
            let timer = TimerId(*timer);
            let (slot, namespace) = (slot(key), 0);
            set.change_timer(TimerChange { timer, slot, namespace, time: *time, set: *set_it });
        }
        self.begin(&keys).expect("the keys are of the range");
        self.backend.commit(&set).expect("the storage works");
    }

    pub(super) fn put(&mut self, state: u32, key: &Datum, value: impl Into<Datum>) {
        self.commit(&[(state, key.clone(), Some(value.into()))], &[]);
    }

    pub(super) fn remove(&mut self, state: u32, key: &Datum) {
        self.commit(&[(state, key.clone(), None)], &[]);
    }

    pub(super) fn start(&mut self, epoch: u64, full: bool) {
        self.backend.start_snapshot(epoch, full).expect("no snapshot runs");
    }

    /// Finishes the running snapshot, in small steps.
    pub(super) fn finish(&mut self) -> Snapshot {
        loop {
            let advanced = self.backend.advance_snapshot(2).expect("the storage works");
            if let Some(snapshot) = advanced {
                return snapshot;
            }
        }
    }

    pub(super) fn snapshot(&mut self, epoch: u64, full: bool) -> Snapshot {
        self.start(epoch, full);
        self.finish()
    }

    /// The changes of a segment: values by state and key, timers by family, key and time.
    pub(super) fn records(&self, segment: &Segment) -> Records {
        let mut reader = Reader::open(segment.group, &segment.bytes, &self.schema)
            .expect("a backend writes segments that can be read");
        let mut records = Records::default();
        let mut count = 0;
        while let Some(record) = reader.next().expect("every record can be read") {
            count += 1;
            let key = Datum::from(record.key());
            let group = self.setup.groups.group_of(key.hash());
            assert_eq!(group, segment.group, "{key:?} is in the segment of its group");
            let again = match record {
                Record::Value { state, value, .. } => {
                    let value = value.map(|value| Datum::from(value.value));
                    records.values.insert((state.0, key), value).is_some()
                }
                Record::Entry { .. } => panic!("no state is a collection"),
                Record::Timer { timer, time, set, .. } => {
                    records.timers.insert((timer.0, key, time), set).is_some()
                }
            };
            assert!(!again, "no two records are about the same thing");
        }
        assert_eq!(count, segment.entries, "a segment says how many entries it has");
        records
    }

    /// Takes all timers out, and returns them: family, key and time.
    pub(super) fn drain_timers(&mut self, domain: TimeDomain) -> Vec<(u32, Datum, i64)> {
        let mut drained = Vec::new();
        while let Some(due) = self.backend.due_timers(domain, i64::MAX, 3) {
            assert!(!due.times.is_empty() && due.times.len() <= 3, "some, but not over the limit");
            let change =
                |(row, &time): (usize, &i64)| (due.timer.0, Datum::at(&due.keys, row), time, false);
            let changes: Vec<Change> = due.times.iter().enumerate().map(change).collect();
            drained
                .extend(changes.iter().map(|(timer, key, time, _)| (*timer, key.clone(), *time)));
            self.commit(&[], &changes);
        }
        assert_eq!(self.backend.next_timer(domain), None, "no timer is left");
        drained
    }
}

/// The changes of some segments.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) values: BTreeMap<(u32, Datum), Option<Datum>>,
    pub(super) timers: BTreeMap<(u32, Datum, i64), bool>,
}

/// For each group, the segments that make up its state.
#[derive(Debug, Default, Clone)]
pub(super) struct Chain {
    pub(super) groups: BTreeMap<KeyGroup, Vec<Segment>>,
}

impl Chain {
    pub(super) fn add(&mut self, snapshot: &Snapshot) {
        for segment in &snapshot.segments {
            let segments = self.groups.entry(segment.group).or_default();
            if segment.full {
                segments.clear();
            }
            assert!(segment.full || !segments.is_empty(), "an increment follows a full segment");
            segments.push(segment.clone());
        }
    }

    /// New backends for the groups, cut into ranges, with the chain restored.
    pub(super) fn restore(&self, make: Make<'_>, setup: &Setup, parallelism: u32) -> Vec<Driver> {
        let task = |task| {
            let range = setup.groups.range_of_task(task, parallelism);
            let mut driver = Driver::new(make, &Setup { range, ..setup.clone() });
            for (&group, segments) in
                self.groups.iter().filter(|(group, _)| range.contains(**group))
            {
                for segment in segments {
                    let restored = driver.backend.restore(group, segment.full, &segment.bytes);
                    restored.expect("a backend restores what a backend wrote");
                }
            }
            driver
        };
        (0..parallelism).map(task).collect()
    }
}
