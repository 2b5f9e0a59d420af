//! What every kind of store must do, run on each: memory, a local directory, servers of S3 and Azure, and an S3 server
//! that ignores conditions of writes.

use std::time::Duration;

use super::*;
use crate::collect::tests::{Owner, assert_whole};
use crate::testing::servers::{Server, are_left_out};

/// How many processes claim at the same time.
const RIVALS: usize = 8;

/// Opens stores by name, each time the same one for the same name.
type Open<'a> = &'a dyn Fn(&str) -> CheckpointStore;

async fn suite(open: Open<'_>) {
    publish_and_restore(open("publish")).await;
    rivals_claim_different_generations(open("claim")).await;
    owner_runs_collects_and_is_followed(open("run")).await;
    overtaken_owner_publishes_nothing(open("fence")).await;
    checkpoints_are_copied_and_scrubbed(open("from"), open("to")).await;
    names_are_taken_once(open("names")).await;
    prefixes_are_apart(open("run"), open("run-2")).await;
}

async fn rivals_claim_different_generations(store: CheckpointStore) {
    let rivals = (0..RIVALS).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.claim().await })
    });
    let rivals: Vec<_> = rivals.collect();
    let mut claimed = Vec::new();
    for rival in rivals {
        // Where claims are told apart by looking, rivals at one number may all give it up, again and again.
        match rival.await.unwrap() {
            Ok(lease) => claimed.push(lease.generation()),
            Err(error) => assert!(matches!(error, Error::ClaimContended { .. }), "{error}"),
        }
    }
    let count = claimed.len();
    assert!(count > 0);
    claimed.sort_unstable();
    claimed.dedup();
    assert_eq!(claimed.len(), count, "two hold the same generation");
    let lease = store.claim().await.unwrap();
    assert!(lease.generation() > *claimed.last().unwrap());
    store.check_lease(&lease).await.unwrap();
}

async fn owner_runs_collects_and_is_followed(store: CheckpointStore) {
    let mut owner = Owner::start(&store).await.unwrap();
    owner.run(1).await.unwrap();
    store.pin_savepoint("first", owner.newest.as_ref().unwrap()).await.unwrap();
    owner.run(3).await.unwrap();
    assert_eq!(store.list().await.unwrap(), [Epoch(4), Epoch(3)]);
    assert_eq!(store.savepoints().await.unwrap()[0].name, "first");
    assert_whole(&store, "first owner").await;
    let mut next = Owner::start(&store).await.unwrap();
    assert_eq!(next.newest, owner.newest);
    next.run(2).await.unwrap();
    store.delete_savepoint("first").await.unwrap();
    let missing = store.delete_savepoint("first").await.unwrap_err();
    assert!(matches!(missing, Error::Missing { .. }), "{missing}");
    assert!(next.collect().await.unwrap().packs > 0);
    assert_whole(&store, "second owner").await;
    let mut packs = BTreeMap::new();
    for epoch in store.list().await.unwrap() {
        let manifest = store.read(epoch).await.unwrap();
        packs.extend(manifest.packs().into_iter().map(|pack| (pack.digest, pack.length)));
    }
    assert_eq!(crate::collect::orphans::packs_in(&*store.own).await.unwrap(), packs);
}

async fn overtaken_owner_publishes_nothing(store: CheckpointStore) {
    let mut old = Owner::start(&store).await.unwrap();
    old.run(1).await.unwrap();
    let mut new = Owner::start(&store).await.unwrap();
    assert!(old.checkpoint().await.unwrap_err().is_fenced());
    assert!(old.collector.collect(&old.lease).await.unwrap_err().is_fenced());
    new.run(1).await.unwrap();
    assert_eq!(store.newest_valid(Check::Packs).await.unwrap().manifest, new.newest);
}

async fn checkpoints_are_copied_and_scrubbed(from: CheckpointStore, to: CheckpointStore) {
    let mut owner = Owner::start(&from).await.unwrap();
    owner.run(2).await.unwrap();
    let manifest = owner.newest.unwrap();
    let report = from.copy_savepoint(&manifest, &to, "copy").await.unwrap();
    assert_eq!(report.packs_copied, manifest.packs().len());
    assert_eq!(restore(&to, &manifest).await.unwrap(), restore(&from, &manifest).await.unwrap());
    let pack = paths::pack(manifest.packs().first().unwrap().digest);
    to.put(&pack, Bytes::from_static(b"damaged")).await.unwrap();
    assert!(!to.scrub(None).await.unwrap().is_clean());
    assert!(to.scrub(Some(&from)).await.unwrap().is_clean());
    assert!(to.scrub(None).await.unwrap().damage.is_empty());
}

async fn names_are_taken_once(store: CheckpointStore) {
    let mut owner = Owner::start(&store).await.unwrap();
    let first = owner.checkpoint().await.unwrap();
    let second = owner.checkpoint().await.unwrap();
    store.pin_savepoint("name", &first).await.unwrap();
    store.pin_savepoint("name", &first).await.unwrap();
    let taken = store.pin_savepoint("name", &second).await.unwrap_err();
    assert!(matches!(taken, Error::NameTaken { .. }), "{taken}");
    store.publish(&second, &owner.lease).await.unwrap();
    let other = Manifest { created_ms: 7, ..second };
    let other = store.publish(&other, &owner.lease).await.unwrap_err();
    assert!(matches!(other, Error::AlreadyPublished { .. }), "{other}");
}

async fn prefixes_are_apart(one: CheckpointStore, other: CheckpointStore) {
    assert!(!one.list().await.unwrap().is_empty());
    assert!(other.list().await.unwrap().is_empty());
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn suite_on(server: &Server) {
    let open = |name: &str| {
        let location = server.location(name);
        CheckpointStore::open(&location, server.options(), Durability::Power).unwrap()
    };
    runtime().block_on(suite(&open));
}

#[test]
fn memory_passes() {
    let stores = std::sync::Mutex::new(BTreeMap::new());
    let open = |name: &str| {
        let mut stores = stores.lock().unwrap();
        let store = stores.entry(name.to_owned()).or_insert_with(CheckpointStore::in_memory);
        store.clone()
    };
    runtime().block_on(suite(&open));
}

#[test]
fn local_directory_passes() {
    let directory = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        let location = format!("file://{}", path.to_str().unwrap());
        CheckpointStore::open(&location, &BTreeMap::new(), Durability::Process).unwrap()
    };
    runtime().block_on(suite(&open));
}

#[test]
fn s3_passes() {
    if !are_left_out() {
        suite_on(&Server::s3());
    }
}

#[test]
fn azure_passes() {
    if !are_left_out() {
        suite_on(&Server::azure());
    }
}

#[test]
fn s3_that_ignores_conditions_passes() {
    if are_left_out() {
        return;
    }
    let server = Server::s3_without_conditions();
    suite_on(&server);
    let location = server.location("run");
    let store = CheckpointStore::open(&location, server.options(), Durability::Power).unwrap();
    assert!(!runtime().block_on(store.honours_conditions()).unwrap());
}

#[test]
fn server_that_does_not_answer_is_an_error_by_name() {
    // It listens and says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let options = [("endpoint", &*endpoint), ("allow-http", "true"), ("skip-signature", "true")];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let store = CheckpointStore::open("s3://jobs/x", &options, Durability::Power).unwrap();
    let store = store.with_timeout(Duration::from_millis(200));
    let error = runtime().block_on(store.list()).unwrap_err();
    assert!(matches!(&error, Error::Store { operation: "list", object, .. } if object == "starts"));
    assert!(error.chain().contains("did not answer within 200ms"), "{}", error.chain());
}

#[test]
fn local_copy_is_read_first_and_does_without() {
    let directory = tempfile::tempdir().unwrap();
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints().with_local_copy(&directory.path().join("copy")).unwrap();
    block_on(async {
        let mut owner = Owner::start(&store).await.unwrap();
        owner.run(4).await.unwrap();
        let manifest = owner.newest.unwrap();
        let before = faults.calls();
        let state = restore(&store, &manifest).await.unwrap();
        assert_eq!(faults.calls(), before, "everything is read from the copy");
        let fans = directory.path().join("copy/packs");
        let files = std::fs::read_dir(fans).unwrap().flat_map(|fan| {
            std::fs::read_dir(fan.unwrap().path()).unwrap().map(|file| file.unwrap().path())
        });
        let files: Vec<_> = files.collect();
        let kept = crate::collect::orphans::packs_in(&*store.own).await.unwrap();
        assert_eq!(files.len(), kept.len(), "what is collected leaves the copy too");
        for file in &files {
            let mut bytes = std::fs::read(file).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(file, bytes).unwrap();
        }
        assert_eq!(
            restore(&store, &manifest).await.unwrap(),
            state,
            "a damaged copy is passed over"
        );
        assert!(faults.calls() > before);
        files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
        assert_eq!(restore(&store, &manifest).await.unwrap(), state, "a lost copy is done without");
    });
}
