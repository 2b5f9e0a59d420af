//! Other declarations while the backend runs, and the way back.
//!
//! States and timers that are added get tags that were never given before; what has the tag of a removed one is not
//! looked at any more, and is deleted when the next snapshot flushes. None of this depends on how much state there is.
//!
//! The way back is the snapshot that was just started: its files are links, which are kept. The timers' changes since
//! then are undone in memory.

use std::sync::Arc;

use super::catalog::Catalog;
use super::cells::Cells;
use super::collections::Collection;
use super::database::{Clock, Database};
use super::migrate::Sweep;
use super::timers::Families;
use super::{RocksBackend, files, free};
use crate::declaration::{self, StateDeclaration, TimerDeclaration};
use crate::error::Error;
use crate::segment::Schema;
use crate::snapshot::Tables;

/// What it takes to come back.
#[derive(Debug)]
pub(super) struct Held {
    tables: Tables,
    catalog: Catalog,
    schema: Schema,
    families: Families,
}

impl RocksBackend {
    /// Serves other declarations from now on.
    pub(super) fn serve(
        &mut self,
        states: &[StateDeclaration],
        timers: &[TimerDeclaration],
    ) -> Result<(), Error> {
        if let Some(running) = &self.running {
            return Err(Error::Access {
                reason: format!(
                    "the declarations cannot change while the snapshot of epoch {} runs; wait for it to finish",
                    running.epoch
                ),
            });
        }
        declaration::check_evolution(
            (self.schema.states(), self.schema.timers()),
            (states, timers),
        )?;
        let mut schema = Schema::new(self.schema.key(), states, timers);
        if self.schema.drops_unclaimed() {
            schema.drop_unclaimed();
        }
        let mut catalog = self.catalog.clone();
        let dropped = catalog.retain_declared(&schema);
        catalog.declare(&schema)?;
        // From here on nothing fails.
        catalog.describe_to(self.database.tagged());
        (self.catalog, self.schema) = (catalog, schema);
        self.dropped.extend(dropped);
        self.invocation.clear();
        self.unchanged = false;
        self.follow_schema();
        let tags = &self.tags.states;
        let both = |(from, to): &(u16, u16)| tags.contains(from) && tags.contains(to);
        // What could not be converted is tried again.
        let failed = |sweep: &Sweep| sweep.is_done() && sweep.left() > 0;
        self.sweeps.retain(|sweep| both(&sweep.tags()) && !failed(sweep));
        self.timers.serve(self.schema.timers(), &self.tags.timers);
        if self.held.is_none() {
            self.timers.forget_removed();
        }
        Ok(())
    }

    /// Sets up what depends on the declarations and their tags.
    pub(super) fn follow_schema(&mut self) {
        let states = self.schema.states();
        self.tags = self.catalog.tags(&self.schema);
        self.cells.serve(states, &self.tags.states);
        let pairs = states.iter().zip(&self.tags.states);
        self.collections = pairs.map(|(state, &tag)| Collection::of(state, tag)).collect();
    }

    /// Remembers what it takes to come back, if the state is that of the running snapshot.
    pub(super) fn remember(&mut self) {
        self.forget();
        let tables = self.running.as_ref().and_then(|running| running.tables.clone());
        self.held = tables.filter(|_| self.unchanged).map(|tables| Held {
            tables,
            catalog: self.catalog.clone(),
            schema: self.schema.clone(),
            families: self.timers.families().clone(),
        });
    }

    /// Forgets how to come back.
    pub(super) fn forget(&mut self) {
        if self.held.take().is_some() {
            self.timers.forget_removed();
        }
    }

    /// Comes back to what was remembered. Whether there was anything.
    pub(super) fn come_back(&mut self) -> Result<bool, Error> {
        let Some(held) = self.held.take() else { return Ok(false) };
        let Held { tables, catalog, schema, families } = held;
        self.running = None;
        self.invocation.clear();
        self.sweeps.clear();
        self.dropped.clear();
        self.schema = schema;
        // What has expired since has not expired yet.
        self.clock = Arc::new(Clock::new());
        self.open_copy(tables.directory(), catalog)?;
        self.timers.undo(families);
        Ok(true)
    }

    /// Goes on with a copy of the files of a snapshot, instead of its own.
    pub(super) fn open_copy(
        &mut self,
        from: &std::path::Path,
        mut catalog: Catalog,
    ) -> Result<(), Error> {
        let path = files::vacant(&self.directory, "db-");
        files::adopt(from, &path)?;
        let numbers = files::tables(&path)?;
        catalog.declare(&self.schema)?;
        let tagged = catalog.tagged();
        let new = Database::open(&path, &self.resources, tagged, &self.clock)?;
        let old = std::mem::replace(&mut self.database, new);
        let old_path = old.path().to_owned();
        drop(old);
        // What cannot be removed is removed with the task's directory.
        let _ = std::fs::remove_dir_all(old_path);
        self.catalog = catalog;
        // Its tags stand for other states.
        let capacity = self.resources.options().write_behind_cache;
        let cells = Cells::new(self.schema.key(), self.key_groups, capacity);
        free::later(std::mem::replace(&mut self.cells, cells));
        self.start(&numbers)
    }
}
