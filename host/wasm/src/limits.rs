//! What a component may use: memory, time, size.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::engine::{TABLE_ELEMENTS_MAX, TICK};

/// The limits of a component and of each instance of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of an instance, all its memories together. Default 64 MiB.
    pub memory_bytes: usize,
    /// Time that one call may take: a batch, due timers, `open`, `describe`. Default 1 second. It is looked at
    /// every 10 ms, and a call is never stopped before it.
    pub deadline: Duration,
    /// Size of the component. Default 64 MiB.
    pub component_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 64 << 20, deadline: Duration::from_secs(1), component_bytes: 64 << 20 }
    }
}

impl Limits {
    /// The most bytes that one call may return of lists and maps, whose sizes nobody knows beforehand: a quarter of the
    /// memory, and 16 MiB at most.
    pub(crate) fn page_bytes(&self) -> usize {
        (self.memory_bytes / 4).min(16 << 20)
    }

    /// The deadline in ticks of the engine's clock. One more than it has, since the running tick has begun already.
    pub(crate) fn deadline_ticks(&self) -> u64 {
        let ticks = self.deadline.as_nanos().div_ceil(TICK.as_nanos());
        // Half of the range is far enough away, and cannot overflow when added to the current epoch.
        u64::try_from(ticks).map_or(u64::MAX / 2, |ticks| (ticks + 1).min(u64::MAX / 2))
    }
}

/// Watches an instance's memory, and remembers that it asked for too much: what a guest does when it gets none is to
/// trap, and the trap does not say why.
#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    limit: usize,
    used: usize,
    pub(crate) refused: bool,
}

impl MemoryLimiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { limit: limits.memory_bytes, used: 0, refused: false }
    }

    /// Linear memory that the instance has.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit {
            self.refused = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_cut_short() {
        let ticks = |deadline| Limits { deadline, ..Limits::default() }.deadline_ticks();
        assert_eq!(ticks(Duration::from_millis(1)), 2);
        assert_eq!(ticks(Duration::from_millis(10)), 2);
        assert_eq!(ticks(Duration::from_millis(11)), 3);
        assert_eq!(ticks(Duration::MAX), u64::MAX / 2);
    }

    #[test]
    fn all_memories_of_an_instance_count_together() {
        let limits = Limits { memory_bytes: 100, ..Limits::default() };
        let mut limiter = MemoryLimiter::new(&limits);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert!(!limiter.refused);
        assert!(!limiter.memory_growing(60, 61, None).unwrap());
        assert!(limiter.refused);
    }
}
