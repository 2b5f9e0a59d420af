//! Restoring: which checkpoint to take.

#[cfg(test)]
mod tests;

use std::fmt;

use crate::error::Error;
use crate::manifest::{Epoch, Manifest};
use crate::store::CheckpointStore;

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
    /// The newest checkpoint that passes the check.
    ///
    /// # Errors
    /// Failures of the store. A store that cannot be read now is no reason to go back.
    pub async fn newest_valid(&self, check: Check) -> Result<Selection, Error> {
        let mut rejected = Vec::new();
        for epoch in self.list().await? {
            let damage = match self.read(epoch).await {
                Ok(manifest) => {
                    let damage = match check {
                        Check::Manifest => Vec::new(),
                        Check::Packs => self.verify(&manifest).await?,
                    };
                    if damage.is_empty() {
                        return Ok(Selection { manifest: Some(manifest), rejected, check });
                    }
                    damage
                }
                Err(error) if error.is_damage() => vec![error],
                Err(error) => return Err(error),
            };
            rejected.push(Rejected { epoch, damage });
        }
        Ok(Selection { manifest: None, rejected, check })
    }
}
