//! Operators whose state is on the way from one version to the next.

use futures::executor::block_on;
use serde_json::{Value, json};
use statehouse_checkpoint::{Manifest, PackSettings};
use statehouse_operator::{Description, Retired};
use statehouse_state::*;

use super::bed::{Bed, Kind, description, rows, state};
use crate::diff::DiffOptions;
use crate::edit::Edits;
use crate::inside::Inside;
use crate::scan::Filter;
use crate::{Error, Part};

/// `sum` is text now; its numbers wait for being migrated. The timers `end` are `due` now.
fn second() -> (Description, Retired) {
    let mut described = description(KeyLayout::U64);
    let text = state("sum", StateKind::Value, ValueLayout::Bytes, "text");
    let old =
        std::mem::replace(&mut described.states[0], StateDeclaration { schema_version: 2, ..text });
    let due = TimerDeclaration { name: "due".into(), ..described.timers[0].clone() };
    let end = std::mem::replace(&mut described.timers[0], due);
    described.version = "2".into();
    (described, Retired { states: vec![old], timers: vec![end] })
}

/// Keys 1 and 2 are as they were, key 3 was moved by the new version. With the checkpoint before the swap.
fn halfway(kind: Kind) -> (Bed, Manifest, Manifest) {
    let mut bed = Bed::new(kind, KeyLayout::U64, 2);
    for key in 1..=3_u8 {
        let timer = TimerChange { timer: TimerId(0), slot: 0, namespace: 0, time: 7, set: true };
        bed.commit(key, |set| {
            set.set_words(StateId(0), &[0], &[u64::from(key) * 100]);
            set.change_timer(timer);
        });
    }
    let before = bed.checkpoint();
    let (described, retired) = second();
    bed.swap(described, retired);
    let old = StateId(6);
    bed.commit(3, |set| {
        set.set_bytes(StateId(0), 0, b"three hundred");
        set.remove(old, &[0]);
    });
    let after = bed.checkpoint();
    (bed, before, after)
}

fn values(inside: &Inside, name: &str) -> Vec<(Value, Value)> {
    let (view, part) = inside.find(name).unwrap();
    let mut found = Vec::new();
    let filter = Filter { part, ..Filter::default() };
    block_on(inside.scan::<Error>(&view, &filter, &mut |row| {
        let row = view.json(row);
        found.push((row["key"].clone(), row.get("value").or(row.get("time")).unwrap().clone()));
        Ok(())
    }))
    .unwrap();
    found.sort_by_key(|(key, _)| key.to_string());
    found
}

fn check(inside: &Inside) {
    let numbers = [(json!(1), json!(100)), (json!(2), json!(200))];
    assert_eq!(values(inside, "a.counts.sum@1"), numbers);
    assert_eq!(values(inside, "a.counts.sum"), [(json!(3), json!("three hundred"))]);
    assert_eq!(values(inside, "a.counts.end").len(), 3);
    assert!(values(inside, "a.counts.due").is_empty());
    let (view, part) = inside.find("a.counts.sum@1").unwrap();
    let part = part.unwrap();
    assert!(view.is_retired(part) && !view.is_retired(view.part("sum").unwrap()));
    assert!(
        view.is_retired(view.part("end").unwrap()) && !view.is_retired(view.part("due").unwrap())
    );
    assert_eq!((view.name(part), view.type_of(part)), ("sum@1", "s64".to_owned()));
    let counted = block_on(inside.count(&view)).unwrap();
    assert_eq!((counted[&part].entries, counted[&view.part("sum").unwrap()].entries), (2, 1));
    let retired = counted.keys().filter(|part| view.is_retired(**part)).count();
    assert_eq!(retired, 2);
}

#[test]
fn both_forms_of_a_state_are_shown_each_by_its_name() {
    for kind in [Kind::Heap, Kind::Rocks] {
        let (bed, _, after) = halfway(kind);
        let inside = bed.inside(&after);
        check(&inside);
        let error = inside.find("a.counts.sum@2").unwrap_err().to_string();
        assert!(error.contains("sum@1"), "{error}");
        assert_eq!(inside.find("a.counts.items").unwrap().1, Some(Part::State(StateId(2))));
    }
}

#[test]
fn what_a_swap_changed_is_told_of_each_form() {
    for kind in [Kind::Heap, Kind::Rocks] {
        let (bed, before, after) = halfway(kind);
        let (old, new) = (bed.inside(&before), bed.inside(&after));
        // Where both have the name, that of the later one is bare.
        for (from, to, gone) in [(&old, &new, "sum@1"), (&new, &old, "sum@2")] {
            let options = DiffOptions { values_before: true, ..DiffOptions::default() };
            let mut found = Vec::new();
            block_on(from.diff::<Error>(to, &options, &mut |view, difference| {
                if !matches!(difference.row.part, Part::Task(_)) {
                    let row = Value::Object(view.json_identity(&difference.row));
                    found.push(json!([row["state"], row["key"], difference.kind()]));
                }
                Ok(())
            }))
            .unwrap();
            assert_eq!(found, [json!(["sum", 3, "added"]), json!([gone, 3, "removed"])]);
        }
    }
}

#[test]
fn edits_and_exports_keep_what_waits_for_being_migrated() {
    for kind in [Kind::Heap, Kind::Rocks] {
        let (bed, _, after) = halfway(kind);
        let inside = bed.inside(&after);
        let exported = block_on(inside.export(PackSettings::default(), 1)).unwrap();
        assert_eq!(exported.operators[0].retired, after.operators[0].retired);
        check(&bed.inside(&exported));
        for other in [Kind::Heap, Kind::Rocks] {
            let mut restored = bed.restored(&exported, other, 3);
            let again = restored.checkpoint();
            check(&restored.inside(&again));
            assert_eq!(rows(&restored.inside(&again)), rows(&inside));
        }
        let mut edits = Edits::new(&inside, 5);
        edits.set("a.counts.sum@1", "1", "111").unwrap();
        edits.delete("a.counts.sum@1", "2").unwrap();
        edits.set("a.counts.sum", "4", "four").unwrap();
        assert!(edits.set("a.counts.sum@1", "5", "five").is_err(), "that one has numbers");
        let edited = block_on(inside.edit(&edits, PackSettings::default())).unwrap();
        assert_eq!(edited.changes, 3);
        let edited = bed.inside(&edited.manifest);
        assert_eq!(values(&edited, "a.counts.sum@1"), [(json!(1), json!(111))]);
        let texts = [(json!(3), json!("three hundred")), (json!(4), json!("four"))];
        assert_eq!(values(&edited, "a.counts.sum"), texts);
    }
}

#[test]
fn retired_states_that_cannot_be_read_are_refused_by_name() {
    let (bed, _, mut after) = halfway(Kind::Rocks);
    after.operators[0].retired = Some(json!({ "states": 7 }));
    let error = bed.inside(&after).operators().unwrap_err().to_string();
    assert!(error.contains("a.counts"), "{error}");
}
