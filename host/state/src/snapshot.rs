//! Snapshots: the state of a key-group range at a barrier, as bytes that any backend can restore.

use crate::key::KeyGroup;

/// The part of a snapshot that belongs to one key group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The key group.
    pub group: KeyGroup,
    /// Whether this is the group's whole state. Otherwise it is what changed since the segment before it.
    pub full: bool,
    /// Changes in it: values and timers, set or removed.
    pub entries: u64,
    /// The encoded changes; the format is documented in `docs/internals/format.md`.
    pub bytes: Vec<u8>,
}

/// The state of a task's key groups at a barrier. Groups that did not change have no segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The epoch that the barrier ended.
    pub epoch: u64,
    /// One segment for each group that changed.
    pub segments: Vec<Segment>,
}
