//! Who asks for swaps of the running job, and decides about them, as chance wants.

use std::sync::Arc;

use futures::executor::block_on;
use rand::Rng;
use rand::rngs::StdRng;
use statehouse_checkpoint::Check;
use statehouse_checkpoint::testing::FaultStore;
use statehouse_engine::recovery::left;
use statehouse_engine::{
    Decision, Graph, JobHandle, NodeKind, NodeSwap, OperatorFactory, SwapRequest, SwapStage,
    SwapTicket,
};
use statehouse_operator::evolution::{Left, Retired, plan};
use statehouse_operator::{CanaryShare, Evolution};
use statehouse_tests::faulty::{Fault, Faulty};
use statehouse_tests::ledger::LedgerFactory;
use statehouse_tests::tally::TallyFactory;

/// What came of swaps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tallied {
    pub(crate) asked: u32,
    pub(crate) kept: u32,
    pub(crate) rolled_back: u32,
    pub(crate) refused: u32,
    /// Those in the middle of which the process died.
    pub(crate) lost: u32,
    /// Backends that were taken back in memory.
    pub(crate) warm: usize,
}

impl std::ops::AddAssign for Tallied {
    fn add_assign(&mut self, other: Self) {
        self.asked += other.asked;
        self.kept += other.kept;
        self.rolled_back += other.rolled_back;
        self.refused += other.refused;
        self.lost += other.lost;
        self.warm += other.warm;
    }
}

/// How swaps are asked for.
#[derive(Debug)]
pub(crate) struct Conductor {
    /// How often, in turns of the driver.
    pub(crate) every: u32,
    /// How long a trial is, in turns of the driver, on average.
    pub(crate) trial: u32,
    /// Whether outputs of trials are committed as they come.
    pub(crate) commit_outputs: bool,
    /// What is wrong with every new operator; by chance, if nothing is said.
    pub(crate) fault: Option<Fault>,
    /// The name of the newest swap's savepoint.
    pub(crate) savepoint: String,
    pub(crate) tallied: Tallied,
    /// The versions of the newest operators that were asked for. Numbers are not used twice.
    version: u32,
    /// Whether there will be no more of them in this run.
    over: bool,
    /// The swap under way, and whether its operators are to be kept if nothing happens.
    swap: Option<(SwapTicket, bool)>,
}

impl Conductor {
    pub(crate) fn new(every: u32) -> Self {
        Self {
            every,
            trial: 12,
            commit_outputs: false,
            fault: None,
            savepoint: String::new(),
            tallied: Tallied::default(),
            version: 1,
            over: false,
            swap: None,
        }
    }

    /// A run begins.
    pub(crate) fn begin(&mut self) {
        self.over = false;
        self.tallied.lost += u32::from(self.swap.take().is_some());
    }

    /// Counts what has come to its end.
    fn settle(&mut self) {
        let ended = self.swap.take_if(|(ticket, _)| ticket.stage().is_final());
        match ended.map(|(ticket, _)| ticket.stage()) {
            Some(SwapStage::Kept { .. }) => self.tallied.kept += 1,
            Some(SwapStage::RollingBack { .. }) => self.tallied.rolled_back += 1,
            Some(SwapStage::Refused { reason }) => {
                self.tallied.refused += 1;
                self.over = reason.contains("comes to its end");
            }
            _ => {}
        }
    }

    /// A run ends for another one to go on from before the swap.
    pub(crate) fn rolled_back(&mut self, warm: usize) {
        self.settle();
        self.tallied.warm += warm;
    }

    /// The driver is about to take its turn.
    pub(crate) fn turn(&mut self, random: &mut StdRng, handle: &JobHandle, store: &FaultStore) {
        self.settle();
        let Some((ticket, good)) = &self.swap else {
            if !self.over && random.random_ratio(1, self.every) {
                self.ask(random, handle, store);
            }
            return;
        };
        let on_trial = matches!(ticket.stage(), SwapStage::Trial { .. });
        if on_trial && random.random_ratio(1, self.trial) {
            handle.decide(match *good && random.random_bool(0.7) {
                true => Decision::Keep,
                false => Decision::RollBack { reason: "chance wants it".into() },
            });
        } else if random.random_ratio(1, 600) {
            handle.decide(Decision::RollBack { reason: "patience is over".into() });
        } else if random.random_ratio(1, 200) {
            self.ask_too_early(handle);
        }
    }

    /// There is one swap at a time.
    fn ask_too_early(&self, handle: &JobHandle) {
        let Some((ticket, _)) = &self.swap else { return };
        let request = SwapRequest {
            nodes: vec![],
            savepoint: "never".into(),
            commit_outputs: false,
            canary: None,
        };
        let SwapStage::Refused { reason } = handle.swap(request).stage() else {
            panic!("a second swap at once")
        };
        // The first one may have come to its end just now.
        if !ticket.stage().is_final() {
            assert!(reason.contains("under way") && reason.contains("`tally`"), "{reason}");
        }
    }

    fn ask(&mut self, random: &mut StdRng, handle: &JobHandle, store: &FaultStore) {
        let graph = handle.graph();
        self.version += 1;
        let canary = random.random_bool(0.2).then(|| CanaryShare::of_percent(30.0)).flatten();
        let fault = self.fault.or_else(|| match random.random_range(0..10) {
            0 => Some(Fault::Open),
            1 | 2 => Some(Fault::After(random.random_range(0..8))),
            _ => None,
        });
        // The tally is in every swap, to be found in refusals; the ledger cannot be a canary, since it has task states.
        let mut nodes = vec![self.node("tally", fault, &graph, store)];
        let has_ledger = graph.nodes().iter().any(|node| node.id == "ledger");
        if has_ledger && canary.is_none() && random.random_bool(0.6) {
            nodes.push(self.node("ledger", None, &graph, store));
        }
        let nodes: Option<Vec<_>> = nodes.into_iter().collect();
        // Without an answer of the store there is no plan.
        let Some(nodes) = nodes else { return };
        self.savepoint = format!("before-version-{}", self.version);
        let savepoint = self.savepoint.clone();
        let commit_outputs = self.commit_outputs;
        self.tallied.asked += 1;
        let ticket = handle.swap(SwapRequest { nodes, savepoint, commit_outputs, canary });
        self.swap = Some((ticket, fault.is_none()));
    }

    fn node(
        &self,
        node: &str,
        fault: Option<Fault>,
        graph: &Graph,
        store: &FaultStore,
    ) -> Option<NodeSwap> {
        let new: Arc<dyn OperatorFactory> = match node {
            "tally" => Arc::new(TallyFactory::new(self.version)),
            _ => Arc::new(LedgerFactory::new(self.version)),
        };
        let evolution = evolution(node, &*new, graph, store)?;
        let factory = match fault {
            Some(fault) => Arc::new(Faulty::new(new, fault)),
            None => new,
        };
        Some(NodeSwap { node: node.to_owned(), factory, evolution })
    }
}

/// How the state is taken over that the newest checkpoint says is there.
pub(crate) fn evolution(
    node: &str,
    new: &dyn OperatorFactory,
    graph: &Graph,
    store: &FaultStore,
) -> Option<Evolution> {
    let newest = block_on(store.checkpoints().newest_valid(Check::Manifest)).ok()?.manifest;
    let operators = newest.iter().flat_map(|newest| &newest.operators);
    let left = match operators.into_iter().find(|operator| operator.id == node) {
        Some(before) => left(before).unwrap(),
        None => {
            let running = graph.nodes().iter().find(|running| running.id == node)?;
            let NodeKind::Operator { factory, .. } = &running.kind else { return None };
            Left { description: factory.description().clone(), retired: Retired::default() }
        }
    };
    Some(plan(&left, new.description(), &new.migrations(), false).unwrap())
}
