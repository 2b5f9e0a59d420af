//! What the tasks of a job do: sources, operators over their state, sinks, each as the checkpoint left it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_utils::sync::Parker;
use statehouse_operator::{Invoker, Port};

use super::state::TaskState;
use super::wiring::{Ends, Wiring};
use crate::budget::Budget;
use crate::clock::Clock;
use crate::element::TaskIndex;
use crate::error::JobError;
use crate::graph::{Exchange, Graph, Node, NodeKind, Output, dead_letter_port};
use crate::handle::TaskEntry;
use crate::metrics::TaskMetrics;
use crate::recovery::RestorePoint;
use crate::settings::Mode;
use crate::task::{Body, Frame, Gate, OperatorBody, Outlets, Reports, SinkBody, SourceBody, Task};
use crate::version::OperatorVersion;
use crate::watermark::Generator;

/// Tasks with what wakes them, and what is shown of them.
pub(super) type Made = (Vec<(Task, Parker)>, Vec<TaskEntry>);

/// Makes what tasks do.
pub(super) struct Builder<'a> {
    graph: &'a Graph,
    restore: Option<&'a RestorePoint>,
    states: BTreeMap<(usize, u32), TaskState>,
    seed: u64,
}

impl<'a> Builder<'a> {
    /// `states` holds what [`restore_states`](super::state::restore_states) made.
    pub(super) fn new(
        graph: &'a Graph,
        restore: Option<&'a RestorePoint>,
        states: BTreeMap<(usize, u32), TaskState>,
        seed: u64,
    ) -> Self {
        Self { graph, restore, states, seed }
    }

    /// The tasks with what wakes them, and what is shown of them.
    pub(super) fn tasks(
        mut self,
        wiring: &mut Wiring,
        mode: Mode,
        clock: &Arc<dyn Clock>,
    ) -> Result<Made, JobError> {
        let budget = Budget::new(wiring.unparkers());
        let graph = self.graph;
        let (mut tasks, mut entries) = (Vec::new(), Vec::new());
        for (node_index, node) in graph.nodes.iter().enumerate() {
            for task in 0..node.parallelism {
                let Ends { channels, outlets, control, reports, parker, index } =
                    wiring.take(node_index, task);
                let gate = Gate::new(channels, mode);
                let body = self.body(node, task, index, gate, node_index)?;
                let metrics = Arc::new(TaskMetrics::default());
                entries.push(TaskEntry::new(node, task, Arc::clone(&metrics)));
                let frame = Frame {
                    index,
                    name: format!("{}/{task}", node.id),
                    clock: Arc::clone(clock),
                    outlets: Outlets::new(outlets, graph.key_groups),
                    reports: Reports::new(reports),
                    metrics,
                    budget: Arc::clone(&budget),
                };
                tasks.push((Task::new(frame, control, body), parker));
            }
        }
        Ok((tasks, entries))
    }

    fn body(
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
                let state = self.states.remove(&(node_index, task)).unwrap_or_default();
                let TaskState { backend, task_states, evolution } = state;
                let mut invoker =
                    Invoker::new(operator, backend, node.on_error).with_evolution(&evolution);
                if let Some(states) = task_states {
                    invoker = invoker.with_task_states(states);
                }
                let continued = self.restore.filter(|restore| restore.continues);
                Ok(Body::Operator(Box::new(OperatorBody::new(
                    gate,
                    invoker,
                    Arc::new(OperatorVersion::of(&**factory)),
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
    fn watermark(&self, node: &Node, task: u32) -> Option<i64> {
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
