//! Writes segments.

use std::sync::Arc;

use super::{Cell, DOMAINS, KEYS, KINDS, MAGIC, Record, Schema, Stamped, VALUES, VERSION, code};
use crate::declaration::{KeyLayout, StateDeclaration, StateId, TimerDeclaration, TimerId};

/// Writes one segment. Allocates nothing before the first record.
#[derive(Debug)]
pub struct Writer {
    head: Arc<[u8]>,
    stamped: Arc<[bool]>,
    bytes: Vec<u8>,
    entries: u64,
}

impl Writer {
    /// A segment without records.
    pub fn new(schema: &Schema) -> Self {
        Self {
            head: Arc::clone(&schema.head),
            stamped: Arc::clone(&schema.stamped),
            bytes: Vec::new(),
            entries: 0,
        }
    }

    /// How many records it holds.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// How many bytes it holds so far.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Appends a record. Its cells must have the layouts of the schema.
    pub fn record(&mut self, record: &Record<'_>) {
        match *record {
            Record::Value { state, key, value } => self.value(state, key, value),
            Record::Entry { state, key, entry, value } => self.entry(state, key, entry, value),
            Record::Timer { timer, key, time, namespace, set } => {
                self.timer(timer, key, time, namespace, set);
            }
        }
    }

    /// Appends a value that was set, or removed where there is none.
    #[inline]
    pub fn value(&mut self, state: StateId, key: Cell<'_>, value: Option<Stamped<'_>>) {
        self.start(state.0, u64::from(value.is_some()));
        self.cell(key);
        if let Some(value) = value {
            self.stamped(state, value);
        }
    }

    /// Appends an entry of a collection that was set, or removed where there is no value.
    #[inline]
    pub fn entry(
        &mut self,
        state: StateId,
        key: Cell<'_>,
        entry: Cell<'_>,
        value: Option<Stamped<'_>>,
    ) {
        self.start(state.0, 4 + u64::from(value.is_some()));
        self.cell(key);
        self.cell(entry);
        if let Some(value) = value {
            self.stamped(state, value);
        }
    }

    /// Appends a timer that was set or deleted.
    #[inline]
    pub fn timer(&mut self, timer: TimerId, key: Cell<'_>, time: i64, namespace: u64, set: bool) {
        self.start(timer.0, 2 + u64::from(set));
        self.cell(key);
        self.bytes.extend_from_slice(&time.to_le_bytes());
        varint(&mut self.bytes, namespace);
    }

    /// The finished segment.
    pub fn finish(mut self) -> Vec<u8> {
        self.open();
        self.bytes.push(0);
        varint(&mut self.bytes, self.entries);
        self.bytes
    }

    fn open(&mut self) {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(&self.head);
        }
    }

    #[inline]
    fn start(&mut self, number: u32, operation: u64) {
        self.open();
        self.entries += 1;
        varint(&mut self.bytes, 1 + 8 * u64::from(number) + operation);
    }

    #[inline]
    fn stamped(&mut self, state: StateId, value: Stamped<'_>) {
        if self.stamped[state.0 as usize] {
            self.bytes.extend_from_slice(&value.stamp.to_le_bytes());
        }
        self.cell(value.value);
    }

    #[inline]
    fn cell(&mut self, cell: Cell<'_>) {
        match cell {
            Cell::Word(word) => self.bytes.extend_from_slice(&word.to_le_bytes()),
            Cell::Bytes(bytes) => string(&mut self.bytes, bytes),
        }
    }
}

/// Everything before the records.
pub(super) fn head(
    key: KeyLayout,
    states: &[StateDeclaration],
    timers: &[TimerDeclaration],
) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend([VERSION, code(&KEYS, &key)]);
    varint(&mut head, states.len() as u64);
    for state in states {
        string(&mut head, state.name.as_bytes());
        varint(&mut head, u64::from(state.schema_version));
        head.extend([code(&KINDS, &state.kind), code(&VALUES, &state.value)]);
        head.push(state.map_key.map_or(0, |key| code(&KEYS, &key)));
        head.push(state.ttl.map_or(0, |ttl| 1 + code(&DOMAINS, &ttl.domain)));
    }
    varint(&mut head, timers.len() as u64);
    for timer in timers {
        string(&mut head, timer.name.as_bytes());
        head.push(code(&DOMAINS, &timer.domain));
    }
    head
}

#[inline]
fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[inline]
fn string(bytes: &mut Vec<u8>, string: &[u8]) {
    varint(bytes, string.len() as u64);
    bytes.extend_from_slice(string);
}
