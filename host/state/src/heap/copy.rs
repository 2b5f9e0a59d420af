//! A copy of what is kept for some keys.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{HeapBackend, Home};
use crate::column::Column;
use crate::declaration::StateId;
use crate::error::Error;
use crate::ownership::{check_form, check_owned};
use crate::segment::{Stamped, Writer};
use crate::snapshot::Segment;

impl HeapBackend {
    pub(super) fn copy(&self, keys: &Column, hashes: &[u64]) -> Result<Vec<Segment>, Error> {
        check_form(keys, hashes, self.schema.key().is_words())?;
        check_owned(hashes, self.key_groups, self.range)?;
        let mut writers = BTreeMap::new();
        for (row, &hash) in hashes.iter().enumerate() {
            let (number, key) = (self.key_groups.group_of(hash), keys.cell(row));
            let group = &self.groups[(u32::from(number.0) - self.range.start) as usize];
            let writer = writers.entry(number).or_insert_with(|| Writer::new(&self.schema));
            for (id, home) in (0..).map(StateId).zip(&self.homes) {
                match *home {
                    Home::Column { sheet, column } => {
                        let (table, layout) =
                            (&group.sheets.get(sheet).table, &self.layouts[sheet]);
                        let row = table.find(layout, hash, key);
                        if let Some(value) = table.value_of(layout, row, column) {
                            let stamp = table.stamp(layout, row, column);
                            writer.value(id, key, Some(Stamped { value, stamp }));
                        }
                    }
                    Home::Store(store) => {
                        let all = (Bound::Unbounded, Bound::Unbounded);
                        group.store(store).scan(hash, key, all, &mut |entry, value| {
                            writer.entry(id, key, entry, Some(value));
                            true
                        });
                    }
                }
            }
        }
        let segment = |(group, writer): (_, Writer)| {
            let entries = writer.entries();
            Segment { group, full: true, entries, bytes: writer.finish() }
        };
        Ok(writers.into_iter().map(segment).collect())
    }
}
