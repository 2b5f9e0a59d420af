//! The history: which components a job ran, who put them there, and how that went. Entries are added, never changed.
//!
//! Each is an object of its own, named by the generation of its owner and a number, so two owners never write the same
//! one, and what an owner that was overtaken still adds is told apart.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};

use futures::TryStreamExt;
use futures::stream::{self, StreamExt};
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::error::Error;
use crate::fence::Lease;
use crate::manifest::{Epoch, Generation};
use crate::paths;
use crate::record;
use crate::store::{CheckpointStore, Created};

const KIND: &str = "statehouse-history";

/// How many entries are read at the same time.
const READS_CONCURRENT_MAX: usize = 16;

/// How many numbers an owner tries for one entry: only its own earlier attempts can be there.
const NUMBERS_TRIED_MAX: u32 = 16;

/// Something that happened to a job's components.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryEntry {
    /// When, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: i64,
    /// What.
    pub event: HistoryEvent,
    /// The swap that it is about; entries of one swap have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<String>,
    /// The epoch: the one that a run starts after, that a swap flips after or was kept with, or that the job went back
    /// to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The operators that it is about.
    pub operators: Vec<HistoryOperator>,
    /// Who asked for it.
    pub who: String,
    /// Why it came so, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The savepoint that a swap goes back to if it is rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub savepoint: Option<SwapSavepoint>,
    /// What was watched, and what was seen. Opaque here.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub watch: Value,
}

/// What can happen to a job's components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryEvent {
    /// A run started with them.
    Started,
    /// A swap was asked for, and is on its way.
    Asked,
    /// The job processes records with other ones, on trial.
    Swapped,
    /// What was on trial for some key groups is on trial for all.
    Promoted,
    /// What was on trial stays.
    Kept,
    /// The job went back to those before.
    RolledBack,
    /// A swap was not done; nothing changed.
    Refused,
    /// The process ended while a swap was under way; the job went on from the checkpoint before it.
    Interrupted,
}

impl HistoryEvent {
    /// Whether it is a swap's last.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Kept | Self::RolledBack | Self::Refused | Self::Interrupted)
    }
}

/// The savepoint before a swap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwapSavepoint {
    /// Its name.
    pub name: String,
    /// Whether the user named it: then it stays.
    pub is_users: bool,
}

/// One operator of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryOperator {
    /// Its id in the job.
    pub id: String,
    /// The component that it had, where there was one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ComponentVersion>,
    /// The component that it has, or was to have.
    pub to: ComponentVersion,
    /// The component that the job file names, if the operator runs another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Digest>,
}

/// A component, and what its operator calls its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentVersion {
    /// The component's digest.
    pub component: Digest,
    /// The operator's name in it.
    pub operator: String,
    /// The operator's own version, for people.
    pub version: String,
}

/// An entry and its place in the history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRecord {
    /// The owner that wrote it.
    pub generation: Generation,
    /// Its number among those of the owner.
    pub number: u64,
    /// What it says.
    pub entry: HistoryEntry,
}

/// Adds entries for the holder of a generation, for as long as no other owner has taken over.
#[derive(Debug)]
pub struct HistoryWriter {
    store: CheckpointStore,
    generation: Generation,
    next: AtomicU64,
}

impl CheckpointStore {
    /// Adds to the history as the holder of this lease. The lease itself may go elsewhere meanwhile.
    pub fn history_writer(&self, lease: &Lease) -> HistoryWriter {
        let (store, generation) = (self.clone(), lease.generation());
        HistoryWriter { store, generation, next: AtomicU64::new(0) }
    }

    /// The whole history, in order.
    ///
    /// # Errors
    /// Damage to an entry; failures of the store.
    pub async fn read_history(&self) -> Result<Vec<HistoryRecord>, Error> {
        let names = self.history_names().await?;
        let reads = stream::iter(names).map(|name| async move {
            let (generation, number) =
                paths::history_of(&name).expect("other names were passed over");
            let entry = self.read_history_entry(&name).await?;
            Ok(HistoryRecord { generation, number, entry })
        });
        reads.buffered(READS_CONCURRENT_MAX).try_collect().await
    }

    /// The names of all entries, in order.
    pub(crate) async fn history_names(&self) -> Result<Vec<Path>, Error> {
        let prefix = paths::histories();
        let mut names: Vec<Path> = self
            .objects
            .list(Some(&prefix))
            .try_filter_map(|object| async move {
                let is_entry = paths::history_of(&object.location).is_some();
                Ok(is_entry.then_some(object.location))
            })
            .try_collect()
            .await
            .map_err(|error| Error::store("list", &prefix, error))?;
        names.sort_unstable();
        Ok(names)
    }

    pub(crate) async fn read_history_entry(&self, name: &Path) -> Result<HistoryEntry, Error> {
        record::decode(KIND, name.as_ref(), &self.read_file(name).await?)
    }
}

impl HistoryWriter {
    /// The generation of the owner.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another owner has taken over; failures of the store.
    pub async fn record(&self, entry: &HistoryEntry) -> Result<(), Error> {
        self.store.check_generation(self.generation).await?;
        let file = record::encode(KIND, entry);
        for _ in 1..NUMBERS_TRIED_MAX {
            let number = self.next.fetch_add(1, Ordering::AcqRel);
            let name = paths::history(self.generation, number);
            // The answer to an earlier attempt may have been lost.
            if self.store.create(&name, file.clone()).await? == Created::New
                || self.store.read_file(&name).await? == file
            {
                return Ok(());
            }
        }
        let name = paths::history(self.generation, self.next.load(Ordering::Acquire));
        Err(Error::NameTaken { object: name.to_string() })
    }
}
