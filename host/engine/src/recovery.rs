//! Recovery: from a manifest back to running state. The way of a checkpoint, run backwards.

use std::fs;
use std::path::Path;

use statehouse_checkpoint::{
    CheckpointStore, Error, Manifest, OperatorState, SegmentRef, StartPoint, TablesRef,
};
use statehouse_state::{Backend, KeyGroup, KeyGroupRange};

use crate::graph::{Graph, NodeKind};
use crate::publish::KEY_HASH;

pub(crate) mod plans;

pub use self::plans::left;

/// Why a job cannot resume from a checkpoint.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RecoveryError {
    #[error(
        "checkpoint {epoch} belongs to job `{theirs}`, not to `{mine}`: give this job a checkpoint directory of its own"
    )]
    OtherJob { epoch: u64, theirs: String, mine: String },
    #[error(
        "checkpoint {epoch} has {theirs} key groups and the job {mine}: the number is fixed for the life of a job's \
         state; set `key-groups = {theirs}`"
    )]
    KeyGroups { epoch: u64, theirs: u32, mine: u32 },
    #[error("checkpoint {epoch} maps keys by `{theirs}`, which this version does not know")]
    KeyHash { epoch: u64, theirs: String },
    #[error(
        "checkpoint {epoch} holds state of operator `{operator}`, which the job does not have: name the operator as \
         before, drop its state by `--allow-non-restored-state`, or start without any state by `--fresh`"
    )]
    UnclaimedOperator { epoch: u64, operator: String },
    #[error(
        "checkpoint {epoch} holds the position of source `{source_id}`, which the job does not have: it would be \
         read from its beginning, into state that knows it already; name the source as before, forget it by \
         `--allow-non-restored-state`, or start without any state by `--fresh`"
    )]
    UnclaimedSource { epoch: u64, source_id: String },
    #[error("operator `{operator}` cannot take its state of checkpoint {epoch}: {reason}")]
    Incompatible { epoch: u64, operator: String, reason: String },
    #[error(
        "checkpoint {epoch} holds files of operator `{operator}`, and there is no local folder to put them in: set \
         `directory` of `[state]`"
    )]
    NoFolder { epoch: u64, operator: String },
    #[error(
        "files of operator `{operator}` in checkpoint {epoch} cannot be written to {folder}: {source}; make room \
         there, or set `directory` of `[state]`"
    )]
    Folder {
        epoch: u64,
        operator: String,
        folder: String,
        #[source]
        source: std::io::Error,
    },
    #[error("checkpoint {epoch} cannot be read: {reason}")]
    Unreadable { epoch: u64, reason: String },
    #[error("state of operator `{operator}` in checkpoint {epoch}: {source}")]
    State {
        epoch: u64,
        operator: String,
        #[source]
        source: statehouse_state::Error,
    },
}

/// The checkpoint that a run starts from.
#[derive(Debug)]
pub struct RestorePoint {
    /// The store that holds it.
    pub store: CheckpointStore,
    /// What it says.
    pub manifest: Manifest,
    /// Where it is, for the job's own store to remember what this run started from. `None` if that store does not know
    /// where it is.
    pub point: Option<StartPoint>,
    /// Whether the run's own checkpoints go on from this one: what it holds need not be written again. Otherwise the
    /// first one is full.
    pub continues: bool,
    /// Whether state that the job has no place for any more is dropped, which is said, and not refused.
    pub drop_unclaimed: bool,
    /// Whether another job goes on from here: its name is its own, and the output that was prepared and not committed
    /// is the other job's.
    pub fork: bool,
}

impl RestorePoint {
    pub(crate) fn epoch(&self) -> u64 {
        self.manifest.epoch.0
    }

    pub(crate) fn operator(&self, id: &str) -> Option<&OperatorState> {
        self.manifest.operators.iter().find(|operator| operator.id == id)
    }

    /// Checks that the job can go on from here, before anything is touched. Returns, in words, what of the checkpoint
    /// is dropped.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn check(&self, graph: &Graph) -> Result<Vec<String>, RecoveryError> {
        let (epoch, manifest) = (self.epoch(), &self.manifest);
        if manifest.job != graph.name && !self.fork {
            let (theirs, mine) = (manifest.job.clone(), graph.name.clone());
            return Err(RecoveryError::OtherJob { epoch, theirs, mine });
        }
        if manifest.key_groups != graph.key_groups.count() {
            let (theirs, mine) = (manifest.key_groups, graph.key_groups.count());
            return Err(RecoveryError::KeyGroups { epoch, theirs, mine });
        }
        if manifest.key_hash != KEY_HASH {
            return Err(RecoveryError::KeyHash { epoch, theirs: manifest.key_hash.clone() });
        }
        let mut dropped = Vec::new();
        for operator in &manifest.operators {
            if has_state(operator) {
                dropped.extend(self.check_state(operator, graph)?);
            }
            dropped.extend(self.check_position(operator, graph)?);
        }
        Ok(dropped)
    }

    /// Finds the operator that takes the state. What nobody takes is refused, or dropped.
    fn check_state(
        &self,
        before: &OperatorState,
        graph: &Graph,
    ) -> Result<Vec<String>, RecoveryError> {
        let (epoch, operator) = (self.epoch(), before.id.clone());
        let node = graph.nodes.iter().find(|node| node.id == operator);
        let Some(NodeKind::Operator { factory, .. }) = node.map(|node| &node.kind) else {
            return match self.drop_unclaimed {
                true => Ok(vec![format!("the state of operator `{operator}`")]),
                false => Err(RecoveryError::UnclaimedOperator { epoch, operator }),
            };
        };
        let evolution = self.evolution(&operator, &**factory)?;
        let of_operator = |what| format!("the {what} of operator `{operator}`");
        Ok(plans::dropped(&evolution).map(of_operator).collect())
    }

    /// A source that is gone, or has another name, is refused, or forgotten. A sink that is gone takes along what it
    /// had prepared and not committed, which is said and left to the user.
    fn check_position(
        &self,
        before: &OperatorState,
        graph: &Graph,
    ) -> Result<Option<String>, RecoveryError> {
        let mut positions = before.tasks.iter().map(|task| &task.position);
        let Some(position) = positions.find(|position| !position.is_null()) else {
            return Ok(None);
        };
        let node = graph.nodes.iter().find(|node| node.id == before.id);
        // Sinks remember a list of tokens, sources never do.
        match (position.is_array(), node.map(|node| &node.kind)) {
            (true, Some(NodeKind::Sink { .. })) | (false, Some(NodeKind::Source(_))) => Ok(None),
            (true, _) => {
                Ok((!self.fork).then(|| format!("what sink `{}` had not committed", before.id)))
            }
            (false, _) if self.drop_unclaimed => {
                Ok(Some(format!("the position of source `{}`", before.id)))
            }
            (false, _) => {
                let (epoch, source_id) = (self.epoch(), before.id.clone());
                Err(RecoveryError::UnclaimedSource { epoch, source_id })
            }
        }
    }

    /// Fills a backend with an operator's state in a range of key groups. `scratch` is where files of tables are put
    /// on their way; what this call puts there, it removes.
    ///
    /// # Errors
    /// If the state cannot be read, or not by this backend.
    pub async fn fill(
        &self,
        operator: &OperatorState,
        range: KeyGroupRange,
        backend: &mut dyn Backend,
        scratch: Option<&Path>,
    ) -> Result<(), RecoveryError> {
        let epoch = self.epoch();
        if self.drop_unclaimed {
            backend.drop_unclaimed();
        }
        let overlapping =
            |tables: &&TablesRef| tables.start < range.end && range.start < tables.end;
        let mut by_tables = false;
        for tables in operator.tables.iter().filter(overlapping) {
            let scratch = scratch.ok_or_else(|| {
                let operator = operator.id.clone();
                RecoveryError::NoFolder { epoch, operator }
            })?;
            // Tasks are restored at once: those of other operators have the same ranges.
            let name = format!("restore-{}-{}-{}", operator.id, tables.start, range.start);
            let folder = scratch.join(name);
            let restored = match self.fetch(operator, tables, &folder).await {
                Ok(()) => backend
                    .restore_tables(&folder)
                    .map_err(|source| self.state_error(operator, source)),
                Err(error) => Err(error),
            };
            // What cannot be removed now is removed with the folder around it.
            let _ = fs::remove_dir_all(&folder);
            restored?;
            by_tables = true;
        }
        let wanted: Vec<(KeyGroup, &SegmentRef)> = operator
            .groups
            .iter()
            .map(|(&group, chain)| (KeyGroup(group), chain))
            .filter(|(group, _)| range.contains(*group))
            .flat_map(|(group, chain)| chain.iter().map(move |segment| (group, segment)))
            .collect();
        let mut reader = self.store.read_segments(wanted.iter().map(|(_, segment)| *segment));
        for (group, segment) in wanted {
            let bytes = reader
                .next()
                .await
                .map_err(|error| RecoveryError::Unreadable { epoch, reason: error.chain() })?;
            let bytes = bytes.expect("the reader yields as many segments as it was given");
            backend
                .restore(group, segment.full, &bytes)
                .map_err(|source| self.state_error(operator, source))?;
        }
        if !self.continues || by_tables {
            // There is no chain that increments could go on from.
            backend.abandon_snapshot();
        }
        Ok(())
    }

    /// The task states of all tasks of an operator, in the order of the tasks.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn task_states(
        &self,
        operator: &OperatorState,
    ) -> Result<Vec<bytes::Bytes>, RecoveryError> {
        let epoch = self.epoch();
        let states: Vec<_> = operator.tasks.iter().filter_map(|task| task.state.as_ref()).collect();
        let mut reader = self.store.read_segments(states);
        let mut read = Vec::new();
        while let Some(bytes) = reader
            .next()
            .await
            .map_err(|error| RecoveryError::Unreadable { epoch, reason: error.chain() })?
        {
            read.push(bytes);
        }
        Ok(read)
    }

    /// An error about the state of an operator.
    pub(crate) fn state_error(
        &self,
        operator: &OperatorState,
        source: statehouse_state::Error,
    ) -> RecoveryError {
        RecoveryError::State { epoch: self.epoch(), operator: operator.id.clone(), source }
    }

    /// Puts the files of tables into a folder, which is made.
    async fn fetch(
        &self,
        operator: &OperatorState,
        tables: &TablesRef,
        folder: &Path,
    ) -> Result<(), RecoveryError> {
        let epoch = self.epoch();
        let failed = |source| RecoveryError::Folder {
            epoch,
            operator: operator.id.clone(),
            folder: folder.display().to_string(),
            source,
        };
        // What a process that was killed has left there.
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).map_err(failed)?;
        let written = self.store.read_files_to(&tables.files, folder).await;
        written.map_err(|error| match error {
            Error::File { source, .. } => failed(source),
            error => RecoveryError::Unreadable { epoch, reason: error.chain() },
        })
    }
}

/// Whether anything would be lost without the operator.
fn has_state(operator: &OperatorState) -> bool {
    operator.has_keyed_state() || operator.tasks.iter().any(|task| task.state.is_some())
}
