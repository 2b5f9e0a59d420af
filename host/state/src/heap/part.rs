//! A group's part of a running snapshot: what is encoded, and what is left.

use std::collections::BTreeMap;

use super::row::{Layout, Mark};
use super::table::Table;
use crate::backend::Now;
use crate::declaration::TimerId;
use crate::segment::{Stamped, Writer};
use crate::timers::{GroupTimers, Timer};
use crate::ttl;

/// What a running snapshot has of one group.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) writer: Writer,
    pub(super) rows: Rows,
    pub(super) timers: Timers,
    /// The time at which the snapshot started: what was expired then is not in a full segment.
    pub(super) now: Now,
}

/// The values that are left to encode.
#[derive(Debug)]
pub(super) enum Rows {
    All { next: u32 },
    Changed { rows: Vec<u32>, next: usize, version: u32 },
}

/// The timers that are left to encode.
#[derive(Debug)]
pub(super) enum Timers {
    All,
    Changed(BTreeMap<(u32, Timer), bool>),
    Done,
}

impl Part {
    pub(super) fn needs(&self, row: u32, mark: Mark) -> bool {
        match self.rows {
            Rows::All { next } => row >= next && mark.present(),
            Rows::Changed { version, .. } => mark.version() == version,
        }
    }

    /// Encodes a value as its mark says: set, removed, or neither when it was not there before the
    /// version either.
    pub(super) fn put(
        &mut self,
        layout: &Layout,
        table: &Table,
        row: u32,
        state: usize,
        mark: Mark,
    ) {
        if !mark.present() && !mark.was_present() {
            return;
        }
        let stamp = table.stamp(layout, row, state);
        if let (Rows::All { .. }, Some(ttl)) = (&self.rows, &layout.ttls[state])
            && ttl::is_expired(ttl, stamp, self.now)
        {
            return;
        }
        let value = table.value(layout, row, state);
        let value = value.map(|value| Stamped { value, stamp });
        self.writer.value(layout.ids[state], table.key(layout, row), value);
    }

    pub(super) fn put_timers(&mut self, timers: &GroupTimers) -> usize {
        let before = self.writer.entries();
        match std::mem::replace(&mut self.timers, Timers::Done) {
            Timers::All => {
                for (family, timer) in timers.iter() {
                    let Timer { time, key, namespace, .. } = timer;
                    self.writer.timer(family, key.cell(), *time, *namespace, true);
                }
            }
            Timers::Changed(changed) => {
                for ((family, timer), set) in &changed {
                    let (family, Timer { time, key, namespace, .. }) = (TimerId(*family), timer);
                    self.writer.timer(family, key.cell(), *time, *namespace, *set);
                }
            }
            Timers::Done => {}
        }
        (self.writer.entries() - before) as usize
    }
}

/// How far a walk came.
pub(super) struct Walked {
    pub(super) rows: usize,
    pub(super) done: bool,
}

/// Encodes the values of about `budget` rows, and marks them as encoded.
pub(super) fn walk(
    part: &mut Part,
    table: &mut Table,
    layout: &Layout,
    version: u32,
    budget: usize,
) -> Walked {
    let mut walked = Walked { rows: 0, done: false };
    loop {
        let row = match &part.rows {
            Rows::All { next } => (*next < table.end()).then_some(*next),
            Rows::Changed { rows, next, .. } => rows.get(*next).copied(),
        };
        let Some(row) = row else {
            if let Rows::All { next } = &mut part.rows {
                *next = u32::MAX; // also once the table has grown
            }
            walked.done = true;
            return walked;
        };
        if walked.rows == budget {
            return walked;
        }
        walked.rows += 1;
        if table.is_occupied(layout, row) {
            walk_row(part, table, layout, version, row);
        }
        match &mut part.rows {
            Rows::All { next } => *next += 1,
            Rows::Changed { next, .. } => *next += 1,
        }
    }
}

fn walk_row(part: &mut Part, table: &mut Table, layout: &Layout, version: u32, row: u32) {
    for state in 0..layout.states.len() {
        let mark = table.mark(layout, row, state);
        if mark.version() == version {
            continue;
        }
        if part.needs(row, mark) {
            part.put(layout, table, row, state, mark);
        }
        if mark.version() != 0 {
            table.set_mark(layout, row, state, mark.settled());
        }
    }
}
