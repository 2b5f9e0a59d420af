//! Packs that nothing names: of checkpoints that were given up, and of owners that crashed.
//!
//! Found by listing all packs and subtracting what is named. What remains may also belong to a checkpoint that is being
//! made. The header of a pack tells: it has the generation and epoch of its writer. A pack of an earlier generation
//! will not be named any more, as that owner can no longer publish. Neither will one of the own generation whose
//! epoch is published or over. Packs of a higher generation come from other stores; a copy under way has pinned what
//! it brings. Packs of older releases have no header, and their writers had lower generations.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt};

use super::{CollectPlan, Collector};
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Epoch, Generation};
use crate::pack::{PACK_HEADER_BYTES, PackStamp};
use crate::paths;

/// How many headers are read at the same time.
const READS_CONCURRENT_MAX: usize = 16;

impl Collector {
    /// Adds to the plan the packs that nothing names and nobody will, `most` of them. `owner` is the generation of the
    /// owner that plans. Returns whether these are all.
    pub(super) async fn add_orphans(
        &self,
        plan: &mut CollectPlan,
        owner: Option<Generation>,
        most: usize,
    ) -> Result<bool, Error> {
        let own = &*self.store.own;
        let mut unnamed = packs_in(own).await?;
        unnamed.retain(|pack, _| !plan.kept.contains(pack) && !plan.packs.contains_key(pack));
        let newest = plan.newest_own;
        let mut stamps = stream::iter(unnamed)
            .map(|(pack, length)| async move {
                Ok((pack, length, read_stamp(own, pack, length).await?))
            })
            .buffer_unordered(READS_CONCURRENT_MAX);
        let mut found = 0;
        while let Some((pack, length, stamp)) = stamps.try_next().await? {
            if !may_be_in_flight(stamp, owner, newest) {
                if found == most {
                    return Ok(false);
                }
                plan.packs.insert(pack, length);
                found += 1;
            }
        }
        Ok(true)
    }
}

impl Collector {
    /// Removes packs from the local copy that this store does not have: others collected them. What is being uploaded
    /// for the next checkpoint stays.
    pub(super) async fn forget_stale_copies(
        &self,
        owner: Generation,
        newest: Option<Epoch>,
    ) -> Result<(), Error> {
        let Some(copy) = self.store.local_copy() else { return Ok(()) };
        let mut stale = packs_in(copy).await?;
        let there = packs_in(&*self.store.own).await?;
        stale.retain(|pack, _| !there.contains_key(pack));
        for (pack, length) in stale {
            let stamp = read_stamp(copy, pack, length).await?;
            if !may_be_in_flight(stamp, Some(owner), newest) {
                self.store.forget_copy(&paths::pack(pack)).await;
            }
        }
        Ok(())
    }
}

/// Whether a checkpoint that is being made may name a pack with this header.
fn may_be_in_flight(
    stamp: Option<PackStamp>,
    owner: Option<Generation>,
    newest: Option<Epoch>,
) -> bool {
    stamp.is_some_and(|stamp| {
        Some(stamp.generation) == owner && newest.is_none_or(|newest| stamp.epoch > newest)
    })
}

/// All packs with their lengths.
pub(crate) async fn packs_in(objects: &dyn ObjectStore) -> Result<BTreeMap<Digest, u64>, Error> {
    let prefix = paths::packs();
    objects
        .list(Some(&prefix))
        .try_filter_map(|object| async move {
            Ok(paths::pack_digest(&object.location).map(|pack| (pack, object.size)))
        })
        .try_collect()
        .await
        .map_err(|error| Error::store("list", &prefix, error))
}

/// The header of a pack; `None` if it has none.
async fn read_stamp(
    objects: &dyn ObjectStore,
    pack: Digest,
    length: u64,
) -> Result<Option<PackStamp>, Error> {
    if length < PACK_HEADER_BYTES {
        return Ok(None);
    }
    let name = paths::pack(pack);
    match objects.get_range(&name, 0..PACK_HEADER_BYTES).await {
        Ok(header) => Ok(PackStamp::read(&header)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(Error::store("read", &name, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packs_of_the_owner_that_are_newer_than_its_newest_checkpoint_may_be_in_flight() {
        let owner = Some(Generation(3));
        let stamp = |generation, epoch| {
            Some(PackStamp { generation: Generation(generation), epoch: Epoch(epoch), writer: 0 })
        };
        let newest = Some(Epoch(7));
        assert!(may_be_in_flight(stamp(3, 8), owner, newest));
        assert!(may_be_in_flight(stamp(3, 1), owner, None));
        for gone in [None, stamp(2, 8), stamp(3, 7), stamp(4, 8)] {
            assert!(!may_be_in_flight(gone, owner, newest), "{gone:?}");
        }
        assert!(!may_be_in_flight(stamp(1, 1), None, None));
    }
}
