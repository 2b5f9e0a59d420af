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
const START: Start =
    Start { durable: true, tasks: 2, sources: 1, restored: None, first_epoch: 1, now: 0 };

fn coordinator(settings: CheckpointSettings) -> Coordinator {
    Coordinator::new(settings, START)
}

fn acknowledge(coordinator: &mut Coordinator, now: i64, epoch: u64) -> Vec<Command> {
    let first = Event::Acknowledged { task: TaskIndex(0), epoch };
    assert_eq!(coordinator.handle(now, first), []);
    coordinator.handle(now, Event::Acknowledged { task: TaskIndex(1), epoch })
}

fn barrier(epoch: u64, builds_on: Option<u64>, last: Option<Last>) -> Command {
    Command::Trigger(Barrier { epoch, builds_on, last, kind: BarrierKind::Checkpoint })
}

fn trigger(epoch: u64, builds_on: Option<u64>) -> Vec<Command> {
    vec![barrier(epoch, builds_on, None)]
}

fn trigger_last(epoch: u64, builds_on: Option<u64>) -> Vec<Command> {
    vec![barrier(epoch, builds_on, Some(Last::Plain))]
}

#[test]
fn checkpoints_follow_the_interval_and_commit_when_published() {
    let mut coordinator = coordinator(settings());
    assert_eq!(coordinator.next_tick(), Some(100));
    assert_eq!(coordinator.handle(99, Event::Tick), []);
    assert_eq!(coordinator.handle(100, Event::Tick), trigger(1, None));
    assert_eq!(coordinator.handle(150, Event::Tick), [], "one checkpoint runs at a time");
    assert_eq!(acknowledge(&mut coordinator, 160, 1), [Command::Publish { epoch: 1 }]);
    assert_eq!(
        coordinator.handle(170, Event::Published { epoch: 1 }),
        [Command::Commit { epoch: 1 }]
    );
    assert_eq!(coordinator.handle(200, Event::Tick), trigger(2, Some(1)));
}

#[test]
fn the_pause_is_kept_after_a_slow_checkpoint() {
    let mut coordinator = coordinator(settings());
    coordinator.handle(100, Event::Tick);
    acknowledge(&mut coordinator, 190, 1);
    coordinator.handle(195, Event::Published { epoch: 1 });
    assert_eq!(coordinator.handle(200, Event::Tick), []);
    assert_eq!(coordinator.handle(225, Event::Tick), trigger(2, Some(1)));
}

#[test]
fn a_slow_checkpoint_is_discarded_and_late_acknowledgements_do_not_count() {
    let mut coordinator = coordinator(settings());
    coordinator.handle(100, Event::Tick);
    assert_eq!(coordinator.handle(599, Event::Tick), []);
    let commands = coordinator.handle(600, Event::Tick);
    let [Command::Discard { from: 1, reason }] = &commands[..] else { panic!("{commands:?}") };
    assert!(reason.contains("2 tasks within its timeout of 500ms"), "{reason}");
    assert_eq!(acknowledge(&mut coordinator, 610, 1), []);
    assert_eq!(coordinator.handle(700, Event::Tick), trigger(2, None));
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
            1 => assert!(matches!(commands[..], [Command::Discard { from: 1, .. }])),
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
    let last = barrier(2, Some(1), Some(Last::Plain));
    assert_eq!(commands, [Command::Commit { epoch: 1 }, last]);
    assert_eq!(coordinator.handle(9_999, Event::Tick), [], "the last one has no timeout");
    assert_eq!(acknowledge(&mut coordinator, 10_000, 2), [Command::Publish { epoch: 2 }]);
    coordinator.handle(10_010, Event::Published { epoch: 2 });
    assert_eq!(coordinator.handle(10_020, Event::Finished), []);
    assert_eq!(coordinator.handle(10_021, Event::Finished), [Command::Complete { stopped: None }]);
}

#[test]
fn without_a_store_the_end_commits_without_a_checkpoint() {
    let mut coordinator = Coordinator::new(settings(), Start { durable: false, ..START });
    assert_eq!(coordinator.next_tick(), None);
    assert_eq!(coordinator.handle(500, Event::Tick), []);
    assert_eq!(coordinator.handle(510, Event::Exhausted), trigger_last(1, None));
    assert_eq!(acknowledge(&mut coordinator, 520, 1), [Command::Commit { epoch: 1 }]);
}

#[test]
fn a_stop_ends_the_stream_and_epochs_go_on_after_the_highest_ever_used() {
    let mut coordinator =
        Coordinator::new(settings(), Start { restored: Some(9), first_epoch: 10, ..START });
    assert_eq!(coordinator.handle(5, Event::Stop(Stop::Checkpoint)), trigger_last(10, Some(9)));
}

#[test]
fn a_run_that_leaves_newer_checkpoints_behind_takes_one_at_once() {
    for restored in [None, Some(4)] {
        let mut coordinator =
            Coordinator::new(settings(), Start { restored, first_epoch: 10, now: 50, ..START });
        assert_eq!(coordinator.next_tick(), Some(50));
        assert_eq!(coordinator.handle(50, Event::Tick), trigger(10, restored));
    }
}

#[test]
fn times_beyond_all_reason_mean_never() {
    let forever = Duration::from_secs(u64::MAX / 1000);
    let endless = CheckpointSettings { interval: Some(forever), timeout: forever, ..settings() };
    let mut coordinator = coordinator(endless.clone());
    assert_eq!(coordinator.next_tick(), Some(i64::MAX));
    assert_eq!(coordinator.handle(1 << 60, Event::Tick), []);
    let mut coordinator = Coordinator::new(endless, Start { first_epoch: 4, ..START });
    coordinator.handle(0, Event::Tick);
    assert_eq!(coordinator.next_tick(), Some(i64::MAX));
    assert_eq!(coordinator.handle(1 << 60, Event::Tick), [], "the checkpoint still has time");
}

#[test]
fn a_drain_is_told_to_the_sources_and_a_cancellation_takes_no_checkpoint() {
    let mut draining = coordinator(settings());
    let last = barrier(1, None, Some(Last::Drained));
    assert_eq!(draining.handle(5, Event::Stop(Stop::Drain)), [last]);
    acknowledge(&mut draining, 6, 1);
    assert_eq!(draining.handle(7, Event::Published { epoch: 1 }), [Command::Commit { epoch: 1 }]);
    draining.handle(8, Event::Finished);
    let complete = Command::Complete { stopped: Some(Stop::Drain) };
    assert_eq!(draining.handle(9, Event::Finished), [complete]);

    let mut cancelled = coordinator(settings());
    cancelled.handle(100, Event::Tick);
    cancelled.handle(101, Event::Stop(Stop::Checkpoint));
    let complete = Command::Complete { stopped: Some(Stop::Cancel) };
    assert_eq!(cancelled.handle(102, Event::Stop(Stop::Cancel)), [complete]);
    assert_eq!(cancelled.handle(999, Event::Tick), []);
}

#[test]
fn a_savepoint_is_a_checkpoint_as_soon_as_one_is_allowed() {
    let mut coordinator = coordinator(settings());
    let wanted = || Event::Savepoint { then: None };
    assert_eq!(coordinator.handle(10, wanted()), trigger(1, None));
    assert_eq!(coordinator.handle(11, wanted()), [], "it waits for the one under way");
    assert_eq!(coordinator.handle(12, wanted()), []);
    acknowledge(&mut coordinator, 13, 1);
    let commands = coordinator.handle(14, Event::Published { epoch: 1 });
    let next = barrier(2, Some(1), None);
    assert_eq!(commands, [Command::Commit { epoch: 1 }, next], "one for both, without a pause");
    acknowledge(&mut coordinator, 15, 2);
    assert_eq!(
        coordinator.handle(16, Event::Published { epoch: 2 }),
        [Command::Commit { epoch: 2 }]
    );
    let end = Event::Savepoint { then: Some(Stop::Checkpoint) };
    assert_eq!(coordinator.handle(17, end), trigger_last(3, Some(2)));
}

#[test]
fn the_next_barrier_follows_while_the_one_before_is_published() {
    let settings =
        CheckpointSettings { max_concurrent: 2, min_pause: Duration::ZERO, ..settings() };
    let mut coordinator = coordinator(settings);
    coordinator.handle(100, Event::Tick);
    assert_eq!(coordinator.handle(200, Event::Tick), [], "not every task has acknowledged");
    assert_eq!(
        acknowledge(&mut coordinator, 210, 1),
        [Command::Publish { epoch: 1 }, barrier(2, Some(1), None)]
    );
    assert_eq!(acknowledge(&mut coordinator, 220, 2), [Command::Publish { epoch: 2 }]);
    assert_eq!(coordinator.handle(300, Event::Tick), [], "two are under way");
    let commands = coordinator.handle(310, Event::Published { epoch: 1 });
    assert_eq!(commands, [Command::Commit { epoch: 1 }]);
    assert_eq!(coordinator.handle(400, Event::Tick), trigger(3, Some(2)));

    let failed = Event::PublishFailed { epoch: 2, reason: "disk full".into() };
    let commands = coordinator.handle(410, failed);
    assert!(matches!(commands[..], [Command::Discard { from: 2, .. }]), "{commands:?}");
    assert_eq!(acknowledge(&mut coordinator, 420, 3), [], "3 was built on 2");
    assert_eq!(coordinator.handle(500, Event::Tick), trigger(4, Some(1)));
}

#[test]
fn a_pause_keeps_checkpoints_apart_although_more_are_allowed() {
    let mut coordinator = coordinator(CheckpointSettings { max_concurrent: 3, ..settings() });
    coordinator.handle(100, Event::Tick);
    assert_eq!(acknowledge(&mut coordinator, 210, 1), [Command::Publish { epoch: 1 }]);
    assert_eq!(coordinator.next_tick(), Some(600), "the timeout, and no trigger");
    coordinator.handle(250, Event::Published { epoch: 1 });
    assert_eq!(coordinator.handle(300, Event::Tick), trigger(2, Some(1)));
}

#[test]
fn a_store_that_stalls_fails_the_checkpoint_and_the_last_one_the_job() {
    let mut coordinator = coordinator(settings());
    coordinator.handle(100, Event::Tick);
    acknowledge(&mut coordinator, 110, 1);
    let commands = coordinator.handle(600, Event::Tick);
    let [Command::Discard { from: 1, reason }] = &commands[..] else { panic!("{commands:?}") };
    assert!(reason.contains("not published within its timeout of 500ms"), "{reason}");
    assert_eq!(coordinator.handle(610, Event::Published { epoch: 1 }), [], "that came too late");
    let last = trigger_last(2, None);
    assert_eq!(coordinator.handle(620, Event::Stop(Stop::Checkpoint)), last);
    assert_eq!(coordinator.handle(5_000, Event::Tick), [], "tasks may take their time");
    acknowledge(&mut coordinator, 6_000, 2);
    assert_eq!(coordinator.next_tick(), Some(6_500));
    let commands = coordinator.handle(6_500, Event::Tick);
    assert!(matches!(&commands[..], [Command::Fail { .. }]), "{commands:?}");
}

#[test]
fn a_last_barrier_that_waits_for_a_publication_leaves_the_driver_asleep() {
    for end in [Event::Stop(Stop::Checkpoint), Event::Exhausted] {
        let settings =
            CheckpointSettings { max_concurrent: 2, min_pause: Duration::ZERO, ..settings() };
        let mut coordinator = coordinator(settings);
        coordinator.handle(100, Event::Tick);
        assert_eq!(acknowledge(&mut coordinator, 110, 1), [Command::Publish { epoch: 1 }]);
        assert_eq!(coordinator.next_tick(), Some(200));
        assert_eq!(coordinator.handle(120, end), []);
        assert_eq!(coordinator.handle(250, Event::Tick), [], "the interval's beat is over");
        assert_eq!(coordinator.next_tick(), Some(600), "the timeout, and no trigger");
        let last = barrier(2, Some(1), Some(Last::Plain));
        let commands = coordinator.handle(260, Event::Published { epoch: 1 });
        assert_eq!(commands, [Command::Commit { epoch: 1 }, last]);
    }
}
