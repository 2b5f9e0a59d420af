//! The channels of a job: made all at once, then taken by the tasks one by one.

use crossbeam_utils::sync::{Parker, Unparker};

use crate::channel::{Receiver, Sender, bounded};
use crate::element::{Control, Report, TaskIndex};
use crate::graph::{Exchange, Graph};
use crate::task::{Channel, Outlet};

/// How many elements wait on one channel at the most.
const CHANNEL_ELEMENTS_MAX: usize = 16;

/// The ends of channels that belong to one task.
pub(super) struct Ends {
    pub(super) index: TaskIndex,
    pub(super) channels: Vec<Channel>,
    pub(super) outlets: Vec<Outlet>,
    pub(super) control: Receiver<Control>,
    pub(super) reports: Sender<Report>,
    pub(super) parker: Parker,
}

/// All channels of a job, until the tasks take theirs.
pub(super) struct Wiring {
    /// The index of each node's first task.
    first: Vec<u32>,
    parkers: Vec<Option<Parker>>,
    incoming: Vec<Vec<Channel>>,
    outgoing: Vec<Vec<Outlet>>,
    control: Vec<Option<Receiver<Control>>>,
    report: Sender<Report>,
    pub(super) controls: Vec<Sender<Control>>,
    pub(super) reports: Receiver<Report>,
}

impl Wiring {
    /// `watermarks` holds, by node and task, the watermark that each has sent on at the checkpoint.
    pub(super) fn new(graph: &Graph, watermarks: &[Vec<i64>], driver: Unparker) -> Self {
        let mut first = Vec::with_capacity(graph.nodes.len());
        let mut tasks = 0;
        for node in &graph.nodes {
            first.push(tasks);
            tasks += node.parallelism;
        }
        let parkers: Vec<Parker> = (0..tasks).map(|_| Parker::new()).collect();
        let wake: Vec<Unparker> = parkers.iter().map(|parker| parker.unparker().clone()).collect();
        let room = 64 + 4 * tasks as usize;
        // Several tasks send reports; none of them waits for room by its parker, so any wake-up will do.
        let (report, reports) = bounded(room, driver.clone(), driver.clone());
        let (controls, control) = wake
            .iter()
            .map(|wake| bounded(room, driver.clone(), wake.clone()))
            .map(|(sender, receiver)| (sender, Some(receiver)))
            .unzip();
        let mut wiring = Self {
            first,
            parkers: parkers.into_iter().map(Some).collect(),
            incoming: wake.iter().map(|_| Vec::new()).collect(),
            outgoing: wake.iter().map(|_| Vec::new()).collect(),
            control,
            report,
            controls,
            reports,
        };
        wiring.connect(graph, watermarks, &wake);
        wiring
    }

    fn connect(&mut self, graph: &Graph, watermarks: &[Vec<i64>], wake: &[Unparker]) {
        for edge in &graph.edges {
            let (senders, receivers) =
                (graph.nodes[edge.from].parallelism, graph.nodes[edge.to].parallelism);
            for sender in 0..senders {
                let producer = (self.first[edge.from] + sender) as usize;
                let mut ways = Vec::with_capacity(receivers as usize);
                for receiver in 0..receivers {
                    let consumer = (self.first[edge.to] + receiver) as usize;
                    let room = CHANNEL_ELEMENTS_MAX;
                    let (tx, rx) = bounded(room, wake[producer].clone(), wake[consumer].clone());
                    ways.push(tx);
                    if edge.exchange != Exchange::Forward || sender == receiver {
                        let watermark = watermarks[edge.from][sender as usize];
                        let channel = Channel { input: edge.input, receiver: rx, watermark };
                        self.incoming[consumer].push(channel);
                    }
                }
                let outlet = Outlet::new(edge.output, edge.exchange, ways, sender as usize);
                self.outgoing[producer].push(outlet);
            }
        }
    }

    /// Wakes each task whose ends have not been taken yet.
    pub(super) fn unparkers(&self) -> Vec<Unparker> {
        self.parkers.iter().flatten().map(|parker| parker.unparker().clone()).collect()
    }

    pub(super) fn take(&mut self, node: usize, task: u32) -> Ends {
        let index = self.first[node] + task;
        let at = index as usize;
        Ends {
            index: TaskIndex(index),
            channels: std::mem::take(&mut self.incoming[at]),
            outlets: std::mem::take(&mut self.outgoing[at]),
            control: self.control[at].take().expect("each task takes its ends once"),
            reports: self.report.clone(),
            parker: self.parkers[at].take().expect("each task takes its ends once"),
        }
    }
}
