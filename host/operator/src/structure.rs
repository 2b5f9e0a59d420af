//! The structure inside bytes, as an SDK writes it into a description's `schema`: the names of fields and variants.
//!
//! It is for looking inside, for editing, and for telling whether another version of an operator can read what is
//! there. Whether the types of two ports are the same is never decided by it, and a text that is no structure counts as
//! none. `docs/internals/format.md` documents the text.

mod compare;
mod decode;
mod encode;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use statehouse_state::ValueLayout;

use crate::description::Codec;

pub use compare::Widening;
pub(crate) use decode::{plain as shown, read};
pub(crate) use encode::{plain, write};

/// Names that stand for names are followed this far.
const HOPS_MAX: usize = 8;

/// What some bytes are made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Structure {
    /// What they are.
    #[serde(rename = "type")]
    pub shape: Shape,
    /// The types that have names, which may refer to each other.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, Shape>,
    /// For a set: how each element is laid out. The shape is that of an element then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elements: Option<Elements>,
}

/// How the elements of a set are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Elements {
    /// Numbers are eight bytes in the order of their values.
    pub layout: ValueLayout,
    /// How to read bytes.
    pub codec: Codec,
}

/// The shape of a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Nothing is known.
    Any,
    /// True or false.
    Bool,
    /// An unsigned number.
    U64,
    /// A signed number.
    S64,
    /// A floating-point number.
    F64,
    /// A floating-point number of 32 bits.
    F32,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// Nothing to say.
    Unit,
    /// A value that may be missing.
    Optional(Box<Shape>),
    /// Any number of values.
    List(Box<Shape>),
    /// Keys and values.
    Map(Box<(Shape, Shape)>),
    /// So many values.
    Tuple(Vec<Shape>),
    /// Fields, in their order.
    Struct(Vec<(String, Shape)>),
    /// Variants; those that hold nothing are of shape unit.
    Enum(Vec<(String, Shape)>),
    /// A type of that name.
    Named(String),
}

impl Structure {
    /// Reads a description's `schema`; `None` if it is something else, such as words for people.
    pub fn read(schema: &str) -> Option<Self> {
        serde_json::from_str(schema).ok()
    }

    /// The shape that a name stands for, or the shape itself.
    fn resolve<'a>(&'a self, mut shape: &'a Shape) -> &'a Shape {
        for _ in 0..HOPS_MAX {
            let Shape::Named(name) = shape else { return shape };
            shape = self.types.get(name).unwrap_or(&Shape::Any);
        }
        &Shape::Any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn day() -> Structure {
        let schema = json!({
            "type": { "named": "Day" },
            "types": {
                "Day": { "struct": [
                    ["flights", "u64"], ["kind", { "named": "Kind" }], ["note", { "optional": "text" }],
                    ["by", { "map": ["u64", "f64"] }],
                ] },
                "Kind": { "enum": [["Free", "unit"], ["Busy", { "struct": [["since", "s64"]] }]] },
            },
        });
        Structure::read(&schema.to_string()).unwrap()
    }

    #[test]
    fn fields_have_their_names_and_names_become_fields() {
        let shown = json!({
            "flights": 3, "kind": { "Busy": { "since": -4 } }, "note": null, "by": { "7": 1.0 },
        });
        let encoded = day().encode(&shown).unwrap();
        // What rmp-serde writes for such a struct: arrays of fields, variants as maps of one.
        let expected: &[u8] = &[
            0x94, 3, 0x81, 0xa4, b'B', b'u', b's', b'y', 0x91, 0xfc, 0xc0, 0x81, 7, 0xcb, 0x3f,
            0xf0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(encoded, expected);
        assert_eq!(day().decode(&encoded), Some(shown));
        let free = json!({ "flights": 3, "kind": "Free", "by": {} });
        let encoded = day().encode(&free).unwrap();
        let shown = json!({ "flights": 3, "kind": "Free", "note": null, "by": {} });
        assert_eq!(day().decode(&encoded), Some(shown), "what is optional may be left out");
    }

    #[test]
    fn what_does_not_fit_is_said() {
        for (value, part) in [
            (json!({ "flights": 3, "kind": "Free" }), "`by` is missing"),
            (json!({ "flights": -3, "kind": "Free", "by": {} }), "`flights`"),
            (json!({ "flights": 3, "kind": "Fre", "by": {} }), "Free, Busy"),
            (json!({ "flights": 3, "kind": "Free", "by": {}, "x": 1 }), "no field `x`"),
            (json!(7), "flights"),
        ] {
            let reason = day().encode(&value).unwrap_err();
            assert!(reason.contains(part), "{value}: {reason}");
        }
    }

    #[test]
    fn bytes_of_another_structure_are_shown_as_they_are() {
        assert_eq!(day().decode(&[0x92, 1, 2]), Some(json!([1, 2])));
        assert_eq!(day().decode(&[0x07]), Some(json!(7)));
        assert_eq!(day().decode(&[0x92, 1]), None);
        assert_eq!(Structure::read("a count and a sum"), None);
    }

    #[test]
    fn names_that_go_round_in_circles_are_left_alone() {
        let schema = json!({ "type": { "named": "A" }, "types": { "A": { "named": "A" } } });
        let circle = Structure::read(&schema.to_string()).unwrap();
        assert_eq!(circle.decode(&[0x07]), Some(json!(7)));
        assert_eq!(circle.encode(&json!(7)), Ok(vec![7]));
    }
}
