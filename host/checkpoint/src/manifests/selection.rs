//! Which checkpoint a restart takes.

#[cfg(test)]
mod tests;

use std::fmt;

use super::history::{Candidate, History, Skip};
use crate::error::Error;
use crate::fence::start::{StartPlace, StartPoint};
use crate::manifest::{Epoch, Manifest};
use crate::store::CheckpointStore;

/// How often the search begins again because a checkpoint that was listed was collected before it was read.
const SEARCHES_MAX: u32 = 4;

/// How closely [`CheckpointStore::newest_valid`] looks at a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Its manifest is read. Damage to a pack is found when the pack is read.
    Manifest,
    /// All its packs are read too.
    Packs,
}

/// The newest checkpoint that passes, and why newer ones do not.
#[derive(Debug)]
pub struct Selection {
    /// The checkpoint; `None` if none passes.
    pub manifest: Option<Manifest>,
    /// Those newer than it, newest first. Taking the checkpoint although this is not empty means
    /// to lose what they held: that is for the user to decide.
    pub rejected: Vec<Rejected>,
    /// Where the checkpoint is, for [`CheckpointStore::begin_run`]; `None` if none passes.
    pub point: Option<StartPoint>,
    check: Check,
}

/// A checkpoint that cannot be restored.
#[derive(Debug)]
pub struct Rejected {
    /// Its epoch.
    pub epoch: Epoch,
    /// What is wrong with it, at least one reason.
    pub damage: Vec<Error>,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Enough to see what happened; a lost disk would give thousands.
        const SHOWN_MAX: usize = 3;
        write!(f, "checkpoint {} cannot be restored: ", self.epoch)?;
        for (place, error) in self.damage.iter().take(SHOWN_MAX).enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            write!(f, "{separator}{}", error.chain())?;
        }
        match self.damage.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl Selection {
    /// What to tell a user whose newest checkpoint does not pass; `None` if it does, or if there
    /// is no checkpoint at all.
    pub fn advice(&self) -> Option<String> {
        if self.rejected.is_empty() {
            return None;
        }
        let mut lines: Vec<String> = self.rejected.iter().map(Rejected::to_string).collect();
        lines.push(match &self.manifest {
            Some(Manifest { epoch, .. }) => {
                let passes = match self.check {
                    Check::Manifest => "has a whole manifest",
                    Check::Packs => "verifies",
                };
                format!("checkpoint {epoch} {passes}: start from it with `--from {epoch}`")
            }
            None => "no older checkpoint can be restored: restore the store from a copy, \
                     or start from nothing with `--fresh`"
                .to_owned(),
        });
        Some(lines.join("\n"))
    }
}

impl CheckpointStore {
    /// The newest checkpoint that passes the check. Manifests that a fenced owner published too late, and those that
    /// an interrupted collection was about to delete, are passed over.
    ///
    /// The newest one is the newest of the owner that began last; as long as that owner has made none, what it started
    /// from. After a fresh start that made none, there is none.
    ///
    /// # Errors
    /// Failures of the store. A store that cannot be read now is no reason to go back.
    pub async fn newest_valid(&self, check: Check) -> Result<Selection, Error> {
        for _ in 1..SEARCHES_MAX {
            if let Some(selection) = self.search(check, true).await? {
                return Ok(selection);
            }
        }
        let selection = self.search(check, false).await?;
        Ok(selection.expect("this search ends whatever disappears"))
    }

    /// As [`CheckpointStore::newest_valid`]; `None` if it is to `notice` what disappears, and something has.
    async fn search(&self, check: Check, notice: bool) -> Result<Option<Selection>, Error> {
        let history = self.history().await?;
        let absent = self.condemned_since(history.started()).await?.manifests;
        let (mut rejected, mut skips) = (Vec::new(), Vec::<Skip>::new());
        for candidate in history.candidates() {
            let is_void = |name| absent.contains(name) || skips.iter().any(|skip| skip.has(name));
            if matches!(&candidate, Candidate::Checkpoint(name) if is_void(name)) {
                continue;
            }
            let damage = match self.read_candidate(&candidate).await {
                Ok(manifest) => {
                    if let Candidate::Checkpoint(name) = &candidate {
                        skips.extend(Skip::of(*name, manifest.parent));
                    }
                    let damage = match check {
                        Check::Manifest => Vec::new(),
                        Check::Packs => self.verify(&manifest).await?,
                    };
                    if damage.is_empty() {
                        let (manifest, point) = (Some(manifest), Some(candidate.point()));
                        return Ok(Some(Selection { manifest, rejected, point, check }));
                    }
                    damage
                }
                Err(Error::Missing { .. }) if candidate.is_optional() => continue,
                Err(error) if error.is_damage() => vec![error],
                Err(error) => return Err(error),
            };
            // Seen by whoever looks at a job that runs and collects.
            if notice && self.has_gone(&history, &candidate).await? {
                return Ok(None);
            }
            rejected.push(Rejected { epoch: candidate.point().epoch, damage });
        }
        Ok(Some(Selection { manifest: None, rejected, point: None, check }))
    }

    async fn read_candidate(&self, candidate: &Candidate) -> Result<Manifest, Error> {
        match candidate {
            Candidate::Checkpoint(name) => self.read_named(*name).await,
            Candidate::Started { point, .. } => match &point.place {
                StartPlace::Checkpoint => self.read(point.epoch).await,
                StartPlace::Savepoint(name) => self.read_savepoint(name).await,
                StartPlace::Origin(pin) => self.read_origin(pin).await,
            },
        }
    }

    /// Whether a checkpoint that was listed is no longer there, or is being deleted.
    async fn has_gone(&self, then: &History, candidate: &Candidate) -> Result<bool, Error> {
        let Candidate::Checkpoint(name) = candidate else { return Ok(false) };
        if !then.names().contains(name) {
            return Ok(false);
        }
        let now = self.history().await?;
        Ok(!now.names().contains(name) || self.condemned().await?.manifests.contains(name))
    }
}
