//! Savepoints: checkpoints that belong to the user, kept by name until they are deleted.

use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::Manifest;
use crate::paths;
use crate::store::CheckpointStore;

/// A savepoint that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavepointEntry {
    /// Its name.
    pub name: String,
    /// The bytes of its manifest.
    pub manifest_bytes: u64,
}

impl CheckpointStore {
    /// The names of all savepoints, in order. Their manifests are not read.
    ///
    /// # Errors
    /// Failures of the store.
    pub async fn savepoints(&self) -> Result<Vec<SavepointEntry>, Error> {
        let files = self.named_files(&paths::savepoints()).await?;
        let entry = |(name, manifest_bytes)| SavepointEntry { name, manifest_bytes };
        Ok(files.into_iter().map(entry).collect())
    }

    /// Reads the manifest of a savepoint and checks it. The packs are not looked at.
    ///
    /// # Errors
    /// As [`CheckpointStore::read`]; [`Error::Name`].
    pub async fn read_savepoint(&self, name: &str) -> Result<Manifest, Error> {
        self.read_manifest(&paths::savepoint(name)?).await
    }

    /// Makes a checkpoint a savepoint. It costs its manifest, not a copy of its packs. A savepoint exists only after
    /// everything that it names is known to stay. Doing the same again succeeds.
    ///
    /// # Errors
    /// [`Error::NameTaken`] if the name stands for another checkpoint, [`Error::Name`] if it cannot be one,
    /// [`Error::CollectedMeanwhile`] if some of the checkpoint is gone; failures of the store.
    pub async fn pin_savepoint(&self, name: &str, manifest: &Manifest) -> Result<(), Error> {
        let object = paths::savepoint(name)?;
        let pin = savepoint_pin(name, manifest);
        // Looked at first, so that nothing is written for a name that is taken.
        match self.read_savepoint(name).await {
            Err(Error::Missing { .. }) => {}
            // An earlier attempt may have left its pin.
            Ok(found) if found == *manifest => return self.unpin(&pin).await,
            Ok(_) => return Err(Error::NameTaken { object: object.to_string() }),
            Err(error) => return Err(error),
        }
        // A pin while it is checked: after a crash in between there is no savepoint that may not be whole.
        self.pin(&pin, manifest).await?;
        let created = self.create_root(&object, manifest).await;
        if let Err(error) = self.unpin(&pin).await {
            // It is deleted with the savepoint at the latest.
            tracing::warn!(%pin, error = error.chain(), "a pin is left");
        }
        created.map(|_| ())
    }

    /// Deletes a savepoint. What only it named goes with the next collection.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Name`]; failures of the store.
    pub async fn delete_savepoint(&self, name: &str) -> Result<(), Error> {
        let object = paths::savepoint(name)?;
        // Stores differ in what they say about the deletion of nothing. A damaged one can be deleted.
        let file = self.read_file(&object).await?;
        self.delete(&object).await?;
        self.unpin(&pin_of(name, &file)).await
    }
}

/// The id of the pin under which a savepoint is made: another one for another checkpoint.
fn savepoint_pin(name: &str, manifest: &Manifest) -> String {
    // A manifest that has no encoding is refused when the pin is written.
    pin_of(name, &manifest.encode().unwrap_or_default())
}

fn pin_of(name: &str, file: &[u8]) -> String {
    format!("savepoint-{name}-{}", &Digest::of(file).to_string()[..16])
}
