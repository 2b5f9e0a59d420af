//! Content-addressed files, manifests and generations on an object store.
//!

mod digest;
mod manifest;
mod pack;
mod paths;

pub use digest::{Digest, ParseDigestError};
pub use manifest::{
    Epoch, FORMAT_VERSION, FormatError, Generation, KEY_GROUPS_MAX, Location, Manifest,
    OperatorState, PackRange, PackRef, ProtocolError, SegmentRef, Statistics, TaskState,
    extend_chain, extend_groups,
};
pub use pack::{PACK_BYTES_MAX, Pack, PackSettings, PackWriter, Packed};
