//! What is edited is what a restore finds, on either backend.

use std::io::Write as _;

use futures::executor::block_on;
use serde_json::{Value, json};
use statehouse_checkpoint::{Manifest, PackSettings};
use statehouse_state::KeyLayout;

use super::bed::{Bed, Kind, Rows, rows};
use super::reading::filled;
use crate::{Edits, Error, Inside};

fn edited(inside: &Inside, edits: &Edits) -> Manifest {
    let edited = block_on(inside.edit(edits, PackSettings::default())).unwrap();
    edited.manifest.check().unwrap();
    edited.manifest
}

fn values(rows: &Rows, state: &str, key: &str) -> Vec<Value> {
    let of = |row: &&Value| row["state"] == state && row["key"] == key;
    let found = rows.values().flatten().filter(of);
    found.map(|row| json!([row.get("map_key"), row["value"]])).collect()
}

#[test]
fn values_are_set_and_deleted_and_both_backends_restore_them() {
    for kind in [Kind::Heap, Kind::Rocks] {
        let mut bed = filled(kind);
        let manifest = bed.checkpoint();
        let inside = bed.inside(&manifest);
        let mut expected = rows(&inside);
        let mut edits = Edits::new(&inside, 5000);
        edits.set("a.counts.sum", "key 1", "4711").unwrap();
        edits.set("a.counts.note", "key 1", "as it is").unwrap();
        edits.set("a.counts.items", "key 1", "[7, 8]").unwrap();
        edits.set("a.counts.shops", "key 1", r#"{"new": 1.5, "shop 1": 2}"#).unwrap();
        edits.set("a.counts.days", "a new key", r#"[[-3, {"a": [1, null]}]]"#).unwrap();
        edits.delete("a.counts.shops", "key 2").unwrap();
        edits.delete("a.counts.seen", "key 2").unwrap();
        let made = edited(&inside, &edits);
        let found = rows(&bed.inside(&made));
        assert_eq!(values(&found, "sum", "key 1"), [json!([null, 4711])]);
        let note = found.values().flatten().find(|row| row["value"] == "as it is").unwrap();
        assert_eq!(note["expires_ms"], 6000);
        assert_eq!(values(&found, "items", "key 1"), [json!([null, 7]), json!([null, 8])]);
        let shops = [json!(["new", 1.5]), json!(["shop 1", 2.0])];
        assert_eq!(values(&found, "shops", "key 1"), shops);
        assert_eq!(values(&found, "days", "a new key"), [json!([-3, { "a": [1, null] }])]);
        assert!(values(&found, "shops", "key 2").is_empty());
        // Everything else is as it was.
        let is_edited = |row: &Value| {
            let state = row["state"].as_str().unwrap_or_default();
            let keys = match state {
                "sum" | "note" | "items" => &["key 1"][..],
                "shops" => &["key 1", "key 2"],
                "seen" => &["key 2"],
                "days" => &["a new key"],
                _ => &[],
            };
            keys.iter().any(|key| row["key"] == *key)
        };
        let others = |rows: &mut Rows| rows.retain(|_, rows| !rows.iter().any(is_edited));
        let mut rest = found.clone();
        others(&mut rest);
        others(&mut expected);
        assert_eq!(rest, expected);
        for on in [Kind::Heap, Kind::Rocks] {
            let mut restored = bed.restored(&made, on, 3);
            let again = restored.checkpoint();
            let mut seen = rows(&restored.inside(&again));
            // Values that a heap restored may have been cleaned up by the time of their clock; nothing here is late.
            assert_eq!(std::mem::take(&mut seen), found, "{:?} on {on:?}", bed.kind());
        }
    }
}

#[test]
fn an_edit_costs_what_it_changes() {
    let mut bed = filled(Kind::Heap);
    let manifest = bed.checkpoint();
    let inside = bed.inside(&manifest);
    let mut edits = Edits::new(&inside, 0);
    edits.set("a.counts.sum", "key 1", "1").unwrap();
    let before = bed.store.calls();
    let made = edited(&inside, &edits);
    assert_eq!(bed.store.calls() - before, 0, "an increment of one value fits into the manifest");
    let chains = |manifest: &Manifest| manifest.operators[0].chained_segments().count();
    assert_eq!(chains(&made), chains(&manifest) + 1);
    assert_eq!(made.packs(), manifest.packs());
}

#[test]
fn rows_that_were_printed_are_imported() {
    let mut bed = filled(Kind::Heap);
    let manifest = bed.checkpoint();
    let source = bed.inside(&manifest);
    let view = source.operator("a.counts").unwrap();
    let mut file = tempfile::NamedTempFile::with_suffix(".jsonl").unwrap();
    let scanned = block_on(source.scan::<Error>(&view, &Default::default(), &mut |row| {
        if !matches!(row.part, crate::Part::Task(_)) {
            writeln!(file, "{}", Value::Object(view.json(row))).unwrap();
        }
        Ok(())
    }));
    scanned.unwrap();
    for kind in [Kind::Heap, Kind::Rocks] {
        let mut empty = Bed::new(kind, KeyLayout::Bytes, 2);
        let manifest = empty.checkpoint();
        let inside = empty.inside(&manifest);
        let mut edits = Edits::new(&inside, 0);
        assert!(edits.import(file.path()).unwrap() > 50);
        let made = edited(&inside, &edits);
        assert_eq!(rows(&empty.inside(&made)), rows(&source));
        // And what was imported is removed again.
        let mut removals = tempfile::NamedTempFile::with_suffix(".jsonl").unwrap();
        for row in rows(&source).values().flatten() {
            let mut row = row.clone();
            row["removed"] = json!(true);
            writeln!(removals, "{row}").unwrap();
        }
        let inside = empty.inside(&made);
        let mut edits = Edits::new(&inside, 0);
        edits.import(removals.path()).unwrap();
        assert!(rows(&empty.inside(&edited(&inside, &edits))).is_empty());
    }
}

#[test]
fn what_cannot_be_taken_is_refused_with_its_line() {
    let mut bed = filled(Kind::Heap);
    let manifest = bed.checkpoint();
    let inside = bed.inside(&manifest);
    let refused = |line: &str, parts: &[&str]| {
        let mut file = tempfile::NamedTempFile::with_suffix(".jsonl").unwrap();
        writeln!(file, r#"{{"state": "sum", "key": "k", "value": 1}}"#).unwrap();
        writeln!(file, "\n{line}").unwrap();
        let mut edits = Edits::new(&inside, 0);
        let error = edits.import(file.path()).unwrap_err().to_string();
        for part in parts.iter().chain(&["line 3"]) {
            assert!(error.contains(part), "{line}: {error}");
        }
    };
    refused("{", &["no JSON object"]);
    refused(r#"{"state": "sum", "key": "k", "value": "x"}"#, &["\"x\" is no s64", "`sum`"]);
    refused(r#"{"state": "sum", "key": 7, "value": 1}"#, &["the key 7", "whose keys are text"]);
    refused(r#"{"state": "sums", "key": "k", "value": 1}"#, &["`sums`", "`sum`"]);
    refused(r#"{"state": "sum", "value": 1}"#, &["no `key`"]);
    refused(r#"{"state": "sum", "key": "k"}"#, &["no `value`"]);
    refused(r#"{"state": "sum", "key": "k", "valeu": 1}"#, &["`valeu`"]);
    refused(r#"{"state": "shops", "key": "k", "value": 1}"#, &["`map_key`"]);
    refused(r#"{"state": "sum", "key": "k", "map_key": 1, "value": 1}"#, &["neither map keys"]);
    refused(r#"{"state": "items", "key": "k", "element": -1, "value": 1}"#, &["`element` -1"]);
    refused(r#"{"state": "parts", "task": 0, "element": 0, "value": 1}"#, &["task state"]);
    refused(r#"{"timer": "end", "key": "k"}"#, &["no `time`"]);
    refused(r#"{"timer": "stop", "key": "k", "time": 1}"#, &["`stop`", "`end`"]);
    refused(r#"{"operator": "b", "state": "sum", "key": "k", "value": 1}"#, &["no operator `b`"]);
    let mut edits = Edits::new(&inside, 0);
    let said = |error: Error| error.to_string();
    assert!(said(edits.set("a.counts.sum", "k", "x").unwrap_err()).contains("s64"));
    assert!(said(edits.set("a.counts.items", "k", "7").unwrap_err()).contains("JSON list"));
    assert!(said(edits.set("a.counts.end", "k", "7").unwrap_err()).contains("timers"));
    assert!(said(edits.set("a.counts.parts", "k", "7").unwrap_err()).contains("task state"));
    assert!(said(edits.set("a.counts", "k", "7").unwrap_err()).contains("operator.state"));
    assert!(edits.is_empty());
}

#[test]
fn same_edit_and_same_export_made_again_write_packs_of_other_names() {
    let settings = PackSettings {
        inline_bytes_max: 64,
        manifest_inline_bytes_max: 0,
        ..PackSettings::default()
    };
    for kind in [Kind::Heap, Kind::Rocks] {
        let mut bed = filled(kind);
        let manifest = bed.checkpoint();
        let inside = bed.inside(&manifest);
        let mut edits = Edits::new(&inside, 5000);
        edits.set("a.counts.sum", "key 1", "4711").unwrap();
        let edit = || block_on(inside.edit(&edits, settings)).unwrap().manifest;
        let own = |made: &Manifest| &made.packs() - &manifest.packs();
        let (first, second) = (edit(), edit());
        assert!(!own(&first).is_empty() && own(&first).is_disjoint(&own(&second)));
        let export = || block_on(inside.export(settings, 7)).unwrap();
        let (first, second) = (export(), export());
        assert!(!own(&first).is_empty() && own(&first).is_disjoint(&own(&second)));
    }
}
