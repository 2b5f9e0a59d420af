//! Manifests in the store: publishing, listing, reading.

pub(crate) mod history;
pub(crate) mod selection;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::error::Error;
use crate::fence::{Lease, Progress};
use crate::manifest::{Epoch, FormatError, Generation, Manifest, ProtocolError};
use crate::paths::{self, ManifestName};
use crate::store::{CheckpointStore, Created};

impl CheckpointStore {
    /// Publishes a checkpoint: from here on it exists. All its packs must have been written.
    ///
    /// Publishing the same manifest again succeeds, so a caller that did not get the answer may
    /// ask again.
    ///
    /// # Errors
    /// [`Error::Fenced`], [`Error::AlreadyPublished`]: another owner has the job; the caller must
    /// stop, and commit nothing, even if the manifest has been written: whoever restores decides.
    /// [`Error::Protocol`] if the manifest breaks a rule; nothing is written then.
    /// Failures of the store: the checkpoint may or may not exist.
    pub async fn publish(&self, manifest: &Manifest, lease: &Lease) -> Result<(), Error> {
        let (epoch, generation) = (manifest.epoch, lease.generation());
        let broken = |source| Error::Protocol { epoch, source };
        if manifest.generation != generation {
            let (found, held) = (manifest.generation, generation);
            return Err(broken(ProtocolError::Generation { found, held }));
        }
        let file = Bytes::from(manifest.encode().map_err(broken)?);
        let progress = self.progress(lease).await?;
        let highest = progress.published.unwrap_or_default().max(progress.above);
        // Its own newest may be published again: the answer may have been lost.
        if epoch <= progress.above || epoch < highest {
            return Err(broken(ProtocolError::EpochOrder { epoch, other: highest }));
        }
        self.check_lease(lease).await?;
        let name = paths::manifest(ManifestName { epoch, generation });
        if self.create(&name, file.clone()).await? == Created::Existed
            && self.read_file(&name).await? != file
        {
            return Err(Error::AlreadyPublished { epoch });
        }
        lease.set_progress(Progress { published: Some(epoch), ..progress });
        // An owner that claimed between the check and the write may have looked for the newest
        // checkpoint before this one was there. Then this owner must not act on it.
        self.check_lease(lease).await
    }

    /// Which epochs the owner may publish. Looked up once for a run that has not begun by a start record.
    async fn progress(&self, lease: &Lease) -> Result<Progress, Error> {
        if let Some(progress) = lease.progress() {
            return Ok(progress);
        }
        let history = self.history().await?;
        let own = |name: &&ManifestName| name.generation == lease.generation();
        let names = history.names();
        let above = names.iter().find(|name| !own(name)).map_or(Epoch(0), |name| name.epoch);
        let published = names.iter().find(own).map(|name| name.epoch);
        let progress = Progress { above, published };
        lease.set_progress(progress);
        Ok(progress)
    }

    /// The epochs of all published checkpoints, newest first. Reads names only. Manifests that a fenced owner published
    /// too late are not among them.
    ///
    /// # Errors
    /// Failures of the store.
    pub async fn list(&self) -> Result<Vec<Epoch>, Error> {
        let mut epochs: Vec<Epoch> =
            self.history().await?.visible().map(|name| name.epoch).collect();
        epochs.dedup();
        Ok(epochs)
    }

    /// The first epoch that a new owner may publish: above all that are there, whichever of them
    /// it restores from. [`CheckpointStore::begin_run`] returns the same and records it.
    ///
    /// # Errors
    /// Failures of the store.
    pub async fn next_epoch(&self) -> Result<Epoch, Error> {
        Ok(self.history().await?.highest().map_or(Epoch(1), Epoch::next))
    }

    /// Reads a checkpoint's manifest and checks it. The packs are not looked at.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`], [`Error::Malformed`], [`Error::NewerFormat`],
    /// [`Error::Protocol`]; failures of the store.
    pub async fn read(&self, epoch: Epoch) -> Result<Manifest, Error> {
        let unnamed = ManifestName { epoch, generation: Generation(0) };
        let name = self.history().await?.named(epoch).unwrap_or(unnamed);
        self.read_named(name).await
    }

    /// Reads the manifest of this name and checks it.
    pub(crate) async fn read_named(&self, name: ManifestName) -> Result<Manifest, Error> {
        let object = paths::manifest(name);
        let manifest = self.read_manifest(&object).await?;
        let ManifestName { epoch, generation } = name;
        if manifest.epoch != epoch {
            let reason = format!("it is the manifest of epoch {}", manifest.epoch);
            return Err(Error::Malformed { object: object.to_string(), reason });
        }
        if generation.0 != 0 && manifest.generation != generation {
            let reason = format!("it is a manifest of generation {}", manifest.generation);
            return Err(Error::Malformed { object: object.to_string(), reason });
        }
        Ok(manifest)
    }

    /// Reads a file that is a manifest, whatever it is called.
    pub(crate) async fn read_manifest(&self, name: &Path) -> Result<Manifest, Error> {
        let file = self.read_file(name).await?;
        let object = name.to_string();
        Manifest::decode(&file).map_err(|error| match error {
            FormatError::Malformed(reason) => Error::Malformed { object, reason },
            FormatError::Digest { expected, found } => Error::Damaged { object, expected, found },
            FormatError::Newer { version } => {
                Error::NewerFormat { object, version, supported: crate::FORMAT_VERSION }
            }
            FormatError::Protocol(source) => Error::BrokenRule { object, source },
        })
    }

    /// The bytes of an object.
    pub(crate) async fn read_file(&self, name: &Path) -> Result<Bytes, Error> {
        let error = |error| Error::store("read", name, error);
        self.objects.get(name).await.map_err(error)?.bytes().await.map_err(error)
    }
}
