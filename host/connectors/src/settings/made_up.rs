//! The settings of sources whose records are made up.

use serde::{Deserialize, Serialize};
use statehouse_engine::ConnectorError;

use super::{BATCH_DEFAULT, check_batch};

/// A generator: keys are `u64` from 0 on, values `s64` from -32768 to 32767.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GeneratorSettings {
    /// How many distinct keys there are, at least 1. Default 100000.
    pub keys: u64,
    /// How many records there are. Default: no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Another seed makes other records. Default 0.
    pub seed: u64,
    /// Records per second of all tasks together, at least 1. Default: as fast as possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// How keys are distributed: `uniform` or `zipf` (key 0 is the most frequent). Default `uniform`.
    pub distribution: Distribution,
    /// The exponent of `zipf`, above 0 and at most 20. Default 1.
    pub exponent: f64,
    /// The first record's event time, in milliseconds since 1970. Default 0.
    pub start: i64,
    /// How many records share a millisecond of event time, at least 1. Default 1.
    pub records_per_ms: u64,
    /// Records per batch, 1 to 65536. Default 1024.
    pub batch: u64,
}

/// How often each of the generator's keys comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// All equally often.
    #[default]
    Uniform,
    /// Few of them often: the Zipf distribution.
    Zipf,
}

impl Default for GeneratorSettings {
    fn default() -> Self {
        Self {
            keys: 100_000,
            records: None,
            seed: 0,
            rate: None,
            distribution: Distribution::Uniform,
            exponent: 1.0,
            start: 0,
            records_per_ms: 1,
            batch: BATCH_DEFAULT,
        }
    }
}

/// The events of Nexmark: people, auctions and bids, without a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NexmarkSettings {
    /// How many events there are. Default: no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// The first event's time, in milliseconds since 1970. Default 1436918400000, which is 2015-07-15T00:00:00Z.
    pub base_time: u64,
    /// Events per second of event time, at least 1. Default 10000.
    pub event_rate: u32,
    /// Each group of so many events comes out of order: at least 1, no multiple of 953. Default 1: all are in order.
    pub out_of_order: u32,
    /// Events per second of all tasks together, at least 1. Default: as fast as possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// Events per batch, 1 to 65536. Default 1024.
    pub batch: u64,
}

impl Default for NexmarkSettings {
    fn default() -> Self {
        Self {
            events: None,
            base_time: 1_436_918_400_000,
            event_rate: 10_000,
            out_of_order: 1,
            rate: None,
            batch: BATCH_DEFAULT,
        }
    }
}

impl GeneratorSettings {
    /// Checks the ranges.
    pub(crate) fn check(&self) -> Result<(), ConnectorError> {
        check_batch(self.batch)?;
        let checks = [
            (self.keys >= 1, "`keys` is 0: it must be at least 1"),
            (self.rate != Some(0), "`rate` is 0: it must be at least 1; leave it out for no limit"),
            (self.records_per_ms >= 1, "`records-per-ms` is 0: it must be at least 1"),
            (
                self.exponent > 0.0 && self.exponent <= 20.0,
                "`exponent` must be above 0 and at most 20",
            ),
        ];
        check_all("generator", &checks)
    }
}

impl NexmarkSettings {
    /// Checks the ranges.
    pub(crate) fn check(&self) -> Result<(), ConnectorError> {
        check_batch(self.batch)?;
        let checks = [
            (self.rate != Some(0), "`rate` is 0: it must be at least 1; leave it out for no limit"),
            (self.event_rate >= 1, "`event-rate` is 0: it must be at least 1"),
            (
                !self.out_of_order.is_multiple_of(953),
                "`out-of-order` must be at least 1 and no multiple of 953",
            ),
            (
                self.base_time <= NEXMARK_TIME_MAX,
                "`base-time` must be at most 4102444800000, the year 2100",
            ),
        ];
        check_all("nexmark", &checks)
    }
}

/// Leaves room for the time of every event after the first.
const NEXMARK_TIME_MAX: u64 = 4_102_444_800_000;

fn check_all(connector: &str, checks: &[(bool, &str)]) -> Result<(), ConnectorError> {
    match checks.iter().find(|(holds, _)| !holds) {
        Some((_, reason)) => Err(ConnectorError::new(format!("{connector}: {reason}"))),
        None => Ok(()),
    }
}
