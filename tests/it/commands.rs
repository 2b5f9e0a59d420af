//! The commands that look: inspect, checkpoint, completions, help; and stopping a run.

use crate::workplace::Workplace;

const JOB: &str = r#"
[job]
name = "looked-at"
[checkpoint]
dir = "checkpoints"
interval = "50ms"
[[source]]
id = "numbers"
connector = "generator"
keys = 100
records = 20000
rate = 50000
[[operator]]
id = "sum"
component = "guests.wasm"
input = "numbers"
[[sink]]
id = "sums"
connector = "jsonl"
input = "sum.sums"
path = "out"
"#;

#[test]
fn inspect_shows_what_a_component_declares() {
    let place = Workplace::with_guests(JOB);
    let text = place.run(&["inspect", "guests.wasm"]).succeeded().stdout;
    for name in ["mishap", "junction", "left", "statehouse:operator/state@0.1.0"] {
        assert!(text.contains(name), "{name}: {text}");
    }
    let json = place.run(&["inspect", "guests.wasm", "--json"]).succeeded().json();
    let operators = json["operators"].as_array().unwrap();
    let sum = operators.iter().find(|operator| operator["name"] == "sum").unwrap();
    assert_eq!(sum["states"][0]["name"], "sum");
    assert_eq!(sum["states"][0]["value"], "s64");
}

#[test]
fn checkpoints_are_listed_shown_and_verified() {
    let place = Workplace::with_guests(JOB);
    let done = place.run(&["run", "job.toml", "--json"]).succeeded().json();
    let taken = done["checkpoints"].as_array().unwrap().len();
    assert!(taken > 2, "{done}");
    let list = place.run(&["checkpoint", "list", "job.toml", "--json"]).succeeded().json();
    assert_eq!(list.as_array().map(Vec::len), Some(3), "so many are retained: {list}");
    let newest = done["checkpoints"][taken - 1]["epoch"].to_string();
    let text = place.run(&["checkpoint", "list", "checkpoints"]).succeeded().stdout;
    assert!(text.contains(&newest), "{text}");
    let show = place.run(&["checkpoint", "show", "job.toml", &newest]).succeeded().stdout;
    assert!(show.contains("looked-at") && show.contains("sum"), "{show}");
    place.run(&["checkpoint", "verify", "job.toml"]).succeeded();
    place.run(&["checkpoint", "show", "job.toml", "4711"]).refused(&["4711"]);
    place.run(&["checkpoint", "list", "nowhere"]).refused(&["nowhere"]);
}

#[test]
fn a_signal_stops_a_job_with_a_checkpoint_to_resume_from() {
    let place = Workplace::with_guests(JOB);
    let mut child = place.start(&["run", "job.toml", "--no-progress"]);
    let manifests = place.path("checkpoints/manifests");
    while std::fs::read_dir(&manifests).map_or(0, Iterator::count) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "the job has ended by itself");
        std::thread::yield_now();
    }
    let id = child.id().to_string();
    let killed = std::process::Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(killed.success());
    assert!(child.wait().unwrap().success(), "a stopped job has not failed");
    let before = place.lines("out").len();
    let rest = place.run(&["run", "job.toml", "--json"]).succeeded().json();
    assert_eq!(before as u64 + rest["records"].as_u64().unwrap(), 20_000, "{rest}");
    assert_eq!(place.lines("out").len(), 20_000);
}

#[test]
fn help_and_completions_are_there() {
    let place = Workplace::new();
    let help = place.run(&["--help"]).succeeded().stdout;
    for verb in ["run", "build", "new", "checkpoint", "inspect", "bench", "completions"] {
        assert!(help.contains(verb), "{verb}: {help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(&["completions", shell]).succeeded().stdout;
        assert!(script.contains("statehouse"), "{shell}");
    }
    assert_eq!(place.run(&["run"]).code, Some(2), "a missing argument is misuse");
    assert_eq!(place.run(&["no-such-verb"]).code, Some(2));
}
