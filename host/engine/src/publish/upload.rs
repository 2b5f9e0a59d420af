//! The upload of one task's part of a checkpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use statehouse_checkpoint::{
    CheckpointStore, Error, FileRef, Location, Manifest, NewSegment, PackSettings, SegmentRef,
    TablesRef, TaskState,
};
use statehouse_state::{Segment, Tables};
use tokio::sync::mpsc::UnboundedReceiver;

use super::assembly::Place;
use crate::element::{Part, TaskSnapshot};

/// What an upload is fed with.
#[derive(Debug)]
pub(super) enum Piece {
    /// Segments ahead of the rest.
    Part(Part),
    /// The rest, and the checkpoint that this one continues: files that it has are not written again.
    Rest { snapshot: Box<TaskSnapshot>, base: Option<Arc<Manifest>> },
}

/// What a task contributed, as it was written.
#[derive(Debug)]
pub(super) struct Uploaded {
    pub(super) task: TaskState,
    pub(super) segments: Vec<(u16, SegmentRef)>,
    pub(super) tables: Option<TablesRef>,
    pub(super) packs: u64,
    pub(super) pack_bytes: u64,
}

/// Where a task's part goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) store: CheckpointStore,
    pub(super) settings: PackSettings,
    /// The node's id.
    pub(super) node: String,
    pub(super) place: Place,
}

/// Writes the pieces as they come, until the rest has come.
pub(super) async fn upload(
    target: Target,
    mut pieces: UnboundedReceiver<Piece>,
) -> Result<Uploaded, Error> {
    let mut segments = Vec::new();
    let (snapshot, base) = loop {
        match pieces.recv().await {
            Some(Piece::Part(part)) => segments.extend(part.segments.into_iter().map(new_segment)),
            Some(Piece::Rest { snapshot, base }) => break (snapshot, base),
            None => std::future::pending().await,
        }
    };
    let TaskSnapshot { state, task_states, position, watermark } = *snapshot;
    let inline = |bytes: Vec<u8>| {
        let location = Location::Inline(bytes.into());
        SegmentRef { full: true, entries: 0, location }
    };
    let (position, task_states) = (position.unwrap_or(Value::Null), task_states.map(inline));
    let task = TaskState { task: target.place.task, watermark, position, state: task_states };
    let (rest, tables) = state.map(|state| (state.segments, state.tables)).unwrap_or_default();
    segments.extend(rest.into_iter().map(new_segment));
    let done = target.store.write_segments(segments, target.settings).await?;
    let (mut packs, mut pack_bytes) = (done.packs, done.pack_bytes);
    let mut written = None;
    if let Some(tables) = tables {
        let known = known_files(base.as_deref(), &target.node);
        let mut files = Vec::with_capacity(tables.files.len());
        for file in &tables.files {
            let known = file.identity.as_deref().and_then(|identity| known.get(identity));
            let content = match known.filter(|content| content.size_bytes() == file.length) {
                Some(&content) => content.clone(),
                None => {
                    let path = tables.directory().join(&file.name);
                    let done = target.store.write_file(&path, target.settings).await?;
                    packs += done.packs;
                    pack_bytes += done.pack_bytes;
                    done.content
                }
            };
            files.push(FileRef {
                name: file.name.clone(),
                identity: file.identity.clone(),
                content,
            });
        }
        written = Some(tables_ref(&tables, files));
    }
    Ok(Uploaded { task, segments: done.segments, tables: written, packs, pack_bytes })
}

fn new_segment(segment: Segment) -> NewSegment {
    let Segment { group, full, entries, bytes } = segment;
    NewSegment { group: group.0, full, entries, bytes }
}

/// The files of a node that a checkpoint has, by identity.
fn known_files<'a>(base: Option<&'a Manifest>, node: &str) -> BTreeMap<&'a str, &'a SegmentRef> {
    let operators = base.iter().flat_map(|base| &base.operators);
    operators
        .filter(|operator| operator.id == node)
        .flat_map(|operator| &operator.tables)
        .flat_map(|tables| &tables.files)
        .filter_map(|file| Some((file.identity.as_deref()?, &file.content)))
        .collect()
}

fn tables_ref(tables: &Tables, files: Vec<FileRef>) -> TablesRef {
    let (range, entries) = (tables.range, tables.entries);
    TablesRef { start: range.start, end: range.end, entries, files }
}
