//! What differs is found, and what both share is not read.

use std::collections::BTreeMap;

use futures::executor::block_on;
use proptest::prelude::*;
use serde_json::Value;
use statehouse_state::KeyLayout;

use super::bed::{Bed, Kind, rows};
use super::reading::{filled, ops, some_ops};
use crate::Error;
use crate::diff::{Compared, DiffOptions, Side};
use crate::inside::Inside;
use statehouse_checkpoint::PackSettings;

/// Differences as JSON: kind, old and new.
type Found = BTreeMap<String, (String, Option<Value>, Option<Value>)>;

fn diff(old: &Inside, new: &Inside, options: &DiffOptions) -> (Found, Compared) {
    let mut found = Found::new();
    let compared = block_on(old.diff::<Error>(new, options, &mut |view, difference| {
        let side = |side: Side<'_>| match side {
            Side::Present(row) => Some(Value::Object(view.json(&row))),
            _ => None,
        };
        let name = Value::Object(view.json_identity(&difference.row)).to_string();
        let (old, new) = (side(difference.old), side(difference.new));
        assert!(
            found.insert(name, (difference.kind().to_owned(), old, new)).is_none(),
            "told once"
        );
        Ok(())
    }));
    (found, compared.unwrap())
}

fn identities(inside: &Inside) -> BTreeMap<String, Value> {
    let view = inside.operator("a.counts").unwrap();
    let mut all = BTreeMap::new();
    let scanned = block_on(inside.scan::<Error>(&view, &Default::default(), &mut |row| {
        all.insert(
            Value::Object(view.json_identity(row)).to_string(),
            Value::Object(view.json(row)),
        );
        Ok(())
    }));
    scanned.unwrap();
    all
}

/// What a comparison must find, by reading everything.
fn expected(old: &Inside, new: &Inside) -> Found {
    let (old, new) = (identities(old), identities(new));
    let mut found = Found::new();
    for name in old.keys().chain(new.keys()) {
        let (old, new) = (old.get(name).cloned(), new.get(name).cloned());
        let kind = match (&old, &new) {
            (None, _) => "added",
            (_, None) => "removed",
            (old, new) if old == new => continue,
            _ => "changed",
        };
        found.insert(name.clone(), (kind.to_owned(), old, new));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn every_difference_is_found(
        layout in prop::sample::select(vec![KeyLayout::U64, KeyLayout::Bytes]),
        rocks in any::<bool>(),
        before in ops(80),
        after in prop::collection::vec(ops(12), 1..3),
    ) {
        let mut bed = Bed::new(if rocks { Kind::Rocks } else { Kind::Heap }, layout, 2);
        before.into_iter().for_each(|op| bed.apply(op));
        let first = bed.checkpoint();
        let mut last = first.clone();
        for part in after {
            part.into_iter().for_each(|op| bed.apply(op));
            last = bed.checkpoint();
        }
        let (old, new) = (bed.inside(&first), bed.inside(&last));
        let whole = DiffOptions { values_before: true, ..DiffOptions::default() };
        prop_assert_eq!(diff(&old, &new, &whole).0, expected(&old, &new));
        prop_assert_eq!(diff(&new, &old, &whole).0, expected(&new, &old));
        // Without the beginnings of chains: nothing is missing, and what is there is as it is in the newer one.
        let (quick, _) = diff(&old, &new, &DiffOptions::default());
        for (name, (kind, _, value)) in expected(&old, &new) {
            let told = &quick[&name];
            prop_assert_eq!(&told.2, &value);
            prop_assert!(told.0 == kind || (told.0 == "set" && kind != "removed"), "{} {}", told.0, kind);
        }
    }

    #[test]
    fn what_both_backends_hold_is_the_same(parts in ops(60)) {
        let [mut heap, mut rocks] = [Kind::Heap, Kind::Rocks].map(|kind| Bed::new(kind, KeyLayout::U64, 1));
        for op in parts {
            heap.apply(op);
            rocks.apply(op);
        }
        let manifests = [heap.checkpoint(), rocks.checkpoint()];
        let (found, _) = diff(&heap.inside(&manifests[0]), &rocks.inside(&manifests[1]), &DiffOptions::default());
        prop_assert!(found.is_empty(), "{:?}", found);
    }
}

#[test]
fn what_both_share_is_not_read() {
    let mut bed = filled(Kind::Heap);
    let first = bed.checkpoint();
    some_ops(301).into_iter().skip(300).for_each(|op| bed.apply(op));
    let second = bed.checkpoint();
    let (old, new) = (bed.inside(&first), bed.inside(&second));
    let before = bed.store.calls();
    let (found, compared) = diff(&old, &new, &DiffOptions::default());
    // One pack with the increment; the task states, which differ, are in the manifests.
    assert_eq!(bed.store.calls() - before, 1);
    assert_eq!((compared.groups_ends, compared.groups_whole), (1, 0));
    assert!(compared.groups_same > 0);
    assert_eq!(found.len(), 2, "a value and the element of the task: {found:?}");
    let before = bed.store.calls();
    let (found, compared) = diff(&new, &new, &DiffOptions::default());
    assert_eq!((found.len(), bed.store.calls() - before, compared.differences), (0, 0, 0));
}

#[test]
fn tables_that_are_the_same_are_not_read_and_shared_files_are_fetched_once() {
    let mut bed = filled(Kind::Rocks);
    let first = bed.checkpoint();
    some_ops(302).into_iter().skip(300).for_each(|op| bed.apply(op));
    let second = bed.checkpoint();
    let (old, new) = (bed.inside(&first), bed.inside(&second));
    let before = bed.store.calls();
    diff(&old, &old, &DiffOptions::default());
    assert_eq!(bed.store.calls() - before, 0);
    let packs = |manifest: &statehouse_checkpoint::Manifest| manifest.packs();
    let shared = packs(&first).intersection(&packs(&second)).count() as u64;
    assert!(shared > 0, "tables are kept from one checkpoint to the next");
    let all = (packs(&first).len() + packs(&second).len()) as u64;
    let before = bed.store.calls();
    let (_, compared) = diff(&old, &new, &DiffOptions::default());
    assert!(compared.groups_whole > 0);
    assert!(bed.store.calls() - before <= all - shared, "{all} packs, {shared} of them shared");
}

#[test]
fn forks_that_went_different_ways_are_compared_from_where_they_parted() {
    let mut bed = filled(Kind::Heap);
    let common = bed.checkpoint();
    let inside = bed.inside(&common);
    let edited = |name: &str, key: &str, value: &str| {
        let mut edits = crate::Edits::new(&inside, 0);
        edits.set(name, key, value).unwrap();
        let edited = block_on(inside.edit(&edits, PackSettings::default())).unwrap();
        bed.inside(&edited.manifest)
    };
    let (one, other) =
        (edited("a.counts.sum", "key 1", "41"), edited("a.counts.sum", "key 1", "42"));
    let (found, _) = diff(&one, &other, &DiffOptions::default());
    let (kind, old, new) = found.values().next().unwrap();
    let values = (old.as_ref().unwrap()["value"].clone(), new.as_ref().unwrap()["value"].clone());
    assert_eq!((found.len(), kind.as_str(), values), (1, "changed", (41.into(), 42.into())));
    let other = edited("a.counts.seen", "key 1", "7");
    let (found, _) = diff(&one, &other, &DiffOptions::default());
    let kinds: Vec<_> = found.values().map(|found| found.0.as_str()).collect();
    assert_eq!(kinds, ["set", "reset"], "{found:?}");
    assert!(!rows(&one).is_empty());
}

#[test]
fn what_has_no_common_form_is_refused() {
    let [mut one, mut other] =
        [KeyLayout::U64, KeyLayout::Bytes].map(|layout| Bed::new(Kind::Heap, layout, 1));
    let (first, second) = (one.checkpoint(), other.checkpoint());
    let compared = block_on(one.inside(&first).diff::<Error>(
        &other.inside(&second),
        &DiffOptions::default(),
        &mut |_, _| Ok(()),
    ));
    let error = compared.unwrap_err().to_string();
    assert!(error.contains("the keys of operator `a.counts`"), "{error}");
}
