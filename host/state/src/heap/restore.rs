//! A backend back from segments, or from tables.

use std::path::Path;

use super::group::Group;
use super::sheet::{Any, First, Pick};
use super::values::At;
use super::{HeapBackend, Home, collections};
use crate::backend::Backend;
use crate::declaration::{StateId, StateKind};
use crate::error::Error;
use crate::key::KeyGroup;
use crate::ownership::{check_record, check_segment};
use crate::segment::{Cell, Reader, Record};
use crate::timers::{Key, Timer};

use collections::{Entries, Point};

impl Home {
    /// Whether it is a column of the first sheet.
    fn is_first(self) -> bool {
        matches!(self, Self::Column { sheet: 0, .. })
    }
}

impl HeapBackend {
    /// Applies a segment of a group.
    pub(super) fn restore_segment(
        &mut self,
        group: KeyGroup,
        full: bool,
        segment: &[u8],
    ) -> Result<(), Error> {
        check_segment(group, self.range)?;
        self.end_hold();
        self.running = None;
        self.cursor = None;
        self.groups.iter_mut().filter(|group| group.is_in_snapshot()).for_each(Group::abandon);
        self.invocation.end();
        let index = (u32::from(group.0) - self.range.start) as usize;
        if full {
            for family in 0..self.schema.timers().len() {
                let old = self.groups[index].timers.first_time(family);
                self.heads.update(family, index as u32, old, None);
            }
            let (sheets, families) = (self.layouts.len(), self.schema.timers().len());
            self.groups[index] = Group::new(sheets, self.empty_stores(), families);
        }
        self.groups[index].start_restore();
        let schema = self.schema.clone();
        if full {
            let rows = rows_of(Reader::open(group, segment, &schema)?, schema.states().len())?;
            let first = (0..).zip(&self.homes).filter(|(_, home)| home.is_first());
            let rows = first.map(|(state, _): (usize, _)| rows[state]).max().unwrap_or(0);
            let table = &mut First.of_mut(&mut self.groups[index].sheets).table;
            table.make_room(&self.layouts[0], rows);
        }
        let mut reader = Reader::open(group, segment, &schema)?;
        while let Some(record) = reader.next()? {
            self.restore_record(group, &record)?;
        }
        self.groups[index].end_restore(full, segment.len());
        Ok(())
    }

    /// Takes what belongs to the range out of tables.
    pub(super) fn restore_directory(&mut self, directory: &Path) -> Result<(), Error> {
        self.end_hold();
        self.cursor = None;
        self.abandon_snapshot();
        self.invocation.end();
        let (schema, key_groups, range) = (self.schema.clone(), self.key_groups, self.range);
        let mut restore = |group, record: &Record<'_>| self.restore_record(group, record);
        crate::rocks::read_tables(directory, &schema, key_groups, range, &mut restore)?;
        self.groups.iter_mut().for_each(Group::follow_tables);
        Ok(())
    }

    /// Empty stores for the collection states, in the order that the groups have.
    fn empty_stores(&self) -> Vec<Box<dyn Entries>> {
        let of = self.homes.iter().zip((0..).map(StateId).zip(self.schema.states()));
        let mut stores: Vec<_> = of
            .filter_map(|(home, (id, state))| match home {
                Home::Store(store) => Some((*store, collections::store(id, state))),
                Home::Column { .. } => None,
            })
            .collect();
        stores.sort_by_key(|(store, _)| *store);
        stores.into_iter().map(|(_, store)| store).collect()
    }

    pub(super) fn restore_record(
        &mut self,
        group: KeyGroup,
        record: &Record<'_>,
    ) -> Result<(), Error> {
        let hash = record.key().hash();
        check_record(hash, group, self.key_groups)?;
        let index = u32::from(group.0) - self.range.start;
        match *record {
            Record::Value { state, key, value } => {
                let Home::Column { sheet, column } = self.homes[state.0 as usize] else {
                    unreachable!("the reader has compared kinds")
                };
                let at = At { pick: Any(sheet), layout: &self.layouts[sheet], version: 0 };
                at.put(&mut self.groups[index as usize], (hash, key), column, value);
            }
            Record::Entry { state, key, entry, value } => {
                let Home::Store(store) = self.homes[state.0 as usize] else {
                    unreachable!("the reader has compared kinds")
                };
                let (entries, mut change) = self.groups[index as usize].change_store(store, 0);
                let point = Point { hash, key, entry };
                match value {
                    Some(value) => entries.set(&mut change, point, value),
                    None => entries.remove(&mut change, point),
                }
                if let (StateKind::List, Cell::Word(number)) =
                    (self.schema.states()[state.0 as usize].kind, entry)
                {
                    self.next_element = self.next_element.max(number.saturating_add(1));
                }
            }
            Record::Timer { timer, key, time, namespace, set } => {
                let timer_id = timer.0 as usize;
                let timer = Timer { time, hash, key: Key::from(key), namespace };
                self.change_timer(index, timer_id, timer, set);
            }
        }
        Ok(())
    }
}

/// How many values of each state a full segment has.
fn rows_of(mut reader: Reader<'_>, states: usize) -> Result<Vec<usize>, Error> {
    let mut rows = vec![0; states];
    while let Some(record) = reader.next()? {
        if let Record::Value { state, .. } = record {
            rows[state.0 as usize] += 1;
        }
    }
    Ok(rows)
}
