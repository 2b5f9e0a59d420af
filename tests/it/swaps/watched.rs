//! Trials: what ends them well and badly, and what users decide about them.

use super::*;

#[test]
fn a_version_that_gives_less_or_takes_longer_is_rolled_back_if_that_is_watched() {
    let ledger = Ledger::new();
    let mut job = ledger.start(&["--set", "operator.ledger.config={ spins = 20000 }"]);
    pause(600, &mut job);
    let undone = ledger.swapped("quiet", &["--watch", "20s", "--min-output-factor", "0.9"]);
    assert_eq!(stage(&undone), "rolled-back", "{undone:#}");
    assert!(undone["reason"].as_str().unwrap().contains("less than 0.9 times"), "{undone:#}");
    // What a record takes just after a restart says little of what it takes.
    pause(600, &mut job);
    let undone = ledger.swapped("slow", &["--watch", "20s", "--max-latency-factor", "3"]);
    assert_eq!(stage(&undone), "rolled-back", "{undone:#}");
    assert!(undone["reason"].as_str().unwrap().contains("more than 3 times"), "{undone:#}");
    let invariant = "records-out >= 0.9 * records-in";
    let undone = ledger.swapped("quiet", &["--watch", "300ms", "--invariant", invariant]);
    assert_eq!(stage(&undone), "rolled-back", "{undone:#}");
    assert!(undone["reason"].as_str().unwrap().contains(invariant), "{undone:#}");
    let kept = ledger.swapped("v2", &["--watch", "300ms", "--invariant", invariant]);
    assert_eq!(stage(&kept), "kept", "{kept:#}");
    let rows = ledger.end(job);
    assert!(rows.into_keys().all(|by| ["v1", "v2"].contains(&&*by)));
}

#[test]
fn nothing_of_a_trial_is_seen_outside_unless_the_user_says_so() {
    for (commit, more) in [(false, &[][..]), (true, &["--commit-outputs"][..])] {
        let ledger = Ledger::new();
        let mut job = ledger.start(&[]);
        pause(200, &mut job);
        let file = ledger.component("v2");
        let arguments = ["swap", "job.toml", "ledger", &file, "--watch", "60s"];
        let swap = ledger.place.start(&[&arguments[..], more].concat());
        while ledger.status().is_none_or(|status| stage(&status) != "trial") {
            pause(10, &mut job);
        }
        pause(500, &mut job);
        let rows = check_ledger(&ledger.place.rows("out"));
        assert_eq!(rows.contains_key("v2"), commit, "{rows:?}");
        // Ending the job keeps what is on trial.
        let rows = ledger.end(job);
        assert!(rows["v2"] > 0, "{rows:?}");
        assert!(swap.wait_with_output().is_ok());
        assert_eq!(ledger.events().last().map(String::as_str), Some("kept"));
    }
}

#[test]
fn a_user_gives_a_trial_up() {
    let ledger = Ledger::new();
    let mut job = ledger.start(&[]);
    pause(200, &mut job);
    let file = ledger.component("v3");
    let mut swap = ledger.place.start(&["swap", "job.toml", "ledger", &file, "--watch", "60s"]);
    while ledger.status().is_none_or(|status| stage(&status) != "trial") {
        pause(10, &mut job);
    }
    let undone = ledger.place.run(&["swap", "job.toml", "--abort", "--json"]).succeeded().json();
    assert_eq!(stage(&undone), "rolled-back", "{undone:#}");
    assert_eq!(swap.wait().unwrap().code(), Some(1));
    pause(200, &mut job);
    assert_eq!(ledger.end(job).len(), 1);
    assert_eq!(ledger.history().last().unwrap()["reason"], "the user gave it up");
}

#[test]
fn a_canary_is_promoted_or_withdrawn() {
    let ledger = Ledger::new();
    let mut job = ledger.start(&[]);
    pause(200, &mut job);
    let kept = ledger.swapped("v2", &["--canary", "20%", "--watch", "300ms"]);
    assert_eq!(stage(&kept), "kept", "{kept:#}");
    let passed: Vec<&str> =
        kept["passed"].as_array().unwrap().iter().map(|one| one[0].as_str().unwrap()).collect();
    let canary = passed.iter().position(|stage| *stage == "canary");
    let trial = passed.iter().position(|stage| *stage == "trial");
    assert!(canary.is_some() && trial > canary, "{passed:?}");
    let undone = ledger.swapped("trapping", &["--canary", "20%", "--watch", "20s"]);
    assert_eq!(stage(&undone), "rolled-back", "{undone:#}");
    let refused = ledger.swap("v3", &["--canary", "20%"]);
    refused.refused(&["refused", "canary"]);
    pause(100, &mut job);
    let rows = ledger.end(job);
    assert!(rows["v2"] > 0 && rows.len() == 2, "{rows:?}");
    assert!(ledger.events().contains(&"promoted".to_owned()));
}

#[test]
fn a_shadow_run_says_what_another_version_would_have_made() {
    let ledger = Ledger::new();
    let mut job = ledger.start(&[]);
    pause(200, &mut job);
    let shadow = ["--shadow", "5", "--shadow-must-match", "--watch", "100ms"];
    let quiet = ledger.swapped("quiet", &shadow);
    assert_eq!(stage(&quiet), "refused", "{quiet:#}");
    let missing = quiet["shadow"][0]["comparison"]["outputs"][0]["missing"].as_u64().unwrap();
    assert!(missing > 0, "{quiet:#}");
    // Rows say by whom they are made, so the outputs differ, and the state does not.
    let other = ledger.swapped("v2", &shadow[..2]);
    assert_eq!(other["shadow"].as_array().map(Vec::len), Some(2), "one a task: {other:#}");
    let comparison = &other["shadow"][0]["comparison"];
    assert_eq!(comparison["states"][0]["differing"], 0, "{comparison:#}");
    assert!(comparison["states"][0]["same"].as_u64() > Some(0), "{comparison:#}");
    ledger.place.run(&["swap", "job.toml", "--keep"]);
    let rows = ledger.end(job);
    assert!(rows["v2"] > 0, "{rows:?}");
}
