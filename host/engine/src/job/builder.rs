//! What the tasks of a job do: sources, operators over their state, sinks, each as the checkpoint left it.

use std::collections::BTreeMap;
use std::path::Path;

use futures::executor::block_on;
use serde_json::Value;
use statehouse_operator::{Invoker, Port};
use statehouse_state::{Backend, TaskStates};

use super::{BackendFactory, BackendRequest};
use crate::connector::{ConnectorError, SinkFactory};
use crate::element::TaskIndex;
use crate::error::JobError;
use crate::graph::{Exchange, Graph, Node, NodeKind, Output, dead_letter_port};
use crate::recovery::RestorePoint;
use crate::task::{Body, Gate, OperatorBody, SinkBody, SourceBody};
use crate::watermark::Generator;

/// The state of one task of an operator, as far as it declares any.
#[derive(Default)]
struct Filled {
    backend: Option<Box<dyn Backend>>,
    task_states: Option<TaskStates>,
}

/// Makes what tasks do.
pub(super) struct Builder<'a> {
    graph: &'a Graph,
    restore: Option<&'a RestorePoint>,
    filled: BTreeMap<(usize, u32), Filled>,
    seed: u64,
}

impl<'a> Builder<'a> {
    /// Restores all state, and then recovers the sinks: what cannot be read is found before anything outside of this
    /// process is touched.
    pub(super) fn new(
        graph: &'a Graph,
        restore: Option<&'a RestorePoint>,
        backends: &BackendFactory,
        scratch: Option<&Path>,
        seed: u64,
    ) -> Result<Self, JobError> {
        let mut filled = BTreeMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            let NodeKind::Operator { factory, .. } = &node.kind else { continue };
            let description = factory.description();
            for task in 0..node.parallelism {
                let request = BackendRequest {
                    node: &node.id,
                    task,
                    description,
                    key_groups: graph.key_groups,
                    range: graph.key_groups.range_of_task(task, node.parallelism),
                };
                let mut state = Filled::default();
                if !description.states.is_empty() || !description.timers.is_empty() {
                    state.backend = Some(fill(restore, backends, scratch, request)?);
                }
                if !description.task_states.is_empty() {
                    state.task_states = Some(task_states(restore, node, request)?);
                }
                filled.insert((index, task), state);
            }
        }
        recover_sinks(graph, restore)?;
        Ok(Self { graph, restore, filled, seed })
    }

    pub(super) fn body(
        &mut self,
        node: &Node,
        task: u32,
        index: TaskIndex,
        gate: Gate,
        node_index: usize,
    ) -> Result<Body, JobError> {
        let connector = |source| JobError::Connector { node: node.id.clone(), source };
        let watermarks =
            node.watermark_lag.map(|lag| Generator::new(lag, self.watermark(node, task)));
        match &node.kind {
            NodeKind::Source(factory) => {
                let before = self.restore.and_then(|restore| restore.operator(&node.id));
                let positions: Vec<_> = before
                    .iter()
                    .flat_map(|before| &before.tasks)
                    .map(|task| task.position.clone())
                    .filter(|position| !position.is_null())
                    .collect();
                let source = factory.open(task, node.parallelism, &positions).map_err(connector)?;
                Ok(Body::Source(SourceBody::new(source, watermarks, node.on_error)))
            }
            NodeKind::Operator { factory, .. } => {
                let operator = factory
                    .open(task)
                    .map_err(|reason| JobError::Operator { node: node.id.clone(), reason })?;
                let state = self.filled.remove(&(node_index, task)).unwrap_or_default();
                let Filled { backend, task_states } = state;
                let mut invoker = Invoker::new(operator, backend, node.on_error);
                if let Some(states) = task_states {
                    invoker = invoker.with_task_states(states);
                }
                let continued = self.restore.filter(|restore| restore.continues);
                Ok(Body::Operator(Box::new(OperatorBody::new(
                    gate,
                    invoker,
                    watermarks,
                    self.seed ^ (u64::from(index.0) << 32),
                    continued.map(RestorePoint::epoch),
                ))))
            }
            NodeKind::Sink { factory, .. } => {
                let sink = factory.open(task, &self.sink_port(node_index)).map_err(connector)?;
                Ok(Body::Sink(SinkBody::new(gate, sink)))
            }
        }
    }

    /// By node and task, the watermark that was sent on at the checkpoint: that of a generating node as remembered,
    /// that of the others merged from what feeds them.
    pub(super) fn watermarks(&self) -> Vec<Vec<i64>> {
        let nodes = &self.graph.nodes;
        let lowest = |node: &Node| vec![i64::MIN; node.parallelism as usize];
        let mut sent: Vec<Vec<i64>> = nodes.iter().map(lowest).collect();
        // Without cycles, as many rounds as there are nodes reach everyone.
        for _ in nodes {
            for (index, node) in nodes.iter().enumerate() {
                for task in 0..node.parallelism {
                    let generates =
                        matches!(node.kind, NodeKind::Source(_)) || node.watermark_lag.is_some();
                    let watermark = match generates {
                        true => self.watermark(node, task).unwrap_or(i64::MIN),
                        false => self.merged(&sent, index, task),
                    };
                    sent[index][task as usize] = watermark;
                }
            }
        }
        sent
    }

    fn merged(&self, sent: &[Vec<i64>], node: usize, task: u32) -> i64 {
        let feeding = self.graph.edges.iter().filter(|edge| edge.to == node);
        let lowest = feeding.filter_map(|edge| match edge.exchange {
            Exchange::Forward => sent[edge.from].get(task as usize).copied(),
            Exchange::Keyed | Exchange::Rebalance | Exchange::Broadcast => {
                sent[edge.from].iter().copied().min()
            }
        });
        lowest.min().unwrap_or(i64::MIN)
    }

    /// The watermark that a task of a generating node had at the checkpoint. With another parallelism the rows of
    /// the tasks are mixed anew, so the lowest counts.
    pub(super) fn watermark(&self, node: &Node, task: u32) -> Option<i64> {
        let before = self.restore?.operator(&node.id)?;
        if before.parallelism == node.parallelism {
            return before.tasks.iter().find(|state| state.task == task)?.watermark;
        }
        before.tasks.iter().map(|state| state.watermark).min().flatten()
    }

    fn sink_port(&self, node: usize) -> Port {
        let edge = self.graph.edges.iter().find(|edge| edge.to == node);
        let edge = edge.expect("a checked sink is fed by something");
        match edge.output {
            Output::DeadLetters => dead_letter_port(),
            Output::Port(port) => self.graph.nodes[edge.from].outputs()[port as usize].clone(),
        }
    }
}

/// The state of one task, filled from the checkpoint.
fn fill(
    restore: Option<&RestorePoint>,
    backends: &BackendFactory,
    scratch: Option<&Path>,
    request: BackendRequest<'_>,
) -> Result<Box<dyn Backend>, JobError> {
    let BackendRequest { node, range, .. } = request;
    let mut backend = backends(request)
        .map_err(|error| JobError::Operator { node: node.to_owned(), reason: error.to_string() })?;
    if let Some(restore) = restore
        && let Some(before) = restore.operator(node)
    {
        block_on(restore.fill(before, range, &mut *backend, scratch))?;
    }
    Ok(backend)
}

/// The task states of one task, from those of all tasks at the checkpoint.
fn task_states(
    restore: Option<&RestorePoint>,
    node: &Node,
    request: BackendRequest<'_>,
) -> Result<TaskStates, JobError> {
    let declarations = &request.description.task_states;
    let before = restore.and_then(|restore| Some((restore, restore.operator(&node.id)?)));
    let Some((restore, before)) = before else { return Ok(TaskStates::new(declarations)) };
    let bytes = block_on(restore.task_states(before))?;
    TaskStates::restore(declarations, &bytes, request.task, node.parallelism)
        .map_err(|source| restore.state_error(before, source).into())
}

/// Asks all sinks before any of them changes anything.
fn recover_sinks(graph: &Graph, restore: Option<&RestorePoint>) -> Result<(), JobError> {
    for_each_sink(graph, restore, |sink, tokens| sink.check_recovery(tokens))?;
    for_each_sink(graph, restore, |sink, tokens| sink.recover(tokens))
}

fn for_each_sink(
    graph: &Graph,
    restore: Option<&RestorePoint>,
    act: impl Fn(&dyn SinkFactory, &[Value]) -> Result<(), ConnectorError>,
) -> Result<(), JobError> {
    for node in &graph.nodes {
        let NodeKind::Sink { factory, .. } = &node.kind else { continue };
        let before = restore.and_then(|restore| restore.operator(&node.id));
        let tokens: Vec<_> = before
            .iter()
            .flat_map(|before| &before.tasks)
            .filter_map(|task| task.position.as_array())
            .flatten()
            .cloned()
            .collect();
        act(&**factory, &tokens)
            .map_err(|source| JobError::Connector { node: node.id.clone(), source })?;
    }
    Ok(())
}
