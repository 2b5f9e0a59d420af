//! What windows there are.

use std::time::Duration;

/// Which windows records are gathered in.
///
/// A window ends before its end: one from 0 to 60 s holds a record at 59.999 s and not one at 60 s. It is over when the
/// watermark (or the host's clock) reaches its end.
#[derive(Debug, Clone)]
pub struct Windows {
    pub(super) kind: Kind,
    pub(super) processing_time: bool,
    pub(super) lateness: i64,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Of fixed length, one every slide.
    Panes { size: i64, slide: i64, offset: i64 },
    /// As long as no gap is between two records.
    Session { gap: i64 },
    /// One without end.
    Global { trigger: Trigger },
}

/// When a global window hands out its result.
#[derive(Debug, Clone)]
pub struct Trigger {
    pub(super) when: When,
    pub(super) purges: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    Count(u64),
    Every(i64),
}

impl Trigger {
    /// After every so many records.
    pub fn count(records: u64) -> Self {
        Self { when: When::Count(records), purges: false }
    }

    /// At every multiple of that time, if there were records since.
    pub fn every(time: Duration) -> Self {
        Self { when: When::Every(milliseconds(time)), purges: false }
    }

    /// Starts from nothing after each result.
    #[must_use]
    pub fn purging(self) -> Self {
        Self { purges: true, ..self }
    }
}

impl Windows {
    fn new(kind: Kind) -> Self {
        Self { kind, processing_time: false, lateness: 0 }
    }

    /// Windows that follow one another.
    pub fn tumbling(size: Duration) -> Self {
        Self::sliding(size, size)
    }

    /// Windows that overlap: one begins with every slide. What a record costs does not grow with the overlap.
    pub fn sliding(size: Duration, slide: Duration) -> Self {
        let (size, slide) = (milliseconds(size), milliseconds(slide));
        Self::new(Kind::Panes { size, slide, offset: 0 })
    }

    /// Windows that end when a key had no record for that long.
    pub fn session(gap: Duration) -> Self {
        Self::new(Kind::Session { gap: milliseconds(gap) })
    }

    /// One window for all time, which hands out results by its trigger.
    pub fn global(trigger: Trigger) -> Self {
        Self::new(Kind::Global { trigger })
    }

    /// Moves where windows begin, which is at multiples of the slide since 1970-01-01T00:00:00Z. For windows of fixed
    /// length only; days of another time zone for example.
    #[must_use]
    pub fn offset(mut self, by: Duration) -> Self {
        if let Kind::Panes { offset, .. } = &mut self.kind {
            *offset = milliseconds(by);
        }
        self
    }

    /// Goes by the host's clock instead of event time. No record is late then. A window that is open when the stream
    /// ends has no result.
    #[must_use]
    pub fn processing_time(self) -> Self {
        Self { processing_time: true, ..self }
    }

    /// Keeps a window for that long after its end: late records go into it, and its result is handed out again.
    #[must_use]
    pub fn allowed_lateness(self, time: Duration) -> Self {
        Self { lateness: milliseconds(time), ..self }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self.kind {
            Kind::Panes { size, slide, .. } => {
                if size < 1 || slide < 1 {
                    return Err("they must be at least a millisecond long and apart".to_owned());
                }
                if slide > size {
                    return Err(
                        "records between two windows would be lost: the slide is longer than \
                                a window"
                            .to_owned(),
                    );
                }
                let panes = size / pane(size, slide);
                if panes > PANES_MAX {
                    return Err(format!(
                        "each would be made of {panes} panes, and {PANES_MAX} is the most: choose a \
                         slide that divides the size, or a longer one"
                    ));
                }
            }
            Kind::Session { gap } if gap < 1 => {
                return Err("the gap must be at least a millisecond".to_owned());
            }
            Kind::Global { trigger: Trigger { when: When::Count(0) | When::Every(0), .. } } => {
                return Err("a trigger needs at least one record, or a millisecond".to_owned());
            }
            Kind::Session { .. } | Kind::Global { .. } => {}
        }
        if self.processing_time && self.lateness > 0 {
            return Err("nothing is late by the host's clock".to_owned());
        }
        if matches!(self.kind, Kind::Global { .. }) && self.lateness > 0 {
            return Err("nothing is late for a window without end".to_owned());
        }
        Ok(())
    }
}

/// The most panes that a window may be made of: each is looked up when a window is over.
const PANES_MAX: i64 = 10_000;

/// The longest time that both divides a window and lies evenly between the beginnings of two.
pub(super) fn pane(size: i64, slide: i64) -> i64 {
    let (mut a, mut b) = (size, slide);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
