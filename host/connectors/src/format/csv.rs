//! CSV with a header: each row becomes a JSON object of strings, its members in the header's order.
//!
//! The JSON text is written straight from the fields. Quoting is that of RFC 4180; lines may end with LF, CRLF or CR;
//! empty lines are passed over.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use statehouse_engine::ConnectorError;
use statehouse_operator::Batch;

use super::timestamp::TimeFormat;
use super::{Decoded, Decoder, push_row, too_long};
use crate::input::{Input, RECORD_BYTES_MAX};

/// The most columns that a row can have.
const COLUMNS_MAX: usize = 1 << 16;

/// How rows are written and where their key and time are.
#[derive(Debug, Clone)]
pub(crate) struct CsvFormat {
    /// Between two fields.
    pub(crate) delimiter: u8,
    /// The column of the key.
    pub(crate) key: Option<String>,
    /// The column of the time.
    pub(crate) time: Option<(String, TimeFormat)>,
}

/// Reads rows.
#[derive(Debug)]
pub(crate) struct CsvDecoder {
    format: CsvFormat,
    rows: RowReader,
    /// What stands before each column's value in the JSON text.
    prefixes: Vec<Vec<u8>>,
    key: Option<usize>,
    time: Option<usize>,
    json: Vec<u8>,
}

impl CsvDecoder {
    /// A decoder that has read nothing.
    pub(crate) fn new(format: CsvFormat) -> Self {
        let rows = RowReader::new(format.delimiter);
        Self { format, rows, prefixes: Vec::new(), key: None, time: None, json: Vec::new() }
    }

    fn push(&mut self, batch: &mut Batch) -> Result<(), String> {
        let rows = &self.rows;
        if rows.len() != self.prefixes.len() {
            return Err(format!(
                "{} fields where the header has {}",
                rows.len(),
                self.prefixes.len()
            ));
        }
        self.json.clear();
        for (column, prefix) in self.prefixes.iter().enumerate() {
            self.json.extend_from_slice(prefix);
            push_json_text(&mut self.json, rows.text(column)?);
        }
        self.json.push(b'}');
        let time = match (&self.format.time, self.time) {
            (Some((name, format)), Some(column)) => format
                .parse(rows.text(column)?)
                .map_err(|reason| format!("time in column `{name}`: {reason}"))?,
            _ => 0,
        };
        push_row(batch, time, self.key.map(|column| rows.field(column)), &self.json);
        Ok(())
    }
}

impl Decoder for CsvDecoder {
    fn start(&mut self, input: &mut Input) -> Result<(), ConnectorError> {
        let file = input.name().to_owned();
        let bad = |reason: String| {
            ConnectorError::new(format!(
                "the CSV header of `{file}` {reason}; correct the file or the source's settings"
            ))
        };
        let unusable = match self.rows.read(input)? {
            Row::Fields => None,
            // An empty file has no header and no rows either.
            Row::End => return Ok(()),
            Row::TooLong => Some(format!("is {}", too_long())),
            Row::Unclosed => Some("has a quoted field that is never closed".to_owned()),
        };
        if let Some(reason) = unusable {
            return Err(bad(reason));
        }
        let mut names = Vec::with_capacity(self.rows.len());
        for column in 0..self.rows.len() {
            let name = self.rows.text(column);
            let name = name.map_err(|reason| bad(format!("cannot be read: {reason}")))?.to_owned();
            if names.contains(&name) {
                return Err(bad(format!("names the column `{name}` twice")));
            }
            let mut prefix = vec![if column == 0 { b'{' } else { b',' }];
            push_json_text(&mut prefix, &name);
            prefix.push(b':');
            self.prefixes.push(prefix);
            names.push(name);
        }
        let find = |name: &String, setting| {
            names.iter().position(|other| other == name).ok_or_else(|| {
                let all = names.join("`, `");
                bad(format!("has no column `{name}`, which `{setting}` names; it has `{all}`"))
            })
        };
        self.key = self.format.key.as_ref().map(|name| find(name, "key")).transpose()?;
        let time = self.format.time.as_ref();
        self.time = time.map(|(name, _)| find(name, "time")).transpose()?;
        Ok(())
    }

    fn read(&mut self, input: &mut Input, batch: &mut Batch) -> Result<Decoded, ConnectorError> {
        let reason = match self.rows.read(input)? {
            Row::End => return Ok(Decoded::End),
            Row::Fields => match self.push(batch) {
                Ok(()) => return Ok(Decoded::Row),
                Err(reason) => reason,
            },
            Row::TooLong => too_long(),
            Row::Unclosed => "a quoted field is not closed before the end of the file".to_owned(),
        };
        let raw = self.rows.raw.trim_ascii_end();
        Ok(Decoded::Malformed(input.malformed(self.rows.line, reason, raw)))
    }
}

/// What [`RowReader::read`] found.
enum Row {
    Fields,
    TooLong,
    Unclosed,
    End,
}

/// Cuts the input into rows and the rows into fields.
#[derive(Debug)]
struct RowReader {
    core: Reader,
    /// The fields of the row, end to end and without quotes.
    fields: Vec<u8>,
    ends: Vec<usize>,
    count: usize,
    /// The row as it came, and the number of its first line.
    raw: Vec<u8>,
    line: u64,
}

impl RowReader {
    fn new(delimiter: u8) -> Self {
        Self {
            core: ReaderBuilder::new().delimiter(delimiter).build(),
            fields: vec![0; 4096],
            ends: vec![0; 64],
            count: 0,
            raw: Vec::new(),
            line: 0,
        }
    }

    fn len(&self) -> usize {
        self.count
    }

    fn field(&self, column: usize) -> &[u8] {
        let start = if column == 0 { 0 } else { self.ends[column - 1] };
        &self.fields[start..self.ends[column]]
    }

    fn text(&self, column: usize) -> Result<&str, String> {
        std::str::from_utf8(self.field(column))
            .map_err(|_| format!("column {} is not UTF-8", column + 1))
    }

    fn read(&mut self, input: &mut Input) -> Result<Row, ConnectorError> {
        if !input.skip_newlines()? {
            return Ok(Row::End);
        }
        self.raw.clear();
        self.line = input.line_number();
        let (mut written, mut ended, mut too_long) = (0, 0, false);
        loop {
            let bytes = input.fill()?;
            let at_end = bytes.is_empty();
            // A line feed ends the last row, unless a quoted field is still open.
            let bytes = if at_end { b"\n" } else { bytes };
            let lines = self.core.line();
            let (result, used, wrote, fields) =
                self.core.read_record(bytes, &mut self.fields[written..], &mut self.ends[ended..]);
            if !at_end {
                if !too_long {
                    self.raw.extend_from_slice(&bytes[..used]);
                }
                input.consume(used, self.core.line() - lines);
            }
            written += wrote;
            ended += fields;
            match result {
                ReadRecordResult::InputEmpty if at_end => {
                    self.core.reset();
                    return Ok(Row::Unclosed);
                }
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.fields.len() < RECORD_BYTES_MAX => {
                    self.fields.resize(self.fields.len() * 2, 0);
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() < COLUMNS_MAX => {
                    self.ends.resize(self.ends.len() * 2, 0);
                }
                // What follows of the row is read over what came before.
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    (written, ended, too_long) = (0, 0, true);
                }
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return Ok(Row::End),
            }
        }
        if too_long {
            return Ok(Row::TooLong);
        }
        self.count = ended;
        Ok(Row::Fields)
    }
}

/// Appends text as a JSON string.
fn push_json_text(json: &mut Vec<u8>, text: &str) {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        json.push(b'"');
        json.extend_from_slice(text.as_bytes());
        json.push(b'"');
    } else {
        serde_json::to_writer(json, text).expect("text is written to memory");
    }
}
