//! A claimed savepoint: it goes when the run has a checkpoint of its own, which stands for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::executor::block_on;

use crate::launch::ClaimedSavepoint;
use crate::live_job::LiveJob;

/// Time between two looks whether there is a checkpoint.
const INTERVAL: Duration = Duration::from_millis(200);

/// Watches for the first checkpoint of a run that has claimed a savepoint.
#[derive(Debug)]
pub(super) struct Claim {
    waiting: Option<(ClaimedSavepoint, Arc<AtomicBool>)>,
    thread: Option<JoinHandle<()>>,
    over: Arc<AtomicBool>,
}

impl Claim {
    /// Starts to watch; without a claimed savepoint nothing runs.
    pub(super) fn watch(claimed: Option<ClaimedSavepoint>, job: LiveJob) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let Some(claimed) = claimed else { return Self { waiting: None, thread: None, over } };
        let done = Arc::new(AtomicBool::new(false));
        let waiting = Some((claimed.clone(), Arc::clone(&done)));
        let (seen, runtime) = (Arc::clone(&over), tokio::runtime::Handle::try_current().ok());
        let thread = std::thread::Builder::new().name("claim".to_owned()).spawn(move || {
            let _runtime = runtime.as_ref().map(tokio::runtime::Handle::enter);
            while !seen.load(Ordering::Acquire) {
                if job.checkpoint_count() > 0 {
                    delete(&claimed, &done);
                    return;
                }
                std::thread::park_timeout(INTERVAL);
            }
        });
        // Without the thread it is done at the end.
        Self { waiting, thread: thread.ok(), over }
    }

    /// Ends the watch; a savepoint that is still there and stood for by now is deleted.
    pub(super) fn finish(self, job: &LiveJob) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread {
            thread.thread().unpark();
            // Whatever went wrong there is tried again here.
            let _ = thread.join();
        }
        if let Some((claimed, done)) = &self.waiting
            && !done.load(Ordering::Acquire)
            && job.checkpoint_count() > 0
        {
            delete(claimed, done);
        }
    }
}

fn delete(ClaimedSavepoint { store, name }: &ClaimedSavepoint, done: &AtomicBool) {
    match block_on(store.delete_savepoint(name)) {
        Ok(()) => done.store(true, Ordering::Release),
        Err(error) => {
            let reason = error.chain();
            tracing::warn!(
                "the claimed savepoint `{name}` stays: {reason}; `statehouse savepoint delete` removes it"
            );
        }
    }
}
