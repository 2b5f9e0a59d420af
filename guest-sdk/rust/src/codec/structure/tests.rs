//! Tests of the structures that are found.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

fn found<T: DeserializeOwned>() -> Value {
    serde_json::from_str(&of::<T>(false, None).unwrap()).unwrap()
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only its structure is looked at")]
struct Day {
    flights: u32,
    delay: Option<f64>,
    carriers: HashMap<String, Vec<i16>>,
    #[serde(rename = "type")]
    kind: Kind,
    pair: (bool, f32, char),
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only its structure is looked at")]
enum Kind {
    Free,
    Busy { since: i64, until: Option<i64> },
    Closed(String),
    Both(u8, u8),
}

#[test]
fn fields_and_variants_have_their_names() {
    let expected = json!({
        "type": { "named": "Day" },
        "types": {
            "Day": { "struct": [
                ["flights", "u64"],
                ["delay", { "optional": "f64" }],
                ["carriers", { "map": ["text", { "list": "s64" }] }],
                ["type", { "named": "Kind" }],
                ["pair", { "tuple": ["bool", "f32", "text"] }],
            ] },
            "Kind": { "enum": [
                ["Free", "unit"],
                ["Busy", { "struct": [["since", "s64"], ["until", { "optional": "s64" }]] }],
                ["Closed", "text"],
                ["Both", { "tuple": ["u64", "u64"] }],
            ] },
        },
    });
    assert_eq!(found::<Day>(), expected);
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only its structure is looked at")]
struct Tree {
    left: Option<Box<Tree>>,
    right: Option<Box<Tree>>,
    children: Vec<Tree>,
    expression: Expression,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only its structure is looked at")]
enum Expression {
    Sum(Box<Expression>, Box<Expression>),
    Negative(Box<Expression>),
    Number(f64),
}

#[test]
fn types_that_hold_themselves_end() {
    let types = found::<Tree>()["types"].clone();
    let tree = json!({ "struct": [
        ["left", { "optional": { "named": "Tree" } }],
        ["right", { "optional": { "named": "Tree" } }],
        ["children", { "list": { "named": "Tree" } }],
        ["expression", { "named": "Expression" }],
    ] });
    assert_eq!(types["Tree"], tree);
    let expression = json!({ "named": "Expression" });
    let variants = json!({ "enum": [
        ["Sum", { "tuple": [expression, expression] }],
        ["Negative", expression],
        ["Number", "f64"],
    ] });
    assert_eq!(types["Expression"], variants);
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "only its structure is looked at")]
struct Odd {
    before: u64,
    #[serde(deserialize_with = "never")]
    refuses: u64,
    after: u64,
}

fn never<'de, D: serde::Deserializer<'de>>(_: D) -> Result<u64, D::Error> {
    Err(serde::de::Error::custom("it is never content"))
}

#[test]
fn a_type_that_does_not_go_along_is_described_as_far_as_it_goes() {
    let fields = json!({ "struct": [["before", "u64"], ["refuses", "any"], ["after", "any"]] });
    assert_eq!(found::<Odd>()["types"]["Odd"], fields);
    assert_eq!(of::<Value>(true, None), None);
}

mod elsewhere {
    #[derive(serde::Deserialize)]
    #[expect(dead_code, reason = "only its structure is looked at")]
    pub(super) struct Day(pub(super) Inner);

    #[derive(serde::Deserialize)]
    #[serde(rename = "Day")]
    #[expect(dead_code, reason = "only its structure is looked at")]
    pub(super) struct Inner {
        other: bool,
    }
}

#[test]
fn types_of_the_same_name_are_told_apart() {
    let both = found::<(Day, elsewhere::Day)>();
    assert_eq!(both["type"], json!({ "tuple": [{ "named": "Day" }, { "named": "Day 2" }] }));
    assert_eq!(both["types"]["Day 2"], json!({ "struct": [["other", "bool"]] }));
}

#[test]
fn long_arrays_are_lists_and_what_is_too_large_is_left_out() {
    assert_eq!(
        found::<[[u8; 32]; 2]>()["type"],
        json!({ "tuple": [{ "list": "u64" }, { "list": "u64" }] })
    );
    assert_eq!(of::<[[[u8; 32]; 32]; 32]>(false, None), None);
}
