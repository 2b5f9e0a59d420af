//! Swaps that cannot be: refused with what to do, while the job goes on.

use super::*;

/// Asks for each of these, and checks what is said, and that the job has not noticed.
#[track_caller]
fn refused(cases: &[(&[&str], &[&str])]) {
    let ledger = Ledger::new();
    for version in ["v2", "v3", "rekeyed", "unmapped", "rewired", "hungry", "looping"] {
        ledger.component(version);
    }
    let v2 = std::fs::read(ledger.place.path("v2.wasm")).unwrap();
    ledger.place.write("torn.wasm", &v2[..v2.len() / 2]);
    ledger.place.write("text.wasm", b"no component at all");
    let mut job = ledger.start(&[]);
    pause(200, &mut job);
    for (arguments, says) in cases {
        let done = ledger.place.run(&[&["swap", "job.toml"], *arguments].concat());
        done.refused(says);
    }
    pause(100, &mut job);
    let rows = ledger.end(job);
    assert_eq!(rows.into_keys().collect::<Vec<_>>(), ["v1"]);
    assert_eq!(ledger.savepoints(), [""; 0]);
    let events = ledger.events();
    assert!(events.iter().all(|event| event == "refused" || event == "asked"), "{events:?}");
}

#[test]
fn components_that_do_not_fit_are_refused_before_anything_is_touched() {
    refused(&[
        (&["ledger", "rekeyed.wasm"], &["refused", "nothing has changed", "key"]),
        (&["ledger", "unmapped.wasm"], &["refused", "total", "--allow-dropped-state"]),
        (&["ledger", "rewired.wasm"], &["refused", "totals"]),
        (&["ledger", "hungry.wasm"], &["refused", "memory"]),
        (&["ledger", "looping.wasm"], &["refused", "`open` ran past its deadline of 500ms"]),
        (&["ledger", "torn.wasm"], &["refused", "does not compile"]),
        (&["ledger", "text.wasm"], &["refused", "is not WebAssembly"]),
    ]);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    refused(&[
        (&["nobody", "v2.wasm"], &["no operator `nobody`", "its operators are: `ledger`"]),
        (&["ledger", "v2.wasm", "--operator-in-component", "other"], &["no operator `other`"]),
        (&["ledger", "missing.wasm"], &["missing.wasm", "statehouse build"]),
        (&["ledger"], &["operator `ledger` has no component"]),
        (&[], &["name at least one operator"]),
        (&["ledger", "v2.wasm", "ledger", "v3.wasm"], &["`ledger` is named twice"]),
        (&["ledger", "v2.wasm", "--invariant", "speed > 3"], &["no counter `speed`", "\n  ^"]),
        (&["ledger", "v2.wasm", "--savepoint", "a/b"], &["a/b", "letters, digits"]),
        (&["ledger", "--to-version", "0000"], &["no component whose digest begins with `0000`"]),
        (&["--keep"], &["no swap is under way"]),
    ]);
}

#[test]
fn a_plan_says_what_would_happen_and_does_nothing() {
    let ledger = Ledger::new();
    let mut job = ledger.start(&[]);
    pause(200, &mut job);
    let plan = |version: &str| ledger.swap(version, &["--plan"]);
    let same = plan("v2").succeeded().stdout;
    assert!(same.contains("operator `ledger`") && same.contains("kept"), "{same}");
    let changed = plan("v3").succeeded().stdout;
    assert!(changed.contains("migrated") && changed.contains("total"), "{changed}");
    let dropped = plan("unmapped");
    assert_eq!(dropped.code, Some(1), "{dropped:#?}");
    assert!(dropped.stdout.contains("dropped"), "{dropped:#?}");
    assert!(dropped.stdout.contains("--allow-dropped-state"), "{dropped:#?}");
    let allowed = ledger.swap("unmapped", &["--plan", "--allow-dropped-state"]);
    assert_eq!(allowed.code, Some(0), "{allowed:#?}");
    let json = ledger.swapped("rekeyed", &["--plan"]);
    assert_eq!((stage(&json), &json["plan"]["accepted"]), ("planned", &false.into()), "{json:#}");
    pause(100, &mut job);
    let components = ledger.place.files("checkpoints/components").len();
    assert_eq!(components, 1, "what was only planned is not kept");
    assert_eq!(ledger.end(job).len(), 1);
    assert_eq!(ledger.events(), [""; 0]);
}

#[test]
fn there_is_one_swap_at_a_time() {
    let ledger = Ledger::new();
    let mut job = ledger.start(&[]);
    pause(200, &mut job);
    let file = ledger.component("v2");
    let first = ledger.place.start(&["swap", "job.toml", "ledger", &file, "--watch", "60s"]);
    while ledger.status().is_none_or(|status| stage(&status) != "trial") {
        pause(10, &mut job);
    }
    let second = ledger.swap("v3", &[]);
    second.refused(&["is under way (trial)", "--keep", "--abort"]);
    // A plan is made at any time.
    assert_eq!(ledger.swap("v3", &["--plan"]).code, Some(0));
    let kept = ledger.place.run(&["swap", "job.toml", "--keep", "--json"]).succeeded().json();
    assert_eq!(stage(&kept), "kept", "{kept:#}");
    assert!(first.wait_with_output().unwrap().status.success());
    let rows = ledger.end(job);
    assert!(rows["v2"] > 0, "{rows:?}");
}

#[test]
fn jobs_that_cannot_be_swapped_say_so() {
    let ledger = Ledger::new();
    ledger.swap("v2", &[]).refused(&["is not running here", "changing `component` in its file"]);
    let without = JOB.replace("[checkpoint]\ndir = \"checkpoints\"\ninterval = \"50ms\"\n", "");
    let ledger = Ledger::of(&without);
    let mut job = ledger.start(&[]);
    pause(100, &mut job);
    ledger.swap("v2", &[]).refused(&["no `[checkpoint]` table"]);
    job.signal("INT");
    job.end().succeeded();
}

#[test]
fn a_store_that_takes_no_savepoint_refuses_the_swap_and_the_job_goes_on() {
    let ledger = Ledger::new();
    let mut job = ledger.start(&[]);
    pause(200, &mut job);
    // A file stands where the folder of savepoints would be made.
    ledger.place.write("checkpoints/savepoints", b"");
    let refused = ledger.swap("v2", &[]);
    refused.refused(&["refused", "nothing has changed"]);
    std::fs::remove_file(ledger.place.path("checkpoints/savepoints")).unwrap();
    pause(100, &mut job);
    assert_eq!(stage(&ledger.swapped("v2", &["--watch", "0s"])), "kept");
    let rows = ledger.end(job);
    assert!(rows["v1"] > 0, "{rows:?}");
}

/// A file system of a few megabytes, which needs root. Elsewhere there is none.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: std::path::PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m", "statehouse-test"]).arg(&at);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(at))
    }

    /// Leaves no room. What is written to make it so goes when the file is removed.
    fn fill(&self) -> std::path::PathBuf {
        let file = self.0.join("filling");
        let written = std::fs::write(&file, vec![1; 16 << 20]);
        assert!(written.is_err(), "there is no room for so much");
        file
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

#[test]
fn a_disk_that_is_full_when_the_savepoint_is_made_refuses_the_swap() {
    let ledger = Ledger::of(&JOB.replace("\"50ms\"", "\"1h\""));
    let Some(disk) = SmallDisk::mount(ledger.place.path("checkpoints")) else {
        eprintln!("no file system can be mounted here, so the disk is not filled");
        return;
    };
    let mut job = ledger.start(&[]);
    pause(200, &mut job);
    assert_eq!(stage(&ledger.swapped("v2", &["--watch", "0s"])), "kept");
    let filling = disk.fill();
    // Its component is in the store, so it is the savepoint that finds no room.
    let back = ["swap", "job.toml", "ledger", "--back", "--json"];
    let refused = ledger.place.run(&back);
    let status = refused.json();
    assert_eq!((refused.code, stage(&status)), (Some(1), "refused"), "{refused:#?}");
    let passed: Vec<&Value> =
        status["passed"].as_array().unwrap().iter().map(|one| &one[0]).collect();
    assert!(passed.contains(&&Value::from("pinning")), "{status:#}");
    // A new component finds none either.
    ledger.swap("v3", &[]).refused(&["refused", "cannot be put beside the checkpoints"]);
    std::fs::remove_file(filling).unwrap();
    pause(100, &mut job);
    let kept = ledger.place.run(&[&back[..], &["--watch", "100ms"]].concat()).json();
    assert_eq!(stage(&kept), "kept", "{kept:#}");
    pause(100, &mut job);
    let rows = ledger.end(job);
    assert!(rows["v1"] > 0 && rows["v2"] > 0 && rows.len() == 2, "{rows:?}");
}
