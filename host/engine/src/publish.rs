//! Publishing a checkpoint: what the tasks acknowledged becomes packs, then a manifest.

use std::collections::BTreeMap;

use serde_json::Value;
use statehouse_checkpoint::{
    CheckpointStore, Digest, Epoch, Error, FileRef, Lease, Location, Manifest, NewSegment,
    OperatorState, PackSettings, PackStamp, SegmentRef, Statistics, TablesRef, TaskState,
    TaskWriter, extend_groups,
};
use statehouse_state::{KeyGroups, Segment, TableFile, Tables};

use crate::element::TaskSnapshot;
use crate::graph::{Graph, NodeKind};

/// The name of the function that maps keys to key groups, as manifests carry it.
pub const KEY_HASH: &str = "xxh3-64";

/// Where a job's checkpoints go.
#[derive(Debug)]
pub struct Checkpoints {
    /// The store; it belongs to this job alone.
    pub store: CheckpointStore,
    /// The proof that this process owns the job.
    pub lease: Lease,
}

/// What is said of a node in every manifest.
#[derive(Debug)]
struct NodeEntry {
    id: String,
    component: Option<Digest>,
    description: Value,
    parallelism: u32,
}

/// What the tasks of a node contributed, as it was written.
#[derive(Debug, Default)]
struct Written {
    tasks: Vec<TaskState>,
    segments: Vec<(u16, SegmentRef)>,
    tables: Vec<TablesRef>,
}

/// One checkpoint that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointRecord {
    /// The epoch that it ended.
    pub epoch: u64,
    /// When it was triggered, in milliseconds since 1970-01-01T00:00:00Z.
    pub triggered_ms: i64,
    /// From the trigger to the manifest.
    pub duration_ms: u64,
    /// Bytes written for it, without the manifest.
    pub written_bytes: u64,
    /// Bytes of state that it stands for.
    pub state_bytes: u64,
}

/// Publishes the checkpoints of one run, one after the other.
#[derive(Debug)]
pub(crate) struct Publisher {
    checkpoints: Checkpoints,
    job: String,
    key_groups: KeyGroups,
    nodes: Vec<NodeEntry>,
    settings: PackSettings,
    /// The checkpoint that the next one continues: its chains are extended.
    previous: Option<Manifest>,
}

impl Publisher {
    /// `previous` is the checkpoint of the same store that the run was restored from.
    pub(crate) fn new(
        graph: &Graph,
        checkpoints: Checkpoints,
        inline_threshold: u64,
        previous: Option<Manifest>,
    ) -> Self {
        let entry = |node: &crate::graph::Node| NodeEntry {
            id: node.id.clone(),
            component: match &node.kind {
                NodeKind::Operator { factory, .. } => {
                    factory.component().and_then(|digest| digest.parse().ok())
                }
                _ => None,
            },
            description: match &node.kind {
                NodeKind::Operator { factory, .. } => serde_json::to_value(factory.description())
                    .expect("descriptions are plain data with text keys"),
                _ => Value::Null,
            },
            parallelism: node.parallelism,
        };
        Self {
            job: graph.name.clone(),
            key_groups: graph.key_groups,
            nodes: graph.nodes.iter().map(entry).collect(),
            settings: PackSettings {
                inline_bytes_max: inline_threshold,
                ..PackSettings::default()
            },
            previous,
            checkpoints,
        }
    }

    /// Publishes a checkpoint. `snapshots` holds every task's part, by node and task. `clock` tells the time.
    pub(crate) async fn publish(
        &mut self,
        epoch: u64,
        triggered_ms: i64,
        snapshots: BTreeMap<(usize, u32), TaskSnapshot>,
        clock: &dyn crate::Clock,
    ) -> Result<CheckpointRecord, Error> {
        let mut statistics = Statistics::default();
        let mut written: Vec<Written> = self.nodes.iter().map(|_| Written::default()).collect();
        for (writer, ((node, task), snapshot)) in (0..).zip(snapshots) {
            let TaskSnapshot { state, task_states, position, watermark } = snapshot;
            if let Some(state) = state {
                let stamp = self.stamp(epoch, writer);
                let mut writer = self.checkpoints.store.task_writer(stamp, self.settings);
                for segment in state.segments {
                    writer.add_segment(new_segment(segment)).await?;
                }
                let before = self.previous(node);
                let known = match &state.tables {
                    Some(tables) => add_files(&mut writer, before, tables).await?,
                    None => Vec::new(),
                };
                let done = writer.finish().await?;
                statistics.packs += done.packs;
                statistics.pack_bytes += done.pack_bytes;
                written[node].segments.extend(done.segments);
                let tables = state.tables.map(|tables| tables_ref(&tables, known, done.files));
                written[node].tables.extend(tables);
            }
            let inline = |bytes: Vec<u8>| {
                let location = Location::Inline(bytes.into());
                SegmentRef { full: true, entries: 0, location }
            };
            let (position, state) = (position.unwrap_or(Value::Null), task_states.map(inline));
            written[node].tasks.push(TaskState { task, watermark, position, state });
        }
        let mut manifest = self.manifest(epoch, written)?;
        let (packs, bytes) =
            self.checkpoints.store.spill_inline(&mut manifest, self.settings).await?;
        statistics.packs += packs;
        statistics.pack_bytes += bytes;
        let now = clock.now();
        statistics.duration_ms = u64::try_from(now - triggered_ms).unwrap_or(0);
        manifest.created_ms = now;
        manifest.statistics = statistics;
        self.checkpoints.store.publish(&manifest, &self.checkpoints.lease).await?;
        let record = CheckpointRecord {
            epoch,
            triggered_ms,
            duration_ms: statistics.duration_ms,
            written_bytes: statistics.pack_bytes,
            state_bytes: manifest.state_bytes(),
        };
        self.previous = Some(manifest);
        Ok(record)
    }

    fn stamp(&self, epoch: u64, writer: u32) -> PackStamp {
        PackStamp { generation: self.checkpoints.lease.generation(), epoch: Epoch(epoch), writer }
    }

    /// What the checkpoint before says of a node.
    fn previous(&self, node: usize) -> Option<&OperatorState> {
        let operators = &self.previous.as_ref()?.operators;
        operators.iter().find(|operator| operator.id == self.nodes[node].id)
    }

    fn manifest(&self, epoch: u64, written: Vec<Written>) -> Result<Manifest, Error> {
        let epoch = Epoch(epoch);
        let nothing = BTreeMap::new();
        let mut operators = Vec::with_capacity(self.nodes.len());
        for (index, (node, written)) in self.nodes.iter().zip(written).enumerate() {
            let Written { tasks, segments, mut tables } = written;
            let previous = self.previous(index).map_or(&nothing, |operator| &operator.groups);
            let mut groups = extend_groups(previous, segments)
                .map_err(|source| Error::Protocol { epoch, source })?;
            let in_tables = |group: u32| {
                tables.iter().any(|tables| (tables.start..tables.end).contains(&group))
            };
            // What was in chains before the backend changed is in the tables now.
            groups.retain(|&group, _| !in_tables(u32::from(group)));
            tables.retain(|tables| tables.start < tables.end);
            tables.sort_by_key(|tables| tables.start);
            operators.push(OperatorState {
                id: node.id.clone(),
                component: node.component,
                description: node.description.clone(),
                parallelism: node.parallelism,
                tasks,
                groups,
                tables,
            });
        }
        Ok(Manifest {
            job: self.job.clone(),
            epoch,
            parent: self.previous.as_ref().map(|manifest| manifest.epoch),
            generation: self.checkpoints.lease.generation(),
            created_ms: 0,
            key_groups: self.key_groups.count(),
            key_hash: KEY_HASH.to_owned(),
            operators,
            statistics: Statistics::default(),
        })
    }
}

fn new_segment(segment: Segment) -> NewSegment {
    let Segment { group, full, entries, bytes } = segment;
    NewSegment { group: group.0, full, entries, bytes }
}

/// Writes the files of tables, those excepted that the checkpoint before has already: for each file where it has it.
async fn add_files(
    writer: &mut TaskWriter,
    before: Option<&OperatorState>,
    tables: &Tables,
) -> Result<Vec<Option<SegmentRef>>, Error> {
    let before: BTreeMap<&str, &SegmentRef> = before
        .iter()
        .flat_map(|operator| &operator.tables)
        .flat_map(|tables| &tables.files)
        .filter_map(|file| Some((file.identity.as_deref()?, &file.content)))
        .collect();
    let mut known = Vec::with_capacity(tables.files.len());
    for file in &tables.files {
        let content = file.identity.as_deref().and_then(|identity| before.get(identity));
        // Content that was spilled or inlined counts as any other: it is the same bytes.
        let content = content.filter(|content| content.size_bytes() == file.length);
        if content.is_none() {
            writer.add_file(&tables.directory().join(&file.name)).await?;
        }
        known.push(content.map(|&content| content.clone()));
    }
    Ok(known)
}

/// Tables as the manifest names them: each file's content is known from before or among the written ones.
fn tables_ref(
    tables: &Tables,
    known: Vec<Option<SegmentRef>>,
    written: Vec<SegmentRef>,
) -> TablesRef {
    let mut written = written.into_iter();
    let file = |(file, known): (&TableFile, Option<SegmentRef>)| FileRef {
        name: file.name.clone(),
        identity: file.identity.clone(),
        content: known.or_else(|| written.next()).expect("what was not known has been written"),
    };
    let files = tables.files.iter().zip(known).map(file).collect();
    let (range, entries) = (tables.range, tables.entries);
    TablesRef { start: range.start, end: range.end, entries, files }
}
