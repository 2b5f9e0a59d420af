//! A manifest put together: what the tasks uploaded, on top of the checkpoint before.

use std::collections::BTreeMap;

use serde_json::Value;
use statehouse_checkpoint::{
    Digest, Epoch, Error, Generation, Manifest, OperatorState, PackStamp, SegmentRef, Statistics,
    TablesRef, TaskState, extend_groups,
};
use statehouse_state::KeyGroups;

use super::upload::Uploaded;
use crate::graph::{Graph, Node, NodeKind};

/// The name of the function that maps keys to key groups, as manifests carry it.
pub const KEY_HASH: &str = "xxh3-64";

/// A task by its node, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) node: usize,
    pub(crate) task: u32,
}

/// What is said of a job in every manifest.
#[derive(Debug)]
pub(crate) struct Assembly {
    job: String,
    generation: Generation,
    key_groups: KeyGroups,
    nodes: Vec<NodeEntry>,
}

/// What is said of a node in every manifest.
#[derive(Debug)]
struct NodeEntry {
    id: String,
    component: Option<Digest>,
    description: Value,
    parallelism: u32,
    /// Whether its tasks have keyed state, in backends that carry the earlier checkpoints' on.
    keyed: bool,
}

/// What the tasks of a node contributed.
#[derive(Debug, Default)]
struct Written {
    tasks: Vec<TaskState>,
    segments: Vec<(u16, SegmentRef)>,
    tables: Vec<TablesRef>,
}

impl NodeEntry {
    fn new(node: &Node) -> Self {
        let (component, description) = match &node.kind {
            NodeKind::Operator { factory, .. } => (
                factory.component().and_then(|digest| digest.parse().ok()),
                serde_json::to_value(factory.description())
                    .expect("descriptions are plain data with text keys"),
            ),
            _ => (None, Value::Null),
        };
        let keyed = node.kind.has_keyed_state();
        Self { id: node.id.clone(), component, description, parallelism: node.parallelism, keyed }
    }
}

impl Assembly {
    pub(crate) fn new(graph: &Graph, generation: Generation) -> Self {
        let nodes = graph.nodes.iter().map(NodeEntry::new).collect();
        Self { job: graph.name.clone(), generation, key_groups: graph.key_groups, nodes }
    }

    /// What makes the packs of a task unlike all others.
    pub(super) fn stamp(&self, epoch: Epoch, place: Place) -> PackStamp {
        let before: u32 = self.nodes[..place.node].iter().map(|node| node.parallelism).sum();
        PackStamp { generation: self.generation, epoch, writer: before + place.task }
    }

    /// The id of a node.
    pub(super) fn node_id(&self, place: Place) -> &str {
        &self.nodes[place.node].id
    }

    /// The manifest of a checkpoint that continues `previous`. Its time and duration are still to be filled in.
    pub(super) fn manifest(
        &self,
        epoch: Epoch,
        previous: Option<&Manifest>,
        uploaded: BTreeMap<Place, Uploaded>,
    ) -> Result<Manifest, Error> {
        let mut statistics = Statistics::default();
        let mut written: Vec<Written> = self.nodes.iter().map(|_| Written::default()).collect();
        for (place, uploaded) in uploaded {
            statistics.packs += uploaded.packs;
            statistics.pack_bytes += uploaded.pack_bytes;
            let written = &mut written[place.node];
            written.tasks.push(uploaded.task);
            written.segments.extend(uploaded.segments);
            written.tables.extend(uploaded.tables);
        }
        let nodes = self.nodes.iter().zip(written);
        let operators = nodes.map(|(node, written)| {
            operator(node, previous, written).map_err(|source| Error::Protocol { epoch, source })
        });
        Ok(Manifest {
            job: self.job.clone(),
            epoch,
            parent: previous.map(|previous| previous.epoch),
            generation: self.generation,
            created_ms: 0,
            key_groups: self.key_groups.count(),
            key_hash: KEY_HASH.to_owned(),
            operators: operators.collect::<Result<_, _>>()?,
            statistics,
        })
    }
}

fn operator(
    node: &NodeEntry,
    previous: Option<&Manifest>,
    written: Written,
) -> Result<OperatorState, statehouse_checkpoint::ProtocolError> {
    let Written { tasks, segments, mut tables } = written;
    let nothing = BTreeMap::new();
    let before = previous.iter().flat_map(|previous| &previous.operators);
    // Without a backend nobody would ever replace the earlier chains, and what was dropped on purpose would come back.
    let before = before.into_iter().find(|operator| operator.id == node.id && node.keyed);
    let mut groups = extend_groups(before.map_or(&nothing, |before| &before.groups), segments)?;
    let in_tables =
        |group: u32| tables.iter().any(|tables| (tables.start..tables.end).contains(&group));
    // What was in chains before the backend changed is in the tables now.
    groups.retain(|&group, _| !in_tables(u32::from(group)));
    tables.retain(|tables| tables.start < tables.end);
    tables.sort_by_key(|tables| tables.start);
    Ok(OperatorState {
        id: node.id.clone(),
        component: node.component,
        declared: None,
        description: node.description.clone(),
        retired: None,
        parallelism: node.parallelism,
        tasks,
        groups,
        tables,
    })
}

#[cfg(test)]
mod tests;
