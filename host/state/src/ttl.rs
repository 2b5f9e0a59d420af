//! Times-to-live: stamps, and when a value is expired.

use crate::backend::Now;
use crate::declaration::{TimeDomain, Ttl, TtlVisibility};

/// The stamp of a value that was restored from a snapshot without stamps on this clock. It does not expire until it is
/// written, read where reads count, or stamped by a clean-up that comes past it (the heap's does).
pub const NO_STAMP: i64 = i64::MIN;

/// Whether a value with this stamp is expired.
#[inline]
pub fn is_expired(ttl: &Ttl, stamp: i64, now: Now) -> bool {
    let lives = i64::try_from(ttl.milliseconds).unwrap_or(i64::MAX);
    stamp != NO_STAMP && stamp.saturating_add(lives) <= now.on(ttl.domain)
}

/// Whether a read returns a value with this stamp, as long as nothing cleaned it up.
#[inline]
pub fn is_visible(ttl: &Ttl, stamp: i64, now: Now) -> bool {
    ttl.visibility == TtlVisibility::ReturnUntilCleaned || !is_expired(ttl, stamp, now)
}

/// The stamp that a write gives: the time on the host's clock, or the newest event time among the key's records in the
/// invocation.
#[inline]
pub fn stamp(ttl: &Ttl, now: Now, event_time: i64) -> i64 {
    match ttl.domain {
        TimeDomain::ProcessingTime => now.processing_time,
        TimeDomain::EventTime => event_time,
    }
    .max(NO_STAMP + 1)
}

/// The stamp of a value that is there and is read, where reads count, or merged into. A record that comes late, among
/// others in time, must not make it older.
#[inline]
pub fn renewed(stamp: i64, new: i64) -> i64 {
    stamp.max(new)
}

/// The stamp that a clean-up gives a value without one: the time on the declared clock. None before the first
/// watermark, when there is no time to give.
pub fn first_stamp(ttl: &Ttl, now: Now) -> i64 {
    match ttl.domain {
        TimeDomain::EventTime if now.watermark == i64::MIN => NO_STAMP,
        domain => now.on(domain).max(NO_STAMP + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declaration::TtlUpdate;

    fn ttl(domain: TimeDomain, visibility: TtlVisibility) -> Ttl {
        Ttl { milliseconds: 10, domain, update: TtlUpdate::OnCreateAndWrite, visibility }
    }

    #[test]
    fn a_value_expires_when_its_time_is_up() {
        let now = |time| Now { processing_time: time, watermark: i64::MIN };
        let ttl = ttl(TimeDomain::ProcessingTime, TtlVisibility::NeverReturnExpired);
        assert!(!is_expired(&ttl, 5, now(14)));
        assert!(is_expired(&ttl, 5, now(15)));
        assert!(!is_expired(&ttl, NO_STAMP, now(i64::MAX)));
        assert!(!is_expired(&Ttl { milliseconds: u64::MAX, ..ttl }, 5, now(i64::MAX - 1)));
    }

    #[test]
    fn event_time_is_that_of_the_records() {
        let ttl = ttl(TimeDomain::EventTime, TtlVisibility::ReturnUntilCleaned);
        let now = Now { processing_time: 1000, watermark: 20 };
        assert_eq!(stamp(&ttl, now, 7), 7);
        assert!(is_expired(&ttl, 7, now) && is_visible(&ttl, 7, now));
        assert_eq!(stamp(&ttl, now, i64::MIN), NO_STAMP + 1);
    }
}
