//! Windows: records gathered by time, and aggregated as they come.
//!
//! Responsible for assigning records to windows, for keeping one accumulator for each, and for firing. All of it is
//! made of map states and timers that any operator can declare; nothing here talks to the host by itself.

mod closed;
mod global;
mod panes;
mod session;
mod spec;
#[cfg(test)]
mod tests;

use std::rc::{Rc, Weak};

use crate::call::Call;
use crate::codec::Value;
use crate::error::Result;
use crate::record::Fired;
use crate::setup::Setup;
use crate::state::aggregating::Aggregate;

pub use spec::{Trigger, Windows};

use global::Global;
use panes::Panes;
use session::Sessions;
use spec::Kind;

/// The window that is over, or that has a result to correct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window<K, R> {
    /// The key. State and timers are those of this key.
    pub key: K,
    /// The first time that belongs to it; `i64::MIN` for a global window.
    pub start: i64,
    /// The first time after it; `i64::MAX` for a global window.
    pub end: i64,
    /// The result.
    pub result: R,
    /// Whether this corrects a result that was handed out before, because of a late record within the allowed
    /// lateness.
    pub again: bool,
}

/// A handler of windows.
pub trait OnWindow<O, K, R>: Fn(&mut O, Window<K, R>) -> Result<()> + 'static {}

impl<O, K, R, F: Fn(&mut O, Window<K, R>) -> Result<()> + 'static> OnWindow<O, K, R> for F {}

/// Aggregates over windows of each key, from [`Setup::windows`].
///
/// One accumulator is kept for each window (for sliding windows: for each slide, however many windows overlap), and a
/// batch of records reads and writes them in one call each.
///
/// ```
/// use std::time::Duration;
/// use statehouse::prelude::*;
///
/// /// How many clicks a page had in each minute.
/// struct Clicks { minutes: Windowed<Count>, late: Output<String>, counts: Output<(String, i64, u64)> }
///
/// struct Count;
///
/// impl Aggregate for Count {
///     type Input = ();
///     type Accumulator = u64;
///     type Output = u64;
///     fn add(count: &mut u64, _: &()) { *count += 1; }
///     fn merge(count: &mut u64, other: &u64) { *count += other; }
///     fn result(count: &u64) -> u64 { *count }
/// }
///
/// impl Clicks {
///     fn on_click(&mut self, click: Record<String, u64>) -> Result<()> {
///         if !self.minutes.add(&()) {
///             self.late.emit(&click.key)?;
///         }
///         Ok(())
///     }
///
///     fn on_minute(&mut self, minute: Window<String, u64>) -> Result<()> {
///         self.counts.emit(&(minute.key, minute.start, minute.result))
///     }
/// }
///
/// impl Operator for Clicks {
///     const NAME: &str = "clicks";
///     fn new(setup: &mut Setup<Self>) -> Self {
///         setup.keyed_input("clicks", Self::on_click);
///         let minute = Windows::tumbling(Duration::from_secs(60));
///         Clicks {
///             minutes: setup.windows("minutes", minute, Self::on_minute),
///             late: setup.output("late"),
///             counts: setup.output("counts"),
///         }
///     }
/// }
///
/// let mut harness = TestHarness::<Clicks>::new();
/// harness.send("clicks", "home", 1_u64, 10_000);
/// harness.send("clicks", "home", 1_u64, 59_999);
/// harness.send("clicks", "home", 1_u64, 60_000);
/// harness.advance_watermark(60_000);
/// harness.send("clicks", "home", 1_u64, 59_999);
/// assert_eq!(harness.take_values::<(String, i64, u64)>("counts"), [("home".into(), 0, 2)]);
/// assert_eq!(harness.take_values::<String>("late"), ["home"]);
/// ```
pub struct Windowed<A: Aggregate> {
    store: Store<A>,
}

enum Store<A: Aggregate> {
    Panes(Rc<Panes<A>>),
    Sessions(Rc<Sessions<A>>),
    Global(Rc<Global<A>>),
}

impl<A: Aggregate> Windowed<A> {
    /// Adds an input at the time of the record being handled (or at the host's clock, for windows in processing
    /// time). Returns whether it is in a window: a record that comes too late for all of its windows is in none, and
    /// what becomes of it is the operator's business, an output port of its own for example.
    #[must_use = "a record that is too late is in no window"]
    pub fn add(&self, input: &A::Input) -> bool {
        match &self.store {
            Store::Panes(panes) => panes.add(input),
            Store::Sessions(sessions) => sessions.add(input),
            Store::Global(global) => {
                global.add(input);
                true
            }
        }
    }
}

/// Windows.
impl<O: 'static> Setup<O> {
    /// Declares windows over the records of each key. `handler` is called with each window that is over. The state and
    /// the timers behind it have names that begin with `name`.
    pub fn windows<K: Value + Clone, A: Aggregate>(
        &mut self,
        name: &str,
        windows: Windows,
        handler: impl OnWindow<O, K, A::Output>,
    ) -> Windowed<A> {
        if let Err(reason) = windows.check() {
            self.refuse(format_args!("windows `{name}`: {reason}"));
        }
        let store = match windows.kind {
            Kind::Panes { .. } => Store::Panes(Panes::declare(self, name, &windows, handler)),
            Kind::Session { .. } => {
                Store::Sessions(Sessions::declare(self, name, &windows, handler))
            }
            Kind::Global { .. } => Store::Global(Global::declare(self, name, &windows, handler)),
        };
        Windowed { store }
    }

    /// Makes a store of windows with its timers: `fire` is called with the store when one is due.
    fn window_store<K: Value, S: 'static>(
        &mut self,
        name: &str,
        windows: &Windows,
        fire: impl Fn(&S, &mut O, Fired<K>) -> Result<()> + 'static,
        store: impl FnOnce(crate::Timer) -> S,
    ) -> Rc<S> {
        // The timers' handler needs the store, and the store needs the timers.
        Rc::new_cyclic(|this: &Weak<S>| {
            let this = Weak::<S>::clone(this);
            let handler = move |operator: &mut O, fired: Fired<K>| {
                let store = this.upgrade().expect("the operator's fields outlive its handlers");
                fire(&store, operator, fired)
            };
            store(if windows.processing_time {
                self.processing_timer(name, handler)
            } else {
                self.event_timer(name, handler)
            })
        })
    }
}

/// The clock that windows go by.
#[derive(Clone)]
struct WindowClock {
    call: Rc<Call>,
    context: crate::Context,
    processing_time: bool,
}

impl WindowClock {
    fn new(call: &Rc<Call>, windows: &Windows) -> Self {
        let context = crate::Context::new(call);
        Self { call: Rc::clone(call), context, processing_time: windows.processing_time }
    }

    /// The time of the record being handled.
    #[inline]
    fn of_record(&self) -> i64 {
        if self.processing_time { self.context.processing_time() } else { self.call.time.get() }
    }

    /// Windows that end at this time, or before it, are over.
    #[inline]
    fn now(&self) -> i64 {
        if self.processing_time { self.context.processing_time() } else { self.context.watermark() }
    }
}
