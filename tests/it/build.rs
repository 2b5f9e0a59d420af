//! `statehouse new` and `statehouse build`: from nothing to a running job.

use crate::workplace::Workplace;

#[test]
fn a_new_operator_builds_runs_and_resumes() {
    let place = Workplace::new();
    place.run(&["new", "totals"]).succeeded();
    let built = place.run(&["build", "totals"]).succeeded();
    assert!(place.path("totals/totals.wasm").exists(), "{built:?}");
    let done = place.run(&["run", "totals/job.toml", "--json"]).succeeded().json();
    assert_eq!(done["status"], "completed");
    assert!(done["records"].as_u64().unwrap() > 0);
    assert!(!place.lines("totals/out/totals").is_empty());
    let again = place.run(&["run", "totals/job.toml", "--json"]).succeeded().json();
    assert_eq!(again["records"], 0, "{again}");
    assert_eq!(again["resumed_from"]["epoch"], done["checkpoints"][0]["epoch"]);
}

#[test]
fn a_folder_that_is_there_is_not_overwritten() {
    let place = Workplace::new();
    place.write("totals/precious.txt", b"mine");
    let before = place.files("totals");
    place.run(&["new", "totals"]).refused(&["totals"]);
    assert_eq!(place.files("totals"), before);
    place.run(&["new", "not a name"]).refused(&["not a name"]);
}

#[test]
fn what_is_no_guest_is_refused() {
    let place = Workplace::new();
    place.run(&["build", "nowhere"]).refused(&["nowhere"]);
    let manifest = "[package]\nname = \"plain\"\nedition = \"2024\"\n[workspace]\n";
    place.write("plain/Cargo.toml", manifest.as_bytes());
    place.write("plain/src/lib.rs", b"");
    place.run(&["build", "plain"]).refused(&["cdylib"]);
    let guest = format!("{manifest}[lib]\ncrate-type = [\"cdylib\"]\n");
    place.write("plain/Cargo.toml", guest.as_bytes());
    place.write("plain/src/lib.rs", b"pub fn f() -> u8 { \"not a number\" }\n");
    let failed = place.run(&["build", "plain"]);
    failed.refused(&["mismatched types", "src/lib.rs:1"]);
    place.write("plain/src/lib.rs", b"#[unsafe(no_mangle)] pub extern \"C\" fn f() {}\n");
    place.run(&["build", "plain"]).refused(&["plain"]);
    assert!(!place.path("plain/plain.wasm").exists());
}
