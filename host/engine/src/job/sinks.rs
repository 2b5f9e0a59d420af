//! The sinks of a job when it starts: what the checkpoint promised is made visible, what it does not know of goes.

use serde_json::Value;

use crate::connector::{ConnectorError, SinkFactory};
use crate::error::JobError;
use crate::graph::{Graph, NodeKind};
use crate::recovery::RestorePoint;

/// Asks all sinks whether they can go on. Changes nothing.
pub(super) fn check(graph: &Graph, restore: Option<&RestorePoint>) -> Result<(), JobError> {
    for_each(graph, restore, |sink, tokens| sink.check_recovery(tokens))
}

/// Recovers all sinks.
pub(super) fn recover(graph: &Graph, restore: Option<&RestorePoint>) -> Result<(), JobError> {
    for_each(graph, restore, |sink, tokens| sink.recover(tokens))
}

fn for_each(
    graph: &Graph,
    restore: Option<&RestorePoint>,
    act: impl Fn(&dyn SinkFactory, &[Value]) -> Result<(), ConnectorError>,
) -> Result<(), JobError> {
    // What another job had prepared is that job's to commit.
    let restore = restore.filter(|restore| !restore.fork);
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
