//! Positions in files: `{"files": {"name": {"bytes", "lines", "records", "finished"}}}`, by file name.
//!
//! Every file of a task is there, those not yet begun too. So the positions of all tasks together say which files the
//! run had, and can be dealt out to any number of tasks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use statehouse_engine::ConnectorError;

/// How far a file has been read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilePosition {
    /// Bytes of content, after decompression.
    pub(super) bytes: u64,
    /// Line feeds in them.
    pub(super) lines: u64,
    /// Records in them, malformed ones included.
    pub(super) records: u64,
    /// Whether the end was reached.
    pub(super) finished: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskPosition {
    files: BTreeMap<String, FilePosition>,
}

/// A task's position.
pub(super) fn write<'a>(files: impl Iterator<Item = (&'a str, FilePosition)>) -> Value {
    json!({ "files": files.collect::<BTreeMap<_, _>>() })
}

/// What the positions of all tasks say of each file.
pub(super) fn merge(positions: &[Value]) -> Result<BTreeMap<String, FilePosition>, ConnectorError> {
    let mut merged = BTreeMap::new();
    for position in positions {
        let task = TaskPosition::deserialize(position).map_err(|error| {
            ConnectorError::new(format!(
                "the checkpoint's position is not one of a file source ({error}): the job's source was another \
                 one then; restore the old settings, or start over with --fresh"
            ))
        })?;
        merged.extend(task.files);
    }
    Ok(merged)
}
