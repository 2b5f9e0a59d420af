//! Keyed state and its backends.
//!
//! Responsible for: columns of keys and values, key groups, windows over the keys of one invocation, write sets,
//! timers, and snapshots of a key-group range as bytes that any backend can restore.
//!
//! Not responsible for: where snapshots are kept, what an operator is, what time it is. Time arrives as an argument.

pub mod backend;
pub mod column;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod declaration;
pub mod error;
pub mod evolve;
pub mod heap;
pub mod key;
pub mod merge;
mod ownership;
pub mod rocks;
pub mod segment;
pub mod snapshot;
pub mod task_state;
mod timers;
pub mod ttl;
pub mod window;
pub mod writes;

pub use backend::{Backend, DueTimers, Entries, Now, Scan};
pub use column::{BytesColumn, Column};
pub use declaration::{
    KeyLayout, Merge, StateDeclaration, StateId, StateKind, TimeDomain, TimerDeclaration, TimerId,
    Ttl, TtlUpdate, TtlVisibility, ValueLayout,
};
pub use error::Error;
pub use evolve::{Convert, Converted, Move, Moved, NotMoved, Which};
pub use heap::HeapBackend;
pub use key::{KeyGroup, KeyGroupRange, KeyGroups};
pub use rocks::{RocksBackend, RocksOptions, RocksResources};
pub use segment::Cell;
pub use snapshot::{Segment, Snapshot, TableFile, Tables};
pub use task_state::{TaskStateDeclaration, TaskStateKind, TaskStates};
pub use window::{Presence, Window};
pub use writes::{StateWrites, TimerChange, WriteOp, WriteSet};
