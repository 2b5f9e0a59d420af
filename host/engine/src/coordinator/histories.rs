//! Any history: events in any order that tasks, publisher and user can bring about, and what must hold all the while.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

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
    ]
}

/// The coordinator, and what the world knows.
struct World {
    coordinator: Coordinator,
    now: i64,
    max_concurrent: usize,
    /// For each task the barriers that it has not acknowledged.
    barriers: Vec<VecDeque<u64>>,
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
}

impl World {
    fn tell(&mut self, event: Event) {
        for command in self.coordinator.handle(self.now, event) {
            assert!(!self.over, "{command:?} after the end");
            self.obey(command);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Trigger(Barrier { epoch, builds_on, last, .. }) => {
                assert!(epoch > self.triggered, "epochs rise");
                assert!(self.last.is_none(), "nothing follows the last barrier");
                let newest = self.under_way.back().copied().or(self.published.last().copied());
                assert_eq!(builds_on, newest, "it builds on what comes before it");
                let acknowledged =
                    |epoch: &u64| self.barriers.iter().all(|barriers| !barriers.contains(epoch));
                assert!(self.under_way.iter().all(acknowledged), "the barrier before has passed");
                self.triggered = epoch;
                self.under_way.push_back(epoch);
                assert!(self.under_way.len() <= self.max_concurrent);
                self.barriers.iter_mut().for_each(|barriers| barriers.push_back(epoch));
                if last.is_some() {
                    assert_eq!(self.under_way.len(), 1, "nothing can replace the last one");
                    self.last = Some(epoch);
                }
            }
            Command::Publish { epoch } => {
                assert!(self.barriers.iter().all(|barriers| !barriers.contains(&epoch)));
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
                self.committed = Some(epoch);
            }
            Command::Swap(_) | Command::RollBack { .. } => panic!("nobody asked for it"),
            Command::Complete { .. } => {
                assert_eq!(self.running, 0);
                self.over = true;
            }
            Command::Fail { .. } => self.over = true,
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
                if let Some(epoch) = self.barriers[*task].pop_front() {
                    self.tell(Event::Acknowledged { task: TaskIndex(*task as u32), epoch });
                }
            }
            Act::Publish => {
                if let Some(epoch) = self.to_publish.pop_front() {
                    self.published.insert(epoch);
                    assert_eq!(self.under_way.pop_front(), Some(epoch));
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
        let start = Start {
            durable: true,
            tasks: TASKS,
            sources: 1,
            restored: None,
            first_epoch: 1,
            now: 0,
        };
        let mut world = World {
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
        };
        for act in &acts {
            world.act(act);
        }
        // Whatever came before, the job ends if everyone goes on.
        for _ in 0..50 {
            let everyone = (0..TASKS).map(Act::Acknowledge);
            for act in everyone.chain([Act::Publish, Act::Exhaust, Act::Wait(60), Act::Finish]) {
                world.act(&act);
            }
        }
        prop_assert!(world.over);
    }
}
