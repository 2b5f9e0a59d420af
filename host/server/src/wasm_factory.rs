//! Operators of components, as the engine's graph wants them made.

use std::collections::BTreeMap;

use statehouse_engine::OperatorFactory;
use statehouse_operator::{Description, Operator};
use statehouse_wasm::{Component, Error, Limits, WasmOperator};

/// Makes instances of one operator of a component.
#[derive(Debug)]
pub struct WasmFactory {
    component: Component,
    description: Description,
    settings: BTreeMap<String, String>,
    limits: Limits,
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
        Ok(Self { component: component.clone(), description, settings, limits })
    }
}

impl OperatorFactory for WasmFactory {
    fn description(&self) -> &Description {
        &self.description
    }

    fn component(&self) -> Option<String> {
        Some(self.component.digest())
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
