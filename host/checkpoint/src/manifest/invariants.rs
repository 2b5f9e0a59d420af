//! The rules that hold for every manifest. They run before every write and after every read.

use std::collections::{BTreeMap, BTreeSet};

use super::{Epoch, Generation, KEY_GROUPS_MAX, Location, Manifest, OperatorState, PackRange};
use super::{PackFormat, PackRef, SegmentRef, TablesRef};
use crate::digest::Digest;
use crate::pack::chunk::FRAME_BYTES;
use crate::pack::{PACK_BYTES_MAX, PACK_HEADER_BYTES};

/// A rule that a manifest, or the way to it, breaks. Always a defect of the program that made it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A name that says nothing.
    #[error("the {what} is empty")]
    Empty {
        /// What should have a name.
        what: &'static str,
    },
    /// Too few or too many key groups.
    #[error("a job has 1 to {KEY_GROUPS_MAX} key groups, not {key_groups}")]
    KeyGroups {
        /// How many there are.
        key_groups: u32,
    },
    /// An epoch that does not come after the one that it continues.
    #[error("epoch {epoch} must be higher than epoch {other}, which is there already")]
    EpochOrder {
        /// The manifest's epoch.
        epoch: Epoch,
        /// An epoch that should be lower.
        other: Epoch,
    },
    /// A manifest that was made for another owner.
    #[error("the manifest says generation {found}, its writer holds generation {held}")]
    Generation {
        /// What the manifest says.
        found: Generation,
        /// What the writer holds; at least 1.
        held: Generation,
    },
    /// Two operators with one id.
    #[error("two operators have the id `{id}`")]
    DuplicateOperator {
        /// The id.
        id: String,
    },
    /// Tasks that are not exactly 0, 1, 2 up to the parallelism.
    #[error("operator `{id}` of parallelism {parallelism} has the tasks {tasks:?}")]
    Tasks {
        /// The operator's id.
        id: String,
        /// Its parallelism.
        parallelism: u32,
        /// The indexes of its tasks.
        tasks: Vec<u32>,
    },
    /// A key group beyond the job's.
    #[error("operator `{id}` has key group {group}, the job has only {key_groups}")]
    GroupOutOfRange {
        /// The operator's id.
        id: String,
        /// The group.
        group: u16,
        /// How many key groups the job has.
        key_groups: u32,
    },
    /// A broken rule about the chain of a key group.
    #[error("key group {group}: {source}")]
    Group {
        /// The group.
        group: u16,
        /// The rule.
        source: Box<ProtocolError>,
    },
    /// A broken rule about an operator.
    #[error("operator `{id}`: {source}")]
    Operator {
        /// The operator's id.
        id: String,
        /// The rule.
        source: Box<ProtocolError>,
    },
    /// An increment where there is nothing that it could continue.
    #[error("the chain begins with an increment, not with a full segment")]
    IncrementWithoutBase,
    /// A full segment that does not begin its chain.
    #[error("a full segment is at place {place} of the chain, it may only be the first")]
    FullAfterBase {
        /// Its place, from 0.
        place: usize,
    },
    /// A group without segments.
    #[error("the chain is empty; a group without state is left out")]
    EmptyChain,
    /// A packed segment without bytes.
    #[error("a packed segment has an empty range; empty segments are inline")]
    EmptyRange,
    /// A range beyond the end of its pack.
    #[error("the range of {length} bytes from {offset} exceeds pack {pack} of {pack_length} bytes")]
    RangeOutsidePack {
        /// The pack.
        pack: Digest,
        /// How many bytes it has.
        pack_length: u64,
        /// Where the range begins.
        offset: u64,
        /// How long it is.
        length: u64,
    },
    /// A pack with two lengths.
    #[error("pack {pack} has two lengths, {first} and {second} bytes")]
    PackLength {
        /// The pack.
        pack: Digest,
        /// One length.
        first: u64,
        /// The other.
        second: u64,
    },
    /// A pack that is said to be raw and to be framed.
    #[error("pack {pack} is raw for one segment and framed for another")]
    PackFormat {
        /// The pack.
        pack: Digest,
    },
    /// A range that no chunk can have.
    #[error(
        "the range of {length} bytes from {offset} of pack {pack} cannot be a chunk of {raw_length} bytes"
    )]
    Chunk {
        /// The pack.
        pack: Digest,
        /// Where the range begins.
        offset: u64,
        /// How long it is.
        length: u64,
        /// How many bytes it is to hold.
        raw_length: u64,
    },
    /// Tables whose range is empty, beyond the job's key groups, or overlaps other state.
    #[error("tables of key groups {start}..{end}: {reason}")]
    Tables {
        /// The first key group.
        start: u32,
        /// The key group after the last.
        end: u32,
        /// What is wrong.
        reason: &'static str,
    },
    /// A file that cannot be one of a directory.
    #[error("tables of key groups {start}..{end} cannot have a file `{name}`: {reason}")]
    FileName {
        /// The first key group.
        start: u32,
        /// The key group after the last.
        end: u32,
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A pack that is larger than any may be.
    #[error("pack {pack} of {length} bytes is larger than {PACK_BYTES_MAX}")]
    PackTooLarge {
        /// The pack.
        pack: Digest,
        /// How many bytes it has.
        length: u64,
    },
}

/// All rules; the first that is broken is the error.
pub(super) fn check(manifest: &Manifest) -> Result<(), ProtocolError> {
    not_empty("job's name", &manifest.job)?;
    not_empty("key hash's name", &manifest.key_hash)?;
    if !(1..=KEY_GROUPS_MAX).contains(&manifest.key_groups) {
        return Err(ProtocolError::KeyGroups { key_groups: manifest.key_groups });
    }
    if let Some(parent) = manifest.parent {
        epoch_follows(manifest.epoch, parent)?;
    }
    if manifest.generation.0 == 0 {
        return Err(ProtocolError::Generation { found: manifest.generation, held: Generation(1) });
    }
    let mut ids = BTreeSet::new();
    let mut packs = BTreeMap::new();
    for operator in &manifest.operators {
        if !ids.insert(operator.id.as_str()) {
            return Err(ProtocolError::DuplicateOperator { id: operator.id.clone() });
        }
        check_operator(operator, manifest.key_groups, &mut packs)?;
    }
    Ok(())
}

/// An epoch may only be published after lower ones.
pub(crate) fn epoch_follows(epoch: Epoch, other: Epoch) -> Result<(), ProtocolError> {
    if epoch > other { Ok(()) } else { Err(ProtocolError::EpochOrder { epoch, other }) }
}

fn not_empty(what: &'static str, text: &str) -> Result<(), ProtocolError> {
    if text.is_empty() { Err(ProtocolError::Empty { what }) } else { Ok(()) }
}

fn check_operator(
    operator: &OperatorState,
    key_groups: u32,
    packs: &mut BTreeMap<Digest, PackRef>,
) -> Result<(), ProtocolError> {
    let id = &operator.id;
    not_empty("operator's id", id)?;
    let tasks = operator.tasks.iter().map(|task| task.task);
    if operator.parallelism == 0 || !tasks.clone().eq(0..operator.parallelism) {
        return Err(ProtocolError::Tasks {
            id: id.clone(),
            parallelism: operator.parallelism,
            tasks: tasks.collect(),
        });
    }
    for (&group, chain) in &operator.groups {
        if u32::from(group) >= key_groups {
            return Err(ProtocolError::GroupOutOfRange { id: id.clone(), group, key_groups });
        }
        check_chain(chain, packs).map_err(|source| ProtocolError::Operator {
            id: id.clone(),
            source: Box::new(ProtocolError::Group { group, source: Box::new(source) }),
        })?;
    }
    let of_operator = |source| ProtocolError::Operator { id: id.clone(), source: Box::new(source) };
    check_tables(operator, key_groups).map_err(of_operator)?;
    let files = operator.tables.iter().flat_map(|tables| &tables.files).map(|file| &file.content);
    let states = operator.tasks.iter().filter_map(|task| task.state.as_ref());
    for segment in files.chain(states) {
        check_location(&segment.location, packs).map_err(of_operator)?;
    }
    Ok(())
}

/// Ranges follow one another without overlap, and no group has its state twice.
fn check_tables(operator: &OperatorState, key_groups: u32) -> Result<(), ProtocolError> {
    let mut free = 0;
    for &TablesRef { start, end, ref files, .. } in &operator.tables {
        let wrong = |reason| Err(ProtocolError::Tables { start, end, reason });
        if start >= end || end > key_groups {
            return wrong("the job has no such range of key groups");
        }
        if start < free {
            return wrong("the range overlaps the one before it, or comes out of order");
        }
        if operator.groups.keys().any(|&group| (start..end).contains(&u32::from(group))) {
            return wrong("a key group in the range has a chain of segments too");
        }
        free = end;
        let mut names = BTreeSet::new();
        for file in files {
            let name = file.name.as_str();
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            let reason = if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
                "it is no plain file name"
            } else if !names.insert(name) {
                "it has two of that name"
            } else {
                continue;
            };
            return Err(ProtocolError::FileName { start, end, name: name.to_owned(), reason });
        }
    }
    Ok(())
}

fn check_location(
    location: &Location,
    packs: &mut BTreeMap<Digest, PackRef>,
) -> Result<(), ProtocolError> {
    let Location::Packed(ranges) = location else { return Ok(()) };
    if ranges.is_empty() {
        return Err(ProtocolError::EmptyRange);
    }
    ranges.iter().try_for_each(|range| check_range(range, packs))
}

fn check_chain(
    chain: &[SegmentRef],
    packs: &mut BTreeMap<Digest, PackRef>,
) -> Result<(), ProtocolError> {
    let Some((first, rest)) = chain.split_first() else {
        return Err(ProtocolError::EmptyChain);
    };
    if !first.full {
        return Err(ProtocolError::IncrementWithoutBase);
    }
    if let Some(place) = rest.iter().position(|segment| segment.full) {
        return Err(ProtocolError::FullAfterBase { place: place + 1 });
    }
    for segment in chain {
        check_location(&segment.location, packs)?;
    }
    Ok(())
}

fn check_range(
    range: &PackRange,
    packs: &mut BTreeMap<Digest, PackRef>,
) -> Result<(), ProtocolError> {
    let &PackRange { pack: reference, offset, length, raw_length } = range;
    let PackRef { digest: pack, length: pack_length, format } = reference;
    let first = *packs.entry(pack).or_insert(reference);
    if first.length != pack_length {
        let (first, second) = (first.length, pack_length);
        return Err(ProtocolError::PackLength { pack, first, second });
    }
    if first.format != format {
        return Err(ProtocolError::PackFormat { pack });
    }
    if pack_length > PACK_BYTES_MAX {
        return Err(ProtocolError::PackTooLarge { pack, length: pack_length });
    }
    if length == 0 {
        return Err(ProtocolError::EmptyRange);
    }
    if offset.checked_add(length).is_none_or(|end| end > pack_length) {
        return Err(ProtocolError::RangeOutsidePack { pack, pack_length, offset, length });
    }
    let possible = match format {
        PackFormat::Raw => raw_length == length,
        // Compression never makes a chunk longer, so a reader needs no more memory than a pack for it.
        PackFormat::Framed => {
            let raw_lengths = 1..=PACK_BYTES_MAX - PACK_HEADER_BYTES - FRAME_BYTES;
            let lengths = FRAME_BYTES..=raw_length.saturating_add(FRAME_BYTES);
            offset >= PACK_HEADER_BYTES
                && raw_lengths.contains(&raw_length)
                && lengths.contains(&length)
        }
    };
    if !possible {
        return Err(ProtocolError::Chunk { pack, offset, length, raw_length });
    }
    Ok(())
}
