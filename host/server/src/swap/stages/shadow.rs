//! The shadow run: the new versions are given what the running ones were given, on a copy of the state.

use std::time::Duration;

use statehouse_engine::{CaptureRequest, CaptureTicket, JobHandle, NodeKind, TaskCapture};
use statehouse_operator::shadow;

use super::Swapping;
use super::planning::Ready;
use crate::control::messages::{ShadowReport, SwapStageName};

/// After this time a shadow run makes do with the batches that came.
const PATIENCE: Duration = Duration::from_secs(10);

impl Swapping<'_> {
    /// Runs the new versions beside those that run, if that is wanted. Differences are told, and refuse the swap only
    /// if the user says so.
    pub(super) fn shadow(&self, handle: &JobHandle, ready: &Ready) -> Result<(), String> {
        let Some(batches) = self.request.shadow.filter(|batches| *batches > 0) else {
            return Ok(());
        };
        self.advance(SwapStageName::Shadow);
        let capture = |node: &String| {
            let node = node.clone();
            handle.capture(CaptureRequest { node, batches })
        };
        // Asked for together, so that they are of the same time.
        let tickets: Vec<CaptureTicket> =
            ready.nodes.iter().map(|node| capture(&node.id)).collect();
        let mut reports = Vec::new();
        for (planned, ticket) in ready.nodes.iter().zip(tickets) {
            let failed = |reason: String| format!("shadow run of `{}`: {reason}", planned.id);
            let graph = handle.graph();
            let node = graph.nodes().iter().find(|node| node.id == planned.id);
            let Some((node, NodeKind::Operator { factory: running, .. })) =
                node.map(|node| (node, &node.kind))
            else {
                continue;
            };
            for TaskCapture { task, capture } in ticket.wait(PATIENCE).map_err(failed)? {
                self.given_up()?;
                let operator = planned.factory.open(0).map_err(failed)?;
                let (before, evolution) = (running.description(), &planned.evolution);
                let comparison =
                    shadow::compare(*capture, before, evolution, operator, node.on_error);
                let comparison = comparison.map_err(failed)?;
                reports.push(ShadowReport {
                    id: planned.id.clone(),
                    task,
                    is_same: comparison.is_same(),
                    comparison: serde_json::to_value(&comparison)
                        .map_err(|error| failed(error.to_string()))?,
                });
            }
        }
        let differs = reports.iter().any(|report| !report.is_same);
        self.progress.note(|status| status.shadow = reports);
        match differs && self.request.shadow_must_match {
            true => Err("its shadow run made something else of the same records".to_owned()),
            false => Ok(()),
        }
    }
}
