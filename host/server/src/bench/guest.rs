//! The component with the benchmarks' operators: built once, from `bench/guest`.

use std::path::{Path, PathBuf};

use statehouse_wasm::{Component, Limits, WasmEngine, WasmSettings};

/// Loads the component from a file, compiled for this machine.
///
/// # Errors
/// In words: if it is not there, with how to make it, or cannot be loaded.
pub fn load(path: &Path) -> Result<Component, String> {
    let bytes = std::fs::read(path).map_err(|error| {
        format!(
            "the benchmarks' component {} cannot be read: {error}; make it by `statehouse build bench/guest --output \
             {0}`",
            path.display()
        )
    })?;
    let engine = WasmEngine::new(WasmSettings::default()).map_err(|error| error.to_string())?;
    Component::load(&engine, &bytes, &Limits::default()).map_err(|error| error.to_string())
}

/// The sources of the component, if this binary still stands beside them.
pub fn sources() -> Option<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/guest");
    sources.join("Cargo.toml").exists().then_some(sources)
}
