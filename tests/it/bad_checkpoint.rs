//! Checkpoint directories that cannot be used: nothing is overwritten, and the way out is named.

use std::fs;

use crate::workplace::Workplace;

const JOB: &str = r#"
[job]
name = "steady"
[checkpoint]
dir = "checkpoints"
interval = "20ms"
num-retained = 1000
inline-threshold = "0B"
[[source]]
id = "numbers"
connector = "generator"
keys = 5000
records = 30000
rate = 100000
[[operator]]
id = "sum"
component = "guests.wasm"
input = "numbers"
[[sink]]
id = "sums"
connector = "discard"
input = "sum.sums"
"#;

/// A place where the job has run to its end, and the epochs of its checkpoints, newest first.
fn finished() -> (Workplace, Vec<u64>) {
    let place = Workplace::with_guests(JOB);
    let done = place.run(&["run", "job.toml", "--json"]).succeeded().json();
    let taken = done["checkpoints"].as_array().unwrap();
    let mut epochs: Vec<u64> = taken.iter().map(|taken| taken["epoch"].as_u64().unwrap()).collect();
    epochs.reverse();
    assert!(epochs.len() > 3, "{done}");
    (place, epochs)
}

fn flip_a_bit(path: &std::path::Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_flipped_bit_in_the_newest_manifest_is_found_and_an_older_checkpoint_named() {
    let (place, epochs) = finished();
    let begins = format!("{:020}", epochs[0]);
    let is_newest = |path: &std::path::PathBuf| {
        path.file_name().unwrap().to_str().unwrap().starts_with(&begins)
    };
    flip_a_bit(place.files("checkpoints/manifests").into_keys().find(is_newest).as_ref().unwrap());
    let before = place.files("checkpoints");
    let from = format!("--from {}", epochs[1]);
    let refused = place.run(&["run", "job.toml"]);
    refused.refused(&["damaged", &format!("checkpoint {}", epochs[0]), &from]);
    assert_eq!(place.files("checkpoints"), before, "nothing is changed");

    let verified = place.run(&["checkpoint", "verify", "checkpoints"]);
    assert_eq!(verified.code, Some(1));
    let resumed = place.run(&["run", "job.toml", "--json", "--from", &epochs[1].to_string()]);
    let resumed = resumed.succeeded().json();
    assert_eq!(resumed["resumed_from"]["epoch"], epochs[1]);
    assert!(resumed["checkpoints"][0]["epoch"].as_u64().unwrap() > epochs[0]);
}

#[test]
fn a_flipped_bit_in_a_pack_is_found_and_an_older_checkpoint_named() {
    let (place, epochs) = finished();
    let show = |epoch: u64| {
        let show = place.run(&["checkpoint", "show", "checkpoints", &epoch.to_string(), "--json"]);
        show.succeeded().stdout
    };
    let packs: Vec<_> = place.files("checkpoints/packs").into_keys().collect();
    let named = |path: &&std::path::PathBuf, epoch| {
        show(epoch).contains(path.file_name().unwrap().to_str().unwrap())
    };
    // A pack that only newer checkpoints name.
    let older = *epochs.last().unwrap();
    let victim = packs.iter().find(|pack| named(pack, epochs[0]) && !named(pack, older));
    let victim = victim.expect("state changed after the first checkpoint");
    flip_a_bit(victim);
    let before = place.files("checkpoints/packs");
    let name = victim.file_name().unwrap().to_str().unwrap();
    place.run(&["run", "job.toml"]).refused(&[name, "--from "]);
    assert_eq!(place.files("checkpoints/packs"), before);
    let verified = place.run(&["checkpoint", "verify", "checkpoints"]);
    assert_eq!(verified.code, Some(1));
    assert!(format!("{}{}", verified.stdout, verified.stderr).contains(name), "{verified:?}");
    place.run(&["run", "job.toml", "--from", &older.to_string()]).succeeded();
}

#[test]
fn a_directory_that_a_live_process_owns_is_left_alone() {
    let place = Workplace::with_guests(&JOB.replace("records = 30000\n", ""));
    let mut owner = place.start(&["run", "job.toml", "--no-progress"]);
    let lock = place.path("checkpoints/.lock");
    // The owner is there when the lock names it; looking costs nothing else.
    while fs::read_to_string(&lock).ok().is_none_or(|text| !text.contains(&owner.id().to_string()))
    {
        assert!(owner.try_wait().unwrap().is_none(), "the owner has ended");
        std::thread::yield_now();
    }
    let refused = place.run(&["run", "job.toml"]);
    owner.kill().unwrap();
    owner.wait().unwrap();
    refused.refused(&["checkpoints", &owner.id().to_string()]);
    // Its death ends the ownership.
    let resumed = place.run(&["run", "job.toml", "--set", "source.numbers.rate=1", "--from", "0"]);
    resumed.refused(&["no checkpoint 0"]);
}

#[test]
fn a_directory_that_cannot_be_written_is_refused_before_anything_runs() {
    let place = Workplace::with_guests(JOB);
    place.write("a-file", b"in the way");
    for directory in ["a-file", "/proc/checkpoints"] {
        let set = format!("checkpoint.dir={directory}");
        place.run(&["run", "job.toml", "--set", &set]).refused(&[directory]);
    }
    assert_eq!(fs::read(place.path("a-file")).unwrap(), b"in the way");
}

#[test]
fn damage_decides_the_exit_code_though_nobody_reads() {
    let (place, epochs) = finished();
    let commands: [&[&str]; 4] = [
        &["checkpoint", "verify", "job.toml"],
        &["checkpoint", "verify", "job.toml", "--json"],
        &["checkpoint", "scrub", "job.toml"],
        &["checkpoint", "scrub", "job.toml", "--json"],
    ];
    for command in commands {
        place.run_unread(command).succeeded();
    }
    // What comes last of all that is printed.
    let begins = format!("{:020}", epochs.last().unwrap());
    let is_oldest = |path: &std::path::PathBuf| {
        path.file_name().unwrap().to_str().unwrap().starts_with(&begins)
    };
    flip_a_bit(place.files("checkpoints/manifests").into_keys().find(is_oldest).as_ref().unwrap());
    for command in commands {
        assert_eq!(place.run_unread(command).code, Some(1), "{command:?}");
    }
}

#[test]
fn another_jobs_checkpoints_are_refused() {
    let (place, _) = finished();
    let other = place.run(&["run", "job.toml", "--set", "job.name=other"]);
    other.refused(&["`steady`", "`other`", "a checkpoint directory of its own"]);
    let groups = place.run(&["run", "job.toml", "--set", "job.key-groups=64"]);
    groups.refused(&["key-groups = 128"]);
}

#[test]
fn state_without_an_operator_is_refused() {
    let (place, _) = finished();
    let job = JOB.replace("id = \"sum\"", "id = \"total\"\noperator = \"sum\"");
    place.write("job.toml", job.replace("sum.sums", "total.sums").as_bytes());
    let before = place.files("checkpoints/manifests");
    place.run(&["run", "job.toml"]).refused(&["`sum`", "does not have", "--fresh"]);
    assert_eq!(place.files("checkpoints/manifests"), before);
}

#[test]
fn a_source_by_another_name_is_not_read_again_into_the_old_state() {
    let (place, _) = finished();
    let job = JOB.replace("id = \"numbers\"", "id = \"figures\"");
    place.write("job.toml", job.replace("input = \"numbers\"", "input = \"figures\"").as_bytes());
    let before = place.files("checkpoints/manifests");
    place.run(&["run", "job.toml"]).refused(&["source `numbers`", "name the source as before"]);
    assert_eq!(place.files("checkpoints/manifests"), before);
}

#[test]
fn a_job_can_move_its_checkpoints_and_goes_on_with_its_output() {
    let sink = "connector = \"jsonl\"\npath = \"out\"\nwith-key = true";
    let place = Workplace::with_guests(&JOB.replace("connector = \"discard\"", sink));
    let mut child = place.start(&["run", "job.toml", "--no-progress"]);
    let manifests = place.path("checkpoints/manifests");
    while fs::read_dir(&manifests).map_or(0, Iterator::count) < 3 {
        assert!(child.try_wait().unwrap().is_none(), "the job has ended by itself");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let moved = ["run", "job.toml", "--json", "--set", "checkpoint.dir=moved"];
    let done = place.run(&[&moved[..], &["--from", "checkpoints"]].concat()).succeeded().json();
    let old = done["resumed_from"]["epoch"].as_u64().unwrap();
    assert!(done["checkpoints"][0]["epoch"].as_u64().unwrap() > old, "{done}");
    assert_eq!(place.lines("out").len(), 30_000);
    let again = place.run(&moved).succeeded().json();
    assert_eq!(again["records"], 0, "{again}");
}

#[test]
fn what_b3sum_says_of_a_pack_is_its_name() {
    let (place, epochs) = finished();
    for (path, bytes) in place.files("checkpoints/packs") {
        let digest = statehouse_checkpoint::Digest::of(&bytes).to_string();
        assert_eq!(path.file_name().unwrap().to_str().unwrap(), digest);
    }
    let verified = place.run(&["checkpoint", "verify", "job.toml"]).succeeded();
    assert!(verified.stdout.contains(&epochs[0].to_string()), "{}", verified.stdout);
}

#[test]
fn another_parallelism_and_another_directory_take_the_state_over() {
    let (place, epochs) = finished();
    place.write("second/guests.wasm", crate::workplace::guests());
    place.write("second/job.toml", JOB.replace("records = 30000", "records = 30000\n").as_bytes());
    let run = place.run(&[
        "run",
        "second/job.toml",
        "--json",
        "--from",
        "checkpoints",
        "--set",
        "operator.sum.parallelism=3",
    ]);
    let run = run.succeeded().json();
    assert_eq!(run["resumed_from"]["epoch"], epochs[0]);
    assert_eq!(run["records"], 0, "everything was read before");
    place.run(&["checkpoint", "verify", "second/checkpoints"]).succeeded();
    // The second directory stands on its own where it is copied to.
    place.run(&["checkpoint", "copy", "second/job.toml", "third", "--name", "own"]).succeeded();
    fs::remove_dir_all(place.path("checkpoints")).unwrap();
    fs::remove_dir_all(place.path("second/checkpoints")).unwrap();
    place.run(&["checkpoint", "scrub", "third"]).succeeded();
    let taken = run["checkpoints"].as_array().unwrap();
    assert!(taken.iter().all(|taken| taken["epoch"].as_u64() > Some(epochs[0])), "{run}");
}
