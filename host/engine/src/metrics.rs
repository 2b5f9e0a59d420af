//! What each task counts, for progress bars and figures. Written by the task once a batch, read by anyone.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use statehouse_operator::MigrationProgress;

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
    /// Nanoseconds in invocations of the operator.
    pub busy_ns: AtomicU64,
    /// Values and entries of earlier versions of the operator that have not moved to its own states, those included
    /// that cannot. Brought up to date about every 100 ms.
    pub migration_left: AtomicU64,
    /// Those that have moved since the operator was put in place.
    pub migration_moved: AtomicU64,
    /// Those that could not be converted.
    pub migration_failed: AtomicU64,
}

impl TaskMetrics {
    /// Notes an invocation.
    pub(crate) fn invoked(&self, took_ns: u64) {
        self.busy_ns.fetch_add(took_ns, Ordering::Relaxed);
    }

    /// How far the migration of the task's state is.
    pub fn migration(&self) -> MigrationProgress {
        MigrationProgress {
            left: Self::read(&self.migration_left),
            moved: Self::read(&self.migration_moved),
            failed: Self::read(&self.migration_failed),
        }
    }

    /// Shows how far the migration of the task's state is.
    pub(crate) fn show_migration(&self, progress: MigrationProgress) {
        let MigrationProgress { left, moved, failed } = progress;
        self.migration_left.store(left, Ordering::Relaxed);
        self.migration_moved.store(moved, Ordering::Relaxed);
        self.migration_failed.store(failed, Ordering::Relaxed);
    }

    /// Reads a counter.
    pub fn read(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
