//! Collections that are broken off, and other processes that act between any two of their requests.

use std::sync::mpsc;
use std::time::Duration;

use super::*;

/// A run in which everything happens that collection has to do with.
async fn eventful_run(store: &CheckpointStore) -> Result<(), Error> {
    let mut owner = Owner::start(store).await?;
    owner.run(2).await?;
    let name = format!("at-{}", owner.next);
    store.pin_savepoint(&name, owner.newest.as_ref().expect("made above")).await?;
    owner.run(3).await?;
    store.delete_savepoint(&name).await?;
    owner.run(1).await
}

/// How many requests a second such run makes.
fn requests() -> u64 {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(eventful_run(&store)).unwrap();
    let before = faults.calls();
    block_on(eventful_run(&faults.checkpoints())).unwrap();
    faults.calls() - before
}

fn broken_run(fault: impl Fn(&FaultStore, u64)) {
    for n in 0..requests() {
        let faults = FaultStore::in_memory();
        block_on(eventful_run(&faults.checkpoints())).unwrap();
        fault(&faults, n);
        let _ = block_on(eventful_run(&faults.checkpoints()));
        faults.heal();
        let note = format!("request {n}");
        block_on(assert_clean_after_next_run(&faults, &faults.checkpoints(), &note));
    }
}

#[test]
fn crash_after_any_request_leaves_nothing_broken_and_no_orphan() {
    broken_run(FaultStore::crash_after);
}

#[test]
fn lost_answer_to_any_request_leaves_nothing_broken_and_no_orphan() {
    broken_run(FaultStore::lose_answer_after);
}

/// Does something on a thread of its own right before request `n` of a run, and returns what it returned.
fn meanwhile<T: Send + 'static>(
    n: u64,
    action: impl FnOnce(CheckpointStore) -> T + Send + 'static,
) -> (FaultStore, Result<(), Error>, T) {
    let faults = FaultStore::in_memory();
    block_on(eventful_run(&faults.checkpoints())).unwrap();
    let other = CheckpointStore::new(faults.inner());
    let (sender, receiver) = mpsc::sync_channel(1);
    faults.before_request_after(n, move || {
        let result = std::thread::spawn(move || action(other)).join().unwrap();
        sender.send(result).unwrap();
    });
    let run = block_on(eventful_run(&faults.checkpoints()));
    let result = receiver.recv().unwrap();
    (faults, run, result)
}

#[test]
fn savepoint_of_any_checkpoint_made_between_any_two_requests_is_whole_or_refused() {
    let (mut made, mut refused) = (0, 0);
    for n in 0..requests() {
        for place in 0..2 {
            let (faults, run, pinned) = meanwhile(n, move |store| {
                block_on(async {
                    let epochs = store.list().await.unwrap();
                    let manifest = store.read(epochs[place.min(epochs.len() - 1)]).await.unwrap();
                    store.pin_savepoint("other", &manifest).await
                })
            });
            run.unwrap();
            match pinned {
                Ok(()) => made += 1,
                Err(error) if error.is_collected() => refused += 1,
                Err(error) => panic!("request {n}: {error}"),
            }
            let note = format!("request {n}");
            block_on(assert_clean_after_next_run(&faults, &faults.checkpoints(), &note));
        }
    }
    assert!(made > refused, "{made} made, {refused} refused");
}

#[test]
fn owner_that_stalls_before_any_request_while_another_takes_over_does_no_harm() {
    for n in 0..requests() {
        let (faults, run, newest) = meanwhile(n, |store| {
            block_on(async {
                let mut owner = Owner::start(&store).await.unwrap();
                owner.run(3).await.unwrap();
                store.pin_savepoint("theirs", owner.newest.as_ref().unwrap()).await.unwrap();
                owner.newest.unwrap()
            })
        });
        let note = format!("request {n}");
        let store = CheckpointStore::new(faults.inner());
        match run {
            // It had not claimed yet, or it had just ended.
            Ok(()) => {}
            Err(error) => assert!(error.is_fenced() || error.is_collected(), "{note}: {error}"),
        }
        block_on(async {
            let found = store.newest_valid(Check::Packs).await.unwrap();
            assert_eq!(found.advice(), None, "{note}");
            assert!(found.manifest.unwrap().epoch >= newest.epoch, "{note}");
            assert!(store.verify(&newest).await.unwrap().is_empty(), "{note}");
            assert_clean_after_next_run(&faults, &store, &note).await;
        });
    }
}

#[test]
fn owner_that_began_but_made_nothing_before_it_was_overtaken_voids_nothing() {
    for n in 0..requests() {
        let (faults, ..) = meanwhile(n, |store| {
            // It crashes right after its start record.
            block_on(Owner::start(&store)).map(|_| ()).unwrap();
        });
        let store = CheckpointStore::new(faults.inner());
        block_on(assert_clean_after_next_run(&faults, &store, &format!("request {n}")));
    }
}

#[test]
fn store_that_stalls_at_any_request_is_an_error_and_no_harm() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let requests = requests();
    let mut noticed = 0;
    for n in 0..requests {
        for takes_effect in [false, true] {
            let faults = FaultStore::in_memory();
            block_on(eventful_run(&faults.checkpoints())).unwrap();
            faults.stall_after(n, takes_effect);
            let store = faults.checkpoints().with_timeout(Duration::from_millis(10));
            let run = runtime.block_on(eventful_run(&store));
            faults.heal();
            let note = format!("request {n}, takes effect: {takes_effect}");
            match run {
                // Only writes can stall after their effect. A pin that cannot be deleted is left.
                Ok(()) => {}
                Err(error) => {
                    noticed += 1;
                    assert!(matches!(error, Error::Store { .. }), "{note}: {error}");
                    assert!(error.chain().contains("did not answer"), "{note}: {}", error.chain());
                }
            }
            block_on(assert_clean_after_next_run(&faults, &faults.checkpoints(), &note));
        }
    }
    assert!(noticed >= requests, "{noticed} of twice {requests}");
}

/// An owner with three checkpoints, of which one is to be collected, and that one.
fn owner_with_one_to_collect() -> (FaultStore, Owner, Manifest) {
    let faults = FaultStore::in_memory();
    let mut owner = block_on(Owner::start(&faults.checkpoints())).unwrap();
    let first = block_on(owner.checkpoint()).unwrap();
    block_on(owner.checkpoint()).unwrap();
    block_on(owner.checkpoint()).unwrap();
    (faults, owner, first)
}

#[test]
fn pin_that_becomes_a_savepoint_between_any_two_requests_keeps_what_it_names() {
    let (faults, mut owner, _) = owner_with_one_to_collect();
    let before = faults.calls();
    block_on(owner.collect()).unwrap();
    let requests = faults.calls() - before;
    let mut pinned = 0;
    for n in 0..requests {
        for more in 0..requests - n {
            let (faults, mut owner, first) = owner_with_one_to_collect();
            let (store, later) = (CheckpointStore::new(faults.inner()), faults.clone());
            let (manifest, saved) = (first.clone(), mpsc::sync_channel(1));
            let sender = saved.0;
            faults.before_request_after(n, move || {
                if on_a_thread(store.clone(), manifest.clone(), pin).is_ok() {
                    later.before_request_after(more, move || {
                        on_a_thread(store, manifest, turn_into_savepoint).unwrap();
                        sender.send(()).unwrap();
                    });
                }
            });
            block_on(owner.collect()).unwrap();
            if saved.1.try_recv().is_ok() {
                pinned += 1;
                let note = format!("pinned before request {n}, a savepoint {more} later");
                let damage = block_on(owner.store.verify(&first)).unwrap();
                assert!(damage.is_empty(), "{note}: {damage:?}");
            }
        }
    }
    assert!(pinned > requests, "{pinned} of {requests} squared");
}

/// The two halves of what makes a savepoint.
async fn pin(store: CheckpointStore, manifest: Manifest) -> Result<(), Error> {
    store.pin("savepoint-late", &manifest).await
}

async fn turn_into_savepoint(store: CheckpointStore, manifest: Manifest) -> Result<(), Error> {
    store.create_root(&paths::savepoint("late")?, &manifest).await?;
    store.unpin("savepoint-late").await
}

fn on_a_thread<F: Future<Output = Result<(), Error>>>(
    store: CheckpointStore,
    manifest: Manifest,
    action: impl FnOnce(CheckpointStore, Manifest) -> F + Send + 'static,
) -> Result<(), Error> {
    std::thread::spawn(move || block_on(action(store, manifest))).join().unwrap()
}
