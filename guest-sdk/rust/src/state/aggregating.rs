//! Keyed state with an accumulator a key, which the operator's own code adds to.

use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Identity, ValueState};
use crate::call::{Call, Pending};

/// How values become a result, by way of an accumulator that can be kept and merged with others.
///
/// ```
/// use statehouse::prelude::*;
///
/// struct Average;
///
/// impl Aggregate for Average {
///     type Input = f64;
///     type Accumulator = (f64, u64);
///     type Output = f64;
///
///     fn add((sum, count): &mut (f64, u64), reading: &f64) {
///         *sum += reading;
///         *count += 1;
///     }
///
///     fn merge((sum, count): &mut (f64, u64), other: &(f64, u64)) {
///         *sum += other.0;
///         *count += other.1;
///     }
///
///     fn result((sum, count): &(f64, u64)) -> f64 {
///         sum / *count as f64
///     }
/// }
///
/// let mut accumulator = Default::default();
/// Average::add(&mut accumulator, &20.0);
/// Average::merge(&mut accumulator, &(22.0, 1));
/// assert_eq!(Average::result(&accumulator), 21.0);
/// ```
pub trait Aggregate: 'static {
    /// What is added.
    type Input;
    /// What is kept. Its default has nothing in it.
    type Accumulator: Serialize + DeserializeOwned + Clone + Default + 'static;
    /// What comes out.
    type Output;

    /// Adds a value.
    fn add(accumulator: &mut Self::Accumulator, input: &Self::Input);

    /// Adds what another accumulator has.
    fn merge(accumulator: &mut Self::Accumulator, other: &Self::Accumulator);

    /// What has come together.
    fn result(accumulator: &Self::Accumulator) -> Self::Output;
}

/// An aggregate a key: that of the key of the record, or timer, being handled.
///
/// ```
/// use statehouse::prelude::*;
///
/// /// The lowest and the highest.
/// struct Span;
///
/// impl Aggregate for Span {
///     type Input = i64;
///     type Accumulator = Option<(i64, i64)>;
///     type Output = i64;
///
///     fn add(span: &mut Option<(i64, i64)>, input: &i64) {
///         Self::merge(span, &Some((*input, *input)));
///     }
///
///     fn merge(span: &mut Option<(i64, i64)>, other: &Option<(i64, i64)>) {
///         *span = match (*span, *other) {
///             (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
///             (one, other) => one.or(other),
///         };
///     }
///
///     fn result(span: &Option<(i64, i64)>) -> i64 {
///         span.map_or(0, |(low, high)| high - low)
///     }
/// }
///
/// struct Spread { span: AggregatingState<Span>, spreads: Output<i64> }
///
/// impl Spread {
///     fn on_reading(&mut self, reading: Record<u64, i64>) -> Result<()> {
///         self.span.add(&reading.value);
///         self.spreads.emit(&self.span.get().unwrap_or(0))
///     }
/// }
///
/// impl Operator for Spread {
///     const NAME: &str = "spread";
///     fn new(setup: &mut Setup<Self>) -> Self {
///         setup.keyed_input("readings", Self::on_reading);
///         Spread { span: setup.aggregating("span"), spreads: setup.output("spreads") }
///     }
/// }
///
/// let mut harness = TestHarness::<Spread>::new();
/// for reading in [20, 17, 25] {
///     harness.send("readings", 7_u64, reading, 0);
/// }
/// assert_eq!(harness.take_values::<i64>("spreads"), [0, 3, 8]);
/// assert_eq!(harness.state("span", 7_u64), Some(Some((17_i64, 25_i64))));
/// ```
pub struct AggregatingState<A: Aggregate>(ValueState<A::Accumulator>);

impl<A: Aggregate> AggregatingState<A> {
    pub(crate) fn new(call: &Rc<Call>, of: Identity) -> (Self, Rc<dyn Pending>) {
        let (state, pending) = ValueState::new(call, of);
        (Self(state), pending)
    }

    /// The invocation that it belongs to, and which state it is.
    pub(crate) fn of(&self) -> (&Call, &Identity) {
        self.0.of()
    }

    /// Adds a value to the key's aggregate.
    #[inline]
    pub fn add(&self, input: &A::Input) {
        self.0.update(|accumulator| A::add(accumulator, input));
    }

    /// What has come together for the key; `None` if nothing was added.
    #[inline]
    pub fn get(&self) -> Option<A::Output> {
        self.0.with(|accumulator| accumulator.map(A::result))
    }

    /// Removes the key's aggregate.
    pub fn clear(&self) {
        self.0.clear();
    }
}
