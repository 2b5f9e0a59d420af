//! What is left in memory of a run that rolls back, for the next one in the same process to begin with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use statehouse_state::Backend;

use crate::graph::Graph;
use crate::handle::TaskEntry;
use crate::handle::desk::Desk;
use crate::task::Task;

/// A swap that is undone: the job is to be assembled again.
#[derive(Debug)]
pub struct Rollback {
    /// The checkpoint to go on from, which is pinned.
    pub to_epoch: u64,
    /// Why, in words.
    pub reason: String,
    /// The job as it was before the swap.
    pub graph: Graph,
    /// What is left in memory.
    pub warm: Warm,
}

/// State that need not be restored, because it was taken back in memory to where the checkpoint is; and what was asked
/// of the run before and not answered. By default there is nothing.
///
/// If it is dropped, all that was asked is refused.
#[derive(Default)]
pub struct Warm {
    /// By node and number. Locked when the tasks of the next run are made, several at once.
    tasks: Mutex<BTreeMap<(String, u32), WarmTask>>,
    /// What handles of the run before are connected with.
    pub(crate) desk: Option<Arc<Desk>>,
}

/// The state of one task at the checkpoint, as far as it could be taken back.
#[derive(Default)]
pub(crate) struct WarmTask {
    pub(crate) backend: Option<Box<dyn Backend>>,
    /// Its task states, encoded.
    pub(crate) task_states: Option<Vec<u8>>,
}

impl Warm {
    /// Takes the state of tasks back to the barrier of an epoch, on up to `most` threads. `entries` are theirs.
    pub(crate) fn revert(tasks: Vec<Task>, entries: &[TaskEntry], epoch: u64, most: usize) -> Self {
        let threads = most.clamp(1, tasks.len().max(1));
        let (left, done) = (Mutex::new(tasks), Mutex::new(BTreeMap::new()));
        let work = || {
            while let Some(task) = lock(&left).pop() {
                let (index, warm) = task.into_warm(epoch);
                let TaskEntry { node, task, .. } = &entries[index.0 as usize];
                lock(&done).insert((node.clone(), *task), warm);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        Self { tasks: done, desk: None }
    }

    /// How many tasks' keyed state need not be restored.
    pub fn backends(&self) -> usize {
        lock(&self.tasks).values().filter(|task| task.backend.is_some()).count()
    }

    /// Takes out the keyed state of a task.
    pub(crate) fn take_backend(&self, node: &str, task: u32) -> Option<Box<dyn Backend>> {
        lock(&self.tasks).get_mut(&(node.to_owned(), task))?.backend.take()
    }

    /// The task states of all tasks of a node, encoded, in the order of the tasks; nothing if some are missing.
    pub(crate) fn task_states(&self, node: &str, parallelism: u32) -> Option<Vec<bytes::Bytes>> {
        let tasks = lock(&self.tasks);
        let of_task = |task| tasks.get(&(node.to_owned(), task))?.task_states.clone();
        (0..parallelism).map(|task| of_task(task).map(bytes::Bytes::from)).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Warm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warm").field("backends", &self.backends()).finish_non_exhaustive()
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        if let Some(desk) = self.desk.take() {
            desk.close("the job has ended: it was not started again after a swap was rolled back");
        }
    }
}
