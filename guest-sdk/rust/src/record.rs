//! What handlers are handed: records, and timers that fired.

use crate::error::Result;

/// One record of an input port. `K` is `()` on a port without keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<K, V> {
    /// The key. State and timers are those of this key.
    pub key: K,
    /// The value.
    pub value: V,
    /// The event time, in milliseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
}

/// A timer that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fired<K> {
    /// The key that it was set for. State and timers are those of this key.
    pub key: K,
    /// The time that it was set to, in milliseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    /// The namespace that it was set in; 0 if none was given.
    pub namespace: u64,
}

/// A stream operator: its fields hold its states, outputs and timers, its handlers take records one
/// at a time.
///
/// Fields of other types are the instance's own: they are not checkpointed, not undone when a
/// record is refused, and lost when the instance is replaced. Keep nothing in them that matters.
pub trait Operator: Sized + 'static {
    /// The operator's name, unique within its component.
    const NAME: &'static str;

    /// Declares the ports, states, timers and metrics, and reads the configuration.
    ///
    /// Called several times, the first time without any configuration, only to learn what is
    /// declared. So it must declare the same each time.
    fn new(setup: &mut crate::Setup<Self>) -> Self;
}

/// A handler of records.
pub trait OnRecord<O, K, V>: Fn(&mut O, Record<K, V>) -> Result<()> + 'static {}

impl<O, K, V, F: Fn(&mut O, Record<K, V>) -> Result<()> + 'static> OnRecord<O, K, V> for F {}

/// A handler of timers.
pub trait OnTimer<O, K>: Fn(&mut O, Fired<K>) -> Result<()> + 'static {}

impl<O, K, F: Fn(&mut O, Fired<K>) -> Result<()> + 'static> OnTimer<O, K> for F {}
