//! A snapshot that is written while records come in.

use std::sync::Arc;

use crossbeam_utils::sync::Parker;
use statehouse_operator::{
    Batch, Call, Codec, Description, ErrorPolicy, Failure, KeyType, Operator, Port, Rows,
    TimerRows, ValueType,
};
use statehouse_state::{
    Column, HeapBackend, KeyGroupRange, KeyGroups, KeyLayout, StateDeclaration, StateId, StateKind,
    ValueLayout,
};

use super::*;
use crate::budget::{BYTES_MAX, Budget};
use crate::channel::bounded;
use crate::clock::ManualClock;
use crate::element::{Report, TaskIndex};
use crate::metrics::TaskMetrics;
use crate::settings::Mode;
use crate::task::{Body, Channel, Outlets, Reports, Task};

/// Keeps the last value of each key.
#[derive(Debug)]
struct Keeping(Description);

impl Operator for Keeping {
    fn description(&self) -> &Description {
        &self.0
    }

    fn process(&mut self, rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
        let Column::Words(values) = rows.values else { panic!("the port says words") };
        call.store_words(StateId(0), rows.slots, values)
    }

    fn on_timers(&mut self, _timers: TimerRows<'_>, _call: &mut Call) -> Result<(), Failure> {
        panic!("it sets no timers")
    }
}

fn description() -> Description {
    let key = Some(KeyType { layout: KeyLayout::U64, codec: Codec::Raw, schema: None });
    let value = ValueType::new(ValueLayout::U64, Codec::Raw);
    Description {
        name: "keeping".into(),
        version: "1".into(),
        inputs: vec![Port { name: "in".into(), key, value, broadcast: false }],
        outputs: vec![],
        states: vec![StateDeclaration {
            name: "last".into(),
            kind: StateKind::Value,
            value: ValueLayout::U64,
            codec: "raw".into(),
            schema: None,
            map_key: None,
            map_key_codec: None,
            map_key_schema: None,
            merge: None,
            ttl: None,
            schema_version: 1,
        }],
        timers: vec![],
        task_states: vec![],
        metrics: vec![],
    }
}

fn invoker() -> Invoker {
    let description = description();
    let groups = KeyGroups::DEFAULT;
    let (states, range) = (&description.states, KeyGroupRange::all(groups));
    let backend = HeapBackend::new(KeyLayout::U64, states, &[], groups, range).unwrap();
    Invoker::new(Box::new(Keeping(description)), Some(Box::new(backend)), ErrorPolicy::Fail)
}

fn version() -> Arc<OperatorVersion> {
    let description = serde_json::to_value(description()).unwrap();
    let retired = statehouse_operator::Retired::default();
    Arc::new(OperatorVersion { component: None, description, retired, keyed: false })
}

fn batch(keys: std::ops::Range<u64>) -> Element {
    let keys: Vec<u64> = keys.collect();
    Element::Batch(Batch {
        times: vec![0; keys.len()],
        values: Column::Words(keys.clone()),
        keys: Some(Column::Words(keys)),
        hashes: Vec::new(),
    })
}

#[test]
fn a_task_stops_writing_its_snapshot_and_not_its_work_while_the_store_is_behind() {
    let parker = Parker::new();
    let wake = || parker.unparker().clone();
    let (input, receiver) = bounded(16, wake(), wake());
    let (report, reports) = bounded(4096, wake(), wake());
    let (_control, controlled) = bounded(1, wake(), wake());
    let budget = Budget::new(vec![wake()]);
    let gate = Gate::new(vec![Channel { input: 0, receiver, watermark: 0 }], Mode::ExactlyOnce);
    let metrics = Arc::new(TaskMetrics::default());
    let frame = Frame {
        index: TaskIndex(0),
        name: "keeping/0".into(),
        clock: Arc::new(ManualClock::at(0)),
        outlets: Outlets::new(Vec::new(), KeyGroups::DEFAULT),
        reports: Reports::new(report),
        metrics: Arc::clone(&metrics),
        budget: Arc::clone(&budget),
    };
    let body =
        Body::Operator(Box::new(OperatorBody::new(gate, invoker(), version(), None, 1, None)));
    let mut task = Task::new(frame, controlled, body);

    input.try_send(batch(0..2000)).unwrap();
    let kind = BarrierKind::Checkpoint;
    let barrier = Barrier { epoch: 1, builds_on: None, last: None, kind };
    input.try_send(Element::Barrier(barrier)).unwrap();
    let behind = budget.take(BYTES_MAX);
    for round in 1..10 {
        input.try_send(batch(0..100)).unwrap();
        while task.step() == Step::Worked {}
        assert_eq!(TaskMetrics::read(&metrics.records_in), 2000 + round * 100);
        assert!(reports.try_receive().is_none(), "the snapshot waits");
    }
    drop(behind);
    while task.step() == Step::Worked {}
    let (mut groups, mut acknowledged) = (0, 0);
    while let Some(received) = reports.try_receive() {
        match received {
            Report::Part { epoch: 1, part, .. } => groups += part.segments.len(),
            Report::Acknowledged { epoch: 1, snapshot, .. } => {
                groups += snapshot.state.unwrap().segments.len();
                acknowledged += 1;
                assert!(snapshot.version.unwrap().keyed);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((groups, acknowledged), (128, 1), "a segment of each key group");
    assert!(budget.has_room());
}
