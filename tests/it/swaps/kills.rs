//! `kill -9` at each stage of a swap: the next run goes on as if nothing had been, or with the swap done.

use super::*;

/// Kills the job when the swap has come to this stage, and runs it again.
fn killed_at(wanted: &str, version: &str, more: &[&str]) -> Vec<String> {
    let ledger = Ledger::new();
    let mut job = ledger.start(&[]);
    pause(300, &mut job);
    let file = ledger.component(version);
    let arguments = ["swap", "job.toml", "ledger", &file];
    let mut swap = ledger.place.start(&[&arguments[..], more].concat());
    let reached = |status: Value| {
        let passed = status["passed"].as_array().unwrap().clone();
        passed.iter().any(|stage| stage[0] == wanted)
    };
    while !ledger.status().is_some_and(reached) {
        let is_over = !crate::kill::wait(&mut swap, Duration::from_millis(1));
        assert!(!is_over || ledger.status().is_some_and(reached), "it never came to {wanted}");
    }
    job.signal("KILL");
    assert_ne!(job.end().code, Some(0));
    let told = swap.wait().unwrap().code();
    assert!(
        told == Some(1) || ["keeping", "kept"].contains(&wanted),
        "who asked is told: {told:?}"
    );

    let mut job = ledger.start(&[]);
    pause(400, &mut job);
    let said = ledger.stop(job).stderr;
    let rows = ledger.check();
    assert!(rows["v1"] > 0, "{rows:?}");
    let events = ledger.events();
    let last = events.last().expect("the swap was noted").clone();
    match last.as_str() {
        "interrupted" => {
            assert!(rows.len() == 1 && said.contains("it is undone"), "{rows:?}\n{said}")
        }
        "kept" => assert!(rows.len() <= 2, "{rows:?}"),
        other => assert!(other == "refused" || other == "rolled-back", "{events:?}"),
    }
    assert_eq!(ledger.savepoints(), [""; 0], "nothing is left behind");
    events
}

#[test]
fn killed_before_the_flip_nothing_has_changed() {
    for stage in ["shadow", "pinning"] {
        let events = killed_at(stage, "v3", &["--shadow", "2", "--watch", "60s"]);
        assert!(
            ["interrupted", "refused"].contains(&events.last().unwrap().as_str()),
            "{events:?}"
        );
    }
}

#[test]
fn killed_at_the_flip_or_in_the_trial_it_is_undone() {
    for stage in ["flipping", "trial"] {
        let events = killed_at(stage, "v3", &["--watch", "60s"]);
        assert_eq!(events.last().unwrap(), "interrupted", "{events:?}");
    }
}

#[test]
fn killed_in_the_trial_of_a_canary_it_is_undone() {
    let events = killed_at("canary", "v2", &["--canary", "30%", "--watch", "60s"]);
    assert_eq!(events.last().unwrap(), "interrupted", "{events:?}");
}

#[test]
fn killed_while_it_is_kept_or_rolled_back_it_is_one_or_the_other() {
    killed_at("keeping", "v3", &["--watch", "50ms"]);
    killed_at("kept", "v3", &["--watch", "50ms"]);
    killed_at("rolling-back", "trapping", &["--watch", "60s"]);
    killed_at("rolled-back", "trapping", &["--watch", "60s"]);
}
