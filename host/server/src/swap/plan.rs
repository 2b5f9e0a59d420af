//! The plan of a swap: what would become of states, timers, ports and imports, said before anything is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use statehouse_engine::{Graph, Node, NodeKind, OperatorFactory};
use statehouse_operator::evolution::{self, Evolution, Left};
use statehouse_operator::{CanaryShare, ChangeKind, canary_refusal};

use crate::control::messages::{Approval, CreateSwap, OperatorPlan, SwapPlan, VersionName};
use crate::wasm_factory::WasmFactory;

/// A new version of an operator, as it is asked for.
pub struct Candidate {
    /// The operator's id in the job.
    pub id: String,
    /// What makes it.
    pub factory: WasmFactory,
    /// What the running version has left.
    pub left: Left,
    /// What the running component imports; `None` if the operator that runs is none of a component.
    pub imports_before: Option<BTreeSet<String>>,
}

/// What an operator gets if the plan is accepted.
#[derive(Debug, Clone)]
pub struct PlannedNode {
    /// The operator's id in the job.
    pub id: String,
    /// What makes it.
    pub factory: Arc<dyn OperatorFactory>,
    /// How it takes the state over.
    pub evolution: Evolution,
}

/// A plan, and what it would be done with.
#[derive(Debug)]
pub struct Planned {
    /// What a user sees.
    pub plan: SwapPlan,
    /// What the engine gets; complete only if the plan is accepted.
    pub nodes: Vec<PlannedNode>,
}

/// Compares each candidate with what runs.
pub fn plan(graph: &Graph, candidates: Vec<Candidate>, request: &CreateSwap) -> Planned {
    let mut planned = Planned { plan: SwapPlan::default(), nodes: Vec::new() };
    for candidate in candidates {
        let Some(node) = graph.nodes().iter().find(|node| node.id == candidate.id) else {
            continue;
        };
        let NodeKind::Operator { factory: running, .. } = &node.kind else { continue };
        operator(graph, node, &**running, candidate, request, &mut planned);
    }
    if planned.plan.refusals.is_empty() {
        let factories: BTreeMap<String, Arc<dyn OperatorFactory>> =
            planned.nodes.iter().map(|node| (node.id.clone(), Arc::clone(&node.factory))).collect();
        // Whatever the ports alone do not tell: an input that nothing feeds, an output that others name.
        if let Err(error) = graph.with_factories(&factories) {
            planned.plan.refusals.push(error.to_string());
        }
    }
    let missing = planned.plan.approvals.iter().any(|approval| !approval.given);
    planned.plan.accepted = planned.plan.refusals.is_empty() && !missing;
    planned
}

fn operator(
    graph: &Graph,
    node: &Node,
    running: &dyn OperatorFactory,
    candidate: Candidate,
    request: &CreateSwap,
    planned: &mut Planned,
) {
    let Candidate { id, factory, left, imports_before } = candidate;
    let (before, now) = (running.description(), factory.description().clone());
    let mut refusals = Vec::new();
    let mut changes = Vec::new();
    // Dropping is planned in any case, so that all that stands in the way is said at once.
    let evolution = evolution::plan(&left, &now, &factory.migrations(), true);
    match &evolution {
        Ok(evolution) => changes.extend(evolution.changes.iter().cloned()),
        Err(reasons) => refusals.extend(reasons.iter().cloned()),
    }
    match evolution::ports(before, &now, &used_outputs(graph, node, before)) {
        Ok(ports) => changes.extend(ports),
        Err(reasons) => refusals.extend(reasons),
    }
    if let Some(percent) = request.canary {
        if CanaryShare::of_percent(percent).is_none() {
            refusals.push(format!(
                "a canary of {percent} % cannot be: say more than 0 and at most 100"
            ));
        }
        refusals.extend(canary_refusal(before, &now));
    }
    // A component that refuses its settings, or never comes back from `open`, shows here.
    if let Err(reason) = factory.open(0) {
        refusals.push(format!("it cannot be opened: {reason}"));
    }
    let refusals = refusals.into_iter().map(|reason| format!("operator `{id}`: {reason}"));
    planned.plan.refusals.extend(refusals);
    let approvals = &mut planned.plan.approvals;
    if evolution.as_ref().is_ok_and(Evolution::needs_approval) {
        let dropped = changes.iter().filter(|change| change.kind == ChangeKind::Dropped);
        let dropped: Vec<&str> = dropped.map(|change| change.what.as_str()).collect();
        let dropped = dropped.join(", ");
        approvals.push(Approval {
            what: format!("operator `{id}` drops {dropped}, with all that is in it"),
            pass: "allow-dropped-state".to_owned(),
            given: request.allow_dropped_state,
        });
    }
    let new_imports: Vec<String> = match imports_before {
        Some(before) => factory.imports().difference(&before).cloned().collect(),
        None => Vec::new(),
    };
    if !new_imports.is_empty() {
        approvals.push(Approval {
            what: format!("operator `{id}` asks for more than before: {}", new_imports.join(", ")),
            pass: "allow-new-imports".to_owned(),
            given: request.allow_new_imports,
        });
    }
    let (from, to) = (version_of(running), version_of(&factory));
    let to = to.expect("a component's operator has a digest");
    if let Some(from) = &from
        && from.component == to.component
        && from.operator != to.operator
    {
        // Checkpoints tell versions apart by their components.
        planned.plan.refusals.push(format!(
            "operator `{id}`: `{}` and `{}` are operators of the same component, and a swap goes from one component to \
             another: stop the job and change `operator` in its file",
            from.operator, to.operator
        ));
    }
    planned.plan.operators.push(OperatorPlan { id: id.clone(), from, to, changes, new_imports });
    if let Ok(evolution) = evolution {
        planned.nodes.push(PlannedNode { id, factory: Arc::new(factory), evolution });
    }
}

/// The component and version of an operator; `None` if it is none of a component.
pub(super) fn version_of(factory: &dyn OperatorFactory) -> Option<VersionName> {
    let description = factory.description();
    let (operator, version) = (description.name.clone(), description.version.clone());
    factory.component().map(|component| VersionName { component, operator, version })
}

/// The places of the outputs that other nodes read.
fn used_outputs(
    graph: &Graph,
    node: &Node,
    description: &statehouse_operator::Description,
) -> Vec<u32> {
    let wires: BTreeSet<&str> = graph
        .nodes()
        .iter()
        .flat_map(|node| match &node.kind {
            NodeKind::Source(_) => Vec::new(),
            NodeKind::Operator { inputs, .. } => inputs.values().flatten().collect(),
            NodeKind::Sink { inputs, .. } => inputs.iter().collect(),
        })
        .map(String::as_str)
        .collect();
    let is_used = |port: &str| {
        // A node's id alone names its only output.
        wires.contains(node.id.as_str()) || wires.contains(format!("{}.{port}", node.id).as_str())
    };
    let outputs = description.outputs.iter().zip(0..);
    outputs.filter(|(port, _)| is_used(&port.name)).map(|(_, place)| place).collect()
}
