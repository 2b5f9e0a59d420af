//! The upload of one task's part of a checkpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use statehouse_checkpoint::{
    CheckpointStore, Error, FileRef, Location, Manifest, NewSegment, PackSettings, PackStamp,
    SegmentRef, TablesRef, TaskState, TaskWriter, WrittenTask,
};
use statehouse_state::{Segment, Tables};
use tokio::sync::mpsc::UnboundedReceiver;

use super::assembly::Place;
use crate::element::{Part, TaskSnapshot};
use crate::version::OperatorVersion;

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
    /// The version of the operator that it ran, if it did.
    pub(super) version: Option<Arc<OperatorVersion>>,
    pub(super) packs: u64,
    pub(super) pack_bytes: u64,
}

/// Where a task's part goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) store: CheckpointStore,
    pub(super) settings: PackSettings,
    pub(super) stamp: PackStamp,
    /// The node's id.
    pub(super) node: String,
    pub(super) place: Place,
}

/// Writes the pieces as they come, until the rest has come.
pub(super) async fn upload(
    target: Target,
    mut pieces: UnboundedReceiver<Piece>,
) -> Result<Uploaded, Error> {
    let mut writer = target.store.task_writer(target.stamp, target.settings);
    let (snapshot, base) = loop {
        match pieces.recv().await {
            Some(Piece::Part(part)) => write(&mut writer, part.segments).await?,
            Some(Piece::Rest { snapshot, base }) => break (snapshot, base),
            // The checkpoint was given up, and this future is about to be dropped.
            None => std::future::pending().await,
        }
    };
    let TaskSnapshot { state, task_states, position, watermark, version } = *snapshot;
    let inline = |bytes: Vec<u8>| {
        let location = Location::Inline(bytes.into());
        SegmentRef { full: true, entries: 0, location }
    };
    let (position, task_states) = (position.unwrap_or(Value::Null), task_states.map(inline));
    let task = TaskState { task: target.place.task, watermark, position, state: task_states };
    let (rest, tables) = state.map(|state| (state.segments, state.tables)).unwrap_or_default();
    write(&mut writer, rest).await?;
    let Some(tables) = tables else {
        let WrittenTask { segments, packs, pack_bytes, .. } = writer.finish().await?;
        return Ok(Uploaded { task, segments, tables: None, version, packs, pack_bytes });
    };
    let known = known_files(base.as_deref(), &target.node);
    // What the checkpoint before has of each file, or nothing, and then it is among those that are written.
    let mut contents = Vec::with_capacity(tables.files.len());
    for file in &tables.files {
        let known = file.identity.as_deref().and_then(|identity| known.get(identity));
        let known = known.filter(|content| content.size_bytes() == file.length);
        if known.is_none() {
            writer.add_file(&tables.directory().join(&file.name)).await?;
        }
        contents.push(known.copied().cloned());
    }
    let WrittenTask { segments, files, packs, pack_bytes } = writer.finish().await?;
    let mut written = files.into_iter();
    let files = tables.files.iter().zip(contents).map(|(file, known)| FileRef {
        name: file.name.clone(),
        identity: file.identity.clone(),
        content: known
            .or_else(|| written.next())
            .expect("the writer has as many files as it was given"),
    });
    let tables = Some(tables_ref(&tables, files.collect()));
    Ok(Uploaded { task, segments, tables, version, packs, pack_bytes })
}

async fn write(writer: &mut TaskWriter, segments: Vec<Segment>) -> Result<(), Error> {
    for Segment { group, full, entries, bytes } in segments {
        writer.add_segment(NewSegment { group: group.0, full, entries, bytes }).await?;
    }
    Ok(())
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
