//! Jobs that start, resume, and refuse to: with files on a real disk, and no operator between source and sink.

use std::fs;
use std::path::{Path, PathBuf};

use statehouse_checkpoint::Epoch;
use statehouse_engine::threads;

use super::*;
use crate::environment::Environment;
use crate::job_graph;
use crate::target::{OpenPlace, Target, What};

const JOB: &str = r#"
[job]
name = "copy"
[checkpoint]
dir = "checkpoints"
[[source]]
id = "lines"
connector = "lines"
path = "in"
[[sink]]
id = "out"
connector = "jsonl"
input = "lines"
path = "out"
"#;

/// A folder with a job that copies lines.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("job.toml"), JOB).unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::write(folder.path().join("in/a.txt"), "one\ntwo\n").unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn launch(&self, from: &StartFrom) -> Result<Launched, LaunchError> {
        self.launch_with(&Start::from(from.clone()), &[])
    }

    fn launch_with(&self, start: &Start, set: &[&str]) -> Result<Launched, LaunchError> {
        let set: Vec<_> = set.iter().map(|set| set.parse().unwrap()).collect();
        let file = JobFile::read(&self.path("job.toml"), &set).unwrap();
        let (graph, components) = job_graph::build(&file, &Environment::default()).unwrap();
        launch(&file, (graph, &components), start)
    }

    /// Runs the job to its end; says where it resumed.
    fn run(&self, from: &StartFrom) -> Option<u64> {
        let Launched { job, clock, resumed_from, locks, .. } = self.launch(from).unwrap();
        threads::run(job, &clock).unwrap();
        drop(locks);
        resumed_from.map(|from| from.epoch)
    }

    /// The file of a checkpoint's manifest.
    fn manifest(&self, epoch: u64) -> PathBuf {
        let names = fs::read_dir(self.path("checkpoints/manifests")).unwrap();
        let mut names = names.map(|entry| entry.unwrap().path());
        let begins = format!("{epoch:020}");
        let is_it =
            |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&begins);
        names.find(is_it).unwrap_or_else(|| panic!("there is no checkpoint {epoch}"))
    }
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => files_below(&entry.path(), found),
            false => found.push(entry.path()),
        }
    }
}

/// Every file below a folder with its bytes.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    files_below(folder, &mut found);
    found.sort();
    found.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn flip_bit(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_second_run_resumes_from_the_newest_checkpoint() {
    let folder = Folder::new();
    assert_eq!(folder.run(&StartFrom::Newest), None);
    let first = folder.run(&StartFrom::Newest);
    assert!(first.is_some());
    assert!(folder.run(&StartFrom::Newest) > first);
    let written = contents(&folder.path("out"));
    let parts =
        written.iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "jsonl"));
    assert_eq!(parts.count(), 1, "{written:?}");
}

#[test]
fn a_damaged_newest_checkpoint_is_refused_and_nothing_changes() {
    let folder = Folder::new();
    folder.run(&StartFrom::Newest);
    let older = folder.run(&StartFrom::Newest).unwrap();
    let newest = older + 1;
    flip_bit(&folder.manifest(newest));
    let before = contents(folder.0.path());
    let error = folder.launch(&StartFrom::Newest).unwrap_err().to_string();
    assert!(error.contains(&format!("checkpoint {newest} cannot be restored: ")), "{error}");
    assert!(
        error
            .contains(&format!("checkpoint {older} verifies: start from it with `--from {older}`")),
        "{error}"
    );
    assert_eq!(contents(folder.0.path()), before);
    let resumed = folder.run(&StartFrom::Own(What::Checkpoint(Epoch(older))));
    assert_eq!(resumed, Some(older));
}

#[test]
fn a_directory_that_a_live_job_owns_is_refused() {
    let folder = Folder::new();
    let first = folder.launch(&StartFrom::Newest).unwrap();
    let error = folder.launch(&StartFrom::Newest).unwrap_err().to_string();
    let expected = format!("is in use by process {}", std::process::id());
    assert!(error.contains(&expected), "{error}");
    drop(first);
    folder.run(&StartFrom::Newest);
}

#[test]
fn a_checkpoint_that_is_not_there_is_named_with_those_that_are() {
    let folder = Folder::new();
    folder.run(&StartFrom::Newest);
    let error =
        folder.launch(&StartFrom::Own(What::Checkpoint(Epoch(99)))).unwrap_err().to_string();
    assert!(error.contains("there is no checkpoint 99 in"), "{error}");
    assert!(error.contains("there is only checkpoint 1"), "{error}");
}

#[test]
fn another_place_can_be_the_start_and_keeps_what_is_needed() {
    let folder = Folder::new();
    folder.run(&StartFrom::Newest);
    let from = |place: &str| -> Start {
        let place = folder.path(place).display().to_string();
        StartFrom::Elsewhere(place.parse().unwrap()).into()
    };
    let set = ["checkpoint.dir=elsewhere", "state.directory=state-2"];
    let launched = folder.launch_with(&from("checkpoints"), &set).unwrap();
    assert_eq!(launched.resumed_from.unwrap().place, Place::Directory(folder.path("checkpoints")));
    let pins = |place: &str| {
        let (place, options) = (Place::Directory(folder.path(place)), StoreOptions::default());
        let store = open_store(&place, &options).unwrap();
        block_on(store.pins()).unwrap().len()
    };
    assert_eq!((pins("checkpoints"), pins("elsewhere")), (1, 0));
    threads::run(launched.job, &launched.clock).unwrap();
    drop(launched.locks);
    assert_eq!(pins("checkpoints"), 0, "a job without state needs nothing of what it started from");

    let fork = Start { fork: true, ..from("job.toml") };
    let error = folder.launch_with(&fork, &[]).unwrap_err().to_string();
    assert!(error.contains("is the job's own: a fork is a job with checkpoints"), "{error}");
}

#[test]
fn only_a_savepoint_can_be_claimed() {
    let folder = Folder::new();
    folder.run(&StartFrom::Newest);
    let before = contents(&folder.path("checkpoints"));
    let start = Start { claim: true, ..StartFrom::Own(What::Checkpoint(Epoch(1))).into() };
    let error = folder.launch_with(&start, &[]).unwrap_err().to_string();
    assert!(error.contains("checkpoint 1 is none"), "{error}");
    assert_eq!(contents(&folder.path("checkpoints")), before);
}

#[test]
fn a_store_with_nothing_but_savepoints_says_what_to_start_from() {
    let folder = Folder::new();
    folder.run(&StartFrom::Newest);
    let place = Place::Directory(folder.path("checkpoints"));
    let store = open_store(&place, &StoreOptions::default()).unwrap();
    let manifest = block_on(store.read(Epoch(1))).unwrap();
    block_on(store.pin_savepoint("kept", &manifest)).unwrap();
    fs::remove_dir_all(folder.path("checkpoints/manifests")).unwrap();
    fs::remove_dir_all(folder.path("checkpoints/starts")).unwrap();
    let error = folder.launch(&StartFrom::Newest).unwrap_err().to_string();
    assert!(error.contains("the savepoint `kept`") && error.contains("`--from NAME`"), "{error}");
    let error = folder.launch(&StartFrom::Word("lost".into())).unwrap_err().to_string();
    assert!(error.contains("no savepoint `lost`") && error.contains("`kept`"), "{error}");
    assert_eq!(folder.run(&StartFrom::Word("kept".into())), Some(1));
}

#[test]
fn an_older_checkpoint_is_taken_where_the_user_allows_it() {
    let folder = Folder::new();
    folder.run(&StartFrom::Newest);
    let older = folder.run(&StartFrom::Newest).unwrap();
    flip_bit(&folder.manifest(older + 1));
    let start = Start { fallback: true, ..Start::default() };
    let launched = folder.launch_with(&start, &[]).unwrap();
    assert_eq!(launched.resumed_from.unwrap().epoch, older);
}

#[test]
fn a_fresh_run_does_not_overwrite_output_that_is_there() {
    let folder = Folder::new();
    folder.run(&StartFrom::Newest);
    let before = contents(&folder.path("out"));
    let error = folder.launch(&StartFrom::Nothing).unwrap_err().to_string();
    assert!(error.contains("already holds"), "{error}");
    assert_eq!(contents(&folder.path("out")), before);
    fs::remove_dir_all(folder.path("out")).unwrap();
    assert_eq!(folder.run(&StartFrom::Nothing), None);
    // Whether the checkpoint that it takes at once, for leaving others behind, comes before that of the end is a
    // matter of time.
    let newest = folder.run(&StartFrom::Newest);
    assert!(newest > Some(1), "epochs go on above those that were there: {newest:?}");
}

#[test]
fn what_from_takes_is_a_number_a_name_or_a_place() {
    let parse = |text: &str| -> StartFrom { text.parse().unwrap() };
    assert_eq!(parse("7"), StartFrom::Own(What::Checkpoint(Epoch(7))));
    assert_eq!(parse("before"), StartFrom::Word("before".into()));
    for (text, place, what) in [
        ("c/7", "c/7", What::Newest),
        ("s3://b/c@7", "s3://b/c", What::Checkpoint(Epoch(7))),
        ("c/job.toml@before", "c/job.toml", What::Savepoint("before".into())),
    ] {
        let place = place.to_owned();
        assert_eq!(parse(text), StartFrom::Elsewhere(Target { place, what }), "{text}");
    }
    let folder = Folder::new();
    let from = StartFrom::Elsewhere(folder.path("nowhere").to_str().unwrap().parse().unwrap());
    let error = folder.launch(&from).unwrap_err().to_string();
    assert!(error.ends_with("there is no such directory or job file"), "{error}");
}

#[test]
fn only_a_checkpoint_directory_can_be_looked_at() {
    let folder = Folder::new();
    let look = |name: &str| OpenPlace::to_look(folder.path(name).to_str().unwrap());
    let reason = look("in").unwrap_err().to_string();
    assert!(reason.contains("is no checkpoint directory"), "{reason}");
    // Claimed, and without a checkpoint yet.
    drop(folder.launch(&StartFrom::Newest).unwrap());
    let place = look("job.toml").unwrap().place;
    assert_eq!(place, Place::Directory(folder.path("checkpoints")));
}

#[test]
fn the_newest_checkpoint_is_the_one_that_a_restart_takes() {
    let folder = Folder::new();
    folder.run(&StartFrom::Newest);
    folder.run(&StartFrom::Newest);
    let newest = || {
        let target: Target = folder.path("job.toml").to_str().unwrap().parse().unwrap();
        target.read().map(|(_, manifest)| manifest.epoch)
    };
    assert_eq!(newest().unwrap(), Epoch(2));
    // A run that goes back, and ends before it has a checkpoint of its own.
    drop(folder.launch(&StartFrom::Own(What::Checkpoint(Epoch(1)))).unwrap());
    assert_eq!(newest().unwrap(), Epoch(1));
    let resumed = folder.launch(&StartFrom::Newest).unwrap().resumed_from.unwrap().epoch;
    assert_eq!(Epoch(resumed), newest().unwrap());
    // One that begins afresh.
    fs::remove_dir_all(folder.path("out")).unwrap();
    drop(folder.launch(&StartFrom::Nothing).unwrap());
    let reason = newest().unwrap_err();
    let reason = format!("{reason:#}");
    assert!(reason.contains("has no checkpoint yet") && reason.contains("2, 1"), "{reason}");
}
