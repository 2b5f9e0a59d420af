//! Which component an operator starts with: that of the job file, or the one that a swap has put in its place.
//!
//! A checkpoint says which component its operators had, and which one the job file named then. If it still names that
//! one, the user has not touched it, and the job goes on as it was. If it names another one by now, that is what the
//! user wants.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::executor::block_on;
use statehouse_checkpoint::{Digest, OperatorState};
use statehouse_engine::{Graph, OperatorFactory};

use super::choose::Chosen;
use super::{LaunchError, Start};
use crate::job_components::JobComponents;

/// An operator that runs another component than the one that the job file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwappedIn {
    /// The operator's id.
    pub operator: String,
    /// The component that it goes on with.
    pub component: Digest,
    /// The checkpoint that says so.
    pub epoch: u64,
}

impl fmt::Display for SwappedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operator, component, epoch } = self;
        let component = &component.to_string()[..12];
        write!(
            f,
            "operator `{operator}` goes on with component {component}, which was swapped in before checkpoint {epoch}, \
             and not with that of the job file; `--component-from-file` takes that of the file"
        )
    }
}

/// The graph with those components that the checkpoint says, where the job file has not been touched since.
pub(super) fn choose(
    graph: &Graph,
    components: &JobComponents,
    chosen: Option<&Chosen>,
    start: &Start,
) -> Result<(Graph, Vec<SwappedIn>), LaunchError> {
    let (mut factories, mut swapped_in) = (BTreeMap::new(), Vec::new());
    let chosen = chosen.filter(|_| !start.component_from_file);
    for (before, chosen) in chosen
        .iter()
        .flat_map(|chosen| chosen.manifest.operators.iter().map(move |operator| (operator, chosen)))
    {
        let Some(component) = other_component(before, components) else { continue };
        let (operator, epoch) = (before.id.clone(), chosen.manifest.epoch.0);
        let name = before.description["name"].as_str().unwrap_or_default();
        let failed = |reason| LaunchError::SwappedIn {
            operator: operator.clone(),
            component: component.to_string(),
            epoch,
            reason,
        };
        let bytes = block_on(chosen.store.component(component));
        let bytes = bytes.map_err(|error| failed(error.chain()))?;
        let factory = components.factory(&operator, &bytes, Some(name), name);
        let factory = factory.map_err(|error| failed(error.to_string()))?;
        factories.insert(operator.clone(), Arc::new(factory) as Arc<dyn OperatorFactory>);
        swapped_in.push(SwappedIn { operator, component, epoch });
    }
    if factories.is_empty() {
        return Ok((graph.clone(), Vec::new()));
    }
    Ok((graph.with_factories(&factories)?, swapped_in))
}

/// The component of the checkpoint, if the job file still names the one that it named then, and that is another one.
fn other_component(before: &OperatorState, components: &JobComponents) -> Option<Digest> {
    let component = before.component?;
    let declared = components.declared(&before.id)?;
    (before.declared_component() == Some(declared) && component != declared).then_some(component)
}
