//! Content-addressed files, manifests and generations on an object store.
//!
//! This crate is responsible for
//! - what lies in the store and under which name ([`CheckpointStore`], `docs/internals/format.md`),
//! - that a checkpoint is there as a whole or not at all: packs first, the manifest last,
//! - that only one owner at a time publishes ([`Lease`], [`DirectoryLock`]),
//! - finding damage: everything that is read is checked against its hash.
//!
//! It is not responsible for the meaning of segments, descriptions and positions, for deciding
//! when to make a checkpoint, or for time, which arrives as an argument.
//!
//! Every `async` function of this crate runs in a tokio runtime, and without any runtime too as
//! long as the store is a local directory or memory.
//!
//! Publishing, and restoring what was published:
//!
//! ```
//! use std::collections::BTreeMap;
//! use statehouse_checkpoint::*;
//!
//! async fn publish(store: &CheckpointStore, previous: Option<&Manifest>) -> Result<(), Error> {
//!     let lease = store.claim().await?;
//!     let restored = previous.map(|previous| StartPoint::checkpoint(previous.epoch));
//!     let epoch = store.begin_run(&lease, restored).await?;
//!     let segment = NewSegment { group: 7, full: true, entries: 1, bytes: b"state".to_vec() };
//!     let stamp = PackStamp { generation: lease.generation(), epoch, writer: 0 };
//!     let mut writer = store.task_writer(stamp, PackSettings::default());
//!     writer.add_segment(segment).await?;
//!     let written = writer.finish().await?;
//!     let empty = BTreeMap::new();
//!     let chains = previous.map_or(&empty, |previous| &previous.operators[0].groups);
//!     let position = serde_json::json!({ "row": 17 });
//!     let operator = OperatorState {
//!         id: "counts".to_owned(),
//!         component: None,
//!         declared: None,
//!         description: serde_json::Value::Null,
//!         retired: None,
//!         parallelism: 1,
//!         tasks: vec![TaskState { task: 0, watermark: Some(12), position, state: None }],
//!         tables: vec![],
//!         groups: extend_groups(chains, written.segments)
//!             .map_err(|source| Error::Protocol { epoch, source })?,
//!     };
//!     let mut manifest = Manifest {
//!         job: "flights".to_owned(),
//!         epoch,
//!         parent: previous.map(|previous| previous.epoch),
//!         generation: lease.generation(),
//!         created_ms: 0,
//!         key_groups: 128,
//!         key_hash: "xxh3-64".to_owned(),
//!         operators: vec![operator],
//!         statistics: Statistics::default(),
//!     };
//!     store.spill_inline(&mut manifest, PackSettings::default()).await?;
//!     store.publish(&manifest, &lease).await
//! }
//!
//! async fn restore(store: &CheckpointStore) -> Result<(), Error> {
//!     let found = store.newest_valid(Check::Manifest).await?;
//!     assert_eq!(found.advice(), None, "the newest checkpoint is damaged: the user decides");
//!     let Some(manifest) = found.manifest else { return Ok(()) };
//!     for operator in &manifest.operators {
//!         let mut segments = store.read_segments(operator.groups.values().flatten());
//!         for (group, segment) in operator.chained_segments() {
//!             let bytes = segments.next().await?.expect("one for each that was asked for");
//!             assert_eq!((group, segment.full, &bytes[..]), (7, true, &b"state"[..]));
//!         }
//!     }
//!     Ok(())
//! }
//!
//! futures::executor::block_on(async {
//!     let store = CheckpointStore::in_memory();
//!     publish(&store, None).await?;
//!     restore(&store).await
//! })?;
//! # Ok::<(), Error>(())
//! ```

mod background;
mod collect;
mod components;
mod copy;
mod digest;
mod error;
mod fence;
mod history;
mod lock;
mod manifest;
mod manifests;
mod metered;
mod pack;
mod packs;
mod paths;
mod record;
mod roots;
mod scrub;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use collect::{CollectBegun, CollectPlan, CollectReport, Collector, Retention};
pub use copy::CopyReport;
pub use digest::{Digest, ParseDigestError};
pub use error::Error;
pub use fence::Lease;
pub use fence::start::{StartPlace, StartPoint};
pub use history::{
    ComponentVersion, HistoryEntry, HistoryEvent, HistoryOperator, HistoryRecord, HistoryWriter,
    SwapSavepoint,
};
pub use lock::DirectoryLock;
pub use manifest::{
    Epoch, FORMAT_VERSION, FileRef, FormatError, Generation, KEY_GROUPS_MAX, Location, Manifest,
    OperatorState, PackFormat, PackRange, PackRef, ProtocolError, SegmentRef, Statistics,
    TablesRef, TaskState, extend_chain, extend_groups,
};
pub use manifests::selection::{Check, Rejected, Selection};
pub use metered::{StoreCounts, StoreMetrics};
pub use pack::{Compression, PACK_BYTES_MAX, PackSettings, PackStamp};
pub use packs::{NewSegment, SegmentReader, TaskWriter, WrittenTask};
pub use roots::origins::OriginRecord;
pub use roots::savepoints::SavepointEntry;
pub use scrub::{Damage, ScrubReport};
pub use store::{CheckpointStore, Durability, environment_options, local_directory};
