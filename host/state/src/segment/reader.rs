//! Reads segments, whatever their bytes are.

use super::{Cell, DOMAINS, KEYS, KINDS, MAGIC, Record, Schema, VALUES, VERSION};
use crate::declaration::{StateId, TimerId};
use crate::error::Error;
use crate::key::KeyGroup;

/// Reads the records of one segment, with states and timers numbered as in the schema that it was
/// opened with.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: Bytes<'a>,
    keys_are_words: bool,
    /// For each state of the segment: its id in the schema, and whether its values are words.
    states: Vec<(StateId, bool)>,
    timers: Vec<TimerId>,
    read: u64,
    ended: bool,
}

impl<'a> Reader<'a> {
    /// Reads a segment's head and finds its states and timers in the schema.
    ///
    /// # Errors
    /// If it is no segment, or one of another version, or has states, timers or layouts that the
    /// schema has not.
    pub fn open(group: KeyGroup, bytes: &'a [u8], schema: &Schema) -> Result<Self, Error> {
        let mut bytes = Bytes { group, rest: bytes, length: bytes.len() };
        if bytes.take(MAGIC.len())? != MAGIC {
            return Err(bytes.error("it does not start with the mark of a segment"));
        }
        let version = bytes.byte()?;
        if version != VERSION {
            return Err(bytes.error(format!(
                "its format has version {version}, and this program reads version {VERSION}"
            )));
        }
        let key = bytes.one_of(&KEYS, "key layout")?;
        if key != schema.key {
            return Err(bytes.error(format!(
                "its keys are {key:?}, and the operator's keys are {:?}",
                schema.key
            )));
        }
        let states = states(&mut bytes, schema)?;
        let timers = timers(&mut bytes, schema)?;
        Ok(Self { bytes, keys_are_words: key.is_words(), states, timers, read: 0, ended: false })
    }

    /// The next record, or `None` after the last one.
    ///
    /// # Errors
    /// If the bytes are not a record, or the segment ends too early or too late.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would have to turn the result around"
    )]
    pub fn next(&mut self) -> Result<Option<Record<'a>>, Error> {
        if self.ended {
            return Ok(None);
        }
        let tag = self.bytes.varint()?;
        let Some(tag) = tag.checked_sub(1) else {
            return self.end();
        };
        let key = self.bytes.cell(self.keys_are_words)?;
        let (number, operation) = (tag / 4, tag % 4);
        let record = if operation < 2 {
            let (state, words) = lookup(&self.states, number)
                .ok_or_else(|| self.bytes.error(format!("it names no state {number}")))?;
            let value = if operation == 1 { Some(self.bytes.cell(words)?) } else { None };
            Record::Value { state, key, value }
        } else {
            let timer = lookup(&self.timers, number)
                .ok_or_else(|| self.bytes.error(format!("it names no timer {number}")))?;
            let time = self.bytes.word()? as i64;
            Record::Timer { timer, key, time, set: operation == 3 }
        };
        self.read += 1;
        Ok(Some(record))
    }

    fn end(&mut self) -> Result<Option<Record<'a>>, Error> {
        let entries = self.bytes.varint()?;
        if entries != self.read || !self.bytes.rest.is_empty() {
            return Err(self.bytes.error(format!(
                "it holds {} records and {} bytes after them, and its end says {entries} records",
                self.read,
                self.bytes.rest.len()
            )));
        }
        self.ended = true;
        Ok(None)
    }
}

fn lookup<T: Copy>(list: &[T], number: u64) -> Option<T> {
    list.get(usize::try_from(number).ok()?).copied()
}

fn states(bytes: &mut Bytes<'_>, schema: &Schema) -> Result<Vec<(StateId, bool)>, Error> {
    let mut states = Vec::new();
    for _ in 0..bytes.varint()? {
        let name = bytes.name()?;
        let kind = bytes.one_of(&KINDS, "state kind")?;
        let value = bytes.one_of(&VALUES, "value layout")?;
        let Some(id) = schema.states.iter().position(|state| state.name == name) else {
            return Err(bytes.error(format!(
                "it holds state `{name}`, which the operator does not declare; declare it again, \
                 or drop it"
            )));
        };
        let declared = &schema.states[id];
        if declared.kind != kind || declared.value != value {
            return Err(bytes.error(format!(
                "it holds state `{name}` as {kind:?} of {value:?}, and the operator declares it as \
                 {:?} of {:?}",
                declared.kind, declared.value
            )));
        }
        states.push((StateId(id as u32), value.is_words()));
    }
    Ok(states)
}

fn timers(bytes: &mut Bytes<'_>, schema: &Schema) -> Result<Vec<TimerId>, Error> {
    let mut timers = Vec::new();
    for _ in 0..bytes.varint()? {
        let name = bytes.name()?;
        let domain = bytes.one_of(&DOMAINS, "time domain")?;
        let Some(id) = schema.timers.iter().position(|timer| timer.name == name) else {
            return Err(bytes.error(format!(
                "it holds timers `{name}`, which the operator does not declare; declare them \
                 again, or drop them"
            )));
        };
        if schema.timers[id].domain != domain {
            return Err(bytes.error(format!(
                "it holds timers `{name}` in {domain:?}, and the operator declares them in {:?}",
                schema.timers[id].domain
            )));
        }
        timers.push(TimerId(id as u32));
    }
    Ok(timers)
}

/// What is left of the segment.
#[derive(Debug)]
struct Bytes<'a> {
    group: KeyGroup,
    rest: &'a [u8],
    length: usize,
}

impl<'a> Bytes<'a> {
    fn error(&self, reason: impl Into<String>) -> Error {
        Error::Segment { group: self.group, reason: reason.into() }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.error(format!("it ends too early, after {} bytes", self.length)));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?[0])
    }

    fn word(&mut self) -> Result<u64, Error> {
        let word = self.take(8)?.try_into().expect("eight bytes were taken");
        Ok(u64::from_le_bytes(word))
    }

    fn varint(&mut self) -> Result<u64, Error> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            number |= bits << shift;
            let lost = (bits << shift) >> shift != bits;
            let padded = byte == 0 && shift > 0;
            if lost || padded {
                break;
            }
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.error(format!("a number before its byte {} is damaged", self.position())))
    }

    fn string(&mut self) -> Result<&'a [u8], Error> {
        let length = self.varint()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn name(&mut self) -> Result<&'a str, Error> {
        let name = self.string()?;
        str::from_utf8(name).map_err(|_| {
            self.error(format!("a name before its byte {} is damaged", self.position()))
        })
    }

    fn cell(&mut self, words: bool) -> Result<Cell<'a>, Error> {
        Ok(if words { Cell::Word(self.word()?) } else { Cell::Bytes(self.string()?) })
    }

    fn one_of<T: Copy>(&mut self, list: &[T], what: &str) -> Result<T, Error> {
        let code = self.byte()?;
        list.get(usize::from(code))
            .copied()
            .ok_or_else(|| self.error(format!("{code} is no {what} that this program knows")))
    }

    fn position(&self) -> usize {
        self.length - self.rest.len()
    }
}
