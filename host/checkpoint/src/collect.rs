//! Collection: deleting what no checkpoint needs any more. Only by the holder of the current generation.
//!
//! A collection
//!
//! 1. plans: everything that a root names stays. Roots are the newest checkpoints ([`Retention`]), savepoints and pins.
//!    Older and void checkpoints go, and packs that only they name, and packs that nothing names (`orphans.rs`);
//! 2. writes the list of what it condemned (`condemned.rs`);
//! 3. reads savepoints and pins again, and spares what has been pinned meanwhile (`roots.rs` says why that suffices);
//! 4. checks its lease before each batch of deletions: manifests first, then packs;
//! 5. deletes the list, and those that interrupted collections left, which are part of the plan;
//! 6. lets go of origins whose packs no root needs any more.
//!
//! *Crash safety.* After a crash anywhere the list is there, or nothing has been deleted. What a list names counts as
//! absent for whoever restores or pins. The next collection plans anew and takes the list up.
//!
//! *Overtaken owners.* One that stalls before a batch and goes on after another owner has claimed finds that out before
//! the batch, or deletes a batch that the new owner, which read the list after its claim, counts as absent. Packs are
//! unlike those of any other owner, so such a deletion cannot hit what has been written since.
//!
//! Step 1 takes the newest checkpoint for the one that the next builds on. A publication of the same process that runs
//! meanwhile must have succeeded before step 2: if it is given up, and its checkpoint is there all the same, the next
//! one builds on one that the plan may delete ([`Collector::begin`]). From step 2 on publications run beside: they name
//! what the plan keeps, and packs that are newer than it. Tasks may write packs at any time. No clock takes part.

pub(crate) mod condemned;
mod known;
pub(crate) mod orphans;
mod plan;
mod sweep;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;

use crate::error::Error;
use crate::fence::Lease;
use crate::manifest::{Generation, Manifest};
use crate::paths;
use crate::roots::origins::OriginRecord;
use crate::store::CheckpointStore;

use condemned::Condemned;
use known::Known;
pub use plan::CollectPlan;

/// Which checkpoints are kept. Savepoints and what is pinned are kept in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The newest this many. With 0 all are deleted and the run is recorded as ended, so that the next one starts
    /// afresh: no checkpoint may be published after that.
    pub num_retained: u32,
}

/// What a collection has done.
#[derive(Debug, Default)]
pub struct CollectReport {
    /// Manifests deleted.
    pub manifests: usize,
    /// Packs deleted.
    pub packs: usize,
    /// Packs that were spared because they were pinned meanwhile.
    pub spared: usize,
    /// Origins that are no longer needed.
    pub released: Vec<OriginRecord>,
    /// What could not be read although it must be kept. If there is any, nothing is deleted: what it names is unknown.
    pub blocked: Vec<Error>,
}

/// The first half of a collection: [`Collector::begin`].
#[derive(Debug)]
pub struct CollectBegun(CollectPlan);

/// Collects the checkpoints of one store. It remembers what manifests name, so one that lives as long as its owner
/// reads each only once.
#[derive(Debug)]
pub struct Collector {
    store: CheckpointStore,
    retention: Retention,
    known: Known,
    /// Whether orphans have been looked for since the beginning of the run.
    is_swept: bool,
    /// The ids of the pins of origins that were let go of; their stores stay open.
    released: BTreeSet<String>,
    /// The number of the next list of condemned objects.
    sequence: u64,
}

impl Collector {
    /// A collector that knows nothing yet. Reads nothing.
    pub fn new(store: CheckpointStore, retention: Retention) -> Self {
        let (known, released) = (Known::default(), BTreeSet::new());
        Self { store, retention, known, is_swept: false, released, sequence: 0 }
    }

    /// Keeps another number of checkpoints from now on.
    pub fn set_retention(&mut self, retention: Retention) {
        self.retention = retention;
    }

    /// Says what a checkpoint names that its owner has just published, so that it need not be read.
    pub fn published(&mut self, manifest: &Manifest) {
        self.known.published(manifest);
    }

    /// Says that a checkpoint was given up whose tasks may have written packs: the next collection looks for them.
    pub fn discarded(&mut self) {
        self.is_swept = false;
    }

    /// Whether one of the published checkpoints is no longer kept, or nothing has been collected yet.
    pub fn is_due(&self) -> bool {
        !self.is_swept || self.known.checkpoints() > self.retention.num_retained as usize
    }

    /// What [`Collector::collect`] would delete. Reads only, and needs no lease; of a job that runs it may name packs
    /// of the checkpoint that is being made.
    ///
    /// # Errors
    /// Failures of the store; damage to a start record.
    pub async fn plan(&mut self) -> Result<CollectPlan, Error> {
        let newest = self.store.newest_claim().await?;
        let mut plan = self.plan_roots(newest).await?;
        if plan.blocked.is_empty() {
            self.add_orphans(&mut plan, newest, usize::MAX).await?;
        }
        Ok(plan)
    }

    /// Deletes what is no longer needed, while its owner publishes nothing.
    ///
    /// Before an owner has made a checkpoint of its own, it deletes nothing: what it started from may be kept by
    /// nothing but its start.
    ///
    /// # Errors
    /// [`Error::Fenced`]: another owner has the job; the caller must stop. Failures of the store: what is left is
    /// deleted by the next collection.
    pub async fn collect(&mut self, lease: &Lease) -> Result<CollectReport, Error> {
        let begun = self.begin(lease).await?;
        self.finish(lease, begun, usize::MAX).await
    }

    /// The first half of a collection: decides which checkpoints stay. What is made of it goes into
    /// [`Collector::finish`], unless a publication of the same owner that was under way meanwhile has not succeeded;
    /// then it must be dropped, and the next one begun after a publication that succeeds.
    ///
    /// # Errors
    /// As [`Collector::collect`].
    pub async fn begin(&mut self, lease: &Lease) -> Result<CollectBegun, Error> {
        self.store.check_lease(lease).await?;
        self.plan_roots(Some(lease.generation())).await.map(CollectBegun)
    }

    /// The second half: deletes. The owner may publish meanwhile. Of the packs that nothing names it deletes
    /// `orphans_max` at most, and then remains due.
    ///
    /// # Errors
    /// As [`Collector::collect`].
    pub async fn finish(
        &mut self,
        lease: &Lease,
        begun: CollectBegun,
        orphans_max: usize,
    ) -> Result<CollectReport, Error> {
        let CollectBegun(mut plan) = begun;
        let generation = lease.generation();
        let has_begun = lease.progress().is_some();
        if has_begun && plan.newest_own.is_none() && self.retention.num_retained > 0 {
            return Ok(CollectReport::default());
        }
        if !plan.blocked.is_empty() {
            return Ok(CollectReport { blocked: plan.blocked, ..CollectReport::default() });
        }
        let mut sweeps = !self.is_swept;
        if sweeps {
            sweeps = self.add_orphans(&mut plan, Some(generation), orphans_max).await?;
        }
        let mut report = CollectReport::default();
        let (started_from, newest_own) = (plan.started_from.take(), plan.newest_own);
        if !plan.is_empty() {
            self.sweep(lease, plan, &mut report).await?;
        }
        if sweeps {
            self.store.delete_earlier_starts(generation).await?;
            if let Err(error) = self.forget_stale_copies(generation, newest_own).await {
                tracing::warn!(error = error.chain(), "packs may be left in the local copy");
            }
            self.is_swept = true;
        }
        if self.retention.num_retained == 0 {
            self.store.check_lease(lease).await?;
            self.store.end_run(generation).await?;
        }
        self.release_origins(lease, started_from.as_deref(), &mut report).await?;
        Ok(report)
    }
}

impl CheckpointStore {
    /// Deletes start records that say nothing any more because a later owner has begun.
    async fn delete_earlier_starts(&self, generation: Generation) -> Result<(), Error> {
        let started = self.started().await?;
        if !started.contains(&generation) {
            return Ok(());
        }
        for earlier in started.into_iter().filter(|started| *started < generation) {
            self.delete(&paths::start(earlier)).await?;
        }
        Ok(())
    }
}
