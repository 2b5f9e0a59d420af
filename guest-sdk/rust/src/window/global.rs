//! The global window: one for all time, with a trigger.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::spec::{Kind, Trigger, When};
use super::{OnWindow, Window, WindowClock, Windows};
use crate::codec::Value;
use crate::error::Result;
use crate::record::Fired;
use crate::setup::Setup;
use crate::state::ValueState;
use crate::state::aggregating::Aggregate;
use crate::state::map::MapState;
use crate::timer::Timer;

/// The windows of one declaration: for each key one.
pub(super) struct Global<A: Aggregate> {
    trigger: Trigger,
    clock: WindowClock,
    gathered: ValueState<Gathered<A::Accumulator>>,
    /// Results that a count was reached for, by number, until the timer hands them out: a handler of records cannot
    /// be interrupted by one of windows.
    reached: MapState<u64, A::Accumulator>,
    timer: Timer,
}

/// What a key has gathered.
#[derive(Default, Serialize, Deserialize)]
struct Gathered<V> {
    /// Records since the window began, or since it was purged.
    records: u64,
    /// Results that were reached so far.
    results: u64,
    /// Whether a timer is set, for triggers of time.
    waits: bool,
    accumulator: V,
}

impl<A: Aggregate> Global<A> {
    pub(super) fn declare<O: 'static, K: Value + Clone>(
        setup: &mut Setup<O>,
        name: &str,
        windows: &Windows,
        handler: impl OnWindow<O, K, A::Output>,
    ) -> Rc<Self> {
        let Kind::Global { trigger } = windows.kind.clone() else {
            unreachable!("only the global window has a trigger")
        };
        let gathered = setup.value(&format!("{name}.gathered"));
        let reached = setup.map(&format!("{name}.reached"));
        let clock = WindowClock::new(&setup.call, windows);
        let fire = move |global: &Self, operator: &mut O, fired: Fired<K>| {
            global.fire(operator, &fired, &handler)
        };
        setup.window_store(name, windows, fire, |timer| Self {
            trigger,
            clock,
            gathered,
            reached,
            timer,
        })
    }

    pub(super) fn add(&self, input: &A::Input) {
        let mut reached = None;
        let mut wait = None;
        self.gathered.update(|gathered| {
            A::add(&mut gathered.accumulator, input);
            gathered.records += 1;
            match self.trigger.when {
                When::Count(records) if gathered.records >= records => {
                    gathered.results += 1;
                    gathered.records = 0;
                    let mut result = A::Accumulator::default();
                    A::merge(&mut result, &gathered.accumulator);
                    reached = Some((gathered.results, result));
                    if self.trigger.purges {
                        gathered.accumulator = A::Accumulator::default();
                    }
                }
                When::Every(time) if !gathered.waits => {
                    gathered.waits = true;
                    let from = self.clock.of_record().max(self.clock.now());
                    wait = Some(from - from.rem_euclid(time) + time);
                }
                When::Count(_) | When::Every(_) => {}
            }
        });
        if let Some((number, result)) = reached {
            self.reached.insert(&number, result);
            // Not after the clock: fires as soon as the batch is done.
            self.timer.set(self.clock.now());
        }
        if let Some(time) = wait {
            self.timer.set(time);
        }
    }

    fn fire<O, K: Clone>(
        &self,
        operator: &mut O,
        fired: &Fired<K>,
        handler: &impl OnWindow<O, K, A::Output>,
    ) -> Result<()> {
        let window = |result| {
            let key = fired.key.clone();
            Window { key, start: i64::MIN, end: i64::MAX, result, again: false }
        };
        for (_, accumulator) in self.reached.entries() {
            handler(operator, window(A::result(&accumulator)))?;
        }
        self.reached.clear();
        let mut result = None;
        if matches!(self.trigger.when, When::Every(_)) {
            self.gathered.update(|gathered| {
                result = gathered.waits.then(|| A::result(&gathered.accumulator));
                gathered.waits = false;
                if self.trigger.purges {
                    gathered.accumulator = A::Accumulator::default();
                }
            });
        }
        result.map_or(Ok(()), |result| handler(operator, window(result)))
    }
}
