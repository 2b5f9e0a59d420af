//! The JSON of manifests, from version 1 to the newest.
//!
//! It begins with the version as `format`, from version 3 on, since the first line of the file is not
//! under the hash. Packs are listed once, in a table, as `[digest, length]` if they are raw and as
//! `[digest, length, 1]` if they are framed; a segment refers to them by place. An operator's
//! groups are an object from key group to chain, a chain is an array of segments, and a segment
//! is one of
//!
//! ```text
//! [full, entries, "base64 of its bytes"]                          inline
//! [full, entries, pack, offset, length, raw length]               in a framed pack: a chunk
//! [full, entries, pack, offset, length]                           in a raw pack
//! [full, entries, pack, offset, length, raw length, pack, ...]    larger than a pack
//! ```
//!
//! An operator whose tasks keep state in files has `tables`: for each range of key groups its
//! `start` and `end` (not included), about how many `entries` it holds, and its `files`, each with
//! a `name`, perhaps an `identity`, and its `content` as a segment. A task with task states has
//! them as the segment `state`. Version 1 had neither, version 2 had no framed packs and was never
//! compressed; version 3 had neither `declared` nor `retired` of an operator. All are still read.
//!
//! One manifest has exactly one encoding. Fields that this version does not know are refused, as
//! they might be part of the state: an addition is a new version.

mod place;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::file::{FORMAT_VERSION, FRAMED_VERSION, FormatError, SWAPS_VERSION};
use super::{
    Epoch, FileRef, Generation, Location, Manifest, OperatorState, PackFormat, PackRange, PackRef,
    SegmentRef, Statistics, TablesRef, TaskState,
};
use crate::digest::Digest;
use place::{PackForm, PlaceForm, SegmentForm};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ManifestForm {
    /// The version of the first line again, from version 3 on: that line is not under the hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<u32>,
    job: String,
    epoch: Epoch,
    parent: Option<Epoch>,
    generation: Generation,
    created_ms: i64,
    key_groups: u32,
    key_hash: String,
    statistics: Statistics,
    packs: Vec<PackForm>,
    operators: Vec<OperatorForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OperatorForm {
    id: String,
    component: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    declared: Option<Digest>,
    description: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retired: Option<Value>,
    parallelism: u32,
    tasks: Vec<TaskForm>,
    groups: BTreeMap<u16, Vec<SegmentForm>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tables: Vec<TablesForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TablesForm {
    start: u32,
    end: u32,
    entries: u64,
    files: Vec<FileForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    content: SegmentForm,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskForm {
    task: u32,
    watermark: Option<i64>,
    position: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<SegmentForm>,
}

/// The table of packs, in the order in which segments first refer to them.
#[derive(Default)]
struct PackTable {
    packs: Vec<PackForm>,
    places: HashMap<Digest, u64>,
}

impl PackTable {
    fn place(&mut self, pack: PackRef) -> u64 {
        *self.places.entry(pack.digest).or_insert_with(|| {
            self.packs.push(PackForm(pack));
            self.packs.len() as u64 - 1
        })
    }

    fn range(&mut self, range: &PackRange) -> impl Iterator<Item = u64> + use<> {
        let &PackRange { pack, offset, length, raw_length } = range;
        let raw_length = (pack.format == PackFormat::Framed).then_some(raw_length);
        [self.place(pack), offset, length].into_iter().chain(raw_length)
    }

    fn segment(&mut self, segment: &SegmentRef) -> SegmentForm {
        let place = match &segment.location {
            Location::Inline(bytes) => PlaceForm::Inline(bytes.clone()),
            Location::Packed(ranges) => {
                PlaceForm::Packed(ranges.iter().flat_map(|range| self.range(range)).collect())
            }
        };
        SegmentForm { full: segment.full, entries: segment.entries, place }
    }

    fn operator(&mut self, operator: &OperatorState) -> OperatorForm {
        let chain = |(&group, chain): (&u16, &Vec<SegmentRef>)| {
            (group, chain.iter().map(|segment| self.segment(segment)).collect())
        };
        OperatorForm {
            groups: operator.groups.iter().map(chain).collect(),
            tables: operator.tables.iter().map(|tables| self.tables(tables)).collect(),
            tasks: operator.tasks.iter().map(|task| self.task(task)).collect(),
            id: operator.id.clone(),
            component: operator.component,
            declared: operator.declared,
            description: operator.description.clone(),
            retired: operator.retired.clone(),
            parallelism: operator.parallelism,
        }
    }

    fn tables(&mut self, tables: &TablesRef) -> TablesForm {
        let &TablesRef { start, end, entries, ref files } = tables;
        let file = |FileRef { name, identity, content }: &FileRef| FileForm {
            name: name.clone(),
            identity: identity.clone(),
            content: self.segment(content),
        };
        TablesForm { start, end, entries, files: files.iter().map(file).collect() }
    }

    fn task(&mut self, state: &TaskState) -> TaskForm {
        let &TaskState { task, watermark, ref position, ref state } = state;
        let state = state.as_ref().map(|state| self.segment(state));
        TaskForm { task, watermark, position: position.clone(), state }
    }
}

impl From<&Manifest> for ManifestForm {
    fn from(manifest: &Manifest) -> Self {
        let mut table = PackTable::default();
        let operators = manifest.operators.iter().map(|state| table.operator(state)).collect();
        Self {
            format: Some(FORMAT_VERSION),
            job: manifest.job.clone(),
            epoch: manifest.epoch,
            parent: manifest.parent,
            generation: manifest.generation,
            created_ms: manifest.created_ms,
            key_groups: manifest.key_groups,
            key_hash: manifest.key_hash.clone(),
            statistics: manifest.statistics,
            packs: table.packs,
            operators,
        }
    }
}

impl ManifestForm {
    /// The manifest, of a file of this version.
    pub(super) fn into_manifest(self, version: u32) -> Result<Manifest, FormatError> {
        let form = self;
        if form.format != (version >= FRAMED_VERSION).then_some(version) {
            let reason = format!("its `format` does not fit version {version} of its first line");
            return Err(FormatError::Malformed(reason));
        }
        let packs: Vec<PackRef> = form.packs.iter().map(|&PackForm(pack)| pack).collect();
        let framed = packs.iter().any(|pack| pack.format == PackFormat::Framed);
        if framed && version < FRAMED_VERSION {
            let reason = format!("format {version} has no framed packs");
            return Err(FormatError::Malformed(reason));
        }
        let swapped = |form: &OperatorForm| form.declared.is_some() || form.retired.is_some();
        if form.operators.iter().any(swapped) && version < SWAPS_VERSION {
            let reason = format!("format {version} has neither `declared` nor `retired`");
            return Err(FormatError::Malformed(reason));
        }
        let operators = form
            .operators
            .into_iter()
            .map(|operator| operator_state(operator, &packs))
            .collect::<Result<_, _>>()?;
        Ok(Manifest {
            job: form.job,
            epoch: form.epoch,
            parent: form.parent,
            generation: form.generation,
            created_ms: form.created_ms,
            key_groups: form.key_groups,
            key_hash: form.key_hash,
            operators,
            statistics: form.statistics,
        })
    }
}

fn operator_state(form: OperatorForm, packs: &[PackRef]) -> Result<OperatorState, FormatError> {
    let mut groups = BTreeMap::new();
    for (group, chain) in form.groups {
        let chain = chain.into_iter().map(|segment| segment_ref(segment, packs));
        groups.insert(group, chain.collect::<Result<_, _>>()?);
    }
    let task = |TaskForm { task, watermark, position, state }| {
        let state = state.map(|state| segment_ref(state, packs)).transpose()?;
        Ok(TaskState { task, watermark, position, state })
    };
    let file = |FileForm { name, identity, content }| {
        Ok(FileRef { name, identity, content: segment_ref(content, packs)? })
    };
    let tables = |TablesForm { start, end, entries, files }| {
        let files = files.into_iter().map(file).collect::<Result<_, FormatError>>()?;
        Ok(TablesRef { start, end, entries, files })
    };
    Ok(OperatorState {
        id: form.id,
        component: form.component,
        declared: form.declared,
        description: form.description,
        retired: form.retired,
        parallelism: form.parallelism,
        tasks: form.tasks.into_iter().map(task).collect::<Result<_, FormatError>>()?,
        groups,
        tables: form.tables.into_iter().map(tables).collect::<Result<_, FormatError>>()?,
    })
}

fn segment_ref(form: SegmentForm, packs: &[PackRef]) -> Result<SegmentRef, FormatError> {
    let location = match form.place {
        PlaceForm::Inline(bytes) => Location::Inline(bytes),
        PlaceForm::Packed(numbers) => Location::Packed(pack_ranges(&numbers, packs)?),
    };
    Ok(SegmentRef { full: form.full, entries: form.entries, location })
}

fn pack_ranges(numbers: &[u64], packs: &[PackRef]) -> Result<Vec<PackRange>, FormatError> {
    let mut numbers = numbers.iter().copied();
    let mut ranges = Vec::with_capacity(1);
    while let Some(place) = numbers.next() {
        let pack = usize::try_from(place).ok().and_then(|place| packs.get(place).copied());
        let pack = pack.ok_or_else(|| {
            let count = packs.len();
            FormatError::Malformed(format!(
                "a segment refers to pack {place} of a table of {count}"
            ))
        })?;
        let mut next = || {
            let short = || FormatError::Malformed("a segment's range is not complete".to_owned());
            numbers.next().ok_or_else(short)
        };
        let (offset, length) = (next()?, next()?);
        let raw_length = match pack.format {
            PackFormat::Raw => length,
            PackFormat::Framed => next()?,
        };
        ranges.push(PackRange { pack, offset, length, raw_length });
    }
    Ok(ranges)
}
