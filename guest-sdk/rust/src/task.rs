//! State that belongs to the task, not to a key: lists.

pub(crate) mod broadcast;

use std::borrow::Borrow;
use std::cell::RefCell;
use std::rc::Rc;

use crate::call::{Call, Pending, Phase};
use crate::codec::{Encode, Value};
use crate::column::{ColumnReader, ColumnWriter, len};
use crate::error::Result;
use crate::host::Host;
use crate::state::Identity;

/// A list that belongs to the task, not to a key: what [`Setup::split`](crate::Setup::split) and
/// [`Setup::union`](crate::Setup::union) declare.
///
/// ```
/// use statehouse::prelude::*;
///
/// /// Gathers records and emits them ten at a time.
/// struct Gather { waiting: TaskList<String>, packs: Output<Vec<String>> }
///
/// impl Gather {
///     fn on_line(&mut self, line: Record<(), String>) -> Result<()> {
///         self.waiting.add(&line.value);
///         let waiting = self.waiting.get();
///         if waiting.len() == 10 {
///             self.waiting.replace::<String>([]);
///             self.packs.emit(&waiting)?;
///         }
///         Ok(())
///     }
/// }
///
/// impl Operator for Gather {
///     const NAME: &str = "gather";
///     fn new(setup: &mut Setup<Self>) -> Self {
///         setup.input("lines", Self::on_line);
///         Gather { waiting: setup.split("waiting"), packs: setup.output("packs") }
///     }
/// }
///
/// let mut harness = TestHarness::<Gather>::new();
/// for line in 0..12 {
///     harness.send("lines", (), format!("line {line}"), 0);
/// }
/// assert_eq!(harness.take_values::<Vec<String>>("packs").len(), 1);
/// assert_eq!(harness.task_state::<String>("waiting"), ["line 10", "line 11"]);
/// ```
pub struct TaskList<T: Value> {
    call: Rc<Call>,
    list: Rc<List<T>>,
}

struct List<T> {
    of: Identity,
    rows: RefCell<Rows<T>>,
}

struct Rows<T> {
    /// What the host has, if that was asked for.
    kept: Option<(ColumnReader<T>, usize)>,
    replaced: bool,
    added: ColumnWriter,
}

impl<T: Value> TaskList<T> {
    pub(crate) fn new(call: &Rc<Call>, of: Identity) -> (Self, Rc<dyn Pending>) {
        let added = ColumnWriter::new(<T as Encode>::layout());
        let rows = RefCell::new(Rows { kept: None, replaced: false, added });
        let list = Rc::new(List { of, rows });
        let pending: Rc<dyn Pending> = Rc::<List<T>>::clone(&list);
        (Self { call: Rc::clone(call), list }, pending)
    }

    /// Sets the schema version, which is 1 unless it is set.
    #[must_use]
    pub fn at_version(self, version: u32) -> Self {
        self.call.lineage.borrow_mut().task_version(self.list.of.index, version);
        self
    }

    /// All elements, in order.
    pub fn get(&self) -> Vec<T> {
        let all = self.with(|rows| {
            let mut all = Vec::new();
            if !rows.replaced {
                if rows.kept.is_none() {
                    let column = self.call.host.load_task_list(self.list.of.index);
                    let rows_kept = len(&column);
                    rows.kept = Some((ColumnReader::new(column)?, rows_kept));
                }
                if let Some((kept, len)) = &rows.kept {
                    for row in 0..*len {
                        all.push(kept.get(row)?);
                    }
                }
            }
            for row in 0..rows.added.len() {
                all.push(rows.added.get(row)?);
            }
            Ok(all)
        });
        all.unwrap_or_default()
    }

    /// Adds an element to the end.
    pub fn add(&self, value: &T) {
        self.with(|rows| rows.added.push(value));
    }

    /// Makes these the list's elements.
    pub fn replace<B: Borrow<T>>(&self, values: impl IntoIterator<Item = B>) {
        // First all of them: they may come from a look into this list.
        let values: Vec<B> = values.into_iter().collect();
        self.with(|rows| {
            rows.added.clear();
            rows.replaced = true;
            values.iter().try_for_each(|value| rows.added.push(value.borrow()))
        });
    }

    fn with<R>(&self, act: impl FnOnce(&mut Rows<T>) -> Result<R>) -> Option<R> {
        within(&self.call, &self.list.of, || {
            let Ok(mut rows) = self.list.rows.try_borrow_mut() else {
                crate::bail!("it was used within its own use");
            };
            act(&mut rows)
        })
    }
}

/// Runs what uses a task's state, in a handler. `None` if the record was refused for it.
fn within<R>(call: &Call, of: &Identity, act: impl FnOnce() -> Result<R>) -> Option<R> {
    let done = if call.phase.get() == Phase::Idle {
        Err(crate::error!("it was used outside of a handler"))
    } else {
        act()
    };
    match done {
        Ok(result) => Some(result),
        Err(error) => {
            call.fault(error.about(format_args!("task state `{}`", of.name)));
            None
        }
    }
}

impl<T: Value> Pending for List<T> {
    fn send(&self, host: &dyn Host) {
        let rows = &mut *self.rows.borrow_mut();
        let index = self.of.index;
        if rows.replaced {
            rows.added.send(|values| host.replace_task_list(index, values));
        } else if rows.added.len() > 0 {
            rows.added.send(|values| host.append_task_list(index, values));
        }
    }

    fn discard(&self) {
        let rows = &mut *self.rows.borrow_mut();
        rows.kept = None;
        rows.replaced = false;
        rows.added.clear();
    }
}

#[cfg(test)]
mod tests;
