//! Settings of the engine: plain data.

use std::time::Duration;

/// How checkpoints are taken. The names are the field's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointSettings {
    /// Time from one trigger to the next. `None`: only the end of the stream is checkpointed.
    pub interval: Option<Duration>,
    /// The least time from the end of one checkpoint to the trigger of the next.
    pub min_pause: Duration,
    /// A checkpoint that is not acknowledged by all tasks within this time is discarded.
    pub timeout: Duration,
    /// How many checkpoints in a row may fail before the job does.
    pub tolerable_failed: u32,
    /// Segments that are together no larger than this travel in the manifest, in bytes.
    pub inline_threshold: u64,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self {
            interval: Some(Duration::from_secs(10)),
            min_pause: Duration::ZERO,
            timeout: Duration::from_secs(600),
            tolerable_failed: 0,
            inline_threshold: 20 * 1024,
        }
    }
}
