//! Keys and values from what people write: the way of [`render`](crate::render), run backwards.

use serde_json::Value;

/// Bytes from text: hexadecimal digits after `0x`, else the text's own.
pub fn bytes(text: &str) -> Vec<u8> {
    text.strip_prefix("0x").and_then(hexadecimal).unwrap_or_else(|| text.as_bytes().to_vec())
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// A floating-point number; NaN and the infinities, which JSON lacks, come as text.
pub(crate) fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok().filter(|number: &f64| !number.is_finite()),
        _ => None,
    }
}
