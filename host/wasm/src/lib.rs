//! The only crate that names wasmtime: components as operators.
