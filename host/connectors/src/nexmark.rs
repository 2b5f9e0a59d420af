//! The events of the Nexmark benchmark: people, auctions and bids, each a function of its number alone.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use nexmark::EventGenerator;
use nexmark::config::NexmarkConfig;
use serde_json::Value;
use statehouse_engine::{Clock, ConnectorError, Source, SourceFactory, SystemClock};
use statehouse_operator::{Batch, Codec, Port, ValueType};
use statehouse_state::{BytesColumn, Column, ValueLayout};

use crate::format::PORT;
use crate::made_up::{MadeUp, MakeRecords};
use crate::settings::NexmarkSettings;

/// About what an event takes as MessagePack.
const EVENT_BYTES: usize = 200;

/// Events of an auction house: MessagePack, without a key.
#[derive(Debug)]
pub struct NexmarkFactory {
    settings: NexmarkSettings,
    clock: Arc<dyn Clock>,
    port: Port,
}

impl NexmarkFactory {
    /// A source of these events.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(settings: NexmarkSettings) -> Result<Self, ConnectorError> {
        Self::with_clock(settings, Arc::new(SystemClock::default()))
    }

    /// A source whose rate follows this clock.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn with_clock(
        settings: NexmarkSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConnectorError> {
        settings.check()?;
        let value = ValueType::new(ValueLayout::Bytes, Codec::Msgpack);
        Ok(Self {
            settings,
            clock,
            port: Port { name: PORT.into(), key: None, value, broadcast: false },
        })
    }
}

impl SourceFactory for NexmarkFactory {
    fn port(&self) -> &Port {
        &self.port
    }

    fn open(
        &self,
        task: u32,
        parallelism: u32,
        restored: &[Value],
    ) -> Result<Box<dyn Source>, ConnectorError> {
        let settings = &self.settings;
        let made_up = MadeUp {
            what: "nexmark source",
            settings: serde_json::to_value(settings).unwrap_or_default(),
            records: settings.events,
            batch: settings.batch,
            rate: settings.rate,
        };
        let events = Events(EventGenerator::new(config(settings)));
        made_up.open(&self.clock, Box::new(events), (task, parallelism), restored)
    }
}

/// What the generator is told. Whatever is not set here is as Nexmark has it.
fn config(settings: &NexmarkSettings) -> NexmarkConfig {
    NexmarkConfig {
        base_time: settings.base_time,
        first_rate: settings.event_rate as usize,
        next_rate: settings.event_rate as usize,
        out_of_order_group_size: settings.out_of_order as usize,
        ..NexmarkConfig::default()
    }
}

struct Events(EventGenerator);

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

impl MakeRecords for Events {
    fn make(&self, first: u64, rows: usize) -> Batch {
        let mut times = Vec::with_capacity(rows);
        let mut values = BytesColumn::with_capacity(rows, rows * EVENT_BYTES);
        let mut bytes = Vec::new();
        for event in self.0.clone().with_offset(first).take(rows) {
            bytes.clear();
            rmp_serde::encode::write(&mut bytes, &event).expect("memory takes what is written");
            times.push(i64::try_from(event.timestamp()).unwrap_or(i64::MAX));
            values.push(&bytes);
        }
        Batch { times, keys: None, hashes: Vec::new(), values: Column::Bytes(values) }
    }
}
