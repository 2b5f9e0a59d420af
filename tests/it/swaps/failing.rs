//! New versions that misbehave: the job goes back by itself, and nobody outside sees that they ran.

use super::*;

#[test]
fn a_version_that_traps_is_rolled_back_and_leaves_no_trace() {
    for backend in ["heap", "rocksdb"] {
        let ledger = Ledger::new();
        let mut job = ledger.start(&["--set", &format!("state.backend={backend}")]);
        pause(300, &mut job);
        let undone = ledger.swap("trapping", &["--watch", "20s"]);
        undone.refused(&["rolled back, and the job runs as before", "the total of key"]);
        pause(300, &mut job);
        let status = ledger.status().unwrap();
        assert_eq!(stage(&status), "rolled-back", "{status:#}");
        // The job that runs can be swapped again.
        let kept = ledger.swapped("v2", &["--watch", "100ms"]);
        assert_eq!(stage(&kept), "kept", "{kept:#}");
        pause(100, &mut job);
        let rows = ledger.end(job);
        assert!(rows["v1"] > 0 && rows["v2"] > 0 && rows.len() == 2, "{backend}: {rows:?}");
        assert_eq!(ledger.savepoints(), [""; 0]);
        let events = ledger.events();
        // It traps on its first record, perhaps before anybody has seen it on trial.
        let events: Vec<&str> =
            events.iter().map(String::as_str).filter(|event| *event != "swapped").collect();
        assert_eq!(events, ["asked", "rolled-back", "asked", "kept"]);
    }
}

#[test]
fn a_trap_late_in_the_trial_takes_back_all_of_it() {
    let ledger = Ledger::new();
    // Each key comes to this after some records.
    let mut job = ledger.start(&["--set", "operator.ledger.config={ fault-at = 20000 }"]);
    pause(300, &mut job);
    let undone = ledger.swapped("trapping", &["--watch", "60s"]);
    assert_eq!(stage(&undone), "rolled-back", "{undone:#}");
    assert!(undone["reason"].as_str().unwrap().contains("has reached 20"), "{undone:#}");
    let counted = &undone["counted"][0]["trial"]["records-in"];
    assert!(counted.as_u64().unwrap() > 0, "{undone:#}");
    pause(300, &mut job);
    let rows = ledger.end(job);
    assert_eq!(rows.into_keys().collect::<Vec<_>>(), ["v1"]);
}

#[test]
fn values_that_cannot_be_converted_go_by_the_policy() {
    let totals = |ledger: &Ledger| check_ledger(&ledger.place.rows("out"));
    // Fail: the first record of such a key ends the trial.
    let ledger = Ledger::new();
    let mut job = ledger.start(&[]);
    pause(400, &mut job);
    let undone = ledger.swapped("picky", &["--watch", "20s"]);
    assert_eq!(stage(&undone), "rolled-back", "{undone:#}");
    ledger.stop(job);
    assert_eq!(totals(&ledger).into_keys().collect::<Vec<_>>(), ["v1"]);

    // Dead-letter: records of such keys go there with the reason, and the others are processed.
    let letters = JOB.replace("deadline = ", "on-error = \"dead-letter\"\ndeadline = ");
    let letters = format!("{letters}\n[dead-letters]\npath = \"letters\"\n");
    let ledger = Ledger::of(&letters);
    let mut job = ledger.start(&[]);
    pause(400, &mut job);
    let kept = ledger.swapped("picky", &["--watch", "300ms", "--max-rejected", "1000000"]);
    assert_eq!(stage(&kept), "kept", "{kept:#}");
    pause(200, &mut job);
    ledger.stop(job);
    let rows = totals(&ledger);
    assert!(rows.len() == 2, "{rows:?}");
    let dead = ledger.place.lines("letters");
    assert!(!dead.is_empty(), "some totals are such that they are refused");
    // Without leave to reject so many, the same is rolled back.
    let ledger = Ledger::of(&letters);
    let mut job = ledger.start(&[]);
    pause(400, &mut job);
    let undone = ledger.swapped("picky", &["--watch", "20s"]);
    assert_eq!(stage(&undone), "rolled-back", "{undone:#}");
    assert!(undone["reason"].as_str().unwrap().contains("were rejected"), "{undone:#}");
    ledger.stop(job);
    assert_eq!(totals(&ledger).len(), 1);
    assert_eq!(
        ledger.place.lines("letters"),
        [""; 0],
        "what the trial could not take is taken after all"
    );
}
