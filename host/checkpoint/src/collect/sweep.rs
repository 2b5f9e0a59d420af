//! Carrying a plan out: condemn, look at the roots again, delete.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt};
use object_store::path::Path;

use super::{CollectPlan, CollectReport, Collector, Condemned};
use crate::digest::Digest;
use crate::error::Error;
use crate::fence::Lease;
use crate::paths;
use crate::store::{Created, Origin};

/// How many packs one list condemns at most.
const CONDEMNED_PACKS_MAX: usize = 10_000;

/// How many objects are deleted between two checks of the lease.
const BATCH_MAX: usize = 500;

impl Collector {
    /// Deletes what the plan says, as far as it has not been pinned meanwhile.
    pub(super) async fn sweep(
        &mut self,
        lease: &Lease,
        plan: CollectPlan,
        report: &mut CollectReport,
    ) -> Result<(), Error> {
        let packs: Vec<Digest> = plan.packs.keys().copied().collect();
        let mut parts = packs.chunks(CONDEMNED_PACKS_MAX);
        // The first list has the manifests, even if there are no packs.
        let first = parts.next().unwrap_or_default();
        let mut manifests = plan.manifests.clone();
        for packs in std::iter::once(first).chain(parts) {
            let condemned = Condemned {
                manifests: std::mem::take(&mut manifests),
                packs: packs.iter().copied().collect(),
            };
            if !self.sweep_list(lease, condemned, report).await? {
                return Ok(());
            }
        }
        // All that they named is part of the plan, so it is gone or needed.
        for list in &plan.leftovers {
            self.store.delete(list).await?;
        }
        let mut gone = plan.disappeared;
        gone.extend(plan.manifests.into_iter().map(paths::manifest));
        self.known.forget(&gone);
        Ok(())
    }

    /// Condemns and deletes. Returns whether it could: not if a new root cannot be read.
    async fn sweep_list(
        &mut self,
        lease: &Lease,
        mut condemned: Condemned,
        report: &mut CollectReport,
    ) -> Result<bool, Error> {
        if condemned.manifests.is_empty() && condemned.packs.is_empty() {
            return Ok(true);
        }
        let list = self.write_list(lease, &condemned).await?;
        if !self.look_again(report).await? {
            self.store.delete(&list).await?;
            return Ok(false);
        }
        let before = condemned.packs.len();
        condemned.packs.retain(|pack| !self.known.names(*pack));
        report.spared += before - condemned.packs.len();
        let manifests = condemned.manifests.iter().map(|&name| paths::manifest(name));
        report.manifests += self.delete_all(lease, manifests.collect()).await?;
        let packs = condemned.packs.iter().map(|&pack| paths::pack(pack));
        report.packs += self.delete_all(lease, packs.collect()).await?;
        self.store.delete(&list).await?;
        Ok(true)
    }

    /// Reads the roots again that others make. Returns whether all can be read.
    async fn look_again(&mut self, report: &mut CollectReport) -> Result<bool, Error> {
        let store = self.store.clone();
        let roots = self.known.learn_roots(&store).await?;
        for root in &roots.names {
            self.known.keep_root(root);
        }
        let all = roots.unread.is_empty();
        report.blocked.extend(roots.unread);
        Ok(all)
    }

    /// Lets go of the origins whose packs no root needs any more, or that this store has by now. `started_from` is the
    /// pin of the one that a restart goes back to.
    pub(super) async fn release_origins(
        &mut self,
        lease: &Lease,
        started_from: Option<&str>,
        report: &mut CollectReport,
    ) -> Result<(), Error> {
        let store = self.store.clone();
        for Origin { record, store: other } in store.opened_origins() {
            if self.released.contains(&record.pin) || started_from == Some(&record.pin) {
                continue;
            }
            let pinned = match other.read_pin(&record.pin).await {
                Ok(manifest) => manifest.packs().into_iter().map(|pack| pack.digest).collect(),
                // It was released before, and the record was left.
                Err(Error::Missing { .. }) => BTreeSet::new(),
                Err(error) if error.is_damage() => {
                    tracing::warn!(error = error.chain(), "an origin is kept: its pin is damaged");
                    continue;
                }
                Err(error) => return Err(error),
            };
            if self.is_needed(&pinned).await? {
                continue;
            }
            // Whoever pins a checkpoint of this store that needs the origin sees the list, or is seen.
            let condemned = Condemned { manifests: BTreeSet::new(), packs: pinned };
            let list = self.write_list(lease, &condemned).await?;
            if self.look_again(report).await? && !self.is_needed(&condemned.packs).await? {
                store.check_lease(lease).await?;
                other.unpin(&record.pin).await?;
                store.forget_origin(&record.pin).await?;
                self.released.insert(record.pin.clone());
                report.released.push(record.clone());
            }
            store.delete(&list).await?;
        }
        Ok(())
    }

    /// Whether a root names one of the packs and this store does not have it.
    async fn is_needed(&self, packs: &BTreeSet<Digest>) -> Result<bool, Error> {
        for &pack in packs.iter().filter(|pack| self.known.names(**pack)) {
            if !self.store.has_own(pack).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes the list under a name that has not been used.
    async fn write_list(&mut self, lease: &Lease, condemned: &Condemned) -> Result<Path, Error> {
        loop {
            let name = paths::condemned(lease.generation(), self.sequence);
            self.sequence += 1;
            // One of an earlier collection, or of an attempt whose answer was lost, is taken up by the next.
            if self.store.create(&name, condemned.encode()).await? == Created::New {
                return Ok(name);
            }
        }
    }

    /// Deletes objects in batches, as long as the lease holds. That one is not there is success.
    async fn delete_all(&self, lease: &Lease, names: Vec<Path>) -> Result<usize, Error> {
        for batch in names.chunks(BATCH_MAX) {
            self.store.check_lease(lease).await?;
            let locations = stream::iter(batch.to_vec()).map(Ok).boxed();
            let mut deleted = self.store.objects.delete_stream(locations);
            while let Some(deleted) = deleted.next().await {
                match deleted {
                    Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(Error::store("delete", &batch[0], error)),
                }
            }
        }
        Ok(names.len())
    }
}
