//! The start of a run in the history, and swaps that the process before it did not bring to their end.

use futures::executor::block_on;
use statehouse_checkpoint::{
    CheckpointStore, ComponentVersion, Digest, Epoch, HistoryEntry, HistoryEvent, HistoryOperator,
    HistoryWriter, Manifest,
};
use statehouse_engine::{Graph, NodeKind};

use super::plan::version_of;
use crate::job_components::JobComponents;

/// What a run that starts says about itself.
#[derive(Debug)]
pub struct Starting<'a> {
    /// When.
    pub at_ms: i64,
    /// Whose process it is.
    pub who: String,
    /// What runs.
    pub graph: &'a Graph,
    /// What the job file names.
    pub components: &'a JobComponents,
    /// The checkpoint that it starts from.
    pub from: Option<&'a Manifest>,
    /// The savepoint that it starts from, if it is one.
    pub from_savepoint: Option<&'a str>,
}

/// Notes that a run starts, and what became of a swap that was under way when the process before ended. Returns what to
/// tell the user about it.
///
/// # Errors
/// If the history can be neither read nor written.
pub fn note_start(
    store: &CheckpointStore,
    history: &HistoryWriter,
    starting: &Starting<'_>,
) -> Result<Option<String>, statehouse_checkpoint::Error> {
    let told = end_unfinished(store, history, starting)?;
    let Starting { at_ms, who, graph, components, from, .. } = starting;
    let operators = graph.nodes().iter().filter_map(|node| operator(node, components)).collect();
    block_on(history.record(&HistoryEntry {
        at_ms: *at_ms,
        event: HistoryEvent::Started,
        swap: None,
        epoch: from.map(|manifest| manifest.epoch),
        operators,
        who: who.clone(),
        reason: None,
        savepoint: None,
        watch: serde_json::Value::Null,
    }))?;
    Ok(told)
}

fn operator(node: &statehouse_engine::Node, components: &JobComponents) -> Option<HistoryOperator> {
    let NodeKind::Operator { factory, .. } = &node.kind else { return None };
    let name = version_of(&**factory)?;
    let component: Digest = name.component.parse().ok()?;
    let declared = components.declared(&node.id).filter(|declared| *declared != component);
    let to = ComponentVersion { component, operator: name.operator, version: name.version };
    Some(HistoryOperator { id: node.id.clone(), from: None, to, declared })
}

/// A swap without an end was under way when its process ended.
fn end_unfinished(
    store: &CheckpointStore,
    history: &HistoryWriter,
    starting: &Starting<'_>,
) -> Result<Option<String>, statehouse_checkpoint::Error> {
    let all = block_on(store.read_history())?;
    let last = all.iter().rev().map(|record| &record.entry).find(|entry| entry.swap.is_some());
    let Some(last) = last.filter(|last| !last.event.is_end()) else { return Ok(None) };
    // A checkpoint that names the new components was made after the flip: then that is how it ended.
    let of_job = |id: &str| {
        let before = starting.from?.operators.iter().find(|one| one.id == id)?;
        before.component
    };
    let is_kept = last.operators.iter().all(|one| of_job(&one.id) == Some(one.to.component));
    let (event, epoch) = match is_kept {
        true => (HistoryEvent::Kept, starting.from.map(|manifest| manifest.epoch)),
        false => (HistoryEvent::Interrupted, starting.from.map(|manifest| manifest.epoch)),
    };
    block_on(history.record(&HistoryEntry {
        at_ms: starting.at_ms,
        event,
        epoch,
        reason: Some("the process ended in the middle of it".to_owned()),
        ..last.clone()
    }))?;
    let is_needed = |name: &str| starting.from_savepoint == Some(name);
    let left = last.savepoint.as_ref().filter(|left| !left.is_users && !is_needed(&left.name));
    if let Some(savepoint) = left {
        match block_on(store.delete_savepoint(&savepoint.name)) {
            Ok(()) | Err(statehouse_checkpoint::Error::Missing { .. }) => {}
            Err(error) => {
                let (name, error) = (&savepoint.name, error.chain());
                tracing::warn!(
                    "savepoint `{name}` stays: {error}; `statehouse savepoint delete` removes it"
                );
            }
        }
    }
    Ok(Some(told(last, is_kept, epoch)))
}

fn told(last: &HistoryEntry, is_kept: bool, epoch: Option<Epoch>) -> String {
    let ids: Vec<String> = last.operators.iter().map(|one| format!("`{}`", one.id)).collect();
    let from = epoch.map(|epoch| format!(" from checkpoint {epoch}")).unwrap_or_default();
    let how = match is_kept {
        true => "it was kept: the checkpoint has the new component",
        false => {
            "it is undone: the job goes on with the component as before; ask for the swap again"
        }
    };
    let ids = ids.join(", ");
    format!("a swap of {ids} was under way when the process ended; resuming{from}, {how}")
}
