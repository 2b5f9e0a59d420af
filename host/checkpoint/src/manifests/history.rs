//! Which checkpoints a job has, and in which order they are considered for a restart.
//!
//! Pure but for [`CheckpointStore::history`], which reads the newest start record and the names of manifests.

use futures::TryStreamExt;

use crate::error::Error;
use crate::fence::start::{StartPlace, StartPoint, StartRecord};
use crate::manifest::{Epoch, Generation};
use crate::paths::{self, ManifestName};
use crate::store::CheckpointStore;

/// The checkpoints of a job, from the names of manifests and the newest start record.
#[derive(Debug, Default)]
pub(crate) struct History {
    start: Option<StartRecord>,
    /// All manifests that are there, highest name first.
    names: Vec<ManifestName>,
}

/// A checkpoint that a job may be restarted from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Candidate {
    /// A published checkpoint. It may be missing although nobody deleted it by the rules.
    Checkpoint(ManifestName),
    /// The savepoint or the other store's checkpoint that the run started from. If `optional`, the run has checkpoints
    /// of its own, and whoever deleted this one may have been right.
    Started { point: StartPoint, optional: bool },
}

/// The epochs that a checkpoint does not continue although they lie between its parent and itself. What its owner
/// published of these was given up: the store took too long to answer, and the write took effect later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Skip {
    by: ManifestName,
    parent: Epoch,
}

impl Skip {
    /// What a checkpoint with this parent skips; `None` if that is not known.
    pub(crate) fn of(by: ManifestName, parent: Option<Epoch>) -> Option<Self> {
        // Names without a generation do not tell owners apart.
        (by.generation.0 != 0).then_some(Self { by, parent: parent? })
    }

    /// Whether the checkpoint is one that was given up.
    pub(crate) fn has(&self, name: &ManifestName) -> bool {
        name.generation == self.by.generation
            && self.parent < name.epoch
            && name.epoch < self.by.epoch
    }
}

impl Candidate {
    /// What a start record says of it.
    pub(crate) fn point(&self) -> StartPoint {
        match self {
            Self::Checkpoint(name) => StartPoint::checkpoint(name.epoch),
            Self::Started { point, .. } => point.clone(),
        }
    }

    /// Whether it may be missing without anything being wrong.
    pub(crate) fn is_optional(&self) -> bool {
        matches!(self, Self::Started { optional: true, .. })
    }
}

impl History {
    fn new(start: Option<StartRecord>, mut names: Vec<ManifestName>) -> Self {
        names.sort_unstable_by(|a, b| b.cmp(a));
        Self { start, names }
    }

    /// The highest epoch of any manifest, void ones included.
    pub(crate) fn highest(&self) -> Option<Epoch> {
        self.names.first().map(|name| name.epoch)
    }

    /// The newest owner that has begun; 0 if none is known.
    pub(crate) fn started(&self) -> Generation {
        self.start.as_ref().map_or(Generation(0), |start| start.generation)
    }

    /// All manifests that are there, void ones included, highest name first.
    pub(crate) fn names(&self) -> &[ManifestName] {
        &self.names
    }

    /// Whether the checkpoint is one of the job's. One that is not was published by a fenced owner.
    pub(crate) fn is_visible(&self, name: &ManifestName) -> bool {
        self.is_own(name)
            || self
                .start
                .as_ref()
                .is_some_and(|start| start.line.contains(name) || start.aside.contains(name))
    }

    /// Whether the newest owner made it. Without any start record everything counts as such.
    fn is_own(&self, name: &ManifestName) -> bool {
        self.start.as_ref().is_none_or(|start| name.generation >= start.generation)
    }

    /// The job's checkpoints, highest epoch first.
    pub(crate) fn visible(&self) -> impl Iterator<Item = ManifestName> {
        self.names.iter().filter(|name| self.is_visible(name)).copied()
    }

    /// Those of the newest owner, highest epoch first.
    pub(crate) fn own(&self) -> impl Iterator<Item = ManifestName> {
        self.names.iter().filter(|name| self.is_own(name)).copied()
    }

    /// Those that a restart considers, newest first: the newest owner's, then what they continue.
    pub(crate) fn line(&self) -> impl Iterator<Item = ManifestName> {
        let line = self.start.as_ref().map_or(&[][..], |start| &start.line);
        self.own().chain(line.iter().filter(|name| self.names.contains(name)).copied())
    }

    /// Those that are there but that the newest owner does not continue, highest epoch first.
    pub(crate) fn aside(&self) -> impl Iterator<Item = ManifestName> {
        let aside = self.start.as_ref().map_or(&[][..], |start| &start.aside);
        aside.iter().filter(|name| self.names.contains(name)).copied()
    }

    /// The pin of the origin that a restart goes back to: as long as the run that started from there has no checkpoint
    /// of its own, no manifest of this store says what it needs.
    pub(crate) fn needed_origin(&self) -> Option<&str> {
        let restored = self.start.as_ref()?.restored.as_ref()?;
        match &restored.place {
            StartPlace::Origin(pin) if self.own().next().is_none() => Some(pin),
            _ => None,
        }
    }

    /// The checkpoint of this epoch. Of two, which an older release may have left, the newer one.
    pub(crate) fn named(&self, epoch: Epoch) -> Option<ManifestName> {
        self.visible().find(|name| name.epoch == epoch)
    }

    /// What a restart considers, in order. What the run started from is in the list even if it is not there, unless the
    /// run has checkpoints of its own: then it may have been collected.
    pub(crate) fn candidates(&self) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = self.own().map(Candidate::Checkpoint).collect();
        let optional = !candidates.is_empty();
        let Some(start) = &self.start else { return candidates };
        match &start.restored {
            Some(StartPoint { place: StartPlace::Checkpoint, .. }) => {
                if let Some(&restored) = start.line.first()
                    && !optional
                    && !self.names.contains(&restored)
                {
                    candidates.push(Candidate::Checkpoint(restored));
                }
            }
            Some(point) => {
                candidates.push(Candidate::Started { point: point.clone(), optional });
            }
            None => {}
        }
        let there = |name: &&ManifestName| self.names.contains(name);
        candidates.extend(start.line.iter().filter(there).copied().map(Candidate::Checkpoint));
        candidates
    }
}

impl CheckpointStore {
    /// Reads which checkpoints the job has.
    pub(crate) async fn history(&self) -> Result<History, Error> {
        // In this order: what the owner of the record publishes meanwhile is seen.
        let start = self.newest_start().await?;
        Ok(History { start, ..self.history_without_start().await? })
    }

    /// As if no owner had ever said what it started from.
    pub(crate) async fn history_without_start(&self) -> Result<History, Error> {
        let prefix = paths::manifests();
        let names = self
            .objects
            .list(Some(&prefix))
            .try_filter_map(|object| async move { Ok(paths::manifest_name(&object.location)) })
            .try_collect()
            .await
            .map_err(|error| Error::store("list", &prefix, error))?;
        Ok(History::new(None, names))
    }
}
