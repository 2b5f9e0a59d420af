//! What operators declare of their states.

use std::time::Duration;

use crate::bindings::{
    KeyType, Merge, StateKind, TaskStateKind, TimeDomain, TtlUpdate, TtlVisibility, ValueType,
};
use crate::host::imports::Imports;
use crate::instance;
use crate::prelude::*;

struct First;

impl Aggregate for First {
    type Input = u64;
    type Accumulator = Option<u64>;
    type Output = Option<u64>;

    fn add(first: &mut Option<u64>, input: &u64) {
        first.get_or_insert(*input);
    }

    fn merge(first: &mut Option<u64>, other: &Option<u64>) {
        *first = first.or(*other);
    }

    fn result(first: &Option<u64>) -> Option<u64> {
        *first
    }
}

struct Everything;

impl Operator for Everything {
    const NAME: &str = "everything";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("in", |_: &mut Self, _: Record<u64, u64>| Ok(()));
        setup.broadcast_input("rules", |_: &mut Self, _: Record<(), u64>| Ok(()));
        setup.value::<u64>("value");
        setup.list::<String>("list");
        setup.map::<i64, f64>("map");
        setup.min::<f64>("min");
        setup.count("count");
        setup.append("append");
        setup.set::<u64>("set");
        setup.aggregating::<First>("aggregating");
        let hour = Ttl::after(Duration::from_secs(3600));
        setup.expiring(hour.event_time().on_read().return_expired()).map::<String, u64>("fading");
        setup.split::<u64>("split");
        setup.union::<u64>("union");
        setup.broadcast::<String, u64>("broadcast");
        Everything
    }
}

#[test]
fn every_kind_is_declared_as_what_it_is() {
    let description = instance::describe::<Everything>(Box::new(Imports), "1");
    let kinds: Vec<_> = description
        .states
        .iter()
        .map(|state| (state.name.as_str(), state.kind, state.value.layout, state.merge))
        .collect();
    let expected = [
        ("value", StateKind::Value, ValueType::U64, None),
        ("list", StateKind::List, ValueType::Bytes, None),
        ("map", StateKind::Map, ValueType::F64, None),
        ("min", StateKind::Reducing, ValueType::F64, Some(Merge::Min)),
        ("count", StateKind::Reducing, ValueType::U64, Some(Merge::Count)),
        ("append", StateKind::Reducing, ValueType::Bytes, Some(Merge::Append)),
        ("set", StateKind::Reducing, ValueType::Bytes, Some(Merge::SetUnion)),
        ("aggregating", StateKind::Aggregating, ValueType::Bytes, None),
        ("fading", StateKind::Map, ValueType::U64, None),
    ];
    assert_eq!(kinds, expected);
    let map_keys: Vec<_> = description
        .states
        .iter()
        .filter_map(|state| Some(state.map_key.as_ref()?.layout))
        .collect();
    assert_eq!(map_keys, [KeyType::S64, KeyType::Bytes]);
    let ttls: Vec<_> = description.states.iter().filter_map(|state| state.ttl).collect();
    assert_eq!(ttls.len(), 1);
    assert_eq!(ttls[0].milliseconds, 3_600_000);
    assert_eq!(ttls[0].domain, TimeDomain::EventTime);
    assert_eq!(ttls[0].update, TtlUpdate::OnReadAndWrite);
    assert_eq!(ttls[0].visibility, TtlVisibility::ReturnUntilCleaned);
    let tasks: Vec<_> = description.task_states.iter().map(|state| state.kind).collect();
    assert_eq!(tasks, [TaskStateKind::Split, TaskStateKind::Union, TaskStateKind::Broadcast]);
    let broadcast: Vec<_> = description.inputs.iter().map(|port| port.broadcast).collect();
    assert_eq!(broadcast, [false, true]);
}

#[derive(Serialize, Deserialize)]
struct Shop {
    name: String,
    sales: u64,
}

/// States of types with a structure of their own.
struct Structured;

impl Operator for Structured {
    const NAME: &str = "structured";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("in", |_: &mut Self, _: Record<(u64, String), Json<Shop>>| Ok(()));
        setup.value::<Shop>("value");
        setup.map::<(u64, u64), String>("map");
        setup.set::<i64>("set");
        setup.event_timer("end", |_: &mut Self, _: Fired<(u64, String)>| Ok(()));
        Structured
    }
}

#[test]
fn what_is_inside_bytes_is_described() {
    let description = instance::describe::<Structured>(Box::new(Imports), "1");
    let port = &description.inputs[0];
    let shop = r#"{"type":{"named":"Shop"},"types":{"Shop":{"struct":[["name","text"],["sales","u64"]]}}}"#;
    assert_eq!(port.value.schema.as_deref(), Some(shop));
    let key = port.key.as_ref().and_then(|key| key.schema.as_deref());
    assert_eq!(key, Some(r#"{"type":{"tuple":["u64","text"]}}"#));
    let schemas: Vec<_> =
        description.states.iter().map(|state| state.value.schema.as_deref()).collect();
    let set = r#"{"type":"s64","elements":{"layout":"s64","codec":"raw"}}"#;
    assert_eq!(schemas, [Some(shop), None, Some(set)]);
    let map_key = description.states[1].map_key.as_ref().and_then(|key| key.schema.as_deref());
    assert_eq!(map_key, Some(r#"{"type":{"tuple":["u64","u64"]}}"#));
}

/// Declares what no host could serve, one thing at a time.
struct Wrong;

impl Operator for Wrong {
    const NAME: &str = "wrong";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("in", |_: &mut Self, _: Record<u64, u64>| Ok(()));
        match setup.config_or("wrong", 0) {
            1 => drop(setup.map::<f64, u64>("map")),
            2 => drop(setup.broadcast::<(), u64>("rules")),
            3 => drop(setup.expiring(Ttl::after(Duration::from_micros(999))).value::<u64>("value")),
            _ => {}
        }
        Wrong
    }
}

#[test]
fn declarations_that_make_no_sense_refuse_the_job() {
    for (wrong, reason) in [
        ("1", "state `map`: floating-point numbers cannot be keys"),
        ("2", "broadcast state `rules`: () is no key"),
        ("3", "state `value`: it lives at least a millisecond"),
    ] {
        let refused = TestHarness::<Wrong>::new().config("wrong", wrong).open().err();
        let refused = refused.expect("it is refused");
        assert!(refused.contains(reason), "{refused}");
    }
}
