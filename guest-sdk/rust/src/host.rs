//! The host as the SDK sees it: calls that move a whole column. Implemented by the contract's
//! imports, and by the test harness.

pub(crate) mod imports;

use crate::bindings::{Column, Window};

pub(crate) use crate::bindings::context::Level;

/// What the SDK asks of a host. One call a column, never one a record.
pub(crate) trait Host {
    fn load(&self, state: u32) -> Window;
    fn store(&self, state: u32, slots: &[u32], values: &Column);
    fn remove(&self, state: u32, slots: &[u32]);
    fn set_timers(&self, timer: u32, slots: &[u32], times: &[i64]);
    fn delete_timers(&self, timer: u32, slots: &[u32], times: &[i64]);
    fn emit(&self, port: u32, times: &[i64], keys: Option<&Column>, values: &Column);
    fn reject(&self, rows: &[u32], reasons: &[String]);
    fn processing_time(&self) -> i64;
    fn watermark(&self) -> i64;
    fn random_seed(&self) -> u64;
    fn log(&self, level: Level, message: &str);
    fn add_counter(&self, metric: u32, amount: u64);
    fn set_gauge(&self, metric: u32, value: f64);
}
