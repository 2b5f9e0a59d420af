//! Drives a backend by single keys and values, and keeps the chains of its snapshots.

mod chain;
mod datum;
mod evolution;

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{Make, Setup};
use crate::backend::{Backend, Entries, Now, Scan};
use crate::declaration::{StateId, TimeDomain, TimerId};
use crate::error::Error;
use crate::key::hash_column;
use crate::segment::{Reader, Record, Schema};
use crate::snapshot::{Segment, Snapshot};
use crate::ttl::NO_STAMP;
use crate::window::Window;
use crate::writes::{TimerChange, WriteSet};

pub(super) use chain::Chain;
pub use datum::Datum;
pub(super) use evolution::{as_it_is, by_row};

/// A write to a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    Set(Datum),
    Remove,
    Merge(Datum),
    Touch,
    Put(Datum, Datum),
    RemoveEntry(Datum),
    TouchEntry(Datum),
    Append(Datum),
    Clear,
}

/// A timer to set or delete: family, key, time, namespace, whether to set it.
pub(super) type TimerOp = (u32, Datum, i64, u64, bool);

/// One invocation.
#[derive(Debug, Default, Clone)]
pub(super) struct Batch {
    /// State, key, what to do.
    pub(super) writes: Vec<(u32, Datum, Op)>,
    pub(super) timers: Vec<TimerOp>,
    /// The event times of keys; where any is given, all others have the lowest.
    pub(super) event_times: BTreeMap<Datum, i64>,
}

/// A value to set or remove: state, key, value.
pub(super) type Write = (u32, Datum, Option<Datum>);
/// A timer of namespace 0 to set or delete: family, key, time, whether to set it.
pub(super) type Change = (u32, Datum, i64, bool);

/// A backend and what it was made for.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) backend: Box<dyn Backend>,
    pub(super) setup: Setup,
    pub(super) schema: Schema,
    /// The time of the next invocations.
    pub(super) now: Now,
    tables: bool,
}

impl Driver {
    pub(super) fn new(make: Make<'_>, setup: &Setup) -> Self {
        let schema = Schema::new(setup.key, &setup.states, &setup.timers);
        let (backend, tables) = (make.backend(setup.clone()), make.tables);
        Self { backend, setup: setup.clone(), schema, now: Now::default(), tables }
    }

    pub(super) fn owns(&self, key: &Datum) -> bool {
        self.setup.range.contains(self.setup.groups.group_of(key.hash()))
    }

    /// Compares how many entries it holds, if it counts them.
    pub(super) fn assert_entries(&self, expected: u64) {
        if !self.tables {
            assert_eq!(self.backend.entries(), expected, "entries");
        }
    }

    pub(super) fn begin(&mut self, keys: &[Datum]) -> Result<(), Error> {
        let column = Datum::column(self.setup.key.is_words(), keys);
        let mut hashes = Vec::new();
        hash_column(&column, &mut hashes);
        self.backend.begin(&column, &hashes, self.now)
    }

    pub(super) fn load(&mut self, state: u32, slots: usize) -> Vec<Option<Datum>> {
        let words = self.setup.states[state as usize].value.is_words();
        let mut window = Window::new(words);
        self.backend.load(StateId(state), &mut window).expect("the window is the state's");
        rows(&window, slots)
    }

    pub(super) fn get(&mut self, state: u32, key: &Datum) -> Option<Datum> {
        self.begin(std::slice::from_ref(key)).expect("the key is of the range");
        self.load(state, 1).remove(0)
    }

    /// Entries by slot and entry key.
    pub(super) fn load_entries(
        &mut self,
        state: u32,
        points: &[(u32, Datum)],
    ) -> Vec<Option<Datum>> {
        let declared = &self.setup.states[state as usize];
        let key = declared.entry_key().expect("the state is a collection");
        let keys: Vec<_> = points.iter().map(|(_, entry)| entry.clone()).collect();
        let column = Datum::column(key.is_words(), &keys);
        let slots: Vec<_> = points.iter().map(|(slot, _)| *slot).collect();
        let mut window = Window::new(declared.value.is_words());
        let loaded = self.backend.load_entries(StateId(state), &slots, &column, &mut window);
        loaded.expect("the window and the keys are the state's");
        rows(&window, points.len())
    }

    /// A map's entry.
    pub(super) fn entry(
        &mut self,
        state: u32,
        key: &Datum,
        entry: impl Into<Datum>,
    ) -> Option<Datum> {
        self.begin(std::slice::from_ref(key)).expect("the key is of the range");
        self.load_entries(state, &[(0, entry.into())]).remove(0)
    }

    /// Entries of a slot, and whether there are more.
    pub(super) fn scan(
        &mut self,
        state: u32,
        slot: u32,
        (from, to): (Bound<&Datum>, Bound<&Datum>),
        limit: usize,
    ) -> (Vec<(Datum, Datum)>, bool) {
        let declared = &self.setup.states[state as usize];
        let key = declared.entry_key().expect("the state is a collection");
        let mut entries = Entries::new(key.is_words(), declared.value.is_words());
        let (from, to) = (from.map(Datum::cell), to.map(Datum::cell));
        let scan = Scan { slot, from, to, limit };
        let more = self.backend.scan(StateId(state), &scan, &mut entries);
        let more = more.expect("bounds and columns are the state's");
        assert!(entries.len() <= limit, "no more entries than the limit");
        assert_eq!(entries.keys.len(), entries.values.len(), "a value for every key");
        let row = |row| (Datum::at(&entries.keys, row), Datum::at(&entries.values, row));
        ((0..entries.len()).map(row).collect(), more)
    }

    /// All entries of a key, fetched in pages.
    pub(super) fn entries(&mut self, state: u32, key: &Datum) -> Vec<(Datum, Datum)> {
        self.begin(std::slice::from_ref(key)).expect("the key is of the range");
        let mut all: Vec<(Datum, Datum)> = Vec::new();
        loop {
            let last = all.last().map(|(entry, _)| entry.clone());
            let from = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let (page, more) = self.scan(state, 0, (from, Bound::Unbounded), 3);
            assert!(!more || page.len() == 3, "a page that is not the last is full");
            all.extend(page);
            if !more {
                return all;
            }
        }
    }

    /// The elements of a list, in order.
    pub(super) fn list(&mut self, state: u32, key: &Datum) -> Vec<Datum> {
        self.entries(state, key).into_iter().map(|(_, value)| value).collect()
    }

    /// One invocation: the writes and timer changes whose keys are of the range.
    pub(super) fn apply(&mut self, batch: &Batch) {
        let writes: Vec<_> = batch.writes.iter().filter(|(_, key, _)| self.owns(key)).collect();
        let timers: Vec<_> = batch.timers.iter().filter(|(_, key, ..)| self.owns(key)).collect();
        let mut keys: Vec<Datum> = writes.iter().map(|(_, key, _)| key.clone()).collect();
        keys.extend(timers.iter().map(|(_, key, ..)| key.clone()));
        keys.sort_unstable();
        keys.dedup();
        let slot = |key| keys.binary_search(key).expect("every key has a slot") as u32;
        let mut set = WriteSet::new(&self.setup.states);
        for (state, key, op) in writes {
            self.write(&mut set, *state, slot(key), op);
        }
        for (timer, key, time, namespace, set_it) in timers {
            let (timer, slot) = (TimerId(*timer), slot(key));
            let (time, namespace) = (*time, *namespace);
            set.change_timer(TimerChange { timer, slot, namespace, time, set: *set_it });
        }
        if !batch.event_times.is_empty() {
            let time = |key| batch.event_times.get(key).copied().unwrap_or(i64::MIN);
            set.note_event_times(&keys.iter().map(time).collect::<Vec<_>>());
        }
        self.begin(&keys).expect("the keys are of the range");
        self.backend.commit(&set).expect("the storage works");
    }

    fn write(&self, set: &mut WriteSet, state: u32, slot: u32, op: &Op) {
        let declared = &self.setup.states[state as usize];
        let (id, slots) = (StateId(state), &[slot][..]);
        let value =
            |datum: &Datum| Datum::column(declared.value.is_words(), std::slice::from_ref(datum));
        let entry = |datum: &Datum| {
            let key = declared.entry_key().expect("the state is a collection");
            Datum::column(key.is_words(), std::slice::from_ref(datum))
        };
        match op {
            Op::Set(Datum::Word(word)) => set.set_words(id, slots, &[*word]),
            Op::Set(Datum::Bytes(bytes)) => set.set_bytes(id, slot, bytes),
            Op::Remove => set.remove(id, slots),
            Op::Merge(delta) => set.merge(id, slots, &value(delta)),
            Op::Touch => set.touch(id, slots),
            Op::Put(key, datum) => set.put_entries(id, slots, &entry(key), &value(datum)),
            Op::RemoveEntry(key) => set.remove_entries(id, slots, &entry(key)),
            Op::TouchEntry(key) => set.touch_entries(id, slots, &entry(key)),
            Op::Append(datum) => set.append(id, slots, &value(datum)),
            Op::Clear => set.clear_entries(id, slots),
        }
    }

    /// One invocation about values and timers of namespace 0.
    pub(super) fn commit(&mut self, writes: &[Write], changes: &[Change]) {
        let write = |(state, key, value): &Write| {
            (*state, key.clone(), value.clone().map_or(Op::Remove, Op::Set))
        };
        let change = |(timer, key, time, set): &Change| (*timer, key.clone(), *time, 0, *set);
        self.apply(&Batch {
            writes: writes.iter().map(write).collect(),
            timers: changes.iter().map(change).collect(),
            event_times: BTreeMap::new(),
        });
    }

    /// One invocation about one key of one state.
    pub(super) fn ops(&mut self, state: u32, key: &Datum, ops: impl IntoIterator<Item = Op>) {
        let writes = ops.into_iter().map(|op| (state, key.clone(), op)).collect();
        self.apply(&Batch { writes, ..Batch::default() });
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

    /// Finishes the running snapshot, in small steps. What is finished on the way is taken now and then.
    pub(super) fn finish(&mut self) -> Snapshot {
        let mut segments = Vec::new();
        for step in 0.. {
            let advanced = self.backend.advance_snapshot(2).expect("the storage works");
            if let Some(mut snapshot) = advanced {
                segments.append(&mut snapshot.segments);
                return Snapshot { segments, ..snapshot };
            }
            if step % 3 == 0 {
                segments.append(&mut self.backend.take_segments());
            }
        }
        unreachable!("the loop ends by returning")
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
            let group = self.setup.groups.group_of(Datum::from(record.key()).hash());
            assert_eq!(group, segment.group, "{record:?} is in the segment of its group");
            assert!(records.insert(&record), "no two records are about the same thing");
        }
        assert_eq!(count, segment.entries, "a segment says how many entries it has");
        records
    }

    /// Takes all timers out, and returns them: family, key, time and namespace.
    pub(super) fn drain_timers(&mut self, domain: TimeDomain) -> Vec<(u32, Datum, i64, u64)> {
        let mut drained = Vec::new();
        while let Some(due) = self.backend.due_timers(domain, i64::MAX, 3) {
            assert!(!due.times.is_empty() && due.times.len() <= 3, "some, but not over the limit");
            assert_eq!(due.times.len(), due.namespaces.len(), "each has a namespace");
            let change = |(row, &time): (usize, &i64)| {
                (due.timer.0, Datum::at(&due.keys, row), time, due.namespaces[row], false)
            };
            let timers: Vec<TimerOp> = due.times.iter().enumerate().map(change).collect();
            drained.extend(
                timers.iter().map(|(timer, key, time, namespace, _)| {
                    (*timer, key.clone(), *time, *namespace)
                }),
            );
            self.apply(&Batch { timers, ..Batch::default() });
        }
        assert_eq!(self.backend.next_timer(domain), None, "no timer is left");
        drained
    }
}

/// The rows of a window.
fn rows(window: &Window, expected: usize) -> Vec<Option<Datum>> {
    assert_eq!(window.values.len(), expected, "a window has a row for everything asked for");
    let empty = if window.values.is_words() { Datum::Word(0) } else { Datum::Bytes(Vec::new()) };
    let row = |row| {
        let value = Datum::at(&window.values, row);
        if window.present.get(row) {
            return Some(value);
        }
        assert_eq!(value, empty, "an absent value is zero or empty");
        None
    };
    (0..expected).map(row).collect()
}

/// The changes of some segments.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) values: BTreeMap<(u32, Datum), Option<Datum>>,
    pub(super) entries: BTreeMap<(u32, Datum, Datum), Option<Datum>>,
    pub(super) timers: BTreeMap<(u32, Datum, i64, u64), bool>,
    /// The stamps, by state, key and, in collections, entry key.
    pub(super) stamps: BTreeMap<(u32, Datum, Option<Datum>), i64>,
}

impl Records {
    /// Adds a record. Whether nothing was known of its subject.
    fn insert(&mut self, record: &Record<'_>) -> bool {
        let key = Datum::from(record.key());
        match *record {
            Record::Value { state, value, .. } => {
                if let Some(stamp) = value.map(|value| value.stamp).filter(|it| *it != NO_STAMP) {
                    self.stamps.insert((state.0, key.clone(), None), stamp);
                }
                let value = value.map(|value| Datum::from(value.value));
                self.values.insert((state.0, key), value).is_none()
            }
            Record::Entry { state, entry, value, .. } => {
                let entry = Datum::from(entry);
                if let Some(stamp) = value.map(|value| value.stamp).filter(|it| *it != NO_STAMP) {
                    self.stamps.insert((state.0, key.clone(), Some(entry.clone())), stamp);
                }
                let value = value.map(|value| Datum::from(value.value));
                self.entries.insert((state.0, key, entry), value).is_none()
            }
            Record::Timer { timer, time, namespace, set, .. } => {
                self.timers.insert((timer.0, key, time, namespace), set).is_none()
            }
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.values.extend(other.values);
        self.entries.extend(other.entries);
        self.timers.extend(other.timers);
        self.stamps.extend(other.stamps);
    }
}
