//! Tumbling and sliding windows, made of panes.
//!
//! Time is cut into panes so that every window is a run of whole panes. A record goes into the one pane of its time;
//! a window's result is merged from its panes when it is over. So a record costs the same however many windows overlap.
//!
//! *Timers.* A pane that is new sets a timer for the end of the first window with it that is not over yet. A window
//! that is over sets the timer of the next one, as long as panes are left for it. So each key has about one timer.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::{Rc, Weak};

use super::spec::{Kind, pane};
use super::{OnWindow, Window, WindowClock, Windows};
use crate::call::Pending;
use crate::codec::Value;
use crate::error::Result;
use crate::host::Host;
use crate::record::Fired;
use crate::setup::Setup;
use crate::state::aggregating::Aggregate;
use crate::state::map::MapState;
use crate::timer::Timer;

/// What a timer is for, told by its namespace.
const OVER: u64 = 0;
const CORRECTED: u64 = 1;
const FORGOTTEN: u64 = 2;

/// The panes of one declaration of windows.
pub(super) struct Panes<A: Aggregate> {
    shape: Shape,
    clock: WindowClock,
    panes: MapState<i64, A::Accumulator>,
    timer: Timer,
    /// Whether the panes of this invocation have been fetched.
    looked_ahead: Cell<bool>,
}

/// Where windows and panes begin and end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    size: i64,
    slide: i64,
    offset: i64,
    pane: i64,
    lateness: i64,
}

impl Shape {
    pub(super) fn new(windows: &Windows) -> Self {
        let Kind::Panes { size, slide, offset } = windows.kind else {
            unreachable!("only windows of fixed length have panes")
        };
        // What is refused must still be declared, without dividing by nothing.
        let (size, slide) = (size.max(1), slide.max(1));
        let pane = pane(size, slide);
        Self { size, slide, offset: offset % slide, pane, lateness: windows.lateness }
    }

    /// The beginning of the pane that a time is in.
    #[inline]
    pub(super) fn pane_of(self, time: i64) -> i64 {
        time - (time - self.offset).rem_euclid(self.pane)
    }

    /// The end of the first window with that pane.
    #[inline]
    pub(super) fn first_end(self, pane: i64) -> i64 {
        // The first end at or after the pane's own end.
        let after = pane + self.pane;
        after + (self.offset + self.size - after).rem_euclid(self.slide)
    }

    /// The end of the last window with that pane.
    #[inline]
    pub(super) fn last_end(self, pane: i64) -> i64 {
        let first = self.first_end(pane);
        first + (pane + self.size - first) / self.slide * self.slide
    }

    /// The panes of the window with that end.
    fn panes(self, end: i64) -> impl Iterator<Item = i64> + Clone {
        let shape = self;
        (0..self.size / self.pane).map(move |place| end - shape.size + place * shape.pane)
    }
}

impl<A: Aggregate> Panes<A> {
    pub(super) fn declare<O: 'static, K: Value + Clone>(
        setup: &mut Setup<O>,
        name: &str,
        windows: &Windows,
        handler: impl OnWindow<O, K, A::Output>,
    ) -> Rc<Self> {
        let panes = setup.map(&format!("{name}.panes"));
        let clock = WindowClock::new(&setup.call, windows);
        // The timer's handler needs the panes, and these need the timer.
        let panes = Rc::new_cyclic(|this: &Weak<Self>| {
            let this = Weak::<Self>::clone(this);
            let timer = setup.window_timer(name, windows, move |operator, fired: Fired<K>| {
                let panes = this.upgrade().expect("the operator's fields outlive its handlers");
                panes.fire(operator, fired, &handler)
            });
            Self { shape: Shape::new(windows), clock, panes, timer, looked_ahead: Cell::new(false) }
        });
        setup.pending.push(Rc::<Self>::clone(&panes));
        panes
    }

    pub(super) fn add(&self, input: &A::Input) -> bool {
        let Self { shape, clock, .. } = self;
        let (pane, now) = (shape.pane_of(clock.of_record()), clock.now());
        let last_end = shape.last_end(pane);
        let forgotten = last_end.saturating_add(shape.lateness);
        if forgotten <= now {
            return false;
        }
        self.look_ahead(|time| {
            let time = if clock.processing_time { clock.of_record() } else { time };
            std::iter::once(shape.pane_of(time))
        });
        let is_new = !self.panes.contains_key(&pane);
        self.panes.update(&pane, |accumulator| A::add(accumulator, input));
        if is_new {
            if shape.lateness > 0 {
                self.timer.set_in(forgotten, FORGOTTEN);
            }
            let first = shape.first_end(pane);
            // The first end after now: windows before it are over, with or without the pane.
            let passed = now.saturating_sub(first).saturating_add(shape.slide).max(0) / shape.slide;
            let open = first + passed * shape.slide;
            if open <= last_end {
                self.timer.set_in(open, OVER);
            }
        }
        if shape.lateness > 0 {
            self.correct(pane, now);
        }
        true
    }

    /// Fetches the panes of all rows of the invocation at once, before the first of them is needed.
    fn look_ahead<I: Iterator<Item = i64>>(&self, panes: impl Fn(i64) -> I) {
        if self.looked_ahead.replace(true) {
            return;
        }
        let rows = self.clock.call.rows();
        let (mut slots, mut keys) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for (&slot, &time) in rows.slots.iter().zip(&rows.times) {
            for pane in panes(time) {
                if seen.insert((slot, pane)) {
                    slots.push(slot);
                    keys.push(pane);
                }
            }
        }
        self.panes.prefetch(&slots, &keys);
    }

    /// Windows with the pane that are over and not forgotten hand out their result again.
    fn correct(&self, pane: i64, now: i64) {
        let Self { shape, .. } = self;
        let last_end = shape.last_end(pane).min(now);
        let mut end = shape.first_end(pane);
        while end <= last_end {
            if end.saturating_add(shape.lateness) > now {
                self.timer.set_in(end, CORRECTED);
            }
            end += shape.slide;
        }
    }

    fn fire<O, K>(
        &self,
        operator: &mut O,
        fired: Fired<K>,
        handler: &impl OnWindow<O, K, A::Output>,
    ) -> Result<()> {
        let (shape, end) = (self.shape, fired.time);
        if fired.namespace == FORGOTTEN {
            // Set by the panes whose last window ended that long ago.
            let last_end = end - shape.lateness;
            for pane in self.last_panes(last_end) {
                self.panes.remove(&pane);
            }
            return Ok(());
        }
        self.look_ahead(|end| shape.panes(end));
        let mut merged: Option<A::Accumulator> = None;
        let mut left = false;
        for pane in shape.panes(end) {
            let Some(accumulator) = self.panes.get(&pane) else { continue };
            left |= shape.last_end(pane) > end;
            match &mut merged {
                None => merged = Some(accumulator),
                Some(merged) => A::merge(merged, &accumulator),
            }
        }
        if fired.namespace == OVER {
            if shape.lateness == 0 {
                for pane in self.last_panes(end) {
                    self.panes.remove(&pane);
                }
            }
            if left {
                self.timer.set_in(end + shape.slide, OVER);
            }
        }
        let Some(merged) = merged else { return Ok(()) };
        let again = fired.namespace == CORRECTED;
        let (start, result) = (end - shape.size, A::result(&merged));
        handler(operator, Window { key: fired.key, start, end, result, again })
    }

    /// The panes whose last window ends then.
    fn last_panes(&self, end: i64) -> impl Iterator<Item = i64> {
        let shape = self.shape;
        shape.panes(end).take_while(move |&pane| shape.last_end(pane) <= end)
    }
}

impl<A: Aggregate> Pending for Panes<A> {
    fn send(&self, _host: &dyn Host) {}

    fn discard(&self) {
        self.looked_ahead.set(false);
    }
}
