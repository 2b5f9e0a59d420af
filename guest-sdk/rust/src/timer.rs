//! Timers as fields.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::bindings::Renamed;
use crate::call::{Call, NO_SLOT, Pending};
use crate::host::Host;

/// A family of timers: sets and deletes timers of the key being handled.
///
/// A timer is known by its family, key, namespace and time: setting it twice fires it once. One that is set in
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

    /// Says a name that the timers had in an earlier version of the operator: those that are set under it fire as
    /// these.
    ///
    /// ```
    /// # use statehouse::prelude::*;
    /// # struct Bill { due: Timer }
    /// # impl Operator for Bill {
    /// #     const NAME: &str = "bill";
    /// #     fn new(setup: &mut Setup<Self>) -> Self {
    /// #         setup.keyed_input("orders", |_: &mut Self, _: Record<u64, i64>| Ok(()));
    /// Bill { due: setup.event_timer("due", Self::on_due).formerly("deadline") }
    /// #     }
    /// # }
    /// # impl Bill { fn on_due(&mut self, _: Fired<u64>) -> Result<()> { Ok(()) } }
    /// # TestHarness::<Bill>::new().open().unwrap();
    /// ```
    #[must_use]
    pub fn formerly(self, name: &str) -> Self {
        let mut lineage = self.call.lineage.borrow_mut();
        lineage.rename(Renamed::Timer, self.family.index, name);
        drop(lineage);
        self
    }

    /// Sets a timer of the current key, in milliseconds since 1970-01-01T00:00:00Z.
    #[inline]
    pub fn set(&self, time: i64) {
        self.change(time, 0, true);
    }

    /// Takes a timer of the current key back. Deleting what is not set is no error.
    pub fn delete(&self, time: i64) {
        self.change(time, 0, false);
    }

    /// Sets a timer of the current key in a namespace: a number of the operator's choice, the start of a window for
    /// example. Timers of one time and different namespaces are different timers; [`set`](Timer::set) uses
    /// namespace 0.
    #[inline]
    pub fn set_in(&self, time: i64, namespace: u64) {
        self.change(time, namespace, true);
    }

    /// Takes a timer of the current key in a namespace back. Deleting what is not set is no error.
    pub fn delete_in(&self, time: i64, namespace: u64) {
        self.change(time, namespace, false);
    }

    #[inline]
    fn change(&self, time: i64, namespace: u64, set: bool) {
        let slot = self.call.slot.get();
        if slot == NO_SLOT {
            return self.call.no_key("timer", &self.family.name);
        }
        let changes = &mut *self.family.changes.borrow_mut();
        let change = Change { slot, time, namespace, set };
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
    namespace: u64,
    set: bool,
}

impl Family {
    pub(crate) fn new(index: u32, name: &str) -> Rc<Self> {
        Rc::new(Self { index, name: name.into(), changes: RefCell::default() })
    }
}

impl Family {
    /// Sends the changes that all set, or all delete, as one call.
    fn send_some(&self, changes: &[Change], set: bool, host: &dyn Host) {
        let of_kind: Vec<_> = changes.iter().filter(|change| change.set == set).collect();
        if of_kind.is_empty() {
            return;
        }
        let slots: Vec<_> = of_kind.iter().map(|change| change.slot).collect();
        let times: Vec<_> = of_kind.iter().map(|change| change.time).collect();
        let namespaces: Vec<_> = of_kind.iter().map(|change| change.namespace).collect();
        let named = namespaces.iter().any(|&namespace| namespace != 0);
        match (set, named) {
            (true, false) => host.set_timers(self.index, &slots, &times),
            (false, false) => host.delete_timers(self.index, &slots, &times),
            (true, true) => host.set_timers_in(self.index, &slots, &times, &namespaces),
            (false, true) => host.delete_timers_in(self.index, &slots, &times, &namespaces),
        }
    }
}

impl Pending for Family {
    fn send(&self, host: &dyn Host) {
        let changes = &mut *self.changes.borrow_mut();
        if changes.iter().any(|change| !change.set) {
            // The last word on a timer counts, so that sets and deletes can go as one call each.
            let known = |change: Change| (change.slot, change.time, change.namespace);
            let last: BTreeMap<_, _> =
                changes.drain(..).map(|change| (known(change), change.set)).collect();
            changes.extend(last.into_iter().map(|((slot, time, namespace), set)| Change {
                slot,
                time,
                namespace,
                set,
            }));
        }
        self.send_some(changes, true, host);
        self.send_some(changes, false, host);
        changes.clear();
    }

    fn discard(&self) {
        self.changes.borrow_mut().clear();
    }
}
