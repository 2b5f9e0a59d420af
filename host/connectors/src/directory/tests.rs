//! The output directory on a real file system.

use serde_json::json;
use statehouse_operator::{Codec, ValueType};
use statehouse_state::{Column, ValueLayout};

use super::*;
use crate::conformance::check_sink;

fn port() -> Port {
    let value = ValueType::new(ValueLayout::U64, Codec::Raw);
    Port { name: "out".into(), key: None, value, broadcast: false }
}

fn batch(number: u32) -> Batch {
    let mut batch = port().empty_batch();
    batch.times.push(0);
    batch.values = Column::Words(vec![number.into()]);
    batch
}

fn factory(path: &Path, existing: Existing) -> DirectoryFactory {
    let path = path.to_owned();
    DirectoryFactory::new(DirectorySettings { path, with_key: false, with_time: false, existing })
}

/// Runs a job of one epoch per number and commits them all.
fn run(factory: &DirectoryFactory, tokens: &[Value], epochs: &[u64]) -> Vec<Value> {
    factory.recover(tokens).unwrap();
    let mut sink = factory.open(0, &port()).unwrap();
    let mut prepared = Vec::new();
    for &epoch in epochs {
        sink.write(&batch(epoch as u32)).unwrap();
        prepared.push(sink.prepare(epoch).unwrap());
        sink.commit(prepared.last().unwrap()).unwrap();
    }
    prepared
}

fn names(path: &Path) -> Vec<String> {
    list(path).unwrap().into_iter().filter(|name| name != ".pending").collect()
}

#[test]
fn it_is_written_exactly_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made/as/needed");
    let visible = || {
        let mut parts: Vec<Part> = names(&path).iter().map(|name| name.parse().unwrap()).collect();
        parts.sort_by_key(|part| part.epoch);
        let text: String = parts
            .iter()
            .map(|part| fs::read_to_string(path.join(part.to_string())).unwrap())
            .collect();
        text.lines().map(str::to_owned).collect()
    };
    check_sink(&|| Box::new(factory(&path, Existing::Refuse)), &visible, &port(), &batch);
    assert_eq!(names(&path), ["part-0-1.jsonl", "part-0-2.jsonl", "part-0-3.jsonl"]);
    assert_eq!(list(&path.join(".pending")).unwrap(), ["lock"]);
}

#[test]
fn tasks_write_files_of_their_own_and_large_ones_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let factory = factory(dir.path(), Existing::Refuse);
    factory.recover(&[]).unwrap();
    let mut sinks: Vec<_> = (0..3).map(|task| factory.open(task, &port()).unwrap()).collect();
    for _ in 0..60_000 {
        sinks[1].write(&batch(123_456_789)).unwrap();
    }
    sinks[2].write(&batch(2)).unwrap();
    let tokens: Vec<_> = sinks.iter_mut().map(|sink| sink.prepare(9).unwrap()).collect();
    drop(sinks);
    let again = DirectoryFactory::new(factory.settings.clone());
    drop(factory);
    again.recover(&tokens).unwrap();
    assert_eq!(names(dir.path()), ["part-1-9.jsonl", "part-2-9.jsonl"]);
    assert_eq!(fs::metadata(dir.path().join("part-1-9.jsonl")).unwrap().len(), 600_000);
}

#[test]
fn a_fresh_run_does_not_touch_output_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    run(&factory(dir.path(), Existing::Refuse), &[], &[1, 2]);
    let pending = dir.path().join(".pending/part-0-3.jsonl");
    fs::write(&pending, "x").unwrap();
    let error = factory(dir.path(), Existing::Refuse).recover(&[]).unwrap_err().to_string();
    assert!(error.contains(&dir.path().display().to_string()), "{error}");
    assert!(error.contains("holds 2 files") && error.contains("existing = \"append\""), "{error}");
    assert!(pending.exists());
}

#[test]
fn a_fresh_run_may_append_and_be_resumed() {
    let dir = tempfile::tempdir().unwrap();
    run(&factory(dir.path(), Existing::Append), &[], &[1, 2]);
    let tokens = run(&factory(dir.path(), Existing::Append), &[], &[1]);
    run(&factory(dir.path(), Existing::Append), &tokens, &[2]);
    assert_eq!(
        names(dir.path()),
        ["part-0-1-r1.jsonl", "part-0-1.jsonl", "part-0-2-r1.jsonl", "part-0-2.jsonl"]
    );
}

#[test]
fn output_that_was_lost_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = run(&factory(dir.path(), Existing::Refuse), &[], &[1]);
    fs::remove_file(dir.path().join("part-0-1.jsonl")).unwrap();
    let error = factory(dir.path(), Existing::Refuse).recover(&tokens).unwrap_err().to_string();
    assert!(error.contains("output was lost") && error.contains("part-0-1.jsonl"), "{error}");
}

#[test]
fn resuming_from_before_the_latest_output_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = run(&factory(dir.path(), Existing::Refuse), &[], &[1, 2, 3]);
    let again = factory(dir.path(), Existing::Refuse);
    let error = again.recover(&tokens[..1]).unwrap_err().to_string();
    assert!(
        error.contains("2 files that are later") && error.contains("part-0-2.jsonl"),
        "{error}"
    );
    for epoch in [2, 3] {
        fs::remove_file(dir.path().join(format!("part-0-{epoch}.jsonl"))).unwrap();
    }
    again.recover(&tokens[..1]).unwrap();
}

#[test]
fn two_jobs_cannot_write_to_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    let first = factory(dir.path(), Existing::Refuse);
    first.recover(&[]).unwrap();
    first.recover(&[]).unwrap();
    let error = factory(dir.path(), Existing::Refuse).recover(&[]).unwrap_err().to_string();
    assert!(error.contains("another job"), "{error}");
    drop(first);
    factory(dir.path(), Existing::Refuse).recover(&[]).unwrap();
}

#[test]
fn a_directory_that_cannot_be_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "mine").unwrap();
    let error = factory(&path, Existing::Refuse).recover(&[]).unwrap_err().to_string();
    assert!(error.contains("cannot create the output") && error.contains("file"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

#[test]
fn a_token_of_another_sink_is_refused_and_null_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let factory = factory(dir.path(), Existing::Refuse);
    factory.recover(&[Value::Null]).unwrap();
    let error = factory.recover(&[json!({"epoch": 1})]).unwrap_err().to_string();
    assert!(error.contains("not one of a jsonl sink"), "{error}");
}
