//! The state of all tasks when a job starts: empty, or as the checkpoint left it. Several tasks are restored at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::executor::block_on;
use statehouse_operator::{Description, Evolution};
use statehouse_state::{Backend, KeyGroups, TaskStates};
use tokio::runtime::Handle;

use super::{BackendFactory, BackendRequest};
use crate::error::JobError;
use crate::graph::{Graph, Node, NodeKind};
use crate::recovery::RestorePoint;
use crate::recovery::plans::{dropped, unclaimed_task_states};
use crate::swap::Warm;

/// The state of one task of an operator, as far as it declares any.
#[derive(Default)]
pub(super) struct TaskState {
    pub(super) backend: Option<Box<dyn Backend>>,
    pub(super) task_states: Option<TaskStates>,
    /// How the operator takes over what is in the backend.
    pub(super) evolution: Arc<Evolution>,
}

/// The state of all tasks by node and number.
type TaskStatesByPlace = BTreeMap<(usize, u32), TaskState>;

/// Where state comes from and goes to.
#[derive(Clone, Copy)]
pub(super) struct Restoring<'a> {
    pub(super) restore: Option<&'a RestorePoint>,
    pub(super) backends: &'a BackendFactory,
    pub(super) scratch: Option<&'a Path>,
    pub(super) warm: &'a Warm,
}

/// Makes the state of all tasks, up to `most` of them at once.
pub(super) fn restore_states(
    graph: &Graph,
    restoring: Restoring<'_>,
    most: usize,
) -> Result<TaskStatesByPlace, JobError> {
    let operators = graph.nodes.iter().enumerate().filter_map(|(index, node)| match &node.kind {
        NodeKind::Operator { factory, .. } => Some((index, node, factory)),
        _ => None,
    });
    let mut tasks = Vec::new();
    for (index, node, factory) in operators {
        let evolution = Arc::new(match restoring.restore {
            Some(restore) => restore.evolution(&node.id, &**factory)?,
            None => Evolution::unchanged(factory.description()),
        });
        let of_task = |task| {
            (
                index,
                task,
                Origin {
                    node,
                    description: factory.description(),
                    evolution: Arc::clone(&evolution),
                },
            )
        };
        tasks.extend((0..node.parallelism).map(of_task));
    }
    let restore = |(index, task, origin): &(usize, u32, Origin<'_>)| {
        let state = restoring.task(origin, origin.request(graph.key_groups, *task))?;
        Ok::<_, JobError>(((*index, *task), state))
    };
    Ok(each(&tasks, most, restore)?.into_iter().collect())
}

/// What the state of a task is made for.
struct Origin<'a> {
    node: &'a Node,
    description: &'a Description,
    evolution: Arc<Evolution>,
}

impl Origin<'_> {
    fn request(&self, key_groups: KeyGroups, task: u32) -> BackendRequest<'_> {
        BackendRequest {
            node: &self.node.id,
            task,
            description: self.description,
            states: &self.evolution.states,
            timers: &self.evolution.timers,
            key_groups,
            range: key_groups.range_of_task(task, self.node.parallelism),
        }
    }
}

impl Restoring<'_> {
    fn task(self, of: &Origin<'_>, request: BackendRequest<'_>) -> Result<TaskState, JobError> {
        let evolution = Arc::clone(&of.evolution);
        let mut state = TaskState { evolution, ..TaskState::default() };
        if !request.states.is_empty() || !request.timers.is_empty() {
            state.backend = Some(self.backend(request, &of.evolution)?);
        }
        if !of.description.task_states.is_empty() {
            state.task_states = Some(self.task_states(of.node, request)?);
        }
        Ok(state)
    }

    /// A backend, filled from the checkpoint.
    fn backend(
        self,
        request: BackendRequest<'_>,
        evolution: &Evolution,
    ) -> Result<Box<dyn Backend>, JobError> {
        let BackendRequest { node, task, range, states, timers, .. } = request;
        let failed = |error: statehouse_state::Error| JobError::Operator {
            node: node.to_owned(),
            reason: error.to_string(),
        };
        if let Some(mut backend) = self.warm.take_backend(node, task) {
            // The checkpoint has all that any task had still to take over; this one may have been done with some.
            if backend.declared() != (states, timers) {
                backend.evolve(states, timers).map_err(failed)?;
            }
            return Ok(backend);
        }
        let mut backend = (self.backends)(request).map_err(failed)?;
        if let Some(restore) = self.restore
            && let Some(before) = restore.operator(node)
        {
            block_on(restore.fill(before, range, &mut *backend, self.scratch))?;
            if dropped(evolution).next().is_some() {
                // What the checkpoint holds is more than what the backend has: it cannot be built on.
                backend.abandon_snapshot();
            }
        }
        Ok(backend)
    }

    /// The task states of one task, from those of all tasks at the checkpoint.
    fn task_states(self, node: &Node, request: BackendRequest<'_>) -> Result<TaskStates, JobError> {
        let declared = &request.description.task_states;
        let before = self.restore.and_then(|restore| Some((restore, restore.operator(&node.id)?)));
        let Some((restore, before)) = before else { return Ok(TaskStates::new(declared)) };
        let bytes = match self.warm.task_states(&node.id, node.parallelism) {
            Some(bytes) => bytes,
            None => block_on(restore.task_states(before))?,
        };
        let mut all = declared.clone();
        if restore.drop_unclaimed {
            all.extend(unclaimed_task_states(before, declared));
        }
        let mut states = TaskStates::restore(&all, &bytes, request.task, node.parallelism)
            .map_err(|source| restore.state_error(before, source))?;
        states.truncate(declared.len());
        Ok(states)
    }
}

/// Does the same with every item, on up to `most` threads, in the order of the items if `most` is 1. Ends early if
/// anything fails, with the error of the first item that failed.
fn each<T: Sync, R: Send, E: Send>(
    items: &[T],
    most: usize,
    act: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    if most <= 1 || items.len() <= 1 {
        return items.iter().map(act).collect();
    }
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done: Mutex<BTreeMap<usize, Result<R, E>>> = Mutex::default();
    let runtime = Handle::try_current().ok();
    let work = || {
        // Clients of remote stores find their runtime by the thread.
        let _entered = runtime.as_ref().map(Handle::enter);
        while !failed.load(Ordering::Acquire) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return };
            let result = act(item);
            failed.fetch_or(result.is_err(), Ordering::AcqRel);
            done.lock().unwrap_or_else(PoisonError::into_inner).insert(at, result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..most.min(items.len()) {
            scope.spawn(work);
        }
        work();
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_done_once_on_however_many_threads() {
        let items: Vec<u32> = (0..100).collect();
        for most in [0, 1, 3, 200] {
            let doubled = each(&items, most, |item| Ok::<_, ()>(item * 2)).unwrap();
            assert_eq!(doubled, (0..100).map(|item| item * 2).collect::<Vec<_>>());
        }
        let refuse = |item: &u32| if *item >= 7 { Err(*item) } else { Ok(()) };
        assert_eq!(each(&items, 1, refuse), Err(7));
        assert!(each(&items, 4, refuse).unwrap_err() >= 7);
    }
}
