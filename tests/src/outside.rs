//! The world outside a job, which survives the job's death: input that can be read again, and output in two phases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use statehouse_engine::{
    ConnectorError, Malformed, Polled, Progress, Sink, SinkFactory, Source, SourceFactory,
};
use statehouse_operator::{Batch, Codec, KeyType, Port, ValueType};
use statehouse_state::{KeyLayout, ValueLayout};

/// Records as the outside world sees them: time, key if there was one, value as text.
pub type Row = (i64, Option<u64>, String);

/// An input of numbers: record `index` is a function of the seed and the index alone.
#[derive(Debug, Clone)]
pub struct Numbers {
    port: Port,
    seed: u64,
    records: u64,
    batch: u64,
    step: i64,
}

/// One input record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// Event time in milliseconds.
    pub time: i64,
    /// Key.
    pub key: u64,
    /// Value.
    pub value: i64,
}

/// Event times are at most this far out of order, in milliseconds.
pub const DISORDER: i64 = 40;

/// The length of the windows that keys belong to, in milliseconds.
pub const WINDOW: i64 = 250;

impl Numbers {
    /// An input of that many records, read in batches of a few.
    pub fn new(seed: u64, records: u64) -> Self {
        let key = KeyType { layout: KeyLayout::U64, codec: Codec::Raw, schema: None };
        let value = ValueType::new(ValueLayout::S64, Codec::Raw);
        let port = Port { name: "numbers".into(), key: Some(key), value, broadcast: false };
        Self { port, seed, records, batch: 7, step: 3 }
    }

    /// With that many milliseconds from one record to the next, instead of 3.
    #[must_use]
    pub fn every(self, step: i64) -> Self {
        Self { step, ..self }
    }

    /// Record `index`: times rise, a little out of order; a key is one of a few within a window.
    pub fn record(&self, index: u64) -> Number {
        let chance = mix(self.seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let time = self.step * index as i64 + (chance % DISORDER as u64) as i64;
        let key = (time / WINDOW) as u64 * 1000 + (chance >> 20) % 11;
        Number { time, key, value: (chance >> 32) as i64 % 1000 }
    }

    /// All records.
    pub fn all(&self) -> impl Iterator<Item = Number> {
        (0..self.records).map(|index| self.record(index))
    }
}

fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

impl SourceFactory for Numbers {
    fn port(&self) -> &Port {
        &self.port
    }

    fn open(
        &self,
        task: u32,
        parallelism: u32,
        restored: &[Value],
    ) -> Result<Box<dyn Source>, ConnectorError> {
        // Batches are dealt to lanes, so that any number of tasks can share the lanes of a run before it.
        let mut lanes = BTreeMap::new();
        for lane in (0..LANES).filter(|lane| lane % u64::from(parallelism) == u64::from(task)) {
            let next = restored.iter().find_map(|position| position[lane.to_string()].as_u64());
            lanes.insert(lane, next.unwrap_or(lane));
        }
        Ok(Box::new(NumberSource { numbers: self.clone(), lanes }))
    }
}

/// How many shares the input has.
const LANES: u64 = 6;

/// A task's share: for each lane the batch that comes next.
#[derive(Debug)]
struct NumberSource {
    numbers: Numbers,
    lanes: BTreeMap<u64, u64>,
}

impl Source for NumberSource {
    fn poll(&mut self) -> Result<Polled, ConnectorError> {
        let Some(next) = self.lanes.values_mut().min() else { return Ok(Polled::End) };
        let from = *next * self.numbers.batch;
        if from >= self.numbers.records {
            return Ok(Polled::End);
        }
        *next += LANES;
        let mut batch = Batch::empty(Some(true), true);
        for index in from..(from + self.numbers.batch).min(self.numbers.records) {
            let Number { time, key, value } = self.numbers.record(index);
            batch.times.push(time);
            push_word(batch.keys.as_mut().expect("the port is keyed"), key);
            push_word(&mut batch.values, value as u64);
        }
        Ok(Polled::Batch(batch))
    }

    fn position(&self) -> Value {
        self.lanes.iter().map(|(lane, next)| (lane.to_string(), json!(next))).collect()
    }

    fn take_malformed(&mut self) -> Vec<Malformed> {
        Vec::new()
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }
}

fn push_word(column: &mut statehouse_state::Column, word: u64) {
    let statehouse_state::Column::Words(words) = column else { panic!("numbers are words") };
    words.push(word);
}

/// An output that outlives the job.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    shared: Arc<Mutex<Output>>,
}

#[derive(Debug, Default)]
struct Output {
    next_token: u64,
    prepared: BTreeMap<u64, Vec<Row>>,
    done: BTreeSet<u64>,
    committed: Vec<Row>,
}

impl Outside {
    fn lock(&self) -> MutexGuard<'_, Output> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the world has seen, sorted.
    pub fn committed(&self) -> Vec<Row> {
        let mut rows = self.lock().committed.clone();
        rows.sort();
        rows
    }
}

impl Output {
    fn commit(&mut self, token: &Value) -> Result<(), ConnectorError> {
        let Some(token) = token.as_u64() else { return Ok(()) };
        if self.done.contains(&token) {
            return Ok(());
        }
        let Some(rows) = self.prepared.remove(&token) else {
            return Err(ConnectorError::new(format!("output {token} was promised and is lost")));
        };
        self.done.insert(token);
        self.committed.extend(rows);
        Ok(())
    }
}

impl SinkFactory for Outside {
    fn check(&self, _input: &Port) -> Result<(), String> {
        Ok(())
    }

    fn check_recovery(&self, tokens: &[Value]) -> Result<(), ConnectorError> {
        let output = self.lock();
        let known =
            |token: &u64| output.done.contains(token) || output.prepared.contains_key(token);
        match tokens.iter().filter_map(Value::as_u64).find(|token| !known(token)) {
            Some(token) => Err(ConnectorError::new(format!("output {token} is lost"))),
            None => Ok(()),
        }
    }

    fn recover(&self, tokens: &[Value]) -> Result<(), ConnectorError> {
        let mut output = self.lock();
        for token in tokens {
            output.commit(token)?;
        }
        output.prepared.clear();
        Ok(())
    }

    fn open(&self, _task: u32, input: &Port) -> Result<Box<dyn Sink>, ConnectorError> {
        Ok(Box::new(OutsideSink { outside: self.clone(), port: input.clone(), rows: Vec::new() }))
    }
}

#[derive(Debug)]
struct OutsideSink {
    outside: Outside,
    port: Port,
    rows: Vec<Row>,
}

impl Sink for OutsideSink {
    fn write(&mut self, batch: &Batch) -> Result<(), ConnectorError> {
        for row in 0..batch.len() {
            let key = match (&self.port.key, &batch.keys) {
                (Some(_), Some(statehouse_state::Column::Words(keys))) => Some(keys[row]),
                _ => None,
            };
            let value = statehouse_operator::render::value(&self.port.value, &batch.values, row);
            self.rows.push((batch.times[row], key, value.to_string()));
        }
        Ok(())
    }

    fn prepare(&mut self, _epoch: u64) -> Result<Value, ConnectorError> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(Value::Null);
        }
        let mut output = self.outside.lock();
        output.next_token += 1;
        let token = output.next_token;
        output.prepared.insert(token, rows);
        Ok(json!(token))
    }

    fn commit(&mut self, token: &Value) -> Result<(), ConnectorError> {
        self.outside.lock().commit(token)
    }
}
