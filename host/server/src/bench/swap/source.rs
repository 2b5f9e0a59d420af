//! The source of the swapped job: all keys once, then some of them at a time as fast as they are taken, without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use statehouse_engine::{
    Clock, ConnectorError, Malformed, Polled, Progress, Source, SourceFactory,
};
use statehouse_operator::{Batch, Codec, KeyType, Port, ValueType};
use statehouse_state::{Column, KeyLayout, ValueLayout};

/// Rows of a batch.
const BATCH: u64 = 1024;

/// Records until other keys have their turn.
const TURN: u64 = 8_000_000;

/// One part in so many of the keys has its turn at a time, but no fewer than this many keys.
const HOT: u64 = 100;
const HOT_MIN: u64 = 10_000;

/// A source that one task reads.
#[derive(Debug)]
pub(super) struct Flow {
    keys: u64,
    port: Port,
    clock: Arc<dyn Clock>,
    filled: Arc<AtomicBool>,
}

impl Flow {
    pub(super) fn new(keys: u64, clock: &Arc<dyn Clock>) -> Self {
        let key = KeyType { layout: KeyLayout::U64, codec: Codec::Raw, schema: None };
        let value = ValueType::new(ValueLayout::S64, Codec::Raw);
        let port = Port { name: "numbers".to_owned(), key: Some(key), value, broadcast: false };
        Self { keys, port, clock: Arc::clone(clock), filled: Arc::default() }
    }

    /// Whether every key was there once.
    pub(super) fn filled(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.filled)
    }
}

impl SourceFactory for Flow {
    fn port(&self) -> &Port {
        &self.port
    }

    fn open(
        &self,
        _task: u32,
        parallelism: u32,
        restored: &[Value],
    ) -> Result<Box<dyn Source>, ConnectorError> {
        if parallelism != 1 {
            return Err(ConnectorError::new("the benchmark's source is for one task"));
        }
        let at = |name: &str| restored.first().and_then(|position| position[name].as_u64());
        Ok(Box::new(FlowSource {
            keys: self.keys,
            clock: Arc::clone(&self.clock),
            everything: Arc::clone(&self.filled),
            filled: at("filled").unwrap_or(0),
            emitted: at("emitted").unwrap_or(0),
        }))
    }
}

#[derive(Debug)]
struct FlowSource {
    keys: u64,
    clock: Arc<dyn Clock>,
    everything: Arc<AtomicBool>,
    /// Keys that were there once.
    filled: u64,
    /// Records since then.
    emitted: u64,
}

impl FlowSource {
    fn batch(&self, keys: impl Iterator<Item = u64>) -> Polled {
        let mut batch = Batch::empty(Some(true), true);
        let (Some(Column::Words(column)), Column::Words(values)) =
            (&mut batch.keys, &mut batch.values)
        else {
            unreachable!("made of words above");
        };
        column.extend(keys);
        values.extend(column.iter().map(|key| key % 1000));
        // For the operator to know since when it could have had them.
        batch.times.resize(column.len(), self.clock.monotonic_ns() as i64);
        Polled::Batch(batch)
    }
}

impl Source for FlowSource {
    fn poll(&mut self) -> Result<Polled, ConnectorError> {
        let (keys, from) = (self.keys, self.filled);
        if from < keys {
            self.filled = (from + BATCH).min(keys);
            return Ok(self.batch(from..self.filled));
        }
        self.everything.store(true, Ordering::Release);
        let hot = (keys / HOT).max(HOT_MIN.min(keys));
        let from = self.emitted;
        self.emitted += BATCH;
        let start = from / TURN * hot;
        // The golden ratio's fraction: as good as random, and cheap.
        let draw = move |i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % hot;
        Ok(self.batch((from..from + BATCH).map(move |i| (start + draw(i)) % keys)))
    }

    fn position(&self) -> Value {
        json!({ "filled": self.filled, "emitted": self.emitted })
    }

    fn take_malformed(&mut self) -> Vec<Malformed> {
        Vec::new()
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }
}
