//! Manifests: what a checkpoint consists of. A checkpoint exists if and only if its manifest does.
//!
//! Responsible for the types, the way from one manifest to the next, the file format
//! ([`Manifest::encode`], [`Manifest::decode`]) and the rules that hold for every manifest.
//! Not responsible for what descriptions, positions and segments mean: they belong to the caller.

pub(crate) mod file;
mod format;
mod invariants;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;

pub use file::{FORMAT_VERSION, FormatError};
pub use invariants::ProtocolError;

/// The number of a slice of the stream between two barriers, and of the checkpoint at its end.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one. The last that there can be is its own successor, and so refused.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Epoch {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The fencing number of a job's owner. The first owner has 1; each later one has a higher number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Everything needed to restore a job as it was at the end of an epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The job's name.
    pub job: String,
    /// The epoch that this checkpoint ends. Every published epoch is higher than those before it.
    pub epoch: Epoch,
    /// The checkpoint that this one continues; `None` for a job's first.
    pub parent: Option<Epoch>,
    /// The generation of the owner that wrote it.
    pub generation: Generation,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// How many key groups the job has, from 1 to [`KEY_GROUPS_MAX`]. Fixed for a job's life.
    pub key_groups: u32,
    /// The function that maps keys to key groups, by name. Fixed for a job's life.
    pub key_hash: String,
    /// The operators, in the order of the job's graph.
    pub operators: Vec<OperatorState>,
    /// What making the checkpoint cost.
    pub statistics: Statistics,
}

/// The most key groups that a job can have.
pub const KEY_GROUPS_MAX: u32 = 32_768;

/// What an operator needs to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorState {
    /// The operator's id, unique in the job.
    pub id: String,
    /// The digest of its component; `None` for sources, sinks and native operators.
    pub component: Option<Digest>,
    /// The digest of the component that was asked for when the run started, if a swap has put another in its place
    /// since; see [`declared_component`](OperatorState::declared_component).
    pub declared: Option<Digest>,
    /// What it declares about itself: its states, ports and version. Opaque here.
    pub description: Value,
    /// What its state holds besides what it declares: older forms of states whose values have not all moved yet.
    /// `None` if there is nothing. Opaque here.
    pub retired: Option<Value>,
    /// How many tasks it had.
    pub parallelism: u32,
    /// What each task needs that is not keyed state, in the order of the task indexes.
    pub tasks: Vec<TaskState>,
    /// For each key group with state its chain: a full segment first, then what changed since.
    pub groups: BTreeMap<u16, Vec<SegmentRef>>,
    /// State that its tasks keep in files, by range of key groups. Groups in such a range have no chain.
    pub tables: Vec<TablesRef>,
}

/// The state of a range of key groups, as files of the storage engine that keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablesRef {
    /// The first key group.
    pub start: u32,
    /// The key group after the last.
    pub end: u32,
    /// About how many values, entries and timers it holds.
    pub entries: u64,
    /// The files.
    pub files: Vec<FileRef>,
}

/// A file, and where its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRef {
    /// Its name among the files of its directory.
    pub name: String,
    /// What stands for the same bytes in later checkpoints of the same task; `None` for files that are made anew each
    /// time. Opaque here.
    pub identity: Option<String>,
    /// Its bytes; a full segment without entries.
    pub content: SegmentRef,
}

/// What a task needs that is not keyed state.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskState {
    /// The task's index, from 0.
    pub task: u32,
    /// Its watermark, if it had one.
    pub watermark: Option<i64>,
    /// A source's position, a sink's token; null for others. Opaque here.
    pub position: Value,
    /// An operator's task states, if it has any. Opaque here.
    pub state: Option<SegmentRef>,
}

/// A segment of a key group's state, and where its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRef {
    /// Whether it is the group's whole state. Otherwise it is what changed since the one before.
    pub full: bool,
    /// How many changes it holds.
    pub entries: u64,
    /// Where its bytes are.
    pub location: Location,
}

impl SegmentRef {
    /// How many bytes it has, decompressed.
    pub fn size_bytes(&self) -> u64 {
        match &self.location {
            Location::Inline(bytes) => bytes.len() as u64,
            Location::Packed(ranges) => ranges.iter().map(|range| range.raw_length).sum(),
        }
    }
}

/// Where the bytes of a segment are. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In the manifest itself.
    Inline(Bytes),
    /// In packs: these ranges, one after the other. More than one only for a segment that is
    /// larger than a pack.
    Packed(Vec<PackRange>),
}

/// Some consecutive bytes of a pack: of a framed one, a whole chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackRange {
    /// The pack.
    pub pack: PackRef,
    /// Where the bytes begin.
    pub offset: u64,
    /// How many there are.
    pub length: u64,
    /// How many bytes the chunk holds, decompressed; of a raw pack the same as `length`.
    pub raw_length: u64,
}

/// A pack, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackRef {
    /// The digest of its bytes, which is its name.
    pub digest: Digest,
    /// How many bytes it has.
    pub length: u64,
    /// What is in it.
    pub format: PackFormat,
}

/// What the bytes of a pack are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PackFormat {
    /// Bytes of segments, one after the other, as manifests up to version 2 name them. Only read.
    Raw,
    /// A header, then chunks: format 1.
    Framed,
}

/// What making a checkpoint cost, as measured by its maker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// From the trigger to the manifest, in milliseconds.
    pub duration_ms: u64,
    /// Bytes written as packs for it.
    pub pack_bytes: u64,
    /// Packs written for it.
    pub packs: u64,
}

impl OperatorState {
    /// Its segments with their key groups: group by group, each chain in its order.
    pub fn chained_segments(&self) -> impl Iterator<Item = (u16, &SegmentRef)> {
        let chain = |(&group, chain)| std::iter::repeat(group).zip(chain);
        self.groups.iter().flat_map(chain)
    }

    /// The digest of the component that was asked for when the run started: if it is still what is asked for, a restart
    /// goes on with `component`, which a swap may have put in its place.
    pub fn declared_component(&self) -> Option<Digest> {
        self.declared.or(self.component)
    }

    /// Whether it has keyed state.
    pub fn has_keyed_state(&self) -> bool {
        !self.groups.is_empty() || !self.tables.is_empty()
    }

    /// Everything that it references: chains, then files, then task states.
    fn segments(&self) -> impl Iterator<Item = &SegmentRef> {
        let files = self.tables.iter().flat_map(|tables| &tables.files);
        let states = self.tasks.iter().filter_map(|task| task.state.as_ref());
        let chains = self.groups.values().flatten();
        chains.chain(files.map(|file| &file.content)).chain(states)
    }

    /// The same, to be changed.
    pub(crate) fn segments_mut(&mut self) -> impl Iterator<Item = &mut SegmentRef> {
        let files = self.tables.iter_mut().flat_map(|tables| &mut tables.files);
        let states = self.tasks.iter_mut().filter_map(|task| task.state.as_mut());
        let chains = self.groups.values_mut().flatten();
        chains.chain(files.map(|file| &mut file.content)).chain(states)
    }
}

impl Manifest {
    /// Everything that it references: by operator, chains, then files, then task states.
    pub fn segments(&self) -> impl Iterator<Item = &SegmentRef> {
        self.operators.iter().flat_map(OperatorState::segments)
    }

    /// Every pack that it references, each once.
    pub fn packs(&self) -> BTreeSet<PackRef> {
        self.segments()
            .filter_map(|segment| match &segment.location {
                Location::Inline(_) => None,
                Location::Packed(ranges) => Some(ranges),
            })
            .flatten()
            .map(|range| range.pack)
            .collect()
    }

    /// The bytes of all segments, decompressed: what a restore takes in.
    pub fn state_bytes(&self) -> u64 {
        self.segments().map(SegmentRef::size_bytes).sum()
    }

    /// The bytes of segments that lie in the manifest itself.
    pub fn inline_bytes(&self) -> u64 {
        let inline = |segment: &&SegmentRef| matches!(segment.location, Location::Inline(_));
        self.segments().filter(inline).map(SegmentRef::size_bytes).sum()
    }

    /// Checks the rules that hold for every manifest. Runs before every write and after every read.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ProtocolError> {
        invariants::check(self)
    }
}

/// A key group's next chain: a full segment replaces what was there, an increment is appended.
///
/// # Errors
/// An increment for a group without a chain: there is nothing that it could continue.
pub fn extend_chain(
    previous: &[SegmentRef],
    segment: SegmentRef,
) -> Result<Vec<SegmentRef>, ProtocolError> {
    if segment.full {
        return Ok(vec![segment]);
    }
    if previous.is_empty() {
        return Err(ProtocolError::IncrementWithoutBase);
    }
    let mut chain = Vec::with_capacity(previous.len() + 1);
    chain.extend_from_slice(previous);
    chain.push(segment);
    Ok(chain)
}

/// An operator's next groups: those of the checkpoint before, with the new segments added.
/// Groups without a new segment keep their chain.
///
/// # Errors
/// As [`extend_chain`], for the group that it names.
pub fn extend_groups(
    previous: &BTreeMap<u16, Vec<SegmentRef>>,
    segments: impl IntoIterator<Item = (u16, SegmentRef)>,
) -> Result<BTreeMap<u16, Vec<SegmentRef>>, ProtocolError> {
    let mut groups = previous.clone();
    for (group, segment) in segments {
        let chain = groups.entry(group).or_default();
        *chain = extend_chain(chain, segment)
            .map_err(|source| ProtocolError::Group { group, source: Box::new(source) })?;
    }
    Ok(groups)
}
