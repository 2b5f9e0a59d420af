//! MessagePack as JSON, with the names that the structure gives it.

use rmpv::Value as Packed;
use serde_json::{Map, Value, json};

use super::{Shape, Structure};
use crate::render;

/// One value and nothing after it.
pub(crate) fn read(bytes: &[u8]) -> Option<Packed> {
    let mut rest = bytes;
    rmpv::decode::read_value(&mut rest).ok().filter(|_| rest.is_empty())
}

impl Structure {
    /// MessagePack bytes as JSON with names; `None` if they are no MessagePack.
    pub fn decode(&self, bytes: &[u8]) -> Option<Value> {
        Some(self.named(&self.shape, &read(bytes)?))
    }

    fn named(&self, shape: &Shape, value: &Packed) -> Value {
        match (self.resolve(shape), value) {
            (Shape::Optional(_), Packed::Nil) => Value::Null,
            (Shape::Optional(inner), value) => self.named(inner, value),
            (Shape::List(item), Packed::Array(items)) => {
                items.iter().map(|value| self.named(item, value)).collect()
            }
            (Shape::Tuple(shapes), Packed::Array(items)) if shapes.len() == items.len() => {
                shapes.iter().zip(items).map(|(shape, value)| self.named(shape, value)).collect()
            }
            (Shape::Map(shapes), Packed::Map(entries)) => {
                let entry =
                    |(key, value)| (self.named(&shapes.0, key), self.named(&shapes.1, value));
                map(entries.iter().map(|(key, value)| entry((key, value))).collect())
            }
            (Shape::Struct(fields), Packed::Array(items)) if fields.len() == items.len() => {
                let field = |((name, shape), value): (&(String, Shape), &Packed)| {
                    (name.clone(), self.named(shape, value))
                };
                Value::Object(fields.iter().zip(items).map(field).collect())
            }
            (Shape::Enum(variants), Packed::Map(entries)) if entries.len() == 1 => {
                let (name, content) = &entries[0];
                let variant = variants.iter().find(|(variant, _)| name.as_str() == Some(variant));
                match variant {
                    Some((name, shape)) => json!({ name: self.named(shape, content) }),
                    None => plain(value),
                }
            }
            _ => plain(value),
        }
    }
}

/// MessagePack as JSON, without names.
pub(crate) fn plain(value: &Packed) -> Value {
    match value {
        Packed::Nil => Value::Null,
        Packed::Boolean(value) => json!(value),
        Packed::Integer(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => json!(number),
            (None, number) => json!(number),
        },
        Packed::F32(number) => render::float(f64::from(*number)),
        Packed::F64(number) => render::float(*number),
        Packed::String(text) => render::unread(text.as_bytes()),
        Packed::Binary(bytes) => render::unread(bytes),
        Packed::Array(items) => items.iter().map(plain).collect(),
        Packed::Map(entries) => {
            map(entries.iter().map(|(key, value)| (plain(key), plain(value))).collect())
        }
        Packed::Ext(kind, bytes) => json!({ "ext": kind, "bytes": render::unread(bytes) }),
    }
}

/// An object if every key can be one of its names, else a list of pairs.
fn map(entries: Vec<(Value, Value)>) -> Value {
    let simple = |key: &Value| key.is_string() || key.is_number() || key.is_boolean();
    if !entries.iter().all(|(key, _)| simple(key)) {
        return entries.into_iter().map(|(key, value)| json!([key, value])).collect();
    }
    let name = |key: Value| match key {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let named = entries.into_iter().map(|(key, value)| (name(key), value));
    Value::Object(named.collect::<Map<_, _>>())
}
