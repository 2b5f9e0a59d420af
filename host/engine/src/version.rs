//! Which version of an operator a task runs: what manifests say about it.

use serde_json::Value;
use statehouse_checkpoint::Digest;
use statehouse_operator::evolution::Retired;

use crate::graph::OperatorFactory;

/// A version of an operator, as the task that runs it knows it. Manifests take it from there and not from the graph:
/// at a barrier after a flip it is the new one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OperatorVersion {
    /// The digest of its component, if one holds it.
    pub(crate) component: Option<Digest>,
    /// What it declares.
    pub(crate) description: Value,
    /// What the state of the task holds besides what is declared.
    pub(crate) retired: Retired,
    /// Whether the task keeps state in a backend, which carries the chains of earlier checkpoints on.
    pub(crate) keyed: bool,
}

impl OperatorVersion {
    /// What is said of an operator from this factory. The task fills in what is its own: [`Self::retired`] and
    /// [`Self::keyed`].
    pub(crate) fn of(factory: &dyn OperatorFactory) -> Self {
        Self {
            component: digest(factory.component()),
            description: serde_json::to_value(factory.description())
                .expect("descriptions are plain data with text keys"),
            retired: Retired::default(),
            keyed: false,
        }
    }
}

/// The digest in a text; `None` for what is no digest, as factories of tests have it.
pub(crate) fn digest(text: Option<String>) -> Option<Digest> {
    text.and_then(|text| text.parse().ok())
}
