//! Session windows: a key's records with no gap between them.
//!
//! A session is kept by its start, with its end and accumulator. A record joins all sessions that it
//! lies in or next to.
//!
//! *Timers.* Every session has a timer at some time up to its end. One that fires too early, because the session has
//! grown meanwhile, is set again for the end; so a record that lengthens a session sets no timer.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::spec::Kind;
use super::{OnWindow, Window, WindowClock, Windows};
use crate::codec::Value;
use crate::error::Result;
use crate::record::Fired;
use crate::setup::Setup;
use crate::state::aggregating::Aggregate;
use crate::state::map::MapState;
use crate::timer::Timer;

/// A session, by its start.
#[derive(Clone, Serialize, Deserialize)]
struct Session<V> {
    end: i64,
    told: Told,
    accumulator: V,
}

/// What the operator knows of a session.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Told {
    Nothing,
    Everything,
    /// Its result has changed since.
    Something,
}

/// The sessions of one declaration of windows.
pub(super) struct Sessions<A: Aggregate> {
    gap: i64,
    lateness: i64,
    clock: WindowClock,
    sessions: MapState<i64, Session<A::Accumulator>>,
    timer: Timer,
}

impl<A: Aggregate> Sessions<A> {
    pub(super) fn declare<O: 'static, K: Value + Clone>(
        setup: &mut Setup<O>,
        name: &str,
        windows: &Windows,
        handler: impl OnWindow<O, K, A::Output>,
    ) -> Rc<Self> {
        let Kind::Session { gap } = windows.kind else {
            unreachable!("only session windows have sessions")
        };
        let sessions = setup.map(&format!("{name}.sessions"));
        let clock = WindowClock::new(&setup.call, windows);
        let lateness = windows.lateness;
        let fire = move |sessions: &Self, operator: &mut O, fired: Fired<K>| {
            sessions.fire(operator, fired, &handler)
        };
        setup.window_store(name, windows, fire, |timer| Self {
            gap,
            lateness,
            clock,
            sessions,
            timer,
        })
    }

    pub(super) fn add(&self, input: &A::Input) -> bool {
        let (time, now) = (self.clock.of_record(), self.clock.now());
        let (mut start, mut end) = (time, time.saturating_add(self.gap));
        // A session joins if it touches the record's own span. It begins at its end the latest.
        let near = self.sessions.range(..=end).filter(|(_, session)| session.end >= time);
        let near: Vec<_> = near.collect();
        if near.is_empty() && end.saturating_add(self.lateness) <= now {
            return false;
        }
        let is_new = near.is_empty();
        let mut told = Told::Nothing;
        let mut accumulator = None;
        for (_, session) in &near {
            end = end.max(session.end);
            if session.told != Told::Nothing {
                told = Told::Something;
            }
        }
        for (other_start, session) in near {
            start = start.min(other_start);
            self.sessions.remove(&other_start);
            match &mut accumulator {
                None => accumulator = Some(session.accumulator),
                Some(accumulator) => A::merge(accumulator, &session.accumulator),
            }
        }
        let mut accumulator = accumulator.unwrap_or_default();
        A::add(&mut accumulator, input);
        self.sessions.insert(&start, Session { end, told, accumulator });
        // One of which nothing was told has a timer already; joining it brings the timer along.
        if is_new || told == Told::Something {
            self.timer.set(end);
        }
        true
    }

    fn fire<O, K>(
        &self,
        operator: &mut O,
        fired: Fired<K>,
        handler: &impl OnWindow<O, K, A::Output>,
    ) -> Result<()>
    where
        K: Clone,
    {
        let now = self.clock.now();
        for (start, session) in self.sessions.entries() {
            let Session { end, told, accumulator } = session;
            if end > now {
                // It has grown since the timer was set, or the timer is another session's.
                self.timer.set(end);
                continue;
            }
            let forgotten = end.saturating_add(self.lateness);
            if told != Told::Everything {
                let (key, result) = (fired.key.clone(), A::result(&accumulator));
                let again = told == Told::Something;
                handler(operator, Window { key, start, end, result, again })?;
                let told = Told::Everything;
                self.sessions.insert(&start, Session { end, told, accumulator });
            }
            if forgotten <= now {
                self.sessions.remove(&start);
            } else {
                self.timer.set(forgotten);
            }
        }
        Ok(())
    }
}
