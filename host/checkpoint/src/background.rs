//! Work beside the caller: on the runtime's threads if there is a runtime, by the caller itself if there is none.
//!
//! Without a runtime, as in the simulation, everything happens in the order in which it is asked for.

use std::panic::resume_unwind;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Does work that takes a processor's time, or that blocks, without keeping other futures from their progress.
pub(crate) async fn unblock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match Handle::try_current() {
        Ok(runtime) => joined(runtime.spawn_blocking(work)).await,
        Err(_) => work(),
    }
}

async fn joined<T>(handle: JoinHandle<T>) -> T {
    // Nobody else can cancel it, so what is left is that it panicked.
    handle.await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}

/// A future that is under way. Dropping it ends it at its next step.
pub(crate) enum Background<T> {
    /// On the runtime.
    Running(Running<T>),
    /// There is no runtime: it is run when its result is asked for.
    Waiting(BoxFuture<'static, T>),
}

impl<T: Send + 'static> Background<T> {
    pub(crate) fn start(future: impl Future<Output = T> + Send + 'static) -> Self {
        match Handle::try_current() {
            Ok(runtime) => Self::Running(Running(runtime.spawn(future))),
            Err(_) => Self::Waiting(future.boxed()),
        }
    }

    /// Its result. If it panicked, so does the caller.
    pub(crate) async fn finish(self) -> T {
        match self {
            Self::Running(mut running) => {
                (&mut running.0).await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
            }
            Self::Waiting(future) => future.await,
        }
    }
}

pub(crate) struct Running<T>(JoinHandle<T>);

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
