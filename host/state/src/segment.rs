//! Segments: the state of one key group, or what changed in it, as bytes that any backend reads.
//!
//! # Format, version 1
//!
//! Numbers called *varint* are unsigned LEB128: seven bits a byte, lowest first, the high bit set
//! on every byte but the last, no more bytes than needed, at most 64 bits. A *string* is a varint
//! length and that many bytes; names are UTF-8. A *word* is eight bytes, least significant first: a
//! `u64`, the two's complement of an `s64`, or the IEEE 754 bits of an `f64`.
//!
//! ```text
//! segment = magic version key states timers record* end
//! magic   = 53 48 53 47                  "SHSG"
//! version = 01
//! key     = byte                         layout of the keys: 0 u64, 1 s64, 2 bytes
//! states  = varint(count) state*         numbered from 0
//! state   = string(name) byte(kind) byte(layout)
//!                                        kind: 0 value; layout: 0 u64, 1 s64, 2 f64, 3 bytes
//! timers  = varint(count) timer*         numbered from 0
//! timer   = string(name) byte(domain)    domain: 0 event time, 1 processing time
//! record  = varint(1 + 4 * number + operation) key-cell body
//!           operation 0, value removed:  number of the state;  no body
//!           operation 1, value set:      number of the state;  body = value-cell
//!           operation 2, timer deleted:  number of the timer;  body = word(time)
//!           operation 3, timer set:      number of the timer;  body = word(time)
//! end     = 00 varint(count of records)  and nothing after it
//! cell    = word, or string where the layout is bytes
//! ```
//!
//! Times are milliseconds since 1970-01-01 UTC, as an `s64`. Records come in no particular order,
//! and no two of a segment are about the same state and key, or the same timer, key and time. A
//! full segment holds no removals: what it does not name is not there. States and timers are found
//! by name at restore, so their numbers may differ from those of the operator that restores.
//! Integrity is not this format's business: whoever keeps segments checks their hash; still, no
//! damaged byte makes the reader panic or allocate more than the segment is long.

mod reader;
mod writer;

use std::sync::Arc;

use crate::declaration::{
    KeyLayout, StateDeclaration, StateId, StateKind, TimeDomain, TimerDeclaration, TimerId,
    ValueLayout,
};

pub use reader::Reader;
pub use writer::Writer;

const MAGIC: [u8; 4] = *b"SHSG";
const VERSION: u8 = 1;

/// A key or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell<'a> {
    /// The 64 bits of a number.
    Word(u64),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record<'a> {
    /// A value was set, or removed where there is none.
    Value {
        /// The state.
        state: StateId,
        /// Whose value.
        key: Cell<'a>,
        /// The value.
        value: Option<Cell<'a>>,
    },
    /// A timer was set or deleted.
    Timer {
        /// The family.
        timer: TimerId,
        /// Whose timer.
        key: Cell<'a>,
        /// When it fires.
        time: i64,
        /// Whether it is set.
        set: bool,
    },
}

/// What a task's segments are about: the key layout, the states and the timers of its operator.
///
/// `clone` copies the declarations.
#[derive(Debug, Clone)]
pub struct Schema {
    key: KeyLayout,
    states: Vec<StateDeclaration>,
    timers: Vec<TimerDeclaration>,
    head: Arc<[u8]>,
}

impl Schema {
    /// The schema of an operator.
    pub fn new(key: KeyLayout, states: &[StateDeclaration], timers: &[TimerDeclaration]) -> Self {
        let head = writer::head(key, states, timers).into();
        Self { key, states: states.to_vec(), timers: timers.to_vec(), head }
    }

    /// The layout of the keys.
    pub fn key(&self) -> KeyLayout {
        self.key
    }

    /// The states in order of their ids.
    pub fn states(&self) -> &[StateDeclaration] {
        &self.states
    }

    /// The timer families in order of their ids.
    pub fn timers(&self) -> &[TimerDeclaration] {
        &self.timers
    }
}

const KEYS: [KeyLayout; 3] = [KeyLayout::U64, KeyLayout::S64, KeyLayout::Bytes];
const VALUES: [ValueLayout; 4] =
    [ValueLayout::U64, ValueLayout::S64, ValueLayout::F64, ValueLayout::Bytes];
const KINDS: [StateKind; 5] = [
    StateKind::Value,
    StateKind::List,
    StateKind::Map,
    StateKind::Reducing,
    StateKind::Aggregating,
];
const DOMAINS: [TimeDomain; 2] = [TimeDomain::EventTime, TimeDomain::ProcessingTime];

/// The byte that stands for an item of one of the lists above.
fn code<T: PartialEq>(list: &[T], item: &T) -> u8 {
    list.iter().position(|other| other == item).expect("the list names every variant") as u8
}

#[cfg(test)]
mod tests;
