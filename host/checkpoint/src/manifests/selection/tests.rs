//! Tests of choosing a checkpoint.

use futures::executor::block_on;

use super::*;
use crate::fence::Lease;
use crate::manifest::{Generation, Location};
use crate::paths::ManifestName;
use crate::store::tests::{checkpoint, restore};
use crate::testing::FaultStore;

/// A store with three checkpoints.
fn three() -> (FaultStore, CheckpointStore, Lease, Vec<Manifest>) {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    let lease = block_on(store.claim()).unwrap();
    let mut manifests: Vec<Manifest> = Vec::new();
    for epoch in 1..=3 {
        let next = checkpoint(&store, &lease, manifests.last(), Epoch(epoch));
        manifests.push(block_on(next).unwrap());
    }
    (faults, store, lease, manifests)
}

fn manifest_name(epoch: u64) -> String {
    let name = ManifestName { epoch: Epoch(epoch), generation: Generation(1) };
    crate::paths::manifest(name).to_string()
}

fn chosen(store: &CheckpointStore, check: Check) -> (Option<u64>, Option<String>) {
    let found = block_on(store.newest_valid(check)).unwrap();
    (found.manifest.as_ref().map(|manifest| manifest.epoch.0), found.advice())
}

#[test]
fn newest_checkpoint_is_taken_without_advice() {
    let (_, store, ..) = three();
    assert_eq!(chosen(&store, Check::Manifest), (Some(3), None));
    assert_eq!(chosen(&store, Check::Packs), (Some(3), None));
    assert_eq!(chosen(&CheckpointStore::in_memory(), Check::Packs), (None, None));
}

#[test]
fn damage_is_named_and_the_older_checkpoint_is_offered() {
    let (faults, store, ..) = three();
    let name = manifest_name(3);
    let mut file = block_on(faults.bytes(&name)).unwrap().to_vec();
    *file.last_mut().unwrap() ^= 1;
    block_on(faults.replace(&name, file)).unwrap();
    let (epoch, advice) = chosen(&store, Check::Packs);
    assert_eq!(epoch, Some(2));
    let advice = advice.unwrap();
    assert!(advice.starts_with(&format!("checkpoint 3 cannot be restored: `{name}` is damaged")));
    assert!(advice.ends_with("checkpoint 2 verifies: start from it with `--from 2`"), "{advice}");
    let (epoch, advice) = chosen(&store, Check::Manifest);
    assert_eq!(epoch, Some(2));
    assert!(!advice.unwrap().contains("verifies"));
}

#[test]
fn damaged_pack_is_found_only_when_packs_are_checked() {
    let (faults, store, _, manifests) = three();
    // Group 0 is written in full each time, so this pack belongs to the newest alone.
    let Location::Packed(ranges) = &manifests[2].operators[0].groups[&0][0].location else {
        panic!("group 0 is packed");
    };
    let name = crate::paths::pack(ranges[0].pack.digest).to_string();
    block_on(faults.remove(&name)).unwrap();
    assert_eq!(chosen(&store, Check::Manifest), (Some(3), None));
    let (epoch, advice) = chosen(&store, Check::Packs);
    assert_eq!(epoch, Some(2));
    assert!(advice.unwrap().contains(&format!("`{name}` is missing")));
    let error = block_on(restore(&store, &manifests[2])).unwrap_err();
    assert!(error.to_string().contains(&name), "{error}");
}

#[test]
fn manifest_of_a_newer_release_is_named_with_the_format_needed() {
    let (faults, store, ..) = three();
    let file = block_on(faults.bytes(&manifest_name(3))).unwrap();
    let text = String::from_utf8(file.to_vec()).unwrap();
    let newer = text.replacen("statehouse-manifest 4 ", "statehouse-manifest 5 ", 1);
    block_on(faults.replace(&manifest_name(3), newer)).unwrap();
    let (epoch, advice) = chosen(&store, Check::Manifest);
    assert_eq!(epoch, Some(2));
    let advice = advice.unwrap();
    assert!(
        advice.contains("has manifest format 5, this release reads up to format 4"),
        "{advice}"
    );
}

#[test]
fn nothing_whole_is_said_so() {
    let (faults, store, ..) = three();
    for epoch in 1..=3 {
        block_on(faults.replace(&manifest_name(epoch), "not a manifest")).unwrap();
    }
    let (epoch, advice) = chosen(&store, Check::Manifest);
    assert_eq!(epoch, None);
    let advice = advice.unwrap();
    assert_eq!(advice.lines().count(), 4);
    assert!(advice.contains("no older checkpoint can be restored"), "{advice}");
}

#[test]
fn store_that_cannot_be_read_is_no_reason_to_go_back() {
    let (faults, store, ..) = three();
    for request in 0..5 {
        faults.crash_after(request);
        let error = block_on(store.newest_valid(Check::Packs)).unwrap_err();
        assert!(matches!(error, Error::Store { .. }), "{error}");
        faults.heal();
    }
}

#[test]
fn owner_goes_on_above_a_damaged_checkpoint() {
    let (faults, store, lease, manifests) = three();
    block_on(faults.replace(&manifest_name(3), "damaged")).unwrap();
    let next = block_on(store.next_epoch()).unwrap();
    assert_eq!(next, Epoch(4));
    block_on(checkpoint(&store, &lease, Some(&manifests[1]), next)).unwrap();
    assert_eq!(chosen(&store, Check::Packs), (Some(4), None));
}

#[test]
fn every_object_of_a_checkpoint_damaged_in_every_way_is_refused_by_name() {
    let (faults, store, _, manifests) = three();
    let newest = &manifests[2];
    let packs = newest.packs().into_iter().map(|pack| crate::paths::pack(pack.digest).to_string());
    for object in packs.chain([manifest_name(3)]) {
        let whole = block_on(faults.bytes(&object)).unwrap();
        let mut damages: Vec<Option<Vec<u8>>> = vec![None];
        damages.extend((0..whole.len()).step_by(7).map(|length| Some(whole[..length].to_vec())));
        damages.extend((0..whole.len() * 8).step_by(5).map(|bit| {
            let mut flipped = whole.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            Some(flipped)
        }));
        for damaged in damages {
            let is_missing = damaged.is_none();
            match damaged {
                Some(damaged) => block_on(faults.replace(&object, damaged)).unwrap(),
                None => block_on(faults.remove(&object)).unwrap(),
            }
            let (epoch, advice) = chosen(&store, Check::Packs);
            assert_ne!(epoch, Some(3), "{object}");
            if is_missing && object == manifest_name(3) {
                // A checkpoint exists if and only if its manifest does.
                assert_eq!((epoch, advice), (Some(2), None));
            } else {
                let advice = advice.unwrap();
                assert!(advice.starts_with("checkpoint 3 cannot be restored: "), "{advice}");
                assert!(advice.lines().next().unwrap().contains(&object), "{advice}");
            }
            block_on(faults.replace(&object, whole.clone())).unwrap();
        }
        assert_eq!(chosen(&store, Check::Packs), (Some(3), None));
    }
}

#[test]
fn damaged_start_record_is_named_and_found_by_a_scrub() {
    let (faults, store, ..) = three();
    block_on(async {
        let lease = store.claim().await.unwrap();
        store.begin_run(&lease, Some(StartPoint::checkpoint(Epoch(3)))).await.unwrap();
        let name = crate::paths::start(lease.generation()).to_string();
        let mut record = faults.bytes(&name).await.unwrap().to_vec();
        *record.last_mut().unwrap() ^= 1;
        faults.replace(&name, record).await.unwrap();
        let error = store.newest_valid(Check::Manifest).await.unwrap_err();
        assert!(error.to_string().contains(&name), "{error}");
        let report = store.scrub(None).await.unwrap();
        assert_eq!((report.damage[0].object.as_str(), report.checkpoints), (name.as_str(), 3));
    });
}
