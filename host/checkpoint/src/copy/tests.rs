//! Tests of copies: what moves, crashes in between, and collections on either side.

use std::sync::Arc;

use futures::executor::block_on;

use super::*;
use crate::collect::tests::{Owner, assert_clean_after_next_run, assert_whole};
use crate::store::tests::restore;
use crate::testing::FaultStore;

/// A source with some checkpoints, and its newest.
fn source() -> (FaultStore, Manifest) {
    let faults = FaultStore::in_memory();
    let mut owner = block_on(Owner::start(&faults.checkpoints())).unwrap();
    block_on(owner.run(3)).unwrap();
    (faults, owner.newest.unwrap())
}

#[test]
fn copy_stands_on_its_own_and_moves_only_what_is_missing() {
    let (faults, manifest) = source();
    let (from, to) = (faults.checkpoints(), CheckpointStore::in_memory());
    block_on(async {
        let first = from.copy_savepoint(&manifest, &to, "copy").await.unwrap();
        assert_eq!(first.packs_copied, manifest.packs().len());
        let bytes: u64 = manifest.packs().iter().map(|pack| pack.length).sum();
        assert_eq!(first.bytes_copied, bytes);
        assert_eq!(to.read_savepoint("copy").await.unwrap(), manifest);
        assert_eq!(
            restore(&to, &manifest).await.unwrap(),
            restore(&from, &manifest).await.unwrap()
        );
        let again = from.copy_savepoint(&manifest, &to, "copy").await.unwrap();
        let nothing = CopyReport { packs_present: first.packs_copied, ..CopyReport::default() };
        assert_eq!(again, nothing);
        // The next checkpoint shares packs with this one.
        let mut owner = Owner::start(&from).await.unwrap();
        let next = owner.checkpoint().await.unwrap();
        let report = from.copy_savepoint(&next, &to, "next").await.unwrap();
        assert!(report.packs_present > 0 && report.packs_copied > 0);
        let taken = from.copy_savepoint(&next, &to, "copy").await.unwrap_err();
        assert!(matches!(taken, Error::NameTaken { .. }));
        assert!(from.pins().await.unwrap().is_empty() && to.pins().await.unwrap().is_empty());
    });
}

#[test]
fn damaged_pack_is_not_copied() {
    let (faults, manifest) = source();
    let (from, to) = (faults.checkpoints(), CheckpointStore::in_memory());
    let pack = paths::pack(manifest.packs().first().unwrap().digest).to_string();
    block_on(async {
        let mut bytes = faults.bytes(&pack).await.unwrap().to_vec();
        bytes[40] ^= 1;
        faults.replace(&pack, bytes).await.unwrap();
        let error = from.copy_savepoint(&manifest, &to, "copy").await.unwrap_err();
        assert!(error.to_string().contains(&pack), "{error}");
        assert!(to.savepoints().await.unwrap().is_empty());
        assert!(from.pins().await.unwrap().is_empty() && to.pins().await.unwrap().is_empty());
    });
}

/// How many requests a copy makes of the source and of the destination.
fn requests() -> (u64, u64) {
    let (from, manifest) = source();
    let (to, before) = (FaultStore::in_memory(), from.calls());
    block_on(from.checkpoints().copy_savepoint(&manifest, &to.checkpoints(), "copy")).unwrap();
    (from.calls() - before, to.calls())
}

#[test]
fn copy_that_was_broken_off_anywhere_can_be_made_again() {
    let (in_source, in_destination) = requests();
    let cases = (0..in_source).map(|n| (n, true)).chain((0..in_destination).map(|n| (n, false)));
    for (n, source_fails) in cases {
        for fault in [FaultStore::crash_after, FaultStore::lose_answer_after] {
            let note = format!("request {n}, source {source_fails}");
            let (from, manifest) = source();
            let to = FaultStore::in_memory();
            fault(if source_fails { &from } else { &to }, n);
            let (source, destination) = (from.checkpoints(), to.checkpoints());
            let _ = block_on(source.copy_savepoint(&manifest, &destination, "copy"));
            from.heal();
            to.heal();
            block_on(async {
                assert_whole(&to.checkpoints(), &note).await;
                from.checkpoints()
                    .copy_savepoint(&manifest, &to.checkpoints(), "copy")
                    .await
                    .unwrap_or_else(|error| panic!("{note}: {error}"));
                assert!(source.pins().await.unwrap().is_empty(), "{note}");
                assert!(destination.pins().await.unwrap().is_empty(), "{note}");
                assert_whole(&destination, &note).await;
                assert_clean_after_next_run(&to, &destination, &note).await;
                assert_clean_after_next_run(&from, &source, &note).await;
            });
        }
    }
}

#[test]
fn collection_on_either_side_between_any_two_requests_leaves_the_copy_whole() {
    let (in_source, in_destination) = requests();
    let cases = (0..in_source).map(|n| (n, true)).chain((0..in_destination).map(|n| (n, false)));
    for (n, in_source) in cases {
        let note = format!("request {n}, source {in_source}");
        let (from, manifest) = source();
        let to = FaultStore::in_memory();
        // What an earlier copy left, to be taken for orphans there.
        let pack = *manifest.packs().first().unwrap();
        let bytes = block_on(from.checkpoints().read_pack(pack)).unwrap();
        block_on(to.checkpoints().put_pack(pack, bytes)).unwrap();
        let faulty = if in_source { &from } else { &to };
        let other = CheckpointStore::new(Arc::clone(&faulty.inner()));
        faulty.before_request_after(n, move || {
            let run = async move { Owner::start(&other).await?.run(4).await };
            std::thread::spawn(move || block_on(run).unwrap()).join().unwrap();
        });
        let copied =
            block_on(from.checkpoints().copy_savepoint(&manifest, &to.checkpoints(), "copy"));
        if let Err(error) = copied {
            assert!(error.is_collected(), "{note}: {error}");
        }
        block_on(assert_whole(&to.checkpoints(), &note));
        block_on(assert_clean_after_next_run(&to, &to.checkpoints(), &note));
        block_on(assert_clean_after_next_run(&from, &from.checkpoints(), &note));
    }
}

#[test]
fn late_deletion_of_what_a_copy_has_brought_is_made_good() {
    let (_, requests) = requests();
    let mut hit = 0;
    for n in 0..requests {
        let (from, manifest) = source();
        let to = FaultStore::in_memory();
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let (other, pack) = (to.clone(), *manifest.packs().first().unwrap());
        to.before_request_after(n, move || {
            let late = async move {
                let brought = other.remove(paths::pack(pack.digest).as_ref()).await.is_ok();
                let objects = other.objects().await.unwrap();
                brought && !objects.contains(&"savepoints/copy.json".to_owned())
            };
            sender.send(std::thread::spawn(move || block_on(late)).join().unwrap()).unwrap();
        });
        let store = to.checkpoints();
        block_on(from.checkpoints().copy_savepoint(&manifest, &store, "copy")).unwrap();
        if receiver.recv().unwrap() {
            hit += 1;
            block_on(assert_whole(&store, &format!("request {n}")));
        }
    }
    assert!(hit > 0);
}
