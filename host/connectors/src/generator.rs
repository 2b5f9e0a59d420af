//! A deterministic source of numbers: each record is a function of the seed and its index alone.

#[cfg(test)]
mod tests;
mod zipf;

use std::sync::Arc;

use serde_json::Value;
use statehouse_engine::{Clock, ConnectorError, Source, SourceFactory, SystemClock};
use statehouse_operator::{Batch, Codec, KeyType, Port, ValueType};
use statehouse_state::{Column, KeyLayout, ValueLayout};

use self::zipf::Zipf;
use crate::format::PORT;
use crate::made_up::{MadeUp, MakeRecords};
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
        let zipf = match self.settings.distribution {
            Distribution::Uniform => None,
            Distribution::Zipf => Some(Zipf::new(self.settings.keys, self.settings.exponent)),
        };
        let numbers = Numbers { settings: self.settings.clone(), zipf };
        let settings = &self.settings;
        let made_up = MadeUp {
            what: "generator",
            settings: serde_json::to_value(settings).unwrap_or_default(),
            records: settings.records,
            batch: settings.batch,
            rate: settings.rate,
        };
        made_up.open(&self.clock, Box::new(numbers), (task, parallelism), restored)
    }
}

#[derive(Debug)]
struct Numbers {
    settings: GeneratorSettings,
    zipf: Option<Zipf>,
}

impl MakeRecords for Numbers {
    fn make(&self, first: u64, rows: usize) -> Batch {
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
