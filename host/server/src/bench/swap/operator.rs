//! The operator that is swapped: a running sum in native Rust that notes when it is called, in as many versions as are
//! wanted, and one that traps.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use statehouse_engine::{Clock, OperatorFactory};
use statehouse_operator::{
    Call, Description, Failure, Migrations, Operator, Rows, Step, TimerRows,
};
use statehouse_state::{BytesColumn, Column, StateId};

use crate::bench::native::{Native, Work, description};

/// Bytes of a key as state keeps it.
pub(super) const KEY_BYTES: u64 = 8;

/// When one operator of one task was called, in nanoseconds of the clock. Written by its task, read by anyone.
#[derive(Debug, Default)]
pub(super) struct Marks {
    task: u32,
    first_begun: AtomicU64,
    /// When the first batch was there to be taken.
    first_ready: AtomicU64,
    first_ended: AtomicU64,
    last_ended: AtomicU64,
    /// The longest time between two calls in which there was a batch to be taken.
    longest_gap: AtomicU64,
    trapped: AtomicU64,
}

impl Marks {
    /// When the first call began and ended, and since when it could have; once it has ended.
    pub(super) fn first(&self) -> Option<(u64, u64, u64)> {
        let ended = self.first_ended.load(Ordering::Acquire);
        let (ready, begun) = (&self.first_ready, &self.first_begun);
        (ended > 0).then(|| (ready.load(Ordering::Relaxed), begun.load(Ordering::Relaxed), ended))
    }

    /// When the last call ended.
    pub(super) fn last_ended(&self) -> u64 {
        self.last_ended.load(Ordering::Acquire)
    }

    /// The longest time between two calls since this was last asked.
    pub(super) fn take_longest_gap(&self) -> u64 {
        self.longest_gap.swap(0, Ordering::AcqRel)
    }

    /// When it trapped first.
    pub(super) fn trapped(&self) -> Option<u64> {
        Some(self.trapped.load(Ordering::Acquire)).filter(|&at| at > 0)
    }
}

/// The marks of all operators, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<Vec<Arc<Marks>>>);

impl Board {
    /// Those of the newest operator of each task.
    pub(super) fn newest(&self) -> Vec<Arc<Marks>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut newest = std::collections::BTreeMap::new();
        for marks in all.iter() {
            newest.insert(marks.task, Arc::clone(marks));
        }
        newest.into_values().collect()
    }

    fn add(&self, task: u32) -> Arc<Marks> {
        let marks = Arc::new(Marks { task, ..Marks::default() });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody asks for more than the one before the newest.
        let of_task = all.iter().filter(|marks| marks.task == task).count();
        if of_task > 2
            && let Some(oldest) = all.iter().position(|marks| marks.task == task)
        {
            all.remove(oldest);
        }
        all.push(Arc::clone(&marks));
        marks
    }
}

/// Makes one version of the operator.
#[derive(Debug)]
pub(super) struct Version {
    description: Description,
    value_bytes: usize,
    traps: bool,
    board: Arc<Board>,
    clock: Arc<dyn Clock>,
}

impl Version {
    /// Its state has this schema version; it converts all earlier ones.
    pub(super) fn new(
        schema_version: u32,
        value_bytes: usize,
        board: &Arc<Board>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let mut description = description(Work::SumBytes(value_bytes));
        description.states[0].schema_version = schema_version;
        let (board, clock) = (Arc::clone(board), Arc::clone(clock));
        Self { description, value_bytes, traps: false, board, clock }
    }

    /// The same, but it traps whatever it is given.
    pub(super) fn trapping(self) -> Self {
        Self { traps: true, ..self }
    }

    fn schema_version(&self) -> u32 {
        self.description.states[0].schema_version
    }
}

impl OperatorFactory for Version {
    fn description(&self) -> &Description {
        &self.description
    }

    fn migrations(&self) -> Migrations {
        migrations(self.schema_version())
    }

    fn component(&self) -> Option<String> {
        None
    }

    fn open(&self, task: u32) -> Result<Box<dyn Operator>, String> {
        Ok(Box::new(Marked {
            description: self.description.clone(),
            sum: Native::new(Work::SumBytes(self.value_bytes)),
            traps: self.traps,
            marks: self.board.add(task),
            clock: Arc::clone(&self.clock),
        }))
    }
}

fn migrations(schema_version: u32) -> Migrations {
    let step = |from_version| Step { state: "sum".to_owned(), from_version };
    Migrations { renames: Vec::new(), steps: (1..schema_version).map(step).collect() }
}

struct Marked {
    description: Description,
    sum: Native,
    traps: bool,
    marks: Arc<Marks>,
    clock: Arc<dyn Clock>,
}

impl Operator for Marked {
    fn description(&self) -> &Description {
        &self.description
    }

    fn process(&mut self, rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
        let (begun, marks) = (self.clock.monotonic_ns(), &*self.marks);
        // The source writes the time at which it gave a record out where its event time goes.
        let ready = rows.times.first().map_or(0, |&time| time as u64);
        let last = marks.last_ended.load(Ordering::Relaxed);
        if last == 0 {
            marks.first_ready.store(ready, Ordering::Relaxed);
            marks.first_begun.store(begun, Ordering::Relaxed);
        } else {
            marks.longest_gap.fetch_max(begun.saturating_sub(last.max(ready)), Ordering::AcqRel);
        }
        if self.traps {
            let _ = marks.trapped.compare_exchange(0, begun, Ordering::AcqRel, Ordering::Relaxed);
            return Err(Failure::Trapped { reason: "the benchmark asked for it".to_owned() });
        }
        self.sum.process(rows, call)?;
        let ended = self.clock.monotonic_ns();
        if last == 0 {
            marks.first_ended.store(ended, Ordering::Release);
        }
        marks.last_ended.store(ended, Ordering::Release);
        Ok(())
    }

    fn on_timers(&mut self, _timers: TimerRows<'_>, _call: &mut Call) -> Result<(), Failure> {
        Ok(())
    }

    fn migrations(&self) -> Migrations {
        migrations(self.description.states[0].schema_version)
    }

    /// A copy of each value, changed in its last byte.
    fn migrate(
        &mut self,
        _state: StateId,
        _from_version: u32,
        values: &Column,
    ) -> Result<Column, Failure> {
        let Column::Bytes(before) = values else {
            return Err(Failure::Trapped { reason: "the values are bytes".to_owned() });
        };
        let (offsets, mut arena) = (before.offsets().to_vec(), before.arena().to_vec());
        for &end in &offsets[1..] {
            if let Some(last) = (end as usize).checked_sub(1) {
                arena[last] = arena[last].wrapping_add(1);
            }
        }
        let after = BytesColumn::from_parts(offsets, arena);
        after.map(Column::Bytes).map_err(Failure::from)
    }
}
