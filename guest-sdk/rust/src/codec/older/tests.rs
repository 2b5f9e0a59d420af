//! Tests of values that were written by earlier versions of their types.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::codec::{Decode, Encode, Json};

/// Writes a value as one type and reads it as another.
fn reread<Old: Encode, New: Decode>(old: &Old) -> crate::Result<New> {
    let mut bytes = Vec::new();
    old.write(&mut bytes)?;
    New::read(&bytes)
}

#[track_caller]
fn check<Old: Encode, New: Decode + PartialEq + Debug>(old: Old, new: New) {
    assert_eq!(reread::<Old, New>(&old).unwrap(), new);
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Short {
    a: u32,
    b: f32,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Long {
    a: u64,
    b: f64,
    c: Option<String>,
    d: Option<Box<Long>>,
}

fn short(a: u32) -> Short {
    Short { a, b: 0.5 }
}

fn long(a: u64) -> Long {
    Long { a, b: 0.5, c: None, d: None }
}

#[test]
fn optional_fields_at_the_end_may_be_missing() {
    check(short(1), long(1));
    let full = Long { c: Some("c".to_owned()), d: Some(Box::new(long(2))), ..long(1) };
    check(full.clone(), full);
}

#[test]
fn they_may_be_missing_wherever_a_struct_is() {
    check(vec![short(1), short(2)], vec![long(1), long(2)]);
    check((short(1), 7_u8), (long(1), 7_u64));
    check(Some(short(1)), Some(long(1)));
    check(BTreeMap::from([(1_u8, short(1))]), BTreeMap::from([(1_u64, long(1))]));

    #[derive(Serialize)]
    struct Before {
        inner: Short,
        many: Vec<(u8, Short)>,
    }
    #[derive(Deserialize, PartialEq, Debug)]
    struct After {
        inner: Long,
        many: Vec<(u8, Long)>,
        more: Option<Long>,
    }
    let before = Before { inner: short(1), many: vec![(3, short(2))] };
    check(before, After { inner: long(1), many: vec![(3, long(2))], more: None });
}

#[test]
fn they_may_be_missing_in_variants_and_wrappers() {
    #[derive(Serialize)]
    enum Before {
        Unit,
        One(Short),
        Two(u8, Short),
        Named { inner: Short },
    }
    #[derive(Deserialize, PartialEq, Debug)]
    enum After {
        Unit,
        One(Long),
        Two(u8, Long, Option<u8>),
        Named { inner: Long, more: Option<u8> },
    }
    check(Before::Unit, After::Unit);
    check(Before::One(short(1)), After::One(long(1)));
    check(Before::Two(2, short(1)), After::Two(2, long(1), None));
    check(Before::Named { inner: short(1) }, After::Named { inner: long(1), more: None });

    #[derive(Serialize)]
    struct OldPair(u8, Short);
    #[derive(Deserialize, PartialEq, Debug)]
    struct Pair(u64, Long, Option<u8>);
    check(OldPair(1, short(2)), Pair(1, long(2), None));

    #[derive(Serialize)]
    struct OldWrapper(Short);
    #[derive(Deserialize, PartialEq, Debug)]
    struct Wrapper(Long);
    check(OldWrapper(short(2)), Wrapper(long(2)));
}

#[test]
fn fields_of_json_may_be_missing_too() {
    check(Json(vec![short(1)]), Json(vec![long(1)]));
}

#[test]
fn numbers_may_be_wider() {
    check((1_u8, -1_i8, 0.5_f32), (1_u64, -1_i64, 0.5_f64));
    check((u32::MAX, i32::MIN), (u64::from(u32::MAX), i64::from(i32::MIN)));
    check((true, 'x', vec![1_u16]), (true, 'x', vec![1_u32]));
    let narrower = reread::<_, (u8,)>(&(300_u32,)).unwrap_err().to_string();
    assert!(narrower.contains("300"), "{narrower}");
    // Outside of bytes they are words of one width.
    assert_eq!(u64::from_word(7_u32.to_word()).unwrap(), 7);
    assert_eq!(i64::from_word((-7_i32).to_word()).unwrap(), -7);
    assert_eq!(f64::from_word(0.1_f32.to_word()).unwrap(), f64::from(0.1_f32));
}

#[test]
fn fields_may_become_optional_and_enums_may_have_new_variants() {
    check((7_u8, "seven".to_owned()), (Some(7_u64), Some("seven".to_owned())));
    #[derive(Serialize)]
    enum Before {
        Empty,
        Full(u32),
    }
    #[derive(Deserialize, PartialEq, Debug)]
    enum After {
        Broken(String),
        Empty,
        Full(Option<u64>),
    }
    #[derive(Serialize)]
    enum Rebuilt {
        Broken(String),
    }
    check(vec![Before::Empty, Before::Full(3)], vec![After::Empty, After::Full(Some(3))]);
    check(Rebuilt::Broken("b".to_owned()), After::Broken("b".to_owned()));
}

#[test]
fn nothing_else_may_be_missing() {
    #[derive(Deserialize, Debug)]
    #[expect(dead_code, reason = "it is never read")]
    struct Strict {
        a: u64,
        b: f64,
        c: u64,
    }
    let said = reread::<_, Strict>(&short(1)).unwrap_err().to_string();
    assert!(said.contains("length 2") && said.contains("3"), "{said}");
    // A field that is there has to be what it is said to be.
    assert!(reread::<_, Long>(&("text", 0.5)).is_err());
    // And there are none too many.
    assert!(reread::<_, Short>(&Long { c: Some("c".to_owned()), ..long(1) }).is_err());
    assert!(reread::<_, (u64, Option<u64>)>(&(1_u64,)).is_err(), "tuples are as long as they are");
}
