//! From a core module to a component, and what that component declares.

use statehouse_wasm::{Component, Error, Inspection, Limits, WasmEngine, WasmSettings};
use wit_component::ComponentEncoder;

use crate::environment::Environment;

/// Why a module does not become a component.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EncodeError {
    #[error("the compiler's output is not WebAssembly")]
    NotWasm,
    #[error(
        "the module exports no operator: write `statehouse::export!(YourOperator);` in the crate's `lib.rs`"
    )]
    NothingExported,
    #[error("the module does not become a component: {0}")]
    Refused(String),
}

/// The custom section that bindings leave in a module, by its prefix: without it there is nothing to export.
const BINDINGS_SECTION: &[u8] = b"component-type:";

/// Wraps a core module as a component. A component stays what it is, for linkers that make one by themselves.
///
/// # Errors
/// If there is nothing to wrap, or it does not fit what it says of itself.
pub fn encode(module: &[u8]) -> Result<Vec<u8>, EncodeError> {
    match module {
        // The second half of the version is the layer: 0 for modules, 1 for components.
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => return Ok(module.to_vec()),
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => {}
        _ => return Err(EncodeError::NotWasm),
    }
    if !module.windows(BINDINGS_SECTION.len()).any(|window| window == BINDINGS_SECTION) {
        return Err(EncodeError::NothingExported);
    }
    ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| EncodeError::Refused(format!("{error:#}")))
}

/// Loads a component as a job would, and says what it declares.
///
/// # Errors
/// If a job could not load it.
pub fn inspect(bytes: &[u8], environment: &Environment) -> Result<Inspection, Error> {
    let settings = WasmSettings { instances: 1, cache: environment.components() };
    let engine = WasmEngine::new(settings)?;
    Ok(Component::load(&engine, bytes, &Limits::default())?.inspect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_operators_is_refused_with_the_line_to_write() {
        let error = encode(b"\0asm\x01\0\0\0").unwrap_err().to_string();
        assert!(error.contains("statehouse::export!"), "{error}");
    }

    #[test]
    fn a_component_stays_as_it_is() {
        let component = b"\0asm\x0d\0\x01\0";
        assert_eq!(encode(component).unwrap(), component);
    }

    #[test]
    fn other_bytes_are_no_module() {
        assert!(matches!(encode(b"ELF"), Err(EncodeError::NotWasm)));
    }
}
