//! What becomes of a job's checkpoints when it has ended.

use futures::executor::block_on;
use statehouse_checkpoint::{CheckpointStore, Collector, Error, Retention as Retained};

use crate::cli::print;
use crate::control::messages::EndStatus;
use crate::format;
use crate::job_file::{CheckpointTable, Retention};

/// Deletes the checkpoints, if that is what the job file says for this end. Savepoints stay, and what forks need. If a
/// savepoint was missed, everything does: the checkpoints are all that its user has.
pub(super) fn apply(
    table: &CheckpointTable,
    store: &CheckpointStore,
    status: EndStatus,
    missed: Option<&str>,
) {
    let retention = match status {
        EndStatus::Completed | EndStatus::Drained => table.retention_on_finish,
        EndStatus::Cancelled => table.retention_on_cancellation,
        EndStatus::Stopped | EndStatus::Failed => Retention::Retain,
    };
    if retention == Retention::Retain {
        return;
    }
    if let Some(name) = missed {
        print::remark(format_args!(
            "the checkpoints stay, since savepoint `{name}` was not made: make it with `statehouse savepoint create`, \
             or delete the place where they are"
        ));
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
