//! The contract's imports, over the ledger.

use std::collections::BTreeMap;

use super::states::{Place, Stamped, merge};
use super::{HarnessHost, Ledger, level_name};
use crate::bindings::{
    Bound as WireBound, Column, Entries, ListPage, Lists, MapPage, Maps, ValueType, Window,
};
use crate::harness::cell::{Cell, as_value, cells_of, typed_column};
use crate::harness::{LogLine, Row};
use crate::host::{Cells, Host, Level, ListStates, MapStates, TaskStates};

impl Ledger {
    fn place(&self, state: u32, slot: u32, entry: Option<Cell>) -> Place {
        Place { state: state as usize, key: self.running.borrow().key(slot), entry }
    }

    /// What is in a place and not expired.
    fn visible(&self, place: &Place) -> Option<Cell> {
        let kept = self.kept.borrow();
        let found = kept.states.get(place);
        found.filter(|it| self.is_visible(place.state, it)).map(|it| it.value.clone())
    }

    /// Sets or removes what is in a place.
    fn write(&self, state: u32, slot: u32, entry: Option<Cell>, value: Option<Cell>) {
        let place = self.place(state, slot, entry);
        let value = value.map(|value| Stamped { value, stamp: self.stamp(state, slot) });
        self.put(place, value);
    }

    /// Lets what is in a place live anew.
    fn renew(&self, state: u32, slot: u32, entry: Option<Cell>) {
        if self.touches(state) {
            let value = self.visible(&self.place(state, slot, entry.clone()));
            if value.is_some() {
                self.write(state, slot, entry, value);
            }
        }
    }

    fn entries_of(&self, state: u32, slot: u32) -> Vec<(Cell, Cell)> {
        let key = self.running.borrow().key(slot);
        self.entries(state as usize, &key)
    }

    fn clear_entries(&self, state: u32, slots: &[u32]) {
        for &slot in slots {
            for (entry, _) in self.entries_of(state, slot) {
                self.write(state, slot, Some(entry), None);
            }
        }
    }

    fn window(&self, layout: ValueType, places: impl Iterator<Item = Place>) -> Window {
        let values: Vec<_> = places.map(|place| self.visible(&place)).collect();
        let present = bits(values.iter().map(Option::is_some));
        let cells = values.into_iter().map(|value| value.unwrap_or_else(|| Cell::blank(layout)));
        Window { present, values: typed_column(layout, &cells.collect::<Vec<_>>()) }
    }

    /// The collections of all slots that have at most that many entries.
    fn small(&self, state: u32, limit: u32) -> (Vec<u32>, Vec<u64>, Vec<(Cell, Cell)>) {
        let slots = self.running.borrow().keys.len() as u32;
        let (mut ends, mut complete, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for slot in 0..slots {
            let entries = self.entries_of(state, slot);
            complete.push(entries.len() <= limit as usize);
            if entries.len() <= limit as usize {
                rows.extend(entries);
            }
            ends.push(rows.len() as u32);
        }
        (ends, bits(complete.into_iter()), rows)
    }

    fn change_timers(
        &self,
        family: u32,
        slots: &[u32],
        times: &[i64],
        namespaces: impl Iterator<Item = u64>,
        set: bool,
    ) {
        let running = &mut *self.running.borrow_mut();
        for ((&slot, &time), namespace) in slots.iter().zip(times).zip(namespaces) {
            let key = running.key(slot);
            running.timers.push((set, (time, key, family as usize, namespace)));
        }
    }

    fn task_key(&self, state: u32) -> ValueType {
        let key = self.declared_tasks[state as usize].map_key.as_ref();
        key.map_or(ValueType::U64, |key| as_value(key.layout))
    }

    #[track_caller]
    fn check_broadcast(&self) {
        let broadcast = self.running.borrow().broadcast;
        assert!(broadcast, "broadcast state changes only with records of a broadcast input");
    }
}

/// Flags as the bits of words.
fn bits(flags: impl Iterator<Item = bool>) -> Vec<u64> {
    let mut bits = Vec::new();
    for (at, flag) in flags.enumerate() {
        bits.resize(at / 64 + 1, 0);
        bits[at / 64] |= u64::from(flag) << (at % 64);
    }
    bits
}

/// Keys and values in two columns.
fn columns(key: ValueType, value: ValueType, rows: Vec<(Cell, Cell)>) -> (Column, Column) {
    let (keys, values): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    (typed_column(key, &keys), typed_column(value, &values))
}

/// Slots with the cells of a column of as many rows.
#[track_caller]
fn rows<'a>(slots: &'a [u32], column: &Column) -> impl Iterator<Item = (u32, Cell)> + use<'a> {
    let cells = cells_of(column);
    assert_eq!(slots.len(), cells.len(), "as many slots as rows");
    slots.iter().copied().zip(cells)
}

impl Cells for HarnessHost {
    fn load(&self, state: u32) -> Window {
        self.0.note("state.load");
        let slots = self.0.running.borrow().keys.len() as u32;
        let places = (0..slots).map(|slot| self.0.place(state, slot, None));
        self.0.window(self.0.layout(state), places)
    }

    fn store(&self, state: u32, slots: &[u32], values: &Column) {
        self.0.note("state.store");
        for (slot, value) in rows(slots, values) {
            self.0.write(state, slot, None, Some(value));
        }
    }

    fn remove(&self, state: u32, slots: &[u32]) {
        self.0.note("state.remove");
        slots.iter().for_each(|&slot| self.0.write(state, slot, None, None));
    }

    fn merge(&self, state: u32, slots: &[u32], deltas: &Column) {
        self.0.note("state.merge");
        let how = self.0.declared[state as usize].merge.expect("the state is a reducing one");
        for (slot, delta) in rows(slots, deltas) {
            let merged = match self.0.visible(&self.0.place(state, slot, None)) {
                Some(current) => merge(how, self.0.layout(state), current, delta),
                None => delta,
            };
            self.0.write(state, slot, None, Some(merged));
        }
    }

    fn touch(&self, state: u32, slots: &[u32]) {
        self.0.note("state.touch");
        slots.iter().for_each(|&slot| self.0.renew(state, slot, None));
    }
}

impl MapStates for HarnessHost {
    fn load_entries(&self, state: u32, slots: &[u32], keys: &Column) -> Window {
        self.0.note("map-state.load");
        let places = rows(slots, keys).map(|(slot, key)| self.0.place(state, slot, Some(key)));
        self.0.window(self.0.layout(state), places)
    }

    fn load_maps(&self, state: u32, limit: u32) -> Maps {
        self.0.note("map-state.load-all");
        let (ends, complete, rows) = self.0.small(state, limit);
        let (keys, values) = columns(self.0.map_key(state), self.0.layout(state), rows);
        Maps { ends, complete, keys, values }
    }

    fn scan_map(
        &self,
        state: u32,
        slot: u32,
        (start, end): (&WireBound, &WireBound),
        limit: u32,
    ) -> MapPage {
        self.0.note("map-state.scan");
        let layout = self.0.map_key(state);
        let cell = |cell| Cell::of_wire(layout, cell);
        let mut within = self.0.entries_of(state, slot);
        within.retain(|(key, _)| match start {
            WireBound::Unbounded => true,
            WireBound::Included(first) => *key >= cell(first),
            WireBound::Excluded(first) => *key > cell(first),
        });
        within.retain(|(key, _)| match end {
            WireBound::Unbounded => true,
            WireBound::Included(last) => *key <= cell(last),
            WireBound::Excluded(last) => *key < cell(last),
        });
        let more = within.len() > limit as usize;
        within.truncate(limit as usize);
        let (keys, values) = columns(layout, self.0.layout(state), within);
        MapPage { keys, values, more }
    }

    fn put_entries(&self, state: u32, slots: &[u32], keys: &Column, values: &Column) {
        self.0.note("map-state.put");
        for ((slot, key), value) in rows(slots, keys).zip(cells_of(values)) {
            self.0.write(state, slot, Some(key), Some(value));
        }
    }

    fn remove_entries(&self, state: u32, slots: &[u32], keys: &Column) {
        self.0.note("map-state.remove");
        rows(slots, keys).for_each(|(slot, key)| self.0.write(state, slot, Some(key), None));
    }

    fn clear_maps(&self, state: u32, slots: &[u32]) {
        self.0.note("map-state.clear");
        self.0.clear_entries(state, slots);
    }

    fn touch_entries(&self, state: u32, slots: &[u32], keys: &Column) {
        self.0.note("map-state.touch");
        rows(slots, keys).for_each(|(slot, key)| self.0.renew(state, slot, Some(key)));
    }
}

impl ListStates for HarnessHost {
    fn load_lists(&self, state: u32, limit: u32) -> Lists {
        self.0.note("list-state.load-all");
        let (ends, complete, rows) = self.0.small(state, limit);
        let (_, values) = columns(ValueType::U64, self.0.layout(state), rows);
        Lists { ends, complete, values }
    }

    fn scan_list(&self, state: u32, slot: u32, after: Option<u64>, limit: u32) -> ListPage {
        self.0.note("list-state.scan");
        let mut elements = self.0.entries_of(state, slot);
        elements.retain(|(number, _)| after.is_none_or(|after| number.word() > after));
        let more = elements.len() > limit as usize;
        elements.truncate(limit as usize);
        let numbers = elements.iter().map(|(number, _)| number.word()).collect();
        let (_, values) = columns(ValueType::U64, self.0.layout(state), elements);
        ListPage { numbers, values, more }
    }

    fn append_elements(&self, state: u32, slots: &[u32], values: &Column) {
        self.0.note("list-state.append");
        for (slot, value) in rows(slots, values) {
            let number = self.0.kept.borrow_mut().states.number();
            self.0.write(state, slot, Some(number), Some(value));
        }
    }

    fn replace_lists(&self, state: u32, slots: &[u32], counts: &[u32], values: &Column) {
        self.0.note("list-state.replace");
        self.0.clear_entries(state, slots);
        let counted = slots.iter().zip(counts);
        let slots: Vec<_> =
            counted.flat_map(|(&slot, &count)| std::iter::repeat_n(slot, count as usize)).collect();
        for (slot, value) in rows(&slots, values) {
            let number = self.0.kept.borrow_mut().states.number();
            self.0.write(state, slot, Some(number), Some(value));
        }
    }

    fn clear_lists(&self, state: u32, slots: &[u32]) {
        self.0.note("list-state.clear");
        self.0.clear_entries(state, slots);
    }

    fn touch_lists(&self, state: u32, slots: &[u32]) {
        self.0.note("list-state.touch");
        for &slot in slots {
            for (number, _) in self.0.entries_of(state, slot) {
                self.0.renew(state, slot, Some(number));
            }
        }
    }
}

impl TaskStates for HarnessHost {
    fn load_task_list(&self, state: u32) -> Column {
        self.0.note("task-state.load");
        let layout = self.0.declared_tasks[state as usize].value.layout;
        typed_column(layout, &self.0.task_list(state as usize))
    }

    fn replace_task_list(&self, state: u32, values: &Column) {
        self.0.note("task-state.replace");
        self.0.change_task(state, |task| task.list = cells_of(values));
    }

    fn append_task_list(&self, state: u32, values: &Column) {
        self.0.note("task-state.append");
        self.0.change_task(state, |task| task.list.extend(cells_of(values)));
    }

    fn load_broadcast(&self, state: u32) -> Entries {
        self.0.note("task-state.load-map");
        let value = self.0.declared_tasks[state as usize].value.layout;
        let rows = self.0.task_map(state as usize);
        let (keys, values) = columns(self.0.task_key(state), value, rows);
        Entries { keys, values }
    }

    fn put_broadcast(&self, state: u32, keys: &Column, values: &Column) {
        self.0.note("task-state.put");
        self.0.check_broadcast();
        let entries = cells_of(keys).into_iter().zip(cells_of(values));
        self.0.change_task(state, |task| task.map.extend(entries));
    }

    fn remove_broadcast(&self, state: u32, keys: &Column) {
        self.0.note("task-state.remove");
        self.0.check_broadcast();
        let keys = cells_of(keys);
        self.0.change_task(state, |task| task.map.retain(|key, _| !keys.contains(key)));
    }

    fn clear_broadcast(&self, state: u32) {
        self.0.note("task-state.clear");
        self.0.check_broadcast();
        self.0.change_task(state, |task| task.map = BTreeMap::new());
    }
}

impl Host for HarnessHost {
    fn set_timers(&self, timer: u32, slots: &[u32], times: &[i64]) {
        self.0.note("timers.set");
        self.0.change_timers(timer, slots, times, std::iter::repeat(0), true);
    }

    fn delete_timers(&self, timer: u32, slots: &[u32], times: &[i64]) {
        self.0.note("timers.delete");
        self.0.change_timers(timer, slots, times, std::iter::repeat(0), false);
    }

    fn set_timers_in(&self, timer: u32, slots: &[u32], times: &[i64], namespaces: &[u64]) {
        self.0.note("timers.set-in");
        self.0.change_timers(timer, slots, times, namespaces.iter().copied(), true);
    }

    fn delete_timers_in(&self, timer: u32, slots: &[u32], times: &[i64], namespaces: &[u64]) {
        self.0.note("timers.delete-in");
        self.0.change_timers(timer, slots, times, namespaces.iter().copied(), false);
    }

    fn emit(&self, port: u32, times: &[i64], keys: Option<&Column>, values: &Column) {
        self.0.note("output.emit");
        let outputs = &mut self.0.running.borrow_mut().outputs;
        let keys = keys.map(cells_of);
        for (row, (&time, value)) in times.iter().zip(cells_of(values)).enumerate() {
            let key = keys.as_ref().map(|keys| keys[row].clone());
            outputs.push((port as usize, Row { key, value, time }));
        }
    }

    fn reject(&self, rows: &[u32], reasons: &[String]) {
        let rejected = rows.iter().copied().zip(reasons.iter().cloned());
        self.0.running.borrow_mut().rejected.extend(rejected);
    }

    fn processing_time(&self) -> i64 {
        self.0.processing_time.get()
    }

    fn watermark(&self) -> i64 {
        self.0.watermark.get()
    }

    fn random_seed(&self) -> u64 {
        self.0.seeds.set(self.0.seeds.get() + 1);
        self.0.seeds.get()
    }

    fn log(&self, level: Level, message: &str) {
        let line = LogLine { level: level_name(level), line: message.to_owned() };
        self.0.log.borrow_mut().push(line);
    }

    fn add_counter(&self, metric: u32, amount: u64) {
        *self.0.kept.borrow_mut().metrics.entry(metric as usize).or_default() += amount as f64;
    }

    fn set_gauge(&self, metric: u32, value: f64) {
        self.0.kept.borrow_mut().metrics.insert(metric as usize, value);
    }
}
