//! Guest crates: from a Cargo project to components.

pub mod build;
pub mod component;
pub mod route;

pub use build::{Build, BuildError, Built};
pub use component::inspect;
pub use route::{Route, RouteError};
