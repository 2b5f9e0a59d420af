//! What was written is read back, whatever wrote it.

use std::collections::BTreeMap;

use futures::executor::block_on;
use proptest::prelude::*;
use serde_json::{Value, json};
use statehouse_checkpoint::PackSettings;
use statehouse_state::KeyLayout;

use super::bed::{Bed, Kind, Op, Rows, rows};
use crate::scan::{Counted, Filter};
use crate::{Error, Part};

/// What the operations leave behind, by a model that is nothing but maps and lists.
pub(super) fn model(bed: &Bed, ops: &[Op]) -> Rows {
    let mut rows = Rows::new();
    for &(id, key, op, entry, value) in ops {
        let (_, key) = bed.key(key % 12);
        let remove = op % 4 == 0;
        let state = |name: &str, map_key: Value| format!("{:?} {key} {map_key}", name);
        let row = |name: &str| json!({ "operator": "a.counts", "state": name, "key": key });
        let mut put = |name: String, mut row: Value, value: Value, remove: bool| {
            row["value"] = value;
            if remove { rows.remove(&name) } else { rows.insert(name, vec![row]) }
        };
        match id % 7 {
            0 => put(state("sum", Value::Null), row("sum"), json!(i64::from(value) - 100), remove),
            1 => {
                let mut row = row("note");
                row["expires_ms"] = json!(1100 + i64::from(op));
                put(state("note", Value::Null), row, json!(format!("note {value}")), remove)
            }
            2 => {
                let mut row = row("items");
                row["value"] = json!(value);
                let name = state("items", Value::Null);
                if op % 16 == 0 {
                    rows.remove(&name)
                } else {
                    rows.entry(name).or_default().push(row);
                    None
                }
            }
            3 => {
                let map_key = json!(format!("shop {}", entry % 5));
                let mut row = row("shops");
                row["map_key"] = map_key.clone();
                put(state("shops", map_key), row, json!(f64::from(value) / 2.0), remove)
            }
            4 => {
                let map_key = json!(i64::from(entry % 5) - 2);
                let mut row = row("days");
                row["map_key"] = map_key.clone();
                put(state("days", map_key), row, json!([value & 0x7f, "x"]), remove)
            }
            5 => {
                let name = state("seen", Value::Null);
                let before = rows.get(&name).map_or(0, |rows| rows[0]["value"].as_u64().unwrap());
                let mut row = row("seen");
                row["value"] = json!(before + u64::from(value));
                rows.insert(name, vec![row])
            }
            _ => {
                let (time, namespace) = (i64::from(value) - 50, u64::from(entry % 3));
                let mut row =
                    json!({ "operator": "a.counts", "timer": "end", "key": key, "time": time });
                let mut shown = None;
                if namespace != 0 {
                    row["namespace"] = json!(namespace);
                    shown = Some(json!(namespace));
                }
                let name = format!("{} {time} {:?}", state("end", Value::Null), shown.as_ref());
                if remove { rows.remove(&name) } else { rows.insert(name, vec![row]) }
            }
        };
    }
    rows
}

pub(super) fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(any::<Op>(), 1..most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_either_backend_wrote_is_read(
        layout in prop::sample::select(vec![KeyLayout::U64, KeyLayout::S64, KeyLayout::Bytes]),
        parallelism in 1..4_u32,
        rocks in any::<bool>(),
        parts in prop::collection::vec(ops(40), 1..4),
    ) {
        let mut bed = Bed::new(if rocks { Kind::Rocks } else { Kind::Heap }, layout, parallelism);
        let mut done = Vec::new();
        for part in parts {
            part.iter().for_each(|op| bed.apply(*op));
            done.extend(part);
            let manifest = bed.checkpoint();
            let inside = bed.inside(&manifest);
            prop_assert_eq!(rows(&inside), model(&bed, &done));
            let portable = block_on(inside.export(PackSettings::default(), 7)).unwrap();
            portable.check().unwrap();
            prop_assert!(portable.packs().is_disjoint(&manifest.packs()));
            prop_assert!(portable.operators[0].groups.values().all(|chain| chain.len() == 1));
            prop_assert_eq!(rows(&bed.inside(&portable)), model(&bed, &done));
        }
    }
}

pub(super) fn some_ops(count: u32) -> Vec<Op> {
    let byte = |seed: u32| (seed.wrapping_mul(2_654_435_761) >> 13) as u8;
    let op = |n: u32| {
        (byte(n * 5), byte(n * 5 + 1), byte(n * 5 + 2) | 1, byte(n * 5 + 3), byte(n * 5 + 4))
    };
    (0..count).map(op).collect()
}

pub(super) fn filled(kind: Kind) -> Bed {
    let mut bed = Bed::new(kind, KeyLayout::Bytes, 2);
    some_ops(300).into_iter().for_each(|op| bed.apply(op));
    bed
}

#[test]
fn one_key_and_one_state_can_be_asked_for() {
    for kind in [Kind::Heap, Kind::Rocks] {
        let mut bed = filled(kind);
        let manifest = bed.checkpoint();
        let inside = bed.inside(&manifest);
        let (view, part) = inside.find("a.counts.shops").unwrap();
        let key = view.parse_key("key 3").unwrap();
        let filter = Filter { part, key: Some(key), limit: None };
        let mut found = Vec::new();
        let before = bed.store.calls();
        let scanned = block_on(inside.scan::<Error>(&view, &filter, &mut |row| {
            found.push(Value::Object(view.json(row)));
            Ok(())
        }));
        assert!(scanned.unwrap());
        let requests = bed.store.calls() - before;
        if kind == Kind::Heap {
            assert_eq!(requests, 1, "only the pack with the key's group is read");
        }
        let all = rows(&inside);
        let of_key = |row: &&Value| row["state"] == "shops" && row["key"] == "key 3";
        let expected: Vec<Value> = all.values().flatten().filter(of_key).cloned().collect();
        assert!(found.len() > 1, "{found:?}");
        assert_eq!(found, expected);
        let filter = Filter { limit: Some(5), ..Filter::default() };
        let mut count = 0;
        let scanned = block_on(inside.scan::<Error>(&view, &filter, &mut |_| {
            count += 1;
            Ok(())
        }));
        assert_eq!((scanned.unwrap(), count), (false, 5));
    }
}

#[test]
fn states_are_counted() {
    for kind in [Kind::Heap, Kind::Rocks] {
        let mut bed = filled(kind);
        bed.checkpoint();
        some_ops(340).into_iter().skip(300).for_each(|op| bed.apply(op));
        let inside = {
            let manifest = bed.checkpoint();
            bed.inside(&manifest)
        };
        let view = inside.operator("a.counts").unwrap();
        let counted = block_on(inside.count(&view)).unwrap();
        let mut expected: BTreeMap<Part, u64> =
            view.parts().into_iter().map(|part| (part, 0)).collect();
        for row in rows(&inside).values().flatten() {
            let name = row.get("state").or(row.get("timer")).unwrap().as_str().unwrap();
            *expected.get_mut(&view.part(name).unwrap()).unwrap() += 1;
        }
        *expected.get_mut(&view.part("parts").unwrap()).unwrap() = 2;
        let entries = |counted: &BTreeMap<Part, Counted>| {
            counted
                .iter()
                .map(|(part, counted)| (*part, counted.entries))
                .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(entries(&counted), expected);
        assert!(counted.values().all(|counted| counted.bytes >= 8 * counted.entries));
    }
}

#[test]
fn names_and_keys_that_are_not_there_are_told() {
    let mut bed = filled(Kind::Heap);
    let manifest = bed.checkpoint();
    let inside = bed.inside(&manifest);
    let said = |error: Error| error.to_string();
    let error = said(inside.find("counts.sum").unwrap_err());
    assert!(error.contains("checkpoint 1 has no operator `counts`"), "{error}");
    assert!(error.contains("there is `a.counts`"), "{error}");
    let error = said(inside.find("a.counts.total").unwrap_err());
    assert!(error.contains("no state or timer `total`") && error.contains("`shops`"), "{error}");
    let number = Bed::new(Kind::Heap, KeyLayout::U64, 1);
    let manifest = { number }.checkpoint();
    let inside = bed.inside(&manifest);
    let view = inside.operator("a.counts").unwrap();
    let error = said(view.parse_key("tea").unwrap_err());
    assert!(error.contains("whose keys are u64") && error.contains("`tea`"), "{error}");
}

#[test]
fn damage_is_told_by_name() {
    for kind in [Kind::Heap, Kind::Rocks] {
        let mut bed = filled(kind);
        let manifest = bed.checkpoint();
        for pack in manifest.packs() {
            // Each keeps the tables that it has fetched.
            let inside = bed.inside(&manifest);
            let view = inside.operator("a.counts").unwrap();
            let name = format!("packs/{}/{}", &pack.digest.to_string()[..2], pack.digest);
            let whole = block_on(bed.store.bytes(&name)).unwrap();
            let mut damaged = whole.to_vec();
            damaged[whole.len() / 2] ^= 1;
            block_on(bed.store.replace(&name, damaged)).unwrap();
            let scanned =
                block_on(inside.scan::<Error>(&view, &Filter::default(), &mut |_| Ok(())));
            let error = scanned.unwrap_err().to_string();
            assert!(error.contains(&pack.digest.to_string()), "{error}");
            block_on(bed.store.replace(&name, whole)).unwrap();
        }
        assert!(!rows(&bed.inside(&manifest)).is_empty());
    }
}
