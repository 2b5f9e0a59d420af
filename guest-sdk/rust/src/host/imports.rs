//! The host of a component: the contract's imports.

use super::{Host, Level};
use crate::bindings::{Column, Window, context, output, state, timers};

/// Calls the imports.
pub(crate) struct Imports;

impl Host for Imports {
    fn load(&self, state: u32) -> Window {
        state::load(state)
    }

    fn store(&self, state: u32, slots: &[u32], values: &Column) {
        state::store(state, slots, values);
    }

    fn remove(&self, state: u32, slots: &[u32]) {
        state::remove(state, slots);
    }

    fn set_timers(&self, timer: u32, slots: &[u32], times: &[i64]) {
        timers::set(timer, slots, times);
    }

    fn delete_timers(&self, timer: u32, slots: &[u32], times: &[i64]) {
        timers::delete(timer, slots, times);
    }

    fn emit(&self, port: u32, times: &[i64], keys: Option<&Column>, values: &Column) {
        output::emit(port, times, keys, values);
    }

    fn reject(&self, rows: &[u32], reasons: &[String]) {
        output::reject(rows, reasons);
    }

    fn processing_time(&self) -> i64 {
        context::processing_time()
    }

    fn watermark(&self) -> i64 {
        context::watermark()
    }

    fn random_seed(&self) -> u64 {
        context::random_seed()
    }

    fn log(&self, level: Level, message: &str) {
        context::log(level, message);
    }

    fn add_counter(&self, metric: u32, amount: u64) {
        context::add_counter(metric, amount);
    }

    fn set_gauge(&self, metric: u32, value: f64) {
        context::set_gauge(metric, value);
    }
}
