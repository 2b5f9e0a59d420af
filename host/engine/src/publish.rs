//! Publishing checkpoints: what the tasks hand over becomes packs, then a manifest.
//!
//! One publisher serves a job, beside the driver: in a tokio runtime in production, step by step in a simulation. Parts
//! of a checkpoint are uploaded as they come, and those of the next one while a manifest is being published. Manifests
//! are published in order; what expired is collected beside that.

use std::fmt;
use std::task::{Context, Waker};

use futures::FutureExt;
use futures::future::BoxFuture;
use statehouse_checkpoint::{CheckpointStore, Lease};

use self::service::Service;

pub(crate) mod assembly;
mod collecting;
pub(crate) mod line;
pub(crate) mod service;
mod under_way;
mod upload;

pub use self::assembly::KEY_HASH;

/// Where a job's checkpoints go.
#[derive(Debug)]
pub struct Checkpoints {
    /// The store; it belongs to this job alone.
    pub store: CheckpointStore,
    /// The proof that this process owns the job.
    pub lease: Lease,
}

/// One checkpoint that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointRecord {
    /// The epoch that it ended.
    pub epoch: u64,
    /// When it was triggered, in milliseconds since 1970-01-01T00:00:00Z.
    pub triggered_ms: i64,
    /// From the trigger to the manifest.
    pub duration_ms: u64,
    /// Bytes written for it, without the manifest.
    pub written_bytes: u64,
    /// Bytes of state that it stands for.
    pub state_bytes: u64,
}

/// The publisher of a job, ready to run beside the driver. It ends when the driver is gone, or has hung up and all is
/// done.
pub struct Publisher {
    serving: BoxFuture<'static, ()>,
    over: bool,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("over", &self.over).finish_non_exhaustive()
    }
}

impl Publisher {
    pub(crate) fn new(service: Service) -> Self {
        Self { serving: service.serve().boxed(), over: false }
    }

    /// Does what can be done at once. For simulations, whose stores answer at once: there is nothing that would have
    /// to wake it.
    pub fn step(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        self.over = self.over || self.serving.as_mut().poll(&mut context).is_ready();
    }

    /// Works until the end.
    pub(crate) async fn run(self) {
        if !self.over {
            self.serving.await;
        }
    }
}
