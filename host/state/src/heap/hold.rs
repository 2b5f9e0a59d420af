//! The way back to where the backend was when it was held.
//!
//! Each group remembers what was there of what has changed since ([`Undo`](super::change::Undo)), the backend remembers
//! what it served. States and timers that were taken away since are behind those that are declared; what was added is
//! thrown away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::change::Undo;
use super::cleaner::Cleaner;
use super::row::Layout;
use super::{HeapBackend, Home};
use crate::error::Error;
use crate::key::KeyGroup;
use crate::segment::{Reader, Schema};

/// How much the groups may remember together.
pub(super) const UNDO_BYTES_MAX: usize = 1 << 30;

/// What the backend served when it was held.
#[derive(Debug)]
pub(super) struct Held {
    schema: Schema,
    homes: Vec<Home>,
    sheets: usize,
    stores: usize,
    /// For each family of timers that there is now, its number then, if there was one.
    families: Arc<[Option<u32>]>,
    /// How much the groups remember together.
    bytes: Arc<AtomicUsize>,
}

impl Held {
    /// From now on families are in this order.
    pub(super) fn arrange(&mut self, order: &[Option<usize>]) {
        let named = order.iter().map(|old| old.and_then(|old| self.families[old]));
        let others = (0..self.families.len()).filter(|old| !order.contains(&Some(*old)));
        self.families = named.chain(others.map(|old| self.families[old])).collect();
    }

    pub(super) fn families(&self) -> &Arc<[Option<u32>]> {
        &self.families
    }
}

impl HeapBackend {
    /// What it may remember while it is held; past that, it forgets, and does not find back.
    pub fn set_undo_bytes_max(&mut self, bytes: usize) {
        self.undo_bytes_max = bytes;
    }

    pub(super) fn start_hold(&mut self) {
        self.end_hold();
        if self.written {
            // What was written in this version has no mark that tells what was there when it is held.
            return;
        }
        let families: Arc<[_]> = (0..self.schema.timers().len() as u32).map(Some).collect();
        let bytes = Arc::new(AtomicUsize::new(0));
        for layout in &mut self.layouts {
            layout.held.clone_from(&layout.ids);
        }
        for group in &mut self.groups {
            group.stores.iter_mut().for_each(|store| store.hold());
            group.undo = Some(Box::new(Undo::new(&self.schema, &families, &bytes)));
        }
        self.held = Some(Box::new(Held {
            schema: self.schema.clone(),
            homes: self.homes.clone(),
            sheets: self.layouts.len(),
            stores: self.groups.first().map_or(0, |group| group.stores.len()),
            families,
            bytes,
        }));
    }

    pub(super) fn end_hold(&mut self) {
        if self.held.take().is_none() {
            return;
        }
        self.invocation.end();
        for group in &mut self.groups {
            if let Some(undo) = group.undo.take() {
                self.doomed.undo(*undo);
            }
        }
        self.layouts.iter_mut().for_each(|layout| layout.held.fill(None));
        self.tidy();
    }

    /// Forgets what it remembers if that is too much.
    pub(super) fn limit_undo(&mut self) {
        let max = self.undo_bytes_max;
        if self.held.as_ref().is_some_and(|held| held.bytes.load(Ordering::Relaxed) > max) {
            self.end_hold();
        }
    }

    pub(super) fn go_back(&mut self) -> Result<bool, Error> {
        self.limit_undo();
        let Some(held) = self.held.take() else { return Ok(false) };
        self.invocation.end();
        // What has expired since has not expired yet: the next snapshot must hold it.
        self.invocation.forget_time();
        self.expired.clear();
        (self.running, self.cursor) = (None, None);
        let take = |group: &mut super::group::Group| group.undo.take();
        let undos: Vec<_> = self.groups.iter_mut().map(take).collect();
        let order: Vec<_> = (0..held.schema.timers().len() as u32)
            .map(|family| held.families.iter().position(|then| *then == Some(family)))
            .collect();
        self.arrange_timers(&order);
        self.layouts.truncate(held.sheets);
        self.layouts.iter_mut().for_each(|layout| layout.held.fill(None));
        for group in &mut self.groups {
            let added = group.sheets.retain(|sheet| sheet < held.sheets);
            added.into_iter().for_each(|sheet| self.doomed.table(sheet.table));
            let added = group.stores.split_off(held.stores);
            added.into_iter().for_each(|store| self.doomed.store(store));
            group.abandon();
        }
        (self.schema, self.homes) = (held.schema, held.homes);
        self.number_states();
        self.cleaner = Cleaner::new(self.schema.states());
        let schema = self.schema.clone();
        for (index, undo) in undos.into_iter().enumerate() {
            let Some(undo) = undo else { continue };
            let group = KeyGroup((self.range.start as usize + index) as u16);
            let segment = undo.finish();
            let mut reader = Reader::open(group, &segment, &schema)?;
            while let Some(record) = reader.next()? {
                self.restore_record(group, &record)?;
            }
        }
        self.written = false;
        self.tidy();
        Ok(true)
    }
}

impl Layout {
    /// The columns whose states are gone, and are not held.
    pub(super) fn doomed(&self) -> impl Iterator<Item = usize> {
        let columns = self.ids.iter().zip(&self.held).enumerate();
        columns.filter(|(_, (id, held))| id.is_none() && held.is_none()).map(|(column, _)| column)
    }
}
