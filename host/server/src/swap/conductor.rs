//! The conductor: takes swaps up, one at a time, and knows what became of them. Each runs on a thread of its own
//! (`stages.rs`), beside the job.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use futures::executor::block_on;
use statehouse_checkpoint::{CheckpointStore, Digest, HistoryEntry, HistoryWriter};
use statehouse_engine::Clock;

use super::components::Waiting;
use super::progress::Progress;
use super::stages;
use super::watch::Rules;
use crate::control::messages::{CreateSwap, SwapDecision, SwapStageName, SwapStatus};
use crate::job_components::JobComponents;
use crate::live_job::LiveJob;

/// How many swaps are remembered for who looks on.
const SWAPS_KEPT: usize = 100;

/// Takes swaps through their stages. Clones are the same.
#[derive(Clone)]
pub struct Conductor {
    shared: Arc<Shared>,
}

impl fmt::Debug for Conductor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conductor").field("swaps", &self.list().len()).finish_non_exhaustive()
    }
}

/// What all swaps of a job share.
pub(super) struct Shared {
    pub(super) components: JobComponents,
    pub(super) live: LiveJob,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) store: Option<CheckpointStore>,
    pub(super) waiting: Mutex<Waiting>,
    /// Of the run that is, or comes next.
    history: Mutex<Option<Arc<HistoryWriter>>>,
    swaps: Mutex<Vec<Arc<Progress>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    next: AtomicU64,
    /// Clients of remote stores need one wherever they are waited for.
    runtime: Option<tokio::runtime::Handle>,
    /// How many times the job has been put together again after a rollback, and where it went on the last time.
    resumed: Mutex<(u64, u64)>,
}

/// Why a swap was not taken up.
#[derive(Debug)]
pub enum NotAsked {
    /// What was asked for cannot be meant.
    Bad(String),
    /// Something else is in the way.
    Conflict(String),
}

impl Conductor {
    /// Nothing is under way yet. `store` comes with the history of the run that comes. If stores are remote, this is
    /// called in the runtime of their clients.
    pub fn new(
        components: JobComponents,
        live: LiveJob,
        clock: Arc<dyn Clock>,
        store: Option<(CheckpointStore, Arc<HistoryWriter>)>,
    ) -> Self {
        let (store, history) = store.unzip();
        let shared = Shared {
            components,
            live,
            clock,
            store,
            waiting: Mutex::default(),
            history: Mutex::new(history),
            swaps: Mutex::default(),
            threads: Mutex::default(),
            next: AtomicU64::new(1),
            runtime: tokio::runtime::Handle::try_current().ok(),
            resumed: Mutex::new((0, 0)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Takes a component in, for a swap that names it.
    pub fn take_component(&self, bytes: Bytes) -> Digest {
        lock(&self.shared.waiting).put(bytes)
    }

    /// Takes a swap up. It goes on by itself.
    ///
    /// # Errors
    /// If it cannot be meant, or another one is under way.
    pub fn ask(&self, request: CreateSwap, who: String) -> Result<SwapStatus, NotAsked> {
        let bad = |reason: String| Err(NotAsked::Bad(reason));
        if request.operators.is_empty() {
            return bad("name at least one operator, and what is to take its place".to_owned());
        }
        for (place, operator) in request.operators.iter().enumerate() {
            if request.operators[..place].iter().any(|other| other.id == operator.id) {
                return bad(format!("operator `{}` is named twice: name it once", operator.id));
            }
        }
        let rules = Rules::new(&request.watch).map_err(|error| NotAsked::Bad(error.to_string()))?;
        if let Some(name) = &request.savepoint {
            crate::control::check_name(name).map_err(NotAsked::Bad)?;
        }
        if self.shared.store.is_none() {
            let reason = "the job file has no `[checkpoint]` table, so there is no way back from a swap: give it one, \
                          and start the job again";
            return Err(NotAsked::Conflict(reason.to_owned()));
        }
        let mut swaps = lock(&self.shared.swaps);
        // Plans touch nothing, so they are made at any time.
        if !request.plan_only
            && let Some(other) = swaps.iter().find(|swap| swap.is_in_the_way())
        {
            let status = other.status();
            return Err(NotAsked::Conflict(format!(
                "swap {} of {} is under way ({}), and there is one at a time: wait for it, or end it by `--keep` or \
                 `--abort`",
                status.id,
                status.operators.join(", "),
                status.stage.name()
            )));
        }
        let number = self.shared.next.fetch_add(1, Ordering::AcqRel);
        let generation = self.shared.history().map_or(0, |history| history.generation().0);
        let id = format!("{generation}-{number}");
        let progress = Arc::new(Progress::new(id, &request, who, self.shared.clock.now()));
        if swaps.len() >= SWAPS_KEPT
            && let Some(oldest) = swaps.iter().position(|swap| swap.stage().is_over())
        {
            swaps.remove(oldest);
        }
        swaps.push(Arc::clone(&progress));
        drop(swaps);
        let status = progress.status();
        let (shared, id) = (Arc::clone(&self.shared), status.id.clone());
        let thread = std::thread::Builder::new().name("swap".to_owned()).spawn(move || {
            let _runtime = shared.runtime.as_ref().map(tokio::runtime::Handle::enter);
            // A bug of the host's must not leave a swap under way for ever.
            let ran = catch_unwind(AssertUnwindSafe(|| {
                stages::run(&shared, &progress, &request, &rules);
            }));
            if ran.is_err() && !progress.stage().is_over() {
                let reason = "the host broke an assumption of its own; its log says which";
                progress.note(|status| status.reason = Some(reason.to_owned()));
                progress.advance(SwapStageName::Refused, shared.clock.now());
            }
        });
        let thread = thread.map_err(|error| {
            lock(&self.shared.swaps).retain(|swap| swap.id() != id);
            NotAsked::Conflict(format!("no thread can be started for the swap: {error}; try again"))
        })?;
        let mut threads = lock(&self.shared.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(status)
    }

    /// All swaps that are remembered, oldest first.
    pub fn list(&self) -> Vec<SwapStatus> {
        lock(&self.shared.swaps).iter().map(|swap| swap.status()).collect()
    }

    /// How far one is.
    pub fn find(&self, id: &str) -> Option<SwapStatus> {
        let swaps = lock(&self.shared.swaps);
        swaps.iter().map(|swap| swap.status()).find(|status| status.id == id)
    }

    /// Ends a trial by the user's decision, or gives up what has not come to it.
    ///
    /// # Errors
    /// If it is over, or there is nothing to keep yet.
    pub fn decide(&self, id: &str, decision: SwapDecision) -> Option<Result<SwapStatus, String>> {
        use crate::control::messages::SwapStageName as Stage;
        let swaps = lock(&self.shared.swaps);
        let swap = swaps.iter().find(|swap| swap.id() == id)?;
        let stage = swap.stage();
        let refused = match (decision, stage) {
            (_, stage) if stage.is_over() => Some("it is over"),
            (_, Stage::RollingBack) => Some("it is being rolled back"),
            (_, Stage::Keeping) => Some("it is being kept"),
            (SwapDecision::Keep, Stage::Trial | Stage::Canary) => None,
            (SwapDecision::Keep, _) => Some("it is not on trial yet"),
            (SwapDecision::Abort, _) => None,
        };
        if let Some(why) = refused {
            let name = stage.name();
            return Some(Err(format!(
                "nothing can be decided about swap {id} now: {why} ({name})"
            )));
        }
        swap.decide(decision);
        Some(Ok(swap.status()))
    }

    /// The savepoint that a rollback under way goes back to.
    pub fn savepoint(&self) -> Option<String> {
        let swaps = lock(&self.shared.swaps);
        let under_way = swaps.iter().find(|swap| swap.is_in_the_way());
        under_way.and_then(|swap| swap.status().savepoint)
    }

    /// The job runs again, after a rollback to this epoch.
    pub fn resumed(&self, history: Arc<HistoryWriter>, epoch: u64) {
        *lock(&self.shared.history) = Some(history);
        let mut resumed = lock(&self.shared.resumed);
        *resumed = (resumed.0 + 1, epoch);
    }

    /// Waits for the threads of swaps. The job has ended, and the way to it says so.
    pub fn finish(&self) {
        for thread in std::mem::take(&mut *lock(&self.shared.threads)) {
            // If its thread broke, the job did not.
            let _ = thread.join();
        }
    }
}

impl Shared {
    pub(super) fn history(&self) -> Option<Arc<HistoryWriter>> {
        lock(&self.history).clone()
    }

    /// How many times the job was put together again, and where it went on the last time.
    pub(super) fn resumed(&self) -> (u64, u64) {
        *lock(&self.resumed)
    }

    /// Adds to the history. That it cannot be written is no reason to end a swap otherwise.
    pub(super) fn record(&self, entry: &HistoryEntry) {
        let Some(history) = self.history() else { return };
        if let Err(error) = block_on(history.record(entry)) {
            tracing::warn!("the history lacks an entry: {}", error.chain());
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
