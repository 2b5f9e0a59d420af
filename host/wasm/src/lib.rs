//! The only crate that names wasmtime: components as operators.
//!
//! Responsible for: compiling components and keeping the compiled code, checking what a component imports, exports
//! and declares, and running one operator of it as a [`statehouse_operator::Operator`] within limits of memory and
//! time.
//!
//! Not responsible for: state, batches and transactions (the `state` and `operator` crates), jobs and tasks (the
//! `engine`).

mod bindings;
mod cache;
mod columns;
pub mod component;
mod describe;
pub mod engine;
pub mod error;
#[cfg(test)]
mod fixture;
mod host;
mod imports;
pub mod inspect;
pub mod instance;
pub mod limits;
mod migration;
mod trap;

pub use component::{CodeOrigin, Component};
pub use engine::{WasmEngine, WasmSettings};
pub use error::Error;
pub use inspect::{Inspection, Interface};
pub use instance::WasmOperator;
pub use limits::Limits;

#[cfg(target_endian = "big")]
compile_error!(
    "columns are shared with guests as they lie in memory, so the host must be little-endian"
);
