//! Standard input, or any other stream that cannot be rewound, as a source.
//!
//! A thread reads and decodes, so that a poll never waits; at most [`CHUNKS_MAX`] batches wait for the job. A stream is
//! read by task 0 alone, once.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};
use statehouse_engine::{ConnectorError, Malformed, Polled, Progress, Source, SourceFactory};
use statehouse_operator::{Batch, Port};

use crate::format::{Format, read_batch};
use crate::input::Input;

/// The most batches that wait between the stream and the job.
const CHUNKS_MAX: usize = 4;

/// What the job calls the stream.
const NAME: &str = "stdin";

/// A stream that one task reads once.
pub struct StdinFactory {
    format: Format,
    batch: u64,
    port: Port,
    reader: Mutex<Option<Box<dyn Read + Send>>>,
}

impl fmt::Debug for StdinFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdinFactory").field("format", &self.format).finish_non_exhaustive()
    }
}

impl StdinFactory {
    /// A source over this stream.
    pub(crate) fn over(reader: Box<dyn Read + Send>, format: Format, batch: u64) -> Self {
        let port = format.port();
        Self { format, batch, port, reader: Mutex::new(Some(reader)) }
    }
}

impl SourceFactory for StdinFactory {
    fn port(&self) -> &Port {
        &self.port
    }

    fn open(
        &self,
        task: u32,
        _parallelism: u32,
        restored: &[Value],
    ) -> Result<Box<dyn Source>, ConnectorError> {
        if !restored.is_empty() {
            let records: u64 = restored.iter().filter_map(|p| p["records"].as_u64()).sum();
            return Err(ConnectorError::new(format!(
                "the job cannot be resumed: its source is standard input, of which {records} records were read, \
                 and which cannot be rewound; start over with --fresh and the whole input, or read it from a file"
            )));
        }
        if task != 0 {
            return Ok(Box::new(StdinSource { chunks: None, records: 0, malformed: Vec::new() }));
        }
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(reader) = reader else {
            return Err(ConnectorError::new(
                "the job cannot be restarted: its source is standard input, which was partly read and cannot be \
                 rewound; start over with --fresh and the whole input, or read it from a file",
            ));
        };
        let (sender, chunks) = sync_channel(CHUNKS_MAX);
        let (format, port, batch) = (self.format.clone(), self.port.clone(), self.batch);
        let read = move || {
            let last = match read_all(reader, &format, &port, batch, &sender) {
                Ok(()) => Message::End,
                Err(error) => Message::Failed(error),
            };
            // Nobody receives once the job has ended.
            let _ = sender.send(last);
        };
        thread::Builder::new().name("stdin".into()).spawn(read).map_err(|error| {
            ConnectorError::new(format!("cannot start the thread that reads stdin: {error}"))
        })?;
        Ok(Box::new(StdinSource { chunks: Some(chunks), records: 0, malformed: Vec::new() }))
    }
}

/// What the reading thread has to say.
enum Message {
    /// Records, and what was none.
    Chunk { batch: Batch, malformed: Vec<Malformed>, records: u64 },
    /// The stream ended.
    End,
    /// The stream cannot be read on.
    Failed(ConnectorError),
}

fn read_all(
    reader: Box<dyn Read + Send>,
    format: &Format,
    port: &Port,
    records_max: u64,
    sender: &SyncSender<Message>,
) -> Result<(), ConnectorError> {
    let mut input = Input::start(reader, NAME.into())?;
    let mut decoder = format.decoder();
    decoder.start(&mut input)?;
    loop {
        let mut batch = port.empty_batch();
        let mut malformed = Vec::new();
        let read = read_batch(
            decoder.as_mut(),
            &mut input,
            records_max,
            &mut batch,
            &mut malformed,
            // Records at hand do not wait for those that may take long to come.
            |input| !input.has_whole_line(),
        )?;
        let records = read.records;
        if records > 0 && sender.send(Message::Chunk { batch, malformed, records }).is_err() {
            return Ok(());
        }
        if read.ended {
            return Ok(());
        }
    }
}

/// The receiving end; without one, a task that has no part in the stream.
#[derive(Debug)]
struct StdinSource {
    chunks: Option<Receiver<Message>>,
    records: u64,
    malformed: Vec<Malformed>,
}

impl Source for StdinSource {
    fn poll(&mut self) -> Result<Polled, ConnectorError> {
        let Some(chunks) = &self.chunks else { return Ok(Polled::End) };
        match chunks.try_recv() {
            Ok(Message::Chunk { batch, malformed, records }) => {
                self.records += records;
                self.malformed.extend(malformed);
                Ok(if batch.is_empty() { Polled::Idle } else { Polled::Batch(batch) })
            }
            Ok(Message::End) => {
                self.chunks = None;
                Ok(Polled::End)
            }
            Ok(Message::Failed(error)) => Err(error),
            Err(TryRecvError::Empty) => Ok(Polled::Idle),
            Err(TryRecvError::Disconnected) => Err(ConnectorError::new(
                "the thread that reads stdin stopped before the end of the input",
            )),
        }
    }

    fn position(&self) -> Value {
        json!({ "records": self.records })
    }

    fn take_malformed(&mut self) -> Vec<Malformed> {
        std::mem::take(&mut self.malformed)
    }

    fn progress(&self) -> Progress {
        Progress { done: self.records, total: None }
    }
}
