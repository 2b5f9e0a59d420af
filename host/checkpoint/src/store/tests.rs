//! Tests of the store: publishing, reading, damage, crashes.

mod suite;

use std::collections::BTreeMap;

use futures::executor::block_on;
use serde_json::json;

use super::*;
use crate::digest::Digest;
use crate::fence::Lease;
use crate::manifest::*;
use crate::manifest::{Generation, OperatorState, Statistics, TaskState, extend_groups};
use crate::manifests::selection::Check;
use crate::pack::*;
use crate::packs::NewSegment;
use crate::packs::tests::write_segments;
use crate::paths;
use crate::testing::FaultStore;

/// Segments of ten bytes and more go into packs of at most 400 bytes.
pub(crate) const SMALL: PackSettings = PackSettings {
    inline_bytes_max: 9,
    pack_bytes_max: 400,
    manifest_inline_bytes_max: 1000,
    compression: Compression::None,
    uploads_max: 2,
};

/// The state of the job in these tests: a text for each key group.
pub(crate) type State = BTreeMap<u16, String>;

/// Writes a checkpoint that continues `parent`: group 0 in full, and an increment for group 1.
pub(crate) async fn checkpoint(
    store: &CheckpointStore,
    lease: &Lease,
    parent: Option<&Manifest>,
    epoch: Epoch,
) -> Result<Manifest, Error> {
    let segment = |group, full, text: String| NewSegment {
        group,
        full,
        entries: 1,
        bytes: text.into_bytes(),
    };
    let segments = vec![
        segment(0, true, format!("all of group 0 at epoch {epoch};").repeat(20)),
        segment(1, parent.is_none(), format!("group 1 at epoch {epoch};")),
    ];
    let stamp = |writer| PackStamp { generation: lease.generation(), epoch, writer };
    let written = write_segments(store, stamp(0), segments, SMALL).await?;
    let small = vec![segment(2, parent.is_none(), format!("2@{epoch};"))];
    let inline = write_segments(store, stamp(1), small, SMALL).await?;
    let empty = BTreeMap::new();
    let previous = parent.map_or(&empty, |parent| &parent.operators[0].groups);
    let segments = written.segments.into_iter().chain(inline.segments);
    let manifest = Manifest {
        job: "test".to_owned(),
        epoch,
        parent: parent.map(|parent| parent.epoch),
        generation: lease.generation(),
        created_ms: 0,
        key_groups: 3,
        key_hash: "none".to_owned(),
        operators: vec![OperatorState {
            id: "texts".to_owned(),
            component: None,
            declared: None,
            description: json!({}),
            retired: None,
            parallelism: 1,
            tasks: vec![TaskState {
                task: 0,
                watermark: None,
                position: json!(epoch.0),
                state: None,
            }],
            groups: extend_groups(previous, segments).unwrap(),
            tables: Vec::new(),
        }],
        statistics: Statistics::default(),
    };
    store.publish(&manifest, lease).await?;
    Ok(manifest)
}

/// The name of the first owner's checkpoint of this epoch.
fn name_of(epoch: u64) -> paths::ManifestName {
    paths::ManifestName { epoch: Epoch(epoch), generation: Generation(1) }
}

/// Reads the state of a checkpoint back.
pub(crate) async fn restore(store: &CheckpointStore, manifest: &Manifest) -> Result<State, Error> {
    let mut state = State::new();
    for (&group, chain) in &manifest.operators[0].groups {
        let mut reader = store.read_segments(chain);
        let text = state.entry(group).or_default();
        while let Some(bytes) = reader.next().await? {
            text.push_str(str::from_utf8(&bytes).unwrap());
        }
    }
    Ok(state)
}

/// What [`restore`] returns for a checkpoint whose ancestors are these, the newest last.
fn expected(epochs: &[u64]) -> State {
    let newest = epochs.last().unwrap();
    let join = |text: &dyn Fn(&u64) -> String| epochs.iter().map(text).collect::<String>();
    State::from([
        (0, format!("all of group 0 at epoch {newest};").repeat(20)),
        (1, join(&|epoch| format!("group 1 at epoch {epoch};"))),
        (2, join(&|epoch| format!("2@{epoch};"))),
    ])
}

async fn publish_and_restore(store: CheckpointStore) {
    assert_eq!(store.list().await.unwrap(), []);
    assert_eq!(store.next_epoch().await.unwrap(), Epoch(1));
    let lease = store.claim().await.unwrap();
    assert_eq!(lease.generation(), Generation(1));
    let first = checkpoint(&store, &lease, None, Epoch(1)).await.unwrap();
    let second = checkpoint(&store, &lease, Some(&first), Epoch(2)).await.unwrap();
    assert_eq!(store.list().await.unwrap(), [Epoch(2), Epoch(1)]);
    assert_eq!(store.next_epoch().await.unwrap(), Epoch(3));
    for (manifest, epochs) in [(first, &[1][..]), (second, &[1, 2])] {
        let read = store.read(manifest.epoch).await.unwrap();
        assert_eq!(read, manifest);
        assert!(store.verify(&read).await.unwrap().is_empty());
        assert_eq!(restore(&store, &read).await.unwrap(), expected(epochs));
    }
    let error = store.read(Epoch(9)).await.unwrap_err();
    assert!(error.to_string().contains("manifests/00000000000000000009.json"), "{error}");
}

#[test]
fn checkpoints_in_memory_are_restored() {
    block_on(publish_and_restore(CheckpointStore::in_memory()));
}

#[test]
fn checkpoints_in_a_directory_are_restored_with_and_without_a_runtime() {
    for durability in [Durability::Power, Durability::Process] {
        let directory = tempfile::tempdir().unwrap();
        let store = || CheckpointStore::open_directory(directory.path(), durability).unwrap();
        block_on(publish_and_restore(store()));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let other = tempfile::tempdir().unwrap();
        let other = CheckpointStore::open_directory(other.path(), durability).unwrap();
        runtime.block_on(runtime.spawn(publish_and_restore(other))).unwrap();
        assert_eq!(runtime.block_on(store().list()).unwrap(), block_on(store().list()).unwrap());
    }
}

#[test]
fn name_of_every_pack_is_its_hash() {
    let directory = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open_directory(directory.path(), Durability::Process).unwrap();
    let lease = block_on(store.claim()).unwrap();
    block_on(checkpoint(&store, &lease, None, Epoch(1))).unwrap();
    let mut packs = 0;
    for fan in std::fs::read_dir(directory.path().join("packs")).unwrap() {
        let fan = fan.unwrap();
        for pack in std::fs::read_dir(fan.path()).unwrap() {
            let pack = pack.unwrap();
            let name = pack.file_name().into_string().unwrap();
            assert_eq!(name, Digest::of(&std::fs::read(pack.path()).unwrap()).to_string());
            assert_eq!(name[..2], *fan.file_name().to_str().unwrap());
            packs += 1;
        }
    }
    assert_eq!(packs, 2);
}

#[test]
fn directory_that_is_none_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for path in [file.path(), Directory::new("/proc/no-such-directory")] {
        let error = CheckpointStore::open_directory(path, Durability::Power).unwrap_err();
        assert!(matches!(error, Error::Directory { .. }));
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn files_with_other_names_are_passed_over() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let lease = store.claim().await.unwrap();
        checkpoint(&store, &lease, None, Epoch(1)).await.unwrap();
        for stray in ["manifests/notes.txt", "manifests/2.json", "generations/tmp", "packs/x"] {
            faults.replace(stray, "stray").await.unwrap();
        }
        assert_eq!(store.list().await.unwrap(), [Epoch(1)]);
        store.check_lease(&lease).await.unwrap();
    });
}

#[test]
fn every_flipped_bit_of_a_pack_is_found_by_name() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let lease = store.claim().await.unwrap();
        let manifest = checkpoint(&store, &lease, None, Epoch(1)).await.unwrap();
        for pack in manifest.packs() {
            let name = paths::pack(pack.digest).to_string();
            let bytes = faults.bytes(&name).await.unwrap();
            for place in 0..bytes.len() * 8 {
                let mut damaged = bytes.to_vec();
                damaged[place / 8] ^= 1 << (place % 8);
                let found = Digest::of(&damaged);
                faults.replace(&name, damaged).await.unwrap();
                let damage = store.verify(&manifest).await.unwrap();
                assert_eq!(damage.len(), 1, "bit {place} of {name}");
                let text = damage[0].to_string();
                for part in [&name, &pack.digest.to_string(), &found.to_string()] {
                    assert!(text.contains(part), "{text}");
                }
                assert!(restore(&store, &manifest).await.unwrap_err().is_damage());
            }
            faults.replace(&name, bytes).await.unwrap();
        }
        assert!(store.verify(&manifest).await.unwrap().is_empty());
    });
}

#[test]
fn all_missing_and_shortened_packs_are_reported() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let lease = store.claim().await.unwrap();
        let manifest = checkpoint(&store, &lease, None, Epoch(1)).await.unwrap();
        let names: Vec<String> =
            manifest.packs().iter().map(|pack| paths::pack(pack.digest).to_string()).collect();
        faults.remove(&names[0]).await.unwrap();
        faults.replace(&names[1], "short").await.unwrap();
        let damage = store.verify(&manifest).await.unwrap();
        assert!(matches!(&damage[0], Error::Missing { object } if *object == names[0]));
        assert!(matches!(&damage[1], Error::Malformed { object, .. } if *object == names[1]));
        assert_eq!(damage.len(), 2);
    });
}

#[test]
fn manifest_under_the_name_of_another_is_refused() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let lease = store.claim().await.unwrap();
        checkpoint(&store, &lease, None, Epoch(1)).await.unwrap();
        let file = faults.bytes(paths::manifest(name_of(1)).as_ref()).await.unwrap();
        faults.replace(paths::manifest(name_of(2)).as_ref(), file).await.unwrap();
        let error = store.read(Epoch(2)).await.unwrap_err();
        assert!(error.to_string().contains("manifest of epoch 1"), "{error}");
    });
}

#[test]
fn manifest_that_breaks_a_rule_is_not_written() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let lease = store.claim().await.unwrap();
        let first = checkpoint(&store, &lease, None, Epoch(5)).await.unwrap();
        let before = faults.objects().await.unwrap();
        let next = Manifest { epoch: Epoch(6), ..first.clone() };
        let empty = Manifest { job: String::new(), ..next.clone() };
        let foreign = Manifest { generation: Generation(2), ..next };
        let older = Manifest { epoch: Epoch(4), ..first };
        for (manifest, part) in
            [(empty, "name is empty"), (foreign, "generation 2"), (older, "epoch 5")]
        {
            let error = store.publish(&manifest, &lease).await.unwrap_err();
            assert!(matches!(error, Error::Protocol { .. }));
            assert!(error.chain().contains(part), "{}", error.chain());
        }
        assert_eq!(faults.objects().await.unwrap(), before);
    });
}

/// A run that claims, continues from the newest checkpoint and makes three more.
/// `acknowledged` is the newest epoch of which the caller was told that it is published.
async fn run(store: &CheckpointStore, acknowledged: &mut u64) -> Result<(), Error> {
    let lease = store.claim().await?;
    let found = store.newest_valid(Check::Packs).await?;
    let mut parent = found.manifest;
    let next = store.begin_run(&lease, found.point).await?.0;
    for epoch in next..next + 3 {
        parent = Some(checkpoint(store, &lease, parent.as_ref(), Epoch(epoch)).await?);
        *acknowledged = epoch;
    }
    Ok(())
}

/// Breaks a run by `fault`, at request `n`, then looks at what is left and runs on.
async fn break_run(n: u64, fault: impl Fn(&FaultStore, u64)) {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    let mut acknowledged = 0;
    run(&store, &mut acknowledged).await.unwrap();
    fault(&faults, n);
    assert!(run(&store, &mut acknowledged).await.is_err(), "request {n}");
    faults.heal();
    let found = store.newest_valid(Check::Packs).await.unwrap();
    assert!(found.rejected.is_empty(), "request {n}: {:?}", found.advice());
    let newest = found.manifest.unwrap();
    assert!((acknowledged..=acknowledged + 1).contains(&newest.epoch.0), "request {n}");
    let epochs: Vec<u64> = (1..=newest.epoch.0).collect();
    assert_eq!(restore(&store, &newest).await.unwrap(), expected(&epochs), "request {n}");
    run(&store, &mut acknowledged).await.unwrap();
    let found = store.newest_valid(Check::Packs).await.unwrap().manifest.unwrap();
    let epochs: Vec<u64> = (1..=newest.epoch.0 + 3).collect();
    assert_eq!(restore(&store, &found).await.unwrap(), expected(&epochs), "request {n}");
}

/// How many requests the second run makes.
fn requests() -> u64 {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(run(&store, &mut 0)).unwrap();
    let before = faults.calls();
    block_on(run(&store, &mut 0)).unwrap();
    faults.calls() - before
}

#[test]
fn crash_after_any_request_leaves_a_whole_checkpoint() {
    for n in 0..requests() {
        block_on(break_run(n, FaultStore::crash_after));
    }
}

#[test]
fn lost_answer_to_any_request_leaves_a_whole_checkpoint() {
    for n in 0..requests() {
        block_on(break_run(n, FaultStore::lose_answer_after));
    }
}

#[test]
fn publishing_again_after_a_lost_answer_succeeds() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let lease = store.claim().await.unwrap();
        let first = checkpoint(&store, &lease, None, Epoch(1)).await.unwrap();
        let next = Manifest { epoch: Epoch(2), ..first };
        faults.lose_answer_after(1);
        let error = store.publish(&next, &lease).await.unwrap_err();
        assert!(matches!(&error, Error::Store { operation: "write", .. }), "{error}");
        store.publish(&next, &lease).await.unwrap();
        let other = Manifest { created_ms: 1, ..next };
        let error = store.publish(&other, &lease).await.unwrap_err();
        assert!(matches!(error, Error::AlreadyPublished { epoch: Epoch(2) }));
        assert!(error.to_string().contains("another owner published epoch 2"));
    });
}
