//! Operators in plain tests, without Wasm: a host that keeps the contract, in memory.

mod cell;
mod ledger;
mod look;
mod swap;

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::bindings::{Batch as WireBatch, Description, KeyDescription, TimeDomain, TimerBatch};
use crate::codec::{Encode, Layout};
use crate::host::Level;
use crate::instance::{self, Instance};
use crate::record::Operator;
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
    /// The input port that it came in by; of a timer whose key was set aside, its name.
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
/// one a key in a batch. Times-to-live run on its clocks; what is expired is never cleaned up. Names and
/// types are checked against what the operator declares; a wrong one panics and says so.
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
    /// Keys whose state could not be converted, and why.
    aside: BTreeMap<Cell, String>,
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
        let (settings, rejects, aside) = (Vec::new(), Vec::new(), BTreeMap::new());
        let of = std::marker::PhantomData;
        Self { settings, description, ledger, opened: None, rejects, aside, of }
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
        rows.retain(|row| match row.key.as_ref().and_then(|key| self.aside.get(key)) {
            None => true,
            Some(reason) => {
                let (port, reason) = (input.name.clone(), reason.clone());
                self.rejects.push(Reject { port, time: row.time, reason });
                false
            }
        });
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
                    break;
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
        // A timer that was set in the past fires at once, not with the next watermark.
        self.fire(TimeDomain::ProcessingTime, self.ledger.processing_time.get());
        self.fire(TimeDomain::EventTime, self.ledger.watermark.get());
    }

    fn fire(&mut self, domain: TimeDomain, until: i64) {
        while let Some((timer, mut due)) = self.ledger.take_due(domain, until) {
            due.retain(|due| match self.aside.get(&due.key) {
                None => true,
                Some(reason) => {
                    let port = self.description.timers[timer as usize].name.clone();
                    self.rejects.push(Reject { port, time: due.time, reason: reason.clone() });
                    false
                }
            });
            if due.is_empty() {
                continue;
            }
            let keys: Vec<_> = due.iter().map(|due| due.key.clone()).collect();
            let slots: Vec<u32> = (0..due.len() as u32).collect();
            let times = slots.iter().zip(due.iter().map(|due| due.time));
            self.ledger.begin(keys.clone(), times, false);
            let handled = self.instance().on_timers(TimerBatch {
                timer,
                times: due.iter().map(|due| due.time).collect(),
                namespaces: due.iter().map(|due| due.namespace).collect(),
                slots,
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
