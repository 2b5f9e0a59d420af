//! What a publisher does: it takes orders, uploads, publishes, collects, and tells the driver what came of it.
//!
//! Uploads, publications and collections go on beside each other.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use futures::FutureExt;
use futures::future::BoxFuture;
use statehouse_checkpoint::{CollectReport, Epoch, Error, Manifest, PackSettings, Retention};

use super::assembly::{Assembly, Place};
use super::collecting::Collecting;
use super::line::{Order, Outcome, PublisherLine};
use super::under_way::{Parts, UnderWay};
use super::upload::Target;
use super::{CheckpointRecord, Checkpoints};
use crate::clock::Clock;

/// What a publisher works with.
pub(crate) struct Service {
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) assembly: Assembly,
    pub(crate) settings: PackSettings,
    pub(crate) line: PublisherLine,
    pub(crate) clock: Arc<dyn Clock>,
    /// The newest checkpoint, which the next one continues.
    pub(crate) previous: Option<Arc<Manifest>>,
    pub(crate) retention: Retention,
}

/// What is being done.
struct Work {
    /// Checkpoints whose parts come in, oldest first.
    under_way: VecDeque<UnderWay>,
    /// The one whose manifest is being published: its parts are there.
    publication: Option<Publication>,
    /// Deletes what expired.
    collecting: Collecting,
    /// A checkpoint that could not be published. Those after it build on it, and wait until they are given up too.
    failed: Option<u64>,
    /// The driver has hung up.
    closing: bool,
}

struct Publication {
    epoch: u64,
    manifest: Arc<Manifest>,
    publishing: BoxFuture<'static, Result<Published, Error>>,
}

/// What a publication came to.
struct Published {
    manifest: Manifest,
    record: CheckpointRecord,
    savepoints: Vec<(String, Result<(), String>)>,
}

/// What happened next.
enum Turn {
    GivenUp {
        through: u64,
    },
    Order(Order),
    HungUp,
    Uploaded,
    Published(Result<Published, Error>),
    /// A collection has ended, or a plan was dropped.
    Collected(Option<Result<CollectReport, Error>>),
    DriverGone,
}

impl Work {
    fn new(collecting: Collecting) -> Self {
        Self {
            under_way: VecDeque::new(),
            publication: None,
            collecting,
            failed: None,
            closing: false,
        }
    }

    /// Gives up what does not exist yet, up to this epoch.
    fn give_up(&mut self, through: u64) {
        self.under_way.retain(|checkpoint| checkpoint.epoch > through);
        self.failed.take_if(|failed| *failed <= through);
        match self.publication.take_if(|publication| publication.epoch <= through) {
            Some(_) => self.collecting.in_doubt(),
            None => self.collecting.discarded(),
        }
    }

    /// Whether there are no more orders, and all that can be done is done.
    fn is_over(&self) -> bool {
        let idle = self.publication.is_none() && self.under_way.is_empty();
        self.closing && (idle || self.failed.is_some()) && self.collecting.is_idle()
    }
}

impl Service {
    /// Takes orders until there are no more.
    pub(super) async fn serve(mut self) {
        let checkpoints = Arc::clone(&self.checkpoints);
        let mut work = Work::new(Collecting::new(checkpoints, self.retention));
        loop {
            self.begin(&mut work);
            if work.is_over() {
                return;
            }
            match self.next(&mut work).await {
                Turn::DriverGone => return,
                Turn::HungUp => work.closing = true,
                Turn::Uploaded => {}
                Turn::Order(order) => self.take(order, &mut work),
                Turn::GivenUp { through } => work.give_up(through),
                Turn::Published(result) => {
                    let epoch = work.publication.take().map(|publication| publication.epoch);
                    match result {
                        Ok(published) => self.published(published, &mut work),
                        Err(error) => {
                            work.failed = epoch;
                            work.collecting.in_doubt();
                            self.tell_failure(epoch.unwrap_or_default(), &error);
                        }
                    }
                }
                Turn::Collected(None) => {}
                Turn::Collected(Some(result)) => self.collected(result),
            }
        }
    }

    /// Waits for whatever comes first. What was given up comes before all else.
    async fn next(&mut self, work: &mut Work) -> Turn {
        let PublisherLine { orders, given_up, .. } = &mut self.line;
        let Work { under_way, publication, collecting, closing, .. } = work;
        let publishing = publication.is_some();
        let published = poll_fn(|context| match publication {
            Some(publication) => publication.publishing.poll_unpin(context),
            None => Poll::Pending,
        });
        let collected = poll_fn(|context| collecting.poll(context, publishing));
        let uploaded = poll_fn(|context| UnderWay::poll_uploads(under_way, context));
        tokio::select! {
            biased;
            changed = given_up.changed() => match changed {
                Ok(()) => Turn::GivenUp { through: *given_up.borrow_and_update() },
                Err(_) => Turn::DriverGone,
            },
            result = published => Turn::Published(result),
            result = collected => Turn::Collected(result),
            () = uploaded => Turn::Uploaded,
            order = orders.recv(), if !*closing => order.map_or(Turn::HungUp, Turn::Order),
        }
    }

    fn take(&self, order: Order, work: &mut Work) {
        if order.epoch() <= *self.line.given_up.borrow() {
            return;
        }
        if let Order::Begin { epoch, triggered_ms } = order {
            work.under_way.push_back(UnderWay::new(epoch, triggered_ms));
            return;
        }
        let epoch = order.epoch();
        let mut under_way = work.under_way.iter_mut();
        let Some(checkpoint) = under_way.find(|checkpoint| checkpoint.epoch == epoch) else {
            return;
        };
        match order {
            Order::Begin { .. } => {}
            Order::Part { place, part, .. } => checkpoint.part(self.target(epoch, place), part),
            Order::Acknowledged { place, snapshot, .. } => {
                checkpoint.acknowledged(self.target(epoch, place), snapshot);
            }
            Order::Publish { savepoints, .. } => checkpoint.complete(savepoints),
        }
    }

    fn target(&self, epoch: u64, place: Place) -> Target {
        Target {
            store: self.checkpoints.store.clone(),
            settings: self.settings,
            stamp: self.assembly.stamp(Epoch(epoch), place),
            node: self.assembly.node_id(place).to_owned(),
            place,
        }
    }

    /// Begins what can begin: uploads that waited for the checkpoint before, and the next publication.
    fn begin(&self, work: &mut Work) {
        if work.failed.is_some() {
            return;
        }
        if work.publication.is_none()
            && let Some(parts) = UnderWay::take_ready(&mut work.under_way)
        {
            let epoch = parts.epoch;
            match self.publication(parts) {
                Ok(publication) => work.publication = Some(publication),
                Err(error) => {
                    work.failed = Some(epoch);
                    work.collecting.discarded();
                    self.tell_failure(epoch, &error);
                    return;
                }
            }
        }
        if let Some(oldest) = work.under_way.front_mut() {
            let base = work.publication.as_ref().map(|publication| &publication.manifest);
            let epoch = oldest.epoch;
            oldest.release(base.or(self.previous.as_ref()), |place| self.target(epoch, place));
        }
    }

    fn publication(&self, parts: Parts) -> Result<Publication, Error> {
        let Parts { epoch, triggered_ms, savepoints, uploaded } = parts;
        let previous = self.previous.as_deref();
        let manifest = self.assembly.manifest(Epoch(epoch), previous, uploaded?)?;
        let publishing = publish(
            Arc::clone(&self.checkpoints),
            manifest.clone(),
            self.settings,
            (triggered_ms, Arc::clone(&self.clock)),
            savepoints,
        );
        Ok(Publication { epoch, manifest: Arc::new(manifest), publishing: publishing.boxed() })
    }

    fn published(&mut self, published: Published, work: &mut Work) {
        let Published { manifest, record, savepoints } = published;
        self.line.tell(Outcome::Published { record, savepoints });
        let manifest = Arc::new(manifest);
        work.collecting.published(&manifest);
        self.previous = Some(manifest);
    }

    fn collected(&self, result: Result<CollectReport, Error>) {
        match result {
            Ok(report) => {
                let CollectReport { manifests, packs, .. } = report;
                tracing::debug!(manifests, packs, "collected what no checkpoint needs any more");
                for error in report.blocked {
                    tracing::warn!("nothing is collected: {}", error.chain());
                }
            }
            Err(error) if error.is_fenced() => {
                self.line.tell(Outcome::Fenced { reason: error.chain() });
            }
            // Nothing is lost: the next collection begins anew.
            Err(error) => tracing::warn!("a collection failed: {}", error.chain()),
        }
    }

    fn tell_failure(&self, epoch: u64, error: &Error) {
        // Whoever fenced this process goes on with the job.
        self.line.tell(match error.is_fenced() {
            true => Outcome::Fenced { reason: error.chain() },
            false => {
                let reason = format!("checkpoint {epoch} cannot be published: {}", error.chain());
                Outcome::Failed { epoch, reason }
            }
        });
    }
}

/// Publishes a manifest whose packs are there, and pins it under the names of its savepoints.
async fn publish(
    checkpoints: Arc<Checkpoints>,
    mut manifest: Manifest,
    settings: PackSettings,
    (triggered_ms, clock): (i64, Arc<dyn Clock>),
    savepoints: Vec<String>,
) -> Result<Published, Error> {
    let Checkpoints { store, lease } = &*checkpoints;
    let (packs, bytes) = store.spill_inline(&mut manifest, settings).await?;
    manifest.statistics.packs += packs;
    manifest.statistics.pack_bytes += bytes;
    manifest.created_ms = clock.now();
    let duration_ms = u64::try_from(manifest.created_ms - triggered_ms).unwrap_or(0);
    manifest.statistics.duration_ms = duration_ms;
    store.publish(&manifest, lease).await?;
    let record = CheckpointRecord {
        epoch: manifest.epoch.0,
        triggered_ms,
        duration_ms,
        written_bytes: manifest.statistics.pack_bytes,
        state_bytes: manifest.state_bytes(),
    };
    let mut pinned = Vec::with_capacity(savepoints.len());
    for name in savepoints {
        let result = store.pin_savepoint(&name, &manifest).await;
        pinned.push((name, result.map_err(|error| error.chain())));
    }
    Ok(Published { manifest, record, savepoints: pinned })
}
