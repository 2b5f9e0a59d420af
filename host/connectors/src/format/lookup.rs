//! Looking one value up in JSON text by a JSON pointer (RFC 6901), checking the whole text on the way.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A JSON pointer, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer {
    text: String,
    steps: Vec<String>,
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pointer {
    /// A pointer, or nothing if the text is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let steps = match text.strip_prefix('/') {
            Some(rest) => {
                rest.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
            }
            None if text.is_empty() => Vec::new(),
            None => return None,
        };
        Some(Self { text: text.to_owned(), steps })
    }

    /// What the pointer points at, if anything. Everything else is checked and not kept.
    pub(crate) fn look_up(&self, json: &str) -> Result<Option<Value>, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let found = Steps(&self.steps).deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(found)
    }
}

struct Steps<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for Steps<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            return Value::deserialize(deserializer).map(Some);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Steps<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(wanted) = map.next_key_seed(Name(&self.0[0]))? {
            if wanted {
                found = map.next_value_seed(Steps(&self.0[1..]))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let wanted = self.0[0].parse::<usize>().ok().filter(|n| n.to_string() == self.0[0]);
        let mut found = None;
        for index in 0.. {
            if wanted == Some(index) {
                match sequence.next_element_seed(Steps(&self.0[1..]))? {
                    Some(value) => found = value,
                    None => break,
                }
            } else if sequence.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Whether a member has this name, without a copy of it.
struct Name<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_finds_what_serde_json_finds() {
        let json = r#"{"a":{"b":[1,{"c~/d":"x"},null]},"n":1.5,"t":true,"":"empty","a b":"é\n"}"#;
        let value: Value = serde_json::from_str(json).unwrap();
        for text in [
            "",
            "/a/b/0",
            "/a/b/1/c~0~1d",
            "/a/b/2",
            "/a/b/3",
            "/a/b/00",
            "/a/x",
            "/n",
            "/n/x",
            "/t/0",
            "/",
            "/a b",
        ] {
            let found = Pointer::parse(text).unwrap().look_up(json).unwrap();
            assert_eq!(found.as_ref(), value.pointer(text), "{text}");
        }
    }

    #[test]
    fn the_whole_text_is_checked() {
        let pointer = Pointer::parse("/a").unwrap();
        for json in ["{\"a\":1,\"b\":}", "{\"a\":1} x", "{\"a\":1", "nul"] {
            assert!(pointer.look_up(json).is_err(), "{json}");
        }
        assert_eq!(Pointer::parse("a"), None);
    }
}
