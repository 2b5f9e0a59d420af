//! JSON as MessagePack, or as JSON with fields in their order: what the SDK would have written for the same value.

use rmpv::Value as Packed;
use serde_json::{Map, Value};

use super::{Shape, Structure};
use crate::parse;

impl Structure {
    /// JSON with names as MessagePack bytes.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub fn encode(&self, value: &Value) -> Result<Vec<u8>, String> {
        Ok(write(&self.packed(&self.shape, value)?))
    }

    /// JSON with the fields of structs in the order of the structure, as bytes.
    pub fn order(&self, value: &Value) -> Vec<u8> {
        let mut text = String::new();
        self.ordered(&self.shape, value, &mut text);
        text.into_bytes()
    }

    fn packed(&self, shape: &Shape, value: &Value) -> Result<Packed, String> {
        let shape = self.resolve(shape);
        let refused = || format!("{value} is no {}", describe(shape));
        Ok(match (shape, value) {
            (Shape::Optional(_) | Shape::Unit, Value::Null) => Packed::Nil,
            (Shape::Optional(inner), value) => self.packed(inner, value)?,
            (Shape::Bool, Value::Bool(value)) => Packed::from(*value),
            (Shape::U64, value) => Packed::from(value.as_u64().ok_or_else(refused)?),
            (Shape::S64, value) => Packed::from(value.as_i64().ok_or_else(refused)?),
            (Shape::F64, value) => Packed::F64(parse::float(value).ok_or_else(refused)?),
            (Shape::F32, value) => Packed::F32(parse::float(value).ok_or_else(refused)? as f32),
            (Shape::Text, Value::String(text)) => Packed::from(text.as_str()),
            (Shape::Bytes, Value::String(text)) => Packed::Binary(parse::bytes(text)),
            (Shape::List(item), Value::Array(items)) => {
                let items = items.iter().map(|value| self.packed(item, value));
                Packed::Array(items.collect::<Result<_, _>>()?)
            }
            (Shape::Tuple(shapes), Value::Array(items)) if shapes.len() == items.len() => {
                let items =
                    shapes.iter().zip(items).map(|(shape, value)| self.packed(shape, value));
                Packed::Array(items.collect::<Result<_, _>>()?)
            }
            (Shape::Map(shapes), value) => self.packed_map(&shapes.0, &shapes.1, value)?,
            (Shape::Struct(fields), Value::Object(named)) => self.packed_struct(fields, named)?,
            (Shape::Struct(fields), Value::Array(items)) if fields.len() == items.len() => {
                let pairs = fields.iter().zip(items);
                let items = pairs.map(|((_, shape), value)| self.packed(shape, value));
                Packed::Array(items.collect::<Result<_, _>>()?)
            }
            (Shape::Enum(variants), value) => self.packed_variant(variants, value)?,
            (Shape::Any | Shape::Named(_), value) => plain(value),
            _ => return Err(refused()),
        })
    }

    fn packed_struct(
        &self,
        fields: &[(String, Shape)],
        named: &Map<String, Value>,
    ) -> Result<Packed, String> {
        if let Some(name) = named.keys().find(|name| fields.iter().all(|(field, _)| field != *name))
        {
            let names = fields.iter().map(|(name, _)| name.as_str());
            let names = names.collect::<Vec<_>>().join(", ");
            return Err(format!("there is no field `{name}`; the fields are {names}"));
        }
        let field = |(name, shape): &(String, Shape)| match named.get(name) {
            Some(value) => {
                self.packed(shape, value).map_err(|reason| format!("field `{name}`: {reason}"))
            }
            None if matches!(self.resolve(shape), Shape::Optional(_)) => Ok(Packed::Nil),
            None => Err(format!("field `{name}` is missing")),
        };
        Ok(Packed::Array(fields.iter().map(field).collect::<Result<_, _>>()?))
    }

    fn packed_variant(
        &self,
        variants: &[(String, Shape)],
        value: &Value,
    ) -> Result<Packed, String> {
        let (name, content) = match value {
            Value::String(name) => (name, None),
            Value::Object(one) if one.len() == 1 => {
                let (name, content) = one.iter().next().expect("there is one");
                (name, Some(content))
            }
            _ => {
                return Err(format!("{value} is no {}", describe(&Shape::Enum(variants.to_vec()))));
            }
        };
        let variant = variants.iter().find(|(variant, _)| variant == name);
        match (variant, content) {
            (Some((name, Shape::Unit)), None) => Ok(Packed::from(name.as_str())),
            (Some((name, shape)), Some(content)) => {
                let content = self.packed(shape, content);
                let content = content.map_err(|reason| format!("variant `{name}`: {reason}"))?;
                Ok(Packed::Map(vec![(Packed::from(name.as_str()), content)]))
            }
            _ => Err(format!("{value} is no {}", describe(&Shape::Enum(variants.to_vec())))),
        }
    }

    fn packed_map(&self, key: &Shape, value: &Shape, map: &Value) -> Result<Packed, String> {
        let pairs: Vec<(Value, &Value)> = match map {
            Value::Object(named) => {
                let textual =
                    matches!(self.resolve(key), Shape::Text | Shape::Any | Shape::Enum(_));
                let key = |name: &String| match serde_json::from_str(name) {
                    Ok(number) if !textual => number,
                    _ => Value::String(name.clone()),
                };
                named.iter().map(|(name, value)| (key(name), value)).collect()
            }
            Value::Array(pairs) => {
                let pair = |pair: &'_ Value| match pair.as_array().map(Vec::as_slice) {
                    Some([_, _]) => Ok(()),
                    _ => Err(format!("{pair} is no pair of a key and a value")),
                };
                pairs.iter().try_for_each(pair)?;
                pairs.iter().map(|pair| (pair[0].clone(), &pair[1])).collect()
            }
            other => return Err(format!("{other} is no map")),
        };
        let entry = |(name, content): (Value, &Value)| {
            Ok((self.packed(key, &name)?, self.packed(value, content)?))
        };
        Ok(Packed::Map(pairs.into_iter().map(entry).collect::<Result<_, String>>()?))
    }

    fn ordered(&self, shape: &Shape, value: &Value, text: &mut String) {
        let list = |items: &[Value], shape: &dyn Fn(usize) -> Shape, text: &mut String| {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { "," });
                self.ordered(&shape(index), item, text);
            }
            text.push(']');
        };
        match (self.resolve(shape), value) {
            (Shape::Optional(inner), value) => self.ordered(inner, value, text),
            (Shape::List(item), Value::Array(items)) => list(items, &|_| (**item).clone(), text),
            (Shape::Tuple(shapes), Value::Array(items)) => {
                list(items, &|index| shapes.get(index).cloned().unwrap_or(Shape::Any), text);
            }
            (Shape::Struct(fields), Value::Object(named)) => {
                let known = |name: &&String| fields.iter().any(|(field, _)| field == *name);
                let rest = named.keys().filter(|name| !known(name)).map(|name| (name, &Shape::Any));
                let fields = fields.iter().map(|(name, shape)| (name, shape)).chain(rest);
                let fields =
                    fields.filter_map(|(name, shape)| Some((name, shape, named.get(name)?)));
                text.push('{');
                for (index, (name, shape, value)) in fields.enumerate() {
                    text.push_str(if index == 0 { "" } else { "," });
                    text.push_str(&Value::String(name.clone()).to_string());
                    text.push(':');
                    self.ordered(shape, value, text);
                }
                text.push('}');
            }
            (Shape::Enum(variants), Value::Object(one)) if one.len() == 1 => {
                let (name, content) = one.iter().next().expect("there is one");
                let variant = variants.iter().find(|(variant, _)| variant == name);
                text.push_str(&format!("{{{}:", Value::String(name.clone())));
                self.ordered(variant.map_or(&Shape::Any, |(_, shape)| shape), content, text);
                text.push('}');
            }
            (_, value) => text.push_str(&value.to_string()),
        }
    }
}

/// The bytes of a value.
pub(crate) fn write(value: &Packed) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).expect("memory takes every byte");
    bytes
}

/// JSON as MessagePack, of what structure it may be.
pub(crate) fn plain(value: &Value) -> Packed {
    match value {
        Value::Null => Packed::Nil,
        Value::Bool(value) => Packed::from(*value),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Packed::from(number),
            (_, Some(number)) => Packed::from(number),
            _ => Packed::F64(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Packed::from(text.as_str()),
        Value::Array(items) => Packed::Array(items.iter().map(plain).collect()),
        Value::Object(named) => {
            let entry =
                |(name, value): (&String, &Value)| (Packed::from(name.as_str()), plain(value));
            Packed::Map(named.iter().map(entry).collect())
        }
    }
}

fn describe(shape: &Shape) -> String {
    let names = |list: &[(String, Shape)]| {
        list.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    };
    match shape {
        Shape::Any | Shape::Named(_) => "value".to_owned(),
        Shape::Bool => "truth value".to_owned(),
        Shape::U64 => "unsigned number".to_owned(),
        Shape::S64 => "signed number".to_owned(),
        Shape::F64 | Shape::F32 => "number".to_owned(),
        Shape::Text => "text".to_owned(),
        Shape::Bytes => "text or `0x…`".to_owned(),
        Shape::Unit => "null".to_owned(),
        Shape::Optional(inner) => format!("{} or null", describe(inner)),
        Shape::List(_) => "list".to_owned(),
        Shape::Map(_) => "map".to_owned(),
        Shape::Tuple(shapes) => format!("list of {} values", shapes.len()),
        Shape::Struct(fields) => format!("object with the fields {}", names(fields)),
        Shape::Enum(variants) => format!("variant of {}", names(variants)),
    }
}
