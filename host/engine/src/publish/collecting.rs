//! Collection beside publication: neither waits for the other.
//!
//! A plan takes the newest checkpoint that it finds for the one that the next builds on. It may find one that is being
//! published. If that one is given up, the next builds on the one before, which the plan may delete. So a plan is
//! carried out only once everything is known to exist that was being published while it was made, and else there is a
//! new plan after the next checkpoint. What is published later builds on what the plan keeps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::FutureExt;
use futures::future::BoxFuture;
use statehouse_checkpoint::{CollectBegun, CollectReport, Collector, Error, Manifest, Retention};

use super::Checkpoints;

/// How many packs that nothing names are deleted before what expired meanwhile has its turn.
const ORPHANS_MAX: usize = 10_000;

/// The collector of a job, and what it is about.
pub(super) struct Collecting {
    checkpoints: Arc<Checkpoints>,
    retention: Retention,
    /// `None` while it works.
    collector: Option<Collector>,
    work: Option<BoxFuture<'static, (Collector, Result<Done, Error>)>>,
    /// A plan that waits for the publication that was under way when it was made.
    planned: Option<CollectBegun>,
    /// Whether a publication has failed since the plan was begun.
    in_doubt: bool,
    /// What has been published, and is still to be said to the collector, and whether anything was given up.
    published: VecDeque<Arc<Manifest>>,
    discarded: bool,
}

/// What the collector has come to.
enum Done {
    Planned(CollectBegun),
    Collected(CollectReport),
}

impl Collecting {
    pub(super) fn new(checkpoints: Arc<Checkpoints>, retention: Retention) -> Self {
        let collector = Collector::new(checkpoints.store.clone(), retention);
        Self {
            checkpoints,
            retention,
            collector: Some(collector),
            work: None,
            planned: None,
            in_doubt: false,
            published: VecDeque::new(),
            discarded: false,
        }
    }

    /// Whether there is nothing that it would come to the end of.
    pub(super) fn is_idle(&self) -> bool {
        self.work.is_none() && self.planned.is_none()
    }

    /// A checkpoint was published, and no other is being published.
    pub(super) fn published(&mut self, manifest: &Arc<Manifest>) {
        self.published.push_back(Arc::clone(manifest));
        // A collection may take long. The collector reads what it was not told of.
        if self.published.len() > self.retention.num_retained as usize + 1 {
            self.published.pop_front();
        }
        match self.planned.take() {
            Some(plan) => self.delete(plan),
            None => self.plan_if_due(),
        }
    }

    /// A checkpoint was given up: its tasks may have written packs.
    pub(super) fn discarded(&mut self) {
        self.discarded = true;
    }

    /// A checkpoint was given up while it was being published. Whether it exists is not known.
    pub(super) fn in_doubt(&mut self) {
        self.discarded();
        self.in_doubt = true;
        self.planned = None;
    }

    /// Works on; ready when the collector has come to an end, with what came of it. `publishing` says whether a
    /// checkpoint is being published.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        publishing: bool,
    ) -> Poll<Option<Result<CollectReport, Error>>> {
        while let Some(work) = &mut self.work {
            let (collector, done) = ready!(work.poll_unpin(context));
            (self.work, self.collector) = (None, Some(collector));
            match done {
                Ok(Done::Planned(_)) if self.in_doubt => return Poll::Ready(None),
                Ok(Done::Planned(plan)) if publishing => self.planned = Some(plan),
                Ok(Done::Planned(plan)) => self.delete(plan),
                Ok(Done::Collected(report)) => {
                    // What was published meanwhile has its turn, also if nothing more is published.
                    if !publishing && !self.published.is_empty() {
                        self.plan_if_due();
                    }
                    return Poll::Ready(Some(Ok(report)));
                }
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        Poll::Pending
    }

    fn plan_if_due(&mut self) {
        let Some(mut collector) = self.collector.take() else { return };
        for manifest in self.published.drain(..) {
            collector.published(&manifest);
        }
        if std::mem::take(&mut self.discarded) {
            collector.discarded();
        }
        if !collector.is_due() {
            self.collector = Some(collector);
            return;
        }
        self.in_doubt = false;
        let checkpoints = Arc::clone(&self.checkpoints);
        let plan = async move {
            let plan = collector.begin(&checkpoints.lease).await;
            (collector, plan.map(Done::Planned))
        };
        self.work = Some(plan.boxed());
    }

    fn delete(&mut self, plan: CollectBegun) {
        let Some(mut collector) = self.collector.take() else { return };
        let checkpoints = Arc::clone(&self.checkpoints);
        let delete = async move {
            let report = collector.finish(&checkpoints.lease, plan, ORPHANS_MAX).await;
            (collector, report.map(Done::Collected))
        };
        self.work = Some(delete.boxed());
    }
}

#[cfg(test)]
mod tests;
