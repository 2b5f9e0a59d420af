//! The source that the benchmarks of checkpoints read: all keys once, then some of them, paced by barriers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use statehouse_engine::{ConnectorError, Malformed, Polled, Progress, Source, SourceFactory};
use statehouse_operator::{Batch, Codec, KeyType, Port, ValueType};
use statehouse_state::{Column, KeyLayout, ValueLayout};

use crate::bench::machine::Stopwatch;

/// Rows of a batch.
const BATCH: u64 = 1024;

/// What the source does once every key was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It ends.
    End,
    /// That many keys between two barriers, for that many barriers: each epoch changes exactly these.
    Epochs {
        /// Keys that one epoch changes.
        touched: u64,
        /// How many epochs.
        epochs: u64,
    },
    /// That many records as fast as they are taken, drawn from some keys at a time: others after so many records.
    Flow {
        /// Records in all.
        records: u64,
        /// Keys that are drawn from at a time.
        hot: u64,
        /// Records until others have their turn.
        turn: u64,
        /// Whether to wait, before, until two barriers have passed, so that a full checkpoint exists.
        settle: bool,
    },
}

/// What is known of the source from outside.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Whether it waits for a barrier before it goes on.
    waits: AtomicBool,
    /// Seconds that the flow took.
    flow_seconds: Mutex<f64>,
}

impl Seen {
    /// Whether it waits for a barrier before it goes on.
    pub(super) fn waits(&self) -> bool {
        self.waits.load(Ordering::Acquire)
    }

    /// Seconds that the flow took.
    pub(super) fn flow_seconds(&self) -> f64 {
        *self.flow_seconds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A source that one task reads.
#[derive(Debug)]
pub(super) struct Paced {
    keys: u64,
    then: Then,
    port: Port,
    opened: AtomicBool,
    seen: Arc<Seen>,
}

impl Paced {
    pub(super) fn new(keys: u64, then: Then) -> Self {
        let key = KeyType { layout: KeyLayout::U64, codec: Codec::Raw, schema: None };
        let value = ValueType::new(ValueLayout::S64, Codec::Raw);
        let port = Port { name: "numbers".to_owned(), key: Some(key), value, broadcast: false };
        let opened = AtomicBool::new(false);
        Self { keys, then, port, opened, seen: Arc::default() }
    }

    /// What is known of it while it runs.
    pub(super) fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen)
    }
}

impl SourceFactory for Paced {
    fn port(&self) -> &Port {
        &self.port
    }

    fn open(
        &self,
        _task: u32,
        parallelism: u32,
        restored: &[Value],
    ) -> Result<Box<dyn Source>, ConnectorError> {
        if parallelism != 1 || self.opened.swap(true, Ordering::Relaxed) {
            return Err(ConnectorError::new("the benchmark's source is for one task, once"));
        }
        // Resumed, it has nothing more to say: what is measured is the resuming.
        let filled = if restored.is_empty() { 0 } else { self.keys };
        let then = if restored.is_empty() { self.then } else { Then::End };
        Ok(Box::new(PacedSource {
            keys: self.keys,
            then,
            seen: Arc::clone(&self.seen),
            filled,
            emitted: 0,
            barriers: AtomicU64::new(0),
            flow: None,
        }))
    }
}

#[derive(Debug)]
struct PacedSource {
    keys: u64,
    then: Then,
    seen: Arc<Seen>,
    /// Keys that were there once.
    filled: u64,
    /// Records since then.
    emitted: u64,
    /// Barriers that have begun here since all keys were there.
    barriers: AtomicU64,
    flow: Option<Stopwatch>,
}

impl PacedSource {
    fn batch(&self, keys: impl Iterator<Item = u64>) -> Polled {
        let mut batch = Batch::empty(Some(true), true);
        let (Some(Column::Words(column)), Column::Words(values)) =
            (&mut batch.keys, &mut batch.values)
        else {
            unreachable!("made of words above");
        };
        column.extend(keys);
        values.extend(column.iter().map(|key| key % 1000));
        batch.times.resize(column.len(), 0);
        Polled::Batch(batch)
    }

    fn epoch(&mut self, touched: u64, epochs: u64) -> Polled {
        // The first barrier belongs to the epoch in which the state was filled.
        let barriers = self.barriers.load(Ordering::Relaxed);
        let from = self.emitted;
        if from == epochs * touched && barriers > epochs {
            return Polled::End;
        }
        let allowed = barriers.min(epochs) * touched;
        self.seen.waits.store(from == allowed, Ordering::Release);
        if from == allowed {
            return Polled::Idle;
        }
        self.emitted = (from + BATCH).min(allowed);
        // A step with no common factor spreads an epoch's keys evenly and never takes one twice.
        let (keys, step) = (self.keys, 7_368_787);
        let key = move |i: u64| (i / touched * 104_729 + i % touched * step) % keys;
        self.batch((from..self.emitted).map(key))
    }

    fn flow(&mut self, records: u64, hot: u64, turn: u64, settle: bool) -> Polled {
        if settle && self.barriers.load(Ordering::Relaxed) < 2 {
            return Polled::Idle;
        }
        let watch = *self.flow.get_or_insert_with(Stopwatch::start);
        if self.emitted >= records {
            let seconds = self.seen.flow_seconds.lock();
            *seconds.unwrap_or_else(PoisonError::into_inner) = watch.seconds();
            return Polled::End;
        }
        let from = self.emitted;
        self.emitted += BATCH;
        let keys = self.keys;
        let start = from / turn * hot;
        // The golden ratio's fraction: as good as random, and cheap.
        let draw = move |i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % hot;
        self.batch((from..from + BATCH).map(move |i| (start + draw(i)) % keys))
    }
}

impl Source for PacedSource {
    fn poll(&mut self) -> Result<Polled, ConnectorError> {
        if self.filled < self.keys {
            let from = self.filled;
            self.filled = (from + BATCH).min(self.keys);
            return Ok(self.batch(from..self.filled));
        }
        Ok(match self.then {
            Then::End => Polled::End,
            Then::Epochs { touched, epochs } => self.epoch(touched, epochs),
            Then::Flow { records, hot, turn, settle } => self.flow(records, hot, turn, settle),
        })
    }

    /// Asked for once at each barrier.
    fn position(&self) -> Value {
        if self.filled == self.keys {
            // Before it acknowledges the barrier, so that nobody who waits for that sees it wait still.
            self.seen.waits.store(false, Ordering::Release);
            self.barriers.fetch_add(1, Ordering::Relaxed);
        }
        json!({ "filled": self.filled })
    }

    fn take_malformed(&mut self) -> Vec<Malformed> {
        Vec::new()
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }
}
