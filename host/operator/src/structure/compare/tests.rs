//! Tests of what can be read as what.

use serde_json::{Value, json};

use super::*;

fn structure(shape: Value) -> Structure {
    Structure::read(&json!({ "type": shape }).to_string()).unwrap()
}

fn compare(before: Value, now: Value, codec: Codec) -> Result<Widening, String> {
    structure(before).widened(&structure(now), codec)
}

#[test]
fn what_has_room_for_more_is_widened_one_way_and_refused_the_other() {
    let day = json!({ "struct": [["flights", "u64"]] });
    let noted = json!({ "struct": [["flights", "u64"], ["note", { "optional": "text" }]] });
    let kinds = json!({ "enum": [["Free", "unit"]] });
    let more = json!({ "enum": [["Free", "unit"], ["Busy", { "struct": [["since", "s64"]] }]] });
    for (narrow, wide, said) in [
        (day, noted, "the value has the new field `note`"),
        (kinds, more, "the value has the new variant `Busy`"),
        (json!("f32"), json!("f64"), "the value has 64 bits now"),
        (json!("u64"), json!("s64"), "the value is signed now"),
        (json!("text"), json!({ "optional": "text" }), "the value may be missing now"),
        (json!({ "list": "f32" }), json!({ "list": "f64" }), "64 bits"),
        (json!({ "map": ["text", "u64"] }), json!({ "map": ["text", "s64"] }), "signed"),
    ] {
        let widened = compare(narrow.clone(), wide.clone(), Codec::Msgpack).unwrap();
        assert!(widened.widened[0].contains(said), "{widened:?}");
        assert!(compare(wide, narrow.clone(), Codec::Msgpack).is_err(), "{narrow} is narrower");
        let same = compare(narrow.clone(), narrow, Codec::Msgpack).unwrap();
        assert_eq!(same, Widening::default());
    }
}

#[test]
fn what_cannot_be_read_is_named_with_its_place() {
    let day = |fields: Value| json!({ "struct": [["day", { "struct": fields }]] });
    let before = day(json!([["flights", "u64"], ["late", "u64"]]));
    for (now, part) in [
        (day(json!([["flights", "text"], ["late", "u64"]])), "`day.flights` is of another type"),
        (day(json!([["flights", "u64"]])), "`day` has lost its field `late`"),
        (
            day(json!([["flights", "u64"], ["late", "u64"], ["new", "u64"]])),
            "`new`, which is not optional",
        ),
        (json!("u64"), "the value is of another type"),
    ] {
        let reason = compare(before.clone(), now, Codec::Msgpack).unwrap_err();
        assert!(reason.contains(part), "{reason}");
    }
    let variants = compare(
        json!({ "enum": [["Free", "unit"]] }),
        json!({ "enum": [["Empty", "unit"]] }),
        Codec::Msgpack,
    );
    assert!(variants.unwrap_err().contains("lost its variant `Free`"));
}

#[test]
fn names_of_fields_count_where_they_travel() {
    let (before, now) = (
        json!({ "struct": [["flights", "u64"], ["late", "u64"]] }),
        json!({ "struct": [["flights", "u64"], ["delayed", "u64"]] }),
    );
    let named = compare(before.clone(), now.clone(), Codec::Msgpack).unwrap();
    assert!(named.widened.is_empty() && named.named[0].contains("`late` now `delayed`"));
    assert!(compare(before.clone(), now, Codec::Json).unwrap_err().contains("lost"));
    // In JSON the order of fields is nothing, in arrays of fields it is everything.
    let turned = json!({ "struct": [["late", { "optional": "u64" }], ["flights", "u64"]] });
    let before = json!({ "struct": [["flights", "u64"], ["late", { "optional": "u64" }]] });
    assert_eq!(compare(before.clone(), turned.clone(), Codec::Json), Ok(Widening::default()));
    assert!(compare(before, turned, Codec::Msgpack).is_err());
}

#[test]
fn what_is_compared_by_its_bytes_keeps_them() {
    let key = structure(json!({ "struct": [["from", "text"]] }));
    let longer = json!({ "struct": [["from", "text"], ["to", { "optional": "text" }]] });
    assert!(key.same_bytes(&structure(longer), Codec::Msgpack).is_err());
    let renamed = structure(json!({ "struct": [["origin", "text"]] }));
    assert!(key.same_bytes(&renamed, Codec::Msgpack).is_ok());
    assert!(key.same_bytes(&renamed, Codec::Json).is_err());
    let set = |shape: Value| {
        let elements = json!({ "layout": "bytes", "codec": "msgpack" });
        Structure::read(&json!({ "type": shape, "elements": elements }).to_string()).unwrap()
    };
    let (one, other) = (set(json!("f32")), set(json!("f64")));
    assert!(one.widened(&one, Codec::Raw).is_ok());
    assert!(one.widened(&other, Codec::Raw).is_err(), "an element is what its bytes are");
}

#[test]
fn types_that_hold_themselves_are_compared_once() {
    let tree = |leaf: &str| {
        let branches = json!({ "list": { "named": "Tree" } });
        let tree = json!({ "struct": [["leaf", leaf], ["branches", branches]] });
        let text = json!({ "type": { "named": "Tree" }, "types": { "Tree": tree } });
        Structure::read(&text.to_string()).unwrap()
    };
    let widened = tree("f32").widened(&tree("f64"), Codec::Msgpack).unwrap();
    assert_eq!(widened.widened, ["`leaf` has 64 bits now"]);
    assert!(tree("f64").widened(&tree("text"), Codec::Msgpack).is_err());
}
