//! What checkpoints cost: bytes and requests by how much changed, bandwidth beside the raw disk, savepoints by the
//! size of the state, and what they take from throughput.

mod bandwidth;
mod changes;
mod disk;
mod job;
mod source;
mod text;
mod throughput;

use std::path::Path;

use serde::Serialize;

pub use text::text;

/// What to measure.
#[derive(Debug, Clone)]
pub struct CheckpointSettings {
    /// The parts.
    pub parts: Vec<Part>,
    /// Bytes of state that bandwidth is measured with.
    pub state_bytes: u64,
    /// Bytes of a value where changes and throughput are measured.
    pub value_bytes: usize,
    /// Keys where changes are measured.
    pub keys: u64,
    /// Checkpoints of each rate of change, after the first.
    pub checkpoints: u64,
    /// Keys of the large state whose throughput is measured.
    pub keys_large: u64,
    /// Tasks of the operator.
    pub parallelism: u32,
    /// Measurements of each figure of bandwidth and throughput; medians count.
    pub repetitions: usize,
}

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Bytes and requests by rate of change.
    Changes,
    /// Checkpoint, savepoint and restore beside the raw disk.
    Bandwidth,
    /// Records a second with and without checkpoints.
    Throughput,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Changes, Self::Bandwidth, Self::Throughput];
}

/// What was measured.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CheckpointFigures {
    pub benchmark: &'static str,
    pub changes: Vec<ChangeFigures>,
    pub bandwidth: Vec<BandwidthFigures>,
    pub throughput: Vec<ThroughputFigures>,
}

/// Averages over the checkpoints of one rate of change.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ChangeFigures {
    pub backend: &'static str,
    pub keys: u64,
    pub value_bytes: usize,
    pub changed_keys: u64,
    pub checkpoints: u64,
    /// Bytes of the entries that changed: key and value.
    pub changed_bytes: f64,
    /// Bytes written to the store: packs, manifests and what collection writes.
    pub written_bytes: f64,
    pub written_over_changed: f64,
    pub writes: f64,
    pub lists: f64,
    pub deletes: f64,
    pub duration_ms: u64,
}

/// One state, written and read back.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BandwidthFigures {
    pub backend: &'static str,
    pub compression: &'static str,
    pub state_bytes: u64,
    pub stored_bytes: u64,
    /// The same number of bytes in files of the size of packs, flushed to the same disk.
    pub raw_write_seconds: f64,
    pub raw_read_seconds: f64,
    pub checkpoint_seconds: f64,
    pub restore_seconds: f64,
    /// Bandwidth over that of the raw disk.
    pub checkpoint_over_raw: f64,
    pub restore_over_raw: f64,
    pub savepoint_ms: f64,
    pub fork_ms: f64,
    pub portable_write_seconds: f64,
    pub portable_restore_seconds: f64,
}

/// The same records with and without checkpoints.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ThroughputFigures {
    pub keys: u64,
    /// Keys that change in about a second.
    pub hot_keys: u64,
    pub value_bytes: usize,
    pub records: u64,
    pub without_records_per_second: f64,
    pub with_records_per_second: f64,
    pub with_over_without: f64,
    pub checkpoints: usize,
    pub checkpoint_ms_median: u64,
    pub written_bytes_median: u64,
}

/// Runs the parts, one after the other, in a folder that is emptied for each.
///
/// # Errors
/// If a job fails or the disk does.
pub fn run(settings: &CheckpointSettings, directory: &Path) -> Result<CheckpointFigures, String> {
    let mut figures = CheckpointFigures { benchmark: "checkpoint", ..CheckpointFigures::default() };
    for part in &settings.parts {
        match part {
            Part::Changes => figures.changes = changes::run(settings, directory)?,
            Part::Bandwidth => figures.bandwidth = bandwidth::run(settings, directory)?,
            Part::Throughput => figures.throughput = throughput::run(settings, directory)?,
        }
    }
    Ok(figures)
}
