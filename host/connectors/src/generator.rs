//! A deterministic source of numbers: each record is a function of the seed and its index alone.
//!
//! Records are cut into blocks of one batch each, and blocks are dealt out to tasks; so a position is a block, and any
//! number of tasks can take over from any other.

mod blocks;
#[cfg(test)]
mod tests;
mod zipf;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use statehouse_engine::{
    Clock, ConnectorError, Malformed, Polled, Progress, Source, SourceFactory, SystemClock,
};
use statehouse_operator::{Batch, Codec, KeyType, Port, ValueType};
use statehouse_state::{Column, KeyLayout, ValueLayout};

use self::blocks::Blocks;
use self::zipf::Zipf;
use crate::format::PORT;
use crate::settings::{Distribution, GeneratorSettings};

/// Records that are made up: a `u64` key, an `s64` value.
#[derive(Debug)]
pub struct GeneratorFactory {
    settings: GeneratorSettings,
    clock: Arc<dyn Clock>,
    port: Port,
}

impl GeneratorFactory {
    /// A generator of these records.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(settings: GeneratorSettings) -> Result<Self, ConnectorError> {
        Self::with_clock(settings, Arc::new(SystemClock::default()))
    }

    /// A generator whose rate follows this clock.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn with_clock(
        settings: GeneratorSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConnectorError> {
        settings.check()?;
        let key = KeyType { layout: KeyLayout::U64, codec: Codec::Raw, schema: None };
        let port = Port {
            name: PORT.into(),
            key: Some(key),
            value: ValueType::new(ValueLayout::S64, Codec::Raw),
            broadcast: false,
        };
        Ok(Self { settings, clock, port })
    }

    /// What a record is a function of. A position is worth something only under the same.
    fn identity(&self) -> Value {
        let mut identity = serde_json::to_value(&self.settings).unwrap_or_default();
        if let Some(members) = identity.as_object_mut() {
            members.remove("rate");
        }
        identity
    }

    fn restore(
        &self,
        task: u32,
        parallelism: u32,
        restored: &[Value],
    ) -> Result<(Blocks, u64), ConnectorError> {
        let all = match self.settings.records {
            Some(records) => records.div_ceil(self.settings.batch),
            None => u64::MAX / self.settings.batch,
        };
        if restored.is_empty() {
            return Ok((Blocks::all(all).share(task, parallelism), 0));
        }
        let mut positions = Vec::with_capacity(restored.len());
        for value in restored {
            let position = GeneratorPosition::deserialize(value).map_err(|error| {
                ConnectorError::new(format!(
                    "the checkpoint's position is not one of a generator ({error}): the job's source was another \
                     one then; restore the old settings, or start over with --fresh"
                ))
            })?;
            if position.generator != self.identity() {
                return Err(ConnectorError::new(format!(
                    "the generator's settings were {} in the run that is resumed and are {} now: restore them, or \
                     start over with --fresh",
                    position.generator,
                    self.identity()
                )));
            }
            positions.push(position);
        }
        let same = positions.len() == parallelism as usize
            && positions.iter().all(|position| position.parallelism == parallelism);
        if same && let Some(own) = positions.iter().find(|position| position.task == task) {
            return Ok((own.blocks.clone(), own.done));
        }
        let done: u64 = positions.iter().map(|position| position.done).sum();
        let merged = Blocks::merge(positions.into_iter().map(|position| position.blocks), all);
        Ok((merged.share(task, parallelism), if task == 0 { done } else { 0 }))
    }
}

impl SourceFactory for GeneratorFactory {
    fn port(&self) -> &Port {
        &self.port
    }

    fn open(
        &self,
        task: u32,
        parallelism: u32,
        restored: &[Value],
    ) -> Result<Box<dyn Source>, ConnectorError> {
        let (blocks, done) = self.restore(task, parallelism, restored)?;
        let zipf = match self.settings.distribution {
            Distribution::Uniform => None,
            Distribution::Zipf => Some(Zipf::new(self.settings.keys, self.settings.exponent)),
        };
        Ok(Box::new(GeneratorSource {
            identity: self.identity(),
            pace: self.settings.rate.map(|rate| Pace {
                rate: u128::from(rate),
                parallelism,
                since: self.clock.now(),
                given: 0,
                clock: Arc::clone(&self.clock),
            }),
            settings: self.settings.clone(),
            task,
            parallelism,
            blocks,
            done,
            zipf,
        }))
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GeneratorPosition {
    generator: Value,
    task: u32,
    parallelism: u32,
    done: u64,
    blocks: Blocks,
}

/// Holds records back so that all tasks together give so many a second.
#[derive(Debug)]
struct Pace {
    rate: u128,
    parallelism: u32,
    since: i64,
    given: u128,
    clock: Arc<dyn Clock>,
}

impl Pace {
    fn is_due(&self) -> bool {
        let due = self.given * 1000 * u128::from(self.parallelism) / self.rate;
        let passed = self.clock.now().saturating_sub(self.since);
        due <= u128::try_from(passed).unwrap_or(0)
    }
}

#[derive(Debug)]
struct GeneratorSource {
    settings: GeneratorSettings,
    identity: Value,
    task: u32,
    parallelism: u32,
    blocks: Blocks,
    done: u64,
    zipf: Option<Zipf>,
    pace: Option<Pace>,
}

impl GeneratorSource {
    /// The records of one block.
    fn block(&self, block: u64) -> Batch {
        let first = block * self.settings.batch;
        let end = self.settings.records.unwrap_or(u64::MAX);
        let rows = (end - first).min(self.settings.batch) as usize;
        let start = mix(self.settings.seed).wrapping_add(first.wrapping_mul(WEYL));
        let mut keys = Vec::with_capacity(rows);
        let mut values = Vec::with_capacity(rows);
        let mut state = start;
        for _ in 0..rows {
            state = state.wrapping_add(WEYL);
            let random = mix(state);
            let key = match &self.zipf {
                None => scale(random, self.settings.keys),
                Some(zipf) => zipf.sample(random),
            };
            keys.push(key);
            // The low 16 bits, which choose the key last, as a number with a sign.
            values.push(i64::from(random as i16) as u64);
        }
        Batch {
            times: times(self.settings.start, first, self.settings.records_per_ms, rows),
            keys: Some(Column::Words(keys)),
            hashes: Vec::new(),
            values: Column::Words(values),
        }
    }
}

impl Source for GeneratorSource {
    fn poll(&mut self) -> Result<Polled, ConnectorError> {
        let Some(block) = self.blocks.next() else { return Ok(Polled::End) };
        if self.pace.as_ref().is_some_and(|pace| !pace.is_due()) {
            return Ok(Polled::Idle);
        }
        let batch = self.block(block);
        self.blocks.advance();
        self.done += batch.len() as u64;
        if let Some(pace) = &mut self.pace {
            pace.given += batch.len() as u128;
        }
        Ok(Polled::Batch(batch))
    }

    fn position(&self) -> Value {
        json!({
            "generator": self.identity,
            "task": self.task,
            "parallelism": self.parallelism,
            "done": self.done,
            "blocks": self.blocks,
        })
    }

    fn take_malformed(&mut self) -> Vec<Malformed> {
        Vec::new()
    }

    fn progress(&self) -> Progress {
        let total = self.settings.records.map(|records| {
            let left = self.blocks.left().saturating_mul(self.settings.batch);
            // The last block may be short: whoever has it says so.
            let missing = records.next_multiple_of(self.settings.batch) - records;
            let short = if self.blocks.has_last() { missing } else { 0 };
            self.done + left - short
        });
        Progress { done: self.done, total }
    }
}

/// The step of the Weyl sequence under SplitMix64.
const WEYL: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's output function (Steele, Lea and Flood, 2014).
#[inline]
fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A random number below `bound`, by its upper bits.
#[inline]
fn scale(random: u64, bound: u64) -> u64 {
    ((u128::from(random) * u128::from(bound)) >> 64) as u64
}

/// Event times of records that follow one another, so many to a millisecond.
fn times(start: i64, first: u64, records_per_ms: u64, rows: usize) -> Vec<i64> {
    let mut times = Vec::with_capacity(rows);
    let mut time = start.wrapping_add((first / records_per_ms) as i64);
    let mut left = records_per_ms - first % records_per_ms;
    while times.len() < rows {
        let run = usize::try_from(left).unwrap_or(usize::MAX).min(rows - times.len());
        times.resize(times.len() + run, time);
        time = time.wrapping_add(1);
        left = records_per_ms;
    }
    times
}
