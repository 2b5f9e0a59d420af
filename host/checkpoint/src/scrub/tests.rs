//! Tests of scrubbing: every damage to every object is found, and mended where that is possible.

use futures::executor::block_on;

use super::*;
use crate::collect::tests::Owner;
use crate::testing::FaultStore;

/// A store with checkpoints, a savepoint, and a backup that has every object, and the packs that nothing names.
async fn store_and_backup() -> (FaultStore, CheckpointStore) {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    let mut owner = Owner::start(&store).await.unwrap();
    owner.run(3).await.unwrap();
    store.pin_savepoint("mine", owner.newest.as_ref().unwrap()).await.unwrap();
    owner.run(2).await.unwrap();
    let unnamed = bytes::Bytes::from_static(b"nothing names this pack, not even a checkpoint");
    let (digest, length) = (Digest::of(&unnamed), unnamed.len() as u64);
    let pack = PackRef { digest, length, format: PackFormat::Raw };
    store.put_pack(pack, unnamed).await.unwrap();
    let backup = FaultStore::in_memory();
    for object in faults.objects().await.unwrap() {
        backup.replace(&object, faults.bytes(&object).await.unwrap()).await.unwrap();
    }
    (faults, backup.checkpoints())
}

#[test]
fn whole_store_is_clean_and_counted() {
    block_on(async {
        let (faults, _) = store_and_backup().await;
        let report = faults.checkpoints().scrub(None).await.unwrap();
        assert!(report.is_clean() && report.damage.is_empty());
        assert_eq!((report.checkpoints, report.savepoints, report.pins), (2, 1, 0));
        assert_eq!(report.unnamed_packs, 1);
        let objects = faults.objects().await.unwrap();
        let packs = objects.iter().filter(|object| object.starts_with("packs/")).count();
        assert_eq!(report.packs, packs);
        assert!(report.pack_bytes > 100);
    });
}

#[test]
fn every_object_damaged_in_every_way_is_named_and_mended_from_a_backup() {
    block_on(async {
        let (faults, backup) = store_and_backup().await;
        let store = faults.checkpoints();
        for object in faults.objects().await.unwrap() {
            if !["packs/", "manifests/", "savepoints/"].iter().any(|kind| object.starts_with(kind))
            {
                continue;
            }
            let whole = faults.bytes(&object).await.unwrap();
            let (mut flipped, half) = (whole.to_vec(), whole.slice(..whole.len() / 2));
            *flipped.last_mut().unwrap() ^= 4;
            for damaged in [Some(flipped.into()), Some(half), None] {
                let is_missing = damaged.is_none();
                match damaged {
                    Some(damaged) => faults.replace(&object, damaged).await.unwrap(),
                    None => faults.remove(&object).await.unwrap(),
                }
                let found = store.scrub(None).await.unwrap();
                if is_missing && found.is_clean() {
                    // That something is missing which nothing names cannot be known.
                    assert!(!object.starts_with("packs/") || found.unnamed_packs == 0, "{object}");
                    faults.replace(&object, whole.clone()).await.unwrap();
                    continue;
                }
                assert!(found.damage.iter().any(|damage| damage.object == object), "{object}");
                assert!(!found.is_clean());
                let mended = store.scrub(Some(&backup)).await.unwrap();
                assert!(mended.is_clean(), "{object}: {:?}", mended.damage);
                assert_eq!(faults.bytes(&object).await.unwrap(), whole, "{object}");
                assert!(store.scrub(None).await.unwrap().damage.is_empty(), "{object}");
            }
        }
    });
}

#[test]
fn damage_says_which_checkpoints_need_the_object_and_stays_without_a_source() {
    block_on(async {
        let (faults, _) = store_and_backup().await;
        let store = faults.checkpoints();
        let savepoint = store.read_savepoint("mine").await.unwrap();
        let newest = store.newest_valid(crate::Check::Manifest).await.unwrap().manifest.unwrap();
        let shared = savepoint.packs().intersection(&newest.packs()).next().copied().unwrap();
        faults.remove(paths::pack(shared.digest).as_ref()).await.unwrap();
        let other = CheckpointStore::in_memory();
        let report = store.scrub(Some(&other)).await.unwrap();
        assert!(!report.is_clean());
        let [damage] = &report.damage[..] else { panic!("{:?}", report.damage) };
        assert!(matches!(damage.error, Error::Missing { .. }));
        assert_eq!(damage.named_by.len(), 3, "{:?}", damage.named_by);
        assert!(damage.named_by.contains(&"savepoints/mine.json".to_owned()));
    });
}

#[test]
fn savepoint_is_not_replaced_by_another_one_of_its_name() {
    block_on(async {
        let (faults, _) = store_and_backup().await;
        let (other, store) = (CheckpointStore::in_memory(), faults.checkpoints());
        let newest = store.newest_valid(crate::Check::Manifest).await.unwrap().manifest.unwrap();
        store.copy_savepoint(&newest, &other, "mine").await.unwrap();
        let mut file = faults.bytes("savepoints/mine.json").await.unwrap().to_vec();
        *file.last_mut().unwrap() ^= 1;
        faults.replace("savepoints/mine.json", file).await.unwrap();
        let report = store.scrub(Some(&other)).await.unwrap();
        assert_eq!(report.damage[0].object, "savepoints/mine.json");
        assert!(!report.is_clean());
    });
}

#[test]
fn damaged_records_are_named_with_what_to_do_and_doing_it_helps() {
    block_on(async {
        let (faults, _) = store_and_backup().await;
        let store = faults.checkpoints();
        let newest = store.newest_valid(crate::Check::Packs).await.unwrap().manifest.unwrap();
        let owner = newest.generation;
        let records = [paths::start(owner).to_string(), paths::condemned(owner, 9).to_string()];
        for record in &records {
            faults.replace(record, "damaged").await.unwrap();
        }
        let report = store.scrub(None).await.unwrap();
        let damaged: Vec<&str> = report.damage.iter().map(|damage| &*damage.object).collect();
        assert_eq!(damaged, [&*records[1], &records[0]]);
        let start = report.damage[1].error.to_string();
        let list = report.damage[0].error.to_string();
        assert!(start.contains("of generation 1, its run had none yet"), "{start}");
        assert!(list.contains("about to delete"), "{list}");
        for (error, record) in [(start, &records[0]), (list, &records[1])] {
            assert!(error.contains("stop every process of this job and delete it"), "{error}");
            assert_eq!(
                store.newest_valid(crate::Check::Packs).await.unwrap_err().object(),
                Some(&**record)
            );
            faults.remove(record).await.unwrap();
        }
        let found = store.newest_valid(crate::Check::Packs).await.unwrap().manifest.unwrap();
        assert_eq!(found, newest);
        assert!(store.scrub(None).await.unwrap().damage.is_empty());
        Owner::start(&store).await.unwrap().run(2).await.unwrap();
    });
}
