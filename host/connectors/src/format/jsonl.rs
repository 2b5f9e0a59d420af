//! JSON Lines: one JSON value a line; empty lines are passed over.

use serde::de::IgnoredAny;
use serde_json::Value;
use statehouse_engine::ConnectorError;
use statehouse_operator::Batch;

pub(crate) use super::lookup::Pointer;
use super::timestamp::TimeFormat;
use super::{Decoded, Decoder, push_row, too_long};
use crate::input::{Input, Line};

/// Where a line's key and time are.
#[derive(Debug, Clone, Default)]
pub(crate) struct JsonlFormat {
    /// Points at the key.
    pub(crate) key: Option<Pointer>,
    /// Points at the time.
    pub(crate) time: Option<(Pointer, TimeFormat)>,
}

/// Reads lines of JSON, checked to be such.
#[derive(Debug)]
pub(crate) struct JsonlDecoder {
    format: JsonlFormat,
    line: Vec<u8>,
}

impl JsonlDecoder {
    /// A decoder that has read nothing.
    pub(crate) fn new(format: JsonlFormat) -> Self {
        Self { format, line: Vec::new() }
    }

    fn push(&self, json: &[u8], batch: &mut Batch) -> Result<(), String> {
        let json = std::str::from_utf8(json)
            .map_err(|error| format!("not UTF-8 from byte {} on", error.valid_up_to()))?;
        if self.format.key.is_none() && self.format.time.is_none() {
            serde_json::from_str::<IgnoredAny>(json).map_err(|error| not_json(&error))?;
        }
        let key = match &self.format.key {
            Some(pointer) => Some(scalar(pointer, json, "key")?),
            None => None,
        };
        let time = match &self.format.time {
            Some((pointer, format)) => format
                .parse(&scalar(pointer, json, "time")?)
                .map_err(|reason| format!("time at `{pointer}`: {reason}"))?,
            None => 0,
        };
        push_row(batch, time, key.as_deref().map(str::as_bytes), json.as_bytes());
        Ok(())
    }
}

impl Decoder for JsonlDecoder {
    fn start(&mut self, _: &mut Input) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn read(&mut self, input: &mut Input, batch: &mut Batch) -> Result<Decoded, ConnectorError> {
        loop {
            let number = input.line_number();
            match input.read_line(&mut self.line)? {
                Line::End => return Ok(Decoded::End),
                Line::TooLong => {
                    return Ok(Decoded::Malformed(input.malformed(number, too_long(), &self.line)));
                }
                Line::Whole => {}
            }
            let json = self.line.trim_ascii();
            if json.is_empty() {
                continue;
            }
            return Ok(match self.push(json, batch) {
                Ok(()) => Decoded::Row,
                Err(reason) => Decoded::Malformed(input.malformed(number, reason, json)),
            });
        }
    }
}

/// What a pointer points at as text: a string's own, or a number's or truth value's JSON.
fn scalar(pointer: &Pointer, json: &str, what: &str) -> Result<String, String> {
    match pointer.look_up(json).map_err(|error| not_json(&error))? {
        Some(Value::String(text)) => Ok(text),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
        Some(Value::Null) => Err(format!("the {what} at `{pointer}` is null")),
        Some(_) => Err(format!("the {what} at `{pointer}` is an array or object")),
        None => Err(format!("there is no {what} at `{pointer}`")),
    }
}

/// The parser counts lines within the one line that it is given; only the column tells something.
fn not_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or(&text);
    format!("not JSON: {reason} at column {}", error.column())
}
