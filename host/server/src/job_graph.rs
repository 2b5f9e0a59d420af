//! From a job file to a checked graph: components are loaded, inputs found, references resolved. Touches nothing.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use statehouse_connectors::SinkSettings;
use statehouse_connectors::settings::{DirectorySettings, Existing, StdoutSettings};
use statehouse_engine::{ConnectorError, DEAD_LETTERS, Graph, Node, NodeKind, OperatorFactory};
use statehouse_operator::ErrorPolicy;
use statehouse_wasm::Limits;

use crate::environment::Environment;
use crate::job_components::{Builder, JobComponents, LoadError, quoted};
use crate::job_file::{JobFile, OperatorFields, Wires};
use crate::wasm_factory::WasmFactory;

/// Why a job file does not become a graph.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum JobGraphError {
    #[error("operator `{node}`: cannot read its component `{}`; `statehouse build` makes it", path.display())]
    Read {
        node: String,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("operator `{node}`: the component `{}` {source}", path.display())]
    Component { node: String, path: PathBuf, source: statehouse_wasm::Error },
    #[error(
        "operator `{node}`: the component `{}` has several operators, none of them named like the node: say \
         `operator = …` with one of: {known}",
        path.display()
    )]
    AmbiguousOperator { node: String, path: PathBuf, known: String },
    #[error(
        "operator `{node}` has several inputs: write `inputs = {{ PORT = … }}` instead of `input`, with the ports: \
         {known}"
    )]
    SeveralInputs { node: String, known: String },
    #[error("{0}")]
    Engine(statehouse_wasm::Error),
    #[error("`{node}`: {source}")]
    Connector { node: String, source: ConnectorError },
    #[error(transparent)]
    Graph(#[from] statehouse_engine::GraphError),
}

/// Loads what the job file names and checks how it fits together.
///
/// # Errors
/// The first thing that is not there or does not fit.
pub fn build(
    file: &JobFile,
    environment: &Environment,
) -> Result<(Graph, JobComponents), JobGraphError> {
    let base = file.directory();
    let mut nodes = Vec::new();
    for source in &file.sources {
        let factory = source.settings.open_factory(base).map_err(|error| {
            JobGraphError::Connector { node: source.node.id.clone(), source: error }
        })?;
        nodes.push(Node {
            parallelism: source.node.parallelism,
            watermark_lag: source.node.watermark_lag.map(|lag| lag.as_i64()),
            on_error: source.node.on_error,
            ..Node::new(&source.node.id, NodeKind::Source(factory))
        });
    }
    let mut components = JobComponents::start(file, environment).map_err(JobGraphError::Engine)?;
    for operator in &file.operators {
        nodes.push(operator_node(file, operator, &mut components)?);
    }
    for sink in &file.sinks {
        let inputs = sink.node.input.0.clone();
        let settings = sink_settings(&sink.settings, file.checkpoint.is_some());
        nodes.push(sink_node(base, &sink.node.id, &settings, inputs, sink.node.parallelism)?);
    }
    nodes.extend(dead_letters_node(file, base, &nodes)?);
    let graph = Graph::check(&file.job.name, file.job.key_groups, nodes)?;
    for output in untaken_outputs(graph.nodes()) {
        tracing::warn!("`{output}` goes nowhere: no `input` names it, so its records are dropped");
    }
    Ok((graph, components.finish()))
}

/// Without checkpoints the only one is that of the end: what is printed would wait for it, and nothing be gained.
fn sink_settings(settings: &SinkSettings, has_checkpoints: bool) -> SinkSettings {
    match settings {
        SinkSettings::Stdout(settings) if !has_checkpoints => {
            SinkSettings::Stdout(StdoutSettings { immediate: true, ..settings.clone() })
        }
        settings => settings.clone(),
    }
}

/// The outputs of operators that no input names.
fn untaken_outputs(nodes: &[Node]) -> Vec<String> {
    let wires: BTreeSet<&str> = nodes
        .iter()
        .flat_map(|node| match &node.kind {
            NodeKind::Source(_) => Vec::new(),
            NodeKind::Operator { inputs, .. } => inputs.values().flatten().collect(),
            NodeKind::Sink { inputs, .. } => inputs.iter().collect(),
        })
        .map(String::as_str)
        .collect();
    let mut untaken = Vec::new();
    for node in nodes {
        let NodeKind::Operator { factory, .. } = &node.kind else { continue };
        // A node's id alone names its only output.
        if wires.contains(node.id.as_str()) {
            continue;
        }
        let outputs = factory.description().outputs.iter();
        let outputs = outputs.map(|port| format!("{}.{}", node.id, port.name));
        untaken.extend(outputs.filter(|output| !wires.contains(output.as_str())));
    }
    untaken
}

fn sink_node(
    base: &Path,
    id: &str,
    settings: &SinkSettings,
    inputs: Vec<String>,
    parallelism: u32,
) -> Result<Node, JobGraphError> {
    let factory = settings
        .open_factory(base)
        .map_err(|source| JobGraphError::Connector { node: id.to_owned(), source })?;
    let node = Node::new(id, NodeKind::Sink { factory, inputs });
    Ok(node.with_parallelism(parallelism))
}

/// The sink that takes the dead letters of every node that sends any.
fn dead_letters_node(
    file: &JobFile,
    base: &Path,
    nodes: &[Node],
) -> Result<Option<Node>, JobGraphError> {
    let Some(table) = &file.dead_letters else { return Ok(None) };
    let senders = nodes.iter().filter(|node| node.on_error == ErrorPolicy::DeadLetter);
    let inputs: Vec<String> = senders.map(|node| format!("{}.{DEAD_LETTERS}", node.id)).collect();
    if inputs.is_empty() {
        tracing::warn!("`[dead-letters]` takes nothing: no node has `on-error = \"dead-letter\"`");
        return Ok(None);
    }
    let settings = SinkSettings::Jsonl(DirectorySettings {
        path: table.path.clone(),
        with_key: false,
        with_time: false,
        existing: Existing::Refuse,
    });
    sink_node(base, DEAD_LETTERS, &settings, inputs, 1).map(Some)
}

fn operator_node(
    file: &JobFile,
    fields: &OperatorFields,
    components: &mut Builder,
) -> Result<Node, JobGraphError> {
    let node = || fields.id.clone();
    let path = file.directory().join(&fields.component);
    let limits = limits(fields);
    let loaded = components.load(fields, &path, limits).map_err(|error| match error {
        LoadError::Read(source) => JobGraphError::Read { node: node(), path: path.clone(), source },
        LoadError::Component(source) => {
            JobGraphError::Component { node: node(), path: path.clone(), source }
        }
    });
    let (component, settings, digest) = loaded?;
    let name = match (&fields.operator, component.operators()) {
        (Some(name), _) => name.clone(),
        (None, [only]) => only.name.clone(),
        (None, several) if several.iter().any(|found| found.name == fields.id) => node(),
        (None, several) => {
            let known = quoted(several.iter().map(|found| &found.name));
            return Err(JobGraphError::AmbiguousOperator { node: node(), path, known });
        }
    };
    let factory = WasmFactory::new(&component, &name, settings, limits)
        .map_err(|source| JobGraphError::Component { node: node(), path, source })?
        .declared(Some(digest));
    let ports = &factory.description().inputs;
    let inputs: BTreeMap<String, Vec<String>> = match (&fields.input, &fields.inputs, &ports[..]) {
        (Some(Wires(wires)), _, [port]) => [(port.name.clone(), wires.clone())].into(),
        (Some(_), _, ports) => {
            let known = quoted(ports.iter().map(|port| &port.name));
            return Err(JobGraphError::SeveralInputs { node: node(), known });
        }
        (None, inputs, _) => {
            let inputs = inputs.iter().flatten();
            inputs.map(|(port, Wires(wires))| (port.clone(), wires.clone())).collect()
        }
    };
    let kind = NodeKind::Operator { factory: Arc::new(factory), inputs };
    Ok(Node {
        parallelism: fields.parallelism.unwrap_or(file.job.parallelism),
        watermark_lag: fields.watermark_lag.map(|lag| lag.as_i64()),
        on_error: fields.on_error,
        ..Node::new(&fields.id, kind)
    })
}

fn limits(fields: &OperatorFields) -> Limits {
    let default = Limits::default();
    Limits {
        memory_bytes: fields
            .memory_limit
            .map_or(default.memory_bytes, |size| usize::try_from(size.0).unwrap_or(usize::MAX)),
        deadline: fields.deadline.map_or(default.deadline, |deadline| deadline.0),
        ..default
    }
}
