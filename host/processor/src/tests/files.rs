//! Arrow and Parquet files are what was written to them.

use std::sync::Arc;

use futures::executor::block_on;
use serde_json::Value;
use statehouse_checkpoint::PackSettings;
use statehouse_state::KeyLayout;

use super::bed::{Bed, Kind, rows};
use super::reading::filled;
use crate::arrow_rows::read_parquet;
use crate::{Edits, Error, FileKind, Filter, Inside, Part, RowFile};

fn write(inside: &Inside, path: &std::path::Path, kind: FileKind, name: &str) -> Vec<Value> {
    let (view, part) = inside.find(name).unwrap();
    let mut file = RowFile::create(path, kind, &view, part).unwrap();
    let mut written = Vec::new();
    let filter = Filter { part, ..Filter::default() };
    let scanned = block_on(inside.scan::<Error>(&view, &filter, &mut |row| {
        written.push(Value::Object(view.json(row)));
        file.push(&view, row)
    }));
    scanned.unwrap();
    file.finish().unwrap();
    written
}

#[test]
fn parquet_of_each_state_is_read_back_and_imported() {
    let mut bed = filled(Kind::Heap);
    let manifest = bed.checkpoint();
    let inside = bed.inside(&manifest);
    let folder = tempfile::tempdir().unwrap();
    let mut empty = Bed::new(Kind::Heap, KeyLayout::Bytes, 1);
    let nothing = empty.checkpoint();
    let target = empty.inside(&nothing);
    let mut edits = Edits::new(&target, 0);
    for state in ["sum", "note", "items", "shops", "days", "seen", "end"] {
        let path = folder.path().join(format!("{state}.parquet"));
        let written = write(&inside, &path, FileKind::Parquet, &format!("a.counts.{state}"));
        let mut read = Vec::new();
        read_parquet(&path, &mut |mut row| {
            // Zero is left out of JSON.
            if row.get("namespace").is_some_and(|namespace| namespace == 0) {
                row.remove("namespace");
            }
            read.push(Value::Object(row));
            Ok(())
        })
        .unwrap();
        assert!(written.len() > 5, "{state}");
        assert_eq!(read, written, "{state}");
        assert_eq!(edits.import(&path).unwrap(), written.len() as u64);
    }
    let edited = block_on(target.edit(&edits, PackSettings::default())).unwrap();
    assert_eq!(rows(&empty.inside(&edited.manifest)), rows(&inside));
}

#[test]
fn a_file_of_a_whole_operator_is_imported_too() {
    let mut bed = filled(Kind::Rocks);
    let manifest = bed.checkpoint();
    let inside = bed.inside(&manifest);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.parquet");
    let written = write(&inside, &path, FileKind::Parquet, "a.counts");
    let mut edits = Edits::new(&inside, 0);
    let error = edits.import(&path).unwrap_err().to_string();
    assert!(error.contains("task state") && error.contains("row "), "{error}");
    assert!(written.len() > 50);
}

#[test]
fn arrow_files_have_the_types_of_the_states() {
    use arrow::array::{Float64Array, StringArray};
    let mut bed = filled(Kind::Heap);
    let manifest = bed.checkpoint();
    let inside = bed.inside(&manifest);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shops.arrow");
    let written = write(&inside, &path, FileKind::Arrow, "a.counts.shops");
    let file = std::fs::File::open(&path).unwrap();
    let reader = arrow::ipc::reader::FileReader::try_new(file, None).unwrap();
    let mut read = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        let column = |name: &str| Arc::clone(batch.column_by_name(name).unwrap());
        let keys = column("key");
        let keys = keys.as_any().downcast_ref::<StringArray>().unwrap();
        let map_keys = column("map_key");
        let map_keys = map_keys.as_any().downcast_ref::<StringArray>().unwrap();
        let values = column("value");
        let values = values.as_any().downcast_ref::<Float64Array>().unwrap();
        for row in 0..batch.num_rows() {
            read.push((
                keys.value(row).to_owned(),
                map_keys.value(row).to_owned(),
                values.value(row),
            ));
        }
    }
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let expected: Vec<_> = written
        .iter()
        .map(|row| (text(row, "key"), text(row, "map_key"), row["value"].as_f64().unwrap()))
        .collect();
    assert_eq!(read, expected);
}

#[test]
fn files_that_cannot_be_made_or_read_are_told_by_name() {
    let mut bed = filled(Kind::Heap);
    let manifest = bed.checkpoint();
    let inside = bed.inside(&manifest);
    let view = inside.operator("a.counts").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("no/where.parquet");
    let error = RowFile::create(&nowhere, FileKind::Parquet, &view, None).unwrap_err().to_string();
    assert!(error.contains("where.parquet"), "{error}");
    let garbage = folder.path().join("garbage.parquet");
    std::fs::write(&garbage, "no parquet at all").unwrap();
    let error = Edits::new(&inside, 0).import(&garbage).unwrap_err().to_string();
    assert!(error.contains("garbage.parquet") && error.contains("read"), "{error}");
    assert!(matches!(view.parts()[0], Part::State(_)));
}
