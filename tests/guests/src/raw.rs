//! Breaks the contract by hand, below the SDK, which would not let it.

use std::sync::atomic::{AtomicBool, Ordering};

use statehouse::bindings::{
    Batch, BytesColumn, Codec, Column, Description, Failure, KeyDescription, KeyType, Metric,
    MetricKind, Port, State, StateKind, TimeDomain, Timer, ValueDescription, ValueType, context,
    output, state, timers,
};

pub const NAME: &str = "raw";

static OPEN: AtomicBool = AtomicBool::new(false);

pub fn open() {
    OPEN.store(true, Ordering::Relaxed);
}

pub fn is_open() -> bool {
    OPEN.load(Ordering::Relaxed)
}

/// A number a key in state 0, bytes a key in state 1, keyed numbers out by port 0, text out by port
/// 1.
pub fn describe() -> Description {
    let key = || Some(KeyDescription { layout: KeyType::U64, codec: Codec::Raw, schema: None });
    let value = |layout, codec| ValueDescription { layout, codec, schema: None };
    let state = |name: &str, value| State {
        name: name.to_owned(),
        kind: StateKind::Value,
        value,
        map_key: None,
        merge: None,
        ttl: None,
        schema_version: 1,
    };
    let port =
        |name: &str, key, value| Port { name: name.to_owned(), key, value, broadcast: false };
    let (number, text) = (value(ValueType::S64, Codec::Raw), value(ValueType::Bytes, Codec::Text));
    Description {
        name: NAME.to_owned(),
        version: "0.1.0".to_owned(),
        inputs: vec![port("acts", key(), text.clone())],
        outputs: vec![port("numbers", key(), number.clone()), port("texts", None, text.clone())],
        states: vec![state("number", number), state("text", text)],
        timers: vec![Timer { name: "alarm".to_owned(), domain: TimeDomain::EventTime }],
        task_states: Vec::new(),
        metrics: vec![Metric { name: "acts".to_owned(), kind: MetricKind::Counter }],
    }
}

/// Does what each row's text says, for its slot.
pub fn process(batch: Batch) -> Result<(), Failure> {
    let Column::Bytes(acts) = &batch.values else {
        return Err(Failure { row: None, reason: "acts are text".to_owned() });
    };
    for (row, &slot) in batch.slots.iter().enumerate() {
        let (start, end) = (acts.offsets[row] as usize, acts.offsets[row + 1] as usize);
        let text = String::from_utf8_lossy(&acts.arena[start..end]);
        act(&text, row as u32, slot, batch.times[row])?;
    }
    Ok(())
}

fn act(text: &str, row: u32, slot: u32, time: i64) -> Result<(), Failure> {
    let number = || Column::S64s(vec![7]);
    let text_column = |offsets: &[u32], arena: &[u8]| {
        Column::Bytes(BytesColumn { offsets: offsets.to_vec(), arena: arena.to_vec() })
    };
    let keys = || Some(Column::U64s(vec![1]));
    let emit = |port, times: &[i64], keys: Option<Column>, values: Column| {
        output::emit(port, times, keys.as_ref(), &values);
    };
    match text {
        "nothing" => {}
        // The single forms, as a language without an SDK would use them.
        "single-forms" => {
            let before = state::get_word(0, slot).unwrap_or(0);
            state::set_word(0, slot, before + 1);
            let mut text = state::get_bytes(1, slot).unwrap_or_default();
            text.push(b'x');
            state::set_bytes(1, slot, &text);
            timers::set(0, &[slot], &[time + 10]);
            context::add_counter(0, 1);
            emit(1, &[time], None, text_column(&[0, text.len() as u32], &text));
        }
        "twice" => state::store(0, &[slot, slot], &Column::S64s(vec![1, 2])),
        "store-reads-back" => {
            state::store(0, &[slot], &Column::S64s(vec![41]));
            let word = state::get_word(0, slot);
            assert_eq!(word, Some(41), "a write is visible in its own invocation");
            state::remove(0, &[slot]);
            assert_eq!(state::get_word(0, slot), None, "and so is a removal");
        }
        "bad-slot" => state::store(0, &[slot + 1000], &number()),
        "bad-slot-timer" => timers::set(0, &[slot + 1000], &[time]),
        "bad-slot-word" => state::set_word(0, slot + 1000, 1),
        "bad-state" => drop(state::load(9)),
        "bad-timer" => timers::set(9, &[slot], &[time]),
        "bad-counter" => context::add_counter(9, 1),
        "counter-as-gauge" => context::set_gauge(0, 1.0),
        "bad-port" => emit(9, &[time], None, number()),
        "bad-layout" => state::store(0, &[slot], &Column::U64s(vec![7])),
        "bad-layout-word" => state::set_word(1, slot, 7),
        "bad-length" => state::store(0, &[slot], &Column::S64s(vec![1, 2])),
        "emit-layout" => emit(0, &[time], keys(), Column::F64s(vec![1.0])),
        "emit-length" => emit(0, &[time, time], keys(), number()),
        "emit-without-keys" => emit(0, &[time], None, number()),
        "emit-with-keys" => emit(1, &[time], keys(), text_column(&[0, 1], b"x")),
        "offsets-descending" => emit(1, &[time, time], None, text_column(&[0, 5, 2], b"hello")),
        "offsets-beyond" => emit(1, &[time], None, text_column(&[0, 500], b"hello")),
        "offsets-from-one" => emit(1, &[time], None, text_column(&[1, 5], b"hello")),
        "reject-beyond" => output::reject(&[row + 1000], &["no such row".to_owned()]),
        "reject-length" => output::reject(&[row], &[]),
        "err-without-row" => {
            return Err(Failure { row: None, reason: "something is wrong".to_owned() });
        }
        "err-row-beyond" => {
            return Err(Failure { row: Some(row + 1000), reason: "no such row".to_owned() });
        }
        "err-row" => return Err(Failure { row: Some(row), reason: "this row".to_owned() }),
        other => return Err(Failure { row: Some(row), reason: format!("unknown act `{other}`") }),
    }
    Ok(())
}
