//! What a change to a value or an entry goes by: who has to be told of what was there before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::declaration::{StateId, TimerId};
use crate::segment::{Cell, Schema, Stamped, Writer};
use crate::timers::{Key, Timer};

/// What a change goes by.
#[derive(Debug)]
pub(super) struct Change<'a> {
    /// The version in which it is made.
    pub(super) version: u32,
    /// Whether it is to be listed for the next increment.
    pub(super) tracked: bool,
    /// The running snapshot's part of the group.
    pub(super) writer: Option<&'a mut Writer>,
    /// What it takes to come back, if the group is held.
    pub(super) undo: Option<&'a mut Undo>,
}

impl Change<'_> {
    /// Whether something that is gone now was there when the version began, and somebody has to be told of it.
    pub(super) fn is_remembered(&self) -> bool {
        self.tracked || self.undo.is_some()
    }
}

/// What was there in one group when it was held, of what changed since: a reverse increment.
///
/// A value or an entry is written into it before its first change in the version that the hold began in. Its place
/// remembers that it has changed, even once the value is gone; so nothing is written twice that the second time would
/// be the wrong value.
#[derive(Debug)]
pub(super) struct Undo {
    writer: Writer,
    /// Timers that are not as they were, by their family then, and whether they were set.
    timers: BTreeMap<(u32, Timer), bool>,
    /// For each family, its number then, if there was one.
    families: Arc<[Option<u32>]>,
    /// How much all groups remember together.
    bytes: Arc<AtomicUsize>,
}

/// What a timer in a tree takes, beside its key.
const TIMER_BYTES: usize = size_of::<(u32, Timer, bool)>() * 3 / 2;

impl Undo {
    pub(super) fn new(
        schema: &Schema,
        families: &Arc<[Option<u32>]>,
        bytes: &Arc<AtomicUsize>,
    ) -> Self {
        Self {
            writer: Writer::new(schema),
            timers: BTreeMap::new(),
            families: Arc::clone(families),
            bytes: Arc::clone(bytes),
        }
    }

    /// From now on these are the families.
    pub(super) fn arrange(&mut self, families: &Arc<[Option<u32>]>) {
        self.families = Arc::clone(families);
    }

    pub(super) fn value(&mut self, state: StateId, key: Cell<'_>, value: Option<Stamped<'_>>) {
        self.write(|writer| writer.value(state, key, value));
    }

    pub(super) fn entry(
        &mut self,
        state: StateId,
        key: Cell<'_>,
        entry: Cell<'_>,
        value: Option<Stamped<'_>>,
    ) {
        self.write(|writer| writer.entry(state, key, entry, value));
    }

    fn write(&mut self, write: impl FnOnce(&mut Writer)) {
        let before = self.writer.len_bytes();
        write(&mut self.writer);
        self.bytes.fetch_add(self.writer.len_bytes() - before, Ordering::Relaxed);
    }

    /// Takes note of a timer that changes from set or not set to the other.
    pub(super) fn timer(&mut self, family: usize, timer: &Timer, was_set: bool) {
        let Some(family) = self.families.get(family).copied().flatten() else { return };
        let key = match &timer.key {
            Key::Word(_) => 0,
            Key::Bytes(bytes) => bytes.len(),
        };
        let change = (family, timer.clone());
        // A timer that changes twice is again as it was.
        if self.timers.remove(&change).is_some() {
            self.bytes.fetch_sub(TIMER_BYTES + key, Ordering::Relaxed);
        } else {
            self.timers.insert(change, was_set);
            self.bytes.fetch_add(TIMER_BYTES + key, Ordering::Relaxed);
        }
    }

    /// What it takes to come back, as a segment.
    pub(super) fn finish(mut self) -> Vec<u8> {
        for ((family, timer), set) in &self.timers {
            let Timer { time, key, namespace, .. } = timer;
            self.writer.timer(TimerId(*family), key.cell(), *time, *namespace, *set);
        }
        self.writer.finish()
    }
}
