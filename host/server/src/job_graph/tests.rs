//! What is decided between a job file and its graph, without components.

use statehouse_connectors::DiscardFactory;

use super::*;
use crate::bench::native::{Work, description};
use crate::bench::sum::NativeSum;

/// Outputs that nothing takes, of the benchmarks' running sum: it has one output, `sums`.
fn untaken(wires: &[&str]) -> Vec<String> {
    let factory = Arc::new(NativeSum(Work::Sum, description(Work::Sum)));
    let sum = NodeKind::Operator { factory, inputs: BTreeMap::new() };
    let inputs = wires.iter().map(|&wire| wire.to_owned()).collect();
    let sink = NodeKind::Sink { factory: Arc::new(DiscardFactory::new()), inputs };
    untaken_outputs(&[Node::new("sum", sum), Node::new("out", sink)])
}

#[test]
fn outputs_that_nothing_takes_are_found_and_dead_letters_do_not_count() {
    assert_eq!(untaken(&["sum"]), Vec::<String>::new());
    assert_eq!(untaken(&["sum.sums"]), Vec::<String>::new());
    assert_eq!(untaken(&["sum.dead-letters"]), ["sum.sums"]);
    assert_eq!(untaken(&[]), ["sum.sums"]);
}

#[test]
fn standard_output_is_immediate_where_no_checkpoint_would_release_it() {
    let held = SinkSettings::Stdout(StdoutSettings::default());
    let immediate =
        SinkSettings::Stdout(StdoutSettings { immediate: true, ..StdoutSettings::default() });
    assert_eq!(sink_settings(&held, true), held);
    assert_eq!(sink_settings(&held, false), immediate);
}
