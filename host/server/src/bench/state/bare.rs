//! The bare loops: the same work on plain collections, without groups, transactions, snapshots or times.

use std::collections::{BTreeMap, BinaryHeap};

use super::keys::Batch;
use super::work::{ACCUMULATOR_BYTES, Kind, LIST_BATCHES, entry_of};

/// A table of (key + 1, value), 0 for no key; linear probing over a power of two at most half full.
struct Table<V> {
    cells: Vec<(u64, V)>,
}

impl<V: Default> Table<V> {
    fn new(keys: u64) -> Self {
        let cells = (keys as usize * 2).next_power_of_two();
        Self { cells: (0..cells).map(|_| (0, V::default())).collect() }
    }

    #[inline]
    fn at(&self, key: u64) -> usize {
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (self.cells.len() - 1)
    }

    /// Changes the values of keys; their cells are touched first, so that the misses overlap.
    fn each(&mut self, keys: &[u64], mut change: impl FnMut(u64, &mut V)) {
        for keys in keys.chunks(64) {
            let touched = keys.iter().fold(0, |sum, &key| sum ^ self.cells[self.at(key)].0);
            std::hint::black_box(touched);
            for &key in keys {
                let mut at = self.at(key);
                while self.cells[at].0 != key + 1 && self.cells[at].0 != 0 {
                    at = (at + 1) & (self.cells.len() - 1);
                }
                self.cells[at].0 = key + 1;
                change(key, &mut self.cells[at].1);
            }
        }
    }
}

enum Tables {
    Numbers(Table<u64>),
    Accumulators(Table<[u8; ACCUMULATOR_BYTES]>),
    Lists(Table<Vec<u64>>),
    Maps(Table<BTreeMap<u64, u64>>),
    Timers(BinaryHeap<std::cmp::Reverse<(i64, u64)>>),
}

/// A bare loop.
pub(super) struct Bare {
    tables: Tables,
    batches: u64,
}

impl Bare {
    pub(super) fn new(kind: Kind, keys: u64) -> Self {
        let tables = match kind {
            Kind::Value | Kind::Reducing => Tables::Numbers(Table::new(keys)),
            Kind::Aggregating => Tables::Accumulators(Table::new(keys)),
            Kind::List => Tables::Lists(Table::new(keys)),
            Kind::Map => Tables::Maps(Table::new(keys)),
            Kind::Timers => Tables::Timers(BinaryHeap::new()),
        };
        Self { tables, batches: 0 }
    }

    pub(super) fn run(&mut self, batch: &Batch) {
        self.batches += 1;
        let (batches, keys) = (self.batches, batch.words());
        match &mut self.tables {
            Tables::Numbers(table) => table.each(keys, |_, sum| *sum = sum.wrapping_add(1)),
            Tables::Accumulators(table) => {
                table.each(keys, |_, value| value[0] = value[0].wrapping_add(1));
            }
            Tables::Lists(table) if batches.is_multiple_of(LIST_BATCHES) => {
                table.each(keys, |_, list| {
                    std::hint::black_box(&list[..]);
                    list.clear();
                });
            }
            Tables::Lists(table) => table.each(keys, |key, list| list.push(key)),
            Tables::Maps(table) => table.each(keys, |key, map| {
                *map.entry(entry_of(key, batches)).or_insert(0) += 1;
            }),
            Tables::Timers(heap) => {
                let now = batches as i64;
                while heap.peek().is_some_and(|first| first.0.0 <= now) {
                    std::hint::black_box(heap.pop());
                }
                heap.extend(keys.iter().map(|&key| std::cmp::Reverse((now + 2, key))));
            }
        }
    }
}
