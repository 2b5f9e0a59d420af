//! Tests of forks: what is pinned in one store and used by another, with crashes and collections on either side.

use std::sync::Arc;

use futures::executor::block_on;

use super::origins::OriginRecord;
use crate::collect::tests::{Owner, TWO, assert_clean_after_next_run, assert_whole};
use crate::collect::{Collector, Retention};
use crate::error::Error;
use crate::fence::start::{StartPlace, StartPoint};
use crate::manifest::{Epoch, Manifest};
use crate::manifests::selection::Check;
use crate::store::CheckpointStore;
use crate::store::tests::restore;
use crate::testing::FaultStore;

fn record(pin: &str) -> OriginRecord {
    OriginRecord { location: "memory:///parent".to_owned(), pin: pin.to_owned() }
}

/// A job with some checkpoints, and its newest.
fn parent() -> (FaultStore, Manifest) {
    let faults = FaultStore::in_memory();
    let mut owner = block_on(Owner::start(&faults.checkpoints())).unwrap();
    block_on(owner.run(3)).unwrap();
    (faults, owner.newest.unwrap())
}

/// Opens the origin of a store, as a launch does.
async fn opened(own: &CheckpointStore, parent: &CheckpointStore) -> CheckpointStore {
    let origins = own.origins().await.unwrap();
    origins.into_iter().fold(own.clone(), |own, origin| own.with_origin(parent.clone(), origin))
}

/// Starts a job of its own from another job's checkpoint.
async fn fork(
    own: &CheckpointStore,
    parent: &CheckpointStore,
    manifest: &Manifest,
    pin: &str,
) -> Result<Owner, Error> {
    let lease = own.claim().await?;
    let store = own.adopt(parent, &record(pin), manifest).await?;
    let place = StartPlace::Origin(pin.to_owned());
    let point = StartPoint { epoch: manifest.epoch, place, fork: true };
    let next = store.begin_run(&lease, Some(point)).await?;
    let collector = Collector::new(store.clone(), TWO);
    Ok(Owner { store, lease, collector, newest: Some(manifest.clone()), next })
}

#[test]
fn fork_shares_packs_until_it_needs_none_of_them() {
    let (parent, manifest) = parent();
    let (parent, faults) = (parent.checkpoints(), FaultStore::in_memory());
    let own = faults.checkpoints();
    block_on(async {
        let mut fork = fork(&own, &parent, &manifest, "fork-a").await.unwrap();
        assert_eq!(fork.next, manifest.epoch.next());
        // Before its first checkpoint a restart finds what it started from.
        let found = fork.store.newest_valid(Check::Packs).await.unwrap();
        assert_eq!(found.manifest.as_ref(), Some(&manifest));
        fork.run(3).await.unwrap();
        let newest = fork.newest.clone().unwrap();
        restore(&fork.store, &newest).await.unwrap();
        let alone = restore(&own, &newest).await.unwrap_err();
        assert!(matches!(alone, Error::Missing { .. }), "{alone}");
        // The parent goes on and collects; the fork does not notice.
        Owner::start(&parent).await.unwrap().run(4).await.unwrap();
        assert_eq!(parent.pins().await.unwrap(), ["fork-a"]);
        restore(&fork.store, &newest).await.unwrap();
        // A fresh run of the fork needs nothing of the parent.
        let lease = fork.store.claim().await.unwrap();
        let next = fork.store.begin_run(&lease, None).await.unwrap();
        let (store, collector) = (fork.store.clone(), Collector::new(fork.store.clone(), TWO));
        let mut fresh = Owner { store, lease, collector, newest: None, next };
        fresh.run(3).await.unwrap();
        assert!(parent.pins().await.unwrap().is_empty());
        assert!(own.origins().await.unwrap().is_empty());
        restore(&own, fresh.newest.as_ref().unwrap()).await.unwrap();
    });
}

#[test]
fn origin_of_a_run_without_a_checkpoint_of_its_own_outlasts_a_collection_by_someone_else() {
    let (parent, manifest) = parent();
    let (parent, own) = (parent.checkpoints(), CheckpointStore::in_memory());
    block_on(async {
        let crashed = fork(&own, &parent, &manifest, "fork-a").await.unwrap();
        let store = crashed.store;
        let collect = async |num_retained| {
            let lease = store.claim().await.unwrap();
            let mut collector = Collector::new(store.clone(), Retention { num_retained });
            collector.collect(&lease).await.unwrap()
        };
        assert_eq!(collect(1).await.released, []);
        let found = store.newest_valid(Check::Packs).await.unwrap();
        assert_eq!(found.manifest.as_ref(), Some(&manifest));
        // Whoever keeps nothing does not keep this either.
        assert_eq!(collect(0).await.released, [record("fork-a")]);
        assert!(parent.pins().await.unwrap().is_empty());
    });
}

#[test]
fn fork_of_a_fork_reaches_through_and_keeps_both() {
    let (first, manifest) = parent();
    let first = first.checkpoints();
    let (second, third) = (CheckpointStore::in_memory(), CheckpointStore::in_memory());
    block_on(async {
        let mut middle = fork(&second, &first, &manifest, "fork-b").await.unwrap();
        middle.run(1).await.unwrap();
        let newest = middle.newest.clone().unwrap();
        let mut last = fork(&third, &middle.store, &newest, "fork-c").await.unwrap();
        last.run(3).await.unwrap();
        // The middle one starts afresh and needs nothing itself, but the last one does.
        let lease = middle.store.claim().await.unwrap();
        let next = middle.store.begin_run(&lease, None).await.unwrap();
        let collector = Collector::new(middle.store.clone(), TWO);
        let mut fresh = Owner { lease, next, collector, newest: None, ..middle };
        fresh.run(4).await.unwrap();
        assert_eq!(first.pins().await.unwrap(), ["fork-b"]);
        Owner::start(&first).await.unwrap().run(4).await.unwrap();
        restore(&last.store, last.newest.as_ref().unwrap()).await.unwrap();
        assert_whole(&last.store, "last").await;
    });
}

#[test]
fn origin_that_is_not_open_is_named() {
    let (parent, manifest) = parent();
    let own = CheckpointStore::in_memory();
    block_on(async {
        let fork = fork(&own, &parent.checkpoints(), &manifest, "fork-a").await.unwrap();
        let error = own.newest_valid(Check::Manifest).await.unwrap_err();
        assert!(matches!(error, Error::OriginClosed { .. }));
        assert!(error.to_string().contains("memory:///parent"), "{error}");
        drop(fork);
        let again = own.add_origin(&record("fork-a")).await;
        again.unwrap();
        let other = OriginRecord { location: "/elsewhere".to_owned(), ..record("fork-a") };
        assert!(matches!(own.add_origin(&other).await, Err(Error::NameTaken { .. })));
    });
}

/// What forks and runs for a while.
async fn fork_and_run(
    own: &CheckpointStore,
    parent: &CheckpointStore,
    manifest: &Manifest,
) -> Result<(), Error> {
    fork(own, parent, manifest, "fork-a").await?.run(2).await
}

/// How many requests that makes of the own store and of the parent's.
fn requests() -> (u64, u64) {
    let (parent, manifest) = parent();
    let (own, before) = (FaultStore::in_memory(), parent.calls());
    block_on(fork_and_run(&own.checkpoints(), &parent.checkpoints(), &manifest)).unwrap();
    (own.calls(), parent.calls() - before)
}

/// A fork that broke off starts again: from what its store says, or else it forks again.
async fn go_on(own: &CheckpointStore, parent: &CheckpointStore, note: &str) {
    let store = opened(own, parent).await;
    let found = store.newest_valid(Check::Packs).await.unwrap();
    assert_eq!(found.advice(), None, "{note}");
    match found.manifest {
        Some(_) => Owner::start(&store).await.unwrap().run(2).await.unwrap(),
        None => {
            let found = parent.newest_valid(Check::Packs).await.unwrap().manifest.unwrap();
            fork(&store, parent, &found, "fork-b").await.unwrap().run(3).await.unwrap();
        }
    }
    assert_whole(&opened(own, parent).await, note).await;
}

#[test]
fn fork_that_was_broken_off_anywhere_goes_on() {
    let (in_own, in_parent) = requests();
    let cases = (0..in_own).map(|n| (n, true)).chain((0..in_parent).map(|n| (n, false)));
    for (n, own_fails) in cases {
        for fault in [FaultStore::crash_after, FaultStore::lose_answer_after] {
            let note = format!("request {n}, own {own_fails}");
            let (parent, manifest) = parent();
            let own = FaultStore::in_memory();
            fault(if own_fails { &own } else { &parent }, n);
            let (faulty, own, store) = (own.clone(), own.checkpoints(), parent.checkpoints());
            let _ = block_on(fork_and_run(&own, &store, &manifest));
            faulty.heal();
            parent.heal();
            block_on(go_on(&own, &store, &note));
            block_on(Owner::start(&store)).map(|_| ()).unwrap();
            block_on(assert_clean_after_next_run(&parent, &store, &note));
            block_on(assert_whole(&block_on(opened(&own, &store)), &note));
        }
    }
}

#[test]
fn parent_that_collects_between_any_two_requests_of_a_fork_keeps_what_it_needs() {
    let (in_own, in_parent) = requests();
    let cases = (0..in_own).map(|n| (n, true)).chain((0..in_parent).map(|n| (n, false)));
    let mut refused = 0;
    for (n, own_waits) in cases {
        let note = format!("request {n}, own {own_waits}");
        let (parent, manifest) = parent();
        let own = FaultStore::in_memory();
        let other = CheckpointStore::new(Arc::clone(&parent.inner()));
        let waiting = if own_waits { &own } else { &parent };
        waiting.before_request_after(n, move || {
            let run = async move { Owner::start(&other).await?.run(4).await };
            std::thread::spawn(move || block_on(run).unwrap()).join().unwrap();
        });
        let (own, store) = (own.checkpoints(), parent.checkpoints());
        match block_on(fork_and_run(&own, &store, &manifest)) {
            Ok(()) => {}
            Err(error) if error.is_collected() => refused += 1,
            Err(error) => panic!("{note}: {error}"),
        }
        block_on(go_on(&own, &store, &note));
        block_on(assert_clean_after_next_run(&parent, &store, &note));
        block_on(assert_whole(&block_on(opened(&own, &store)), &note));
    }
    assert!(refused > 0, "a fork that comes too late is told so");
}

#[test]
fn first_epoch_of_a_fork_is_above_what_it_started_from() {
    let (parent, manifest) = parent();
    let own = CheckpointStore::in_memory();
    let fork = block_on(fork(&own, &parent.checkpoints(), &manifest, "fork-a")).unwrap();
    assert_eq!(fork.next, Epoch(manifest.epoch.0 + 1));
}
