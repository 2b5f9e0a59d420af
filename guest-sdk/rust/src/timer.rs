//! Timers as fields.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::call::{Call, NO_SLOT, Pending};
use crate::host::Host;

/// A family of timers: sets and deletes timers of the key being handled.
///
/// A timer is known by its family, key and time: setting it twice fires it once. One that is set in
/// the past fires at the next opportunity.
///
/// ```
/// use statehouse::prelude::*;
///
/// /// Says which keys were silent for a minute.
/// struct Silence { last: ValueState<i64>, alarm: Timer, silent: Output<String> }
///
/// impl Silence {
///     fn on_ping(&mut self, ping: Record<String, u64>) -> Result<()> {
///         if let Some(last) = self.last.get() {
///             self.alarm.delete(last + 60_000);
///         }
///         self.last.set(ping.time);
///         self.alarm.set(ping.time + 60_000);
///         Ok(())
///     }
///
///     fn on_alarm(&mut self, alarm: Fired<String>) -> Result<()> {
///         self.last.clear();
///         self.silent.emit(&alarm.key)
///     }
/// }
///
/// impl Operator for Silence {
///     const NAME: &str = "silence";
///     fn new(setup: &mut Setup<Self>) -> Self {
///         setup.keyed_input("pings", Self::on_ping);
///         Silence {
///             last: setup.value("last"),
///             alarm: setup.event_timer("alarm", Self::on_alarm),
///             silent: setup.output("silent"),
///         }
///     }
/// }
///
/// let mut harness = TestHarness::<Silence>::new();
/// harness.send("pings", "a", 1_u64, 0);
/// harness.send("pings", "a", 1_u64, 30_000);
/// harness.advance_watermark(60_000);
/// assert!(harness.take_values::<String>("silent").is_empty());
/// harness.advance_watermark(90_000);
/// assert_eq!(harness.take_values::<String>("silent"), ["a"]);
/// ```
pub struct Timer {
    family: Rc<Family>,
    call: Rc<Call>,
}

impl Timer {
    pub(crate) fn new(family: Rc<Family>, call: &Rc<Call>) -> Self {
        Self { family, call: Rc::clone(call) }
    }

    /// Sets a timer of the current key, in milliseconds since 1970-01-01T00:00:00Z.
    #[inline]
    pub fn set(&self, time: i64) {
        self.change(time, true);
    }

    /// Takes a timer of the current key back. Deleting what is not set is no error.
    pub fn delete(&self, time: i64) {
        self.change(time, false);
    }

    #[inline]
    fn change(&self, time: i64, set: bool) {
        let slot = self.call.slot.get();
        if slot == NO_SLOT {
            return self.call.no_key("timer", &self.family.name);
        }
        let changes = &mut *self.family.changes.borrow_mut();
        let change = Change { slot, time, set };
        if changes.last() != Some(&change) {
            changes.push(change);
        }
    }
}

/// The changes that wait to be sent.
pub(crate) struct Family {
    index: u32,
    name: Box<str>,
    changes: RefCell<Vec<Change>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Change {
    slot: u32,
    time: i64,
    set: bool,
}

impl Family {
    pub(crate) fn new(index: u32, name: &str) -> Rc<Self> {
        Rc::new(Self { index, name: name.into(), changes: RefCell::default() })
    }
}

impl Pending for Family {
    fn send(&self, host: &dyn Host) {
        let changes = &mut *self.changes.borrow_mut();
        if changes.iter().any(|change| !change.set) {
            // The last word on a timer counts, so that sets and deletes can go as one call each.
            let last: BTreeMap<_, _> =
                changes.drain(..).map(|change| ((change.slot, change.time), change.set)).collect();
            changes.extend(last.into_iter().map(|((slot, time), set)| Change { slot, time, set }));
        }
        for set in [true, false] {
            let of_kind = changes.iter().filter(|change| change.set == set);
            let (slots, times): (Vec<_>, Vec<_>) =
                of_kind.map(|change| (change.slot, change.time)).unzip();
            match (slots.is_empty(), set) {
                (true, _) => {}
                (false, true) => host.set_timers(self.index, &slots, &times),
                (false, false) => host.delete_timers(self.index, &slots, &times),
            }
        }
        changes.clear();
    }

    fn discard(&self) {
        self.changes.borrow_mut().clear();
    }
}
