//! Time as the engine sees it: injected, so that a simulation owns it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

/// Tells the time in milliseconds since 1970-01-01T00:00:00Z.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now. Never goes back within a process.
    fn now(&self) -> i64;

    /// Nanoseconds since some moment, for measuring how long something takes. Never goes back.
    fn monotonic_ns(&self) -> u64;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    latest: AtomicI64,
    begun: Instant,
}

impl Default for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one clock of the engine")]
    fn default() -> Self {
        Self { latest: AtomicI64::default(), begun: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one clock of the engine")]
    fn now(&self) -> i64 {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        self.latest.fetch_max(now, Ordering::Relaxed).max(now)
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A clock that moves when it is told to. Clones show the same time.
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    now: Arc<AtomicI64>,
}

impl ManualClock {
    /// A clock that shows this time.
    pub fn at(now: i64) -> Self {
        Self { now: Arc::new(AtomicI64::new(now)) }
    }

    /// Moves it forward.
    pub fn advance(&self, milliseconds: i64) {
        self.now.fetch_add(milliseconds, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.now()).unwrap_or(0).saturating_mul(1_000_000)
    }
}
