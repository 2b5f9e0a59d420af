//! The bare loop: the same records into an open-addressing table, and nothing else. What the machine could do.

use statehouse_engine::{Polled, SourceFactory};
use statehouse_state::Column;

use super::machine::Stopwatch;

/// A table of (key + 1, sum), 0 for no key; linear probing over a power of two at most half full.
#[derive(Debug)]
pub struct BareTable {
    cells: Vec<(u64, u64)>,
}

impl BareTable {
    /// Room for that many keys.
    pub fn new(keys: u64) -> Self {
        let cells = usize::try_from(keys).unwrap_or(usize::MAX / 4).max(8) * 2;
        Self { cells: vec![(0, 0); cells.next_power_of_two()] }
    }

    /// Adds a batch of values to the sums of their keys, and replaces each value by the sum.
    pub fn add(&mut self, keys: &[u64], values: &mut [u64]) {
        let mask = self.cells.len() - 1;
        for (&key, value) in keys.iter().zip(values) {
            // Any mixing will do here: multiply by a large odd number and take the upper half.
            let hash = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
            let mut at = hash & mask;
            loop {
                let cell = &mut self.cells[at];
                if cell.0 == key + 1 || cell.0 == 0 {
                    cell.0 = key + 1;
                    cell.1 = cell.1.wrapping_add(*value);
                    *value = cell.1;
                    break;
                }
                at = (at + 1) & mask;
            }
        }
    }

    /// The wrapping sum of all sums, so that the work cannot be left out.
    pub fn checksum(&self) -> u64 {
        self.cells.iter().fold(0, |sum, cell| sum.wrapping_add(cell.1))
    }
}

/// Reads a source of numbers to its end into a table. Returns records and seconds.
///
/// # Panics
/// If the source fails, or is none of keyed numbers: it is the benchmark's own.
pub fn run(source: &dyn SourceFactory, keys: u64) -> (u64, f64) {
    let mut source = source.open(0, 1, &[]).expect("the benchmark's source opens");
    let mut table = BareTable::new(keys);
    let mut records = 0;
    let watch = Stopwatch::start();
    loop {
        match source.poll().expect("the benchmark's source never fails") {
            Polled::End => break,
            Polled::Idle => {}
            Polled::Batch(mut batch) => {
                let (Some(Column::Words(keys)), Column::Words(values)) =
                    (&batch.keys, &mut batch.values)
                else {
                    panic!("the benchmark's source yields numbers");
                };
                table.add(keys, values);
                records += keys.len() as u64;
            }
        }
    }
    std::hint::black_box(table.checksum());
    (records, watch.seconds())
}
