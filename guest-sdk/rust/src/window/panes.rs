//! Tumbling and sliding windows, made of panes.
//!
//! Time is cut into panes so that every window is a run of whole panes. A record goes into the one
//! pane of its time; a window's result is merged from its panes when it is over. So a record costs
//! the same however many windows overlap.
//!
//! *Where panes are.* The newest pane of a key is a value of its own, `open`: that is where nearly
//! all records go. Older ones that are not over yet are entries of a map, `panes`. Those that are
//! over, and belong to windows that are not, are together in one value, `closed`, which is read and
//! written once a window and never by a record.
//!
//! *Timers.* A pane that is new sets a timer for the end of the first window with it that is not
//! over yet. A window that is over sets the timer of the next one, as long as panes are left for
//! it. So each key has about one timer.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::closed::Closed;
use super::spec::{Kind, pane};
use super::{OnWindow, Window, WindowClock, Windows};
use crate::codec::Value;
use crate::error::Result;
use crate::record::Fired;
use crate::setup::Setup;
use crate::state::ValueState;
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
    open: ValueState<Open<A::Accumulator>>,
    panes: MapState<i64, A::Accumulator>,
    /// See [`Closed`].
    closed: ValueState<Vec<u8>>,
    timer: Timer,
}

/// The newest pane of a key, and how many are in the map beside it.
#[derive(Clone, Serialize, Deserialize)]
struct Open<V> {
    pane: i64,
    others: u64,
    accumulator: Option<V>,
}

impl<V> Default for Open<V> {
    fn default() -> Self {
        Self { pane: i64::MIN, others: 0, accumulator: None }
    }
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
    fn pane_of(self, time: i64) -> i64 {
        time - (time - self.offset).rem_euclid(self.pane)
    }

    /// The end of the first window with that pane.
    #[inline]
    fn first_end(self, pane: i64) -> i64 {
        // The first end at or after the pane's own end.
        let after = pane + self.pane;
        after + (self.offset + self.size - after).rem_euclid(self.slide)
    }

    /// The end of the last window with that pane.
    #[inline]
    fn last_end(self, pane: i64) -> i64 {
        let first = self.first_end(pane);
        first + (pane + self.size - first) / self.slide * self.slide
    }

    /// When nothing needs the pane any more.
    #[inline]
    fn forgotten(self, pane: i64) -> i64 {
        self.last_end(pane).saturating_add(self.lateness)
    }
}

impl<A: Aggregate> Panes<A> {
    pub(super) fn declare<O: 'static, K: Value + Clone>(
        setup: &mut Setup<O>,
        name: &str,
        windows: &Windows,
        handler: impl OnWindow<O, K, A::Output>,
    ) -> Rc<Self> {
        let open = setup.value(&format!("{name}.open"));
        let panes = setup.map(&format!("{name}.panes"));
        let closed = setup.value(&format!("{name}.closed"));
        let clock = WindowClock::new(&setup.call, windows);
        let fire = move |panes: &Self, operator: &mut O, fired: Fired<K>| {
            panes.fire(operator, fired, &handler)
        };
        let shape = Shape::new(windows);
        setup.window_store(name, windows, fire, |timer| Self {
            shape,
            clock,
            open,
            panes,
            closed,
            timer,
        })
    }

    pub(super) fn add(&self, input: &A::Input) -> bool {
        let Self { shape, clock, .. } = self;
        let (pane, now) = (shape.pane_of(clock.of_record()), clock.now());
        let forgotten = shape.forgotten(pane);
        if forgotten <= now {
            return false;
        }
        let is_new = self.open.update(|open| self.put(open, pane, input));
        if is_new {
            if shape.lateness > 0 {
                self.timer.set_in(forgotten, FORGOTTEN);
            }
            let first = shape.first_end(pane);
            // The first end after now: windows before it are over, with or without the pane.
            let passed = now.saturating_sub(first).saturating_add(shape.slide).max(0) / shape.slide;
            let end = first + passed * shape.slide;
            if end <= shape.last_end(pane) {
                self.timer.set_in(end, OVER);
            }
        }
        if shape.lateness > 0 {
            self.correct(pane, now);
        }
        true
    }

    /// Adds an input to a pane. Whether it is the pane's first, as far as the panes that are not closed tell.
    fn put(&self, open: &mut Open<A::Accumulator>, pane: i64, input: &A::Input) -> bool {
        match &mut open.accumulator {
            Some(accumulator) if open.pane == pane => {
                A::add(accumulator, input);
                return false;
            }
            Some(_) if pane < open.pane => {
                let is_new = !self.panes.contains_key(&pane);
                self.panes.update(&pane, |accumulator| A::add(accumulator, input));
                open.others += u64::from(is_new);
                return is_new;
            }
            _ => {}
        }
        let mut accumulator = A::Accumulator::default();
        A::add(&mut accumulator, input);
        if let Some(before) = open.accumulator.replace(accumulator) {
            self.panes.insert(&open.pane, before);
            open.others += 1;
        }
        open.pane = pane;
        true
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
        let arrived = self.take_before(end);
        let result = if shape.slide == shape.size && shape.lateness == 0 {
            // Panes are windows, and nothing of them is left.
            let window = arrived.into_iter().find(|(pane, _)| *pane == end - shape.size);
            window.map(|(_, accumulator)| A::result(&accumulator))
        } else {
            let before = self.closed.get().unwrap_or_default();
            let mut closed = Closed::read(&before)?;
            let result = self.close(&mut closed, arrived, &fired);
            if closed.is_empty() {
                self.closed.clear();
            } else {
                self.closed.set(Closed::write(&closed)?);
            }
            result
        };
        let Some(result) = result else { return Ok(()) };
        let (start, again) = (end - shape.size, fired.namespace == CORRECTED);
        handler(operator, Window { key: fired.key, start, end, result, again })
    }

    /// Takes the panes that are over at a time out of where records go.
    fn take_before(&self, end: i64) -> Vec<(i64, A::Accumulator)> {
        let mut taken = Vec::new();
        let nothing = |open: &Open<_>| open.others == 0 && open.pane >= end;
        if self.open.with(|open| open.is_none_or(nothing)) {
            return taken;
        }
        let emptied = self.open.update(|open| {
            if open.others > 0 {
                taken = self.panes.range(..end).collect();
                taken.iter().for_each(|(pane, _)| self.panes.remove(pane));
                open.others -= taken.len() as u64;
            }
            if open.pane < end {
                taken.extend(open.accumulator.take().map(|accumulator| (open.pane, accumulator)));
            }
            open.accumulator.is_none()
        });
        if emptied {
            self.open.clear();
        }
        taken
    }

    /// Puts panes to those that are over, forgets what nothing needs any more, and returns the result of the window
    /// that fires, if it has any.
    fn close<K>(
        &self,
        closed: &mut Vec<(i64, A::Accumulator)>,
        arrived: Vec<(i64, A::Accumulator)>,
        fired: &Fired<K>,
    ) -> Option<A::Output> {
        let (shape, end) = (self.shape, fired.time);
        for (pane, accumulator) in arrived {
            match closed.binary_search_by_key(&pane, |(pane, _)| *pane) {
                Ok(place) => A::merge(&mut closed[place].1, &accumulator),
                Err(place) => closed.insert(place, (pane, accumulator)),
            }
        }
        let mut merged = None;
        if fired.namespace != FORGOTTEN {
            let window = (end - shape.size)..end;
            for (_, accumulator) in closed.iter().filter(|(pane, _)| window.contains(pane)) {
                match &mut merged {
                    None => merged = Some(accumulator.clone()),
                    Some(merged) => A::merge(merged, accumulator),
                }
            }
        }
        let forgotten = closed.iter().take_while(|(pane, _)| shape.forgotten(*pane) <= end).count();
        closed.drain(..forgotten);
        if fired.namespace == OVER && closed.iter().any(|(pane, _)| shape.last_end(*pane) > end) {
            self.timer.set_in(end + shape.slide, OVER);
        }
        merged.map(|merged| A::result(&merged))
    }
}
