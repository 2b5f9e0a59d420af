//! Times-to-live, as operators declare them.

use std::time::Duration;

use crate::bindings::{TimeDomain, Ttl as TtlDescription, TtlUpdate, TtlVisibility};

/// How long a state's values live. Handed to [`Setup::expiring`](crate::Setup::expiring).
///
/// A value starts to live when it is written. Unless said otherwise, its life runs on the host's clock, reads do not
/// prolong it, and what is expired is never seen. In lists and maps, each element has a life of its own.
///
/// ```
/// use std::time::Duration;
/// use statehouse::prelude::*;
///
/// /// Counts the visits of those who come back within a day.
/// struct Visits { count: ValueState<u64>, counts: Output<u64> }
///
/// impl Visits {
///     fn on_visit(&mut self, _: Record<String, ()>) -> Result<()> {
///         let count = self.count.get_or_default() + 1;
///         self.count.set(count);
///         self.counts.emit(&count)
///     }
/// }
///
/// impl Operator for Visits {
///     const NAME: &str = "visits";
///     fn new(setup: &mut Setup<Self>) -> Self {
///         setup.keyed_input("visits", Self::on_visit);
///         let day = Ttl::after(Duration::from_secs(24 * 3600)).event_time();
///         Visits { count: setup.expiring(day).value("count"), counts: setup.output("counts") }
///     }
/// }
///
/// let hour = 3_600_000;
/// let mut harness = TestHarness::<Visits>::new();
/// for at in [0, 20, 50] {
///     harness.advance_watermark(at * hour);
///     harness.send("visits", "ada", (), at * hour);
/// }
/// assert_eq!(harness.take_values::<u64>("counts"), [1, 2, 1]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl {
    lives: Duration,
    domain: TimeDomain,
    update: TtlUpdate,
    visibility: TtlVisibility,
}

impl Ttl {
    /// Values expire that long after they were written, on the host's clock. At least a millisecond.
    pub fn after(lives: Duration) -> Self {
        Self {
            lives,
            domain: TimeDomain::ProcessingTime,
            update: TtlUpdate::OnCreateAndWrite,
            visibility: TtlVisibility::NeverReturnExpired,
        }
    }

    /// Life is measured in event time: from the newest record of the key in the batch that wrote the value, to the
    /// watermark.
    #[must_use]
    pub fn event_time(self) -> Self {
        Self { domain: TimeDomain::EventTime, ..self }
    }

    /// Life is measured on the host's clock, as it is without saying so.
    #[must_use]
    pub fn processing_time(self) -> Self {
        Self { domain: TimeDomain::ProcessingTime, ..self }
    }

    /// A read prolongs life as a write does.
    #[must_use]
    pub fn on_read(self) -> Self {
        Self { update: TtlUpdate::OnReadAndWrite, ..self }
    }

    /// Reads return what is expired, as long as the host has not cleaned it up.
    #[must_use]
    pub fn return_expired(self) -> Self {
        Self { visibility: TtlVisibility::ReturnUntilCleaned, ..self }
    }

    pub(crate) fn touches(self) -> bool {
        self.update == TtlUpdate::OnReadAndWrite
    }

    /// As it is declared. 0 milliseconds for less than one.
    pub(crate) fn describe(self) -> TtlDescription {
        TtlDescription {
            milliseconds: u64::try_from(self.lives.as_millis()).unwrap_or(u64::MAX),
            domain: self.domain,
            update: self.update,
            visibility: self.visibility,
        }
    }
}

#[cfg(test)]
mod tests;
