//! One simulated job: its world outside, its store, and a scheduler that decides by the seed what happens next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use statehouse_checkpoint::testing::FaultStore;
use statehouse_checkpoint::{Check, Selection};
use statehouse_engine::{
    Assembled, CheckpointSettings, Checkpoints, Clock, Graph, JobPlan, ManualClock, Node, NodeKind,
    RestorePoint, Step, Turn, assemble,
};
use statehouse_operator::ErrorPolicy;
use statehouse_state::KeyGroups;
use statehouse_tests::ledger::{self, LedgerFactory, expected_reports, expected_spent};
use statehouse_tests::outside::{DISORDER, Number, Numbers, Outside, Row};
use statehouse_tests::tally::{self, TallyFactory, expected_poison, expected_sums};

use crate::backends::{Backends, folder};

/// How many records a run has.
const RECORDS: u64 = 1500;
/// How many rules come in beside them, for the first two thirds of the time.
const RULES: u64 = 60;

/// What survives the death of the process.
pub(crate) struct World {
    pub(crate) numbers: Numbers,
    pub(crate) rules: Numbers,
    pub(crate) sums: Outside,
    pub(crate) reports: Outside,
    pub(crate) spent: Outside,
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
    /// there is one source task, and no ledger.
    pub(crate) tardy: bool,
    /// Whether more than half of the lives of the process, by chance, keep their state in RocksDB. They take long.
    pub(crate) rocks: bool,
    /// The store call from which on the store fails for a while, and the process goes on.
    pub(crate) outage: Option<u64>,
    runs: u32,
}

impl Scenario {
    pub(crate) fn new(seed: u64) -> Self {
        let world = World {
            numbers: Numbers::new(seed, RECORDS),
            rules: Numbers::new(!seed, RULES).every(50),
            sums: Outside::default(),
            reports: Outside::default(),
            spent: Outside::default(),
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
            rocks: false,
            outage: None,
            runs: 0,
        }
    }

    fn graph(&mut self) -> Graph {
        // Every run chooses another parallelism.
        let tasks = |most: u32, random: &mut StdRng| random.random_range(1..=most);
        let (world, random) = (&self.world, &mut self.random);
        let (sources, lag) = match self.tardy {
            true => (1, 0),
            false => (tasks(3, random), DISORDER + 3 * 7 * 6),
        };
        let source = |id: &str, numbers: &Numbers| {
            let mut source = Node::new(id, NodeKind::Source(Arc::new(numbers.clone())));
            source.watermark_lag = Some(lag);
            source
        };
        let tally = NodeKind::Operator {
            factory: Arc::new(TallyFactory(tally::description())),
            inputs: BTreeMap::from([("numbers".to_owned(), vec!["numbers".to_owned()])]),
        };
        let mut tally = Node::new("tally", tally).with_parallelism(tasks(3, random));
        tally.on_error = ErrorPolicy::DeadLetter;
        let mut nodes = vec![
            source("numbers", &world.numbers).with_parallelism(sources),
            tally,
            sink("sums", "tally.sums", &world.sums).with_parallelism(tasks(2, random)),
            sink("raw", "numbers", &world.raw).with_parallelism(tasks(2, random)),
            sink("dead", "tally.dead-letters", &world.dead),
            sink("late", "tally.late", &world.late).with_parallelism(tasks(2, random)),
        ];
        if !self.tardy {
            let inputs = ["numbers", "rules"].map(|id| (id.to_owned(), vec![id.to_owned()]));
            let ledger = NodeKind::Operator {
                factory: Arc::new(LedgerFactory(ledger::description())),
                inputs: BTreeMap::from(inputs),
            };
            let mut ledger = Node::new("ledger", ledger).with_parallelism(tasks(3, random));
            ledger.on_error = ErrorPolicy::Skip;
            nodes.extend([
                // One task, which reads in order, so that no rule is late.
                source("rules", &world.rules),
                ledger,
                sink("reports", "ledger.reports", &world.reports),
                sink("spent", "ledger.spent", &world.spent),
            ]);
        }
        Graph::check("simulated", KeyGroups::new(13).unwrap(), nodes).unwrap()
    }

    fn assemble(&mut self, backends: Backends) -> Result<Assembled, String> {
        let store = self.world.store.checkpoints();
        let lease = block_on(store.claim()).map_err(|error| error.chain())?;
        let found = block_on(store.newest_valid(Check::Manifest)).map_err(|error| error.chain())?;
        assert_eq!(found.advice(), None, "nobody has damaged anything");
        let Selection { manifest, point, .. } = found;
        let restore = manifest.map(|manifest| RestorePoint {
            store: store.clone(),
            manifest,
            point,
            continues: true,
            drop_unclaimed: false,
            fork: false,
        });
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
        let plan = JobPlan {
            graph: self.graph(),
            settings,
            checkpoints: Some(Checkpoints { store, lease }),
            restore,
            clock: Arc::new(self.clock.clone()),
            backend: backends.factory,
            scratch: Some(backends.scratch),
            restores_max: 1,
            seed: 7,
        };
        assemble(plan).map_err(|error| error.to_string())
    }

    /// Runs the job until it ends, or its process dies.
    pub(crate) fn run(&mut self, death: Death) -> Ending {
        self.runs += 1;
        let folder = folder();
        let backends = match self.rocks && self.random.random_bool(0.6) {
            true => Backends::rocks(folder.path()),
            false => Backends::heap(folder.path()),
        };
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
        let mut job = match self.assemble(backends) {
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
                        Turn::Ended(_) => return Ending::Completed,
                        Turn::Failed { reason } => return Ending::Died(reason),
                    }
                }
                _ => {
                    let at = self.random.random_range(0..job.tasks.len());
                    if let Some(publisher) = &mut job.publisher
                        && self.random.random_bool(0.1)
                    {
                        publisher.step();
                    }
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
        let rules: Vec<Number> = world.rules.all().collect();
        same(&world.reports.committed(), &expected_reports(world.numbers.all(), &rules));
        same(&world.spent.committed(), &expected_spent(world.numbers.all()));
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

fn sink(id: &str, input: &str, outside: &Outside) -> Node {
    let (factory, inputs) = (Arc::new(outside.clone()), vec![input.to_owned()]);
    Node::new(id, NodeKind::Sink { factory, inputs })
}

/// Says of two sorted tables where they begin to differ.
fn same(found: &[Row], expected: &[Row]) {
    let rows = found.iter().zip(expected);
    let first = rows.enumerate().find(|(_, (found, expected))| found != expected);
    assert!(first.is_none(), "row {first:?}: found and expected differ");
    assert_eq!(found.len(), expected.len(), "rows were lost or doubled");
}
