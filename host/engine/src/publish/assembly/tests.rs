//! What of the checkpoint before goes into a manifest.

use std::sync::Arc;

use statehouse_checkpoint::Location;
use statehouse_operator::{Description, Operator};
use statehouse_state::{TimeDomain, TimerDeclaration};

use super::*;
use crate::graph::OperatorFactory;

/// Declares things and never opens anything.
#[derive(Debug)]
struct Declared(Description);

impl OperatorFactory for Declared {
    fn description(&self) -> &Description {
        &self.0
    }

    fn component(&self) -> Option<String> {
        None
    }

    fn open(&self, _task: u32) -> Result<Box<dyn Operator>, String> {
        Err("only its declaration is wanted".into())
    }
}

/// An operator with these timers, and nothing else to keep.
fn entry(timers: Vec<TimerDeclaration>) -> NodeEntry {
    let description = Description {
        name: "sums".into(),
        version: "2".into(),
        inputs: vec![],
        outputs: vec![],
        states: vec![],
        timers,
        task_states: vec![],
        metrics: vec![],
    };
    let (factory, inputs) = (Arc::new(Declared(description)), BTreeMap::new());
    NodeEntry::new(&Node::new("sums", NodeKind::Operator { factory, inputs }))
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
    let timer = TimerDeclaration { name: "due".into(), domain: TimeDomain::EventTime };
    let operator = operator(&entry(vec![timer]), Some(&previous()), Written::default()).unwrap();
    assert_eq!(operator.groups, previous().operators[0].groups);
}

#[test]
fn state_that_an_operator_declares_no_more_ends_with_the_next_checkpoint() {
    let operator = operator(&entry(vec![]), Some(&previous()), Written::default()).unwrap();
    assert_eq!(operator.groups, BTreeMap::new());
}
