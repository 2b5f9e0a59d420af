//! Segments: the state of one key group, or what changed in it, as bytes that any backend reads.
//!
//! # Format, version 3
//!
//! Numbers called *varint* are unsigned LEB128: seven bits a byte, lowest first, the high bit set
//! on every byte but the last, no more bytes than needed, at most 64 bits. A *string* is a varint
//! length and that many bytes; names are UTF-8. A *word* is eight bytes, least significant first: a
//! `u64`, the two's complement of an `s64`, or the IEEE 754 bits of an `f64`.
//!
//! ```text
//! segment = magic version key states timers record* end
//! magic   = 53 48 53 47                  "SHSG"
//! version = 03
//! key     = byte                         layout of the keys: 0 u64, 1 s64, 2 bytes
//! states  = varint(count) state*         numbered from 0
//! state   = string(name) varint(schema version) byte(kind) byte(layout) byte(entry) byte(stamp)
//!                                        kind: 0 value, 1 list, 2 map, 3 reducing, 4 aggregating;
//!                                        layout: 0 u64, 1 s64, 2 f64, 3 bytes;
//!                                        entry: layout of map keys: 0 u64 (also lists, and states
//!                                        that are no collections), 1 s64, 2 bytes;
//!                                        stamp: 0 none, 1 event time, 2 processing time
//! timers  = varint(count) timer*         numbered from 0
//! timer   = string(name) byte(domain)    domain: 0 event time, 1 processing time
//! record  = varint(1 + 8 * number + operation) key-cell body
//!           operation 0, value removed:  number of the state;  no body
//!           operation 1, value set:      number of the state;  body = [stamp] value-cell
//!           operation 2, timer deleted:  number of the timer;  body = word(time) varint(namespace)
//!           operation 3, timer set:      number of the timer;  body = word(time) varint(namespace)
//!           operation 4, entry removed:  number of the state;  body = entry-cell
//!           operation 5, entry set:      number of the state;  body = entry-cell [stamp] value-cell
//! stamp   = word(time)                   only where the state has stamps; see `ttl`
//! end     = 00 varint(count of records)  and nothing after it
//! cell    = word, or string where the layout is bytes
//! ```
//!
//! Versions 1 and 2 are still read. Version 2 had no schema versions: a state there stands for the lowest schema
//! version declared under its name. Version 1 had neither `entry`, `stamp` nor namespaces either, only operations 0 to
//! 3, and a factor of 4 for the number.
//!
//! Times are milliseconds since 1970-01-01 UTC, as an `s64`. Records come in no particular order, and no two of a
//! segment are about the same state and key (and entry), or the same timer, key, time and namespace. A full segment
//! holds no removals: what it does not name is not there. At restore states are found by name and schema version,
//! timers by name, so their numbers may differ from those of the operator that restores. Integrity is not this
//! format's business: whoever keeps segments checks their hash; still, no damaged byte makes the reader panic or
//! allocate more than the segment is long.

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
const VERSION: u8 = 3;

/// A key or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell<'a> {
    /// The 64 bits of a number.
    Word(u64),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// A value and when it was last written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamped<'a> {
    /// The value.
    pub value: Cell<'a>,
    /// When it was written, on the clock of its time-to-live; [`NO_STAMP`](crate::ttl::NO_STAMP) without one.
    pub stamp: i64,
}

impl<'a> From<Cell<'a>> for Stamped<'a> {
    fn from(value: Cell<'a>) -> Self {
        Self { value, stamp: crate::ttl::NO_STAMP }
    }
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
        value: Option<Stamped<'a>>,
    },
    /// An entry of a collection was set, or removed where there is no value.
    Entry {
        /// The state.
        state: StateId,
        /// Whose entry.
        key: Cell<'a>,
        /// The map key, or the number of the list element.
        entry: Cell<'a>,
        /// The value.
        value: Option<Stamped<'a>>,
    },
    /// A timer was set or deleted.
    Timer {
        /// The family.
        timer: TimerId,
        /// Whose timer.
        key: Cell<'a>,
        /// When it fires.
        time: i64,
        /// Tells timers of one key and time apart.
        namespace: u64,
        /// Whether it is set.
        set: bool,
    },
}

impl<'a> Record<'a> {
    /// The key that it is about.
    pub fn key(&self) -> Cell<'a> {
        let (Self::Value { key, .. } | Self::Entry { key, .. } | Self::Timer { key, .. }) = *self;
        key
    }
}

impl Cell<'_> {
    /// The stable hash of a key.
    pub fn hash(self) -> u64 {
        match self {
            Self::Word(word) => crate::key::hash_word(word),
            Self::Bytes(bytes) => crate::key::hash_bytes(bytes),
        }
    }
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
    stamped: Arc<[bool]>,
    drops_unclaimed: bool,
}

impl Schema {
    /// The schema of an operator.
    pub fn new(key: KeyLayout, states: &[StateDeclaration], timers: &[TimerDeclaration]) -> Self {
        let head = writer::head(key, states, timers).into();
        let stamped = states.iter().map(|state| state.ttl.is_some()).collect();
        let (states, timers) = (states.to_vec(), timers.to_vec());
        Self { key, states, timers, head, stamped, drops_unclaimed: false }
    }

    /// From now on, what readers find of states and timers that it does not have is passed over, and not refused.
    pub fn drop_unclaimed(&mut self) {
        self.drops_unclaimed = true;
    }

    /// Whether readers pass over what it does not have.
    pub fn drops_unclaimed(&self) -> bool {
        self.drops_unclaimed
    }

    /// The state of that name and schema version; that of the lowest version, for segments that do not say any.
    pub fn find(&self, name: &str, schema_version: Option<u32>) -> Option<StateId> {
        let named = (0..).zip(&self.states).filter(|(_, state)| state.name == name);
        let fits = |version: u32| schema_version.is_none_or(|wanted| wanted == version);
        let found = named.filter(|(_, state)| fits(state.schema_version));
        found.min_by_key(|(_, state)| state.schema_version).map(|(id, _)| StateId(id))
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
