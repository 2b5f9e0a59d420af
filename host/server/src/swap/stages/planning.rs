//! Planning: which components are meant, whether they load within the limits, and what the swap would mean.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::executor::block_on;
use statehouse_checkpoint::{Check, Manifest};
use statehouse_engine::{Graph, JobHandle, NodeKind};
use statehouse_operator::Retired;
use statehouse_operator::evolution::Left;

use super::Swapping;
use crate::control::messages::{SwapOperator, SwapPlan, SwapTo};
use crate::job_components::quoted;
use crate::swap::components;
use crate::swap::conductor::lock;
use crate::swap::plan::{Candidate, Planned, PlannedNode, plan};

/// A swap that is planned.
pub(super) struct Ready {
    pub(super) plan: SwapPlan,
    pub(super) nodes: Vec<PlannedNode>,
    /// What is to be in the store before the swap.
    pub(super) components: Vec<Bytes>,
}

impl Swapping<'_> {
    pub(super) fn plan(&self, handle: &JobHandle) -> Result<Ready, String> {
        let graph = handle.graph();
        let newest = block_on(self.store.newest_valid(Check::Manifest));
        let newest = newest.map_err(|error| {
            let error = error.chain();
            format!("what earlier versions left cannot be seen, since no checkpoint can be read: {error}")
        })?;
        let newest = newest.manifest;
        let mut candidates = Vec::new();
        let mut bytes = BTreeMap::new();
        for operator in &self.request.operators {
            let (candidate, component) = self.candidate(&graph, newest.as_ref(), operator)?;
            bytes.insert(component.0, component.1);
            candidates.push(candidate);
        }
        let Planned { plan, nodes } = plan(&graph, candidates, self.request);
        Ok(Ready { plan, nodes, components: bytes.into_values().collect() })
    }

    fn candidate(
        &self,
        graph: &Graph,
        newest: Option<&Manifest>,
        operator: &SwapOperator,
    ) -> Result<(Candidate, (statehouse_checkpoint::Digest, Bytes)), String> {
        let SwapOperator { id, to, operator: name } = operator;
        let node = graph.nodes().iter().find(|node| node.id == *id);
        let Some(NodeKind::Operator { factory: running, .. }) = node.map(|node| &node.kind) else {
            let is_operator = |kind: &NodeKind| matches!(kind, NodeKind::Operator { .. });
            let known = graph.nodes().iter().filter(|node| is_operator(&node.kind));
            let known = quoted(known.map(|node| &node.id));
            let known = if known.is_empty() { "none".to_owned() } else { known };
            return Err(format!("the job has no operator `{id}`; its operators are: {known}"));
        };
        let before = running.component().and_then(|digest| digest.parse().ok());
        // A store may take its time, and others wait for what this guards.
        let waiting = lock(&self.shared.waiting).clone();
        let mut name = name.clone();
        let digest = match (to, before) {
            (SwapTo::Component(text), _) => components::named(text, &waiting, self.store)?,
            (SwapTo::Back, Some(now)) => {
                let version = components::before(id, now, self.store)?;
                name.get_or_insert(version.operator);
                version.component
            }
            (SwapTo::Back, None) => return Err(format!("operator `{id}` has no component")),
        };
        let bytes = components::bytes(digest, &waiting, self.store)?;
        let description = running.description().clone();
        let factory = self
            .shared
            .components
            .factory(id, &bytes, name.as_deref(), &description.name)
            .map_err(|error| format!("operator `{id}`: {error}"))?;
        let retired = retired(newest, id, before)?;
        let imports_before = before.and_then(|before| self.shared.components.imports(before));
        let left = Left { description, retired };
        let candidate = Candidate { id: id.clone(), factory, left, imports_before };
        Ok((candidate, (digest, bytes)))
    }
}

/// What of the operator's earlier versions is still there. A swap ends with a checkpoint that says so; a run that was
/// started with another component has said nothing before its first one.
fn retired(
    newest: Option<&Manifest>,
    id: &str,
    running: Option<statehouse_checkpoint::Digest>,
) -> Result<Retired, String> {
    let before = newest.and_then(|newest| newest.operators.iter().find(|one| one.id == id));
    let Some(before) = before else { return Ok(Retired::default()) };
    if before.component != running {
        return Err(format!(
            "operator `{id}` was started with another component than that of the newest checkpoint, and there is none \
             since: wait for one, or take one by `statehouse savepoint create`"
        ));
    }
    let Some(retired) = before.retired.clone() else { return Ok(Retired::default()) };
    serde_json::from_value(retired).map_err(|error| {
        format!("what earlier versions of operator `{id}` left cannot be read in the newest checkpoint: {error}")
    })
}

/// Why a plan is not accepted, and what to do about it.
pub(super) fn why_not(plan: &SwapPlan) -> String {
    let missing = plan.approvals.iter().filter(|approval| !approval.given);
    let missing = missing.map(|approval| format!("{}: pass `--{}`", approval.what, approval.pass));
    let all: Vec<String> = plan.refusals.iter().cloned().chain(missing).collect();
    all.join("\n")
}
