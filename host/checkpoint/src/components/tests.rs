//! Components in a store: put once, found again, checked, copied along, and never collected.

use futures::executor::block_on;

use super::*;
use crate::collect::tests::Owner;
use crate::testing::FaultStore;
use crate::{Collector, Retention};

#[test]
fn a_component_is_put_once_and_read_back() {
    block_on(async {
        let faults = FaultStore::in_memory();
        let store = faults.checkpoints();
        let digest = store.put_component(&b"one"[..]).await.unwrap();
        assert_eq!(digest, Digest::of(b"one"));
        assert_eq!(store.put_component(&b"one"[..]).await.unwrap(), digest);
        assert_eq!(store.component(digest).await.unwrap(), &b"one"[..]);
        assert_eq!(store.own_components().await.unwrap(), [digest]);
        assert_eq!(faults.objects().await.unwrap(), [format!("components/{digest}.wasm")]);
        let missing = store.component(Digest::of(b"two")).await.unwrap_err();
        assert!(matches!(missing, Error::Missing { .. }), "{missing}");
    });
}

#[test]
fn a_damaged_component_is_named_and_never_handed_out() {
    block_on(async {
        let faults = FaultStore::in_memory();
        let store = faults.checkpoints();
        let digest = store.put_component(&b"one"[..]).await.unwrap();
        let object = format!("components/{digest}.wasm");
        faults.replace(&object, "two").await.unwrap();
        let error = store.component(digest).await.unwrap_err();
        assert!(matches!(&error, Error::Damaged { object: found, .. } if *found == object));
        let report = store.scrub(None).await.unwrap();
        assert_eq!((report.damage.len(), report.components), (1, 0));
        assert_eq!(report.damage[0].object, object);

        let backup = CheckpointStore::in_memory();
        backup.put_component(&b"one"[..]).await.unwrap();
        assert!(store.scrub(Some(&backup)).await.unwrap().is_clean());
        assert_eq!(store.component(digest).await.unwrap(), &b"one"[..]);
        assert_eq!(store.scrub(None).await.unwrap().components, 1);
    });
}

#[test]
fn collections_leave_components_and_copies_take_those_along_that_the_checkpoint_names() {
    block_on(async {
        let store = CheckpointStore::in_memory();
        let [named, other] = ["named", "other"];
        let mut owner = Owner::start(&store).await.unwrap();
        let digest = store.put_component(named).await.unwrap();
        store.put_component(other).await.unwrap();
        owner.run(3).await.unwrap();
        let mut manifest = owner.newest.clone().unwrap();
        manifest.operators[0].component = Some(digest);
        let to = CheckpointStore::in_memory();
        store.copy_savepoint(&manifest, &to, "copy").await.unwrap();
        assert_eq!(to.own_components().await.unwrap(), [digest]);

        drop(owner);
        let lease = store.claim().await.unwrap();
        let mut collector = Collector::new(store.clone(), Retention { num_retained: 0 });
        assert!(collector.collect(&lease).await.unwrap().manifests > 0);
        assert_eq!(store.own_components().await.unwrap().len(), 2);
    });
}

#[test]
fn a_fork_finds_the_components_of_its_origin() {
    block_on(async {
        let origin = CheckpointStore::in_memory();
        let digest = origin.put_component("theirs").await.unwrap();
        let record = crate::OriginRecord { location: "elsewhere".into(), pin: "fork".into() };
        let fork = CheckpointStore::in_memory().with_origin(origin, record);
        assert_eq!(fork.component(digest).await.unwrap(), "theirs");
        assert_eq!(fork.own_components().await.unwrap(), []);
    });
}
