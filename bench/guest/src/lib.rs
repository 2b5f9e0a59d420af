//! The operators that `statehouse bench` measures, in one component.
//!
//! | operator | what a batch costs |
//! |---|---|
//! | `sum` | a running sum a key, as a user of the SDK writes it |
//! | `sum-bytes` | the same, with the sum in front of a value of `value-bytes` bytes |
//! | `windows` | a sum a key over windows of `size-ms`, one every `slide-ms` |
//! | `columns` | columns in, nothing else |
//! | `echo` | columns in, columns out |
//! | `window` | columns in, one window of numbers loaded and stored |
//! | `singles` | columns in, one number read and written for each record by itself |
//!
//! All take keyed numbers (u64 → i64). The last four are written below the SDK, to measure the contract alone.

mod raw;

use std::time::Duration;

use statehouse::bindings::{
    Batch, Column, Description, Failure, Guest, MigrationGuest, OperatorMigrations, TimerBatch,
};
use statehouse::component::{self, Exported};
use statehouse::prelude::*;

struct Sum {
    sum: ValueState<i64>,
    sums: KeyedOutput<u64, i64>,
}

impl Operator for Sum {
    const NAME: &str = "sum";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        Sum { sum: setup.value("sum"), sums: setup.keyed_output("sums") }
    }
}

impl Sum {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        let sum = self.sum.get_or_default() + number.value;
        self.sum.set(sum);
        self.sums.emit(&number.key, &sum)
    }
}

/// A running sum at the beginning of a value that is as long as values of real jobs are.
struct SumBytes {
    length: usize,
    state: ValueState<Vec<u8>>,
    sums: KeyedOutput<u64, i64>,
}

impl Operator for SumBytes {
    const NAME: &str = "sum-bytes";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        let length = setup.config_or("value-bytes", 200);
        SumBytes { length, state: setup.value("sum"), sums: setup.keyed_output("sums") }
    }
}

impl SumBytes {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        let mut sum = number.value;
        self.state.update(|value| {
            value.resize(self.length.max(8), 0x5a);
            if let Some(first) = value.first_chunk_mut() {
                sum = i64::from_le_bytes(*first).wrapping_add(number.value);
                *first = sum.to_le_bytes();
            }
        });
        self.sums.emit(&number.key, &sum)
    }
}

/// The sum of numbers.
struct Total;

impl Aggregate for Total {
    type Input = i64;
    type Accumulator = i64;
    type Output = i64;

    fn add(sum: &mut i64, number: &i64) {
        *sum = sum.wrapping_add(*number);
    }

    fn merge(sum: &mut i64, other: &i64) {
        *sum = sum.wrapping_add(*other);
    }

    fn result(sum: &i64) -> i64 {
        *sum
    }
}

struct OverWindows {
    totals: Windowed<Total>,
    sums: KeyedOutput<u64, i64>,
}

impl Operator for OverWindows {
    const NAME: &str = "windows";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        let mut milliseconds = |name: &str| Duration::from_millis(setup.config_or(name, 1000));
        let windows = Windows::sliding(milliseconds("size-ms"), milliseconds("slide-ms"));
        OverWindows {
            totals: setup.windows("totals", windows, Self::on_window),
            sums: setup.keyed_output("sums"),
        }
    }
}

impl OverWindows {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        if !self.totals.add(&number.value) {
            bail!("a record of the benchmark came too late");
        }
        Ok(())
    }

    fn on_window(&mut self, window: Window<u64, i64>) -> Result<()> {
        self.sums.emit(&window.key, &window.result)
    }
}

const OPERATORS: &[Exported] =
    &[Exported::of::<Sum>(), Exported::of::<SumBytes>(), Exported::of::<OverWindows>()];

struct Component;

impl Guest for Component {
    fn describe() -> Vec<Description> {
        let mut operators = component::describe(OPERATORS, env!("CARGO_PKG_VERSION"));
        operators.extend(raw::MODES.map(raw::describe));
        operators
    }

    fn open(operator: String, settings: Vec<(String, String)>) -> Result<(), String> {
        if raw::open(&operator) {
            return Ok(());
        }
        component::open(OPERATORS, &operator, &settings)
    }

    fn process(batch: Batch) -> Result<(), Failure> {
        match raw::mode() {
            Some(mode) => raw::process(mode, batch),
            None => component::process(batch),
        }
    }

    fn on_timers(timers: TimerBatch) -> Result<(), Failure> {
        component::on_timers(timers)
    }
}

impl MigrationGuest for Component {
    fn migrations() -> Vec<OperatorMigrations> {
        component::migrations(OPERATORS)
    }

    fn migrate(state: u32, version: u32, values: Column) -> Result<Column, Failure> {
        component::migrate(state, version, values)
    }
}

#[cfg(target_family = "wasm")]
statehouse::bindings::export_component!(Component with_types_in statehouse::bindings);
