//! From bytes to records: what the text formats share.

pub(crate) mod csv;
pub(crate) mod jsonl;
mod lines;
mod lookup;
pub(crate) mod timestamp;

use std::fmt;

use statehouse_engine::{ConnectorError, Malformed};
use statehouse_operator::{Batch, Codec, KeyType, Port, ValueType};
use statehouse_state::{Column, KeyLayout, ValueLayout};

use crate::input::Input;

pub(crate) use csv::CsvFormat;
pub(crate) use jsonl::JsonlFormat;

/// A batch is cut early when it holds this many bytes.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// The name of the port that every source has.
pub(crate) const PORT: &str = "records";

/// How the bytes of a source are to be read.
#[derive(Debug, Clone)]
pub(crate) enum Format {
    /// One record a line, as text.
    Lines,
    /// One JSON object a row.
    Csv(CsvFormat),
    /// One JSON value a line.
    Jsonl(JsonlFormat),
}

impl Format {
    /// The port that the records come out of.
    pub(crate) fn port(&self) -> Port {
        let (codec, keyed) = match self {
            Self::Lines => (Codec::Text, false),
            Self::Csv(format) => (Codec::Json, format.key.is_some()),
            Self::Jsonl(format) => (Codec::Json, format.key.is_some()),
        };
        let key = KeyType { layout: KeyLayout::Bytes, codec: Codec::Text, schema: None };
        Port {
            name: PORT.into(),
            key: keyed.then_some(key),
            value: ValueType::new(ValueLayout::Bytes, codec),
            broadcast: false,
        }
    }

    /// A decoder for one input.
    pub(crate) fn decoder(&self) -> Box<dyn Decoder> {
        match self {
            Self::Lines => Box::new(lines::LinesDecoder::default()),
            Self::Csv(format) => Box::new(csv::CsvDecoder::new(format.clone())),
            Self::Jsonl(format) => Box::new(jsonl::JsonlDecoder::new(format.clone())),
        }
    }
}

/// What a decoder found next.
pub(crate) enum Decoded {
    /// A record, which it appended to the batch.
    Row,
    /// Something that is no record.
    Malformed(Malformed),
    /// Nothing any more.
    End,
}

/// Reads the records of one input.
pub(crate) trait Decoder: Send + fmt::Debug {
    /// Reads what comes before the first record. Called once, at the start of the input.
    fn start(&mut self, input: &mut Input) -> Result<(), ConnectorError>;

    /// Reads one record. The input may meanwhile have been moved to the start of another record.
    fn read(&mut self, input: &mut Input, batch: &mut Batch) -> Result<Decoded, ConnectorError>;
}

/// What [`read_batch`] read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BatchRead {
    /// Records, malformed ones included.
    pub(crate) records: u64,
    /// Whether the input ended.
    pub(crate) ended: bool,
}

/// Reads up to so many records, malformed ones included: where a batch ends depends on the input alone, and a poll
/// ends however bad the input is. `pause` may end it earlier.
pub(crate) fn read_batch(
    decoder: &mut dyn Decoder,
    input: &mut Input,
    records_max: u64,
    batch: &mut Batch,
    malformed: &mut Vec<Malformed>,
    pause: impl Fn(&Input) -> bool,
) -> Result<BatchRead, ConnectorError> {
    let mut read = BatchRead::default();
    while read.records < records_max && batch.size_bytes() < BATCH_BYTES_MAX {
        match decoder.read(input, batch)? {
            Decoded::Row => {}
            Decoded::Malformed(found) => malformed.push(found),
            Decoded::End => {
                read.ended = true;
                break;
            }
        }
        read.records += 1;
        if pause(input) {
            break;
        }
    }
    Ok(read)
}

/// Appends a row to a batch of this module's ports.
fn push_row(batch: &mut Batch, time: i64, key: Option<&[u8]>, value: &[u8]) {
    batch.times.push(time);
    if let (Some(Column::Bytes(keys)), Some(key)) = (&mut batch.keys, key) {
        keys.push(key);
    }
    if let Column::Bytes(values) = &mut batch.values {
        values.push(value);
    }
}

fn too_long() -> String {
    format!(
        "longer than {} MiB, the longest that a record can be",
        crate::input::RECORD_BYTES_MAX >> 20
    )
}
