//! Collections between and beside publications.

use std::task::Waker;

use futures::executor::block_on;
use serde_json::Value;
use statehouse_checkpoint::{
    CheckpointStore, Epoch, NewSegment, OperatorState, PackSettings, PackStamp, Statistics,
    TaskState,
};

use super::*;

/// An owner of which one checkpoint is kept.
struct Owner {
    checkpoints: Arc<Checkpoints>,
    collecting: Collecting,
}

impl Owner {
    fn begin() -> Self {
        let store = CheckpointStore::in_memory();
        let lease = block_on(store.claim()).unwrap();
        block_on(store.begin_run(&lease, None)).unwrap();
        let checkpoints = Arc::new(Checkpoints { store, lease });
        let retention = Retention { num_retained: 1 };
        Self { collecting: Collecting::new(Arc::clone(&checkpoints), retention), checkpoints }
    }

    /// What a task writes for a checkpoint: one pack.
    fn write(&self, epoch: u64) -> OperatorState {
        let generation = self.checkpoints.lease.generation();
        let stamp = PackStamp { generation, epoch: Epoch(epoch), writer: 0 };
        let settings = PackSettings { inline_bytes_max: 0, ..PackSettings::default() };
        let segment = NewSegment { group: 0, full: true, entries: 1, bytes: vec![7; 100] };
        let written = block_on(async {
            let mut writer = self.checkpoints.store.task_writer(stamp, settings);
            writer.add_segment(segment).await.unwrap();
            writer.finish().await.unwrap()
        });
        let chains = written.segments.into_iter().map(|(group, segment)| (group, vec![segment]));
        let task = TaskState { task: 0, watermark: None, position: Value::Null, state: None };
        OperatorState {
            id: "sums".into(),
            component: None,
            declared: None,
            description: Value::Null,
            retired: None,
            parallelism: 1,
            tasks: vec![task],
            groups: chains.collect(),
            tables: vec![],
        }
    }

    /// Publishes a checkpoint, as far as the store is concerned.
    fn publish(&self, epoch: u64) -> Arc<Manifest> {
        let manifest = Manifest {
            job: "job".into(),
            epoch: Epoch(epoch),
            parent: None,
            generation: self.checkpoints.lease.generation(),
            created_ms: 0,
            key_groups: 1,
            key_hash: super::super::KEY_HASH.into(),
            operators: vec![self.write(epoch)],
            statistics: Statistics::default(),
        };
        let Checkpoints { store, lease } = &*self.checkpoints;
        block_on(store.publish(&manifest, lease)).unwrap();
        Arc::new(manifest)
    }

    /// What comes of everything that can be done now.
    fn work(&mut self, publishing: bool) -> Option<CollectReport> {
        let mut context = Context::from_waker(Waker::noop());
        match self.collecting.poll(&mut context, publishing) {
            Poll::Ready(Some(report)) => Some(report.unwrap()),
            Poll::Ready(None) | Poll::Pending => None,
        }
    }

    fn epochs(&self) -> Vec<u64> {
        let list = block_on(self.checkpoints.store.list()).unwrap();
        list.into_iter().map(|epoch| epoch.0).collect()
    }
}

#[test]
fn what_expired_is_deleted_and_found_by_itself_beside_a_publication() {
    let mut owner = Owner::begin();
    for epoch in 1..=3 {
        let manifest = owner.publish(epoch);
        owner.collecting.published(&manifest);
        assert!(owner.work(false).is_some());
        assert!(owner.collecting.is_idle());
        assert_eq!(owner.epochs(), [epoch]);
    }
}

#[test]
fn a_plan_waits_for_the_publication_that_was_under_way_when_it_was_made() {
    let mut owner = Owner::begin();
    let first = owner.publish(1);
    owner.collecting.published(&first);
    let second = owner.publish(2);
    assert!(owner.work(true).is_none(), "whether the second one counts is not known yet");
    assert!(!owner.collecting.is_idle());
    assert_eq!(owner.epochs(), [2, 1]);
    owner.collecting.published(&second);
    assert!(owner.work(true).is_some(), "what is published next builds on the second");
    assert_eq!(owner.epochs(), [2]);
}

#[test]
fn a_plan_is_dropped_if_the_publication_beside_it_is_given_up() {
    for before_it_is_made in [true, false] {
        let mut owner = Owner::begin();
        let first = owner.publish(1);
        owner.collecting.published(&first);
        // It is there, and the next one builds on the first all the same.
        owner.publish(2);
        if !before_it_is_made {
            assert!(owner.work(true).is_none());
        }
        owner.collecting.in_doubt();
        assert!(owner.work(false).is_none());
        assert!(owner.collecting.is_idle());
        assert_eq!(owner.epochs(), [2, 1]);
        let third = owner.publish(3);
        owner.collecting.published(&third);
        assert!(owner.work(false).is_some());
        assert_eq!(owner.epochs(), [3]);
    }
}

#[test]
fn packs_of_a_checkpoint_that_was_given_up_are_collected_in_the_same_run() {
    let mut owner = Owner::begin();
    let first = owner.publish(1);
    owner.collecting.published(&first);
    assert_eq!(owner.work(false).unwrap().packs, 0);
    owner.write(2);
    owner.collecting.discarded();
    let third = owner.publish(3);
    owner.collecting.published(&third);
    assert_eq!(owner.work(false).unwrap().packs, 2, "that of the first, and the one left over");
}
