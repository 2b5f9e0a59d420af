//! Any history: events in any order that tasks, publisher and user can bring about, and what must hold all the while.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// The first one is a source, and no operator.
const TASKS: usize = 3;

/// What the world does next, if it can.
#[derive(Debug, Clone)]
enum Act {
    Wait(i64),
    /// The task acknowledges the oldest barrier that it has not.
    Acknowledge(usize),
    /// The publisher is through with the oldest checkpoint that it was told to publish.
    Publish,
    FailToPublish,
    Exhaust,
    Savepoint,
    Stop(Stop),
    Finish,
    Swap {
        commit_outputs: bool,
        canary: bool,
    },
    /// The next checkpoint that is to be pinned cannot be.
    FailToPin,
    Keep,
    RollBack,
    FailTask,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0i64..80).prop_map(Act::Wait),
        20 => (0..TASKS).prop_map(Act::Acknowledge),
        6 => Just(Act::Publish),
        1 => Just(Act::FailToPublish),
        1 => Just(Act::Exhaust),
        1 => Just(Act::Savepoint),
        1 => prop_oneof![Just(Stop::Checkpoint), Just(Stop::Drain)].prop_map(Act::Stop),
        1 => Just(Act::Finish),
        3 => any::<(bool, bool)>()
            .prop_map(|(commit_outputs, canary)| Act::Swap { commit_outputs, canary }),
        1 => Just(Act::FailToPin),
        3 => Just(Act::Keep),
        1 => prop_oneof![9 => Just(Act::RollBack), 1 => Just(Act::FailTask)],
    ]
}

/// The coordinator, and what the world knows.
struct World {
    coordinator: Coordinator,
    now: i64,
    max_concurrent: usize,
    /// For each task the barriers that it has not acknowledged, and whether they are those of flips.
    barriers: Vec<VecDeque<(u64, bool)>>,
    to_publish: VecDeque<u64>,
    published: BTreeSet<u64>,
    committed: Option<u64>,
    /// Checkpoints that were triggered and neither exist nor were given up.
    under_way: VecDeque<u64>,
    triggered: u64,
    last: Option<u64>,
    running: usize,
    sources: usize,
    over: bool,
    failed: bool,
    swap: Option<Swapped>,
    /// Whether the swap that was asked for last has been told its end.
    answered: bool,
    fail_to_pin: bool,
}

/// The swap under way, as far as the world was told.
struct Swapped {
    commit_outputs: bool,
    stage: SwapStage,
    pinned: Option<u64>,
}

impl World {
    fn new(settings: CheckpointSettings) -> Self {
        let max_concurrent = settings.max_concurrent as usize;
        let start = Start {
            durable: true,
            tasks: TASKS,
            sources: 1,
            restored: None,
            first_epoch: 1,
            now: 0,
        };
        Self {
            coordinator: Coordinator::new(settings, start),
            now: 0,
            max_concurrent,
            barriers: vec![VecDeque::new(); TASKS],
            to_publish: VecDeque::new(),
            published: BTreeSet::new(),
            committed: None,
            under_way: VecDeque::new(),
            triggered: 0,
            last: None,
            running: TASKS,
            sources: 1,
            over: false,
            failed: false,
            swap: None,
            answered: true,
            fail_to_pin: false,
        }
    }

    fn tell(&mut self, event: Event) {
        for command in self.coordinator.handle(self.now, event) {
            assert!(!self.over, "{command:?} after the end");
            self.obey(command);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Trigger(barrier) => self.trigger(barrier),
            Command::Publish { epoch } => {
                assert!(self.has_passed(epoch));
                assert!(self.to_publish.back().is_none_or(|before| *before < epoch));
                self.to_publish.push_back(epoch);
            }
            Command::Discard { from, .. } => {
                assert_eq!(self.under_way.front(), Some(&from), "all are given up");
                self.under_way.clear();
                self.to_publish.clear();
            }
            Command::Commit { epoch } => {
                assert!(self.published.contains(&epoch), "only what exists is committed");
                assert!(self.committed.is_none_or(|before| before < epoch), "and in order");
                if let Some(Swapped { commit_outputs: false, stage, pinned: Some(pinned) }) =
                    &self.swap
                {
                    let keeping = matches!(stage, SwapStage::Keeping { .. });
                    assert!(epoch <= *pinned || keeping, "nothing of a trial is committed");
                }
                self.committed = Some(epoch);
            }
            Command::Swap(stage) => self.swap_at(stage),
            Command::RollBack { to, .. } => {
                assert!(self.published.contains(&to), "there is something to come back to");
                assert!(self.answered);
                self.over = true;
            }
            Command::Complete { .. } => {
                assert_eq!(self.running, 0);
                self.over = true;
            }
            Command::Fail { .. } => (self.over, self.failed) = (true, true),
        }
    }

    fn trigger(&mut self, Barrier { epoch, builds_on, last, kind }: Barrier) {
        assert!(epoch > self.triggered, "epochs rise");
        assert!(self.last.is_none(), "nothing follows the last barrier");
        let passed = self.under_way.iter().all(|epoch| self.has_passed(*epoch));
        assert!(passed, "the barrier before has passed");
        self.triggered = epoch;
        let flip = kind == BarrierKind::Flip;
        self.barriers.iter_mut().for_each(|barriers| barriers.push_back((epoch, flip)));
        let stage = self.swap.as_ref().map(|swap| (&swap.stage, swap.commit_outputs));
        match stage {
            Some((SwapStage::Pinning { epoch: pinning }, commit_outputs)) => {
                assert!(*pinning == epoch && !flip, "nothing comes between");
                assert_eq!(kind == BarrierKind::Pin, !commit_outputs);
            }
            Some((SwapStage::Flipping { epoch: flipping }, _)) => {
                assert!(*flipping == epoch && flip, "nothing comes between");
            }
            Some((SwapStage::Trial { .. }, commit_outputs)) => {
                assert!(commit_outputs && !flip, "a trial takes no checkpoints");
            }
            _ => assert_eq!(kind, BarrierKind::Checkpoint),
        }
        if flip {
            assert!(last.is_none());
            return;
        }
        let newest = self.under_way.back().copied().or(self.published.last().copied());
        assert_eq!(builds_on, newest, "it builds on what comes before it");
        self.under_way.push_back(epoch);
        assert!(self.under_way.len() <= self.max_concurrent);
        if last.is_some() {
            assert_eq!(self.under_way.len(), 1, "nothing can replace the last one");
            self.last = Some(epoch);
        }
    }

    fn has_passed(&self, epoch: u64) -> bool {
        let waits = |barriers: &VecDeque<(u64, bool)>| {
            barriers.iter().any(|(waiting, _)| *waiting == epoch)
        };
        !self.barriers.iter().any(waits)
    }

    fn swap_at(&mut self, stage: SwapStage) {
        assert!(!self.answered, "{stage:?}: a swap ends once");
        let swap = self.swap.as_mut().expect("there is a swap");
        match &stage {
            SwapStage::Pinning { .. } => assert_eq!(swap.stage, SwapStage::Queued),
            SwapStage::Flipping { .. } => swap.pinned = swap.pinned.or(self.committed),
            SwapStage::Kept { epoch } => {
                assert!(self.committed == Some(*epoch) && swap.pinned < self.committed);
            }
            SwapStage::Refused { .. } => assert_eq!(swap.pinned, None, "it has flipped"),
            SwapStage::RollingBack { .. } => assert!(swap.pinned.is_some()),
            SwapStage::Queued | SwapStage::Trial { .. } | SwapStage::Keeping { .. } => {}
        }
        if stage.is_final() {
            self.answered = true;
            self.swap = None;
        } else {
            swap.stage = stage;
        }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Wait(time) => {
                self.now += time;
                self.tell(Event::Tick);
                let next = self.coordinator.next_tick();
                assert!(next.is_none_or(|next| next > self.now), "the driver would not sleep");
            }
            Act::Acknowledge(task) => {
                let index = TaskIndex(*task as u32);
                match self.barriers[*task].pop_front() {
                    Some((epoch, false)) => self.tell(Event::Acknowledged { task: index, epoch }),
                    Some((epoch, true)) if *task > 0 => {
                        self.tell(Event::Flipped { task: index, epoch });
                    }
                    _ => {}
                }
            }
            Act::Publish => {
                if let Some(epoch) = self.to_publish.pop_front() {
                    self.published.insert(epoch);
                    assert_eq!(self.under_way.pop_front(), Some(epoch));
                    let pinning = self.swap.as_ref().map(|swap| &swap.stage);
                    let pinning = pinning == Some(&SwapStage::Pinning { epoch });
                    if pinning && std::mem::take(&mut self.fail_to_pin) {
                        self.tell(Event::PinFailed { reason: "the name is taken".into() });
                    }
                    self.tell(Event::Published { epoch });
                }
            }
            Act::FailToPublish => {
                if let Some(&epoch) = self.to_publish.front() {
                    self.tell(Event::PublishFailed { epoch, reason: "no space".into() });
                }
            }
            Act::Exhaust => {
                if self.sources > 0 {
                    self.sources -= 1;
                    self.tell(Event::Exhausted);
                }
            }
            Act::Savepoint => self.tell(Event::Savepoint { then: None }),
            Act::Stop(stop) => self.tell(Event::Stop(*stop)),
            Act::Finish => {
                if self.running > 0 && self.last.is_some() && self.last == self.committed {
                    self.running -= 1;
                    self.tell(Event::Finished);
                }
            }
            Act::Swap { commit_outputs, canary } => {
                // The driver takes up one at a time.
                if self.answered && !self.over {
                    self.answered = false;
                    let stage = SwapStage::Queued;
                    let commit_outputs = *commit_outputs;
                    self.swap = Some(Swapped { commit_outputs, stage, pinned: None });
                    let tasks = (1..TASKS as u32).map(TaskIndex).collect();
                    self.tell(Event::Swap(SwapWish { tasks, commit_outputs, canary: *canary }));
                }
            }
            Act::FailToPin => self.fail_to_pin = true,
            Act::Keep => self.tell(Event::Keep),
            Act::RollBack => self.tell(Event::RollBack { reason: "too slow".into() }),
            Act::FailTask => self.tell(Event::TaskFailed { reason: "it trapped".into() }),
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_order_and_limits_are_kept(
        max_concurrent in 1usize..4,
        pause in 0u64..30,
        acts in prop::collection::vec(act(), 0..300),
    ) {
        let settings = CheckpointSettings {
            interval: Some(Duration::from_millis(50)),
            min_pause: Duration::from_millis(pause.saturating_sub(15)),
            timeout: Duration::from_millis(300),
            tolerable_failed: u32::MAX,
            max_concurrent: max_concurrent as u32,
            ..CheckpointSettings::default()
        };
        let mut world = World::new(settings);
        for act in &acts {
            world.act(act);
        }
        // Whatever came before, the job ends if everyone goes on.
        for _ in 0..50 {
            let everyone = (0..TASKS).map(Act::Acknowledge);
            let others = [Act::Publish, Act::Keep, Act::Exhaust, Act::Wait(60), Act::Finish];
            for act in everyone.chain(others) {
                world.act(&act);
            }
        }
        prop_assert!(world.over);
        prop_assert!(world.answered || world.failed, "somebody waits for a swap");
    }
}
