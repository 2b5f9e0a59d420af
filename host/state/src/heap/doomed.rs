//! What is not used any more and too large to be freed at once: each commit frees a little of it.

use std::collections::BTreeSet;
use std::fmt;

use super::change::Undo;
use super::collections::Entries;
use super::table::Table;
use crate::timers::Timer;

/// About how many values or entries a commit frees.
const BUDGET: usize = 2048;

/// Something that is freed piece by piece.
trait Shed: fmt::Debug + Send {
    /// Frees about so many pieces. Whether nothing is left.
    fn shed(&mut self, budget: &mut usize) -> bool;
}

impl Shed for Table {
    fn shed(&mut self, budget: &mut usize) -> bool {
        self.shed(budget)
    }
}

impl Shed for Box<dyn Entries> {
    fn shed(&mut self, budget: &mut usize) -> bool {
        self.as_mut().shed(budget)
    }
}

impl Shed for BTreeSet<Timer> {
    fn shed(&mut self, budget: &mut usize) -> bool {
        while *budget > 0 && self.pop_first().is_some() {
            *budget -= 1;
        }
        self.is_empty()
    }
}

impl Shed for Undo {
    /// It is one piece of memory, and few timers.
    fn shed(&mut self, budget: &mut usize) -> bool {
        *budget = 0;
        true
    }
}

/// Everything that waits for being freed.
#[derive(Debug, Default)]
pub(super) struct Doomed {
    waiting: Vec<Box<dyn Shed>>,
}

impl Doomed {
    pub(super) fn table(&mut self, table: Table) {
        if !table.is_vacant() {
            self.waiting.push(Box::new(table));
        }
    }

    pub(super) fn store(&mut self, store: Box<dyn Entries>) {
        self.waiting.push(Box::new(store));
    }

    pub(super) fn timers(&mut self, timers: BTreeSet<Timer>) {
        if !timers.is_empty() {
            self.waiting.push(Box::new(timers));
        }
    }

    pub(super) fn undo(&mut self, undo: Undo) {
        self.waiting.push(Box::new(undo));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Frees a little.
    pub(super) fn shed(&mut self) {
        let mut budget = BUDGET;
        while budget > 0
            && let Some(last) = self.waiting.last_mut()
        {
            if last.shed(&mut budget) {
                self.waiting.pop();
            }
            budget = budget.saturating_sub(1);
        }
    }
}
