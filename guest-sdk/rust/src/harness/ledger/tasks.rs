//! States of the task, in memory.

use std::collections::BTreeMap;

use crate::harness::cell::Cell;

/// One of them: a list or a map, the other stays empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Task {
    pub(super) list: Vec<Cell>,
    pub(super) map: BTreeMap<Cell, Cell>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Tasks(Vec<Task>);

impl Tasks {
    pub(super) fn new(states: usize) -> Self {
        Self(vec![Task::default(); states])
    }

    pub(super) fn get(&self, state: usize) -> &Task {
        &self.0[state]
    }

    pub(super) fn put(&mut self, state: usize, task: Task) {
        self.0[state] = task;
    }
}
