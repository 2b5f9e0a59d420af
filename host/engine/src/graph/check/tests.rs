//! Every way in which a job graph can be wrong, and what the user is told.

use std::sync::Arc;

use serde_json::Value;
use statehouse_operator::{Codec, Description, KeyType, Operator, ValueType};
use statehouse_state::{KeyLayout, ValueLayout};

use super::super::{Graph, OperatorFactory};
use super::*;
use crate::connector::{ConnectorError, Sink, SinkFactory, Source, SourceFactory};

/// Declares things and never opens anything.
#[derive(Debug)]
struct Declared(Description);

impl OperatorFactory for Declared {
    fn description(&self) -> &Description {
        &self.0
    }

    fn component(&self) -> Option<String> {
        None
    }

    fn open(&self, _task: u32) -> Result<Box<dyn Operator>, String> {
        Err("only its declaration is wanted".into())
    }
}

#[derive(Debug)]
struct DeclaredSource(Port);

impl SourceFactory for DeclaredSource {
    fn port(&self) -> &Port {
        &self.0
    }

    fn open(&self, _: u32, _: u32, _: &[Value]) -> Result<Box<dyn Source>, ConnectorError> {
        Err(ConnectorError::new("only its declaration is wanted"))
    }
}

/// Takes JSON only.
#[derive(Debug)]
struct DeclaredSink;

impl SinkFactory for DeclaredSink {
    fn check(&self, input: &Port) -> Result<(), String> {
        let json = ValueType::new(ValueLayout::Bytes, Codec::Json);
        if input.value.matches(&json) { Ok(()) } else { Err("it takes json".into()) }
    }

    fn check_recovery(&self, _: &[Value]) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn recover(&self, _: &[Value]) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn open(&self, _: u32, _: &Port) -> Result<Box<dyn Sink>, ConnectorError> {
        Err(ConnectorError::new("only its declaration is wanted"))
    }
}

fn port(name: &str, key: Option<KeyLayout>, codec: Codec) -> Port {
    let key = key.map(|layout| KeyType { layout, codec: Codec::Text, schema: None });
    let value = ValueType::new(ValueLayout::Bytes, codec);
    Port { name: name.into(), key, value, broadcast: false }
}

fn source(id: &str) -> Node {
    Node::new(id, NodeKind::Source(Arc::new(DeclaredSource(port("out", None, Codec::Json)))))
}

/// Unkeyed input `in`, outputs `good` (keyed by u64) and `bad`.
fn operator(id: &str, input: &str) -> Node {
    operator_with(id, &[("in", input)], |_| {})
}

fn operator_with(id: &str, inputs: &[(&str, &str)], change: impl Fn(&mut Description)) -> Node {
    let mut description = Description {
        name: id.into(),
        version: "1".into(),
        inputs: vec![port("in", None, Codec::Json)],
        outputs: vec![
            port("good", Some(KeyLayout::U64), Codec::Json),
            port("bad", None, Codec::Text),
        ],
        states: vec![],
        timers: vec![],
        task_states: vec![],
        metrics: vec![],
    };
    change(&mut description);
    let inputs = inputs.iter().map(|(port, from)| ((*port).into(), vec![(*from).into()])).collect();
    Node::new(id, NodeKind::Operator { factory: Arc::new(Declared(description)), inputs })
}

fn sink(id: &str, inputs: &[&str]) -> Node {
    let inputs = inputs.iter().map(|input| (*input).into()).collect();
    Node::new(id, NodeKind::Sink { factory: Arc::new(DeclaredSink), inputs })
}

fn refused(nodes: Vec<Node>, expected: &str) {
    let error = Graph::check("job", KeyGroups::DEFAULT, nodes).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}\n  does not say: {expected}");
}

#[test]
fn a_good_graph_passes() {
    let nodes = vec![
        source("a"),
        operator("b", "a"),
        sink("c", &["b.good"]),
        sink("d", &["b.dead-letters", "a"]),
    ];
    let graph = Graph::check("job", KeyGroups::DEFAULT, nodes).unwrap();
    assert_eq!(graph.edges.len(), 4);
}

#[test]
fn ids_must_be_unique_and_plain() {
    refused(vec![], "no source");
    refused(vec![source("a"), source("a")], "two nodes have the id `a`");
    refused(vec![source("a b")], "the id `a b` cannot be used");
    refused(vec![source("a").with_parallelism(129)], "parallelism is 129; it must be 1 to 128");
    refused(vec![source("a").with_parallelism(0)], "parallelism is 0");
}

#[test]
fn references_must_lead_somewhere() {
    refused(vec![source("a"), sink("c", &["x"])], "no node `x`; there are: `a`, `c`");
    refused(vec![source("a"), sink("c", &["a.x"])], "`a` has no output `x`; it has: `out`");
    refused(vec![source("a"), sink("c", &["c"])], "`c` has no output");
    let ambiguous = vec![source("a"), operator("b", "a"), sink("c", &["b"])];
    refused(ambiguous, "say `b.PORT` with one of: `good`, `bad`");
    let unknown = operator_with("b", &[("in", "a"), ("other", "a")], |_| {});
    refused(vec![source("a"), unknown], "has no input `other`; it has: `in`");
    let unfed = operator_with("b", &[], |_| {});
    refused(vec![source("a"), unfed], "input `in` of `b` is fed by nothing");
    refused(vec![source("a"), sink("c", &[])], "input `input` of `c` is fed by nothing");
}

#[test]
fn types_must_agree() {
    let nodes = vec![source("a"), operator("b", "a"), operator("e", "b.bad")];
    refused(nodes, "its values are text, the input takes json");
    let keyed = |layout| {
        move |description: &mut Description| {
            description.inputs = vec![port("in", Some(layout), Codec::Json)];
        }
    };
    let unkeyed = operator_with("e", &[("in", "a")], keyed(KeyLayout::U64));
    refused(vec![source("a"), unkeyed], "its records have no key, the input is keyed by u64");
    let other = operator_with("e", &[("in", "b.good")], keyed(KeyLayout::S64));
    refused(vec![source("a"), operator("b", "a"), other], "its keys are u64, the input's are s64");
    let nodes = vec![source("a"), operator("b", "a"), sink("c", &["b.bad"])];
    refused(nodes, "sink `c` cannot take `b.bad`: it takes json");
    let nodes = vec![source("a"), operator("b", "a"), sink("c", &["a", "b.good"])];
    refused(nodes, "it differs in type from `a`");
}

#[test]
fn cycles_are_named() {
    let two = |id, first, second| {
        operator_with(id, &[("in", first), ("more", second)], |description| {
            description.inputs.push(port("more", None, Codec::Json));
        })
    };
    let nodes = vec![
        source("a"),
        two("b", "a", "d.good"),
        operator("c", "b.good"),
        operator("d", "c.good"),
    ];
    refused(nodes, "the graph has a cycle: b → c → d → b");
    refused(vec![source("a"), two("b", "a", "b.good")], "cycle: b → b");
}

#[test]
fn dead_letters_must_go_somewhere() {
    let mut node = operator("b", "a");
    node.on_error = ErrorPolicy::DeadLetter;
    refused(vec![source("a"), node], "input = \"b.dead-letters\"");
}

#[test]
fn descriptions_must_hold_together() {
    let twice = operator_with("b", &[("in", "a")], |description| {
        description.outputs.push(port("good", None, Codec::Json));
    });
    refused(vec![source("a"), twice], "declares the output port `good` twice");
    let homeless = operator_with("b", &[("in", "a")], |description| {
        let domain = statehouse_state::TimeDomain::EventTime;
        description.timers = vec![statehouse_state::TimerDeclaration { name: "t".into(), domain }];
    });
    refused(vec![source("a"), homeless], "no keyed input that they could belong to");
    let torn = operator_with("b", &[("in", "a"), ("two", "a")], |description| {
        description.inputs = vec![
            port("in", Some(KeyLayout::U64), Codec::Json),
            port("two", Some(KeyLayout::Bytes), Codec::Json),
        ];
    });
    refused(vec![source("a"), torn], "has two key types: `in` is keyed by u64 and `two` by text");
}
