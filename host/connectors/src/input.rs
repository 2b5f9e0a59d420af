//! The bytes of one file or stream on their way to a decoder, with the place that has been reached.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use statehouse_engine::{ConnectorError, Malformed};
use statehouse_operator::render;

/// The longest record. What is longer is malformed, and skipped without being held in memory.
pub(crate) const RECORD_BYTES_MAX: usize = 16 << 20;

/// Read from the operating system, or decompressed, at a time.
const BUFFER_BYTES: usize = 64 << 10;

const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Where an input is: what has been consumed of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Bytes, after decompression.
    pub(crate) bytes: u64,
    /// Line feeds.
    pub(crate) lines: u64,
}

/// A buffered stream of bytes that knows its name and its place.
pub(crate) struct Input {
    reader: BufReader<Box<dyn Read + Send>>,
    name: String,
    place: Place,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("name", &self.name).field("place", &self.place).finish()
    }
}

/// What [`Input::read_line`] found.
pub(crate) enum Line {
    /// A line, without its end.
    Whole,
    /// A line longer than [`RECORD_BYTES_MAX`], which was skipped.
    TooLong,
    /// Nothing any more.
    End,
}

impl Input {
    /// An input at its start, behind the byte order mark if it has one.
    pub(crate) fn start(
        mut reader: Box<dyn Read + Send>,
        name: String,
    ) -> Result<Self, ConnectorError> {
        let mut seen = Vec::with_capacity(BYTE_ORDER_MARK.len());
        // Byte by byte and no further than the mark matches: a terminal may have sent no more than one line.
        while seen.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(&seen) {
            let mut byte = [0];
            match reader.read(&mut byte) {
                Ok(0) => break,
                Ok(_) => seen.push(byte[0]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(&name, 0, &error)),
            }
        }
        if seen == BYTE_ORDER_MARK {
            return Ok(Self::resume(reader, name, Place { bytes: 3, lines: 0 }));
        }
        let whole = Box::new(io::Cursor::new(seen).chain(reader));
        Ok(Self::resume(whole, name, Place::default()))
    }

    /// An input whose reader already stands at a place.
    pub(crate) fn resume(reader: Box<dyn Read + Send>, name: String, place: Place) -> Self {
        Self { reader: BufReader::with_capacity(BUFFER_BYTES, reader), name, place }
    }

    /// What error messages call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How far it is.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The number of the line that comes next, counted from 1.
    pub(crate) fn line_number(&self) -> u64 {
        self.place.lines + 1
    }

    /// Some of the bytes that come next; none at the end.
    pub(crate) fn fill(&mut self) -> Result<&[u8], ConnectorError> {
        loop {
            match self.reader.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(&self.name, self.place.bytes, &error)),
            }
        }
        Ok(self.reader.buffer())
    }

    /// Goes past bytes that [`Input::fill`] showed and that hold this many line feeds.
    pub(crate) fn consume(&mut self, bytes: usize, lines: u64) {
        self.reader.consume(bytes);
        self.place.bytes += bytes as u64;
        self.place.lines += lines;
    }

    /// Whether the bytes at hand hold a whole line, so that reading on need not wait for more.
    pub(crate) fn has_whole_line(&self) -> bool {
        let mut rest = self.reader.buffer().iter().skip_while(|&&byte| is_newline(byte));
        rest.any(|&byte| byte == b'\n')
    }

    /// Goes past empty lines. False at the end of the input.
    pub(crate) fn skip_newlines(&mut self) -> Result<bool, ConnectorError> {
        loop {
            let bytes = self.fill()?;
            let count = bytes.iter().take_while(|&&byte| is_newline(byte)).count();
            let lines = bytes[..count].iter().filter(|&&byte| byte == b'\n').count() as u64;
            let (ended, found) = (bytes.is_empty(), count < bytes.len());
            self.consume(count, lines);
            if ended || found {
                return Ok(found);
            }
        }
    }

    /// Reads a line into `line`, without the line feed or the carriage return before it.
    pub(crate) fn read_line(&mut self, line: &mut Vec<u8>) -> Result<Line, ConnectorError> {
        line.clear();
        self.read_until_newline(line, RECORD_BYTES_MAX + 1)?;
        if line.is_empty() {
            return Ok(Line::End);
        }
        self.place.lines += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        } else if line.len() > RECORD_BYTES_MAX {
            let mut rest = Vec::new();
            while self.read_until_newline(&mut rest, BUFFER_BYTES)? > 0
                && rest.last() != Some(&b'\n')
            {
                rest.clear();
            }
            return Ok(Line::TooLong);
        }
        Ok(Line::Whole)
    }

    /// Reads and drops bytes up to a place. False if the input ends before.
    pub(crate) fn skip_to(&mut self, place: Place) -> Result<bool, ConnectorError> {
        while self.place.bytes < place.bytes {
            let left = usize::try_from(place.bytes - self.place.bytes).unwrap_or(usize::MAX);
            let bytes = self.fill()?.len().min(left);
            if bytes == 0 {
                return Ok(false);
            }
            self.consume(bytes, 0);
        }
        self.place = place;
        Ok(true)
    }

    /// Input that is no record, beginning at a line.
    pub(crate) fn malformed(
        &self,
        line: u64,
        reason: impl Into<String>,
        input: &[u8],
    ) -> Malformed {
        Malformed {
            place: format!("{}:{line}", self.name),
            reason: reason.into(),
            input: render::shortened(&String::from_utf8_lossy(input)),
        }
    }

    fn read_until_newline(
        &mut self,
        line: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<usize, ConnectorError> {
        let read = self.reader.by_ref().take(bytes_max as u64).read_until(b'\n', line);
        let read = read.map_err(|error| unreadable(&self.name, self.place.bytes, &error))?;
        self.place.bytes += read as u64;
        Ok(read)
    }
}

fn is_newline(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}

fn unreadable(name: &str, bytes: u64, error: &io::Error) -> ConnectorError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return ConnectorError::new(format!(
            "`{name}` ends in the middle of its compressed data, after {bytes} bytes of content: the file is \
             truncated; fetch or write it again"
        ));
    }
    ConnectorError::new(format!(
        "cannot read `{name}` on after {bytes} bytes of content: {error}; is the file damaged or its suffix wrong?"
    ))
}
