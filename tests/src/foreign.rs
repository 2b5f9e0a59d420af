//! Components that no SDK has made: core modules in WebAssembly text, with the contract around them.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The component of `tests/ledgers/foreign.wat`.
///
/// # Panics
/// If the text does not assemble, or does not fit the contract.
pub fn ledger() -> Vec<u8> {
    component("tests/ledgers/foreign.wat")
}

fn component(text: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root");
    let mut module = wat::parse_file(root.join(text)).unwrap_or_else(|error| panic!("{error}"));
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(root.join("wit")).expect("the contract can be read");
    let world = resolve.select_world(&[package], Some("stream-operator"));
    let world = world.expect("the contract has a world for operators");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
        .expect("the world can be described");
    let mut encoder = ComponentEncoder::default();
    let encoder = encoder.validate(true).module(&module);
    let encoded = encoder.and_then(ComponentEncoder::encode);
    encoded.unwrap_or_else(|error| panic!("{text}: {error:#}"))
}
