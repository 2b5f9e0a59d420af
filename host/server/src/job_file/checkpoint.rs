//! `[checkpoint]`: where and how often the job is made durable.
//!
//! Names, defaults and meanings are in [`SETTINGS`](super::SETTINGS), which the reference page is made from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use statehouse_checkpoint::Compression;
use statehouse_engine::{CheckpointSettings, Mode};

use super::values::{ByteSize, Millis, Text};
use crate::place::is_url;

/// The table as it was written, with defaults for what was not.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CheckpointTable {
    /// A folder, or the URL of an object store.
    #[serde(deserialize_with = "dir")]
    pub dir: String,
    /// Options of the client for the URL.
    #[serde(default, deserialize_with = "store")]
    pub store: BTreeMap<String, Text>,
    /// Time from one checkpoint to the next.
    #[serde(default = "interval", deserialize_with = "at_least_1ms")]
    pub interval: Millis,
    /// How long a checkpoint may take.
    #[serde(default = "timeout", deserialize_with = "at_least_1ms")]
    pub timeout: Millis,
    /// The least time between two checkpoints.
    #[serde(default = "min_pause")]
    pub min_pause: Millis,
    /// How many checkpoints may be under way.
    #[serde(default = "max_concurrent", deserialize_with = "concurrent")]
    pub max_concurrent: u32,
    /// How many may fail in a row.
    #[serde(default)]
    pub tolerable_failed: u32,
    /// How many are kept.
    #[serde(default = "num_retained", deserialize_with = "retained")]
    pub num_retained: u32,
    /// What becomes of them when the job is cancelled.
    #[serde(default)]
    pub retention_on_cancellation: Retention,
    /// What becomes of them when the job is done.
    #[serde(default)]
    pub retention_on_finish: Retention,
    /// Whether barriers are aligned.
    #[serde(default)]
    pub mode: ModeName,
    /// State that is together no larger than this travels in the manifest.
    #[serde(default = "inline_threshold", deserialize_with = "inline")]
    pub inline_threshold: ByteSize,
    /// How packs are compressed.
    #[serde(default)]
    pub compression: CompressionName,
    /// A folder that keeps a copy of every pack.
    pub local_copy: Option<PathBuf>,
}

/// What becomes of a job's checkpoints. Savepoints are never deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retention {
    /// They stay.
    #[default]
    Retain,
    /// They are deleted.
    Delete,
}

/// The name of a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModeName {
    /// Barriers are aligned: every record counts once in the state.
    #[default]
    ExactlyOnce,
    /// No channel waits for another: after a failure some records count twice.
    AtLeastOnce,
}

/// The name of a compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CompressionName {
    /// None.
    None,
    /// LZ4.
    #[default]
    Lz4,
    /// Zstandard.
    Zstd,
}

impl CheckpointTable {
    /// What the engine wants to know.
    pub fn settings(&self) -> CheckpointSettings {
        CheckpointSettings {
            interval: Some(self.interval.0),
            min_pause: self.min_pause.0,
            timeout: self.timeout.0,
            tolerable_failed: self.tolerable_failed,
            inline_threshold: self.inline_threshold.0,
            max_concurrent: self.max_concurrent,
            mode: match self.mode {
                ModeName::ExactlyOnce => Mode::ExactlyOnce,
                ModeName::AtLeastOnce => Mode::AtLeastOnce,
            },
            compression: match self.compression {
                CompressionName::None => Compression::None,
                CompressionName::Lz4 => Compression::Lz4,
                CompressionName::Zstd => Compression::Zstd,
            },
            num_retained: self.num_retained,
        }
    }

    /// The options of the store's client.
    pub fn store_options(&self) -> BTreeMap<String, String> {
        self.store.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect()
    }
}

fn interval() -> Millis {
    Millis(Duration::from_secs(10))
}

fn timeout() -> Millis {
    Millis(Duration::from_secs(600))
}

fn min_pause() -> Millis {
    Millis(Duration::ZERO)
}

fn max_concurrent() -> u32 {
    1
}

/// How many checkpoints are kept if nobody says.
pub const RETAINED_DEFAULT: u32 = 3;

fn num_retained() -> u32 {
    RETAINED_DEFAULT
}

fn inline_threshold() -> ByteSize {
    ByteSize(20 << 10)
}

fn at_least_1ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Millis, D::Error> {
    let duration = Millis::deserialize(deserializer)?;
    if duration.as_i64() == 0 {
        return Err(D::Error::custom("it must be at least 1ms"));
    }
    Ok(duration)
}

/// More would only wait for each other.
const CONCURRENT_MAX: i64 = 16;

fn concurrent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    in_range(deserializer, CONCURRENT_MAX)
}

/// Each of them is a manifest to be listed and read at every collection.
const RETAINED_MAX: i64 = 10_000;

fn retained<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    in_range(deserializer, RETAINED_MAX)
}

fn in_range<'de, D: Deserializer<'de>>(deserializer: D, max: i64) -> Result<u32, D::Error> {
    let number = i64::deserialize(deserializer)?;
    u32::try_from(number)
        .ok()
        .filter(|_| (1..=max).contains(&number))
        .ok_or_else(|| D::Error::custom(format!("{number} is out of range: it must be 1 to {max}")))
}

/// Manifests are read as a whole, and inline state is text in them.
const INLINE_MAX: u64 = 1 << 20;

fn inline<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    if size.0 > INLINE_MAX {
        return Err(D::Error::custom("it must be at most 1MiB: what is larger belongs into packs"));
    }
    Ok(size)
}

/// How the URLs of stores begin.
const SCHEMES: [&str; 10] =
    ["file", "memory", "s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss"];

fn dir<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let dir = String::deserialize(deserializer)?;
    match dir.split_once("://").filter(|_| is_url(&dir)) {
        Some((scheme, _)) if !SCHEMES.contains(&scheme) => Err(D::Error::custom(format!(
            "`{dir}` is no place for checkpoints: write a folder, or a URL that begins with `s3://`, `gs://`, \
             `az://` or `file://`"
        ))),
        _ => Ok(dir),
    }
}

fn store<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Text>, D::Error> {
    let options = BTreeMap::<String, Text>::deserialize(deserializer)?;
    match options.iter().find(|(name, value)| name.is_empty() || value.0.is_empty()) {
        None => Ok(options),
        Some((name, _)) => Err(D::Error::custom(format!(
            "the option `{name}` is empty: give it a value, or leave it out"
        ))),
    }
}
