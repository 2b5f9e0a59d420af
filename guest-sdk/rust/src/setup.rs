//! What an operator declares, while it declares it.

mod states;

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use crate::bindings::{
    Description, KeyDescription, Metric, MetricKind, Port as PortDescription, TimeDomain,
    Timer as TimerDescription, ValueDescription,
};
use crate::call::{Call, Pending};
use crate::codec::{Decode, Encode, Layout, Value};
use crate::context::{Context, Counter, Gauge, PendingCount, PendingGauge};
use crate::instance::{OnBatch, OnDue, Records, Timers};
use crate::lineage::Lineage;
use crate::output::{KeyedOutput, Output, Port};
use crate::record::{OnRecord, OnTimer};
use crate::settings::Settings;
use crate::timer::{Family, Timer};
pub use states::Expiring;

/// Takes the declarations of an operator in [`Operator::new`](crate::Operator::new), and hands out
/// the handles that become its fields.
///
/// What is wrong with a declaration or a setting is gathered, and refuses the job when the operator
/// is opened.
pub struct Setup<O> {
    pub(crate) description: Description,
    pub(crate) inputs: Vec<Box<dyn OnBatch<O>>>,
    pub(crate) timers: Vec<Box<dyn OnDue<O>>>,
    pub(crate) timer_keys: Vec<Option<KeyDescription>>,
    pub(crate) pending: Vec<Rc<dyn Pending>>,
    pub(crate) settings: Settings,
    pub(crate) lineage: Lineage,
    pub(crate) call: Rc<Call>,
}

/// Inputs and timers: what calls the operator.
impl<O: 'static> Setup<O> {
    /// Declares an input port for records without a key.
    pub fn input<V: Decode>(&mut self, name: &str, handler: impl OnRecord<O, (), V>) {
        self.add_input(name, None, Layout::described_value::<V>(), Box::new(Records::new(handler)));
    }

    /// Declares an input port for records without a key that every task gets. Their handler, and no other, may change
    /// [broadcast state](Setup::broadcast).
    pub fn broadcast_input<V: Decode>(&mut self, name: &str, handler: impl OnRecord<O, (), V>) {
        self.add_input(name, None, Layout::described_value::<V>(), Box::new(Records::new(handler)));
        if let Some(port) = self.description.inputs.last_mut() {
            port.broadcast = true;
        }
    }

    /// Declares an input port for records with a key. They are partitioned by it, and have state
    /// and timers.
    pub fn keyed_input<K: Value, V: Decode>(
        &mut self,
        name: &str,
        handler: impl OnRecord<O, K, V>,
    ) {
        let key = self.key_of::<K>("input", name);
        self.add_input(name, key, Layout::described_value::<V>(), Box::new(Records::new(handler)));
    }

    /// Declares a family of timers that fire when the watermark reaches their time.
    pub fn event_timer<K: Value>(&mut self, name: &str, handler: impl OnTimer<O, K>) -> Timer {
        self.add_timer(name, TimeDomain::EventTime, handler)
    }

    /// Declares a family of timers that fire when the host's clock reaches their time.
    pub fn processing_timer<K: Value>(&mut self, name: &str, handler: impl OnTimer<O, K>) -> Timer {
        self.add_timer(name, TimeDomain::ProcessingTime, handler)
    }

    fn add_input(
        &mut self,
        name: &str,
        key: Option<KeyDescription>,
        value: ValueDescription,
        handler: Box<dyn OnBatch<O>>,
    ) {
        let name = name.to_owned();
        self.description.inputs.push(PortDescription { name, key, value, broadcast: false });
        self.inputs.push(handler);
    }

    fn add_timer<K: Value>(
        &mut self,
        name: &str,
        domain: TimeDomain,
        handler: impl OnTimer<O, K>,
    ) -> Timer {
        let family = Family::new(self.description.timers.len() as u32, name);
        self.description.timers.push(TimerDescription { name: name.to_owned(), domain });
        let key = self.key_of::<K>("timer", name);
        self.timer_keys.push(key);
        self.timers.push(Box::new(Timers::new(handler)));
        self.pending.push(Rc::<Family>::clone(&family));
        Timer::new(family, &self.call)
    }

    fn key_of<K: Value>(&mut self, what: &str, name: &str) -> Option<KeyDescription> {
        if <K as Encode>::layout() == Layout::F64 {
            let sentence = "floating-point numbers cannot be keys";
            self.settings.refuse(format!("{what} `{name}`: {sentence}"));
        }
        Layout::described_key::<K>()
    }
}

/// Outputs and metrics.
impl<O> Setup<O> {
    /// Declares an output port for records without a key.
    pub fn output<V: Encode>(&mut self, name: &str) -> Output<V> {
        Output::new(self.add_output::<(), V>(name, None), &self.call)
    }

    /// Declares an output port for records with a key.
    pub fn keyed_output<K: Encode, V: Encode>(&mut self, name: &str) -> KeyedOutput<K, V> {
        if K::layout() == Layout::F64 {
            let sentence = "floating-point numbers cannot be keys";
            self.settings.refuse(format!("output `{name}`: {sentence}"));
        }
        KeyedOutput::new(self.add_output::<K, V>(name, Layout::of_key::<K>()), &self.call)
    }

    fn add_output<K: Encode, V: Encode>(
        &mut self,
        name: &str,
        key: Option<KeyDescription>,
    ) -> Rc<Port> {
        let port = Port::new::<K, V>(self.description.outputs.len() as u32, name);
        let value = V::layout().of_value();
        let name = name.to_owned();
        self.description.outputs.push(PortDescription { name, key, value, broadcast: false });
        self.pending.push(Rc::<Port>::clone(&port));
        port
    }

    /// Declares a counter.
    pub fn counter(&mut self, name: &str) -> Counter {
        let index = self.add_metric(name, MetricKind::Counter);
        let count = Rc::new(PendingCount { index, added: Cell::new(0) });
        self.pending.push(Rc::<PendingCount>::clone(&count));
        Counter(count)
    }

    /// Declares a gauge.
    pub fn gauge(&mut self, name: &str) -> Gauge {
        let index = self.add_metric(name, MetricKind::Gauge);
        let gauge = Rc::new(PendingGauge { index, value: Cell::new(None) });
        self.pending.push(Rc::<PendingGauge>::clone(&gauge));
        Gauge(gauge)
    }

    fn add_metric(&mut self, name: &str, kind: MetricKind) -> u32 {
        self.description.metrics.push(Metric { name: name.to_owned(), kind });
        self.description.metrics.len() as u32 - 1
    }

    /// Time, randomness and the log, for a field of the operator.
    pub fn context(&mut self) -> Context {
        Context::new(&self.call)
    }
}

/// The job file's `config` table. A setting that the operator never asks for refuses the job.
impl<O> Setup<O> {
    /// A setting as it stands in the job file.
    pub fn config(&mut self, name: &str) -> Option<&str> {
        self.settings.get(name)
    }

    /// A setting of any type that can be parsed, or `default` if the job file does not have it.
    pub fn config_or<T: FromStr<Err: fmt::Display>>(&mut self, name: &str, default: T) -> T {
        self.settings.parse(name).unwrap_or(default)
    }

    /// A setting that the job file must have. The type's default stands in for it only until the
    /// job is refused.
    pub fn config_required<T: FromStr<Err: fmt::Display> + Default>(&mut self, name: &str) -> T {
        if self.settings.get(name).is_none() {
            self.refuse(format_args!("setting `{name}` is missing"));
        }
        self.settings.parse(name).unwrap_or_default()
    }

    /// A duration like `250ms`, `10s`, `5m`, `24h` or `1h30m`, or `default` if the job file does
    /// not have it.
    pub fn config_duration(&mut self, name: &str, default: Duration) -> Duration {
        self.settings.duration(name).unwrap_or(default)
    }

    /// Refuses the job, with the reason.
    pub fn refuse(&mut self, reason: impl fmt::Display) {
        self.settings.refuse(reason.to_string());
    }
}
