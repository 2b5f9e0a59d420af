//! The tables of a job file: plain data, one documented field each.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use statehouse_operator::ErrorPolicy;
use statehouse_state::KeyGroups;
use statehouse_state::rocks::RocksOptions;

use super::values::{ByteSize, Millis, Text, Wires};

/// `[job]`: the job as a whole.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JobTable {
    /// The job's name: letters, digits, `-` and `_`. Its checkpoints carry it.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// How many key groups the state is divided into; fixed for the life of the state, and the most tasks that an
    /// operator can have. 1 to 32768, default 128.
    #[serde(default = "default_key_groups", deserialize_with = "key_groups")]
    pub key_groups: KeyGroups,
    /// How many tasks an operator has unless it says otherwise. Default 1.
    #[serde(default = "one", deserialize_with = "parallelism")]
    pub parallelism: u32,
}

/// `[state]`: what keeps keyed state while the job runs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StateTable {
    /// `heap` (memory) or `rocksdb` (files, with caches in front). Default `heap`. A job may change it from one run to
    /// the next.
    #[serde(default)]
    pub backend: BackendKind,
    /// Where files of state lie while the job runs, in a folder with the job's name. They are no part of what is
    /// durable: each start begins with what the checkpoint holds. Default `state`.
    #[serde(default = "state_directory")]
    pub directory: PathBuf,
    /// Settings of RocksDB.
    #[serde(default)]
    pub rocksdb: RocksOptions,
}

/// What keeps keyed state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackendKind {
    /// Tables in memory.
    #[default]
    Heap,
    /// RocksDB.
    Rocksdb,
}

impl Default for StateTable {
    fn default() -> Self {
        let (backend, rocksdb) = (BackendKind::Heap, RocksOptions::default());
        Self { backend, directory: state_directory(), rocksdb }
    }
}

fn state_directory() -> PathBuf {
    PathBuf::from("state")
}

/// `[dead-letters]`: where records go that a node with `on-error = "dead-letter"` cannot take.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DeadLettersTable {
    /// A folder of JSON Lines files, each line with the reason and the record.
    pub path: PathBuf,
}

/// What every `[[source]]` has, whatever its connector.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SourceFields {
    /// The node's name, unique in the job.
    pub id: String,
    /// How many tasks share the input. Default 1.
    #[serde(default = "one", deserialize_with = "parallelism")]
    pub parallelism: u32,
    /// What happens to input that is no record: `fail`, `skip` or `dead-letter`. Default `fail`.
    #[serde(default)]
    pub on_error: ErrorPolicy,
    /// How late records may come: the watermark stays this far behind the newest event time. Default: no watermarks.
    pub watermark_lag: Option<Millis>,
}

impl SourceFields {
    /// Their names in the file.
    pub(super) const FIELDS: &'static [&'static str] =
        &["id", "parallelism", "on-error", "watermark-lag"];
}

/// What every `[[sink]]` has, whatever its connector.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SinkFields {
    /// The node's name, unique in the job.
    pub id: String,
    /// The outputs that feed it, as `node` or `node.port`: one, or a list.
    pub input: Wires,
    /// How many tasks write. Default 1.
    #[serde(default = "one", deserialize_with = "parallelism")]
    pub parallelism: u32,
}

impl SinkFields {
    /// Their names in the file.
    pub(super) const FIELDS: &'static [&'static str] = &["id", "input", "parallelism"];
}

/// `[[operator]]`: a component at work.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OperatorFields {
    /// The node's name, unique in the job. Its state belongs to this name.
    pub id: String,
    /// The component's file.
    pub component: PathBuf,
    /// Which of the component's operators. Default: the one named like the id, or the only one.
    pub operator: Option<String>,
    /// The outputs that feed an operator with one input port.
    pub input: Option<Wires>,
    /// The outputs that feed each input port, by the port's name.
    pub inputs: Option<BTreeMap<String, Wires>>,
    /// How many tasks. Default: `parallelism` of `[job]`.
    #[serde(default, deserialize_with = "some_parallelism")]
    pub parallelism: Option<u32>,
    /// What happens to a record that the operator fails on: `fail`, `skip` or `dead-letter`. Default `fail`.
    #[serde(default)]
    pub on_error: ErrorPolicy,
    /// Generates watermarks from the times of the operator's outputs, this far behind the newest. Default: the
    /// watermarks of the inputs pass through.
    pub watermark_lag: Option<Millis>,
    /// The operator's own settings.
    #[serde(default)]
    pub config: BTreeMap<String, Text>,
    /// The most linear memory of one task: 64KiB to 4GiB, default 64MiB.
    #[serde(default, deserialize_with = "some_memory_limit")]
    pub memory_limit: Option<ByteSize>,
    /// The most time that one call may take: at least 10ms, default 1s.
    #[serde(default, deserialize_with = "some_deadline")]
    pub deadline: Option<Millis>,
}

impl OperatorFields {
    /// Checks what one table can be checked for by itself.
    pub(super) fn check(&self) -> Result<(), String> {
        match (&self.input, &self.inputs) {
            (Some(_), Some(_)) => Err("it has both `input` and `inputs`: keep one".to_owned()),
            (None, None) => Err(
                "missing field `input` (or `inputs` for several ports), the outputs that feed it"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }
}

fn one() -> u32 {
    1
}

fn default_key_groups() -> KeyGroups {
    KeyGroups::DEFAULT
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let usable = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(usable) {
        return Err(D::Error::custom(format!(
            "`{name}` cannot be used: a name is letters, digits, `-` and `_`, not empty"
        )));
    }
    Ok(name)
}

fn key_groups<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeyGroups, D::Error> {
    let count = i64::deserialize(deserializer)?;
    u32::try_from(count).ok().and_then(KeyGroups::new).ok_or_else(|| {
        D::Error::custom(format!("{count} is out of range: it must be 1 to {}", KeyGroups::MAX))
    })
}

fn parallelism<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let tasks = i64::deserialize(deserializer)?;
    u32::try_from(tasks).ok().filter(|tasks| (1..=KeyGroups::MAX).contains(tasks)).ok_or_else(
        || D::Error::custom(format!("{tasks} is out of range: it must be 1 to {}", KeyGroups::MAX)),
    )
}

fn some_parallelism<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    parallelism(deserializer).map(Some)
}

/// A page of linear memory, and all that a component can address.
const MEMORY_LIMITS: RangeInclusive<u64> = 64 << 10..=4 << 30;

fn some_memory_limit<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ByteSize>, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    if !MEMORY_LIMITS.contains(&size.0) {
        return Err(D::Error::custom("it must be 64KiB to 4GiB"));
    }
    Ok(Some(size))
}

/// How often running calls are looked at: no shorter deadline could be kept.
const DEADLINE_MIN: Duration = Duration::from_millis(10);

fn some_deadline<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Millis>, D::Error> {
    let deadline = Millis::deserialize(deserializer)?;
    if deadline.0 < DEADLINE_MIN {
        return Err(D::Error::custom("it must be at least 10ms"));
    }
    Ok(Some(deadline))
}
