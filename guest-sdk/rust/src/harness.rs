//! Operators in plain tests, without Wasm: a host that keeps the contract, in memory.

mod cell;
mod ledger;

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::bindings::{
    Batch as WireBatch, Description, KeyDescription, Merge, State, StateKind, TaskState,
    TaskStateKind, TimeDomain, TimerBatch,
};
use crate::codec::{Decode, Encode, Layout, Value};
use crate::host::Level;
use crate::instance::{self, Instance};
use crate::record::{Operator, Record};
use cell::{Cell, column_of};
use ledger::{HarnessHost, Ledger};

/// A row as the harness keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    key: Option<Cell>,
    value: Cell,
    time: i64,
}

/// A record that the operator refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The input port that it came in by.
    pub port: String,
    /// Its event time.
    pub time: i64,
    /// Why it was refused.
    pub reason: String,
}

/// A line that the operator logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// The line.
    pub line: String,
}

/// Runs one operator in a test: feeds it records, moves its clocks, and looks at its states and
/// outputs.
///
/// It keeps the host's contract: an invocation is a transaction, a refused record is taken out and
/// its batch handed out again, timers are known by (timer, key, namespace, time) and fire in order, at most
/// one a key in a batch. Times-to-live run on its clocks; what is expired is never cleaned up. Names and types are checked against what the operator declares; a wrong
/// one panics and says so.
///
/// Rejected records that the test never looks at fail it when the harness is dropped.
///
/// ```
/// use statehouse::prelude::*;
///
/// struct Halve { step: u64, halves: Output<u64> }
///
/// impl Operator for Halve {
///     const NAME: &str = "halve";
///     fn new(setup: &mut Setup<Self>) -> Self {
///         setup.input("numbers", Self::on_number);
///         Halve { step: setup.config_or("step", 2), halves: setup.output("halves") }
///     }
/// }
///
/// impl Halve {
///     fn on_number(&mut self, number: Record<(), u64>) -> Result<()> {
///         if number.value % self.step != 0 {
///             bail!("{} is odd", number.value);
///         }
///         self.halves.emit(&(number.value / self.step))
///     }
/// }
///
/// let mut harness = TestHarness::<Halve>::new().config("step", "2");
/// harness.batch("numbers").push((), 4_u64, 0).push((), 5_u64, 0).push((), 6_u64, 0).send();
/// assert_eq!(harness.take_values::<u64>("halves"), [2, 3]);
/// assert_eq!(harness.take_rejects()[0].reason, "5 is odd");
/// ```
pub struct TestHarness<O: Operator> {
    settings: Vec<(String, String)>,
    description: Description,
    ledger: Rc<Ledger>,
    opened: Option<Box<dyn Instance>>,
    rejects: Vec<Reject>,
    of: std::marker::PhantomData<O>,
}

/// Making a harness.
impl<O: Operator> TestHarness<O> {
    /// A harness without any configuration. The operator is opened by the first record, or by
    /// `open`.
    #[expect(
        clippy::new_without_default,
        reason = "an operator's harness is no default of anything"
    )]
    pub fn new() -> Self {
        let blank = Rc::new(Ledger::default());
        let description = instance::describe::<O>(Box::new(HarnessHost(blank)), "");
        let ledger = Rc::new(Ledger::new(&description));
        let (settings, rejects) = (Vec::new(), Vec::new());
        let of = std::marker::PhantomData;
        Self { settings, description, ledger, opened: None, rejects, of }
    }

    /// Adds a setting, as in the job file's `config` table.
    #[must_use]
    pub fn config(mut self, name: &str, value: &str) -> Self {
        assert!(self.opened.is_none(), "settings come before the first record");
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Opens the operator.
    ///
    /// # Errors
    /// Why it refuses: its declarations, or the settings.
    pub fn open(mut self) -> Result<Self, String> {
        self.try_open()?;
        Ok(self)
    }

    fn try_open(&mut self) -> Result<(), String> {
        if self.opened.is_none() {
            let ledger = &self.ledger;
            let host = || Box::new(HarnessHost(Rc::clone(ledger))) as Box<dyn crate::host::Host>;
            self.opened = Some(instance::open::<O>(host, &self.settings)?);
        }
        Ok(())
    }

    fn instance(&mut self) -> &mut dyn Instance {
        if let Err(reason) = self.try_open() {
            panic!("the operator refuses to open: {reason}");
        }
        &mut **self.opened.as_mut().expect("it was opened above")
    }
}

/// Records and time.
impl<O: Operator> TestHarness<O> {
    /// Hands the operator one record, in a batch of its own. The key is `()` for a port without
    /// keys.
    pub fn send(&mut self, port: &str, key: impl Encode, value: impl Encode, time: i64) {
        self.batch(port).push(key, value, time).send();
    }

    /// Begins a batch for an input port.
    pub fn batch(&mut self, port: &str) -> Batch<'_, O> {
        let index = place(self.description.inputs.iter().map(|port| &port.name), "input", port);
        Batch { harness: self, port: index, rows: Vec::new() }
    }

    /// Moves the watermark and fires the event-time timers that are due.
    pub fn advance_watermark(&mut self, watermark: i64) {
        let before = self.ledger.watermark.replace(watermark);
        assert!(before <= watermark, "a watermark never goes back: {before} to {watermark}");
        self.fire(TimeDomain::EventTime, watermark);
    }

    /// Moves the host's clock, which starts at 0, and fires the processing-time timers that are
    /// due.
    pub fn advance_processing_time(&mut self, now: i64) {
        let before = self.ledger.processing_time.replace(now);
        assert!(before <= now, "the clock never goes back: {before} to {now}");
        self.fire(TimeDomain::ProcessingTime, now);
    }

    /// Runs a batch; a refused row is taken out and the rest runs again.
    fn run(&mut self, port: usize, mut rows: Vec<Row>) {
        let input = self.description.inputs[port].clone();
        while !rows.is_empty() {
            let keys = rows.iter().map(|row| row.key.clone()).collect::<Option<Vec<_>>>();
            let (keys, slots) = keys.map_or((Vec::new(), Vec::new()), distinct);
            let records = slots.iter().zip(rows.iter().map(|row| row.time));
            self.ledger.begin(keys.clone(), records, input.broadcast);
            let handled = self.instance().process(WireBatch {
                port: port as u32,
                times: rows.iter().map(|row| row.time).collect(),
                slots,
                keys: input.key.as_ref().map(|_| column_of(&keys)),
                values: column_of(&rows.iter().map(|row| row.value.clone()).collect::<Vec<_>>()),
            });
            let reject =
                |row: &Row, reason| Reject { port: input.name.clone(), time: row.time, reason };
            match handled {
                Ok(()) => {
                    for (row, reason) in self.ledger.commit() {
                        self.rejects.push(reject(&rows[row as usize], reason));
                    }
                    return;
                }
                Err(failure) => {
                    self.ledger.roll_back();
                    let Some(row) = failure.row else {
                        panic!("the operator refused a whole batch: {}", failure.reason);
                    };
                    let row = rows.remove(row as usize);
                    self.rejects.push(reject(&row, failure.reason));
                }
            }
        }
    }

    fn fire(&mut self, domain: TimeDomain, until: i64) {
        while let Some((timer, due)) = self.ledger.take_due(domain, until) {
            let keys: Vec<_> = due.iter().map(|due| due.key.clone()).collect();
            self.ledger.begin(keys.clone(), std::iter::empty(), false);
            let handled = self.instance().on_timers(TimerBatch {
                timer,
                times: due.iter().map(|due| due.time).collect(),
                namespaces: due.iter().map(|due| due.namespace).collect(),
                slots: (0..due.len() as u32).collect(),
                keys: column_of(&keys),
            });
            match handled {
                Ok(()) => drop(self.ledger.commit()),
                Err(failure) => {
                    let name = &self.description.timers[timer as usize].name;
                    panic!("the operator refused a timer of `{name}`: {}", failure.reason);
                }
            }
        }
    }
}

/// Looking at what the operator did.
impl<O: Operator> TestHarness<O> {
    /// The value of a value, reducing, append or aggregating state for a key.
    #[track_caller]
    pub fn state<T: Decode>(&self, name: &str, key: impl Encode) -> Option<T> {
        let index = self.keyed_state::<T>(name, |state| {
            let kind = state.kind;
            let bytes = state.merge == Some(Merge::SetUnion);
            !bytes && !matches!(kind, StateKind::List | StateKind::Map)
        });
        let cell = self.ledger.cell(index, &Cell::of(&key))?;
        Some(cell.read().unwrap_or_else(|error| panic!("state `{name}`: {error}")))
    }

    /// The elements of a list state for a key.
    #[track_caller]
    pub fn list<T: Decode>(&self, name: &str, key: impl Encode) -> Vec<T> {
        let index = self.keyed_state::<T>(name, |state| state.kind == StateKind::List);
        let entries = self.ledger.entries(index, &Cell::of(&key));
        let elements = entries.iter().map(|(_, value)| value.read());
        elements
            .map(|read| read.unwrap_or_else(|error| panic!("state `{name}`: {error}")))
            .collect()
    }

    /// The entries of a map state for a key, in the order of their keys.
    #[track_caller]
    pub fn map<K: Value, V: Decode>(&self, name: &str, key: impl Encode) -> Vec<(K, V)> {
        let index = self.keyed_state::<V>(name, |state| state.kind == StateKind::Map);
        check_map_key::<K>(name, self.description.states[index].map_key.as_ref());
        read_entries(name, &self.ledger.entries(index, &Cell::of(&key)))
    }

    /// The elements of a set state for a key, in order.
    #[track_caller]
    pub fn set<T: Value>(&self, name: &str, key: impl Encode) -> Vec<T> {
        let of_set = |state: &State| state.merge == Some(Merge::SetUnion);
        let index = self.keyed_state::<Vec<u8>>(name, of_set);
        let bytes = match self.ledger.cell(index, &Cell::of(&key)) {
            Some(Cell::Bytes(bytes)) => bytes,
            _ => Vec::new(),
        };
        let read = crate::state::set::read_all(&bytes);
        read.unwrap_or_else(|error| panic!("state `{name}`: {error}"))
    }

    /// The elements of a split or union state.
    #[track_caller]
    pub fn task_state<T: Decode>(&self, name: &str) -> Vec<T> {
        let (index, state) = self.of_task(name, false);
        check_value::<T>("task state", name, T::layout(), state.value.clone());
        let elements = self.ledger.task_list(index);
        let read = elements.iter().map(Cell::read);
        read.map(|read| read.unwrap_or_else(|error| panic!("task state `{name}`: {error}")))
            .collect()
    }

    /// The entries of a broadcast state, in the order of their keys.
    #[track_caller]
    pub fn broadcast<K: Value, V: Decode>(&self, name: &str) -> Vec<(K, V)> {
        let (index, state) = self.of_task(name, true);
        check_value::<V>("task state", name, V::layout(), state.value.clone());
        check_map_key::<K>(name, state.map_key.as_ref());
        read_entries(name, &self.ledger.task_map(index))
    }

    /// The times that a family of timers is set to for a key, in any namespace.
    #[track_caller]
    pub fn timers(&self, name: &str, key: impl Encode) -> Vec<i64> {
        let timers = self.timers_in(name, key);
        timers.into_iter().map(|(time, _)| time).collect()
    }

    /// The times that a family of timers is set to for a key, each with its namespace.
    #[track_caller]
    pub fn timers_in(&self, name: &str, key: impl Encode) -> Vec<(i64, u64)> {
        let index = place(self.description.timers.iter().map(|timer| &timer.name), "timer", name);
        self.ledger.timers(index, &Cell::of(&key))
    }

    /// The calls to the host since the last invocation began.
    #[cfg(test)]
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        self.ledger.calls()
    }

    #[track_caller]
    fn keyed_state<T>(&self, name: &str, is_kind: impl Fn(&State) -> bool) -> usize
    where
        T: Decode,
    {
        let index = place(self.description.states.iter().map(|state| &state.name), "state", name);
        let state = &self.description.states[index];
        assert!(is_kind(state), "state `{name}` is of another kind: {:?}", state.kind);
        check_value::<T>("state", name, T::layout(), state.value.clone());
        index
    }

    #[track_caller]
    fn of_task(&self, name: &str, broadcast: bool) -> (usize, &TaskState) {
        let states = &self.description.task_states;
        let index = place(states.iter().map(|state| &state.name), "task state", name);
        let is = states[index].kind == TaskStateKind::Broadcast;
        assert!(is == broadcast, "task state `{name}` is of another kind: {:?}", states[index].kind);
        (index, &states[index])
    }

    /// Takes the values that an output port got since the last look.
    #[track_caller]
    pub fn take_values<V: Decode>(&mut self, port: &str) -> Vec<V> {
        let rows = self.take_rows::<V>(port);
        rows.iter().map(|row| read_value(port, row)).collect()
    }

    /// Takes the records that an output port got since the last look. `K` is `()` for a port
    /// without keys.
    #[track_caller]
    pub fn take_records<K: Decode, V: Decode>(&mut self, port: &str) -> Vec<Record<K, V>> {
        let rows = self.take_rows::<V>(port);
        let read_key = |row: &Row| match &row.key {
            None => {
                crate::codec::cast::<(), K>(()).unwrap_or_else(|| panic!("`{port}` has no key"))
            }
            Some(key) => key.read().unwrap_or_else(|error| panic!("key of `{port}`: {error}")),
        };
        let record =
            |row: &Row| Record { key: read_key(row), value: read_value(port, row), time: row.time };
        rows.iter().map(record).collect()
    }

    #[track_caller]
    fn take_rows<V: Decode>(&mut self, port: &str) -> Vec<Row> {
        let outputs = &self.description.outputs;
        let index = place(outputs.iter().map(|port| &port.name), "output", port);
        check_value::<V>("output", port, V::layout(), outputs[index].value.clone());
        self.ledger.take_output(index)
    }

    /// Takes the records that were refused since the last look.
    pub fn take_rejects(&mut self) -> Vec<Reject> {
        std::mem::take(&mut self.rejects)
    }

    /// Takes the lines that were logged since the last look.
    pub fn take_log(&mut self) -> Vec<LogLine> {
        self.ledger.log.take()
    }

    /// The value of a counter or gauge.
    #[track_caller]
    pub fn metric(&self, name: &str) -> f64 {
        let metrics = self.description.metrics.iter().map(|metric| &metric.name);
        self.ledger.metric(place(metrics, "metric", name))
    }
}

impl<O: Operator> Drop for TestHarness<O> {
    fn drop(&mut self) {
        if !std::thread::panicking() && !self.rejects.is_empty() {
            panic!("records were rejected and the test never took them: {:?}", self.rejects);
        }
    }
}

/// A batch being put together.
#[must_use = "a batch reaches the operator by `send`"]
pub struct Batch<'h, O: Operator> {
    harness: &'h mut TestHarness<O>,
    port: usize,
    rows: Vec<Row>,
}

impl<O: Operator> Batch<'_, O> {
    /// Adds a record. The key is `()` for a port without keys.
    #[track_caller]
    pub fn push<K: Encode, V: Encode>(mut self, key: K, value: V, time: i64) -> Self {
        let port = &self.harness.description.inputs[self.port];
        check_value::<V>("input", &port.name, V::layout(), port.value.clone());
        let (given, declared) = (Layout::of_key::<K>(), &port.key);
        assert!(
            same_key(given.as_ref(), declared.as_ref()),
            "input `{}` has other keys than {}",
            port.name,
            std::any::type_name::<K>()
        );
        let key = given.map(|_| Cell::of(&key));
        self.rows.push(Row { key, value: Cell::of(&value), time });
        self
    }

    /// Hands the batch to the operator.
    pub fn send(self) {
        self.harness.run(self.port, self.rows);
    }
}

/// The place of a name in what was declared.
#[track_caller]
fn place<'a>(mut names: impl Iterator<Item = &'a String>, what: &str, name: &str) -> usize {
    names.position(|declared| declared == name).unwrap_or_else(|| panic!("no {what} `{name}`"))
}

#[track_caller]
fn check_value<T>(
    what: &str,
    name: &str,
    layout: Layout,
    declared: crate::bindings::ValueDescription,
) {
    let given = layout.of_value();
    assert!(
        (given.layout, given.codec) == (declared.layout, declared.codec),
        "{what} `{name}` has other values than {}: it is declared as {:?}, {:?}",
        std::any::type_name::<T>(),
        declared.layout,
        declared.codec
    );
}

fn same_key(given: Option<&KeyDescription>, declared: Option<&KeyDescription>) -> bool {
    let kind = |key: &KeyDescription| (key.layout as u8, key.codec as u8);
    given.map(kind) == declared.map(kind)
}

#[track_caller]
fn check_map_key<K: Encode>(name: &str, declared: Option<&KeyDescription>) {
    assert!(
        same_key(Layout::of_key::<K>().as_ref(), declared),
        "state `{name}` has other map keys than {}",
        std::any::type_name::<K>()
    );
}

#[track_caller]
fn read_entries<K: Decode, V: Decode>(name: &str, entries: &[(Cell, Cell)]) -> Vec<(K, V)> {
    let read = |(key, value): &(Cell, Cell)| {
        let entry = key.read().and_then(|key| Ok((key, value.read()?)));
        entry.unwrap_or_else(|error| panic!("state `{name}`: {error}"))
    };
    entries.iter().map(read).collect()
}

#[track_caller]
fn read_value<V: Decode>(port: &str, row: &Row) -> V {
    row.value.read().unwrap_or_else(|error| panic!("output `{port}`: {error}"))
}

/// Numbers the distinct keys in order of first appearance, and gives each row its key's number.
fn distinct(keys: Vec<Cell>) -> (Vec<Cell>, Vec<u32>) {
    let (mut distinct, mut numbers) = (Vec::new(), BTreeMap::new());
    let slots = keys.into_iter().map(|key| {
        *numbers.entry(key.clone()).or_insert_with(|| {
            distinct.push(key);
            distinct.len() as u32 - 1
        })
    });
    let slots = slots.collect();
    (distinct, slots)
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

#[cfg(test)]
mod tests;
