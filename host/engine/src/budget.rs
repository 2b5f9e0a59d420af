//! How much of running snapshots may be in memory between the tasks that write them and the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::sync::Unparker;

/// Bytes of finished segments that may wait for the store, over all tasks.
pub(crate) const BYTES_MAX: u64 = 64 << 20;

/// Counts the bytes that wait. A task that finds it used up stops writing its snapshot, and goes on processing.
///
/// The limit can be exceeded by what each task finishes in one step.
#[derive(Debug)]
pub(crate) struct Budget {
    waiting: AtomicU64,
    tasks: Vec<Unparker>,
}

impl Budget {
    /// A budget for these tasks, which are woken when there is room again.
    pub(crate) fn new(tasks: Vec<Unparker>) -> Arc<Self> {
        Arc::new(Self { waiting: AtomicU64::new(0), tasks })
    }

    /// Whether more may be written.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Acquire) < BYTES_MAX
    }

    /// Takes so many bytes out of the budget until the permit is dropped.
    pub(crate) fn take(self: &Arc<Self>, bytes: u64) -> Permit {
        self.waiting.fetch_add(bytes, Ordering::AcqRel);
        Permit { budget: Arc::clone(self), bytes }
    }
}

/// Bytes taken out of the budget.
#[derive(Debug)]
pub(crate) struct Permit {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.budget.waiting.fetch_sub(self.bytes, Ordering::AcqRel);
        if before >= BYTES_MAX && before - self.bytes < BYTES_MAX {
            self.budget.tasks.iter().for_each(Unparker::unpark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back() {
        let budget = Budget::new(Vec::new());
        let first = budget.take(BYTES_MAX - 1);
        assert!(budget.has_room());
        let second = budget.take(5);
        assert!(!budget.has_room());
        drop(first);
        assert!(budget.has_room());
        drop(second);
        assert_eq!(budget.waiting.load(Ordering::Relaxed), 0);
    }
}
