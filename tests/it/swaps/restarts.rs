//! Runs after a swap: which component they begin with, and state that is halfway through its migration.

use super::*;

#[test]
fn a_restart_goes_on_with_what_was_swapped_in_until_the_job_file_names_another() {
    let ledger = Ledger::new();
    let mut job = ledger.start(&[]);
    pause(200, &mut job);
    assert_eq!(stage(&ledger.swapped("v2", &["--watch", "100ms"])), "kept");
    assert_eq!(ledger.end(job).len(), 2);

    let by = |run: &dyn Fn() -> RunningJob| {
        let before = ledger.place.rows("out").len();
        let mut job = run();
        pause(400, &mut job);
        let done = ledger.stop(job);
        let counts = ledger.check();
        assert!(counts.values().sum::<usize>() > before);
        (counts, done.stderr)
    };
    let (first, said) = by(&|| ledger.start(&[]));
    assert!(said.contains("operator `ledger` goes on with component"), "{said}");
    assert!(said.contains("--component-from-file"), "{said}");
    let (second, said) = by(&|| ledger.start(&["--component-from-file"]));
    assert!(!said.contains("goes on with component"), "{said}");
    assert_eq!(second["v2"], first["v2"]);
    assert!(second["v1"] > first["v1"]);
    // The file's component is what the checkpoint says now. Another one there is what the user wants.
    ledger.place.write("ledger.wasm", crate::workplace::ledger("ledger-v3"));
    let (third, _) = by(&|| ledger.start(&[]));
    assert!(third["v3"] > 0 && third["v1"] == second["v1"], "{third:?}");
    let shown = ledger.place.run(&["checkpoint", "show", "job.toml"]).succeeded().stdout;
    assert!(shown.contains("component  "), "{shown}");
    let history = ledger.place.run(&["history", "job.toml"]).succeeded().stdout;
    for says in ["started", "asked for", "swapped", "kept", "ledger"] {
        assert!(history.contains(says), "{says}: {history}");
    }
}

#[test]
fn a_migration_that_was_interrupted_goes_on_in_the_next_run() {
    for backend in ["heap", "rocksdb"] {
        let many = JOB
            .replace("keys = 200\n", "keys = 200000\n")
            .replace("rate = 4000\n", "rate = 60000\n");
        let ledger = Ledger::of(&many);
        let set = format!("state.backend={backend}");
        let mut job = ledger.start(&["--set", &set]);
        pause(1500, &mut job);
        assert_eq!(stage(&ledger.swapped("v3", &["--watch", "0s"])), "kept");
        job.signal("KILL");
        assert_ne!(job.end().code, Some(0));
        let mut job = ledger.start(&["--set", &set]);
        pause(300, &mut job);
        assert_eq!(stage(&ledger.swapped("v5", &["--watch", "0s", "--yes"])), "kept");
        pause(300, &mut job);
        let rows = ledger.end(job);
        assert!(rows["v3"] + rows["v5"] > 0, "{backend}: {rows:?}");
        // What is left is found by whoever looks.
        ledger.place.run(&["checkpoint", "show", "job.toml", "--json"]).succeeded();
    }
}

#[test]
fn a_swap_that_is_asked_for_before_the_job_runs_waits_for_it() {
    let ledger = Ledger::new();
    let mut job = ledger.start(&[]);
    // The socket is there before state is restored.
    let kept = ledger.swapped("v2", &["--watch", "100ms"]);
    assert_eq!(stage(&kept), "kept", "{kept:#}");
    pause(200, &mut job);
    let rows = ledger.end(job);
    assert!(rows["v2"] > 0, "{rows:?}");
    // Other tasks, the same swapped component.
    let mut job = ledger.start(&["--set", "operator.ledger.parallelism=3"]);
    assert_eq!(stage(&ledger.swapped("v3", &["--watch", "100ms"])), "kept");
    pause(200, &mut job);
    assert!(ledger.end(job)["v3"] > 0);
}
