//! Two processes that want the same job: one has it, and nothing is damaged.

use crate::savepoints::{JOB, STATE, expected};
use crate::workplace::Workplace;

#[test]
fn of_two_processes_started_at_once_one_runs_and_the_other_is_refused() {
    let place = Workplace::with_guests(JOB);
    place.run(&["inspect", "guests.wasm"]).succeeded();
    // Beside one that runs for sure, one in another place with the same checkpoints.
    let first = place.start_job(&["job.toml"], STATE);
    let others: Vec<_> = ["state", "elsewhere"]
        .map(|state| place.run(&["run", "job.toml", "--set", &format!("state.directory={state}")]))
        .into();
    for other in others {
        other.refused(&["is in use by process", "stop it first"]);
    }
    first.end().succeeded();
    assert!(place.lines("out") == expected());

    let place = Workplace::with_guests(JOB);
    place.run(&["inspect", "guests.wasm"]).succeeded();
    let mut racing: Vec<_> = (0..4).map(|_| place.start(&["run", "job.toml"])).collect();
    let ended: Vec<_> = racing.iter_mut().map(|child| child.wait().unwrap().code()).collect();
    let won = ended.iter().filter(|code| **code == Some(0)).count();
    assert_eq!(won, 1, "{ended:?}");
    assert!(place.lines("out") == expected());
    place.run(&["checkpoint", "scrub", "job.toml"]).succeeded();
}

#[test]
fn a_refused_start_does_not_fence_the_job_that_runs() {
    let place = Workplace::with_guests(JOB);
    let mut job = place.start_job(&["job.toml"], STATE);
    let claims = || place.files("checkpoints/generations").len();
    let before = claims();
    for from in [&[][..], &["--fresh"], &["--from", "1"]] {
        let refused = place.run(&[&["run", "job.toml"], from].concat());
        assert_eq!(refused.code, Some(1), "{refused:#?}");
    }
    assert_eq!(claims(), before);
    place.run(&["checkpoint", "collect", "job.toml"]).refused(&["is running", "--dry-run"]);
    place.run(&["checkpoint", "collect", "checkpoints"]).refused(&["in use by process"]);
    assert!(job.goes_on(std::time::Duration::from_millis(50)));
    job.end().succeeded();
    assert!(place.lines("out") == expected());
}
