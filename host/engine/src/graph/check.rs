//! The checks that a job graph must pass before anything runs.

use std::collections::BTreeMap;

use statehouse_operator::{ErrorPolicy, Port};
use statehouse_state::KeyGroups;

use super::{DEAD_LETTERS, Edge, Exchange, Node, NodeKind, Output, dead_letter_port};

/// Why a job graph cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum GraphError {
    #[error("the job has no source: add a `[[source]]`")]
    NoSource,
    #[error(
        "two nodes have the id `{id}`: ids tell the states of a job apart, so each must be unique"
    )]
    DuplicateId { id: String },
    #[error("the id `{id}` cannot be used: an id is letters, digits, `-` and `_`, not empty")]
    BadId { id: String },
    #[error("`{node}`: parallelism is {parallelism}; it must be 1 to {max} (the job's key groups)")]
    Parallelism { node: String, parallelism: u32, max: u32 },
    #[error(
        "`{node}` takes its input from `{input}`, but there is no node `{id}`; there are: {known}"
    )]
    UnknownNode { node: String, input: String, id: String, known: String },
    #[error(
        "`{node}` takes its input from `{input}`, but `{from}` has no output `{port}`; it has: {known}"
    )]
    UnknownOutput { node: String, input: String, from: String, port: String, known: String },
    #[error(
        "`{node}` takes its input from `{from}`, which has several outputs: say `{from}.PORT` with one of: {known}"
    )]
    AmbiguousOutput { node: String, from: String, known: String },
    #[error("operator `{node}` has no input `{port}`; it has: {known}")]
    UnknownInput { node: String, port: String, known: String },
    #[error(
        "input `{port}` of `{node}` is fed by nothing: say what feeds it by the node's `input` or `inputs`"
    )]
    UnfedInput { node: String, port: String },
    #[error("`{input}` does not fit input `{port}` of `{node}`: {reason}")]
    Mismatch { node: String, port: String, input: String, reason: String },
    #[error("sink `{node}` cannot take `{input}`: {reason}")]
    Sink { node: String, input: String, reason: String },
    #[error("the graph has a cycle: {path}")]
    Cycle { path: String },
    #[error(
        "`{node}` sends bad records to the dead letters, but nothing takes them: add a `[dead-letters]` table, or a \
         sink with `input = \"{node}.dead-letters\"`"
    )]
    UntakenDeadLetters { node: String },
    #[error("operator `{node}` cannot run: {reason}")]
    Description { node: String, reason: String },
    #[error("there is no operator `{id}` in the job; there are: {known}")]
    UnknownOperator { id: String, known: String },
}

impl GraphError {
    pub(super) fn no_operator(id: &str, nodes: &[Node]) -> Self {
        let is_operator = |node: &&Node| matches!(node.kind, NodeKind::Operator { .. });
        let known = listed(nodes.iter().filter(is_operator).map(|node| &node.id));
        Self::UnknownOperator { id: id.to_owned(), known }
    }
}

/// Checks nodes and resolves their references to edges.
pub(super) fn check(key_groups: KeyGroups, nodes: &[Node]) -> Result<Vec<Edge>, GraphError> {
    let by_id = check_nodes(key_groups, nodes)?;
    let mut edges = Vec::new();
    for (to, node) in nodes.iter().enumerate() {
        match &node.kind {
            NodeKind::Source(_) => {}
            NodeKind::Operator { factory, inputs } => {
                let ports = &factory.description().inputs;
                connect_operator(nodes, &by_id, to, ports, inputs, &mut edges)?;
            }
            NodeKind::Sink { factory, inputs } => {
                let mut first: Option<Port> = None;
                for reference in inputs {
                    let (from, output, offered) = resolve(nodes, &by_id, node, reference)?;
                    let (node_id, input) = (node.id.clone(), reference.clone());
                    let refused = |reason| GraphError::Sink { node: node_id, input, reason };
                    match &first {
                        Some(first) if !same_types(first, &offered) => {
                            return Err(refused(format!(
                                "it differs in type from `{}`",
                                inputs[0]
                            )));
                        }
                        _ => factory.check(&offered).map_err(refused)?,
                    }
                    first.get_or_insert(offered);
                    let exchange = exchange(&nodes[from], node, None);
                    edges.push(Edge { from, output, to, input: 0, exchange });
                }
                if first.is_none() {
                    let (node, port) = (node.id.clone(), "input".to_owned());
                    return Err(GraphError::UnfedInput { node, port });
                }
            }
        }
    }
    check_dead_letters(nodes, &edges)?;
    check_cycles(nodes, &edges)?;
    Ok(edges)
}

fn connect_operator(
    nodes: &[Node],
    by_id: &BTreeMap<&str, usize>,
    to: usize,
    ports: &[Port],
    inputs: &BTreeMap<String, Vec<String>>,
    edges: &mut Vec<Edge>,
) -> Result<(), GraphError> {
    let node = &nodes[to];
    if let Some(port) = inputs.keys().find(|name| !ports.iter().any(|port| &&port.name == name)) {
        let (node, known) = (node.id.clone(), listed(ports.iter().map(|port| &port.name)));
        return Err(GraphError::UnknownInput { node, port: port.clone(), known });
    }
    for (input, port) in ports.iter().enumerate() {
        let feeding = inputs.get(&port.name).map_or(&[][..], Vec::as_slice);
        if feeding.is_empty() {
            let (node, port) = (node.id.clone(), port.name.clone());
            return Err(GraphError::UnfedInput { node, port });
        }
        for reference in feeding {
            let (from, output, offered) = resolve(nodes, by_id, node, reference)?;
            check_types(node, port, reference, &offered)?;
            let exchange = exchange(&nodes[from], node, Some(port));
            edges.push(Edge { from, output, to, input: input as u32, exchange });
        }
    }
    Ok(())
}

fn same_types(one: &Port, other: &Port) -> bool {
    let same_keys = match (&one.key, &other.key) {
        (Some(one), Some(other)) => one.matches(other),
        (None, None) => true,
        _ => false,
    };
    same_keys && one.value.matches(&other.value)
}

fn check_nodes(key_groups: KeyGroups, nodes: &[Node]) -> Result<BTreeMap<&str, usize>, GraphError> {
    let mut by_id = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if node.id.is_empty() || !node.id.chars().all(good) {
            return Err(GraphError::BadId { id: node.id.clone() });
        }
        if by_id.insert(node.id.as_str(), index).is_some() {
            return Err(GraphError::DuplicateId { id: node.id.clone() });
        }
        if !(1..=key_groups.count()).contains(&node.parallelism) {
            return Err(GraphError::Parallelism {
                node: node.id.clone(),
                parallelism: node.parallelism,
                max: key_groups.count(),
            });
        }
        if let NodeKind::Operator { factory, .. } = &node.kind {
            let describe = |reason| GraphError::Description { node: node.id.clone(), reason };
            factory.description().check().map_err(describe)?;
        }
    }
    if !nodes.iter().any(|node| matches!(node.kind, NodeKind::Source(_))) {
        return Err(GraphError::NoSource);
    }
    Ok(by_id)
}

/// Finds the output that a reference names: its node, which output, and its port.
fn resolve(
    nodes: &[Node],
    by_id: &BTreeMap<&str, usize>,
    node: &Node,
    reference: &str,
) -> Result<(usize, Output, Port), GraphError> {
    let (id, port) = match reference.split_once('.') {
        Some((id, port)) => (id, Some(port)),
        None => (reference, None),
    };
    let Some(&from) = by_id.get(id) else {
        return Err(GraphError::UnknownNode {
            node: node.id.clone(),
            input: reference.to_owned(),
            id: id.to_owned(),
            known: listed(by_id.keys()),
        });
    };
    let outputs = nodes[from].outputs();
    let known = || listed(outputs.iter().map(|port| &port.name));
    let is_sink = matches!(nodes[from].kind, NodeKind::Sink { .. });
    match port {
        Some(DEAD_LETTERS) if !is_sink => Ok((from, Output::DeadLetters, dead_letter_port())),
        None if outputs.len() > 1 => {
            let (node, from) = (node.id.clone(), id.to_owned());
            Err(GraphError::AmbiguousOutput { node, from, known: known() })
        }
        _ => {
            let found = outputs.iter().position(|known| port.is_none_or(|port| known.name == port));
            let Some(index) = found else {
                return Err(GraphError::UnknownOutput {
                    node: node.id.clone(),
                    input: reference.to_owned(),
                    from: id.to_owned(),
                    port: port.unwrap_or("(any)").to_owned(),
                    known: known(),
                });
            };
            Ok((from, Output::Port(index as u32), outputs[index].clone()))
        }
    }
}

fn check_types(node: &Node, port: &Port, input: &str, offered: &Port) -> Result<(), GraphError> {
    let mismatch = |reason| GraphError::Mismatch {
        node: node.id.clone(),
        port: port.name.clone(),
        input: input.to_owned(),
        reason,
    };
    if !offered.value.matches(&port.value) {
        let (given, wanted) = (&offered.value, &port.value);
        return Err(mismatch(format!("its values are {given}, the input takes {wanted}")));
    }
    match (&port.key, &offered.key) {
        (Some(wanted), None) => Err(mismatch(format!(
            "its records have no key, the input is keyed by {wanted}; emit keyed records, or name the source's `key`"
        ))),
        (Some(wanted), Some(given)) if !given.matches(wanted) => {
            Err(mismatch(format!("its keys are {given}, the input's are {wanted}")))
        }
        _ => Ok(()),
    }
}

fn exchange(from: &Node, to: &Node, port: Option<&Port>) -> Exchange {
    if port.is_some_and(|port| port.key.is_some()) {
        Exchange::Keyed
    } else if port.is_some_and(|port| port.broadcast) {
        Exchange::Broadcast
    } else if from.parallelism == to.parallelism {
        Exchange::Forward
    } else {
        Exchange::Rebalance
    }
}

fn check_dead_letters(nodes: &[Node], edges: &[Edge]) -> Result<(), GraphError> {
    for (index, node) in nodes.iter().enumerate() {
        let taken =
            edges.iter().any(|edge| edge.from == index && edge.output == Output::DeadLetters);
        if node.on_error == ErrorPolicy::DeadLetter && !taken {
            return Err(GraphError::UntakenDeadLetters { node: node.id.clone() });
        }
    }
    Ok(())
}

/// Takes away nodes that nothing left feeds; what remains in the end goes in circles.
fn check_cycles(nodes: &[Node], edges: &[Edge]) -> Result<(), GraphError> {
    let mut left: Vec<usize> = (0..nodes.len()).collect();
    loop {
        let fed = |to: usize, left: &[usize]| {
            edges.iter().any(|edge| edge.to == to && left.contains(&edge.from))
        };
        let next: Vec<usize> = left.iter().copied().filter(|&node| fed(node, &left)).collect();
        if next.len() == left.len() {
            break;
        }
        left = next;
    }
    let Some(&start) = left.first() else { return Ok(()) };
    // Walking against the edges from any node that is left stays among those, and so must come around.
    let mut path = vec![start];
    loop {
        let last = *path.last().expect("starts with a node");
        let before = edges.iter().find(|edge| edge.to == last && left.contains(&edge.from));
        let before = before.expect("every node that is left is fed by one that is").from;
        if let Some(at) = path.iter().position(|&node| node == before) {
            path.drain(..at);
            path[1..].reverse();
            path.push(path[0]);
            let names: Vec<&str> = path.iter().map(|&node| nodes[node].id.as_str()).collect();
            return Err(GraphError::Cycle { path: names.join(" → ") });
        }
        path.push(before);
    }
}

fn listed<S: AsRef<str>>(names: impl Iterator<Item = S>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{}`", name.as_ref())).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
