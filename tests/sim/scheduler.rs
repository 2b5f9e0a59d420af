//! One simulated job and its history: a scheduler that decides by the seed what happens next.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use statehouse_checkpoint::{
    Check, CheckpointStore, Collector, Compression, Manifest, OriginRecord, Retention, Selection,
    StartPlace, StartPoint,
};
use statehouse_engine::{
    Assembled, CheckpointSettings, Checkpoints, Clock, JobPlan, ManualClock, Mode, RestorePoint,
    SavepointRequest, SavepointTicket, Step, Stop, Turn, Warm, assemble,
};
use tempfile::TempDir;

use crate::backends::{Backends, folder};
use crate::conductor::Conductor;
use crate::world::{RECORDS, Versions, World};

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
    Stopped,
    RolledBack,
    Died(String),
}

/// Where a job that is a fork goes on from: a checkpoint in another store.
#[derive(Debug, Clone)]
pub(crate) struct Parent {
    pub(crate) store: CheckpointStore,
    pub(crate) manifest: Manifest,
    pub(crate) origin: OriginRecord,
}

/// A job and its history.
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) world: World,
    pub(crate) trace: Vec<String>,
    pub(crate) random: StdRng,
    pub(crate) clock: ManualClock,
    /// Whether checkpoints have so little time that many are given up.
    pub(crate) hasty: bool,
    /// See [`World::graph`].
    pub(crate) tardy: bool,
    /// Whether more than half of the lives of the process, by chance, keep their state in RocksDB. They take long.
    pub(crate) rocks: bool,
    pub(crate) mode: Mode,
    pub(crate) drop_unclaimed: bool,
    pub(crate) restores_max: usize,
    /// Whether the job is started with newer operators, by chance, each time.
    pub(crate) newer: bool,
    /// The store call from which on the store fails for a while, and the process goes on.
    pub(crate) outage: Option<u64>,
    /// The store call, counted from when the job runs, that is never answered, and whether it takes effect.
    pub(crate) stall: Option<(u64, bool)>,
    /// How often, in turns of the driver, a savepoint is asked for.
    pub(crate) savepoint_every: u32,
    /// The savepoint at which the job is to stop, and after how many turns it is asked for.
    pub(crate) stop_after: Option<(u64, String)>,
    /// How it is to stop then.
    pub(crate) stop: Stop,
    pub(crate) parent: Option<Parent>,
    /// Who asks for swaps, and decides about them.
    pub(crate) conductor: Option<Conductor>,
    /// Savepoints that were asked for.
    asked: Vec<(String, SavepointTicket)>,
    runs: u32,
}

/// A process that runs the job.
pub(crate) struct Life {
    pub(crate) job: Assembled,
    finished: Vec<bool>,
    pub(crate) turns: u64,
    /// Until when the publisher gets no time.
    publisher_sleeps: u64,
    pub(crate) backends: Backends,
    pub(crate) folder: TempDir,
}

impl Scenario {
    pub(crate) fn new(seed: u64) -> Self {
        Self::on(World::new(seed, RECORDS), seed)
    }

    /// One with fewer records, to be run very often.
    pub(crate) fn short(seed: u64) -> Self {
        Self::on(World::new(seed, RECORDS / 2), seed)
    }

    /// A job on a world that is there already.
    pub(crate) fn on(world: World, seed: u64) -> Self {
        Self {
            name: "simulated".to_owned(),
            world,
            trace: Vec::new(),
            random: StdRng::seed_from_u64(seed),
            clock: ManualClock::at(1_000_000),
            hasty: false,
            tardy: false,
            rocks: false,
            mode: Mode::ExactlyOnce,
            drop_unclaimed: false,
            restores_max: 1,
            newer: false,
            outage: None,
            stall: None,
            savepoint_every: 400,
            stop_after: None,
            stop: Stop::Checkpoint,
            parent: None,
            conductor: None,
            asked: Vec::new(),
            runs: 0,
        }
    }

    /// Starts the job where it is to go on. Fails if the store does.
    pub(crate) fn start(&mut self) -> Result<Life, String> {
        let folder = folder();
        let backends = match self.rocks && self.random.random_bool(0.6) {
            true => Backends::rocks(folder.path()),
            false => Backends::heap(folder.path()),
        };
        self.start_on(backends, folder)
    }

    /// Starts the job on these backends, whose state lies in this folder.
    pub(crate) fn start_on(&mut self, backends: Backends, folder: TempDir) -> Result<Life, String> {
        self.runs += 1;
        self.trace.push(format!("run {}", self.runs));
        let job = self.assemble(&backends, Arc::new(self.clock.clone()))?;
        Ok(self.live(job, backends, folder))
    }

    /// A process with this job.
    pub(crate) fn live(&mut self, job: Assembled, backends: Backends, folder: TempDir) -> Life {
        if let Some((calls, takes_effect)) = self.stall {
            self.world.store.stall_after(calls, takes_effect);
        }
        let finished = vec![false; job.tasks.len()];
        if let Some(conductor) = &mut self.conductor {
            conductor.begin();
        }
        Life { job, finished, turns: 0, publisher_sleeps: 0, backends, folder }
    }

    /// Puts the job together, to run by this clock.
    pub(crate) fn assemble(
        &mut self,
        backends: &Backends,
        clock: Arc<dyn Clock>,
    ) -> Result<Assembled, String> {
        let mut store = self.world.store.checkpoints();
        if let Some(parent) = &self.parent {
            store = store.with_origin(parent.store.clone(), parent.origin.clone());
        }
        let lease = block_on(store.claim()).map_err(|error| error.chain())?;
        let restore = self.restore_point(&mut store)?;
        let mut versions = Versions::of(restore.as_ref().map(|restore| &restore.manifest));
        if self.newer {
            versions.tally += self.random.random_range(0..2);
            versions.ledger += self.random.random_range(0..4);
        }
        let plan = JobPlan {
            graph: self.world.graph(&self.name, self.tardy, versions, &mut self.random),
            settings: self.settings(),
            checkpoints: Some(Checkpoints { store, lease }),
            restore,
            clock,
            backend: Arc::clone(&backends.factory),
            scratch: Some(backends.scratch.clone()),
            restores_max: self.restores_max,
            seed: 7,
            warm: Warm::default(),
        };
        assemble(plan).map_err(|error| error.to_string())
    }

    /// The newest checkpoint. The first run of a fork takes that of its parent.
    fn restore_point(&self, store: &mut CheckpointStore) -> Result<Option<RestorePoint>, String> {
        let found = block_on(store.newest_valid(Check::Manifest)).map_err(|error| error.chain())?;
        assert_eq!(found.advice(), None, "nobody has damaged anything");
        let Selection { mut manifest, mut point, .. } = found;
        if let (None, Some(Parent { store: other, manifest: theirs, origin })) =
            (&manifest, &self.parent)
        {
            let adopted = block_on(store.adopt(other, origin, theirs));
            *store = adopted.map_err(|error| error.chain())?;
            let place = StartPlace::Origin(origin.pin.clone());
            point = Some(StartPoint { epoch: theirs.epoch, place, fork: true });
            manifest = Some(theirs.clone());
        }
        let fork = point.as_ref().is_some_and(|point| point.fork);
        Ok(manifest.map(|manifest| RestorePoint {
            store: store.clone(),
            manifest,
            point,
            continues: true,
            drop_unclaimed: self.drop_unclaimed,
            fork,
        }))
    }

    pub(crate) fn settings(&mut self) -> CheckpointSettings {
        let random = &mut self.random;
        CheckpointSettings {
            interval: Some(Duration::from_millis(random.random_range(10..60))),
            timeout: Duration::from_millis(match self.hasty {
                true => random.random_range(20..400),
                false => random.random_range(400..6000),
            }),
            tolerable_failed: u32::MAX,
            max_concurrent: random.random_range(1..=3),
            num_retained: random.random_range(1..=3),
            mode: self.mode,
            inline_threshold: random.random_range(0..3000),
            compression: match random.random_range(0..3) {
                0 => Compression::None,
                1 => Compression::Lz4,
                _ => Compression::Zstd,
            },
            ..CheckpointSettings::default()
        }
    }

    /// Runs the job until it ends, or its process dies.
    pub(crate) fn run(&mut self, death: Death) -> Ending {
        let (mut last_call, mut last_turn) = (u64::MAX, u64::MAX);
        match death {
            Death::Never => {}
            Death::AfterCalls(calls) => {
                self.world.store.heal();
                self.world.store.crash_after(calls);
                last_call = self.world.store.calls() + calls;
            }
            Death::AfterSteps(steps) => last_turn = steps,
        }
        if let Some(calls) = self.outage {
            self.world.store.crash_after(calls);
        }
        let mut life = match self.start() {
            Ok(life) => life,
            Err(reason) => return Ending::Died(reason),
        };
        loop {
            if self.outage.is_some_and(|calls| self.world.store.calls() > calls) {
                self.outage = None;
                self.world.store.heal();
            }
            if self.world.store.calls() > last_call || life.turns > last_turn {
                return Ending::Died("the process was killed".into());
            }
            match self.step(&mut life) {
                None => {}
                Some(Ending::RolledBack) => match self.go_back(life) {
                    Ok(again) => life = again,
                    Err(reason) => return Ending::Died(reason),
                },
                Some(ending) => return ending,
            }
        }
    }

    /// Runs the job until it has come to its end, however often it takes. A last checkpoint that has too little time
    /// ends a run, since nothing can take its place.
    pub(crate) fn complete(&mut self) {
        self.world.store.heal();
        for _ in 0..20 {
            match self.run(Death::Never) {
                Ending::Completed => return,
                Ending::Died(reason) => assert!(self.hasty, "{reason}"),
                Ending::Stopped | Ending::RolledBack => {}
            }
        }
        panic!("the job does not come to its end");
    }

    /// Does whatever chance wants next. Something if the run has ended.
    pub(crate) fn step(&mut self, life: &mut Life) -> Option<Ending> {
        life.turns += 1;
        assert!(life.turns < 2_000_000, "the job makes no progress:\n{}", self.last_steps());
        match self.random.random_range(0..20) {
            0 | 1 => {
                self.clock.advance(self.random.random_range(0..12));
                self.wish(life);
                match life.job.driver.turn() {
                    Turn::Running { .. } => None,
                    Turn::Finished => {
                        self.let_publisher_end(life);
                        Some(Ending::Completed)
                    }
                    Turn::Stopped(_) => {
                        self.let_publisher_end(life);
                        Some(Ending::Stopped)
                    }
                    Turn::RolledBack => Some(Ending::RolledBack),
                    Turn::Failed { reason } => Some(Ending::Died(reason)),
                }
            }
            2 => {
                // Now and then it falls asleep, in hasty runs for longer than checkpoints have time.
                if life.turns >= life.publisher_sleeps {
                    life.job.publisher.as_mut().unwrap().step();
                    if self.random.random_bool(0.05) {
                        let sleep = if self.hasty { 3000 } else { 300 };
                        life.publisher_sleeps = life.turns + self.random.random_range(0..sleep);
                    }
                }
                None
            }
            _ => {
                let at = self.random.random_range(0..life.job.tasks.len());
                let (task, _) = &mut life.job.tasks[at];
                let step = task.step();
                life.finished[at] = step == Step::Finished;
                let now = self.clock.now();
                let calls = self.world.store.calls();
                self.trace.push(format!("{now} {} {step:?} {calls}", task.name()));
                None
            }
        }
    }

    /// The user asks for something.
    fn wish(&mut self, life: &Life) {
        let handle = &life.job.handle;
        if let Some(conductor) = &mut self.conductor {
            conductor.turn(&mut self.random, handle, &self.world.store);
        }
        if self.random.random_ratio(1, self.savepoint_every) {
            let name = format!("savepoint-{}", self.asked.len());
            let request = SavepointRequest { name: Some(name.clone()), then: None };
            self.asked.push((name, handle.savepoint(request)));
        }
        if let Some((_, name)) = self.stop_after.take_if(|(turns, _)| life.turns > *turns) {
            let then = Some(self.stop);
            let request = SavepointRequest { name: Some(name.clone()), then };
            self.asked.push((name, handle.savepoint(request)));
        }
    }

    /// What a process does before it exits.
    fn let_publisher_end(&self, life: &mut Life) {
        life.job.driver.hang_up();
        life.job.publisher.as_mut().unwrap().step();
    }

    fn last_steps(&self) -> String {
        self.trace[self.trace.len().saturating_sub(30)..].join("\n")
    }

    /// The savepoints that were made, as far as anyone was told.
    pub(crate) fn told(&self) -> BTreeSet<String> {
        let made = self.asked.iter().filter(|(_, ticket)| matches!(ticket.poll(), Some(Ok(_))));
        made.map(|(name, _)| name.clone()).collect()
    }

    /// The savepoints that are there.
    pub(crate) fn savepoints(&self) -> Vec<String> {
        let savepoints = block_on(self.world.store.checkpoints().savepoints()).unwrap();
        savepoints.into_iter().map(|entry| entry.name).collect()
    }

    /// Whether everyone who asked was answered.
    pub(crate) fn all_answered(&self) -> bool {
        self.asked.iter().all(|(_, ticket)| ticket.poll().is_some())
    }

    /// Checks that the world has seen everything exactly once, and nothing late, and that the store is in order.
    pub(crate) fn check(&self) {
        self.world.check(None);
        self.check_store();
    }

    /// Checks that everything that is to be in the store is there, and after a collection nothing else.
    pub(crate) fn check_store(&self) {
        assert!(self.all_answered(), "somebody waits for a savepoint");
        let store = self.world.store.checkpoints();
        let lease = block_on(store.claim()).unwrap();
        let mut collector = Collector::new(store.clone(), Retention { num_retained: 1 });
        let report = block_on(collector.collect(&lease)).unwrap();
        assert!(report.blocked.is_empty(), "{:?}", report.blocked);
        let savepoints = self.savepoints();
        let told = self.told();
        assert!(told.iter().all(|name| savepoints.contains(name)), "{told:?} {savepoints:?}");
        self.world.check_store(&savepoints);
    }
}
