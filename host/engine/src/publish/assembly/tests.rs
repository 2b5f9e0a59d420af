//! What of the checkpoint before goes into a manifest.

use std::sync::Arc;

use serde_json::json;
use statehouse_checkpoint::Location;
use statehouse_state::{StateDeclaration, TimeDomain, TimerDeclaration};

use super::*;

/// A node whose component was asked for by this content.
fn entry(declared: &str) -> NodeEntry {
    let declared = Some(Digest::of(declared.as_bytes()));
    NodeEntry { id: "sums".into(), declared, parallelism: 2 }
}

/// What a task uploaded that ran the component of this content.
fn uploaded(task: u32, component: &str, retired: Retired, keyed: bool) -> Uploaded {
    let version = OperatorVersion {
        component: Some(Digest::of(component.as_bytes())),
        description: json!({ "version": component }),
        retired,
        keyed,
    };
    Uploaded {
        task: TaskState { task, watermark: None, position: Value::Null, state: None },
        segments: vec![],
        tables: None,
        version: Some(Arc::new(version)),
        packs: 0,
        pack_bytes: 0,
    }
}

/// What both tasks of the node wrote.
fn written(uploaded: [Uploaded; 2]) -> Written {
    let mut written = Written::default();
    uploaded.into_iter().for_each(|uploaded| written.add(uploaded));
    written
}

fn retired(states: &[(&str, u32)], timers: &[&str]) -> Retired {
    let state = |&(name, schema_version): &(&str, u32)| {
        let state = json!({
            "name": name,
            "kind": "value",
            "value": "u64",
            "codec": "raw",
            "schema_version": schema_version,
        });
        serde_json::from_value::<StateDeclaration>(state).unwrap()
    };
    let timer =
        |&name: &&str| TimerDeclaration { name: name.into(), domain: TimeDomain::EventTime };
    Retired {
        states: states.iter().map(state).collect(),
        timers: timers.iter().map(timer).collect(),
    }
}

/// A checkpoint in which the operator has state.
fn previous() -> Manifest {
    let location = Location::Inline(vec![1, 2, 3].into());
    let operator = OperatorState {
        id: "sums".into(),
        component: None,
        declared: None,
        description: Value::Null,
        retired: None,
        parallelism: 1,
        tasks: vec![],
        groups: BTreeMap::from([(4, vec![SegmentRef { full: true, entries: 1, location }])]),
        tables: vec![],
    };
    Manifest {
        job: "job".into(),
        epoch: Epoch(1),
        parent: None,
        generation: Generation(1),
        created_ms: 0,
        key_groups: 8,
        key_hash: KEY_HASH.into(),
        operators: vec![operator],
        statistics: Statistics::default(),
    }
}

#[test]
fn chains_go_on_where_a_backend_carries_them_on() {
    let tasks = [0, 1].map(|task| uploaded(task, "v1", Retired::default(), true));
    let operator = operator(&entry("v1"), Some(&previous()), written(tasks)).unwrap();
    assert_eq!(operator.groups, previous().operators[0].groups);
}

#[test]
fn state_that_an_operator_declares_no_more_ends_with_the_next_checkpoint() {
    let tasks = [0, 1].map(|task| uploaded(task, "v1", Retired::default(), false));
    let operator = operator(&entry("v1"), Some(&previous()), written(tasks)).unwrap();
    assert_eq!(operator.groups, BTreeMap::new());
}

#[test]
fn a_manifest_names_what_runs_and_beside_it_what_was_asked_for() {
    let of = |declared: &str, component: &str| {
        let tasks = [0, 1].map(|task| uploaded(task, component, Retired::default(), true));
        operator(&entry(declared), None, written(tasks)).unwrap()
    };
    let same = of("v1", "v1");
    assert_eq!((same.component, same.declared), (Some(Digest::of(b"v1")), None));
    let swapped = of("v1", "v2");
    assert_eq!(swapped.component, Some(Digest::of(b"v2")));
    assert_eq!(swapped.declared, Some(Digest::of(b"v1")));
    assert_eq!(swapped.description, json!({ "version": "v2" }));
    assert_eq!(swapped.retired, None);
}

#[test]
fn a_retired_state_is_listed_until_every_task_has_let_go_of_it() {
    let of = |first: Retired, second: Retired| {
        let tasks = [uploaded(0, "v2", first, true), uploaded(1, "v2", second, true)];
        let operator = operator(&entry("v2"), Some(&previous()), written(tasks)).unwrap();
        operator.retired.map(|retired| serde_json::from_value::<Retired>(retired).unwrap())
    };
    let both = retired(&[("sum", 1), ("total", 1)], &["due"]);
    assert_eq!(of(both.clone(), both.clone()).as_ref(), Some(&both));
    let some = retired(&[("total", 1)], &["due"]);
    assert_eq!(of(some.clone(), Retired::default()).as_ref(), Some(&some));
    let of_both = of(retired(&[("sum", 1)], &[]), some).unwrap();
    assert_eq!(of_both, both);
    // Another version of the same state is another state.
    let versions = of(retired(&[("sum", 1)], &[]), retired(&[("sum", 2)], &[])).unwrap();
    assert_eq!(versions.states.len(), 2);
    assert_eq!(of(Retired::default(), Retired::default()), None);
}
