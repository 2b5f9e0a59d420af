//! Tests of the coordinator's part in a swap: events in, commands out.

use std::time::Duration;

use crate::coordinator::swap::SwapWish;
use crate::coordinator::{Command, Coordinator, Event, Start};
use crate::element::{Barrier, BarrierKind, Last, TaskIndex};
use crate::handle::Stop;
use crate::settings::CheckpointSettings;
use crate::swap::SwapStage;

/// A source, and an operator that is swapped.
const TASKS: u32 = 2;
const OPERATOR: TaskIndex = TaskIndex(1);

fn coordinator(interval: Option<u64>) -> Coordinator {
    let settings = CheckpointSettings {
        interval: interval.map(Duration::from_millis),
        timeout: Duration::from_millis(500),
        tolerable_failed: 0,
        max_concurrent: 3,
        ..CheckpointSettings::default()
    };
    let tasks = TASKS as usize;
    let start = Start { durable: true, tasks, sources: 1, restored: None, first_epoch: 1, now: 0 };
    Coordinator::new(settings, start)
}

fn wish(commit_outputs: bool, canary: bool) -> Event {
    Event::Swap(SwapWish { tasks: [OPERATOR].into(), commit_outputs, canary })
}

fn trigger(epoch: u64, builds_on: Option<u64>, kind: BarrierKind) -> Command {
    Command::Trigger(Barrier { epoch, builds_on, last: None, kind })
}

/// All tasks acknowledge. What the last of them leads to.
fn acknowledge(coordinator: &mut Coordinator, now: i64, epoch: u64) -> Vec<Command> {
    let mut commands = Vec::new();
    for task in 0..TASKS {
        let task = TaskIndex(task);
        commands = coordinator.handle(now, Event::Acknowledged { task, epoch });
    }
    commands
}

fn flipped(epoch: u64) -> Event {
    Event::Flipped { task: OPERATOR, epoch }
}

fn trial(epoch: u64, since_ms: i64) -> Command {
    Command::Swap(SwapStage::Trial { epoch, since_ms })
}

fn refusal(commands: &[Command]) -> &str {
    let refused = commands.iter().find_map(|command| match command {
        Command::Swap(SwapStage::Refused { reason }) => Some(reason),
        _ => None,
    });
    refused.unwrap_or_else(|| panic!("nothing is refused: {commands:?}"))
}

/// Pins checkpoint 1 and flips at 2.
fn on_trial(commit_outputs: bool, canary: bool, interval: Option<u64>) -> Coordinator {
    let mut coordinator = coordinator(interval);
    let kind = if commit_outputs { BarrierKind::Checkpoint } else { BarrierKind::Pin };
    assert_eq!(
        coordinator.handle(10, wish(commit_outputs, canary)),
        [Command::Swap(SwapStage::Pinning { epoch: 1 }), trigger(1, None, kind)]
    );
    assert_eq!(acknowledge(&mut coordinator, 20, 1), [Command::Publish { epoch: 1 }]);
    assert_eq!(
        coordinator.handle(30, Event::Published { epoch: 1 }),
        [
            Command::Commit { epoch: 1 },
            Command::Swap(SwapStage::Flipping { epoch: 2 }),
            trigger(2, Some(1), BarrierKind::Flip),
        ]
    );
    assert_eq!(coordinator.handle(40, flipped(2)), [trial(2, 40)]);
    coordinator
}

#[test]
fn a_swap_is_pinned_flipped_tried_and_kept() {
    let mut coordinator = on_trial(false, false, Some(100));
    assert_eq!(coordinator.next_tick(), None, "nothing is due while it is on trial");
    assert_eq!(coordinator.handle(5_000, Event::Tick), []);
    assert_eq!(coordinator.handle(5_001, Event::Savepoint { then: None }), [], "that waits");
    assert_eq!(
        coordinator.handle(6_000, Event::Keep),
        [
            Command::Swap(SwapStage::Keeping { epoch: 3 }),
            trigger(3, Some(1), BarrierKind::Checkpoint)
        ]
    );
    assert_eq!(acknowledge(&mut coordinator, 6_010, 3), [Command::Publish { epoch: 3 }]);
    assert_eq!(
        coordinator.handle(6_020, Event::Published { epoch: 3 }),
        [Command::Commit { epoch: 3 }, Command::Swap(SwapStage::Kept { epoch: 3 })]
    );
    assert_eq!(
        coordinator.handle(6_100, Event::Tick),
        [trigger(4, Some(3), BarrierKind::Checkpoint)],
        "the interval goes on"
    );
}

#[test]
fn a_swap_waits_until_no_checkpoint_is_under_way() {
    let mut coordinator = coordinator(Some(100));
    coordinator.handle(100, Event::Tick);
    assert_eq!(coordinator.handle(110, wish(false, false)), []);
    assert_eq!(acknowledge(&mut coordinator, 120, 1), [Command::Publish { epoch: 1 }]);
    assert_eq!(coordinator.handle(200, Event::Tick), [], "although three are allowed");
    assert_eq!(coordinator.next_tick(), Some(600), "the timeout alone");
    let commands = coordinator.handle(210, Event::Published { epoch: 1 });
    assert_eq!(commands[2], trigger(2, Some(1), BarrierKind::Pin), "{commands:?}");
    acknowledge(&mut coordinator, 220, 2);
    assert_eq!(coordinator.handle(300, Event::Tick), [], "nothing between the two barriers");
}

#[test]
fn what_cannot_be_pinned_is_refused_and_fails_nothing() {
    for how in 0..3 {
        let mut coordinator = coordinator(None);
        coordinator.handle(10, wish(false, false));
        if how > 0 {
            acknowledge(&mut coordinator, 20, 1);
        }
        let (commands, why) = match how {
            0 => (coordinator.handle(510, Event::Tick), "2 tasks within its timeout"),
            1 => {
                let reason = "no space left".to_owned();
                (coordinator.handle(30, Event::PublishFailed { epoch: 1, reason }), "no space left")
            }
            _ => {
                let reason = "the name is taken".to_owned();
                (coordinator.handle(30, Event::PinFailed { reason }), "the name is taken")
            }
        };
        assert!(refusal(&commands).contains(why), "{commands:?}");
        let discarded = commands.iter().any(|command| matches!(command, Command::Discard { .. }));
        assert_eq!(discarded, how < 2, "{commands:?}");
        let next = coordinator.handle(600, wish(false, false));
        assert!(how == 2 || matches!(next[1], Command::Trigger(_)), "{next:?}");
    }
}

#[test]
fn a_task_that_fails_on_trial_rolls_the_job_back() {
    let back = |commands: &[Command]| {
        let [Command::Swap(SwapStage::RollingBack { .. }), Command::RollBack { to: 1, reason }] =
            commands
        else {
            panic!("{commands:?}")
        };
        assert!(reason.contains("trapped"), "{reason}");
    };
    let failed = || Event::TaskFailed { reason: "sums/0: it trapped".into() };
    let mut coordinator = on_trial(false, false, None);
    back(&coordinator.handle(50, failed()));
    assert_eq!(coordinator.handle(60, Event::Tick), [], "nothing more is done");

    let mut keeping = on_trial(false, false, None);
    keeping.handle(50, Event::Keep);
    back(&keeping.handle(60, failed()));

    let mut late = on_trial(false, false, None);
    late.handle(50, Event::Keep);
    acknowledge(&mut late, 60, 3);
    let commands = late.handle(70, failed());
    assert!(matches!(commands[..], [Command::Fail { .. }]), "3 may exist: {commands:?}");
}

#[test]
fn who_decides_against_a_swap_is_heard_until_it_is_kept() {
    let against = || Event::RollBack { reason: "too slow".into() };
    let mut waiting = coordinator(Some(100));
    assert_eq!(waiting.handle(1, against()), [], "there is no swap");
    waiting.handle(100, Event::Tick);
    waiting.handle(110, wish(false, false));
    assert_eq!(refusal(&waiting.handle(120, against())), "too slow");

    let mut pinning = coordinator(None);
    pinning.handle(10, wish(false, false));
    assert_eq!(refusal(&pinning.handle(11, against())), "too slow");
    acknowledge(&mut pinning, 12, 1);
    let commands = pinning.handle(13, Event::Published { epoch: 1 });
    assert_eq!(commands, [Command::Commit { epoch: 1 }], "a checkpoint as any");

    let commands = on_trial(false, false, None).handle(50, against());
    assert!(matches!(commands[1], Command::RollBack { to: 1, .. }), "{commands:?}");

    let mut late = on_trial(false, false, None);
    late.handle(50, Event::Keep);
    acknowledge(&mut late, 60, 3);
    assert_eq!(late.handle(70, against()), []);
}

#[test]
fn the_end_of_the_stream_keeps_what_is_on_trial_and_refuses_what_has_not_flipped() {
    for end in [Event::Stop(Stop::Checkpoint), Event::Exhausted] {
        let mut coordinator = on_trial(false, true, Some(100));
        let (last, kind) = (Some(Last::Plain), BarrierKind::Checkpoint);
        let barrier = Barrier { epoch: 3, builds_on: Some(1), last, kind };
        let commands = coordinator.handle(50, end.clone());
        let keeping = Command::Swap(SwapStage::Keeping { epoch: 3 });
        assert_eq!(commands, [keeping, Command::Trigger(barrier)]);
        acknowledge(&mut coordinator, 60, 3);
        let commands = coordinator.handle(70, Event::Published { epoch: 3 });
        assert!(commands.contains(&Command::Swap(SwapStage::Kept { epoch: 3 })), "{commands:?}");

        let mut pinning = self::coordinator(None);
        pinning.handle(10, wish(false, false));
        assert_eq!(pinning.handle(20, end), []);
        acknowledge(&mut pinning, 30, 1);
        let commands = pinning.handle(40, Event::Published { epoch: 1 });
        assert!(refusal(&commands).contains("comes to its end"), "{commands:?}");
        let last = Barrier { epoch: 2, builds_on: Some(1), last, kind };
        assert_eq!(commands.last(), Some(&Command::Trigger(last)));
    }
}

#[test]
fn a_canary_is_promoted_by_a_flip_of_its_own() {
    let mut coordinator = on_trial(false, true, None);
    assert_eq!(
        coordinator.handle(50, Event::Keep),
        [Command::Swap(SwapStage::Flipping { epoch: 3 }), trigger(3, Some(1), BarrierKind::Flip)]
    );
    assert_eq!(coordinator.handle(55, flipped(2)), [], "that was the one before");
    assert_eq!(coordinator.handle(60, flipped(3)), [trial(3, 60)]);
    let commands = coordinator.handle(70, Event::Keep);
    assert_eq!(commands[0], Command::Swap(SwapStage::Keeping { epoch: 4 }), "{commands:?}");
}

#[test]
fn checkpoints_go_on_during_the_trial_if_outputs_are_committed() {
    let mut coordinator = on_trial(true, true, Some(100));
    assert_eq!(coordinator.next_tick(), Some(100));
    let checkpoint = trigger(3, Some(1), BarrierKind::Checkpoint);
    assert_eq!(coordinator.handle(100, Event::Tick), [checkpoint]);
    assert_eq!(coordinator.handle(105, Event::Keep), [], "the flip waits for its barrier to pass");
    let commands = acknowledge(&mut coordinator, 110, 3);
    assert_eq!(commands[0], Command::Publish { epoch: 3 });
    assert_eq!(commands[2], trigger(4, Some(1), BarrierKind::Flip), "and not for the store");
    let commands = coordinator.handle(120, Event::TaskFailed { reason: "it trapped".into() });
    assert!(matches!(commands[1], Command::RollBack { to: 1, .. }), "{commands:?}");
}

#[test]
fn a_flip_that_does_not_come_through_is_undone() {
    let mut coordinator = coordinator(None);
    coordinator.handle(10, wish(false, false));
    acknowledge(&mut coordinator, 20, 1);
    coordinator.handle(30, Event::Published { epoch: 1 });
    assert_eq!(coordinator.next_tick(), Some(530));
    assert_eq!(coordinator.handle(529, Event::Tick), []);
    let commands = coordinator.handle(530, Event::Tick);
    let [_, Command::RollBack { to: 1, reason }] = &commands[..] else { panic!("{commands:?}") };
    assert!(reason.contains("1 tasks did not flip within the timeout of 500ms"), "{reason}");
}

#[test]
fn a_checkpoint_that_is_to_keep_a_swap_is_tried_again() {
    let mut coordinator = coordinator(None);
    coordinator.settings.tolerable_failed = 5;
    coordinator.handle(10, wish(false, false));
    acknowledge(&mut coordinator, 20, 1);
    coordinator.handle(30, Event::Published { epoch: 1 });
    coordinator.handle(40, flipped(2));
    coordinator.handle(50, Event::Keep);
    acknowledge(&mut coordinator, 60, 3);
    let failed = Event::PublishFailed { epoch: 3, reason: "no space left".into() };
    let commands = coordinator.handle(70, failed);
    assert!(matches!(commands[..], [Command::Discard { from: 3, .. }]), "{commands:?}");
    assert_eq!(coordinator.next_tick(), Some(1_070));
    let again = trigger(4, Some(1), BarrierKind::Checkpoint);
    assert_eq!(coordinator.handle(1_070, Event::Tick), [again]);
    acknowledge(&mut coordinator, 1_080, 4);
    let commands = coordinator.handle(1_090, Event::Published { epoch: 4 });
    assert_eq!(commands[1], Command::Swap(SwapStage::Kept { epoch: 4 }), "{commands:?}");
    assert_eq!(coordinator.next_tick(), None);
}
