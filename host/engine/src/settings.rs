//! Settings of the engine: plain data.

use std::time::Duration;

use statehouse_checkpoint::{Compression, PackSettings};

/// Whether what comes behind a barrier waits for the barriers of the other channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It waits, so that a checkpoint holds each record's effect exactly once.
    #[default]
    ExactlyOnce,
    /// Nothing waits. After a failure, records that came behind a barrier on a fast channel may count twice.
    AtLeastOnce,
}

/// How checkpoints are taken. The names are the field's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointSettings {
    /// Time from one trigger to the next. `None`: only the end of the stream and savepoints are checkpointed.
    pub interval: Option<Duration>,
    /// The least time from the end of one checkpoint to the trigger of the next. Savepoints do not wait for it.
    pub min_pause: Duration,
    /// A checkpoint that is not published within this time is given up.
    pub timeout: Duration,
    /// How many checkpoints in a row may fail before the job does.
    pub tolerable_failed: u32,
    /// How many checkpoints may be under way at once, at least 1. Each still waits for the barrier of the one before
    /// to have passed; what overlaps is upload and publication.
    pub max_concurrent: u32,
    /// Whether barriers are aligned.
    pub mode: Mode,
    /// How many checkpoints are kept, at least 1. Older ones are collected.
    pub num_retained: u32,
    /// How state is compressed on its way into the store.
    pub compression: Compression,
    /// Segments that are together no larger than this travel in the manifest, in bytes.
    pub inline_threshold: u64,
}

impl CheckpointSettings {
    /// How packs are made.
    pub(crate) fn packs(&self) -> PackSettings {
        PackSettings {
            inline_bytes_max: self.inline_threshold,
            compression: self.compression,
            ..PackSettings::default()
        }
    }
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self {
            interval: Some(Duration::from_secs(10)),
            min_pause: Duration::ZERO,
            timeout: Duration::from_secs(600),
            tolerable_failed: 0,
            max_concurrent: 1,
            mode: Mode::ExactlyOnce,
            num_retained: 3,
            compression: Compression::default(),
            inline_threshold: 20 * 1024,
        }
    }
}
