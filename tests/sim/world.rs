//! What survives the death of the process: inputs, outputs and the store; the job on them, and what must have come of
//! it in the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::executor::block_on;
use rand::Rng;
use rand::rngs::StdRng;
use statehouse_checkpoint::Manifest;
use statehouse_checkpoint::testing::FaultStore;
use statehouse_engine::{Graph, Node, NodeKind};
use statehouse_operator::ErrorPolicy;
use statehouse_state::KeyGroups;
use statehouse_tests::ledger::{LedgerFactory, expected_reports, expected_spent};
use statehouse_tests::outside::{DISORDER, Number, Numbers, Outside, Row};
use statehouse_tests::tally::{TallyFactory, expected_poison, expected_sums};
use statehouse_tests::version;

/// How many records a run has.
pub(crate) const RECORDS: u64 = 1500;
/// How many records there are for each rule that comes in beside them, for the first two thirds of the time.
const RECORDS_PER_RULE: u64 = 25;

/// The versions of the operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) tally: u32,
    pub(crate) ledger: u32,
}

impl Versions {
    /// Those that a checkpoint names; the first ones, if there is none.
    pub(crate) fn of(manifest: Option<&Manifest>) -> Self {
        let of = |id: &str| {
            let operator = manifest?.operators.iter().find(|operator| operator.id == id)?;
            version(&operator.component?.to_string())
        };
        Self { tally: of("tally").unwrap_or(1), ledger: of("ledger").unwrap_or(1) }
    }
}

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

impl World {
    pub(crate) fn new(seed: u64, records: u64) -> Self {
        Self {
            numbers: Numbers::new(seed, records),
            rules: Numbers::new(!seed, records / RECORDS_PER_RULE).every(50),
            sums: Outside::default(),
            reports: Outside::default(),
            spent: Outside::default(),
            raw: Outside::default(),
            dead: Outside::default(),
            late: Outside::default(),
            store: FaultStore::in_memory(),
        }
    }

    /// The same inputs, and outputs and a store that nothing has come to.
    pub(crate) fn beside(&self) -> Self {
        let (numbers, rules) = (self.numbers.clone(), self.rules.clone());
        Self { numbers, rules, ..Self::new(0, 0) }
    }

    /// The job, with a parallelism by chance. If it is `tardy`, many records come after their window is over: what is
    /// late then depends on where batches are cut, so there is one source task, and no ledger.
    pub(crate) fn graph(
        &self,
        name: &str,
        tardy: bool,
        versions: Versions,
        random: &mut StdRng,
    ) -> Graph {
        let tasks = |most: u32, random: &mut StdRng| random.random_range(1..=most);
        let (sources, lag) = match tardy {
            true => (1, 0),
            false => (tasks(3, random), DISORDER + 3 * 7 * 6),
        };
        let source = |id: &str, numbers: &Numbers| {
            let mut source = Node::new(id, NodeKind::Source(Arc::new(numbers.clone())));
            source.watermark_lag = Some(lag);
            source
        };
        let tally = NodeKind::Operator {
            factory: Arc::new(TallyFactory::new(versions.tally)),
            inputs: BTreeMap::from([("numbers".to_owned(), vec!["numbers".to_owned()])]),
        };
        let mut tally = Node::new("tally", tally).with_parallelism(tasks(3, random));
        tally.on_error = ErrorPolicy::DeadLetter;
        let mut nodes = vec![
            source("numbers", &self.numbers).with_parallelism(sources),
            tally,
            sink("sums", "tally.sums", &self.sums).with_parallelism(tasks(2, random)),
            sink("raw", "numbers", &self.raw).with_parallelism(tasks(2, random)),
            sink("dead", "tally.dead-letters", &self.dead),
            sink("late", "tally.late", &self.late).with_parallelism(tasks(2, random)),
        ];
        if !tardy {
            let inputs = ["numbers", "rules"].map(|id| (id.to_owned(), vec![id.to_owned()]));
            let ledger = NodeKind::Operator {
                factory: Arc::new(LedgerFactory::new(versions.ledger)),
                inputs: BTreeMap::from(inputs),
            };
            let mut ledger = Node::new("ledger", ledger).with_parallelism(tasks(3, random));
            ledger.on_error = ErrorPolicy::Skip;
            nodes.extend([
                // One task, which reads in order, so that no rule is late.
                source("rules", &self.rules),
                ledger,
                sink("reports", "ledger.reports", &self.reports),
                sink("spent", "ledger.spent", &self.spent),
            ]);
        }
        Graph::check(name, KeyGroups::new(13).unwrap(), nodes).unwrap()
    }

    /// Checks that the world has seen everything exactly once, and nothing late: in its own outputs, and in those of
    /// the job that this one went on from.
    pub(crate) fn check(&self, before: Option<&Seen>) {
        let (numbers, seen) = (&self.numbers, self.seen(before));
        // Thousands of rows say little when they are printed: whether they are equal is enough.
        assert!(seen.sums == expected_sums(numbers.all()), "sums differ");
        assert!(self.late.committed().is_empty(), "something was late");
        let rules: Vec<Number> = self.rules.all().collect();
        same(&seen.reports, &expected_reports(numbers.all(), &rules));
        same(&seen.spent, &expected_spent(numbers.all()));
        self.check_raw(before);
    }

    /// Checks that the world has seen every record that came in exactly once.
    pub(crate) fn check_raw(&self, before: Option<&Seen>) {
        let seen = self.seen(before);
        assert!(seen.raw == self.expected_raw(), "records were lost or doubled");
        assert_eq!(seen.dead, expected_poison(self.numbers.all()));
    }

    /// Checks that the world has seen every record that came in at least once. Returns how many it has seen too often.
    pub(crate) fn check_nothing_lost(&self) -> usize {
        let mut counts: BTreeMap<Row, i64> = BTreeMap::new();
        for row in self.raw.committed() {
            *counts.entry(row).or_default() += 1;
        }
        for row in self.expected_raw() {
            *counts.entry(row).or_default() -= 1;
        }
        assert!(counts.values().all(|count| *count >= 0), "records were lost");
        counts.values().sum::<i64>() as usize
    }

    fn expected_raw(&self) -> Vec<Row> {
        let raw = self.numbers.all();
        let mut raw: Vec<_> =
            raw.map(|number| (number.time, Some(number.key), number.value.to_string())).collect();
        raw.sort();
        raw
    }

    /// What the world has seen of this job, and of the one before it.
    pub(crate) fn seen(&self, before: Option<&Seen>) -> Seen {
        let nothing = Seen::default();
        let before = before.unwrap_or(&nothing);
        let all = |rows: &[Row], own: &Outside| {
            let mut rows = [rows, &own.committed()].concat();
            rows.sort();
            rows
        };
        Seen {
            sums: all(&before.sums, &self.sums),
            reports: all(&before.reports, &self.reports),
            spent: all(&before.spent, &self.spent),
            raw: all(&before.raw, &self.raw),
            dead: before.dead + self.dead.committed().len(),
        }
    }

    /// Checks that everything in the store is whole, and that nothing is there that nothing names.
    pub(crate) fn check_store(&self, savepoints: &[String]) {
        let store = self.store.checkpoints();
        let mut named = std::collections::BTreeSet::new();
        let mut manifests = Vec::new();
        for epoch in block_on(store.list()).unwrap() {
            manifests.push(block_on(store.read(epoch)).unwrap());
        }
        for name in savepoints {
            manifests.push(block_on(store.read_savepoint(name)).unwrap());
        }
        for pin in block_on(store.pins()).unwrap() {
            manifests.push(block_on(store.read_pin(&pin)).unwrap());
        }
        for manifest in &manifests {
            assert!(block_on(store.verify(manifest)).unwrap().is_empty(), "something is missing");
            named.extend(manifest.packs().into_iter().map(|pack| pack.digest.to_string()));
        }
        let objects = block_on(self.store.objects()).unwrap();
        for object in &objects {
            let name = object.rsplit('/').next().unwrap_or_default();
            assert!(!object.starts_with("packs/") || named.contains(name), "{object} is left over");
            assert!(!object.starts_with("condemned/"), "{object} is left over");
        }
    }
}

/// What the world has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    sums: Vec<Row>,
    reports: Vec<Row>,
    spent: Vec<Row>,
    raw: Vec<Row>,
    dead: usize,
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
