//! Collections in two halves, as a job that runs makes them.

use super::*;
use crate::pack::{PackSettings, PackStamp};
use crate::packs::NewSegment;

#[test]
fn what_is_published_between_the_halves_stays_whole() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let mut owner = Owner::start(&store).await.unwrap();
        for _ in 0..3 {
            owner.checkpoint().await.unwrap();
        }
        let begun = owner.collector.begin(&owner.lease).await.unwrap();
        let beside = checkpoint(&store, &owner.lease, owner.newest.as_ref(), owner.next).await;
        owner.newest = Some(beside.unwrap());
        owner.next = owner.next.next();
        owner.collector.finish(&owner.lease, begun, usize::MAX).await.unwrap();
        assert_eq!(store.list().await.unwrap(), [Epoch(4), Epoch(3), Epoch(2)]);
        assert_whole(&store, "").await;
        owner.collector.published(owner.newest.as_ref().unwrap());
        owner.collect().await.unwrap();
        assert_eq!(store.list().await.unwrap(), [Epoch(4), Epoch(3)]);
        restore(&store, owner.newest.as_ref().unwrap()).await.unwrap();
    });
    block_on(assert_clean_after_next_run(&faults, &store, "published between"));
}

#[test]
fn many_packs_that_nothing_names_go_one_collection_after_the_other() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let mut owner = Owner::start(&store).await.unwrap();
        owner.run(3).await.unwrap();
        owner.collector.discarded();
        for writer in 0..3 {
            let stamp = PackStamp { generation: Generation(1), epoch: Epoch(1), writer };
            let settings = PackSettings { inline_bytes_max: 0, ..PackSettings::default() };
            let mut writer = store.task_writer(stamp, settings);
            let bytes = vec![1; 100];
            writer
                .add_segment(NewSegment { group: 0, full: true, entries: 1, bytes })
                .await
                .unwrap();
            writer.finish().await.unwrap();
        }
        for (packs, is_due) in [(2, true), (1, false)] {
            let begun = owner.collector.begin(&owner.lease).await.unwrap();
            let report = owner.collector.finish(&owner.lease, begun, 2).await.unwrap();
            assert_eq!((report.packs, owner.collector.is_due()), (packs, is_due));
        }
    });
}
