//! What there is to see in a component without running a job: plain data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use statehouse_operator::{Description, Migrations};

/// A component, as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// The BLAKE3 hash of the component's bytes, in hex.
    pub digest: String,
    /// The size of the component.
    pub size_bytes: usize,
    /// The operators in it.
    pub operators: Vec<Description>,
    /// What operators take over from their earlier versions, by their names; those that take nothing over are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub migrations: BTreeMap<String, Migrations>,
    /// What it imports.
    pub imports: Vec<Interface>,
    /// What it exports.
    pub exports: Vec<Interface>,
}

/// An interface (or a function that stands by itself) that a component imports or exports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name, with package and version.
    pub name: String,
    /// The functions of it that the component uses or offers.
    pub functions: Vec<String>,
}
