//! What becomes of a job's checkpoints when it has ended.

use futures::executor::block_on;
use statehouse_checkpoint::{CheckpointStore, Collector, Error, Retention as Retained};

use crate::cli::print;
use crate::control::messages::EndStatus;
use crate::format;
use crate::job_file::{CheckpointTable, Retention};

/// Deletes the checkpoints, if that is what the job file says for this end. Savepoints stay, and what forks need.
pub(super) fn apply(table: &CheckpointTable, store: &CheckpointStore, status: EndStatus) {
    let retention = match status {
        EndStatus::Completed | EndStatus::Drained => table.retention_on_finish,
        EndStatus::Cancelled => table.retention_on_cancellation,
        EndStatus::Stopped | EndStatus::Failed => Retention::Retain,
    };
    if retention == Retention::Retain {
        return;
    }
    match delete_all(store) {
        Ok(0) => {}
        Ok(count) => {
            let count = format::counted(count as u64, "checkpoint");
            print::remark(format_args!("{count} deleted, as the job file says"));
        }
        Err(error) => tracing::warn!("the checkpoints could not be deleted: {}", error.chain()),
    }
}

/// As an owner of its own: the run that has ended kept its proof to itself. The next run starts from nothing.
fn delete_all(store: &CheckpointStore) -> Result<usize, Error> {
    let lease = block_on(store.claim())?;
    let mut collector = Collector::new(store.clone(), Retained { num_retained: 0 });
    let report = block_on(collector.collect(&lease))?;
    for blocked in &report.blocked {
        tracing::warn!("nothing is deleted: {}", blocked.chain());
    }
    Ok(report.manifests)
}
