//! Tests of the coordinator: events in, commands out.

use std::time::Duration;

use super::*;

fn settings() -> CheckpointSettings {
    CheckpointSettings {
        interval: Some(Duration::from_millis(100)),
        min_pause: Duration::from_millis(30),
        timeout: Duration::from_millis(500),
        tolerable_failed: 1,
        ..CheckpointSettings::default()
    }
}

/// Two tasks, one of them a source; the clock starts at 0.
fn coordinator(settings: CheckpointSettings) -> Coordinator {
    Coordinator::new(settings, true, 2, 1, None, 0, 0)
}

fn acknowledge(coordinator: &mut Coordinator, now: i64, epoch: u64) -> Vec<Command> {
    let first = Event::Acknowledged { task: TaskIndex(0), epoch };
    assert_eq!(coordinator.handle(now, first), []);
    coordinator.handle(now, Event::Acknowledged { task: TaskIndex(1), epoch })
}

fn trigger(epoch: u64, completed: Option<u64>, last: bool) -> Vec<Command> {
    vec![Command::Trigger(Barrier { epoch, completed, last })]
}

#[test]
fn checkpoints_follow_the_interval_and_commit_when_published() {
    let mut coordinator = coordinator(settings());
    assert_eq!(coordinator.next_tick(), Some(100));
    assert_eq!(coordinator.handle(99, Event::Tick), []);
    assert_eq!(coordinator.handle(100, Event::Tick), trigger(1, None, false));
    assert_eq!(coordinator.handle(150, Event::Tick), [], "one checkpoint runs at a time");
    assert_eq!(acknowledge(&mut coordinator, 160, 1), [Command::Publish { epoch: 1 }]);
    assert_eq!(
        coordinator.handle(170, Event::Published { epoch: 1 }),
        [Command::Commit { epoch: 1 }]
    );
    assert_eq!(coordinator.handle(200, Event::Tick), trigger(2, Some(1), false));
}

#[test]
fn the_pause_is_kept_after_a_slow_checkpoint() {
    let mut coordinator = coordinator(settings());
    coordinator.handle(100, Event::Tick);
    acknowledge(&mut coordinator, 190, 1);
    coordinator.handle(195, Event::Published { epoch: 1 });
    assert_eq!(coordinator.handle(200, Event::Tick), []);
    assert_eq!(coordinator.handle(225, Event::Tick), trigger(2, Some(1), false));
}

#[test]
fn a_slow_checkpoint_is_discarded_and_late_acknowledgements_do_not_count() {
    let mut coordinator = coordinator(settings());
    coordinator.handle(100, Event::Tick);
    assert_eq!(coordinator.handle(599, Event::Tick), []);
    let commands = coordinator.handle(600, Event::Tick);
    let [Command::Discard { epoch: 1, reason }] = &commands[..] else { panic!("{commands:?}") };
    assert!(reason.contains("2 tasks within its timeout of 500ms"), "{reason}");
    assert_eq!(acknowledge(&mut coordinator, 610, 1), []);
    assert_eq!(coordinator.handle(700, Event::Tick), trigger(2, None, false));
}

#[test]
fn more_failures_in_a_row_than_tolerable_fail_the_job() {
    let mut coordinator = coordinator(settings());
    for (epoch, now) in [(1, 100), (2, 200)] {
        coordinator.handle(now, Event::Tick);
        acknowledge(&mut coordinator, now, epoch);
        let failed = Event::PublishFailed { epoch, reason: "disk full".into() };
        let commands = coordinator.handle(now, failed);
        match epoch {
            1 => assert!(matches!(commands[..], [Command::Discard { epoch: 1, .. }])),
            _ => {
                let [Command::Fail { reason }] = &commands[..] else { panic!("{commands:?}") };
                assert!(reason.contains("disk full") && reason.contains("tolerable-failed"));
            }
        }
    }
    assert_eq!(coordinator.handle(999, Event::Tick), [], "a failed job does nothing more");
}

#[test]
fn the_stream_ends_with_a_last_checkpoint_after_the_running_one() {
    let mut coordinator = coordinator(settings());
    coordinator.handle(100, Event::Tick);
    assert_eq!(coordinator.handle(110, Event::Exhausted), []);
    acknowledge(&mut coordinator, 120, 1);
    let commands = coordinator.handle(130, Event::Published { epoch: 1 });
    let last = Barrier { epoch: 2, completed: Some(1), last: true };
    assert_eq!(commands, [Command::Commit { epoch: 1 }, Command::Trigger(last)]);
    assert_eq!(coordinator.handle(9_999, Event::Tick), [], "the last one has no timeout");
    assert_eq!(acknowledge(&mut coordinator, 10_000, 2), [Command::Publish { epoch: 2 }]);
    coordinator.handle(10_010, Event::Published { epoch: 2 });
    assert_eq!(coordinator.handle(10_020, Event::Finished), []);
    assert_eq!(coordinator.handle(10_021, Event::Finished), [Command::Complete]);
}

#[test]
fn without_a_store_the_end_commits_without_a_checkpoint() {
    let mut coordinator = Coordinator::new(settings(), false, 2, 1, None, 0, 0);
    assert_eq!(coordinator.next_tick(), None);
    assert_eq!(coordinator.handle(500, Event::Tick), []);
    assert_eq!(coordinator.handle(510, Event::Exhausted), trigger(1, None, true));
    assert_eq!(acknowledge(&mut coordinator, 520, 1), [Command::Commit { epoch: 1 }]);
}

#[test]
fn a_stop_ends_the_stream_and_epochs_go_on_after_the_highest_ever_used() {
    let mut coordinator = Coordinator::new(settings(), true, 2, 1, Some(9), 9, 0);
    assert_eq!(coordinator.handle(5, Event::Stop), trigger(10, Some(9), true));
}

#[test]
fn a_run_that_leaves_newer_checkpoints_behind_takes_one_at_once() {
    for restored in [None, Some(4)] {
        let mut coordinator = Coordinator::new(settings(), true, 2, 1, restored, 9, 50);
        assert_eq!(coordinator.next_tick(), Some(50));
        assert_eq!(coordinator.handle(50, Event::Tick), trigger(10, restored, false));
    }
}

#[test]
fn times_beyond_all_reason_mean_never() {
    let forever = Duration::from_secs(u64::MAX / 1000);
    let endless = CheckpointSettings { interval: Some(forever), timeout: forever, ..settings() };
    let mut coordinator = coordinator(endless.clone());
    assert_eq!(coordinator.next_tick(), Some(i64::MAX));
    assert_eq!(coordinator.handle(1 << 60, Event::Tick), []);
    let mut coordinator = Coordinator::new(endless, true, 2, 1, None, 3, 0);
    coordinator.handle(0, Event::Tick);
    assert_eq!(coordinator.next_tick(), Some(i64::MAX));
    assert_eq!(coordinator.handle(1 << 60, Event::Tick), [], "the checkpoint still has time");
}
