//! The host of a component: the contract's imports.

use super::{Cells, Host, Level, ListStates, MapStates, TaskStates};
use crate::bindings::{
    Bound, Column, Entries, ListPage, Lists, MapPage, Maps, Window, context, list_state, map_state,
    output, state, task_state, timers,
};

/// Calls the imports.
pub(crate) struct Imports;

impl Host for Imports {
    fn set_timers(&self, timer: u32, slots: &[u32], times: &[i64]) {
        timers::set(timer, slots, times);
    }

    fn delete_timers(&self, timer: u32, slots: &[u32], times: &[i64]) {
        timers::delete(timer, slots, times);
    }

    fn set_timers_in(&self, timer: u32, slots: &[u32], times: &[i64], namespaces: &[u64]) {
        timers::set_in(timer, slots, times, namespaces);
    }

    fn delete_timers_in(&self, timer: u32, slots: &[u32], times: &[i64], namespaces: &[u64]) {
        timers::delete_in(timer, slots, times, namespaces);
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

impl Cells for Imports {
    fn load(&self, state: u32) -> Window {
        state::load(state)
    }

    fn store(&self, state: u32, slots: &[u32], values: &Column) {
        state::store(state, slots, values);
    }

    fn remove(&self, state: u32, slots: &[u32]) {
        state::remove(state, slots);
    }

    fn merge(&self, state: u32, slots: &[u32], deltas: &Column) {
        state::merge(state, slots, deltas);
    }

    fn touch(&self, state: u32, slots: &[u32]) {
        state::touch(state, slots);
    }
}

impl MapStates for Imports {
    fn load_entries(&self, state: u32, slots: &[u32], keys: &Column) -> Window {
        map_state::load(state, slots, keys)
    }

    fn load_maps(&self, state: u32, limit: u32) -> Maps {
        map_state::load_all(state, limit)
    }

    fn scan_map(&self, state: u32, slot: u32, range: (&Bound, &Bound), limit: u32) -> MapPage {
        map_state::scan(state, slot, range.0, range.1, limit)
    }

    fn put_entries(&self, state: u32, slots: &[u32], keys: &Column, values: &Column) {
        map_state::put(state, slots, keys, values);
    }

    fn remove_entries(&self, state: u32, slots: &[u32], keys: &Column) {
        map_state::remove(state, slots, keys);
    }

    fn clear_maps(&self, state: u32, slots: &[u32]) {
        map_state::clear(state, slots);
    }

    fn touch_entries(&self, state: u32, slots: &[u32], keys: &Column) {
        map_state::touch(state, slots, keys);
    }
}

impl ListStates for Imports {
    fn load_lists(&self, state: u32, limit: u32) -> Lists {
        list_state::load_all(state, limit)
    }

    fn scan_list(&self, state: u32, slot: u32, after: Option<u64>, limit: u32) -> ListPage {
        list_state::scan(state, slot, after, limit)
    }

    fn append_elements(&self, state: u32, slots: &[u32], values: &Column) {
        list_state::append(state, slots, values);
    }

    fn replace_lists(&self, state: u32, slots: &[u32], counts: &[u32], values: &Column) {
        list_state::replace(state, slots, counts, values);
    }

    fn clear_lists(&self, state: u32, slots: &[u32]) {
        list_state::clear(state, slots);
    }

    fn touch_lists(&self, state: u32, slots: &[u32]) {
        list_state::touch(state, slots);
    }
}

impl TaskStates for Imports {
    fn load_task_list(&self, state: u32) -> Column {
        task_state::load(state)
    }

    fn replace_task_list(&self, state: u32, values: &Column) {
        task_state::replace(state, values);
    }

    fn append_task_list(&self, state: u32, values: &Column) {
        task_state::append(state, values);
    }

    fn load_broadcast(&self, state: u32) -> Entries {
        task_state::load_map(state)
    }

    fn put_broadcast(&self, state: u32, keys: &Column, values: &Column) {
        task_state::put(state, keys, values);
    }

    fn remove_broadcast(&self, state: u32, keys: &Column) {
        task_state::remove(state, keys);
    }

    fn clear_broadcast(&self, state: u32) {
        task_state::clear(state);
    }
}
