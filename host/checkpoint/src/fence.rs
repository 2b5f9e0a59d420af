//! Generations: at any time at most one owner of a job can publish.
//!
//! An owner claims the next number by creating an object with that name, which exactly one
//! process can. Whoever holds a lower number is fenced: its publications fail, and it must stop.
//! No clock is involved; a claim never expires, it is only overtaken.
//!
//! *Stores without conditional writes.* Some stores take a write under a condition and ignore the condition. Before it
//! claims, an owner finds out by creating one object twice. In such a store each process writes a name of its own for
//! the number and then looks: if any other process is at that number too, it goes on to the next. The one that looked
//! before the other wrote keeps the number, so no two keep the same one, as long as the store lists what was written.

pub(crate) mod start;
#[cfg(test)]
mod tests;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, PoisonError};

use futures::TryStreamExt;
use object_store::path::Path;

use crate::error::Error;
use crate::manifest::{Epoch, Generation};
use crate::paths;
use crate::store::{CheckpointStore, Created};

/// How many numbers a process tries to claim before it gives up.
const CLAIM_ATTEMPTS_MAX: u32 = 16;

/// The proof that this process claimed a generation. Needed to publish.
///
/// It does not expire, but it can be overtaken at any time: [`CheckpointStore::check_lease`].
#[derive(Debug)]
pub struct Lease {
    generation: Generation,
    progress: Mutex<Option<Progress>>,
}

/// Which epochs the owner of a lease may still publish.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    /// Its epochs are higher than this one.
    pub above: Epoch,
    /// The highest that it has published.
    pub published: Option<Epoch>,
}

impl Lease {
    fn new(generation: Generation) -> Self {
        Self { generation, progress: Mutex::new(None) }
    }

    /// The number held.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// What is known about the epochs that it may publish; nothing before its run has begun.
    pub(crate) fn progress(&self) -> Option<Progress> {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_progress(&self, progress: Progress) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }
}

/// Tells processes apart and nothing else, so it need not be reproducible.
fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl CheckpointStore {
    /// Claims the next generation. From now on every earlier owner is fenced.
    ///
    /// Claim first, then look for the newest checkpoint, then [`CheckpointStore::begin_run`]: in this order no
    /// checkpoint of an earlier owner is overlooked that its owner believes to have published.
    ///
    /// # Errors
    /// [`Error::ClaimContended`] if other processes take every number; failures of the store.
    pub async fn claim(&self) -> Result<Lease, Error> {
        let honoured = self.honours_conditions().await?;
        for attempt in 0..CLAIM_ATTEMPTS_MAX {
            let newest = self.newest_generation(None).await?.map_or(0, |generation| generation.0);
            let next = newest.saturating_add(1);
            let (generation, claimed) = match honoured {
                true => (Generation(next), self.claim_by_name(Generation(next)).await?),
                false => {
                    // Those who gave up the same number would meet again and again if they all took the next one.
                    let apart = chance() % (1 << attempt);
                    let generation = Generation(next.saturating_add(apart));
                    (generation, self.claim_by_looking(generation).await?)
                }
            };
            if claimed {
                return Ok(Lease::new(generation));
            }
        }
        Err(Error::ClaimContended { attempts: CLAIM_ATTEMPTS_MAX })
    }

    /// Whether this process created the generation's object.
    async fn claim_by_name(&self, generation: Generation) -> Result<bool, Error> {
        let created = self.create(&paths::generation(generation), claim_of(generation)).await?;
        Ok(created == Created::New)
    }

    /// Whether no other process is at the generation after this one has written its own object.
    async fn claim_by_looking(&self, generation: Generation) -> Result<bool, Error> {
        let own = paths::contested_generation(generation, chance());
        self.put(&own, claim_of(generation)).await?;
        let names = self.claims(None).await?;
        let other = |name: &Path| {
            *name != own && paths::claimed_generation(name).is_some_and(|found| found >= generation)
        };
        Ok(!names.iter().any(other))
    }

    /// Checks that no other owner has overtaken this one.
    ///
    /// # Errors
    /// [`Error::Fenced`] if one has; failures of the store.
    pub async fn check_lease(&self, lease: &Lease) -> Result<(), Error> {
        self.check_generation(lease.generation).await
    }

    /// The same for the number alone.
    pub(crate) async fn check_generation(&self, mine: Generation) -> Result<(), Error> {
        match self.newest_generation(Some(mine)).await? {
            Some(newest) if newest > mine => Err(Error::Fenced { mine, newest }),
            _ => Ok(()),
        }
    }

    /// The highest claimed generation.
    pub(crate) async fn newest_claim(&self) -> Result<Option<Generation>, Error> {
        self.newest_generation(None).await
    }

    /// The highest claimed generation; if `above` is given, lower ones may be passed over.
    async fn newest_generation(
        &self,
        above: Option<Generation>,
    ) -> Result<Option<Generation>, Error> {
        Ok(self.claims(above).await?.iter().filter_map(paths::claimed_generation).max())
    }

    /// The names of claims.
    async fn claims(&self, above: Option<Generation>) -> Result<Vec<Path>, Error> {
        let prefix = paths::generations();
        let names = match above {
            None => self.objects.list(Some(&prefix)),
            Some(above) => self.objects.list_with_offset(Some(&prefix), &paths::generation(above)),
        };
        names
            .map_ok(|object| object.location)
            .try_collect()
            .await
            .map_err(|error| Error::store("list", &prefix, error))
    }
}

fn claim_of(generation: Generation) -> bytes::Bytes {
    format!("statehouse-generation {generation}\n").into()
}
