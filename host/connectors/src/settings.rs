//! What a job file says about its sources and sinks. `connector` chooses the kind; each kind has its own fields.

mod made_up;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use statehouse_engine::{ConnectorError, SinkFactory, SourceFactory};

pub use self::made_up::{Distribution, GeneratorSettings, NexmarkSettings};
use crate::format::jsonl::Pointer;
pub use crate::format::timestamp::TimeFormat;
use crate::format::{CsvFormat, Format, JsonlFormat};
use crate::{
    DirectoryFactory, DiscardFactory, FilesFactory, GeneratorFactory, NexmarkFactory, StdinFactory,
    StdoutFactory,
};

/// Rows of a batch unless the settings say otherwise.
pub const BATCH_DEFAULT: u64 = 1024;

/// The most rows that a batch may have.
pub const BATCH_MAX: u64 = 65_536;

/// A source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "connector", rename_all = "lowercase")]
pub enum SourceSettings {
    /// Text files, a record a line.
    Lines(LinesSettings),
    /// CSV files with a header.
    Csv(CsvSettings),
    /// JSON Lines files.
    Jsonl(JsonlSettings),
    /// Standard input.
    Stdin(StdinSettings),
    /// Records that are made up.
    Generator(GeneratorSettings),
    /// The events of an auction house that is made up.
    Nexmark(NexmarkSettings),
}

/// Text files: values are text, without a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LinesSettings {
    /// A file, a directory, or a pattern with `*` and `?` in its last part; `.gz` and `.zst` are decompressed.
    pub path: PathBuf,
    /// Records read per batch, 1 to 65536. Default 1024.
    #[serde(default = "batch_default")]
    pub batch: u64,
}

/// CSV files: values are JSON objects of strings, one member a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CsvSettings {
    /// A file, a directory, or a pattern with `*` and `?` in its last part; `.gz` and `.zst` are decompressed.
    pub path: PathBuf,
    /// What stands between two fields: one ASCII character. Default `,`.
    #[serde(default = "delimiter_default")]
    pub delimiter: char,
    /// The column whose text is the key. Default: no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The column that holds the event time. Default: every record's time is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<CsvTime>,
    /// Records read per batch, 1 to 65536. Default 1024.
    #[serde(default = "batch_default")]
    pub batch: u64,
}

/// The event time of a CSV row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CsvTime {
    /// The column's name.
    pub column: String,
    /// How the time is written: `rfc3339`, `ms` or `s`.
    pub format: TimeFormat,
}

/// JSON Lines files: values are JSON, as they stand in the line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JsonlSettings {
    /// A file, a directory, or a pattern with `*` and `?` in its last part; `.gz` and `.zst` are decompressed.
    pub path: PathBuf,
    /// A JSON pointer (`/user/id`) to the string, number or truth value whose text is the key. Default: no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Where the event time is. Default: every record's time is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<JsonTime>,
    /// Records read per batch, 1 to 65536. Default 1024.
    #[serde(default = "batch_default")]
    pub batch: u64,
}

/// The event time of a JSON value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JsonTime {
    /// A JSON pointer to it.
    pub pointer: String,
    /// How the time is written: `rfc3339`, `ms` or `s`.
    pub format: TimeFormat,
}

/// Standard input, in one of the formats. It cannot be resumed, and one task reads all of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "lowercase")]
pub enum StdinSettings {
    /// A record a line.
    Lines(StdinLines),
    /// CSV with a header.
    Csv(StdinCsv),
    /// JSON Lines.
    Jsonl(StdinJsonl),
}

/// Lines of text on standard input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StdinLines {
    /// The most records per batch, 1 to 65536. Default 1024.
    #[serde(default = "batch_default")]
    pub batch: u64,
}

/// CSV on standard input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StdinCsv {
    /// What stands between two fields: one ASCII character. Default `,`.
    #[serde(default = "delimiter_default")]
    pub delimiter: char,
    /// The column whose text is the key. Default: no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The column that holds the event time. Default: every record's time is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<CsvTime>,
    /// The most records per batch, 1 to 65536. Default 1024.
    #[serde(default = "batch_default")]
    pub batch: u64,
}

/// JSON Lines on standard input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StdinJsonl {
    /// A JSON pointer (`/user/id`) to the string, number or truth value whose text is the key. Default: no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Where the event time is. Default: every record's time is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<JsonTime>,
    /// The most records per batch, 1 to 65536. Default 1024.
    #[serde(default = "batch_default")]
    pub batch: u64,
}

/// A sink.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "connector", rename_all = "lowercase")]
pub enum SinkSettings {
    /// A directory of JSON Lines files, written exactly once.
    Jsonl(DirectorySettings),
    /// Standard output, as JSON Lines.
    Stdout(StdoutSettings),
    /// Counts records and drops them.
    Discard(DiscardSettings),
}

/// A directory of JSON Lines files, `part-<task>-<epoch>.jsonl`, each visible once its checkpoint exists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DirectorySettings {
    /// The directory; made if it is not there.
    pub path: PathBuf,
    /// Whether lines are `{"key": …, "value": …}` instead of the value alone. Default false.
    #[serde(default)]
    pub with_key: bool,
    /// Whether lines are `{"time": …, "value": …}` instead of the value alone. Default false.
    #[serde(default)]
    pub with_time: bool,
    /// What a fresh run does when the directory holds output already: `refuse` or `append`. Default `refuse`.
    #[serde(default)]
    pub existing: Existing,
}

/// What a fresh run does with output that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Existing {
    /// It does not start.
    #[default]
    Refuse,
    /// It writes further files beside it.
    Append,
}

/// Standard output.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StdoutSettings {
    /// Whether lines are `{"key": …, "value": …}` instead of the value alone. Default false.
    #[serde(default)]
    pub with_key: bool,
    /// Whether lines are `{"time": …, "value": …}` instead of the value alone. Default false.
    #[serde(default)]
    pub with_time: bool,
    /// Print at once, and again what is done again after a failure, instead of after each checkpoint. Default false.
    #[serde(default)]
    pub immediate: bool,
}

/// Nothing to set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DiscardSettings {}

impl SourceSettings {
    /// The source that these settings describe. Relative paths start at `base_dir`.
    ///
    /// # Errors
    /// If a setting is out of its range or the input is not there.
    pub fn open_factory(&self, base_dir: &Path) -> Result<Arc<dyn SourceFactory>, ConnectorError> {
        let files = |path: &Path, format, batch| -> Result<Arc<dyn SourceFactory>, _> {
            check_batch(batch)?;
            Ok(Arc::new(FilesFactory::find(&base_dir.join(path), format, batch)?))
        };
        match self {
            Self::Lines(settings) => files(&settings.path, Format::Lines, settings.batch),
            Self::Csv(settings) => {
                let format = csv(settings.delimiter, &settings.key, &settings.time)?;
                files(&settings.path, format, settings.batch)
            }
            Self::Jsonl(settings) => {
                files(&settings.path, jsonl(&settings.key, &settings.time)?, settings.batch)
            }
            Self::Stdin(settings) => {
                let (format, batch) = match settings {
                    StdinSettings::Lines(settings) => (Format::Lines, settings.batch),
                    StdinSettings::Csv(settings) => {
                        (csv(settings.delimiter, &settings.key, &settings.time)?, settings.batch)
                    }
                    StdinSettings::Jsonl(settings) => {
                        (jsonl(&settings.key, &settings.time)?, settings.batch)
                    }
                };
                check_batch(batch)?;
                Ok(Arc::new(StdinFactory::over(Box::new(std::io::stdin()), format, batch)))
            }
            Self::Generator(settings) => Ok(Arc::new(GeneratorFactory::new(settings.clone())?)),
            Self::Nexmark(settings) => Ok(Arc::new(NexmarkFactory::new(settings.clone())?)),
        }
    }
}

impl SinkSettings {
    /// The sink that these settings describe. Relative paths start at `base_dir`.
    ///
    /// # Errors
    /// None at present: sinks touch nothing before they recover.
    pub fn open_factory(&self, base_dir: &Path) -> Result<Arc<dyn SinkFactory>, ConnectorError> {
        Ok(match self {
            Self::Jsonl(settings) => {
                let path = base_dir.join(&settings.path);
                Arc::new(DirectoryFactory::new(DirectorySettings { path, ..settings.clone() }))
            }
            Self::Stdout(settings) => {
                Arc::new(StdoutFactory::over(Box::new(std::io::stdout()), settings.clone()))
            }
            Self::Discard(_) => Arc::new(DiscardFactory::new()),
        })
    }
}

fn check_batch(batch: u64) -> Result<(), ConnectorError> {
    if (1..=BATCH_MAX).contains(&batch) {
        return Ok(());
    }
    Err(ConnectorError::new(format!("`batch` is {batch}: it must be from 1 to {BATCH_MAX}")))
}

fn csv(
    delimiter: char,
    key: &Option<String>,
    time: &Option<CsvTime>,
) -> Result<Format, ConnectorError> {
    let usable = delimiter.is_ascii() && !matches!(delimiter, '"' | '\n' | '\r');
    let Some(delimiter) = u8::try_from(delimiter).ok().filter(|_| usable) else {
        return Err(ConnectorError::new(format!(
            "`delimiter` is {delimiter:?}: it must be one ASCII character, and no quote or line end"
        )));
    };
    let time = time.as_ref().map(|time| (time.column.clone(), time.format));
    Ok(Format::Csv(CsvFormat { delimiter, key: key.clone(), time }))
}

fn jsonl(key: &Option<String>, time: &Option<JsonTime>) -> Result<Format, ConnectorError> {
    let pointer = |text: &String, setting| {
        Pointer::parse(text).ok_or_else(|| {
            ConnectorError::new(format!(
                "`{setting}` is `{text}`, which is no JSON pointer: write `/{text}` for the member `{text}`"
            ))
        })
    };
    let key = key.as_ref().map(|key| pointer(key, "key")).transpose()?;
    let time = match time {
        Some(time) => Some((pointer(&time.pointer, "time.pointer")?, time.format)),
        None => None,
    };
    Ok(Format::Jsonl(JsonlFormat { key, time }))
}

fn batch_default() -> u64 {
    BATCH_DEFAULT
}

fn delimiter_default() -> char {
    ','
}
