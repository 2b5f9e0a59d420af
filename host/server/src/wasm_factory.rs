//! Operators of components, as the engine's graph wants them made.

use std::collections::{BTreeMap, BTreeSet};

use statehouse_checkpoint::Digest;
use statehouse_engine::OperatorFactory;
use statehouse_operator::{Description, Migrations, Operator};
use statehouse_wasm::{Component, Error, Limits, WasmOperator};

/// Makes instances of one operator of a component.
#[derive(Debug)]
pub struct WasmFactory {
    component: Component,
    description: Description,
    settings: BTreeMap<String, String>,
    limits: Limits,
    declared: Option<Digest>,
}

impl WasmFactory {
    /// The operator of that name.
    ///
    /// # Errors
    /// If the component has no such operator.
    pub fn new(
        component: &Component,
        operator: &str,
        settings: BTreeMap<String, String>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let description = component.operator(operator)?.clone();
        let component = component.clone();
        Ok(Self { component, description, settings, limits, declared: None })
    }

    /// The same, in a job whose file names this component.
    #[must_use]
    pub fn declared(self, declared: Option<Digest>) -> Self {
        Self { declared, ..self }
    }

    /// What its component imports.
    pub fn imports(&self) -> BTreeSet<String> {
        imports(&self.component)
    }
}

/// The names of the interfaces that a component imports, without their versions.
pub(crate) fn imports(component: &Component) -> BTreeSet<String> {
    let unversioned = |name: &str| name.split_once('@').unwrap_or((name, "")).0.to_owned();
    component.imports().iter().map(|import| unversioned(&import.name)).collect()
}

impl OperatorFactory for WasmFactory {
    fn description(&self) -> &Description {
        &self.description
    }

    fn migrations(&self) -> Migrations {
        self.component.migrations(&self.description.name).clone()
    }

    fn component(&self) -> Option<String> {
        Some(self.component.digest())
    }

    fn declared_component(&self) -> Option<String> {
        self.declared.map(|declared| declared.to_string()).or_else(|| self.component())
    }

    fn open(&self, _task: u32) -> Result<Box<dyn Operator>, String> {
        let name = &self.description.name;
        match WasmOperator::open(&self.component, name, &self.settings, self.limits) {
            Ok(operator) => Ok(Box::new(operator)),
            // The engine's message names the node already.
            Err(Error::Refused { reason, .. }) => Err(format!("it refuses its `config`: {reason}")),
            Err(error) => Err(error.to_string()),
        }
    }
}
