//! The reference page names every field that a job file can have, and no other.

use std::collections::BTreeSet;

use super::{JOB, JobFile, parse};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/job-file.md");
    std::fs::read_to_string(path).unwrap()
}

/// The first column of the table below a heading.
fn documented(heading: &str) -> BTreeSet<String> {
    let page = page();
    let start = page.find(&format!("\n{heading}")).unwrap_or_else(|| panic!("no {heading}"));
    let section = &page[start + 1..];
    let section = section.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}

/// The fields that the error about an unknown one lists.
pub(super) fn accepted(text: &str) -> BTreeSet<String> {
    let error = parse(text, &[]).unwrap_err();
    let (_, list) = error.split_once("expected").unwrap_or_else(|| panic!("{error}"));
    let own = list.split("; every").next().unwrap();
    own.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_reference_names_every_field() {
    for (heading, place) in [
        ("## `[job]`", "name = \"flights\""),
        ("## `[dead-letters]`", "path = \"out/dead-letters\""),
        ("## `[[operator]]`", "component = \"flights.wasm\""),
    ] {
        let text = JOB.replacen(place, &format!("{place}\nbogus = 1"), 1);
        assert_eq!(documented(heading), accepted(&text), "{heading}");
    }
    let sources = ["lines", "csv", "jsonl", "generator", "nexmark"].map(|name| ("source", name));
    for (section, connector) in sources.into_iter().chain([("sink", "stdout"), ("sink", "jsonl")]) {
        let node = format!(
            "[job]\nname = \"a\"\n[[{section}]]\nid = \"x\"\ninput = \"y\"\nconnector = \"{connector}\"\nbogus = 1"
        );
        let node = if section == "source" { node.replace("input = \"y\"\n", "") } else { node };
        let heading = match (section, connector) {
            ("sink", "jsonl") => "### `jsonl`: a folder".to_owned(),
            _ => format!("### `{connector}`: "),
        };
        assert_eq!(documented(&heading), accepted(&node), "{heading}");
    }
}

#[test]
fn the_example_of_the_reference_reads() {
    let page = page();
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let file = JobFile::parse(std::path::Path::new("job.toml"), example, &[]).unwrap();
    assert_eq!(file.operators.len(), 2);
}
