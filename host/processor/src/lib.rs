//! The state of checkpoints and savepoints as data: looking inside, comparing, editing, exporting.
//!
//! Responsible for rows: what a manifest's segments and tables hold, typed by the manifest's descriptions, whatever
//! backend wrote them; for what differs between two manifests; for new manifests with edited state, or with state that
//! depends on no other checkpoint; and for rows as Arrow and Parquet.
//!
//! Not responsible for which checkpoint is meant, for pinning what it writes, or for printing: that is the server's.
//! It needs no job and no component, and runs beside a job that writes to the same store.

mod arrow_rows;
mod content;
mod diff;
mod edit;
mod error;
mod export;
mod groups;
mod inside;
mod rewrite;
mod row;
mod scan;
mod tables;
#[cfg(test)]
mod tests;
mod view;

pub use arrow_rows::{FileKind, RowFile};
pub use diff::{Compared, DiffOptions, Difference, Side};
pub use edit::{Edited, Edits};
pub use error::Error;
pub use inside::Inside;
pub use row::{Owner, Row, Within};
pub use scan::{Counted, Filter};
pub use view::{OperatorView, Part};
