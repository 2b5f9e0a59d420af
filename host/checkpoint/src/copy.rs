//! Copying a checkpoint to another store, where it becomes a savepoint. Only the packs that are missing there move.
//!
//! The checkpoint is pinned in both stores meanwhile: here, so that it is not collected while it is read; there, so
//! that the packs that have arrived are not taken for orphans. The savepoint is written last. A copy that was broken
//! off leaves the two pins; copying the same again takes them over and removes them.

#[cfg(test)]
mod tests;

use futures::stream::{self, StreamExt, TryStreamExt};

use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Manifest, PackRef};
use crate::paths;
use crate::store::{CheckpointStore, Created};

/// How many packs are copied at the same time; with the size of a pack the memory it needs.
const COPIES_CONCURRENT_MAX: usize = 4;

/// How often packs are copied again that disappeared while they were copied.
const COPIES_AGAIN_MAX: u32 = 3;

/// How many packs are looked for at the same time.
const LOOKS_CONCURRENT_MAX: usize = 32;

/// What a copy has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CopyReport {
    /// Packs that were copied.
    pub packs_copied: usize,
    /// Their bytes.
    pub bytes_copied: u64,
    /// Packs that were there already.
    pub packs_present: usize,
}

impl CheckpointStore {
    /// Copies a checkpoint of this store to another one, as a savepoint. It stands on its own there, whatever origins
    /// it needed here. Every pack is verified on its way. Doing the same again copies nothing.
    ///
    /// # Errors
    /// [`Error::NameTaken`] if the name stands for another checkpoint there, [`Error::Name`] if it cannot be one;
    /// [`Error::CollectedMeanwhile`] if either store is just deleting some of it; damage; failures of either store.
    pub async fn copy_savepoint(
        &self,
        manifest: &Manifest,
        to: &CheckpointStore,
        name: &str,
    ) -> Result<CopyReport, Error> {
        paths::savepoint(name)?;
        let epoch = manifest.epoch;
        let file = manifest.encode().map_err(|source| Error::Protocol { epoch, source })?;
        let digest = Digest::of(&file).to_string();
        let (leaving, arriving) =
            (format!("copy-{name}-{}", &digest[..16]), format!("arrival-{name}-{}", &digest[..16]));
        to.refuse_other_savepoint(name, manifest).await?;
        self.pin(&leaving, manifest).await?;
        let copied = self.copy_pinned(manifest, to, name, &arriving).await;
        // Also after a failure: what has arrived is then collected there, unless the copy is tried again before.
        to.unpin(&arriving).await?;
        self.unpin(&leaving).await?;
        copied
    }

    /// Whether the name is free there, or stands for this checkpoint already.
    async fn refuse_other_savepoint(&self, name: &str, manifest: &Manifest) -> Result<(), Error> {
        match self.read_savepoint(name).await {
            Err(Error::Missing { .. }) => Ok(()),
            Ok(found) if found == *manifest => Ok(()),
            Ok(_) => Err(Error::NameTaken { object: paths::savepoint(name)?.to_string() }),
            Err(error) => Err(error),
        }
    }

    async fn copy_pinned(
        &self,
        manifest: &Manifest,
        to: &CheckpointStore,
        name: &str,
        arriving: &str,
    ) -> Result<CopyReport, Error> {
        let pin = paths::pin(arriving)?;
        let _: Created = to.create_root(&pin, manifest).await?;
        let condemned = to.condemned().await?;
        let packs = manifest.packs();
        if let Some(pack) = packs.iter().find(|pack| condemned.packs.contains(&pack.digest)) {
            // Looked for only now that it is pinned there: until the deletion has ended, it may still disappear.
            let object = paths::pack(pack.digest).to_string();
            return Err(Error::CollectedMeanwhile { epoch: manifest.epoch, object });
        }
        let mut report = self.copy_missing(manifest, to).await?;
        self.copy_components(manifest, to).await?;
        let savepoint = paths::savepoint(name)?;
        let created = to.create_root(&savepoint, manifest).await?;
        // The names of what was copied are not new. A late deletion of an owner there that has been overtaken may have
        // hit what arrived under them.
        for _ in 0..COPIES_AGAIN_MAX {
            let again = self.copy_missing(manifest, to).await?;
            if again.packs_copied == 0 {
                return Ok(report);
            }
            report.bytes_copied += again.bytes_copied;
        }
        if created == Created::New {
            to.delete(&savepoint).await?;
        }
        Err(Error::CollectedMeanwhile { epoch: manifest.epoch, object: savepoint.to_string() })
    }

    /// Copies the packs that the other store does not have.
    async fn copy_missing(
        &self,
        manifest: &Manifest,
        to: &CheckpointStore,
    ) -> Result<CopyReport, Error> {
        let looks = stream::iter(manifest.packs())
            .map(|pack| async move { Ok((pack, to.holds(pack).await?)) });
        let looked: Vec<(PackRef, bool)> =
            looks.buffered(LOOKS_CONCURRENT_MAX).try_collect::<Vec<_>>().await?;
        let missing = looked.iter().filter(|(_, held)| !held).map(|(pack, _)| *pack);
        let missing: Vec<PackRef> = missing.collect();
        let report = CopyReport {
            packs_copied: missing.len(),
            bytes_copied: missing.iter().map(|pack| pack.length).sum(),
            packs_present: looked.len() - missing.len(),
        };
        stream::iter(missing)
            .map(Ok)
            .try_for_each_concurrent(COPIES_CONCURRENT_MAX, |pack| async move {
                to.put_pack(pack, self.read_pack(pack).await?).await
            })
            .await?;
        Ok(report)
    }

    /// Copies the components that the checkpoint names. Releases before those that keep components left none.
    async fn copy_components(&self, manifest: &Manifest, to: &Self) -> Result<(), Error> {
        for component in manifest.operators.iter().filter_map(|operator| operator.component) {
            match self.component(component).await {
                Ok(bytes) => _ = to.put_component(bytes).await?,
                Err(Error::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether this store itself has an object under the pack's name with the pack's length.
    async fn holds(&self, pack: PackRef) -> Result<bool, Error> {
        Ok(self.object_length(&paths::pack(pack.digest)).await? == Some(pack.length))
    }
}
