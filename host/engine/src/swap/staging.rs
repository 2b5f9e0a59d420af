//! The operators of a swap, made before anything of the job is touched, on the thread of whoever asks for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use statehouse_operator::{CanaryShare, Evolution, Operator, canary_refusal};
use statehouse_state::{Backend, KeyGroups};

use super::{SwapRequest, SwapTicket};
use crate::element::TaskIndex;
use crate::graph::{Graph, Node, NodeKind, OperatorFactory};
use crate::job::{BackendFactory, BackendRequest};
use crate::version::OperatorVersion;

/// A new operator on its way to its task.
pub(crate) struct Staged {
    pub(crate) operator: Box<dyn Operator>,
    pub(crate) evolution: Arc<Evolution>,
    /// What manifests say of it.
    pub(crate) version: Arc<OperatorVersion>,
    /// For a task that has had no keyed state.
    pub(crate) backend: Option<Box<dyn Backend>>,
    /// If it begins as a canary: on which of the job's key groups.
    pub(crate) canary: Option<(CanaryShare, KeyGroups)>,
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged").field("changes", &self.evolution.changes).finish_non_exhaustive()
    }
}

/// A swap whose operators are made.
#[derive(Debug)]
pub(crate) struct StagedSwap {
    pub(crate) ticket: SwapTicket,
    pub(crate) savepoint: String,
    pub(crate) commit_outputs: bool,
    /// Whether the operators begin as canaries.
    pub(crate) canary: bool,
    pub(crate) operators: Vec<(TaskIndex, Staged)>,
    /// The job after the swap.
    pub(crate) graph: Graph,
}

impl StagedSwap {
    /// The tasks that flip.
    pub(crate) fn tasks(&self) -> BTreeSet<TaskIndex> {
        self.operators.iter().map(|(task, _)| *task).collect()
    }
}

/// The job that runs, as far as swaps must know it.
pub(crate) struct Site {
    pub(crate) graph: Graph,
    pub(crate) backend: Arc<BackendFactory>,
    /// Whether it keeps checkpoints.
    pub(crate) durable: bool,
    /// How many tasks are restored, or taken back, at once.
    pub(crate) threads_max: usize,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("graph", &self.graph.name).finish_non_exhaustive()
    }
}

impl Site {
    /// The same with another graph.
    pub(crate) fn with(&self, graph: Graph) -> Self {
        Self { graph, backend: Arc::clone(&self.backend), ..*self }
    }

    /// Makes the operators.
    ///
    /// # Errors
    /// In words, if the swap cannot be. Nothing has been touched then.
    pub(crate) fn stage(
        &self,
        request: SwapRequest,
        ticket: &SwapTicket,
    ) -> Result<StagedSwap, String> {
        if !self.durable {
            return Err(
                "the job keeps no checkpoints, so there is nothing to come back to; set `dir` of \
                        `[checkpoint]`, or stop it and start it with the new component"
                    .to_owned(),
            );
        }
        let graph = self.swapped(&request)?;
        let SwapRequest { nodes, savepoint, commit_outputs, canary } = request;
        let share = canary.map(|share| (share, self.graph.key_groups));
        let mut operators = Vec::new();
        for swap in nodes {
            let evolution = Arc::new(swap.evolution);
            let version = Arc::new(OperatorVersion::of(&*swap.factory));
            let (first, node) = self.find(&swap.node);
            if let (Some(_), NodeKind::Operator { factory, .. }) = (canary, &node.kind)
                && let Some(reason) =
                    canary_refusal(factory.description(), swap.factory.description())
            {
                return Err(format!("operator `{}`: {reason}", node.id));
            }
            for task in 0..node.parallelism {
                let failed = |reason| format!("operator `{}`: {reason}", node.id);
                let staged = Staged {
                    operator: swap.factory.open(task).map_err(failed)?,
                    backend: self
                        .backend(node, task, &*swap.factory, &evolution)
                        .map_err(|error| failed(error.to_string()))?,
                    evolution: Arc::clone(&evolution),
                    version: Arc::clone(&version),
                    canary: share,
                };
                operators.push((TaskIndex(first + task), staged));
            }
        }
        let (ticket, canary) = (ticket.clone(), canary.is_some());
        Ok(StagedSwap { ticket, savepoint, commit_outputs, canary, operators, graph })
    }

    /// The job after the swap: channels must lie as they do.
    fn swapped(&self, request: &SwapRequest) -> Result<Graph, String> {
        let mut factories = BTreeMap::new();
        for swap in &request.nodes {
            if factories.insert(swap.node.clone(), Arc::clone(&swap.factory)).is_some() {
                return Err(format!("operator `{}` is named twice; name it once", swap.node));
            }
        }
        if factories.is_empty() {
            return Err("no operator is named; say which one to swap".to_owned());
        }
        let graph = self.graph.with_factories(&factories).map_err(|error| error.to_string())?;
        let moved = |(before, after)| before != after;
        if graph.edges.len() != self.graph.edges.len()
            || self.graph.edges.iter().zip(&graph.edges).any(moved)
        {
            return Err("its ports would be connected otherwise than now: keep the places of the ports that are \
                        connected, or stop the job and start it with the new component"
                .to_owned());
        }
        Ok(graph)
    }

    /// A node that is there, and the index of its first task.
    fn find(&self, id: &str) -> (u32, &Node) {
        let mut first = 0;
        for node in &self.graph.nodes {
            if node.id == id {
                return (first, node);
            }
            first += node.parallelism;
        }
        unreachable!("the graph was checked with this operator")
    }

    /// An empty backend, if the node is the first time in need of one.
    fn backend(
        &self,
        node: &Node,
        task: u32,
        factory: &dyn OperatorFactory,
        evolution: &Evolution,
    ) -> Result<Option<Box<dyn Backend>>, statehouse_state::Error> {
        let needed = !evolution.states.is_empty() || !evolution.timers.is_empty();
        if !needed || node.kind.has_keyed_state() {
            return Ok(None);
        }
        let key_groups = self.graph.key_groups;
        let range = key_groups.range_of_task(task, node.parallelism);
        let description = factory.description();
        let request = BackendRequest {
            node: &node.id,
            task,
            description,
            states: &evolution.states,
            timers: &evolution.timers,
            key_groups,
            range,
        };
        (self.backend)(request).map(Some)
    }
}
