//! The endpoint of a job that runs: what it answers, what it refuses, and where its socket can be.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use statehouse_engine::threads;

use super::messages::{
    CreateSavepoint, CreateSwap, EndStatus, JobEnded, JobState, SwapDecision, SwapOperator,
    SwapStageName, SwapStatus, SwapTo, Then, Watch,
};
use super::*;
use crate::environment::Environment;
use crate::job_file::JobFile;
use crate::job_graph;
use crate::launch::{Prepared, Start, prepare};
use crate::live_job::LiveJob;
use crate::swap::Conductor;

const JOB: &str = r#"
[job]
name = "endless"
[checkpoint]
dir = "checkpoints"
interval = "1h"
[[source]]
id = "numbers"
connector = "generator"
rate = 1000
[[sink]]
id = "out"
connector = "discard"
input = "numbers"
"#;

/// A job that runs until it is ended, with its endpoint.
struct Running {
    folder: PathBuf,
    ended: JoinHandle<EndStatus>,
}

impl Running {
    fn start(folder: &Path, job: &str) -> Self {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("job.toml"), job).unwrap();
        let file = JobFile::read(&folder.join("job.toml"), &[]).unwrap();
        let (graph, components) = job_graph::build(&file, &Environment::default()).unwrap();
        let mut prepared = prepare(&file, (graph, &components), &Start::default()).unwrap();
        let job = prepared.assemble().unwrap();
        let live = LiveJob::running(job.handle.clone());
        let Prepared { store, history, terms, locks, .. } = prepared;
        let clock = Arc::clone(&terms.clock);
        let kept = store.clone().zip(history);
        let conductor = Conductor::new(components, live.clone(), Arc::clone(&clock), kept);
        let running = RunningJob {
            live,
            name: file.job.name.clone(),
            started_ms: clock.now(),
            place: file.checkpoint_place().map(|place| place.to_string()),
            store,
            resumed_from: None,
            savepoints: SavepointRequests::default(),
            conductor,
        };
        let control = Control::start(locks.state.directory(), running).unwrap();
        let ended = std::thread::spawn(move || {
            let status = EndStatus::from(threads::run(job, &clock).unwrap());
            control.close();
            drop(locks);
            control.finish(JobEnded { status, reason: None });
            status
        });
        Self { folder: folder.to_owned(), ended }
    }

    fn client(&self) -> Client {
        Client::connect(&self.state()).unwrap().expect("the job runs")
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state/endless")
    }

    fn cancel(self) {
        let ended = self.client().cancel().unwrap();
        assert_eq!(ended.status, EndStatus::Cancelled);
        assert_eq!(self.ended.join().unwrap(), EndStatus::Cancelled);
        assert!(Client::connect(&self.folder.join("state/endless")).unwrap().is_none());
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, ControlError>, code: &str, says: &str) {
    match answer {
        Err(ControlError::Refused { code: found, error }) => {
            assert_eq!(found, code, "{error}");
            assert!(error.contains(says), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

fn savepoint(name: &str, then: Option<Then>) -> CreateSavepoint {
    CreateSavepoint { name: name.to_owned(), then }
}

#[test]
fn a_job_is_looked_at_saved_and_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let job = Running::start(folder.path(), JOB);
    let client = job.client();
    let status = client.job().unwrap();
    assert_eq!((status.name.as_str(), status.state), ("endless", JobState::Running));
    assert_eq!((status.pid, status.resumed_from), (std::process::id(), None));
    assert!(status.place.unwrap().ends_with("checkpoints"));
    let tasks: Vec<_> = status.tasks.iter().map(|task| (&*task.node, &*task.kind)).collect();
    assert_eq!(tasks, [("numbers", "source"), ("out", "sink")]);

    let first = client.create_savepoint(&savepoint("first", None)).unwrap();
    assert_eq!((first.name.as_str(), first.ended), ("first", None));
    let taken = client.create_savepoint(&savepoint("first", None));
    refused(taken, "conflict", "first");
    let checkpoint = client.create_checkpoint().unwrap();
    assert!(checkpoint.epoch > first.epoch);
    let status = client.job().unwrap();
    assert_eq!(status.checkpoints.last().unwrap().epoch, checkpoint.epoch);
    job.cancel();
}

#[test]
fn a_savepoint_can_be_the_end() {
    for (then, status) in [(Then::Stop, EndStatus::Stopped), (Then::Drain, EndStatus::Drained)] {
        let folder = tempfile::tempdir().unwrap();
        let job = Running::start(folder.path(), JOB);
        let created = job.client().create_savepoint(&savepoint("end", Some(then))).unwrap();
        assert_eq!(created.ended.unwrap().status, status);
        assert_eq!(job.ended.join().unwrap(), status);
        assert!(!folder.path().join("state/endless/control.sock").exists());
    }
}

#[test]
fn what_cannot_be_done_is_told_and_the_job_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let job = Running::start(folder.path(), JOB);
    let client = job.client();
    let long = "x".repeat(101);
    for name in ["", "a/b", "../a", ".hidden", "7", "a b", "é", &long] {
        let answer = client.create_savepoint(&savepoint(name, Some(Then::Stop)));
        refused(answer, "bad-request", "cannot be the name of a savepoint");
    }
    assert_eq!(client.job().unwrap().state, JobState::Running);
    job.cancel();
}

#[test]
fn a_name_that_is_taken_does_not_end_the_job() {
    let folder = tempfile::tempdir().unwrap();
    let job = Running::start(folder.path(), JOB);
    let client = job.client();
    client.create_savepoint(&savepoint("taken", None)).unwrap();
    for then in [Then::Stop, Then::Drain] {
        let answer = client.create_savepoint(&savepoint("taken", Some(then)));
        refused(answer, "conflict", "there is a savepoint `taken` already");
    }
    assert_eq!(client.job().unwrap().state, JobState::Running);
    assert!(client.create_checkpoint().is_ok(), "no barrier was the last");
    job.cancel();
}

#[test]
fn a_job_without_checkpoints_has_an_endpoint_too() {
    let folder = tempfile::tempdir().unwrap();
    let text = JOB.replace("[checkpoint]\ndir = \"checkpoints\"\ninterval = \"1h\"\n", "");
    let job = Running::start(folder.path(), &text);
    let client = job.client();
    assert_eq!(client.job().unwrap().place, None);
    refused(client.create_savepoint(&savepoint("a", None)), "conflict", "`[checkpoint]`");
    refused(client.create_checkpoint(), "conflict", "`[checkpoint]`");
    let swap = client.create_swap(&swap_of("sum", SwapTo::Back));
    refused(swap, "conflict", "`[checkpoint]`");
    job.cancel();
}

#[test]
fn a_socket_can_be_below_a_path_of_any_length() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a-folder-with-a-long-name/".repeat(20));
    let job = Running::start(&deep, JOB);
    assert_eq!(job.client().job().unwrap().name, "endless");
    job.cancel();
}

#[test]
fn what_a_dead_process_left_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state/endless");
    fs::create_dir_all(&state).unwrap();
    drop(UnixListener::bind(state.join("control.sock")).unwrap());
    assert!(Client::connect(&state).unwrap().is_none(), "nobody listens");
    let job = Running::start(folder.path(), JOB);
    assert_eq!(job.client().job().unwrap().name, "endless");
    job.cancel();
    assert!(Client::connect(&folder.path().join("nowhere")).unwrap().is_none());
}

#[test]
fn only_the_user_who_runs_the_job_can_use_the_socket() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let job = Running::start(folder.path(), JOB);
    let socket = fs::metadata(job.state().join("control.sock")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    job.cancel();
}

fn swap_of(id: &str, to: SwapTo) -> CreateSwap {
    CreateSwap {
        operators: vec![SwapOperator { id: id.to_owned(), to, operator: None }],
        plan_only: false,
        allow_dropped_state: false,
        allow_new_imports: false,
        shadow: None,
        shadow_must_match: false,
        watch: Watch::default(),
        commit_outputs: false,
        canary: None,
        savepoint: None,
    }
}

/// Waits until nothing more happens to a swap.
fn ended(client: &Client, mut status: SwapStatus) -> SwapStatus {
    while !status.stage.is_over() {
        std::thread::park_timeout(std::time::Duration::from_millis(5));
        status = client.swap(&status.id).unwrap();
    }
    status
}

#[test]
fn swaps_that_cannot_be_end_with_a_reason_and_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let job = Running::start(folder.path(), JOB);
    let client = job.client();
    assert_eq!(client.swaps().unwrap().swaps, []);
    let taken = client.put_component(b"no component".to_vec()).unwrap();
    assert_eq!(taken.digest, statehouse_checkpoint::Digest::of(b"no component").to_string());
    let asked = client.create_swap(&swap_of("numbers", SwapTo::Component(taken.digest))).unwrap();
    let first = ended(&client, asked);
    assert_eq!(first.stage, SwapStageName::Refused);
    assert!(first.reason.as_ref().unwrap().contains("no operator `numbers`"), "{first:?}");
    assert!(!first.who.is_empty());
    let second = ended(&client, client.create_swap(&swap_of("sum", SwapTo::Back)).unwrap());
    let all = client.swaps().unwrap().swaps;
    assert_eq!(all, [first.clone(), second]);
    refused(client.decide(&first.id, SwapDecision::Abort), "conflict", "it is over");
    refused(client.swap("7-7"), "conflict", "knows no swap 7-7");
    assert_eq!(client.job().unwrap().state, JobState::Running);
    job.cancel();
}

#[test]
fn swaps_that_cannot_be_meant_are_not_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let job = Running::start(folder.path(), JOB);
    let client = job.client();
    let none = CreateSwap { operators: Vec::new(), ..swap_of("sum", SwapTo::Back) };
    refused(client.create_swap(&none), "bad-request", "at least one operator");
    let mut twice = swap_of("sum", SwapTo::Back);
    twice.operators.push(twice.operators[0].clone());
    refused(client.create_swap(&twice), "bad-request", "`sum` is named twice");
    let mut wrong = swap_of("sum", SwapTo::Back);
    wrong.watch.invariants.push("rejected < ".to_owned());
    refused(client.create_swap(&wrong), "bad-request", "a number or a counter is missing");
    let named = CreateSwap { savepoint: Some("7".to_owned()), ..swap_of("sum", SwapTo::Back) };
    refused(client.create_swap(&named), "bad-request", "cannot be the name of a savepoint");
    let large = client.put_component(vec![0; (64 << 20) + 1]);
    assert!(large.is_err(), "it is larger than any component");
    assert_eq!(client.swaps().unwrap().swaps, []);
    job.cancel();
}
