//! Pins: checkpoints that someone else still needs, a fork or a copy under way.

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;

use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::Manifest;
use crate::paths;
use crate::store::{CheckpointStore, Created};

/// How many packs are looked for at the same time.
const LOOKS_CONCURRENT_MAX: usize = 32;

impl CheckpointStore {
    /// Keeps everything that the manifest names until [`CheckpointStore::unpin`], under an id that nobody else uses.
    /// The manifest is one of this store or can be restored from it. Pinning the same again succeeds.
    ///
    /// # Errors
    /// [`Error::CollectedMeanwhile`] if some of it is gone: nothing is pinned then. [`Error::NameTaken`],
    /// [`Error::Name`]; failures of the store, after which the pin may be there.
    pub async fn pin(&self, id: &str, manifest: &Manifest) -> Result<(), Error> {
        let name = paths::pin(id)?;
        let created = self.create_root(&name, manifest).await?;
        let checked = self.check_kept(manifest).await;
        if let Err(error) = &checked
            && error.is_collected()
            && created == Created::New
        {
            self.delete(&name).await?;
        }
        checked
    }

    /// Deletes a pin. That there is none is success.
    ///
    /// # Errors
    /// [`Error::Name`]; failures of the store.
    pub async fn unpin(&self, id: &str) -> Result<(), Error> {
        self.delete(&paths::pin(id)?).await
    }

    /// The ids of all pins, in order.
    ///
    /// # Errors
    /// Failures of the store.
    pub async fn pins(&self) -> Result<Vec<String>, Error> {
        let pins = self.named_files(&paths::pins()).await?;
        Ok(pins.into_iter().map(|(id, _)| id).collect())
    }

    /// Reads the manifest of a pin and checks it.
    ///
    /// # Errors
    /// As [`CheckpointStore::read`]; [`Error::Name`].
    pub async fn read_pin(&self, id: &str) -> Result<Manifest, Error> {
        self.read_manifest(&paths::pin(id)?).await
    }

    /// Creates a root. If there is one with the same bytes, this one has been created.
    pub(crate) async fn create_root(
        &self,
        name: &Path,
        manifest: &Manifest,
    ) -> Result<Created, Error> {
        let epoch = manifest.epoch;
        let file = manifest.encode().map_err(|source| Error::Protocol { epoch, source })?;
        let file = Bytes::from(file);
        let created = self.create(name, file.clone()).await?;
        if created == Created::Existed && self.read_file(name).await? != file {
            return Err(Error::NameTaken { object: name.to_string() });
        }
        Ok(created)
    }

    /// Whether everything that a root names is there and will stay. The root has been written.
    pub(crate) async fn check_kept(&self, manifest: &Manifest) -> Result<(), Error> {
        let epoch = manifest.epoch;
        let gone =
            |pack| Error::CollectedMeanwhile { epoch, object: paths::pack(pack).to_string() };
        let condemned = self.condemned().await?;
        let packs = manifest.packs();
        if let Some(pack) = packs.iter().find(|pack| condemned.packs.contains(&pack.digest)) {
            return Err(gone(pack.digest));
        }
        let packs = packs.into_iter().map(|pack| pack.digest);
        let looks = stream::iter(packs)
            .map(|pack| async move { Ok((pack, self.pack_length(pack).await?.is_some())) });
        let mut looks = looks.buffer_unordered(LOOKS_CONCURRENT_MAX);
        while let Some((pack, is_there)) = looks.try_next().await? {
            if !is_there {
                return Err(gone(pack));
            }
        }
        Ok(())
    }

    /// Whether this store itself has the pack.
    pub(crate) async fn has_own(&self, pack: Digest) -> Result<bool, Error> {
        self.has_object(&paths::pack(pack)).await
    }

    /// The length of a pack in this store or one of its origins; `None` if none has it.
    pub(crate) async fn pack_length(&self, pack: Digest) -> Result<Option<u64>, Error> {
        if let Some(length) = self.object_length(&paths::pack(pack)).await? {
            return Ok(Some(length));
        }
        for origin in self.opened_origins() {
            // Boxed because origins have origins.
            if let Some(length) = Box::pin(origin.store.pack_length(pack)).await? {
                return Ok(Some(length));
            }
        }
        Ok(None)
    }
}
