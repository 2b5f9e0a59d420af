//! Standard input, with a real pipe in its place.

use std::io::{Write, pipe};
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::conformance::{Given, read};
use crate::format::JsonlFormat;

/// Polls until something other than an idle source shows.
fn poll(source: &mut dyn Source) -> Result<Polled, ConnectorError> {
    loop {
        match source.poll() {
            Ok(Polled::Idle) => thread::yield_now(),
            other => return other,
        }
    }
}

fn rows(polled: Polled) -> usize {
    match polled {
        Polled::Batch(batch) => batch.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_poll_never_waits_and_lines_come_as_soon_as_they_are_whole() {
    let (reader, mut writer) = pipe().unwrap();
    let factory = StdinFactory::over(Box::new(reader), Format::Lines, 1024);
    let mut source = factory.open(0, 1, &[]).unwrap();
    assert!(matches!(source.poll(), Ok(Polled::Idle)));
    writer.write_all(b"one\ntwo\nthr").unwrap();
    let mut seen = 0;
    while seen < 2 {
        seen += rows(poll(source.as_mut()).unwrap());
    }
    assert!(matches!(source.poll(), Ok(Polled::Idle)));
    writer.write_all(b"ee").unwrap();
    drop(writer);
    assert_eq!(rows(poll(source.as_mut()).unwrap()), 1);
    assert!(matches!(poll(source.as_mut()), Ok(Polled::End)));
    assert!(matches!(poll(source.as_mut()), Ok(Polled::End)));
    assert_eq!(source.position(), json!({ "records": 3 }));
    assert_eq!(source.progress(), Progress { done: 3, total: None });
}

#[test]
fn everything_comes_in_order_through_the_bounded_queue() {
    let (reader, mut writer) = pipe().unwrap();
    let format = Format::Jsonl(JsonlFormat::default());
    let factory = Arc::new(StdinFactory::over(Box::new(reader), format, 16));
    let mut source = factory.open(0, 2, &[]).unwrap();
    let feeder = thread::spawn(move || {
        for n in 0..20_000 {
            writeln!(writer, "{n}{}", if n % 1000 == 7 { "x" } else { "" }).unwrap();
        }
    });
    let mut given = Given::default();
    while let Polled::Batch(batch) = poll(source.as_mut()).unwrap() {
        assert!(batch.len() <= 16);
        given.batches.push(batch);
        given.malformed.extend(source.take_malformed());
    }
    feeder.join().unwrap();
    let values: Vec<u64> =
        given.records(factory.port()).iter().map(|r| r["value"].as_u64().unwrap()).collect();
    let expected: Vec<u64> = (0..20_000).filter(|n| n % 1000 != 7).collect();
    assert_eq!(values, expected);
    assert_eq!(given.malformed.len(), 20);
    assert_eq!(given.malformed[0].place, "stdin:8");
    let mut other = factory.open(1, 2, &[]).unwrap();
    assert!(read(other.as_mut(), usize::MAX).unwrap().batches.is_empty());
}

#[test]
fn it_cannot_be_resumed_or_opened_twice_and_says_what_to_do() {
    let factory = StdinFactory::over(Box::new(std::io::empty()), Format::Lines, 1024);
    let error = factory.open(0, 1, &[json!({ "records": 5 })]).unwrap_err().to_string();
    assert!(error.contains("5 records were read") && error.contains("--fresh"), "{error}");
    factory.open(0, 1, &[]).unwrap();
    let error = factory.open(0, 1, &[]).unwrap_err().to_string();
    assert!(error.contains("cannot be restarted") && error.contains("--fresh"), "{error}");
}
