//! Tests of generations: of several owners one publishes.

use futures::executor::block_on;

use super::*;
use crate::manifest::{Epoch, Manifest};
use crate::manifests::selection::Check;
use crate::store::tests::{checkpoint, restore};
use crate::testing::FaultStore;

#[test]
fn generations_are_counted_up() {
    let store = CheckpointStore::in_memory();
    for number in 1..=3 {
        let lease = block_on(store.claim()).unwrap();
        assert_eq!(lease.generation(), Generation(number));
        block_on(store.check_lease(&lease)).unwrap();
    }
}

#[test]
fn stale_generation_cannot_publish() {
    let store = CheckpointStore::in_memory();
    block_on(async {
        let old = store.claim().await.unwrap();
        let first = checkpoint(&store, &old, None, Epoch(1)).await.unwrap();
        let new = store.claim().await.unwrap();
        let error = checkpoint(&store, &old, Some(&first), Epoch(2)).await.unwrap_err();
        assert!(error.is_fenced());
        let text = error.to_string();
        assert!(text.contains("generation 1 has lost the job to generation 2"), "{text}");
        assert_eq!(store.list().await.unwrap(), [Epoch(1)]);
        checkpoint(&store, &new, Some(&first), Epoch(2)).await.unwrap();
    });
}

#[test]
fn processes_that_race_claim_different_generations() {
    let directory = tempfile::tempdir().unwrap();
    let claim = || {
        let durability = crate::Durability::Process;
        let store = CheckpointStore::open_directory(directory.path(), durability).unwrap();
        (0..4).map(|_| block_on(store.claim()).unwrap().generation().0).collect::<Vec<_>>()
    };
    let mut claimed: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(claim)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    claimed.sort_unstable();
    assert_eq!(claimed, (1..=16).collect::<Vec<u64>>());
}

/// Claims the next generation right before every second request, and so before every creation.
fn take_every_second(faults: FaultStore) {
    let again = faults.clone();
    faults.before_request_after(1, move || {
        let store = CheckpointStore::new(again.inner());
        std::thread::spawn(move || block_on(store.claim()).unwrap()).join().unwrap();
        take_every_second(again);
    });
}

#[test]
fn claim_that_never_succeeds_ends() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(store.honours_conditions()).unwrap();
    let before = faults.calls();
    take_every_second(faults.clone());
    let error = block_on(store.claim()).unwrap_err();
    assert!(matches!(error, Error::ClaimContended { attempts: CLAIM_ATTEMPTS_MAX }));
    assert_eq!(faults.calls() - before, u64::from(CLAIM_ATTEMPTS_MAX) * 2);
}

/// How many requests publishing a checkpoint takes.
fn requests() -> u64 {
    let (faults, _, lease, first) = published();
    let before = faults.calls();
    block_on(checkpoint(&faults.checkpoints(), &lease, Some(&first), Epoch(2))).unwrap();
    faults.calls() - before
}

/// A store with an owner and its first checkpoint, and a view of it without faults.
fn published() -> (FaultStore, CheckpointStore, Lease, Manifest) {
    let faults = FaultStore::in_memory();
    let other = CheckpointStore::new(faults.inner());
    let lease = block_on(other.claim()).unwrap();
    let first = block_on(checkpoint(&other, &lease, None, Epoch(1))).unwrap();
    (faults, other, lease, first)
}

/// Lets an old owner publish epoch 2, and a new owner do `meanwhile` right before request `n`.
fn race<T: Send + 'static>(
    n: u64,
    meanwhile: impl FnOnce(CheckpointStore) -> T + Send + 'static,
) -> (CheckpointStore, Result<Manifest, Error>, T) {
    let (faults, other, lease, first) = published();
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let store = other.clone();
    faults.before_request_after(n, move || {
        // A thread of its own, as one thread cannot wait for two futures, one within the other.
        let result = std::thread::spawn(move || meanwhile(store)).join().unwrap();
        sender.send(result).unwrap();
    });
    let old = block_on(checkpoint(&faults.checkpoints(), &lease, Some(&first), Epoch(2)));
    (other, old, receiver.recv().unwrap())
}

/// A new owner starts: it claims, looks for the newest checkpoint, and records what it starts from.
async fn start(store: &CheckpointStore) -> (Lease, Manifest, Epoch) {
    let lease = store.claim().await.unwrap();
    let found = store.newest_valid(Check::Packs).await.unwrap();
    let epoch = store.begin_run(&lease, found.point).await.unwrap();
    (lease, found.manifest.unwrap(), epoch)
}

#[test]
fn old_owner_overtaken_at_any_request_does_not_believe_to_have_published() {
    for n in 0..requests() {
        let (store, old, new) = race(n, |store| {
            block_on(async {
                let (lease, parent, epoch) = start(&store).await;
                checkpoint(&store, &lease, Some(&parent), epoch).await.unwrap()
            })
        });
        assert!(old.unwrap_err().is_fenced(), "request {n}");
        let found = block_on(store.newest_valid(Check::Packs)).unwrap();
        assert!(found.rejected.is_empty(), "request {n}");
        assert_eq!(found.manifest.unwrap(), new, "request {n}");
        block_on(restore(&store, &new)).unwrap();
    }
}

#[test]
fn manifest_that_came_after_the_next_owner_looked_is_void() {
    let mut void = 0;
    for n in 0..requests() {
        let (store, old, (lease, parent, epoch)) = race(n, |store| block_on(start(&store)));
        assert!(old.unwrap_err().is_fenced(), "request {n}");
        let history = block_on(store.history()).unwrap();
        let names = history.names().iter();
        void += names.filter(|name| !history.is_visible(name)).count();
        // The new owner goes on from what it saw, before and after its first checkpoint.
        let found = block_on(store.newest_valid(Check::Packs)).unwrap();
        assert_eq!(found.manifest.as_ref(), Some(&parent), "request {n}");
        let new = block_on(checkpoint(&store, &lease, Some(&parent), epoch)).unwrap();
        let newest = block_on(store.newest_valid(Check::Packs)).unwrap().manifest.unwrap();
        assert_eq!(newest, new, "request {n}");
        assert_eq!(block_on(store.list()).unwrap()[0], epoch, "request {n}");
        assert_eq!(block_on(store.read(epoch)).unwrap(), new, "request {n}");
    }
    assert_eq!(void, 1, "exactly the request that creates the manifest is the gap");
}
