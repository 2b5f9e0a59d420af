//! Files that are no components, components that do not fit, and a cache of compiled code that cannot be trusted.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::workplace::{Workplace, guests};

const JOB: &str = r#"
[job]
name = "bad"
[[source]]
id = "numbers"
connector = "generator"
records = 10
[[operator]]
id = "sum"
component = "guests.wasm"
input = "numbers"
[[sink]]
id = "sums"
connector = "jsonl"
input = "sum.sums"
path = "out"
existing = "append"
"#;

#[track_caller]
fn refused(bytes: &[u8], says: &[&str]) {
    let place = Workplace::with_guests(JOB);
    place.write("guests.wasm", bytes);
    let mut says = says.to_vec();
    says.push("guests.wasm");
    place.run(&["run", "job.toml"]).refused(&says);
    place.run(&["inspect", "guests.wasm"]).refused(&says);
}

#[test]
fn what_is_no_component_is_refused() {
    refused(b"plain text", &[]);
    refused(b"", &[]);
    let module = wat::parse_str("(module (func (export \"process\")))").unwrap();
    refused(&module, &["core module", "statehouse build"]);
    refused(&guests()[..guests().len() / 2], &[]);
}

#[test]
fn missing_exports_and_unknown_imports_are_named() {
    let empty = wat::parse_str("(component)").unwrap();
    refused(&empty, &["statehouse:operator"]);
    let foreign = r#"(component (import "wasi:filesystem/types@0.2.0" (instance)))"#;
    refused(&wat::parse_str(foreign).unwrap(), &["wasi:filesystem/types@0.2.0"]);
    let newer = r#"(component (import "statehouse:operator/state@7.0.0" (instance)))"#;
    refused(&wat::parse_str(newer).unwrap(), &["statehouse:operator/state@7.0.0"]);
}

/// The one file of compiled code in the cache.
fn compiled(place: &Workplace) -> std::path::PathBuf {
    let files = place.files("cache/components");
    assert_eq!(files.len(), 1, "{:?}", files.keys());
    files.into_keys().next().unwrap()
}

#[test]
fn compiled_code_that_is_damaged_or_of_another_engine_is_replaced() {
    let place = Workplace::with_guests(JOB);
    place.run(&["run", "job.toml"]).succeeded();
    let file = compiled(&place);
    let good = fs::read(&file).unwrap();
    let half = good.len() / 2;
    for (damage, at) in [("in the code", half), ("in the head", 9), ("in the hash", 40)] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&file, bytes).unwrap();
        let done = place.run(&["run", "job.toml"]).succeeded();
        assert!(
            done.stderr.contains("WARN") && done.stderr.contains("compiled"),
            "{damage}: {done:?}"
        );
        assert_eq!(fs::read(compiled(&place)).unwrap(), good, "{damage}: compiled anew");
    }
    let quiet = place.run(&["run", "job.toml"]).succeeded();
    assert!(!quiet.stderr.contains("WARN"), "{}", quiet.stderr);
}

#[test]
fn compiled_code_that_others_can_write_is_never_loaded() {
    let place = Workplace::with_guests(JOB);
    place.run(&["run", "job.toml"]).succeeded();
    let file = compiled(&place);
    let folder = file.parent().unwrap().to_owned();
    for (path, mode) in [(file.clone(), 0o620), (file, 0o602), (folder, 0o777)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let done = place.run(&["run", "job.toml"]).succeeded();
        let says = ["WARN", "written by others"];
        assert!(says.iter().all(|text| done.stderr.contains(text)), "{mode:o}: {}", done.stderr);
        fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    }
}
