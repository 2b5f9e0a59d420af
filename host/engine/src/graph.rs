//! The job graph: what a user asks for, checked before anything runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use statehouse_operator::{Description, ErrorPolicy, Migrations, Operator, Port};
use statehouse_state::KeyGroups;

use crate::connector::{SinkFactory, SourceFactory};

mod check;

pub use check::GraphError;

/// The output that every source and operator has besides its own: records that it could not take.
pub const DEAD_LETTERS: &str = "dead-letters";

/// Makes the operator of each task.
pub trait OperatorFactory: Send + Sync + fmt::Debug {
    /// What the operator declares.
    fn description(&self) -> &Description;

    /// What it can take over from its earlier versions.
    fn migrations(&self) -> Migrations {
        Migrations::default()
    }

    /// The digest of the component that holds it, if one does.
    fn component(&self) -> Option<String>;

    /// The digest of the component that was asked for when the run started. It is another one than
    /// [`component`](OperatorFactory::component) if a swap had put that in its place in an earlier run.
    fn declared_component(&self) -> Option<String> {
        self.component()
    }

    /// The operator of one task, ready for its first batch.
    ///
    /// # Errors
    /// If it refuses its settings or cannot be made, in words.
    fn open(&self, task: u32) -> Result<Box<dyn Operator>, String>;
}

/// What a node does.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// Brings records in.
    Source(Arc<dyn SourceFactory>),
    /// Turns records into records.
    Operator {
        /// Makes it.
        factory: Arc<dyn OperatorFactory>,
        /// For each input port the outputs that feed it, as `node` or `node.port`.
        inputs: BTreeMap<String, Vec<String>>,
    },
    /// Takes records out.
    Sink {
        /// Makes it.
        factory: Arc<dyn SinkFactory>,
        /// The outputs that feed it, as `node` or `node.port`.
        inputs: Vec<String>,
    },
}

impl NodeKind {
    /// Whether tasks of it keep state in a backend.
    pub(crate) fn has_keyed_state(&self) -> bool {
        let Self::Operator { factory, .. } = self else { return false };
        let description = factory.description();
        !description.states.is_empty() || !description.timers.is_empty()
    }
}

/// One node as the user asks for it.
#[derive(Debug, Clone)]
pub struct Node {
    /// Identifies the node, and its state, across runs.
    pub id: String,
    /// Number of tasks.
    pub parallelism: u32,
    /// If set, watermarks are generated here: this many milliseconds behind the newest record that comes out.
    pub watermark_lag: Option<i64>,
    /// What happens to records that the node cannot take.
    pub on_error: ErrorPolicy,
    /// What it does.
    pub kind: NodeKind,
}

impl Node {
    /// A node with one task that fails on bad records and generates no watermarks.
    pub fn new(id: impl Into<String>, kind: NodeKind) -> Self {
        let (id, on_error) = (id.into(), ErrorPolicy::Fail);
        Self { id, parallelism: 1, watermark_lag: None, on_error, kind }
    }

    /// The same with this many tasks.
    #[must_use]
    pub fn with_parallelism(self, parallelism: u32) -> Self {
        Self { parallelism, ..self }
    }

    /// The node's own output ports.
    pub(crate) fn outputs(&self) -> &[Port] {
        match &self.kind {
            NodeKind::Source(factory) => std::slice::from_ref(factory.port()),
            NodeKind::Operator { factory, .. } => &factory.description().outputs,
            NodeKind::Sink { .. } => &[],
        }
    }
}

/// Which of a node's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Port(u32),
    DeadLetters,
}

/// How records get from the tasks of one node to those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// From each task to the one with the same number.
    Forward,
    /// By key group.
    Keyed,
    /// Batch by batch to all in turn.
    Rebalance,
    /// Every batch to all.
    Broadcast,
}

/// One connection between an output and an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) from: usize,
    pub(crate) output: Output,
    pub(crate) to: usize,
    pub(crate) input: u32,
    pub(crate) exchange: Exchange,
}

/// A graph that has passed every check: ids are unique, every reference leads somewhere, types agree, there is no
/// cycle. Built by [`Graph::check`] alone.
#[derive(Debug, Clone)]
pub struct Graph {
    pub(crate) name: String,
    pub(crate) key_groups: KeyGroups,
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
}

impl Graph {
    /// Checks what the user asks for.
    ///
    /// # Errors
    /// The first thing found that cannot work.
    pub fn check(
        name: impl Into<String>,
        key_groups: KeyGroups,
        nodes: Vec<Node>,
    ) -> Result<Self, GraphError> {
        let edges = check::check(key_groups, &nodes)?;
        Ok(Self { name: name.into(), key_groups, nodes, edges })
    }

    /// The same with other operators in some of the nodes, by their ids; checked again.
    ///
    /// # Errors
    /// The first thing found that cannot work.
    pub fn with_factories(
        &self,
        factories: &BTreeMap<String, Arc<dyn OperatorFactory>>,
    ) -> Result<Self, GraphError> {
        let mut nodes = self.nodes.clone();
        for (id, new) in factories {
            let node = nodes.iter_mut().find(|node| node.id == *id).map(|node| &mut node.kind);
            let Some(NodeKind::Operator { factory, .. }) = node else {
                return Err(GraphError::no_operator(id, &self.nodes));
            };
            *factory = Arc::clone(new);
        }
        Self::check(self.name.clone(), self.key_groups, nodes)
    }

    /// The job's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The nodes in the order in which they were given.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The number of tasks of all nodes.
    pub fn tasks(&self) -> usize {
        self.nodes.iter().map(|node| node.parallelism as usize).sum()
    }
}

/// The port of every node's dead letters: JSON objects without keys.
pub(crate) fn dead_letter_port() -> Port {
    use statehouse_operator::{Codec, ValueType};
    Port {
        name: DEAD_LETTERS.to_owned(),
        key: None,
        value: ValueType::new(statehouse_state::ValueLayout::Bytes, Codec::Json),
        broadcast: false,
    }
}
