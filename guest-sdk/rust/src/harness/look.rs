//! Looking at what the operator did. Names and types are checked against what it declares.

use super::cell::Cell;
use super::{LogLine, Reject, Row, TestHarness, check_value, place, same_key};
use crate::bindings::{KeyDescription, Merge, State, StateKind, TaskState, TaskStateKind};
use crate::codec::{Decode, Encode, Layout, Value};
use crate::record::{Operator, Record};

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
        assert!(
            is == broadcast,
            "task state `{name}` is of another kind: {:?}",
            states[index].kind
        );
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
