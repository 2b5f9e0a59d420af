//! Swaps of a running job, end to end: components that take over from one another, that misbehave, that cannot be; and
//! processes that are killed in the middle.

mod chain;
mod failing;
mod kills;
mod random;
mod refused;
mod restarts;
mod watched;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::ledgers::check_ledger;
use crate::workplace::{Done, RunningJob, Workplace, ledger};

const JOB: &str = r#"
[job]
name = "ledger"
[checkpoint]
dir = "checkpoints"
interval = "50ms"
[[source]]
id = "numbers"
connector = "generator"
keys = 200
records = 100000000
rate = 4000
batch = 64
[[operator]]
id = "ledger"
component = "ledger.wasm"
input = "numbers"
parallelism = 2
deadline = "500ms"
[[sink]]
id = "totals"
connector = "jsonl"
input = "ledger.totals"
path = "out"
with-key = true
"#;

const STATE: &str = "state/ledger";

/// A job that begins with version 1 of the ledger, and runs until it is stopped.
struct Ledger {
    place: Workplace,
}

impl Ledger {
    fn new() -> Self {
        Self::of(JOB)
    }

    fn of(job: &str) -> Self {
        let place = Workplace::new();
        place.write("ledger.wasm", ledger("ledger-v1"));
        place.write("job.toml", job.as_bytes());
        Self { place }
    }

    fn start(&self, more: &[&str]) -> RunningJob {
        self.place.start_job(&[&["job.toml"], more].concat(), STATE)
    }

    /// The file of a version: `v2`, `trapping`. Made when it is first asked for.
    fn component(&self, version: &str) -> String {
        let file = format!("{version}.wasm");
        if !self.place.path(&file).exists() {
            self.place.write(&file, ledger(&format!("ledger-{version}")));
        }
        file
    }

    /// Swaps the ledger for this version.
    fn swap(&self, version: &str, more: &[&str]) -> Done {
        let file = self.component(version);
        self.place.run(&[&["swap", "job.toml", "ledger", &file], more].concat())
    }

    /// The same, as JSON.
    fn swapped(&self, version: &str, more: &[&str]) -> Value {
        let done = self.swap(version, &[&["--json"], more].concat());
        assert!(done.stdout.starts_with('{'), "{done:#?}");
        done.json()
    }

    fn status(&self) -> Option<Value> {
        let done = self.place.run(&["swap", "job.toml", "--status", "--json"]);
        (done.code == Some(0)).then(|| done.json())
    }

    /// Ends the job with a checkpoint.
    fn stop(&self, mut job: RunningJob) -> Done {
        job.signal("INT");
        job.end().succeeded()
    }

    /// Ends the job with a checkpoint, and checks that what it has put out tells of every record once: none is lost
    /// before the last, and none counted twice. Returns how many rows each version has made.
    #[track_caller]
    fn end(&self, job: RunningJob) -> BTreeMap<String, usize> {
        self.stop(job);
        self.check()
    }

    #[track_caller]
    fn check(&self) -> BTreeMap<String, usize> {
        self.place.run(&["checkpoint", "scrub", "job.toml"]).succeeded();
        check_ledger(&self.place.rows("out"))
    }

    fn history(&self) -> Vec<Value> {
        let history = self.place.run(&["history", "job.toml", "--json"]).succeeded().json();
        history.as_array().unwrap().clone()
    }

    /// What happened, of the history, without the starts of runs.
    fn events(&self) -> Vec<String> {
        let events =
            self.history().into_iter().map(|entry| entry["event"].as_str().unwrap().to_owned());
        events.filter(|event| event != "started").collect()
    }

    fn savepoints(&self) -> Vec<String> {
        let listed =
            self.place.run(&["savepoint", "list", "job.toml", "--json"]).succeeded().json();
        let names = listed.as_array().unwrap().iter();
        names.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    }
}

fn stage(status: &Value) -> &str {
    status["stage"].as_str().unwrap()
}

fn pause(milliseconds: u64, job: &mut RunningJob) {
    assert!(job.goes_on(Duration::from_millis(milliseconds)), "the job has ended");
}
