//! The file format of manifests: a first line with version and digest, then JSON.
//!
//! ```text
//! statehouse-manifest 2 <BLAKE3 of everything after this line, 64 hexadecimal digits>\n
//! {"job":"flights","epoch":12,...}\n
//! ```
//!
//! The first line makes every flipped bit visible, before anything is parsed. Packs are listed
//! once, in a table; a segment refers to them by place. An operator's groups are an object from
//! key group to chain, a chain is an array of segments, and a segment is one of
//!
//! ```text
//! [full, entries, "base64 of its bytes"]                       inline
//! [full, entries, pack, offset, length]                        in a pack
//! [full, entries, pack, offset, length, pack, offset, ...]     larger than a pack
//! ```
//!
//! An operator whose tasks keep state in files has `tables`: for each range of key groups its
//! `start` and `end` (not included), about how many `entries` it holds, and its `files`, each with
//! a `name`, perhaps an `identity`, and its `content` as a segment. A task with task states has
//! them as the segment `state`. Version 1 had neither; it is still read.
//!
//! One manifest has exactly one encoding. Fields that this version does not know are refused, as
//! they might be part of the state: an addition is a new version.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{
    Epoch, FileRef, Generation, Location, Manifest, OperatorState, PackRange, PackRef, SegmentRef,
    Statistics, TablesRef, TaskState,
};
use crate::digest::Digest;

/// The format that this release writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 2;

const MAGIC: &str = "statehouse-manifest";

/// The longest first line: magic, the longest version, digest.
const HEADER_BYTES_MAX: usize = MAGIC.len() + 1 + 10 + 1 + 64;

/// Why bytes are not a manifest that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The bytes do not have the form of a manifest.
    #[error("not a manifest: {0}")]
    Malformed(String),
    /// The bytes are not those that were written.
    #[error("the BLAKE3 hash after the first line should be {expected} and is {found}")]
    Digest {
        /// What the first line says.
        expected: Digest,
        /// What the bytes have.
        found: Digest,
    },
    /// A newer release wrote them.
    #[error("manifest format {version} is newer than {FORMAT_VERSION}, the newest known")]
    Newer {
        /// The format's version.
        version: u32,
    },
    /// A rule is broken.
    #[error(transparent)]
    Protocol(#[from] super::ProtocolError),
}

impl Manifest {
    /// The bytes of its file.
    ///
    /// # Errors
    /// A rule that it breaks.
    pub fn encode(&self) -> Result<Vec<u8>, super::ProtocolError> {
        self.check()?;
        let mut body = serde_json::to_vec(&ManifestForm::from(self))
            .expect("numbers, texts and maps with text keys have a JSON form");
        body.push(b'\n');
        let mut file = header(FORMAT_VERSION, Digest::of(&body)).into_bytes();
        file.push(b'\n');
        file.extend_from_slice(&body);
        Ok(file)
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// Damage, a newer format, or a rule that the manifest breaks.
    pub fn decode(file: &[u8]) -> Result<Self, FormatError> {
        let (version, digest, body) = split(file)?;
        if version > FORMAT_VERSION {
            return Err(FormatError::Newer { version });
        }
        let found = Digest::of(body);
        if found != digest {
            return Err(FormatError::Digest { expected: digest, found });
        }
        let form: ManifestForm = serde_json::from_slice(body)
            .map_err(|error| FormatError::Malformed(error.to_string()))?;
        let manifest = Manifest::try_from(form)?;
        manifest.check()?;
        Ok(manifest)
    }
}

fn header(version: u32, digest: Digest) -> String {
    format!("{MAGIC} {version} {digest}")
}

fn split(file: &[u8]) -> Result<(u32, Digest, &[u8]), FormatError> {
    let malformed = |reason: &str| FormatError::Malformed(reason.to_owned());
    let start = &file[..file.len().min(HEADER_BYTES_MAX + 1)];
    let end = start
        .iter()
        .position(|&byte| byte == b'\n')
        .ok_or_else(|| malformed("it has no first line with version and hash"))?;
    let line = str::from_utf8(&file[..end]).map_err(|_| malformed("its first line is no text"))?;
    let mut words = line.split(' ');
    if words.next() != Some(MAGIC) {
        return Err(malformed("its first line does not begin with `statehouse-manifest`"));
    }
    let version = words.next().and_then(|word| word.parse().ok());
    let version: u32 = version.ok_or_else(|| malformed("its first line has no version"))?;
    if version > FORMAT_VERSION {
        return Err(FormatError::Newer { version });
    }
    let digest = words.next().and_then(|word| word.parse().ok());
    let digest = digest.ok_or_else(|| malformed("its first line has no hash"))?;
    if version == 0 || line != header(version, digest) {
        return Err(malformed("its first line is not in the form of any version"));
    }
    Ok((version, digest, &file[end + 1..]))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestForm {
    job: String,
    epoch: Epoch,
    parent: Option<Epoch>,
    generation: Generation,
    created_ms: i64,
    key_groups: u32,
    key_hash: String,
    statistics: Statistics,
    packs: Vec<(Digest, u64)>,
    operators: Vec<OperatorForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OperatorForm {
    id: String,
    component: Option<Digest>,
    description: Value,
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

struct SegmentForm {
    full: bool,
    entries: u64,
    place: PlaceForm,
}

enum PlaceForm {
    Inline(Bytes),
    /// Pack, offset and length of each range.
    Packed(Vec<(usize, u64, u64)>),
}

impl Serialize for SegmentForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut array = serializer.serialize_seq(None)?;
        array.serialize_element(&self.full)?;
        array.serialize_element(&self.entries)?;
        match &self.place {
            PlaceForm::Inline(bytes) => array.serialize_element(&STANDARD.encode(bytes))?,
            PlaceForm::Packed(ranges) => {
                for (pack, offset, length) in ranges {
                    array.serialize_element(pack)?;
                    array.serialize_element(offset)?;
                    array.serialize_element(length)?;
                }
            }
        }
        array.end()
    }
}

impl<'de> Deserialize<'de> for SegmentForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(SegmentVisitor)
    }
}

struct SegmentVisitor;

#[derive(Deserialize)]
#[serde(untagged)]
enum PackOrText {
    Pack(usize),
    Text(String),
}

impl<'de> Visitor<'de> for SegmentVisitor {
    type Value = SegmentForm;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a segment: [full, entries, base64] or [full, entries, pack, offset, length]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<SegmentForm, A::Error> {
        let short = |place| de::Error::invalid_length(place, &self);
        let full = array.next_element()?.ok_or_else(|| short(0))?;
        let entries = array.next_element()?.ok_or_else(|| short(1))?;
        let mut ranges = Vec::new();
        while let Some(element) = array.next_element()? {
            match element {
                PackOrText::Text(text) if ranges.is_empty() => {
                    let bytes = STANDARD.decode(text).map_err(de::Error::custom)?;
                    return Ok(SegmentForm {
                        full,
                        entries,
                        place: PlaceForm::Inline(bytes.into()),
                    });
                }
                PackOrText::Text(_) => return Err(short(2 + 3 * ranges.len())),
                PackOrText::Pack(pack) => {
                    let offset = array.next_element()?.ok_or_else(|| short(3))?;
                    let length = array.next_element()?.ok_or_else(|| short(4))?;
                    ranges.push((pack, offset, length));
                }
            }
        }
        if ranges.is_empty() {
            return Err(short(2));
        }
        Ok(SegmentForm { full, entries, place: PlaceForm::Packed(ranges) })
    }
}

/// The table of packs, in the order in which segments first refer to them.
#[derive(Default)]
struct PackTable {
    packs: Vec<(Digest, u64)>,
    places: HashMap<Digest, usize>,
}

impl PackTable {
    fn place(&mut self, pack: PackRef) -> usize {
        *self.places.entry(pack.digest).or_insert_with(|| {
            self.packs.push((pack.digest, pack.length));
            self.packs.len() - 1
        })
    }

    fn segment(&mut self, segment: &SegmentRef) -> SegmentForm {
        let place = match &segment.location {
            Location::Inline(bytes) => PlaceForm::Inline(bytes.clone()),
            Location::Packed(ranges) => PlaceForm::Packed(
                ranges
                    .iter()
                    .map(|range| (self.place(range.pack), range.offset, range.length))
                    .collect(),
            ),
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
            description: operator.description.clone(),
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

impl TryFrom<ManifestForm> for Manifest {
    type Error = FormatError;

    fn try_from(form: ManifestForm) -> Result<Self, FormatError> {
        let packs: Vec<PackRef> =
            form.packs.iter().map(|&(digest, length)| PackRef { digest, length }).collect();
        let operators = form
            .operators
            .into_iter()
            .map(|operator| operator_state(operator, &packs))
            .collect::<Result<_, _>>()?;
        Ok(Self {
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
        description: form.description,
        parallelism: form.parallelism,
        tasks: form.tasks.into_iter().map(task).collect::<Result<_, FormatError>>()?,
        groups,
        tables: form.tables.into_iter().map(tables).collect::<Result<_, FormatError>>()?,
    })
}

fn segment_ref(form: SegmentForm, packs: &[PackRef]) -> Result<SegmentRef, FormatError> {
    let range = |(place, offset, length): (usize, u64, u64)| {
        let pack = *packs.get(place).ok_or_else(|| {
            FormatError::Malformed(format!(
                "a segment refers to pack {place} of a table of {}",
                packs.len()
            ))
        })?;
        Ok(PackRange { pack, offset, length })
    };
    let location = match form.place {
        PlaceForm::Inline(bytes) => Location::Inline(bytes),
        PlaceForm::Packed(ranges) => {
            Location::Packed(ranges.into_iter().map(range).collect::<Result<_, FormatError>>()?)
        }
    };
    Ok(SegmentRef { full: form.full, entries: form.entries, location })
}
