//! One simulated job: its world outside, its store, and a scheduler that decides by the seed what happens next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use statehouse_checkpoint::testing::FaultStore;
use statehouse_engine::{
    Assembled, BackendRequest, CheckpointSettings, Checkpoints, Clock, Graph, JobPlan, ManualClock,
    Node, NodeKind, RestorePoint, Step, Turn, assemble,
};
use statehouse_operator::ErrorPolicy;
use statehouse_state::{HeapBackend, KeyGroups};
use statehouse_tests::outside::{DISORDER, Numbers, Outside};
use statehouse_tests::tally::{TallyFactory, description, expected_poison, expected_sums};

/// How many records a run has.
const RECORDS: u64 = 1500;

/// What survives the death of the process.
pub(crate) struct World {
    pub(crate) numbers: Numbers,
    pub(crate) sums: Outside,
    pub(crate) raw: Outside,
    pub(crate) dead: Outside,
    pub(crate) late: Outside,
    pub(crate) store: FaultStore,
}

/// When the process of a run dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    Never,
    /// With the store call after that many.
    AfterCalls(u64),
    /// Whatever it was doing when that many steps were taken.
    AfterSteps(u64),
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Completed,
    Died(String),
}

/// A job and its history.
pub(crate) struct Scenario {
    pub(crate) world: World,
    pub(crate) trace: Vec<String>,
    random: StdRng,
    clock: ManualClock,
    /// Whether checkpoints have so little time that many are given up.
    pub(crate) hasty: bool,
    /// Whether many records come after their window is over. What is late then depends on where batches are cut, so
    /// there is one source task.
    pub(crate) tardy: bool,
    /// The store call from which on the store fails for a while, and the process goes on.
    pub(crate) outage: Option<u64>,
    runs: u32,
}

impl Scenario {
    pub(crate) fn new(seed: u64) -> Self {
        let world = World {
            numbers: Numbers::new(seed, RECORDS),
            sums: Outside::default(),
            raw: Outside::default(),
            dead: Outside::default(),
            late: Outside::default(),
            store: FaultStore::in_memory(),
        };
        let clock = ManualClock::at(1_000_000);
        let random = StdRng::seed_from_u64(seed);
        Self {
            world,
            trace: Vec::new(),
            random,
            clock,
            hasty: false,
            tardy: false,
            outage: None,
            runs: 0,
        }
    }

    fn graph(&mut self) -> Graph {
        // Every run chooses another parallelism.
        let tasks = |most: u32, random: &mut StdRng| random.random_range(1..=most);
        let random = &mut self.random;
        let source = NodeKind::Source(Arc::new(self.world.numbers.clone()));
        let (sources, lag) = match self.tardy {
            true => (1, 0),
            false => (tasks(3, random), DISORDER + 3 * 7 * 6),
        };
        let mut source = Node::new("numbers", source).with_parallelism(sources);
        source.watermark_lag = Some(lag);
        let inputs = BTreeMap::from([("numbers".to_owned(), vec!["numbers".to_owned()])]);
        let factory = Arc::new(TallyFactory(description()));
        let tally = NodeKind::Operator { factory, inputs };
        let mut tally = Node::new("tally", tally).with_parallelism(tasks(3, random));
        tally.on_error = ErrorPolicy::DeadLetter;
        let sink = |id: &str, input: &str, outside: &Outside| {
            let (factory, inputs) = (Arc::new(outside.clone()), vec![input.to_owned()]);
            Node::new(id, NodeKind::Sink { factory, inputs })
        };
        let nodes = vec![
            source,
            tally,
            sink("sums", "tally.sums", &self.world.sums).with_parallelism(tasks(2, random)),
            sink("raw", "numbers", &self.world.raw).with_parallelism(tasks(2, random)),
            sink("dead", "tally.dead-letters", &self.world.dead),
            sink("late", "tally.late", &self.world.late).with_parallelism(tasks(2, random)),
        ];
        Graph::check("simulated", KeyGroups::new(13).unwrap(), nodes).unwrap()
    }

    fn assemble(&mut self) -> Result<Assembled, String> {
        let store = self.world.store.checkpoints();
        let lease = block_on(store.claim()).map_err(|error| error.chain())?;
        let newest = block_on(store.list()).map_err(|error| error.chain())?;
        let restore = match newest.first() {
            Some(&epoch) => {
                let manifest = block_on(store.read(epoch)).map_err(|error| error.chain())?;
                Some(RestorePoint { store: store.clone(), manifest, same_store: true })
            }
            None => None,
        };
        let settings = CheckpointSettings {
            interval: Some(Duration::from_millis(self.random.random_range(10..60))),
            timeout: Duration::from_millis(match self.hasty {
                true => self.random.random_range(20..400),
                false => self.random.random_range(400..6000),
            }),
            tolerable_failed: u32::MAX,
            inline_threshold: self.random.random_range(0..3000),
            ..CheckpointSettings::default()
        };
        let backend = Arc::new(|request: BackendRequest<'_>| {
            let BackendRequest { description, key_groups, range, .. } = request;
            let layout = description.state_key().expect("the tally is keyed").layout;
            let (states, timers) = (&description.states, &description.timers);
            let heap = HeapBackend::new(layout, states, timers, key_groups, range)?;
            Ok(Box::new(heap) as Box<dyn statehouse_state::Backend>)
        });
        let plan = JobPlan {
            graph: self.graph(),
            settings,
            checkpoints: Some(Checkpoints { store, lease }),
            restore,
            clock: Arc::new(self.clock.clone()),
            backend,
            scratch: None,
            seed: 7,
        };
        assemble(plan).map_err(|error| error.to_string())
    }

    /// Runs the job until it ends, or its process dies.
    pub(crate) fn run(&mut self, death: Death) -> Ending {
        self.runs += 1;
        self.trace.push(format!("run {}", self.runs));
        let (mut last_call, mut last_step) = (u64::MAX, u64::MAX);
        match death {
            Death::Never => {}
            Death::AfterCalls(calls) => {
                self.world.store.heal();
                self.world.store.crash_after(calls);
                last_call = self.world.store.calls() + calls;
            }
            Death::AfterSteps(steps) => last_step = steps,
        }
        if let Some(calls) = self.outage {
            self.world.store.crash_after(calls);
        }
        let mut job = match self.assemble() {
            Ok(job) => job,
            Err(reason) => return Ending::Died(reason),
        };
        let mut finished = vec![false; job.tasks.len()];
        for turns in 0.. {
            assert!(turns < 2_000_000, "the job makes no progress:\n{}", self.last_steps());
            if self.outage.is_some_and(|calls| self.world.store.calls() > calls) {
                self.outage = None;
                self.world.store.heal();
            }
            if self.world.store.calls() > last_call || turns > last_step {
                return Ending::Died("the process was killed".into());
            }
            match self.random.random_range(0..10) {
                0 => {
                    self.clock.advance(self.random.random_range(0..12));
                    match job.driver.turn() {
                        Turn::Running { .. } => {}
                        Turn::Completed => return Ending::Completed,
                        Turn::Failed { reason } => return Ending::Died(reason),
                    }
                }
                _ => {
                    let at = self.random.random_range(0..job.tasks.len());
                    let (task, _) = &mut job.tasks[at];
                    let step = task.step();
                    finished[at] = step == Step::Finished;
                    let now = self.clock.now();
                    let calls = self.world.store.calls();
                    self.trace.push(format!("{now} {} {step:?} {calls}", task.name()));
                }
            }
        }
        unreachable!("the loop ends by returning")
    }

    fn last_steps(&self) -> String {
        self.trace[self.trace.len().saturating_sub(30)..].join("\n")
    }

    /// Checks that the world has seen everything exactly once, and nothing late.
    pub(crate) fn check(&self) {
        let world = &self.world;
        // Thousands of rows say little when they are printed: whether they are equal is enough.
        assert!(world.sums.committed() == expected_sums(world.numbers.all()), "sums differ");
        assert!(world.late.committed().is_empty(), "something was late");
        self.check_raw();
    }

    /// Checks that the world has seen every record that came in exactly once.
    pub(crate) fn check_raw(&self) {
        let world = &self.world;
        let raw = world.numbers.all();
        let mut raw: Vec<_> =
            raw.map(|number| (number.time, Some(number.key), number.value.to_string())).collect();
        raw.sort();
        assert!(world.raw.committed() == raw, "records were lost or doubled");
        assert_eq!(world.dead.committed().len(), expected_poison(world.numbers.all()));
    }
}
