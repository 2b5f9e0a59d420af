//! Tests of loading and checking components.

use std::time::Duration;

use super::*;
use crate::engine::WasmSettings;
use crate::fixture::{Guest, SUM, keyed};

fn engine() -> WasmEngine {
    WasmEngine::new(WasmSettings { instances: 4, cache: None }).unwrap()
}

fn load(bytes: &[u8]) -> Result<Component, Error> {
    Component::load(&engine(), bytes, &Limits::default())
}

#[track_caller]
fn check_refused(bytes: &[u8], said: &[&str]) {
    let message = load(bytes).unwrap_err().to_string();
    for said in said {
        assert!(message.contains(said), "{message:?} does not say {said:?}");
    }
}

fn component_text(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn a_component_declares_what_its_operators_are() {
    let operator = keyed("sum");
    let other = keyed("other");
    let bytes = Guest::new(operator.clone()).and(other.clone()).process(SUM).build();
    let component = load(&bytes).unwrap();
    assert_eq!(component.operators(), [operator, other]);
    assert_eq!(component.digest(), blake3::hash(&bytes).to_hex().as_str());
    let inspection = component.inspect();
    assert_eq!(inspection.size_bytes, bytes.len());
    let exported = inspection.exports.iter().find(|found| found.name == OPERATOR).unwrap();
    assert_eq!(exported.functions, ["describe", "open", "process", "on-timers"]);
    let imported = |name: &str| inspection.imports.iter().any(|found| found.name == name);
    assert!(imported("statehouse:operator/state@0.1.0"));
    let json = serde_json::to_string(&inspection).unwrap();
    assert_eq!(serde_json::from_str::<Inspection>(&json).unwrap(), inspection);
}

#[test]
fn what_is_not_a_component_is_refused_by_what_it_is() {
    check_refused(
        &Guest::new(keyed("sum")).module(),
        &["is a core module, not a component", "statehouse build"],
    );
    check_refused(b"", &["not WebAssembly", "empty"]);
    check_refused(b"#!/bin/sh", &["not WebAssembly", "statehouse build"]);
    check_refused(b"(component)", &["not WebAssembly", "text"]);
    let mut damaged = Guest::new(keyed("sum")).build();
    damaged.truncate(damaged.len() / 2);
    check_refused(&damaged, &["does not compile"]);
}

#[test]
fn a_component_larger_than_the_limit_is_not_compiled() {
    let bytes = Guest::new(keyed("sum")).build();
    let limits = Limits { component_bytes: 100, ..Limits::default() };
    let error = Component::load(&engine(), &bytes, &limits).unwrap_err();
    assert_eq!(error, Error::TooLarge { bytes: bytes.len(), limit: 100 });
}

#[test]
fn a_missing_export_is_named() {
    check_refused(&component_text("(component)"), &["does not export", OPERATOR]);
    let half = r#"(component
        (core module $m (func (export "f") (result i32) (i32.const 0)))
        (core instance $i (instantiate $m))
        (func $f (result u32) (canon lift (core func $i "f")))
        (instance $o (export "describe" (func $f)) (export "open" (func $f)))
        (export "statehouse:operator/operator@0.1.0" (instance $o)))"#;
    check_refused(&component_text(half), &["operator@0.1.0#process"]);
}

#[test]
fn an_export_of_another_type_does_not_fit_the_contract() {
    let wrong = r#"(component
        (core module $m (func (export "f") (result i32) (i32.const 0)))
        (core instance $i (instantiate $m))
        (func $f (result u32) (canon lift (core func $i "f")))
        (instance $o (export "describe" (func $f)) (export "open" (func $f))
            (export "process" (func $f)) (export "on-timers" (func $f)))
        (export "statehouse:operator/operator@0.1.0" (instance $o)))"#;
    check_refused(&component_text(wrong), &["does not fit the contract"]);
}

#[test]
fn every_unknown_import_is_named() {
    let foreign = r#"(component
        (import "wasi:clocks/monotonic-clock@0.2.3" (instance (export "now" (func (result u64)))))
        (import "acme:mail/outbox@1.0.0" (instance (export "send" (func)))))"#;
    check_refused(
        &component_text(foreign),
        &["wasi:clocks/monotonic-clock@0.2.3", "acme:mail/outbox@1.0.0", "wasm32-unknown-unknown"],
    );
    let unheard = r#"(component
        (import "statehouse:operator/mail@0.1.0" (instance (export "send" (func)))))"#;
    check_refused(&component_text(unheard), &["statehouse:operator/mail@0.1.0"]);
}

#[test]
fn a_function_that_the_contract_does_not_have_is_named() {
    let bytes = Guest::new(keyed("sum")).build();
    let name = b"random-seed";
    let mut other = bytes.clone();
    for at in 0..bytes.len() - name.len() {
        if &bytes[at..at + name.len()] == name {
            other[at..at + name.len()].copy_from_slice(b"random-beer");
        }
    }
    check_refused(&other, &["does not fit the contract", "random-beer"]);
}

#[test]
fn an_import_of_another_version_is_named_with_the_version_served() {
    let text = r#"(component
        (import "statehouse:operator/state@2.0.0" (instance (export "load" (func)))))"#;
    check_refused(&component_text(text), &["statehouse:operator/state@2.0.0", VERSION]);
    for (version, served) in [
        ("0.1.0", true),
        ("0.1.7", true),
        ("0.2.0", false),
        ("1.0.0", false),
        ("1.1.0", false),
        ("", false),
        ("0", false),
    ] {
        assert_eq!(is_served(version), served, "{version}");
    }
}

#[test]
fn declarations_that_cannot_be_are_refused() {
    let operator = keyed("sum");
    check_refused(&Guest::new(operator.clone()).empty().build(), &["no operator"]);
    check_refused(&Guest::new(operator.clone()).and(operator).build(), &["two operators `sum`"]);
    let mut twice = keyed("sum");
    twice.states.push(twice.states[0].clone());
    check_refused(&Guest::new(twice).build(), &["state `total` twice"]);
    check_refused(&Guest::new(keyed("")).build(), &["no name"]);
}

#[test]
fn a_start_that_never_ends_runs_past_its_deadline() {
    let bytes =
        Guest::new(keyed("sum")).extra("(func $spin (loop $on (br $on))) (start $spin)").build();
    let deadline = Duration::from_millis(20);
    let limits = Limits { deadline, ..Limits::default() };
    let error = Component::load(&engine(), &bytes, &limits).unwrap_err();
    assert_eq!(error, Error::DeadlineExceeded { call: "start", limit: deadline });
}

#[test]
fn a_component_that_needs_more_memory_than_allowed_does_not_start() {
    let limits = Limits { memory_bytes: 65536, ..Limits::default() };
    let error = Component::load(&engine(), &Guest::new(keyed("sum")).build(), &limits).unwrap_err();
    assert_eq!(error, Error::MemoryExceeded { limit_bytes: 65536 });
}

#[test]
fn no_free_instance_is_an_error_that_says_how_many_there_are() {
    let engine = WasmEngine::new(WasmSettings { instances: 2, cache: None }).unwrap();
    let limits = Limits::default();
    let component = Component::load(&engine, &Guest::new(keyed("sum")).build(), &limits).unwrap();
    let open = || crate::WasmOperator::open(&component, "sum", &BTreeMap::new(), limits);
    let first = open().unwrap();
    let second = open().unwrap();
    let error = open().unwrap_err();
    assert_eq!(error, Error::InstancesExhausted { instances: 2 });
    drop(first);
    open().unwrap();
    drop(second);
}
