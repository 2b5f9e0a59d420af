//! The events as a source.

use std::collections::BTreeSet;

use nexmark::event::Event;
use statehouse_engine::{ManualClock, Polled};

use super::*;
use crate::conformance::{Given, check_source, read_all};

fn settings() -> NexmarkSettings {
    NexmarkSettings { events: Some(1003), batch: 10, ..NexmarkSettings::default() }
}

fn given(settings: NexmarkSettings) -> Given {
    read_all(&NexmarkFactory::new(settings).unwrap()).unwrap()
}

/// The records with their times, read back.
fn events(settings: NexmarkSettings) -> Vec<(i64, Event)> {
    let mut events = Vec::new();
    for batch in given(settings).batches {
        assert_eq!(batch.keys, None);
        let Column::Bytes(values) = &batch.values else { panic!("values are bytes") };
        let values = values.iter().map(|bytes| rmp_serde::from_slice(bytes).unwrap());
        events.extend(batch.times.iter().copied().zip(values));
    }
    events
}

#[test]
fn it_is_a_source_as_it_should_be() {
    for events in [0, 1, 10, 503] {
        for out_of_order in [1, 25] {
            let settings = NexmarkSettings { events: Some(events), out_of_order, ..settings() };
            check_source(&|| Box::new(NexmarkFactory::new(settings.clone()).unwrap()));
        }
    }
}

#[test]
fn the_events_are_those_of_the_generator_with_their_times() {
    let expected: Vec<Event> = EventGenerator::new(config(&settings())).take(1003).collect();
    let made = events(settings());
    assert!(made.iter().all(|(time, event)| *time == event.timestamp() as i64));
    assert_eq!(made.into_iter().map(|(_, event)| event).collect::<Vec<_>>(), expected);
    let (time, first) = &events(settings())[0];
    assert_eq!(*time, 1_436_918_400_000);
    let Event::Person(person) = first else { panic!("{first:?} is no person") };
    assert_eq!((person.id, &*person.name), (1000, "vicky noris"), "the same in every version");
}

#[test]
fn an_event_is_a_map_of_its_kind_to_its_fields_in_order() {
    let factory = NexmarkFactory::new(settings()).unwrap();
    let first = &given(settings()).records(factory.port())[0];
    let fields = first["value"]["Person"].as_array().unwrap();
    assert_eq!((fields.len(), fields[0].as_u64()), (8, Some(1000)));
}

#[test]
fn times_follow_the_event_rate_from_the_base_time_on() {
    let settings = NexmarkSettings { base_time: 5000, event_rate: 100, ..settings() };
    let times: Vec<i64> = events(settings).into_iter().map(|(time, _)| time).collect();
    let expected: Vec<i64> = (0..1003).map(|number| 5000 + 10 * number).collect();
    assert_eq!(times, expected);
}

#[test]
fn out_of_order_moves_events_within_their_group_and_loses_none() {
    let in_order = events(NexmarkSettings { events: Some(1000), ..settings() });
    let moved = events(NexmarkSettings { events: Some(1000), out_of_order: 50, ..settings() });
    assert!(!moved.is_sorted_by_key(|(time, _)| *time));
    for (moved, in_order) in moved.chunks(50).zip(in_order.chunks(50)) {
        let texts = |events: &[(i64, Event)]| {
            events.iter().map(|event| format!("{event:?}")).collect::<BTreeSet<_>>()
        };
        assert_eq!(texts(moved), texts(in_order));
    }
}

#[test]
fn the_rate_holds_events_back_by_the_clock() {
    let clock = ManualClock::at(5000);
    let settings = NexmarkSettings { rate: Some(100), ..settings() };
    let factory = NexmarkFactory::with_clock(settings, Arc::new(clock.clone())).unwrap();
    let mut source = factory.open(0, 1, &[]).unwrap();
    assert!(matches!(source.poll(), Ok(Polled::Batch(_))));
    clock.advance(99);
    assert!(matches!(source.poll(), Ok(Polled::Idle)));
    clock.advance(1);
    assert!(matches!(source.poll(), Ok(Polled::Batch(_))));
}

#[test]
fn positions_of_other_settings_or_connectors_are_refused_but_the_rate_may_change() {
    let open = |settings, restored: &Value| {
        let factory = NexmarkFactory::new(settings).unwrap();
        factory.open(0, 1, std::slice::from_ref(restored)).map_err(|error| error.to_string())
    };
    let position = NexmarkFactory::new(settings()).unwrap().open(0, 1, &[]).unwrap().position();
    open(NexmarkSettings { rate: Some(1), ..settings() }, &position).unwrap();
    let other = NexmarkSettings { base_time: 1, ..settings() };
    let error = open(other, &position).unwrap_err();
    assert!(error.contains("settings were") && error.contains("--fresh"), "{error}");
    let numbers = crate::GeneratorFactory::new(crate::settings::GeneratorSettings::default());
    let position = numbers.unwrap().open(0, 1, &[]).unwrap().position();
    let error = open(settings(), &position).unwrap_err();
    assert!(error.contains("it is one of a generator"), "{error}");
}
