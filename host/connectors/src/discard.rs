//! A sink that counts records and drops them: for benchmarks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use statehouse_engine::{ConnectorError, Sink, SinkFactory};
use statehouse_operator::{Batch, Port};

/// Drops what it is given.
#[derive(Debug, Default)]
pub struct DiscardFactory {
    records: Arc<AtomicU64>,
}

impl DiscardFactory {
    /// A sink that has dropped nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many records all tasks have dropped, those done again after a failure counted again.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }
}

impl SinkFactory for DiscardFactory {
    fn check(&self, _: &Port) -> Result<(), String> {
        Ok(())
    }

    fn check_recovery(&self, _tokens: &[Value]) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn recover(&self, _: &[Value]) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn open(&self, _task: u32, _input: &Port) -> Result<Box<dyn Sink>, ConnectorError> {
        Ok(Box::new(DiscardSink { records: Arc::clone(&self.records) }))
    }
}

#[derive(Debug)]
struct DiscardSink {
    records: Arc<AtomicU64>,
}

impl Sink for DiscardSink {
    fn write(&mut self, batch: &Batch) -> Result<(), ConnectorError> {
        self.records.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn prepare(&mut self, epoch: u64) -> Result<Value, ConnectorError> {
        Ok(json!({ "epoch": epoch }))
    }

    fn commit(&mut self, _: &Value) -> Result<(), ConnectorError> {
        Ok(())
    }
}
