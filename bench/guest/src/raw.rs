//! Operators written on the bare contract.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use statehouse::bindings::{
    Batch, Codec, Column, Description, Failure, KeyDescription, KeyType, Port, State, StateKind,
    ValueDescription, ValueType, output, state,
};

/// What an operator does.
pub const MODES: [&str; 4] = ["columns", "echo", "window", "singles"];

/// One more than the place of the mode that this instance was opened in; 0 for none of them.
static OPENED: AtomicUsize = AtomicUsize::new(0);

/// Whether it is one of these operators.
pub fn open(operator: &str) -> bool {
    let mode = MODES.iter().position(|mode| *mode == operator);
    OPENED.store(mode.map_or(0, |mode| mode + 1), Ordering::Relaxed);
    mode.is_some()
}

/// Which of them this instance is.
pub fn mode() -> Option<&'static str> {
    MODES.get(OPENED.load(Ordering::Relaxed).wrapping_sub(1)).copied()
}

pub fn describe(name: &str) -> Description {
    let key = || Some(KeyDescription { layout: KeyType::U64, codec: Codec::Raw, schema: None });
    let number = || ValueDescription { layout: ValueType::S64, codec: Codec::Raw, schema: None };
    let port =
        |name: &str| Port { name: name.to_owned(), key: key(), value: number(), broadcast: false };
    let sum = State {
        name: "sum".to_owned(),
        kind: StateKind::Value,
        value: number(),
        map_key: None,
        merge: None,
        ttl: None,
        schema_version: 1,
    };
    Description {
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        inputs: vec![port("numbers")],
        outputs: vec![port("sums")],
        states: vec![sum],
        timers: vec![],
        task_states: vec![],
        metrics: vec![],
    }
}

fn wrong(what: &str) -> Failure {
    Failure { row: None, reason: format!("{what} must be s64") }
}

pub fn process(mode: &str, batch: Batch) -> Result<(), Failure> {
    let Column::S64s(values) = &batch.values else { return Err(wrong("values")) };
    match mode {
        "columns" => {
            black_box(values.iter().sum::<i64>());
        }
        "echo" => {
            let keys = batch.keys.as_ref();
            let Some(Column::U64s(keys)) = keys else { return Err(wrong("keys")) };
            let keys = batch.slots.iter().map(|&slot| keys[slot as usize]).collect();
            output::emit(0, &batch.times, Some(&Column::U64s(keys)), &batch.values);
        }
        "window" => {
            let Column::S64s(mut sums) = state::load(0).values else { return Err(wrong("sums")) };
            for (&slot, &value) in batch.slots.iter().zip(values) {
                sums[slot as usize] += value;
            }
            let slots: Vec<u32> = (0..sums.len() as u32).collect();
            state::store(0, &slots, &Column::S64s(sums));
        }
        _ => {
            for (&slot, &value) in batch.slots.iter().zip(values) {
                let before = state::get_word(0, slot).unwrap_or(0) as i64;
                state::set_word(0, slot, (before + value) as u64);
            }
        }
    }
    Ok(())
}
