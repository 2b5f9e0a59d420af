//! The host as the SDK sees it: calls that move a whole column. Implemented by the contract's
//! imports, and by the test harness.

pub(crate) mod imports;

use crate::bindings::{Bound, Column, Entries, ListPage, Lists, MapPage, Maps, Window};

pub(crate) use crate::bindings::context::Level;

/// What the SDK asks of a host. One call a column, never one a record.
pub(crate) trait Host: Cells + MapStates + ListStates + TaskStates {
    fn set_timers(&self, timer: u32, slots: &[u32], times: &[i64]);
    fn delete_timers(&self, timer: u32, slots: &[u32], times: &[i64]);
    fn set_timers_in(&self, timer: u32, slots: &[u32], times: &[i64], namespaces: &[u64]);
    fn delete_timers_in(&self, timer: u32, slots: &[u32], times: &[i64], namespaces: &[u64]);
    fn emit(&self, port: u32, times: &[i64], keys: Option<&Column>, values: &Column);
    fn reject(&self, rows: &[u32], reasons: &[String]);
    fn processing_time(&self) -> i64;
    fn watermark(&self) -> i64;
    fn random_seed(&self) -> u64;
    fn log(&self, level: Level, message: &str);
    fn add_counter(&self, metric: u32, amount: u64);
    fn set_gauge(&self, metric: u32, value: f64);
}

/// States with one value a key.
pub(crate) trait Cells {
    fn load(&self, state: u32) -> Window;
    fn store(&self, state: u32, slots: &[u32], values: &Column);
    fn remove(&self, state: u32, slots: &[u32]);
    fn merge(&self, state: u32, slots: &[u32], deltas: &Column);
    fn touch(&self, state: u32, slots: &[u32]);
}

/// States with a map a key.
pub(crate) trait MapStates {
    fn load_entries(&self, state: u32, slots: &[u32], keys: &Column) -> Window;
    fn load_maps(&self, state: u32, limit: u32) -> Maps;
    fn scan_map(&self, state: u32, slot: u32, range: (&Bound, &Bound), limit: u32) -> MapPage;
    fn put_entries(&self, state: u32, slots: &[u32], keys: &Column, values: &Column);
    fn remove_entries(&self, state: u32, slots: &[u32], keys: &Column);
    fn clear_maps(&self, state: u32, slots: &[u32]);
    fn touch_entries(&self, state: u32, slots: &[u32], keys: &Column);
}

/// States with a list a key.
pub(crate) trait ListStates {
    fn load_lists(&self, state: u32, limit: u32) -> Lists;
    fn scan_list(&self, state: u32, slot: u32, after: Option<u64>, limit: u32) -> ListPage;
    fn append_elements(&self, state: u32, slots: &[u32], values: &Column);
    fn replace_lists(&self, state: u32, slots: &[u32], counts: &[u32], values: &Column);
    fn clear_lists(&self, state: u32, slots: &[u32]);
    fn touch_lists(&self, state: u32, slots: &[u32]);
}

/// States of the task.
pub(crate) trait TaskStates {
    fn load_task_list(&self, state: u32) -> Column;
    fn replace_task_list(&self, state: u32, values: &Column);
    fn append_task_list(&self, state: u32, values: &Column);
    fn load_broadcast(&self, state: u32) -> Entries;
    fn put_broadcast(&self, state: u32, keys: &Column, values: &Column);
    fn remove_broadcast(&self, state: u32, keys: &Column);
    fn clear_broadcast(&self, state: u32);
}
