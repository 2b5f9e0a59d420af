//! Standard output as a sink. What is printed cannot be taken back, so this one is not exactly once.
//!
//! Lines are held until their checkpoint exists, then printed: after a crash nothing is printed twice, but what had
//! been checkpointed and not yet printed is lost. With `immediate` they are printed as they come: nothing is lost, but
//! what is done again after a crash is printed again. The `jsonl` sink has neither flaw.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use statehouse_engine::{ConnectorError, Sink, SinkFactory};
use statehouse_operator::{Batch, Port};

use crate::json_lines::LineFormat;
use crate::settings::StdoutSettings;

/// The most bytes that one task holds until the next checkpoint.
const HELD_BYTES_MAX: usize = 64 << 20;

/// Where lines are printed to, by one task at a time.
#[derive(Clone)]
struct Printer(Arc<Mutex<Box<dyn Write + Send>>>);

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Printer")
    }
}

impl Printer {
    fn print(&self, lines: &[u8]) -> Result<(), ConnectorError> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(lines).and_then(|()| writer.flush()).map_err(|error| {
            ConnectorError::new(format!("cannot write to standard output: {error}"))
        })
    }
}

/// Prints records.
#[derive(Debug)]
pub struct StdoutFactory {
    printer: Printer,
    settings: StdoutSettings,
}

impl StdoutFactory {
    /// A sink that prints to this writer.
    pub fn over(writer: Box<dyn Write + Send>, settings: StdoutSettings) -> Self {
        Self { printer: Printer(Arc::new(Mutex::new(writer))), settings }
    }
}

impl SinkFactory for StdoutFactory {
    fn check(&self, input: &Port) -> Result<(), String> {
        LineFormat::check(input, self.settings.with_key)
    }

    fn check_recovery(&self, _tokens: &[Value]) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn recover(&self, _: &[Value]) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn open(&self, _task: u32, input: &Port) -> Result<Box<dyn Sink>, ConnectorError> {
        Ok(Box::new(StdoutSink {
            printer: self.printer.clone(),
            format: LineFormat::new(input, self.settings.with_key, self.settings.with_time),
            immediate: self.settings.immediate,
            lines: Vec::new(),
            prepared: Vec::new(),
        }))
    }
}

#[derive(Debug)]
struct StdoutSink {
    printer: Printer,
    format: LineFormat,
    immediate: bool,
    lines: Vec<u8>,
    /// Lines of epochs that were prepared and not committed, in order.
    prepared: Vec<(u64, Vec<u8>)>,
}

impl Sink for StdoutSink {
    fn write(&mut self, batch: &Batch) -> Result<(), ConnectorError> {
        self.format.append(batch, &mut self.lines);
        if self.immediate {
            self.printer.print(&self.lines)?;
            self.lines.clear();
        }
        let held = self.lines.len() + self.prepared.iter().map(|(_, l)| l.len()).sum::<usize>();
        if held > HELD_BYTES_MAX {
            return Err(ConnectorError::new(format!(
                "more than {} MiB for standard output since the last checkpoint: set `immediate = true`, make the \
                 checkpoint interval shorter, or use the `jsonl` sink",
                HELD_BYTES_MAX >> 20
            )));
        }
        Ok(())
    }

    fn prepare(&mut self, epoch: u64) -> Result<Value, ConnectorError> {
        if !self.lines.is_empty() {
            self.prepared.push((epoch, std::mem::take(&mut self.lines)));
        }
        Ok(json!({ "epoch": epoch }))
    }

    fn commit(&mut self, token: &Value) -> Result<(), ConnectorError> {
        let Some(epoch) = token["epoch"].as_u64() else { return Ok(()) };
        let held = std::mem::take(&mut self.prepared);
        let (due, later) = held.into_iter().partition(|&(prepared, _)| prepared == epoch);
        self.prepared = later;
        let due: Vec<(u64, Vec<u8>)> = due;
        due.iter().try_for_each(|(_, lines)| self.printer.print(lines))
    }
}
