//! What an access does, kind by kind, on any backend.

use serde::Serialize;
use statehouse_state::{
    Backend, BytesColumn, Column, Entries, KeyLayout, Merge, Now, Scan, StateDeclaration, StateId,
    StateKind, TimeDomain, TimerChange, TimerDeclaration, TimerId, ValueLayout, Window, WriteSet,
};

use super::keys::Batch;

/// A kind of state, and what an access does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One number a key: read, one more, written.
    Value,
    /// A sum that the host merges one into, unread.
    Reducing,
    /// An accumulator of three numbers: read, changed, written.
    Aggregating,
    /// A list: one element added; every eighth batch reads its lists and clears them.
    List,
    /// A map of sixteen entries: one read, one more, written.
    Map,
    /// A timer set for the batch after next; those that are due fire.
    Timers,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Value, Self::Reducing, Self::Aggregating, Self::List, Self::Map, Self::Timers];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Reducing => "reducing",
            Self::Aggregating => "aggregating",
            Self::List => "list",
            Self::Map => "map",
            Self::Timers => "timers",
        }
    }

    /// Bytes of key and value that an access changes.
    pub(super) fn changed_bytes(self) -> u64 {
        match self {
            Self::Value | Self::Reducing | Self::Timers => 16,
            Self::List | Self::Map => 24,
            Self::Aggregating => 32,
        }
    }

    pub(super) fn declarations(self) -> (Vec<StateDeclaration>, Vec<TimerDeclaration>) {
        if self == Self::Timers {
            let (name, domain) = ("due".to_owned(), TimeDomain::EventTime);
            return (Vec::new(), vec![TimerDeclaration { name, domain }]);
        }
        let state = StateDeclaration {
            name: self.name().to_owned(),
            kind: match self {
                Self::Value | Self::Timers => StateKind::Value,
                Self::Reducing => StateKind::Reducing,
                Self::Aggregating => StateKind::Aggregating,
                Self::List => StateKind::List,
                Self::Map => StateKind::Map,
            },
            value: match self {
                Self::Aggregating => ValueLayout::Bytes,
                _ => ValueLayout::U64,
            },
            codec: "raw".to_owned(),
            schema: None,
            map_key: (self == Self::Map).then_some(KeyLayout::U64),
            map_key_codec: None,
            map_key_schema: None,
            merge: (self == Self::Reducing).then_some(Merge::Sum),
            ttl: None,
            schema_version: 1,
        };
        (vec![state], Vec::new())
    }
}

/// Which of its map's entries a key changes in a batch.
pub(super) fn entry_of(key: u64, batch: u64) -> u64 {
    (key ^ batch).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60
}

/// Batches between two readings of a list.
pub(super) const LIST_BATCHES: u64 = 8;

/// Bytes of an accumulator.
pub(super) const ACCUMULATOR_BYTES: usize = 24;

const STATE: StateId = StateId(0);

/// A backend at work.
pub(super) struct Worker<B> {
    kind: Kind,
    pub(super) backend: B,
    writes: WriteSet,
    window: Window,
    entries: Entries,
    words: Column,
    batches: u64,
    epoch: u64,
}

impl<B: Backend> Worker<B> {
    pub(super) fn new(kind: Kind, backend: B) -> Self {
        let (states, _) = kind.declarations();
        Self {
            kind,
            backend,
            writes: WriteSet::new(&states),
            window: Window::new(kind != Kind::Aggregating),
            entries: Entries::new(true, true),
            words: Column::Words(Vec::new()),
            batches: 0,
            epoch: 0,
        }
    }

    /// One invocation with a batch's keys.
    pub(super) fn run(&mut self, batch: &Batch) -> Result<(), String> {
        self.batches += 1;
        self.try_run(batch).map_err(|error| error.to_string())
    }

    fn try_run(&mut self, batch: &Batch) -> Result<(), statehouse_state::Error> {
        if self.kind == Kind::Timers {
            self.fire()?;
        }
        self.writes.clear();
        self.backend.begin(&batch.keys, &batch.hashes, Now::default())?;
        match self.kind {
            Kind::Value => {
                self.backend.load(STATE, &mut self.window)?;
                let Column::Words(words) = &mut self.window.values else {
                    unreachable!("the state is one of numbers")
                };
                words.iter_mut().for_each(|word| *word = word.wrapping_add(1));
                self.writes.set_words(STATE, &batch.slots, words);
            }
            Kind::Reducing => {
                let Column::Words(ones) = &mut self.words else { unreachable!("they are numbers") };
                ones.resize(batch.len(), 1);
                self.writes.merge(STATE, &batch.slots, &self.words);
            }
            Kind::Aggregating => self.aggregate(batch)?,
            Kind::List => self.list(batch)?,
            Kind::Map => self.map(batch)?,
            Kind::Timers => {
                let time = self.batches as i64 + 2;
                for &slot in &batch.slots {
                    let (timer, namespace) = (TimerId(0), 0);
                    let change = TimerChange { timer, slot, namespace, time, set: true };
                    self.writes.change_timer(change);
                }
            }
        }
        self.backend.commit(&self.writes)
    }

    fn aggregate(&mut self, batch: &Batch) -> Result<(), statehouse_state::Error> {
        self.backend.load(STATE, &mut self.window)?;
        let Column::Bytes(loaded) = &self.window.values else {
            unreachable!("the state is one of bytes")
        };
        let bytes = batch.len() * ACCUMULATOR_BYTES;
        let mut changed = BytesColumn::with_capacity(batch.len(), bytes);
        for slot in 0..batch.len() {
            let mut value = [0; ACCUMULATOR_BYTES];
            if let Ok(before) = loaded.get(slot).try_into() {
                value = before;
            }
            value[0] = value[0].wrapping_add(1);
            changed.push(&value);
        }
        self.writes.set_column(STATE, &batch.slots, &Column::Bytes(changed));
        Ok(())
    }

    fn list(&mut self, batch: &Batch) -> Result<(), statehouse_state::Error> {
        if self.batches.is_multiple_of(LIST_BATCHES) {
            for &slot in &batch.slots {
                self.entries.clear();
                self.backend.scan(STATE, &Scan::all(slot, 64), &mut self.entries)?;
                std::hint::black_box(&self.entries);
            }
            self.writes.clear_entries(STATE, &batch.slots);
        } else {
            self.writes.append(STATE, &batch.slots, &batch.keys);
        }
        Ok(())
    }

    fn map(&mut self, batch: &Batch) -> Result<(), statehouse_state::Error> {
        let Column::Words(keys) = &mut self.words else { unreachable!("they are numbers") };
        keys.clear();
        keys.extend(batch.words().iter().map(|&key| entry_of(key, self.batches)));
        self.backend.load_entries(STATE, &batch.slots, &self.words, &mut self.window)?;
        let Column::Words(words) = &mut self.window.values else {
            unreachable!("the state is one of numbers")
        };
        words.iter_mut().for_each(|word| *word = word.wrapping_add(1));
        self.writes.put_entries(STATE, &batch.slots, &self.words, &self.window.values);
        Ok(())
    }

    fn fire(&mut self) -> Result<(), statehouse_state::Error> {
        let (domain, until) = (TimeDomain::EventTime, self.batches as i64);
        while let Some(due) = self.backend.due_timers(domain, until, 1024) {
            self.writes.clear();
            self.backend.begin(&due.keys, &due.hashes, Now::default())?;
            for (slot, &time) in due.times.iter().enumerate() {
                let (timer, slot, namespace) = (due.timer, slot as u32, 0);
                let change = TimerChange { timer, slot, namespace, time, set: false };
                self.writes.change_timer(change);
            }
            self.backend.commit(&self.writes)?;
        }
        Ok(())
    }

    /// Takes a snapshot, which hands everything that waits to the storage.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        self.epoch += 1;
        self.backend.start_snapshot(self.epoch, true).map_err(|error| error.to_string())?;
        loop {
            let advanced = self.backend.advance_snapshot(1 << 20);
            if advanced.map_err(|error| error.to_string())?.is_some() {
                return Ok(());
            }
        }
    }
}
