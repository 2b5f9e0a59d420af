//! Keys, values and records as JSON, for people: error messages, dead letters, looking inside.

use serde_json::{Value, json};
use statehouse_state::{Column, KeyLayout, ValueLayout};

use crate::batch::Batch;
use crate::description::{Codec, KeyType, Port, ValueType};
use crate::failure::Failure;
use crate::structure;

/// The longest record that an error message quotes, in bytes.
const QUOTE_BYTES_MAX: usize = 400;

/// A key. Numbers are numbers, text is text, bytes without a meaning are text if they can be, else `0x…`.
pub fn key(key_type: &KeyType, keys: &Column, row: usize) -> Value {
    match keys {
        Column::Words(words) => match key_type.layout {
            KeyLayout::S64 => json!(words[row] as i64),
            _ => json!(words[row]),
        },
        Column::Bytes(rows) => bytes(key_type.codec, rows.get(row)),
    }
}

/// A value.
pub fn value(value_type: &ValueType, values: &Column, row: usize) -> Value {
    match values {
        Column::Words(words) => word(value_type.layout, words[row]),
        Column::Bytes(rows) => bytes(value_type.codec, rows.get(row)),
    }
}

/// A number from its 64 bits. NaN and the infinities, which JSON lacks, become text.
pub fn word(layout: ValueLayout, word: u64) -> Value {
    match layout {
        ValueLayout::S64 => json!(word as i64),
        ValueLayout::F64 => float(f64::from_bits(word)),
        _ => json!(word),
    }
}

/// A floating-point number. NaN and the infinities become text.
pub(crate) fn float(number: f64) -> Value {
    if number.is_finite() { json!(number) } else { json!(number.to_string()) }
}

/// Bytes by their codec. Bytes that are not what the codec says are shown as bytes without a meaning.
pub fn bytes(codec: Codec, bytes: &[u8]) -> Value {
    let decoded = match codec {
        Codec::Json => serde_json::from_slice(bytes).ok(),
        Codec::Msgpack => structure::read(bytes).map(|value| structure::shown(&value)),
        Codec::Raw | Codec::Text => None,
    };
    decoded.unwrap_or_else(|| unread(bytes))
}

/// Bytes without a meaning: text if they can be, else `0x…`.
pub(crate) fn unread(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => hexadecimal(bytes),
    }
}

/// The same so that it can be read back: text that looks like `0x…` is not shown as it is.
pub(crate) fn raw(bytes: &[u8]) -> Value {
    if bytes.starts_with(b"0x") { hexadecimal(bytes) } else { unread(bytes) }
}

fn hexadecimal(bytes: &[u8]) -> Value {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    json!(format!("0x{hex}"))
}

/// A whole record: time, key if there is one, value.
pub fn record(port: &Port, batch: &Batch, row: usize) -> Value {
    let mut record = serde_json::Map::new();
    record.insert("time".into(), json!(batch.times[row]));
    if let (Some(key_type), Some(keys)) = (&port.key, &batch.keys) {
        record.insert("key".into(), key(key_type, keys, row));
    }
    record.insert("value".into(), value(&port.value, &batch.values, row));
    Value::Object(record)
}

/// What the dead-letter file holds for a record.
pub fn dead_letter(
    operator: &str,
    port: &Port,
    batch: &Batch,
    row: usize,
    failure: &Failure,
) -> Value {
    json!({
        "operator": operator,
        "input": port.name,
        "reason": failure.to_string(),
        "record": record(port, batch, row),
    })
}

/// What the dead-letter file holds for a timer.
pub fn timer_letter(
    operator: &str,
    timer: &str,
    time: i64,
    key: &Value,
    failure: &Failure,
) -> Value {
    json!({
        "operator": operator,
        "timer": timer,
        "reason": failure.to_string(),
        "record": { "time": time, "key": key },
    })
}

/// At most the first few hundred bytes of a text, and a mark where it was cut.
pub fn shortened(text: &str) -> String {
    if text.len() <= QUOTE_BYTES_MAX {
        return text.to_owned();
    }
    let mut end = QUOTE_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}… ({} bytes)", &text[..end], text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_by_their_codec_and_never_lost() {
        assert_eq!(bytes(Codec::Json, b"{\"a\":1}"), json!({"a": 1}));
        assert_eq!(bytes(Codec::Json, b"{oops"), json!("{oops"));
        assert_eq!(bytes(Codec::Msgpack, &[0x92, 1, 0xa1, b'x']), json!([1, "x"]));
        assert_eq!(bytes(Codec::Msgpack, &[0x01, 0x02]), json!("\u{1}\u{2}"));
        assert_eq!(bytes(Codec::Raw, &[0xff, 0x00]), json!("0xff00"));
    }

    #[test]
    fn numbers_are_shown_by_their_layout() {
        assert_eq!(word(ValueLayout::S64, u64::MAX), json!(-1));
        assert_eq!(word(ValueLayout::U64, u64::MAX), json!(u64::MAX));
        assert_eq!(word(ValueLayout::F64, f64::NAN.to_bits()), json!("NaN"));
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        let text = "é".repeat(QUOTE_BYTES_MAX);
        assert!(shortened(&text).starts_with("éé"));
        assert!(shortened(&text).ends_with("… (800 bytes)"));
    }
}
