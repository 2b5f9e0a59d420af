//! The component with the benchmarks' operators: built once, from `bench/guest`.

use std::path::Path;

use statehouse_wasm::{Component, Limits, WasmEngine, WasmSettings};

use crate::environment::Environment;
use crate::guest::Build;

/// Loads the component from a file, compiled for this machine.
///
/// # Errors
/// In words: if it is not there, with how to make it, or cannot be loaded.
pub fn load(path: &Path) -> Result<Component, String> {
    let bytes = std::fs::read(path).map_err(|error| {
        format!(
            "cannot read the benchmarks' component `{}`: {error}; make it by `statehouse build bench/guest --output \
             {0}`",
            path.display()
        )
    })?;
    let engine = WasmEngine::new(WasmSettings::default()).map_err(|error| error.to_string())?;
    Component::load(&engine, &bytes, &Limits::default())
        .map_err(|error| format!("the benchmarks' component `{}` {error}", path.display()))
}

/// Builds the component from the sources that this binary was built beside, into the cache, and loads it.
///
/// # Errors
/// In words: if there is no cache, the sources are gone, guests cannot be built here, or the component cannot be
/// loaded.
pub fn build(environment: &Environment) -> Result<Component, String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/guest");
    if !sources.join("Cargo.toml").exists() {
        return Err("the sources of the benchmarks' component are not where this binary was built: name the \
                    component by `--component`"
            .to_owned());
    }
    let cache = environment.cache.as_ref().ok_or("there is no cache: set STATEHOUSE_CACHE")?;
    let folder = cache.join("bench");
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("cannot create `{}`: {error}", folder.display()))?;
    let output = folder.join("bench-guest.wasm");
    let build =
        Build { directory: sources, package: None, output: Some(output.clone()), quiet: true };
    build.run(environment).map_err(|error| error.to_string())?;
    load(&output)
}
