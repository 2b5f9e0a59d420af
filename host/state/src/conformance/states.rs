//! The states and timers that the cases and histories are about: every kind, and every way to expire.

use super::Setup;
use crate::declaration::{
    KeyLayout, Merge, StateDeclaration, StateKind, TimeDomain, TimerDeclaration, Ttl, TtlUpdate,
    TtlVisibility, ValueLayout,
};
use crate::key::{KeyGroupRange, KeyGroups};

pub(super) const SUM: u32 = 0;
pub(super) const TEXT: u32 = 1;
pub(super) const MEAN: u32 = 2;
pub(super) const COUNT: u32 = 3;
pub(super) const TOTAL: u32 = 4;
pub(super) const LEAST: u32 = 5;
pub(super) const LOG: u32 = 6;
pub(super) const TAGS: u32 = 7;
pub(super) const ACCUMULATOR: u32 = 8;
pub(super) const ITEMS: u32 = 9;
pub(super) const NUMBERS: u32 = 10;
pub(super) const BY_NUMBER: u32 = 11;
pub(super) const BY_NAME: u32 = 12;
pub(super) const SHORT: u32 = 13;
pub(super) const SESSION: u32 = 14;
pub(super) const LAZY: u32 = 15;
pub(super) const RECENT: u32 = 16;
pub(super) const CACHE: u32 = 17;
pub(super) const LAST: u32 = 18;

pub(super) const WINDOW: u32 = 0;
pub(super) const RETRY: u32 = 1;
pub(super) const GAP: u32 = 2;

/// A value state.
pub(super) fn state(name: &str, value: ValueLayout) -> StateDeclaration {
    StateDeclaration {
        name: name.to_owned(),
        kind: StateKind::Value,
        value,
        codec: "raw".to_owned(),
        schema: None,
        map_key: None,
        map_key_codec: None,
        map_key_schema: None,
        merge: None,
        ttl: None,
        schema_version: 1,
    }
}

fn of_kind(name: &str, kind: StateKind, value: ValueLayout) -> StateDeclaration {
    StateDeclaration { kind, ..state(name, value) }
}

fn reducing(name: &str, merge: Merge, value: ValueLayout) -> StateDeclaration {
    StateDeclaration { merge: Some(merge), ..of_kind(name, StateKind::Reducing, value) }
}

/// A map state.
pub(super) fn map(name: &str, key: KeyLayout, value: ValueLayout) -> StateDeclaration {
    StateDeclaration { map_key: Some(key), ..of_kind(name, StateKind::Map, value) }
}

/// A timer family.
pub(super) fn timer(name: &str, domain: TimeDomain) -> TimerDeclaration {
    TimerDeclaration { name: name.to_owned(), domain }
}

/// What lives this long in the states below that expire.
pub(super) const LIFE: u64 = 10;

fn expiring(
    state: StateDeclaration,
    domain: TimeDomain,
    update: TtlUpdate,
    visibility: TtlVisibility,
) -> StateDeclaration {
    let ttl = Some(Ttl { milliseconds: LIFE, domain, update, visibility });
    StateDeclaration { ttl, ..state }
}

fn states() -> Vec<StateDeclaration> {
    use TimeDomain::{EventTime, ProcessingTime};
    use TtlUpdate::{OnCreateAndWrite, OnReadAndWrite};
    use TtlVisibility::{NeverReturnExpired, ReturnUntilCleaned};
    use ValueLayout::{Bytes, F64, S64, U64};
    let (never, lazily) = (NeverReturnExpired, ReturnUntilCleaned);
    let list = |name: &str, value| of_kind(name, StateKind::List, value);
    let lazy = reducing("lazy", Merge::Sum, U64);
    let cache = map("cache", KeyLayout::Bytes, U64);
    let last = map("last", KeyLayout::U64, Bytes);
    vec![
        state("sum", S64),
        state("text", Bytes),
        state("mean", F64),
        state("count", U64),
        reducing("total", Merge::Sum, S64),
        reducing("least", Merge::Min, S64),
        reducing("log", Merge::Append, Bytes),
        reducing("tags", Merge::SetUnion, Bytes),
        of_kind("accumulator", StateKind::Aggregating, Bytes),
        list("items", Bytes),
        list("numbers", U64),
        map("by-number", KeyLayout::S64, U64),
        map("by-name", KeyLayout::Bytes, Bytes),
        expiring(state("short", U64), ProcessingTime, OnCreateAndWrite, never),
        expiring(state("session", Bytes), EventTime, OnReadAndWrite, never),
        expiring(lazy, ProcessingTime, OnCreateAndWrite, lazily),
        expiring(list("recent", U64), EventTime, OnCreateAndWrite, never),
        expiring(cache, ProcessingTime, OnReadAndWrite, never),
        expiring(last, EventTime, OnCreateAndWrite, lazily),
    ]
}

/// All of them, and a timer family of each clock.
pub(super) fn setup(key: KeyLayout) -> Setup {
    let groups = KeyGroups::new(8).expect("eight is a number of key groups");
    Setup {
        key,
        states: states(),
        timers: vec![
            timer("window", TimeDomain::EventTime),
            timer("retry", TimeDomain::ProcessingTime),
            timer("gap", TimeDomain::EventTime),
        ],
        groups,
        range: KeyGroupRange::all(groups),
    }
}
