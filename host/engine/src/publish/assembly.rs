//! A manifest put together: what the tasks uploaded, on top of the checkpoint before.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use statehouse_checkpoint::{
    Digest, Epoch, Error, Generation, Manifest, OperatorState, PackStamp, SegmentRef, Statistics,
    TablesRef, TaskState, extend_groups,
};
use statehouse_operator::evolution::Retired;
use statehouse_state::KeyGroups;

use super::upload::Uploaded;
use crate::graph::{Graph, Node, NodeKind};
use crate::version::{OperatorVersion, digest};

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

/// What is said of a node in every manifest. The rest is said by its tasks: a swap changes it.
#[derive(Debug)]
struct NodeEntry {
    id: String,
    /// The component that was asked for when the run started.
    declared: Option<Digest>,
    parallelism: u32,
}

/// What the tasks of a node contributed.
#[derive(Debug, Default)]
struct Written {
    tasks: Vec<TaskState>,
    segments: Vec<(u16, SegmentRef)>,
    tables: Vec<TablesRef>,
    /// The version that they ran: the same for all, but for what each has still to take over.
    version: Option<Arc<OperatorVersion>>,
    /// What any of them has still to take over.
    retired: Retired,
}

impl Written {
    fn add(&mut self, uploaded: Uploaded) {
        self.tasks.push(uploaded.task);
        self.segments.extend(uploaded.segments);
        self.tables.extend(uploaded.tables);
        let Some(version) = uploaded.version else { return };
        // A task that lets go of a retired state writes everything anew with its next snapshot, so the segments of a
        // checkpoint mention no other ones than its tasks do.
        add_new(&mut self.retired.states, &version.retired.states);
        add_new(&mut self.retired.timers, &version.retired.timers);
        self.version.get_or_insert(version);
    }
}

/// Adds what is not there yet.
fn add_new<T: Clone + PartialEq>(all: &mut Vec<T>, more: &[T]) {
    for one in more {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
}

impl NodeEntry {
    fn new(node: &Node) -> Self {
        let declared = match &node.kind {
            NodeKind::Operator { factory, .. } => digest(factory.declared_component()),
            _ => None,
        };
        Self { id: node.id.clone(), declared, parallelism: node.parallelism }
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
            written[place.node].add(uploaded);
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
    let Written { tasks, segments, mut tables, version, retired } = written;
    let keyed = version.as_ref().is_some_and(|version| version.keyed);
    let nothing = BTreeMap::new();
    let before = previous.iter().flat_map(|previous| &previous.operators);
    // Without a backend nobody would ever replace the earlier chains, and what was dropped on purpose would come back.
    let before = before.into_iter().find(|operator| operator.id == node.id && keyed);
    let mut groups = extend_groups(before.map_or(&nothing, |before| &before.groups), segments)?;
    let in_tables =
        |group: u32| tables.iter().any(|tables| (tables.start..tables.end).contains(&group));
    // What was in chains before the backend changed is in the tables now.
    groups.retain(|&group, _| !in_tables(u32::from(group)));
    tables.retain(|tables| tables.start < tables.end);
    tables.sort_by_key(|tables| tables.start);
    let component = version.as_ref().and_then(|version| version.component);
    Ok(OperatorState {
        id: node.id.clone(),
        component,
        declared: node.declared.filter(|&declared| Some(declared) != component),
        description: version.map_or(Value::Null, |version| version.description.clone()),
        retired: (!retired.is_empty())
            .then(|| serde_json::to_value(&retired).expect("declarations are plain data")),
        parallelism: node.parallelism,
        tasks,
        groups,
        tables,
    })
}

#[cfg(test)]
mod tests;
