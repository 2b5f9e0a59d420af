//! Records as lines of JSON: what the JSON Lines directory and standard output write.

use serde_json::{Value, json};
use statehouse_operator::{Batch, Codec, Port, render};
use statehouse_state::Column;

/// How the records of a port become lines.
#[derive(Debug, Clone)]
pub(crate) struct LineFormat {
    port: Port,
    with_key: bool,
    with_time: bool,
}

impl LineFormat {
    /// Lines for the records of this port. A line is the value, or an object of `time`, `key` and `value`.
    pub(crate) fn new(port: &Port, with_key: bool, with_time: bool) -> Self {
        Self { port: port.clone(), with_key, with_time }
    }

    /// Says why the records of a port cannot be written so, if they cannot.
    pub(crate) fn check(port: &Port, with_key: bool) -> Result<(), String> {
        if with_key && port.key.is_none() {
            return Err(format!(
                "`with-key` is set, but the records of `{}` have no key: remove it, or key the stream before",
                port.name
            ));
        }
        Ok(())
    }

    /// Appends the rows of a batch, a line each.
    pub(crate) fn append(&self, batch: &Batch, lines: &mut Vec<u8>) {
        for row in 0..batch.len() {
            if !self.with_key && !self.with_time {
                self.append_value(batch, row, lines);
                lines.push(b'\n');
                continue;
            }
            lines.push(b'{');
            if self.with_time {
                lines.extend_from_slice(b"\"time\":");
                append_json(&json!(batch.times[row]), lines);
                lines.push(b',');
            }
            if let (true, Some(key), Some(keys)) = (self.with_key, &self.port.key, &batch.keys) {
                lines.extend_from_slice(b"\"key\":");
                append_json(&render::key(key, keys, row), lines);
                lines.push(b',');
            }
            lines.extend_from_slice(b"\"value\":");
            self.append_value(batch, row, lines);
            lines.extend_from_slice(b"}\n");
        }
    }

    fn append_value(&self, batch: &Batch, row: usize, lines: &mut Vec<u8>) {
        match &batch.values {
            Column::Bytes(values)
                if self.port.value.codec == Codec::Json && !values.get(row).is_empty() =>
            {
                // JSON has line ends only between its tokens, where a space means the same.
                let is_end = |byte: u8| byte == b'\n' || byte == b'\r';
                let as_space = |&byte: &u8| if is_end(byte) { b' ' } else { byte };
                lines.extend(values.get(row).iter().map(as_space));
            }
            values => append_json(&render::value(&self.port.value, values, row), lines),
        }
    }
}

fn append_json(value: &Value, lines: &mut Vec<u8>) {
    serde_json::to_writer(lines, value).expect("JSON is written to memory");
}

#[cfg(test)]
mod tests {
    use statehouse_operator::{KeyType, ValueType};
    use statehouse_state::{KeyLayout, ValueLayout};

    use super::*;

    fn check(codec: Codec, value: &[u8], with_key: bool, with_time: bool, expected: &str) {
        let port = Port {
            name: "out".into(),
            key: Some(KeyType { layout: KeyLayout::S64, codec: Codec::Raw, schema: None }),
            value: ValueType::new(ValueLayout::Bytes, codec),
            broadcast: false,
        };
        let mut batch = port.empty_batch();
        batch.times.push(7);
        batch.keys = Some(Column::Words(vec![-1i64 as u64]));
        if let Column::Bytes(values) = &mut batch.values {
            values.push(value);
        }
        let mut lines = Vec::new();
        LineFormat::new(&port, with_key, with_time).append(&batch, &mut lines);
        assert_eq!(String::from_utf8(lines).unwrap(), expected);
    }

    #[test]
    fn a_record_is_one_line_of_json() {
        check(Codec::Json, b"{\"a\": 1.0}", false, false, "{\"a\": 1.0}\n");
        check(Codec::Json, b"{\n\"a\":1\r\n}", false, false, "{ \"a\":1  }\n");
        check(Codec::Json, b"", false, false, "\"\"\n");
        check(Codec::Text, b"a\n\"b\"", false, false, "\"a\\n\\\"b\\\"\"\n");
        check(Codec::Msgpack, &[0x92, 1, 2], false, false, "[1,2]\n");
        check(Codec::Raw, &[0xff], false, false, "\"0xff\"\n");
    }

    #[test]
    fn key_and_time_stand_beside_the_value_on_request() {
        check(Codec::Json, b"1", true, false, "{\"key\":-1,\"value\":1}\n");
        check(Codec::Json, b"1", false, true, "{\"time\":7,\"value\":1}\n");
        check(Codec::Json, b"1", true, true, "{\"time\":7,\"key\":-1,\"value\":1}\n");
    }
}
