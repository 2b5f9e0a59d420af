//! Start records: what an owner continued from, and which checkpoints were there then.
//!
//! A new owner writes one after it chose its restore point and before it touches anything outside. From then on the
//! checkpoints of the job are those of the record with the highest generation: its own, and of those that it lists the
//! ones that are still there. A manifest of an older owner that appears later is *void*: it was published by an owner
//! that had been fenced, and that owner knows it. Void manifests are never restored and are collected.
//!
//! The record lists what was there, and does not just say up to which epoch: an owner that was overtaken before it
//! wrote its own record may still write it afterwards, and must not be able to void anything by that.

use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::{Lease, Progress};
use crate::error::Error;
use crate::manifest::{Epoch, Generation};
use crate::paths::{self, ManifestName};
use crate::record;
use crate::store::{CheckpointStore, Created};

const KIND: &str = "statehouse-start";

/// How often a record is looked for again that another owner removed between listing and reading.
const LOOKS_MAX: u32 = 3;

/// The checkpoint that a run started from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartPoint {
    /// Its epoch, in the store where it was made.
    pub epoch: Epoch,
    /// Where it is.
    pub place: StartPlace,
    /// Whether it is another job's, and stays so: the run is a fork. A restart has nothing else to know it by until
    /// there is a checkpoint of the run's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fork: bool,
}

/// Where the checkpoint is that a run started from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartPlace {
    /// Among the checkpoints of the job's own store.
    Checkpoint,
    /// The savepoint of this name in the job's own store.
    Savepoint(String),
    /// In another store, under the pin of this id; `origins/<id>.json` says where.
    Origin(String),
}

impl StartPoint {
    /// A checkpoint of the job's own store.
    pub fn checkpoint(epoch: Epoch) -> Self {
        Self { epoch, place: StartPlace::Checkpoint, fork: false }
    }
}

/// What a start record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartRecord {
    /// The owner.
    pub generation: Generation,
    /// What it started from; nothing for a fresh start.
    pub restored: Option<StartPoint>,
    /// The highest epoch that there was. The owner's own are higher.
    pub above: Epoch,
    /// The checkpoints that its first one continues: the one restored and those before it, newest first.
    pub line: Vec<ManifestName>,
    /// The other checkpoints that were there, newest first: a user went back behind them or started afresh.
    pub aside: Vec<ManifestName>,
    /// Whether the run was ended by deleting all checkpoints. Then the next one starts afresh.
    pub ended: bool,
}

impl StartRecord {
    /// The epoch that the owner's own epochs are above.
    fn floor(&self) -> Epoch {
        self.restored.as_ref().map_or(self.above, |restored| self.above.max(restored.epoch))
    }
}

impl CheckpointStore {
    /// Records what this owner starts from and returns its first epoch, above all that there are. The restored
    /// checkpoint's chains may only be continued, and sinks may only be touched, after this.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another owner has taken over: stop. [`Error::CollectedMeanwhile`] if the checkpoint is
    /// being deleted, [`Error::Missing`] if there is none: choose another. [`Error::BegunAlready`] for a second call
    /// with another checkpoint. Failures of the store; the same call may be made again.
    pub async fn begin_run(
        &self,
        lease: &Lease,
        restored: Option<StartPoint>,
    ) -> Result<Epoch, Error> {
        let generation = lease.generation();
        let mut record = match self.new_start(generation, restored).await {
            Ok(record) => record,
            Err(error) => {
                // The next owner may have collected the checkpoint.
                self.check_lease(lease).await?;
                return Err(error);
            }
        };
        let name = paths::start(generation);
        let file = record::encode(KIND, &record);
        if self.create(&name, file).await? == Created::Existed {
            // The answer to an earlier attempt was lost, or this one repeats it.
            let found = self.read_start(generation).await?;
            if found.restored != record.restored {
                return Err(Error::BegunAlready { generation });
            }
            record = found;
        }
        // An owner that is overtaken here must not touch anything; its record voids nothing that counts.
        self.check_lease(lease).await?;
        let above = record.floor();
        lease.set_progress(Progress { above, published: None });
        Ok(above.next())
    }

    /// The record of a run that starts now.
    async fn new_start(
        &self,
        generation: Generation,
        restored: Option<StartPoint>,
    ) -> Result<StartRecord, Error> {
        let history = self.history().await?;
        let absent = self.condemned_since(history.started()).await?.manifests;
        let there = |name: &ManifestName| !absent.contains(name);
        let visible: Vec<ManifestName> = history.visible().filter(there).collect();
        let line = match &restored {
            None => Vec::new(),
            Some(StartPoint { place: StartPlace::Origin(_), .. }) => Vec::new(),
            Some(StartPoint { epoch, place: StartPlace::Savepoint(_), .. }) => {
                history.line().filter(|name| name.epoch <= *epoch && there(name)).collect()
            }
            Some(StartPoint { epoch, place: StartPlace::Checkpoint, .. }) => {
                let name = history.named(*epoch);
                let name = name.ok_or_else(|| missing(*epoch))?;
                if !there(&name) {
                    let object = paths::manifest(name).to_string();
                    return Err(Error::CollectedMeanwhile { epoch: *epoch, object });
                }
                let before = |other: &ManifestName| other.epoch < *epoch && there(other);
                match history.line().any(|other| other == name) {
                    true => std::iter::once(name).chain(history.line().filter(before)).collect(),
                    // It was set aside, and so was what it continues.
                    false => {
                        visible.iter().copied().filter(|other| other.epoch <= *epoch).collect()
                    }
                }
            }
        };
        let aside = visible.into_iter().filter(|name| !line.contains(name)).collect();
        let above = history.highest().unwrap_or_default();
        Ok(StartRecord { generation, restored, above, line, aside, ended: false })
    }

    /// Records that this run has ended by deleting all its checkpoints, so that the next one starts afresh.
    pub(crate) async fn end_run(&self, generation: Generation) -> Result<(), Error> {
        let above = self.history().await?.highest().unwrap_or_default();
        let (line, aside) = (Vec::new(), Vec::new());
        let record = StartRecord { generation, restored: None, above, line, aside, ended: true };
        self.put(&paths::start(generation), record::encode(KIND, &record)).await
    }

    /// The record of the owner with the highest generation that has begun.
    pub(crate) async fn newest_start(&self) -> Result<Option<StartRecord>, Error> {
        for _ in 1..LOOKS_MAX {
            let Some(&newest) = self.started().await?.last() else { return Ok(None) };
            match self.read_start(newest).await {
                // A newer owner has begun and removed the older record.
                Err(Error::Missing { .. }) => {}
                other => return other.map(Some),
            }
        }
        let Some(&newest) = self.started().await?.last() else { return Ok(None) };
        self.read_start(newest).await.map(Some)
    }

    /// The generations that have begun, lowest first.
    pub(crate) async fn started(&self) -> Result<Vec<Generation>, Error> {
        let prefix = paths::starts();
        let mut started: Vec<Generation> = self
            .objects
            .list(Some(&prefix))
            .try_filter_map(|object| async move { Ok(paths::started_generation(&object.location)) })
            .try_collect()
            .await
            .map_err(|error| Error::store("list", &prefix, error))?;
        started.sort_unstable();
        Ok(started)
    }

    pub(crate) async fn read_start(&self, generation: Generation) -> Result<StartRecord, Error> {
        let name = paths::start(generation);
        let record: StartRecord =
            record::decode(KIND, name.as_ref(), &self.read_file(&name).await?)?;
        if record.generation != generation {
            let reason = format!("it is the record of generation {}", record.generation);
            return Err(Error::Malformed { object: name.to_string(), reason });
        }
        Ok(record)
    }
}

fn missing(epoch: Epoch) -> Error {
    let name = ManifestName { epoch, generation: Generation(0) };
    Error::Missing { object: paths::manifest(name).to_string() }
}
