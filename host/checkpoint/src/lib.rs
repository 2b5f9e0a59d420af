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

mod digest;
mod error;
mod fence;
mod lock;
mod manifest;
mod pack;
mod paths;
mod restore;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use digest::{Digest, ParseDigestError};
pub use error::Error;
pub use fence::Lease;
pub use lock::DirectoryLock;
pub use manifest::{
    Epoch, FORMAT_VERSION, FormatError, Generation, KEY_GROUPS_MAX, Location, Manifest,
    OperatorState, PackRange, PackRef, ProtocolError, SegmentRef, Statistics, TaskState,
    extend_chain, extend_groups,
};
pub use pack::{PACK_BYTES_MAX, Pack, PackSettings, PackWriter, Packed};
pub use restore::{Check, Rejected, SegmentReader, Selection};
pub use store::{CheckpointStore, Durability, NewSegment, WrittenSegments};
