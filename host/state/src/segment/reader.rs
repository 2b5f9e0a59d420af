//! Reads segments, whatever their bytes are.

use super::{Cell, DOMAINS, KEYS, KINDS, MAGIC, Record, Schema, Stamped, VALUES, VERSION};
use crate::declaration::{KeyLayout, StateDeclaration, StateId, StateKind, TimerId};
use crate::error::Error;
use crate::key::KeyGroup;
use crate::ttl::NO_STAMP;

/// No element of a list has this number or a higher one: a backend counts up from 0, and must be able to go on.
const ELEMENTS_END: u64 = 1 << 63;

/// Reads the records of one segment, with states and timers numbered as in the schema that it was
/// opened with.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: Bytes<'a>,
    version: u8,
    keys_are_words: bool,
    states: Vec<State>,
    timers: Vec<Option<TimerId>>,
    records: u64,
    ended: bool,
}

/// A state of the segment.
#[derive(Debug, Clone, Copy)]
struct State {
    /// Its id in the schema; `None` if that does not have it, and its records are dropped.
    id: Option<StateId>,
    words: bool,
    /// Whether entry keys are words, if it is a collection.
    entry_words: Option<bool>,
    list: bool,
    stamps: Stamps,
}

/// Whether values have stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamps {
    No,
    /// They are there, but the schema has no use for them.
    Ignored,
    Yes,
}

impl<'a> Reader<'a> {
    /// Reads a segment's head and finds its states and timers in the schema.
    ///
    /// # Errors
    /// If it is no segment, or one of another version, or has layouts that the schema has not. States and timers that
    /// the schema has not are an error too, unless it [drops](Schema::drop_unclaimed) them.
    pub fn open(group: KeyGroup, bytes: &'a [u8], schema: &Schema) -> Result<Self, Error> {
        let mut bytes = Bytes { group, rest: bytes, length: bytes.len() };
        if bytes.take(MAGIC.len())? != MAGIC {
            return Err(bytes.error("it does not start with the mark of a segment"));
        }
        let version = bytes.byte()?;
        if !(1..=VERSION).contains(&version) {
            return Err(bytes.error(format!(
                "its format has version {version}, and this program reads versions 1 to {VERSION}"
            )));
        }
        let key = bytes.one_of(&KEYS, "key layout")?;
        if key != schema.key {
            return Err(bytes.error(format!(
                "its keys are {key:?}, and the operator's keys are {:?}",
                schema.key
            )));
        }
        let states = states(&mut bytes, version, schema)?;
        let timers = timers(&mut bytes, schema)?;
        let keys_are_words = key.is_words();
        Ok(Self { bytes, version, keys_are_words, states, timers, records: 0, ended: false })
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
        while !self.ended {
            let read = self.read()?;
            if read.is_some() {
                return Ok(read);
            }
        }
        Ok(None)
    }

    /// Reads one record. `None` if it was the end, or is dropped.
    fn read(&mut self) -> Result<Option<Record<'a>>, Error> {
        let tag = self.bytes.varint()?;
        let Some(tag) = tag.checked_sub(1) else {
            self.end()?;
            return Ok(None);
        };
        let key = self.bytes.cell(self.keys_are_words)?;
        let factor = if self.version == 1 { 4 } else { 8 };
        let (number, operation) = (tag / factor, tag % factor);
        let record = match operation {
            0 | 1 => {
                let State { id: state, .. } = self.state(number, false)?;
                let value = if operation == 1 { Some(self.stamped(number)?) } else { None };
                state.map(|state| Record::Value { state, key, value })
            }
            2 | 3 => {
                let timer = lookup(&self.timers, number)
                    .ok_or_else(|| self.bytes.error(format!("it names no timer {number}")))?;
                let time = self.bytes.word()? as i64;
                let namespace = if self.version == 1 { 0 } else { self.bytes.varint()? };
                timer.map(|timer| Record::Timer {
                    timer,
                    key,
                    time,
                    namespace,
                    set: operation == 3,
                })
            }
            4 | 5 => {
                let State { id: state, entry_words, list, .. } = self.state(number, true)?;
                let entry = self.bytes.cell(entry_words == Some(true))?;
                if let (true, Cell::Word(ELEMENTS_END..)) = (list, entry) {
                    return Err(self.bytes.error("it numbers an element as no list does"));
                }
                let value = if operation == 5 { Some(self.stamped(number)?) } else { None };
                state.map(|state| Record::Entry { state, key, entry, value })
            }
            _ => return Err(self.bytes.error(format!("{operation} is no operation"))),
        };
        self.records += 1;
        Ok(record)
    }

    /// A state by its number in the segment, which must be a collection or must not.
    fn state(&self, number: u64, collection: bool) -> Result<State, Error> {
        lookup(&self.states, number)
            .filter(|state| state.entry_words.is_some() == collection)
            .ok_or_else(|| self.bytes.error(format!("it names no such state {number}")))
    }

    fn stamped(&mut self, number: u64) -> Result<Stamped<'a>, Error> {
        let State { words, stamps, .. } = self.states[number as usize];
        let mut stamp = NO_STAMP;
        if stamps != Stamps::No {
            let read = self.bytes.word()? as i64;
            stamp = if stamps == Stamps::Yes { read } else { NO_STAMP };
        }
        Ok(Stamped { value: self.bytes.cell(words)?, stamp })
    }

    fn end(&mut self) -> Result<(), Error> {
        let entries = self.bytes.varint()?;
        if entries != self.records || !self.bytes.rest.is_empty() {
            return Err(self.bytes.error(format!(
                "it holds {} records and {} bytes after them, and its end says {entries} records",
                self.records,
                self.bytes.rest.len()
            )));
        }
        self.ended = true;
        Ok(())
    }
}

fn lookup<T: Copy>(list: &[T], number: u64) -> Option<T> {
    list.get(usize::try_from(number).ok()?).copied()
}

fn states(bytes: &mut Bytes<'_>, version: u8, schema: &Schema) -> Result<Vec<State>, Error> {
    let mut states = Vec::new();
    for _ in 0..bytes.varint()? {
        let name = bytes.name()?;
        let schema_version = if version > 2 { Some(bytes.schema_version()?) } else { None };
        let kind = bytes.one_of(&KINDS, "state kind")?;
        let value = bytes.one_of(&VALUES, "value layout")?;
        let (mut entry, mut stamp) = (KeyLayout::U64, 0);
        if version > 1 {
            entry = bytes.one_of(&KEYS, "entry layout")?;
            stamp = bytes.byte()?;
        }
        let words = value.is_words();
        let entry_words = kind.is_collection().then(|| entry.is_words());
        let list = kind == StateKind::List;
        let Some(id) = schema.find(name, schema_version) else {
            if schema.drops_unclaimed && stamp <= 2 {
                let stamps = if stamp == 0 { Stamps::No } else { Stamps::Ignored };
                states.push(State { id: None, words, entry_words, list, stamps });
                continue;
            }
            return Err(bytes.error(unclaimed(name, schema_version, &schema.states)));
        };
        let declared = &schema.states[id.0 as usize];
        let declared_entry = declared.map_key.unwrap_or(KeyLayout::U64);
        if (declared.kind, declared.value, declared_entry) != (kind, value, entry) {
            return Err(bytes.error(format!(
                "it holds state `{name}` as {kind:?} of {value:?}, entries by {entry:?}, and the \
                 operator declares it as {:?} of {:?}, entries by {declared_entry:?}",
                declared.kind, declared.value
            )));
        }
        let stamps = match (stamp, declared.ttl) {
            (0, _) => Stamps::No,
            (domain @ 1..=2, Some(ttl)) if ttl.domain == DOMAINS[usize::from(domain) - 1] => {
                Stamps::Yes
            }
            (1..=2, _) => Stamps::Ignored,
            _ => return Err(bytes.error(format!("{stamp} is no kind of stamp"))),
        };
        states.push(State { id: Some(id), words, entry_words, list, stamps });
    }
    Ok(states)
}

/// What to say of a state that is not declared, or not at that schema version.
fn unclaimed(name: &str, version: Option<u32>, declared: &[StateDeclaration]) -> String {
    let others = declared.iter().filter(|state| state.name == name);
    let others: Vec<_> = others.map(|state| state.schema_version.to_string()).collect();
    match version.filter(|_| !others.is_empty()) {
        Some(version) => format!(
            "it holds state `{name}` at schema version {version}, which the operator declares at \
             version {} only; migrate it, declare it at version {version} again, or drop it",
            others.join(" and ")
        ),
        None => format!(
            "it holds state `{name}`, which the operator does not declare; declare it again, or \
             drop it"
        ),
    }
}

fn timers(bytes: &mut Bytes<'_>, schema: &Schema) -> Result<Vec<Option<TimerId>>, Error> {
    let mut timers = Vec::new();
    for _ in 0..bytes.varint()? {
        let name = bytes.name()?;
        let domain = bytes.one_of(&DOMAINS, "time domain")?;
        let Some(id) = schema.timers.iter().position(|timer| timer.name == name) else {
            if schema.drops_unclaimed {
                timers.push(None);
                continue;
            }
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
        timers.push(Some(TimerId(id as u32)));
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

    fn schema_version(&mut self) -> Result<u32, Error> {
        let version = self.varint()?;
        u32::try_from(version).map_err(|_| {
            self.error(format!("{version} is no schema version that a state can have"))
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
