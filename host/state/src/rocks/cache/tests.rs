//! The cache by itself: rows are found, kept and thrown out.

use std::collections::HashMap;

use super::*;
use crate::declaration::{KeyLayout, StateDeclaration, StateId, StateKind, ValueLayout};
use crate::key::hash_column;

fn layout(key: KeyLayout) -> Layout {
    let state = |name: &str, value| StateDeclaration {
        name: name.to_owned(),
        kind: StateKind::Value,
        value,
        codec: "raw".to_owned(),
        schema: None,
        map_key: None,
        map_key_codec: None,
        map_key_schema: None,
        merge: None,
        ttl: None,
        schema_version: 1,
    };
    // More cells than marks fit into one word.
    let mut states: Vec<_> = (0..20).map(|_| state("word", ValueLayout::U64)).collect();
    states.push(state("bytes", ValueLayout::Bytes));
    let states: Vec<_> =
        (0..).zip(&states).map(|(id, state)| (StateId(u32::from(id)), id + 1, state)).collect();
    Layout::new(key, &states)
}

fn keys(layout: KeyLayout, numbers: &[u64]) -> (Column, Vec<u64>) {
    let mut keys = Column::empty(layout.is_words());
    for number in numbers {
        match &mut keys {
            Column::Words(words) => words.push(*number),
            Column::Bytes(rows) => rows.push(number.to_string().as_bytes()),
        }
    }
    let mut hashes = Vec::new();
    hash_column(&keys, &mut hashes);
    (keys, hashes)
}

#[test]
fn rows_come_and_go_and_dirty_ones_stay() {
    for key in [KeyLayout::U64, KeyLayout::Bytes] {
        let layout = layout(key);
        let (first, last) = (&layout.cells[0], &layout.cells[20]);
        let mut table = Table::new(&layout);
        let mut expected: HashMap<u64, u64> = HashMap::new();
        let mut rows = Vec::new();
        for round in 0..200_u64 {
            let numbers: Vec<u64> = (0..40).map(|at| (round * 31 + at * at * 7) % 1500).collect();
            let mut numbers = numbers;
            numbers.sort_unstable();
            numbers.dedup();
            let (column, hashes) = keys(key, &numbers);
            table.find(&column, &hashes, &mut rows);
            for (&number, &row) in numbers.iter().zip(&rows) {
                let known = table.mark(first, row) & KNOWN != 0;
                if let Some(value) = expected.get(&number) {
                    assert!(known, "what is dirty is not thrown out");
                    assert_eq!(table.word(first, row), *value);
                    assert_eq!(table.bytes(last, row), value.to_string().as_bytes());
                }
                if number % 3 == 0 {
                    table.set_word(first, row, round);
                    let text = round.to_string();
                    table.set_value(last, row, Cell::Bytes(text.as_bytes()));
                    for cell in &layout.cells {
                        table.set_mark(cell, row, KNOWN | PRESENT | DIRTY);
                    }
                    expected.insert(number, round);
                }
            }
            if round % 10 == 9 {
                assert_eq!(table.dirty().len(), expected.len());
                table.flushed(&layout);
                expected.clear();
            }
            table.evict(&layout, 20_000);
            if expected.is_empty() {
                assert!(table.used_bytes() <= 20_000);
            }
        }
        table.flushed(&layout);
        table.evict(&layout, 0);
        assert_eq!(table.used, 0);
        assert!(table.index.iter().all(|&slot| slot == 0));
    }
}
