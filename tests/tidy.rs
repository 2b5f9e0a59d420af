//! The house rules, as a test: what a reviewer would otherwise have to look for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of a file that are not tests.
const FILE_LINES_MAX: usize = 500;

/// The median over all files.
const FILE_LINES_MEDIAN_MAX: usize = 200;

/// Columns of a line of Rust; comments and texts may be longer than the formatter's limit.
const COLUMNS_MAX: usize = 120;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

/// Every file that git knows or would know, with its text; binary files are left out.
fn files() -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    assert!(listed.status.success(), "git ls-files failed");
    let names = String::from_utf8(listed.stdout).expect("file names are UTF-8");
    let read = |name: &str| fs::read_to_string(root().join(name)).ok();
    let files: Vec<_> =
        names.lines().filter_map(|name| Some((name.to_owned(), read(name)?))).collect();
    assert!(files.len() > 50, "found only {} files", files.len());
    files
}

fn rust_files() -> Vec<(String, String)> {
    files().into_iter().filter(|(name, _)| name.ends_with(".rs")).collect()
}

fn report(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut problems = Vec::new();
    for (name, text) in rust_files() {
        if !text.starts_with("//! ") {
            problems.push(format!("{name}: does not begin with `//! ` and what the file is for"));
        }
    }
    for (name, text) in files() {
        if name.ends_with("Cargo.toml")
            && name.starts_with("host/")
            && !text.contains("description =")
        {
            problems.push(format!("{name}: has no description"));
        }
    }
    report(&problems);
}

#[test]
fn files_stay_small_and_lines_short() {
    let mut problems = Vec::new();
    let mut lengths = Vec::new();
    for (name, text) in rust_files() {
        let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
        let lines = text[..tests].lines().count();
        lengths.push(lines);
        if lines > FILE_LINES_MAX && !name.ends_with("tests.rs") {
            problems.push(format!("{name}: {lines} lines; split it by what it does"));
        }
        for (number, line) in text.lines().enumerate() {
            if line.chars().count() > COLUMNS_MAX {
                problems.push(format!("{name}:{}: more than {COLUMNS_MAX} columns", number + 1));
            }
            if line.ends_with(' ') || line.contains('\t') {
                problems.push(format!("{name}:{}: trailing space or tab", number + 1));
            }
        }
        if name.ends_with("/mod.rs") {
            problems.push(format!("{name}: modules are `foo.rs` with `foo/`"));
        }
    }
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    if median > FILE_LINES_MEDIAN_MAX {
        problems.push(format!("the median file has {median} lines"));
    }
    report(&problems);
}

#[test]
fn nothing_is_left_unfinished() {
    // Put together here, so that this file does not trip over itself.
    let marks = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["XX", "X:"].concat(),
        ["#[ign", "ore"].concat(),
        ["unimple", "mented!("].concat(),
        ["simplified for", " now"].concat(),
        ["thread::", "sleep"].concat(),
    ];
    let mut problems = Vec::new();
    for (name, text) in rust_files() {
        for (number, line) in text.lines().enumerate() {
            for mark in marks.iter().filter(|mark| line.contains(*mark)) {
                problems.push(format!("{name}:{}: {mark}", number + 1));
            }
        }
    }
    report(&problems);
}

/// Which of our crates each crate may use.
const EDGES: [(&str, &[&str]); 9] = [
    ("state", &[]),
    ("checkpoint", &[]),
    ("operator", &["state"]),
    ("engine", &["state", "operator", "checkpoint"]),
    ("processor", &["state", "operator", "checkpoint"]),
    ("wasm", &["state", "operator"]),
    ("connectors", &["state", "operator", "engine"]),
    ("server", &["state", "operator", "checkpoint", "engine", "processor", "wasm", "connectors"]),
    ("guest", &[]),
];

/// Which crate alone may name a heavy library.
const OWNERS: [(&str, &[&str]); 13] = [
    ("wasmtime", &["wasm"]),
    // The server measures the backend beside plain calls of the library.
    ("rocksdb", &["state", "server"]),
    ("object_store", &["checkpoint"]),
    ("arrow", &["processor"]),
    ("parquet", &["processor"]),
    ("axum", &["server"]),
    ("reqwest", &["server"]),
    ("clap", &["server"]),
    ("clap_complete", &["server"]),
    ("indicatif", &["server"]),
    ("toml", &["server"]),
    ("wit-component", &["server", "wasm"]),
    ("csv-core", &["connectors"]),
];

#[test]
fn dependencies_point_one_way() {
    let mut problems = Vec::new();
    let allowed: BTreeMap<_, _> = EDGES.into_iter().collect();
    for (name, text) in files() {
        let Some(krate) =
            name.strip_prefix("host/").and_then(|rest| rest.strip_suffix("/Cargo.toml"))
        else {
            continue;
        };
        let used = dependencies(&text, "[dependencies]");
        for dependency in &used {
            if let Some(ours) = dependency.strip_prefix("statehouse-")
                && !allowed.get(krate).is_some_and(|allowed| allowed.contains(&ours))
            {
                problems.push(format!("{name}: `{krate}` must not depend on `{ours}`"));
            }
        }
        for (library, owners) in OWNERS {
            if used.contains(library) && !owners.contains(&krate) {
                problems.push(format!("{name}: only {owners:?} may name `{library}`"));
            }
        }
    }
    report(&problems);
}

fn dependencies(manifest: &str, table: &str) -> BTreeSet<String> {
    let Some(at) = manifest.find(table) else { return BTreeSet::new() };
    let entries = manifest[at + table.len()..].lines().take_while(|line| !line.starts_with('['));
    entries
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn names_are_those_of_the_house() {
    let bad_files = ["utils", "util", "common", "helpers", "misc", "manager", "types"];
    let bad_types = ["Manager", "Helper", "Util", "Impl", "Processor"];
    let mut problems = Vec::new();
    for (name, text) in rust_files() {
        let stem = Path::new(&name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if bad_files.contains(&stem) {
            problems.push(format!("{name}: says nothing about what is in it"));
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.trim_start();
            let declared = ["pub struct ", "struct ", "pub enum ", "pub trait ", "enum ", "trait "];
            let Some(rest) = declared.iter().find_map(|declares| code.strip_prefix(declares))
            else {
                continue;
            };
            let declared: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
            if let Some(bad) = bad_types.iter().find(|bad| declared.ends_with(*bad)) {
                problems.push(format!("{name}:{}: `{declared}`: `{bad}` says nothing", number + 1));
            }
        }
    }
    report(&problems);
}

#[test]
fn every_decision_is_listed_and_every_link_leads_somewhere() {
    let mut problems = Vec::new();
    let index = fs::read_to_string(root().join("docs/decisions/README.md")).expect("the index");
    for (name, text) in files().into_iter().filter(|(name, _)| name.ends_with(".md")) {
        let file = Path::new(&name);
        let is_decision = name.starts_with("docs/decisions/") && !name.ends_with("README.md");
        let listed =
            file.file_name().and_then(|file| file.to_str()).is_some_and(|f| index.contains(f));
        if is_decision && !listed {
            problems.push(format!("{name}: not listed in docs/decisions/README.md"));
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let outside = link.is_empty() || link.contains("://") || link.contains(' ');
            let target = root().join(file.parent().unwrap_or(Path::new(""))).join(link);
            if !outside && !target.exists() {
                problems.push(format!("{name}: the link to {link} leads nowhere"));
            }
        }
    }
    report(&problems);
}

#[test]
fn every_misbehaving_guest_has_a_test() {
    let all = rust_files();
    let tests: String = all
        .iter()
        .filter(|(name, _)| name.starts_with("tests/it/"))
        .map(|(_, text)| &**text)
        .collect();
    let mut problems = Vec::new();
    let mut guests = 0;
    for (name, text) in all.iter().filter(|(name, _)| name.starts_with("tests/guests/src")) {
        for guest in text.split("const NAME: &str = \"").skip(1).filter_map(|s| s.split('"').next())
        {
            guests += 1;
            if !tests.contains(&format!("\"{guest}\"")) {
                problems.push(format!("{name}: no test in tests/it names the guest \"{guest}\""));
            }
        }
    }
    for (name, _) in files() {
        let package = name.strip_prefix("tests/ledgers/components/");
        let Some(package) = package.and_then(|rest| rest.strip_suffix("/Cargo.toml")) else {
            continue;
        };
        guests += 1;
        if !tests.contains(&format!("\"ledger-{package}\"")) {
            problems.push(format!(
                "{name}: no test in tests/it names the component \"ledger-{package}\""
            ));
        }
    }
    assert!(guests > 3, "found only {guests} guests");
    report(&problems);
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let mut problems = Vec::new();
    for (name, text) in files() {
        for (number, line) in text.lines().enumerate() {
            for path in ["/root/", "/home/", "/work/"] {
                if line.contains(path) && !name.ends_with("tidy.rs") {
                    problems.push(format!("{name}:{}: a path of some machine", number + 1));
                }
            }
        }
    }
    report(&problems);
}
