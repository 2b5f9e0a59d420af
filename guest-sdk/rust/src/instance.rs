//! One opened operator: from batches and due timers to handler calls, and back to columns.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::bindings::{
    Batch, Column, Description, Failure, KeyDescription, OperatorMigrations, TimerBatch,
};
use crate::call::{Call, NO_SLOT, Pending, Phase};
use crate::codec::{Decode, Value, cast};
use crate::column::ColumnReader;
use crate::error::Error;
use crate::host::Host;
use crate::lineage::Lineage;
use crate::record::{Fired, OnRecord, OnTimer, Operator, Record};
use crate::settings::Settings;
use crate::setup::Setup;

/// An opened operator, its type erased.
pub(crate) trait Instance {
    fn process(&mut self, batch: Batch) -> Result<(), Failure>;
    fn on_timers(&mut self, timers: TimerBatch) -> Result<(), Failure>;
    fn migrate(&self, state: u32, from_version: u32, values: Column) -> Result<Column, Failure>;
}

/// An operator with its handlers and with what its handles hold back.
struct Opened<O> {
    operator: O,
    inputs: Vec<Box<dyn OnBatch<O>>>,
    timers: Vec<Box<dyn OnDue<O>>>,
    /// Which inputs are broadcast ones.
    broadcast: Vec<bool>,
    pending: Vec<Rc<dyn Pending>>,
    lineage: Lineage,
    call: Rc<Call>,
}

/// What an operator declares, version left to the caller.
pub(crate) fn describe<O: Operator>(host: Box<dyn Host>, version: &str) -> Description {
    let mut description = set_up::<O>(host, &[]).1.description;
    version.clone_into(&mut description.version);
    description
}

/// What an operator takes over from its earlier versions.
pub(crate) fn migrations<O: Operator>(host: Box<dyn Host>) -> OperatorMigrations {
    let (_, setup) = set_up::<O>(host, &[]);
    setup.lineage.describe(&setup.description)
}

/// Makes an operator ready for batches.
///
/// # Errors
/// What is wrong with its declarations or with the settings.
pub(crate) fn open<O: Operator>(
    host: impl Fn() -> Box<dyn Host>,
    settings: &[(String, String)],
) -> Result<Box<dyn Instance>, String> {
    let (_, declared) = set_up::<O>(host(), &[]);
    let (operator, setup) = set_up::<O>(host(), settings);
    setup.settings.check()?;
    check(&setup)?;
    // The host knows what is declared without settings, times-to-live included. The types have no equality.
    let said = |setup: &Setup<O>| {
        format!("{:?} {:?}", setup.description, setup.lineage.describe(&setup.description))
    };
    if said(&declared) != said(&setup) {
        let sentence = "declares other ports, states or timers with these settings than without";
        return Err(format!("operator `{}` {sentence}", O::NAME));
    }
    let broadcast = setup.description.inputs.iter().map(|port| port.broadcast).collect();
    let Setup { inputs, timers, pending, lineage, call, .. } = setup;
    Ok(Box::new(Opened { operator, inputs, timers, broadcast, pending, lineage, call }))
}

fn set_up<O: Operator>(host: Box<dyn Host>, settings: &[(String, String)]) -> (O, Setup<O>) {
    let mut setup = Setup {
        description: Description {
            name: O::NAME.to_owned(),
            version: String::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            states: Vec::new(),
            timers: Vec::new(),
            task_states: Vec::new(),
            metrics: Vec::new(),
        },
        inputs: Vec::new(),
        timers: Vec::new(),
        timer_keys: Vec::new(),
        pending: Vec::new(),
        settings: Settings::new(settings),
        lineage: Lineage::default(),
        call: Rc::new(Call::new(host)),
    };
    let operator = O::new(&mut setup);
    setup.lineage = setup.call.lineage.take();
    setup.lineage.apply(&mut setup.description);
    (operator, setup)
}

fn names(description: &Description) -> Vec<Vec<&str>> {
    vec![
        description.inputs.iter().map(|port| port.name.as_str()).collect(),
        description.outputs.iter().map(|port| port.name.as_str()).collect(),
        description.states.iter().map(|state| state.name.as_str()).collect(),
        description.timers.iter().map(|timer| timer.name.as_str()).collect(),
        description.task_states.iter().map(|state| state.name.as_str()).collect(),
        description.metrics.iter().map(|metric| metric.name.as_str()).collect(),
    ]
}

/// Checks what the declarations must keep to among themselves.
fn check<O: Operator>(setup: &Setup<O>) -> Result<(), String> {
    let description = &setup.description;
    let wrong = |sentence: String| Err(format!("operator `{}` {sentence}", O::NAME));
    if let Some(fault) = setup.call.take_fault() {
        return wrong(format!("cannot be set up: {fault}"));
    }
    if description.inputs.is_empty() {
        return wrong("has no input port".to_owned());
    }
    for (what, names) in
        ["input", "output", "state", "timer", "task state", "metric"].iter().zip(names(description))
    {
        let mut seen = BTreeSet::new();
        if let Some(twice) = names.into_iter().find(|name| !seen.insert(*name)) {
            return wrong(format!("declares {what} `{twice}` twice"));
        }
    }
    setup.lineage.check(description).or_else(wrong)?;
    let mut inputs = description.inputs.iter();
    let Some(first) = inputs.find_map(|port| Some((&port.name, port.key.as_ref()?))) else {
        return match (description.states.first(), description.timers.first()) {
            (None, None) => Ok(()),
            _ => wrong("has state or timers, but no keyed input that they could belong to".into()),
        };
    };
    let same = |key: &KeyDescription| (key.layout, key.codec) == (first.1.layout, first.1.codec);
    for port in inputs {
        if port.key.as_ref().is_some_and(|key| !same(key)) {
            return wrong(format!(
                "has different keys at inputs `{}` and `{}`",
                first.0, port.name
            ));
        }
    }
    for (timer, key) in description.timers.iter().zip(&setup.timer_keys) {
        if !key.as_ref().is_some_and(same) {
            let (timer, input) = (&timer.name, first.0);
            return wrong(format!("has different keys at timer `{timer}` and input `{input}`"));
        }
    }
    Ok(())
}

impl<O: Operator> Opened<O> {
    /// Ends the invocation: what was held back goes to the host, or nowhere.
    fn finish(&self, handled: Result<(), Failure>) -> Result<(), Failure> {
        let unprepared = || self.pending.iter().find_map(|pending| pending.prepare().err());
        let ended = handled.and_then(|()| match unprepared() {
            Some(error) => Err(Failure { row: None, reason: error.to_string() }),
            None => Ok(()),
        });
        if ended.is_ok() {
            for pending in &self.pending {
                pending.send(&*self.call.host);
            }
            let (rows, reasons) = &*self.call.rejected.borrow();
            if !rows.is_empty() {
                self.call.host.reject(rows, reasons);
            }
        }
        for pending in &self.pending {
            pending.discard();
        }
        self.call.turn(Phase::Idle, 0);
        ended
    }
}

impl<O: Operator> Instance for Opened<O> {
    fn process(&mut self, batch: Batch) -> Result<(), Failure> {
        let slots = batch.keys.as_ref().map_or(0, crate::column::len);
        self.call.turn(Phase::Records, slots as u32);
        let broadcast = self.broadcast.get(batch.port as usize).is_some_and(|is| *is);
        self.call.broadcast.set(broadcast);
        let handled = match self.inputs.get(batch.port as usize) {
            Some(input) => input.run(&mut self.operator, &self.call, batch),
            None => Err(whole(format_args!("there is no input port {}", batch.port))),
        };
        self.finish(handled)
    }

    fn on_timers(&mut self, timers: TimerBatch) -> Result<(), Failure> {
        self.call.turn(Phase::Timers, crate::column::len(&timers.keys) as u32);
        let handled = match self.timers.get(timers.timer as usize) {
            Some(timer) => timer.run(&mut self.operator, &self.call, timers),
            None => Err(whole(format_args!("there is no timer {}", timers.timer))),
        };
        self.finish(handled)
    }

    fn migrate(&self, state: u32, from_version: u32, values: Column) -> Result<Column, Failure> {
        self.lineage.convert(state, from_version, values)
    }
}

/// A failure of no row in particular.
fn whole(reason: impl std::fmt::Display) -> Failure {
    Failure { row: None, reason: reason.to_string() }
}

#[cold]
fn of_row(row: usize, error: &Error) -> Failure {
    Failure { row: Some(row as u32), reason: error.to_string() }
}

/// Handles batches of one input port.
pub(crate) trait OnBatch<O> {
    fn run(&self, operator: &mut O, call: &Call, batch: Batch) -> Result<(), Failure>;
}

/// Handles timers of one family.
pub(crate) trait OnDue<O> {
    fn run(&self, operator: &mut O, call: &Call, timers: TimerBatch) -> Result<(), Failure>;
}

pub(crate) struct Records<K, V, F> {
    handler: F,
    of: PhantomData<fn(K, V)>,
}

impl<K, V, F> Records<K, V, F> {
    pub(crate) fn new(handler: F) -> Self {
        Self { handler, of: PhantomData }
    }
}

impl<O, K: Decode, V: Decode, F: OnRecord<O, K, V>> OnBatch<O> for Records<K, V, F> {
    fn run(&self, operator: &mut O, call: &Call, batch: Batch) -> Result<(), Failure> {
        let Batch { times, slots, keys, values, .. } = batch;
        let keys = match keys {
            Some(keys) => ColumnReader::<K>::new(keys).map_err(whole)?,
            None => ColumnReader::<K>::empty(),
        };
        let values = ColumnReader::<V>::new(values).map_err(whole)?;
        for (row, &time) in times.iter().enumerate() {
            let slot = slots.get(row).copied().unwrap_or(NO_SLOT);
            call.enter(row as u32, slot, time);
            let handled = key_of(&keys, slot).and_then(|key| {
                let value = values.get(row)?;
                (self.handler)(operator, Record { key, value, time })
            });
            finish_row(call, row, handled)?;
        }
        Ok(())
    }
}

pub(crate) struct Timers<K, F> {
    handler: F,
    of: PhantomData<fn(K)>,
}

impl<K, F> Timers<K, F> {
    pub(crate) fn new(handler: F) -> Self {
        Self { handler, of: PhantomData }
    }
}

impl<O, K: Value, F: OnTimer<O, K>> OnDue<O> for Timers<K, F> {
    fn run(&self, operator: &mut O, call: &Call, timers: TimerBatch) -> Result<(), Failure> {
        let TimerBatch { times, slots, namespaces, keys, .. } = timers;
        let keys = ColumnReader::<K>::new(keys).map_err(whole)?;
        for (row, (&time, &slot)) in times.iter().zip(&slots).enumerate() {
            call.enter(row as u32, slot, time);
            let namespace = namespaces.get(row).copied().unwrap_or(0);
            let fired = key_of(&keys, slot).map(|key| Fired { key, time, namespace });
            finish_row(call, row, fired.and_then(|fired| (self.handler)(operator, fired)))?;
        }
        Ok(())
    }
}

/// The key of a slot. `()`, which is no key, is the same for every record.
#[inline(always)]
fn key_of<K: Decode>(keys: &ColumnReader<K>, slot: u32) -> Result<K, Error> {
    match cast::<(), K>(()) {
        Some(none) => Ok(none),
        None => keys.get(slot as usize),
    }
}

#[inline(always)]
fn finish_row(call: &Call, row: usize, handled: Result<(), Error>) -> Result<(), Failure> {
    if call.is_faulted()
        && let Some(fault) = call.take_fault()
    {
        return Err(of_row(row, &fault));
    }
    handled.map_err(|error| of_row(row, &error))
}
