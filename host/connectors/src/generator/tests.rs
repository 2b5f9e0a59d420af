//! The generator as a source.

use serde_json::json;
use statehouse_engine::{ManualClock, Polled, Progress};

use super::*;
use crate::conformance::{check_source, read_all};

fn settings() -> GeneratorSettings {
    GeneratorSettings { keys: 50, records: Some(1003), batch: 10, ..GeneratorSettings::default() }
}

fn records(settings: GeneratorSettings) -> Vec<Value> {
    let factory = GeneratorFactory::new(settings).unwrap();
    read_all(&factory).unwrap().records(factory.port())
}

#[test]
fn it_is_a_source_as_it_should_be() {
    for records in [0, 1, 10, 1003] {
        for distribution in [Distribution::Uniform, Distribution::Zipf] {
            let settings = GeneratorSettings { records: Some(records), distribution, ..settings() };
            check_source(&|| Box::new(GeneratorFactory::new(settings.clone()).unwrap()));
        }
    }
}

#[test]
fn a_record_depends_on_the_seed_and_its_index_alone() {
    let all = records(settings());
    assert_eq!(all.len(), 1003);
    assert_eq!(records(GeneratorSettings { batch: 7, ..settings() }), all);
    assert_eq!(records(GeneratorSettings { records: Some(100), ..settings() }), all[..100]);
    assert_ne!(records(GeneratorSettings { seed: 1, ..settings() }), all);
    let first = json!({"time": 0, "key": 44, "value": -12881});
    assert_eq!(all[0], first, "the records of a seed are the same in every version");
}

#[test]
fn keys_are_in_range_and_all_of_them_come() {
    let mut seen = vec![0; 50];
    for record in records(settings()) {
        seen[record["key"].as_u64().unwrap() as usize] += 1;
    }
    assert!(seen.iter().all(|&count| (3..60).contains(&count)), "{seen:?}");
}

#[test]
fn times_follow_the_index() {
    let settings = GeneratorSettings { start: 1000, records_per_ms: 4, ..settings() };
    let times: Vec<i64> =
        records(settings).iter().map(|record| record["time"].as_i64().unwrap()).collect();
    let expected: Vec<i64> = (0..1003).map(|index| 1000 + index / 4).collect();
    assert_eq!(times, expected);
}

#[test]
fn the_rate_holds_records_back_by_the_clock() {
    let clock = ManualClock::at(5000);
    let settings = GeneratorSettings { rate: Some(100), ..settings() };
    let factory = GeneratorFactory::with_clock(settings, Arc::new(clock.clone())).unwrap();
    let mut sources: Vec<_> = (0..2).map(|task| factory.open(task, 2, &[]).unwrap()).collect();
    let mut given = 0;
    for _ in 0..1000 {
        for source in &mut sources {
            while let Polled::Batch(batch) = source.poll().unwrap() {
                given += batch.len();
            }
        }
        clock.advance(1);
    }
    // A hundred in a second, and the batches that were due at once.
    assert_eq!(given, 100);
}

#[test]
fn without_an_end_it_goes_on_and_its_total_is_unknown() {
    let settings = GeneratorSettings { records: None, ..settings() };
    let factory = GeneratorFactory::new(settings).unwrap();
    let mut source = factory.open(3, 4, &[]).unwrap();
    for _ in 0..1000 {
        assert!(matches!(source.poll(), Ok(Polled::Batch(_))));
    }
    assert_eq!(source.progress(), Progress { done: 10_000, total: None });
}

#[test]
fn positions_of_other_settings_are_refused_but_the_rate_may_change() {
    let open = |settings, restored: &[Value]| {
        GeneratorFactory::new(settings).unwrap().open(0, 1, restored).map_err(|e| e.to_string())
    };
    let position = open(settings(), &[]).unwrap().position();
    open(GeneratorSettings { rate: Some(1), ..settings() }, std::slice::from_ref(&position))
        .unwrap();
    let other = GeneratorSettings { seed: 1, ..settings() };
    let error = open(other, std::slice::from_ref(&position)).unwrap_err();
    assert!(error.contains("settings were") && error.contains("--fresh"), "{error}");
    assert!(
        open(settings(), &[json!({"files": {}})]).unwrap_err().contains("not one of a generator")
    );
}
