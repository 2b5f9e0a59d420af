//! Generations: at any time at most one owner of a job can publish.
//!
//! An owner claims the next number by creating an object with that name, which exactly one
//! process can. Whoever holds a lower number is fenced: its publications fail, and it must stop.
//! No clock is involved; a claim never expires, it is only overtaken.

#[cfg(test)]
mod tests;

use futures::TryStreamExt;
use object_store::PutMode;

use crate::error::Error;
use crate::manifest::Generation;
use crate::paths;
use crate::store::CheckpointStore;

/// How many numbers a process tries to claim before it gives up.
const CLAIM_ATTEMPTS_MAX: u32 = 16;

/// The proof that this process claimed a generation. Needed to publish.
///
/// It does not expire, but it can be overtaken at any time: [`CheckpointStore::check_lease`].
#[derive(Debug)]
pub struct Lease {
    generation: Generation,
}

impl Lease {
    /// The number held.
    pub fn generation(&self) -> Generation {
        self.generation
    }
}

impl CheckpointStore {
    /// Claims the next generation. From now on every earlier owner is fenced.
    ///
    /// Claim first, then look for the newest checkpoint: in this order no checkpoint of an
    /// earlier owner can be overlooked without one of the two owners noticing.
    ///
    /// # Errors
    /// [`Error::ClaimContended`] if other processes take every number; failures of the store.
    pub async fn claim(&self) -> Result<Lease, Error> {
        for _ in 0..CLAIM_ATTEMPTS_MAX {
            let newest = self.newest_generation(None).await?.map_or(0, |generation| generation.0);
            let generation = Generation(newest.saturating_add(1));
            let name = paths::generation(generation);
            let content = format!("statehouse-generation {generation}\n");
            let created =
                self.objects().put_opts(&name, content.into(), PutMode::Create.into()).await;
            match created {
                Ok(_) => return Ok(Lease { generation }),
                Err(object_store::Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(Error::store("write", &name, error)),
            }
        }
        Err(Error::ClaimContended { attempts: CLAIM_ATTEMPTS_MAX })
    }

    /// Checks that no other owner has overtaken this one.
    ///
    /// # Errors
    /// [`Error::Fenced`] if one has; failures of the store.
    pub async fn check_lease(&self, lease: &Lease) -> Result<(), Error> {
        match self.newest_generation(Some(lease.generation)).await? {
            None => Ok(()),
            Some(newest) => Err(Error::Fenced { mine: lease.generation, newest }),
        }
    }

    /// The highest claimed generation, only of those above `above` if given.
    async fn newest_generation(
        &self,
        above: Option<Generation>,
    ) -> Result<Option<Generation>, Error> {
        let prefix = paths::generations();
        let names = match above {
            None => self.objects().list(Some(&prefix)),
            Some(above) => {
                self.objects().list_with_offset(Some(&prefix), &paths::generation(above))
            }
        };
        names
            .try_fold(None, |newest: Option<Generation>, object| async move {
                Ok(newest.max(paths::claimed_generation(&object.location)))
            })
            .await
            .map_err(|error| Error::store("list", &prefix, error))
    }
}
