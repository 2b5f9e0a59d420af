//! What each task counts, for progress bars and figures. Written by the task once a batch, read by anyone.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// One task's counters.
#[derive(Debug, Default)]
pub struct TaskMetrics {
    /// Records taken in.
    pub records_in: AtomicU64,
    /// Batches taken in.
    pub batches_in: AtomicU64,
    /// Records sent on.
    pub records_out: AtomicU64,
    /// Records and timers that the node could not take.
    pub rejected: AtomicU64,
    /// How far a source is, in units of its own.
    pub progress_done: AtomicU64,
    /// How far a source has to go; 0 if that is not known.
    pub progress_total: AtomicU64,
    /// The task's watermark.
    pub watermark: AtomicI64,
}

impl TaskMetrics {
    /// Reads a counter.
    pub fn read(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
