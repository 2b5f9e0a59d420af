//! Tests of collection: what stays, what goes, crashes, and other processes in between.

mod halves;
mod races;

use std::collections::BTreeSet;

use futures::executor::block_on;
use object_store::ObjectStoreExt;

use super::*;
use crate::fence::start::StartPoint;
use crate::manifest::Epoch;
use crate::manifests::selection::Check;
use crate::pack::PackStamp;
use crate::packs::NewSegment;
use crate::packs::tests::write_segments;
use crate::store::tests::{SMALL, checkpoint, restore};
use crate::testing::FaultStore;

/// Two checkpoints are kept in these tests.
pub(crate) const TWO: Retention = Retention { num_retained: 2 };

/// An owner that has begun.
pub(crate) struct Owner {
    pub(crate) store: CheckpointStore,
    pub(crate) lease: Lease,
    pub(crate) collector: Collector,
    pub(crate) newest: Option<Manifest>,
    pub(crate) next: Epoch,
}

impl Owner {
    pub(crate) async fn start(store: &CheckpointStore) -> Result<Self, Error> {
        let lease = store.claim().await?;
        let found = store.newest_valid(Check::Packs).await?;
        assert_eq!(found.advice(), None);
        let next = store.begin_run(&lease, found.point).await?;
        let (store, collector) = (store.clone(), Collector::new(store.clone(), TWO));
        Ok(Self { store, lease, collector, newest: found.manifest, next })
    }

    pub(crate) async fn checkpoint(&mut self) -> Result<Manifest, Error> {
        let parent = self.newest.as_ref();
        let manifest = checkpoint(&self.store, &self.lease, parent, self.next).await?;
        self.collector.published(&manifest);
        self.next = self.next.next();
        self.newest = Some(manifest.clone());
        Ok(manifest)
    }

    pub(crate) async fn collect(&mut self) -> Result<CollectReport, Error> {
        let report = self.collector.collect(&self.lease).await?;
        assert!(report.blocked.is_empty(), "{:?}", report.blocked);
        Ok(report)
    }

    /// Some checkpoints, each followed by a collection.
    pub(crate) async fn run(&mut self, checkpoints: u64) -> Result<(), Error> {
        for _ in 0..checkpoints {
            self.checkpoint().await?;
            self.collect().await?;
        }
        Ok(())
    }
}

/// The packs that checkpoints, savepoints and pins name.
async fn named(store: &CheckpointStore) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let mut add = |manifest: Manifest| {
        named.extend(manifest.packs().iter().map(|pack| paths::pack(pack.digest).to_string()));
    };
    for epoch in store.list().await.unwrap() {
        add(store.read(epoch).await.unwrap());
    }
    for savepoint in store.savepoints().await.unwrap() {
        add(store.read_savepoint(&savepoint.name).await.unwrap());
    }
    for pin in store.pins().await.unwrap() {
        add(store.read_pin(&pin).await.unwrap());
    }
    named
}

/// Everything that must be restorable is whole.
pub(crate) async fn assert_whole(store: &CheckpointStore, note: &str) {
    let found = store.newest_valid(Check::Packs).await.unwrap();
    assert_eq!(found.advice(), None, "{note}");
    for savepoint in store.savepoints().await.unwrap() {
        let manifest = store.read_savepoint(&savepoint.name).await.unwrap();
        let damage = store.verify(&manifest).await.unwrap();
        assert!(damage.is_empty(), "{note}: savepoint {}: {damage:?}", savepoint.name);
    }
    for origin in store.origins().await.unwrap() {
        let Ok(manifest) = store.read_origin(&origin.pin).await else { continue };
        let damage = store.verify(&manifest).await.unwrap();
        assert!(damage.is_empty(), "{note}: pin {}: {damage:?}", origin.pin);
    }
}

/// The next owner finds everything whole, collects, and then nothing is there that nothing names.
pub(crate) async fn assert_clean_after_next_run(
    faults: &FaultStore,
    store: &CheckpointStore,
    note: &str,
) {
    assert_whole(store, note).await;
    let mut owner = Owner::start(store).await.unwrap();
    owner.run(3).await.unwrap();
    assert_whole(store, note).await;
    assert_eq!(store.list().await.unwrap().len(), 2, "{note}");
    let named = named(store).await;
    for object in faults.objects().await.unwrap() {
        let is_needed = match object.split('/').next().unwrap() {
            "packs" => named.contains(&object),
            "condemned" => false,
            "starts" => object == paths::start(owner.lease.generation()).to_string(),
            "manifests" => owner.store.list().await.unwrap().iter().any(|epoch| {
                let generation = owner.lease.generation();
                let name = paths::ManifestName { epoch: *epoch, generation };
                object == paths::manifest(name).to_string()
            }),
            _ => true,
        };
        assert!(is_needed, "{note}: {object} is left");
    }
    let newest = owner.newest.as_ref().unwrap();
    restore(store, newest).await.unwrap();
}

#[test]
fn newest_checkpoints_stay_and_nothing_else() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let mut owner = Owner::start(&store).await.unwrap();
        owner.run(5).await.unwrap();
        assert_eq!(store.list().await.unwrap(), [Epoch(5), Epoch(4)]);
        assert_whole(&store, "").await;
        let names: BTreeSet<String> = faults.objects().await.unwrap().into_iter().collect();
        let packs = names.iter().filter(|name| name.starts_with("packs/"));
        assert_eq!(packs.cloned().collect::<BTreeSet<_>>(), named(&store).await);
        // A second owner that starts from it keeps what it continues.
        let mut second = Owner::start(&store).await.unwrap();
        second.checkpoint().await.unwrap();
        let report = second.collect().await.unwrap();
        assert_eq!(report.manifests, 1);
        assert_eq!(store.list().await.unwrap(), [Epoch(6), Epoch(5)]);
        assert_clean_after_next_run(&faults, &store, "second").await;
    });
}

#[test]
fn plan_says_what_a_collection_deletes_and_deletes_nothing() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let mut owner = Owner::start(&store).await.unwrap();
        for _ in 0..4 {
            owner.checkpoint().await.unwrap();
        }
        let before = faults.objects().await.unwrap();
        let plan = Collector::new(store.clone(), TWO).plan().await.unwrap();
        assert_eq!(plan.epochs(), [Epoch(2), Epoch(1)]);
        assert!(plan.pack_bytes() > 0 && plan.packs() > 0);
        assert_eq!(faults.objects().await.unwrap(), before);
        let planned = plan.objects();
        owner.collect().await.unwrap();
        let after: BTreeSet<String> = faults.objects().await.unwrap().into_iter().collect();
        let deleted: Vec<&String> = before.iter().filter(|name| !after.contains(*name)).collect();
        assert_eq!(deleted, planned.iter().collect::<Vec<_>>());
        assert!(Collector::new(store, TWO).plan().await.unwrap().is_empty());
    });
}

#[test]
fn savepoint_keeps_what_it_names_until_it_is_deleted() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let mut owner = Owner::start(&store).await.unwrap();
        owner.run(1).await.unwrap();
        let first = owner.newest.clone().unwrap();
        store.pin_savepoint("first", &first).await.unwrap();
        store.pin_savepoint("first", &first).await.unwrap();
        owner.run(4).await.unwrap();
        assert_eq!(store.read_savepoint("first").await.unwrap(), first);
        assert!(store.verify(&first).await.unwrap().is_empty());
        assert_eq!(store.pins().await.unwrap(), [""; 0]);
        let taken = store.pin_savepoint("first", owner.newest.as_ref().unwrap()).await;
        assert!(matches!(taken.unwrap_err(), Error::NameTaken { .. }));
        store.delete_savepoint("first").await.unwrap();
        let again = store.delete_savepoint("first").await.unwrap_err();
        assert!(again.to_string().contains("savepoints/first.json"), "{again}");
        owner.collect().await.unwrap();
        assert!(!store.verify(&first).await.unwrap().is_empty());
        let gone = store.pin_savepoint("late", &first).await.unwrap_err();
        assert!(gone.is_collected() && gone.to_string().contains("checkpoint 1"), "{gone}");
        assert_eq!(store.savepoints().await.unwrap(), []);
        assert_clean_after_next_run(&faults, &store, "").await;
    });
}

#[test]
fn root_that_cannot_be_read_stops_collection_and_is_named() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let mut owner = Owner::start(&store).await.unwrap();
        owner.run(1).await.unwrap();
        store.pin_savepoint("mine", owner.newest.as_ref().unwrap()).await.unwrap();
        owner.checkpoint().await.unwrap();
        owner.checkpoint().await.unwrap();
        faults.replace("savepoints/mine.json", "damaged").await.unwrap();
        let before = faults.objects().await.unwrap();
        let report = owner.collector.collect(&owner.lease).await.unwrap();
        assert!(report.blocked[0].to_string().contains("savepoints/mine.json"));
        assert_eq!(faults.objects().await.unwrap(), before);
        // Deleted by the user, it stops nothing.
        store.delete_savepoint("mine").await.unwrap();
        assert_eq!(owner.collect().await.unwrap().manifests, 1);
        assert_clean_after_next_run(&faults, &store, "").await;
    });
}

#[test]
fn run_that_ends_by_deleting_everything_is_followed_by_a_fresh_one() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let mut owner = Owner::start(&store).await.unwrap();
        owner.run(3).await.unwrap();
        let kept = owner.newest.clone().unwrap();
        store.pin_savepoint("kept", &kept).await.unwrap();
        owner.collector.set_retention(Retention { num_retained: 0 });
        owner.collect().await.unwrap();
        assert_eq!(store.list().await.unwrap(), []);
        let found = store.newest_valid(Check::Packs).await.unwrap();
        assert!(found.manifest.is_none() && found.advice().is_none());
        assert!(store.verify(&kept).await.unwrap().is_empty());
        assert_clean_after_next_run(&faults, &store, "").await;
    });
}

#[test]
fn checkpoints_behind_which_the_user_went_back_stay_until_the_new_run_has_its_own() {
    let store = CheckpointStore::in_memory();
    block_on(async {
        let mut owner = Owner::start(&store).await.unwrap();
        for _ in 0..3 {
            owner.checkpoint().await.unwrap();
        }
        let lease = store.claim().await.unwrap();
        let back = StartPoint::checkpoint(Epoch(1));
        let next = store.begin_run(&lease, Some(back)).await.unwrap();
        assert_eq!(next, Epoch(4));
        let newest = store.newest_valid(Check::Packs).await.unwrap().manifest.unwrap();
        assert_eq!(newest.epoch, Epoch(1));
        let collector = Collector::new(store.clone(), TWO);
        let (store, newest) = (store.clone(), Some(newest));
        let mut back = Owner { store, lease, collector, newest, next };
        back.run(1).await.unwrap();
        assert_eq!(back.store.list().await.unwrap(), [4, 3, 2, 1].map(Epoch));
        back.run(1).await.unwrap();
        assert_eq!(back.store.list().await.unwrap(), [5, 4].map(Epoch));
    });
}

#[test]
fn checkpoints_of_older_releases_are_continued_and_collected() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let lease = store.claim().await.unwrap();
        let mut newest = None;
        for epoch in 1..=3 {
            newest = Some(checkpoint(&store, &lease, newest.as_ref(), Epoch(epoch)).await.unwrap());
            // Their names had no generation.
            let now = paths::ManifestName { epoch: Epoch(epoch), generation: lease.generation() };
            let then = paths::ManifestName { generation: Generation(0), ..now };
            let (now, then) = (paths::manifest(now).to_string(), paths::manifest(then).to_string());
            faults.replace(&then, faults.bytes(&now).await.unwrap()).await.unwrap();
            faults.remove(&now).await.unwrap();
        }
        assert_eq!(store.list().await.unwrap(), [3, 2, 1].map(Epoch));
        let mut owner = Owner::start(&store).await.unwrap();
        assert_eq!((owner.newest.clone(), owner.next), (newest, Epoch(4)));
        owner.run(1).await.unwrap();
        assert_eq!(store.list().await.unwrap(), [4, 3].map(Epoch));
        restore(&store, owner.newest.as_ref().unwrap()).await.unwrap();
        assert_clean_after_next_run(&faults, &store, "older release").await;
    });
}

/// Not counting packs and manifest: a collection that has something to delete writes one list and deletes it.
#[test]
fn steady_collection_costs_one_write() {
    let metrics = crate::StoreMetrics::default();
    let store = CheckpointStore::in_memory().metered(&metrics);
    block_on(async {
        let mut owner = Owner::start(&store).await.unwrap();
        owner.run(4).await.unwrap();
        owner.checkpoint().await.unwrap();
        let before = metrics.counts();
        owner.collect().await.unwrap();
        let after = metrics.counts();
        assert_eq!(after.writes - before.writes, 1);
        // The newest start record. What manifests name is remembered.
        assert_eq!(after.reads - before.reads, 1);
        assert!(after.lists - before.lists <= 12, "{} listings", after.lists - before.lists);
    });
}

#[test]
fn packs_that_others_collected_leave_the_local_copy() {
    let (faults, directory) = (FaultStore::in_memory(), tempfile::tempdir().unwrap());
    let store = faults.checkpoints().with_local_copy(directory.path()).unwrap();
    let copied = async || orphans::packs_in(store.local_copy().unwrap()).await.unwrap();
    let own = async || orphans::packs_in(&*store.own).await.unwrap();
    block_on(async {
        let mut owner = Owner::start(&store).await.unwrap();
        for _ in 0..4 {
            owner.checkpoint().await.unwrap();
        }
        // A run elsewhere, which does not know the copy.
        Owner::start(&faults.checkpoints()).await.unwrap().run(3).await.unwrap();
        let there = own().await;
        assert!(copied().await.keys().any(|pack| !there.contains_key(pack)));
        let mut owner = Owner::start(&store).await.unwrap();
        // Its next checkpoint has begun: one upload has reached the copy and not yet the store.
        let first = owner.checkpoint().await.unwrap();
        let (epoch, generation) = (first.epoch.next(), owner.lease.generation());
        let stamp = PackStamp { generation, epoch, writer: 7 };
        let segment = NewSegment { group: 0, full: true, entries: 1, bytes: vec![7; 300] };
        let other = CheckpointStore::in_memory();
        let under_way = write_segments(&other, stamp, vec![segment], SMALL).await.unwrap();
        assert_eq!(under_way.packs, 1);
        let pack = *orphans::packs_in(&*other.own).await.unwrap().keys().next().unwrap();
        let file = other.own.get(&paths::pack(pack)).await.unwrap().bytes().await.unwrap();
        let copy = store.local_copy().unwrap();
        copy.put(&paths::pack(pack), file.into()).await.unwrap();
        owner.collect().await.unwrap();
        let there = own().await;
        let mut stale = copied().await;
        stale.retain(|pack, _| !there.contains_key(pack));
        assert_eq!(stale.into_keys().collect::<Vec<_>>(), [pack]);
        // What is gone when it is to be deleted goes from the copy too.
        let goes = *copied().await.keys().find(|other| **other != pack).unwrap();
        faults.remove(paths::pack(goes).as_ref()).await.unwrap();
        store.delete(&paths::pack(goes)).await.unwrap();
        assert!(!copied().await.contains_key(&goes));
    });
}

#[test]
fn checkpoint_that_was_given_up_and_appears_late_is_not_taken_and_goes() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let mut owner = Owner::start(&store).await.unwrap();
        let first = owner.checkpoint().await.unwrap();
        owner.checkpoint().await.unwrap();
        // Its owner heard nothing of the second one and went on from the first.
        owner.newest = Some(first.clone());
        let third = owner.checkpoint().await.unwrap();
        let new = third.packs().into_iter().find(|pack| !first.packs().contains(pack)).unwrap();
        let pack = paths::pack(new.digest).to_string();
        let whole = faults.bytes(&pack).await.unwrap();
        faults.remove(&pack).await.unwrap();
        let found = store.newest_valid(Check::Packs).await.unwrap();
        assert_eq!(found.manifest.as_ref(), Some(&first));
        faults.replace(&pack, whole).await.unwrap();
        assert_eq!(owner.collect().await.unwrap().manifests, 1);
        assert_eq!(store.list().await.unwrap(), [3, 1].map(Epoch));
        assert_clean_after_next_run(&faults, &store, "").await;
    });
}
