//! The job that runs in this process. After a rollback it is another one of the same name: whoever looks on, stops it
//! or asks for something reaches the one that runs now.

use std::sync::Arc;

use statehouse_engine::{JobHandle, Stop};
use tokio::sync::watch;

/// The way to the job. Clones lead to the same one.
#[derive(Debug, Clone)]
pub struct LiveJob {
    now: Arc<watch::Sender<Now>>,
}

#[derive(Debug, Default)]
struct Now {
    /// The one that runs, or ran last; none while state is being restored for the first time.
    handle: Option<JobHandle>,
    /// How the job is to end, if anyone asked for it.
    stop: Option<Stop>,
    /// No other one will run.
    is_over: bool,
}

impl Default for LiveJob {
    fn default() -> Self {
        Self { now: Arc::new(watch::Sender::new(Now::default())) }
    }
}

impl LiveJob {
    /// A job that runs already.
    pub fn running(handle: JobHandle) -> Self {
        let live = Self::default();
        live.start(handle);
        live
    }

    /// Another one runs from now on. It ends at once if that was asked for.
    pub fn start(&self, handle: JobHandle) {
        self.now.send_modify(|now| {
            if let Some(stop) = now.stop {
                handle.stop(stop);
            }
            now.handle = Some(handle);
        });
    }

    /// No other one comes.
    pub fn end(&self) {
        self.now.send_modify(|now| now.is_over = true);
    }

    /// The one that runs now, or ran last.
    pub fn handle(&self) -> Option<JobHandle> {
        self.now.borrow().handle.clone()
    }

    /// Whether no other one comes.
    pub fn is_over(&self) -> bool {
        self.now.borrow().is_over
    }

    /// Whether the job was asked to end.
    pub fn is_ending(&self) -> bool {
        self.now.borrow().stop.is_some()
    }

    /// Waits until one runs; `None` if the job ends before.
    pub async fn wait(&self) -> Option<JobHandle> {
        let mut now = self.now.subscribe();
        let there = now.wait_for(|now| now.handle.is_some() || now.is_over).await.ok()?;
        there.handle.clone()
    }

    /// Asks the job to end: the one that runs, or else the next. Asked twice, the more urgent one counts.
    pub fn stop(&self, stop: Stop) {
        self.now.send_modify(|now| {
            now.stop = now.stop.max(Some(stop));
            if let Some(handle) = &now.handle {
                handle.stop(stop);
            }
        });
    }

    /// Says that the one that runs was asked to end by other means. One that takes its place meanwhile ends, too.
    pub fn expect_end(&self, stop: Stop) {
        self.now.send_modify(|now| now.stop = now.stop.max(Some(stop)));
    }

    /// How many checkpoints the job has published in this process.
    pub fn checkpoint_count(&self) -> u64 {
        self.handle().map_or(0, |handle| handle.checkpoint_count())
    }
}
