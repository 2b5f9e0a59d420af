//! Manifests in the store: publishing, listing, reading.

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::try_join;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutPayload};

use crate::error::Error;
use crate::fence::Lease;
use crate::manifest::{Epoch, FormatError, Manifest, ProtocolError};
use crate::paths;
use crate::store::CheckpointStore;

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
        let epoch = manifest.epoch;
        let broken = |source| Error::Protocol { epoch, source };
        if manifest.generation != lease.generation() {
            let (found, held) = (manifest.generation, lease.generation());
            return Err(broken(ProtocolError::Generation { found, held }));
        }
        let file = Bytes::from(manifest.encode().map_err(broken)?);
        let (newest, ()) = try_join(self.newest_after(epoch), self.check_lease(lease)).await?;
        if let Some(other) = newest {
            return Err(broken(ProtocolError::EpochOrder { epoch, other }));
        }
        let name = paths::manifest(epoch);
        let payload = PutPayload::from_bytes(file.clone());
        match self.objects().put_opts(&name, payload, PutMode::Create.into()).await {
            Ok(_) => {}
            Err(object_store::Error::AlreadyExists { .. }) => {
                if self.read_file(&name).await? != file {
                    return Err(Error::AlreadyPublished { epoch });
                }
            }
            Err(error) => return Err(Error::store("write", &name, error)),
        }
        // An owner that claimed between the check and the write may have looked for the newest
        // checkpoint before this one was there. Then this owner must not act on it.
        self.check_lease(lease).await
    }

    /// The epochs of all published checkpoints, newest first. Reads names only.
    ///
    /// # Errors
    /// Failures of the store.
    pub async fn list(&self) -> Result<Vec<Epoch>, Error> {
        let prefix = paths::manifests();
        let mut epochs: Vec<Epoch> = self
            .objects()
            .list(Some(&prefix))
            .try_filter_map(|object| async move { Ok(paths::manifest_epoch(&object.location)) })
            .try_collect()
            .await
            .map_err(|error| Error::store("list", &prefix, error))?;
        epochs.sort_unstable_by(|a, b| b.cmp(a));
        Ok(epochs)
    }

    /// The first epoch that a new owner may publish: above all that are there, whichever of them
    /// it restores from.
    ///
    /// # Errors
    /// Failures of the store.
    pub async fn next_epoch(&self) -> Result<Epoch, Error> {
        Ok(self.list().await?.first().map_or(Epoch(1), |epoch| epoch.next()))
    }

    /// The highest published epoch above `epoch`, if there is any.
    async fn newest_after(&self, epoch: Epoch) -> Result<Option<Epoch>, Error> {
        let prefix = paths::manifests();
        self.objects()
            .list_with_offset(Some(&prefix), &paths::manifest(epoch))
            .try_fold(None, |newest: Option<Epoch>, object| async move {
                Ok(newest.max(paths::manifest_epoch(&object.location)))
            })
            .await
            .map_err(|error| Error::store("list", &prefix, error))
    }

    /// Reads a checkpoint's manifest and checks it. The packs are not looked at.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`], [`Error::Malformed`], [`Error::NewerFormat`],
    /// [`Error::Protocol`]; failures of the store.
    pub async fn read(&self, epoch: Epoch) -> Result<Manifest, Error> {
        let name = paths::manifest(epoch);
        let file = self.read_file(&name).await?;
        let object = name.to_string();
        let manifest = Manifest::decode(&file).map_err(|error| match error {
            FormatError::Malformed(reason) => Error::Malformed { object: object.clone(), reason },
            FormatError::Digest { expected, found } => {
                Error::Damaged { object: object.clone(), expected, found }
            }
            FormatError::Newer { version } => Error::NewerFormat {
                object: object.clone(),
                version,
                supported: crate::FORMAT_VERSION,
            },
            FormatError::Protocol(source) => Error::Protocol { epoch, source },
        })?;
        if manifest.epoch != epoch {
            let reason = format!("it is the manifest of epoch {}", manifest.epoch);
            return Err(Error::Malformed { object, reason });
        }
        Ok(manifest)
    }

    async fn read_file(&self, name: &Path) -> Result<Bytes, Error> {
        let error = |error| Error::store("read", name, error);
        self.objects().get(name).await.map_err(error)?.bytes().await.map_err(error)
    }
}
