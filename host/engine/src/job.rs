//! A job put together: tasks with channels between them, and the driver that the coordinator acts through.
//!
//! [`assemble`] builds everything and runs nothing. [`crate::threads`] runs it on threads; a simulation steps the
//! tasks and the driver itself, in an order of its own.

use std::sync::Arc;

use crossbeam_utils::sync::{Parker, Unparker};
use futures::executor::block_on;
use statehouse_operator::{Description, Invoker, Port};
use statehouse_state::{Backend, KeyGroupRange, KeyGroups};

use crate::channel::{Receiver, Sender, bounded};
use crate::clock::Clock;
use crate::coordinator::Coordinator;
use crate::driver::Driver;
use crate::element::{Control, Element, TaskIndex};
use crate::error::JobError;
use crate::graph::{Graph, Node, NodeKind, Output, dead_letter_port};
use crate::handle::{JobHandle, TaskEntry};
use crate::metrics::TaskMetrics;
use crate::publish::{Checkpoints, Publisher};
use crate::recovery::RestorePoint;
use crate::settings::CheckpointSettings;
use crate::task::{
    Body, Channel, Frame, Gate, OperatorBody, Outlet, Outlets, Reports, SinkBody, SourceBody, Task,
};
use crate::watermark::Generator;

/// How many elements wait on one channel at the most.
const CHANNEL_ELEMENTS_MAX: usize = 16;

/// Makes the state backend of one task of an operator.
pub type BackendFactory = dyn Fn(&Description, KeyGroups, KeyGroupRange) -> Result<Box<dyn Backend>, statehouse_state::Error>
    + Send
    + Sync;

/// Everything that a run needs. Time, randomness, stores and backends are handed in.
pub struct JobPlan {
    /// The checked graph.
    pub graph: Graph,
    /// How checkpoints are taken.
    pub settings: CheckpointSettings,
    /// Where they go. `None`: there are none, and a crash starts from nothing.
    pub checkpoints: Option<Checkpoints>,
    /// Where to start from. `None`: from nothing.
    pub restore: Option<RestorePoint>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The state backend.
    pub backend: Arc<BackendFactory>,
    /// Where the operators' randomness comes from.
    pub seed: u64,
}

/// A job that is ready to run: whoever holds it steps the tasks and the driver.
#[derive(Debug)]
pub struct Assembled {
    /// The tasks, and what to wake each by.
    pub tasks: Vec<(Task, Parker)>,
    /// Carries out what the coordinator decides.
    pub driver: Driver,
    /// Wakes the driver.
    pub driver_parker: Parker,
    /// For looking on and for stopping.
    pub handle: JobHandle,
}

/// Puts a job together: checks it against the checkpoint, recovers sinks, opens everything, restores state.
///
/// # Errors
/// If anything cannot be opened or restored. Nothing has run then, and nothing is lost.
pub fn assemble(plan: JobPlan) -> Result<Assembled, JobError> {
    let JobPlan { graph, settings, checkpoints, restore, clock, backend, seed } = plan;
    if let Some(restore) = &restore {
        restore.check(&graph)?;
    }
    recover_sinks(&graph, restore.as_ref())?;
    let newest = match &checkpoints {
        Some(checkpoints) => block_on(checkpoints.store.next_epoch())?.0 - 1,
        None => 0,
    };
    let driver_parker = Parker::new();
    let mut wiring = Wiring::new(&graph, driver_parker.unparker().clone());
    let mut tasks = Vec::with_capacity(graph.tasks());
    let mut entries = Vec::with_capacity(graph.tasks());
    let builder = Builder { graph: &graph, restore: restore.as_ref(), backend: &*backend, seed };
    for (node_index, node) in graph.nodes.iter().enumerate() {
        for task in 0..node.parallelism {
            let Ends { channels, outlets, control, reports, parker, index } =
                wiring.take(node_index, task);
            let body = builder.body(node, task, index, Gate::new(channels), node_index)?;
            let metrics = Arc::new(TaskMetrics::default());
            entries.push(TaskEntry::new(node, task, Arc::clone(&metrics)));
            let mut outlets = Outlets::new(outlets, graph.key_groups);
            if let Some(watermark) = builder.watermark(node, task) {
                outlets.broadcast(|| Element::Watermark(watermark));
            }
            let frame = Frame {
                index,
                name: format!("{}/{task}", node.id),
                clock: Arc::clone(&clock),
                outlets,
                reports: Reports::new(reports),
                metrics,
            };
            tasks.push((Task::new(frame, control, body), parker));
        }
    }
    let sources = graph.nodes.iter().filter(|node| matches!(node.kind, NodeKind::Source(_)));
    let completed = restore.as_ref().filter(|restore| restore.same_store).map(RestorePoint::epoch);
    let coordinator = Coordinator::new(
        settings.clone(),
        checkpoints.is_some(),
        tasks.len(),
        sources.map(|node| node.parallelism as usize).sum(),
        completed,
        newest,
        clock.now(),
    );
    let previous = restore.filter(|restore| restore.same_store).map(|restore| restore.manifest);
    let publisher = checkpoints.map(|checkpoints| {
        Publisher::new(&graph, checkpoints, settings.inline_threshold, previous)
    });
    let handle = JobHandle::new(entries, driver_parker.unparker().clone());
    let driver = Driver::new(
        &graph,
        coordinator,
        publisher,
        wiring.reports,
        wiring.controls,
        clock,
        &handle,
    );
    Ok(Assembled { tasks, driver, driver_parker, handle })
}

fn recover_sinks(graph: &Graph, restore: Option<&RestorePoint>) -> Result<(), JobError> {
    for node in &graph.nodes {
        let NodeKind::Sink { factory, .. } = &node.kind else { continue };
        let before = restore.and_then(|restore| restore.operator(&node.id));
        let tokens: Vec<_> = before
            .iter()
            .flat_map(|before| &before.tasks)
            .filter_map(|task| task.position.as_array())
            .flatten()
            .cloned()
            .collect();
        factory
            .recover(&tokens)
            .map_err(|source| JobError::Connector { node: node.id.clone(), source })?;
    }
    Ok(())
}

/// Makes what tasks do.
struct Builder<'a> {
    graph: &'a Graph,
    restore: Option<&'a RestorePoint>,
    backend: &'a BackendFactory,
    seed: u64,
}

impl Builder<'_> {
    fn body(
        &self,
        node: &Node,
        task: u32,
        index: TaskIndex,
        gate: Gate,
        node_index: usize,
    ) -> Result<Body, JobError> {
        let connector = |source| JobError::Connector { node: node.id.clone(), source };
        let watermarks =
            node.watermark_lag.map(|lag| Generator::new(lag, self.watermark(node, task)));
        match &node.kind {
            NodeKind::Source(factory) => {
                let before = self.restore.and_then(|restore| restore.operator(&node.id));
                let positions: Vec<_> = before
                    .iter()
                    .flat_map(|before| &before.tasks)
                    .map(|task| task.position.clone())
                    .filter(|position| !position.is_null())
                    .collect();
                let source = factory.open(task, node.parallelism, &positions).map_err(connector)?;
                Ok(Body::Source(SourceBody::new(source, watermarks, node.on_error)))
            }
            NodeKind::Operator { factory, .. } => {
                let operator = factory
                    .open(task)
                    .map_err(|reason| JobError::Operator { node: node.id.clone(), reason })?;
                let backend = self.backend(node, task, factory.description())?;
                let invoker = Invoker::new(operator, backend, node.on_error);
                let same_store = self.restore.filter(|restore| restore.same_store);
                Ok(Body::Operator(Box::new(OperatorBody::new(
                    gate,
                    invoker,
                    watermarks,
                    self.seed ^ (u64::from(index.0) << 32),
                    same_store.map(RestorePoint::epoch),
                ))))
            }
            NodeKind::Sink { factory, .. } => {
                let sink = factory.open(task, &self.sink_port(node_index)).map_err(connector)?;
                Ok(Body::Sink(SinkBody::new(gate, sink)))
            }
        }
    }

    /// The state of one task, filled from the checkpoint; none if the operator declares none.
    fn backend(
        &self,
        node: &Node,
        task: u32,
        description: &Description,
    ) -> Result<Option<Box<dyn Backend>>, JobError> {
        if description.states.is_empty() && description.timers.is_empty() {
            return Ok(None);
        }
        let groups = self.graph.key_groups;
        let range = groups.range_of_task(task, node.parallelism);
        let mut backend = (self.backend)(description, groups, range).map_err(|error| {
            JobError::Operator { node: node.id.clone(), reason: error.to_string() }
        })?;
        if let Some(restore) = self.restore
            && let Some(before) = restore.operator(&node.id)
        {
            block_on(restore.fill(before, range, &mut *backend))?;
        }
        Ok(Some(backend))
    }

    /// The watermark that a task of a generating node had at the checkpoint. With another parallelism the rows of
    /// the tasks are mixed anew, so the lowest counts.
    fn watermark(&self, node: &Node, task: u32) -> Option<i64> {
        node.watermark_lag?;
        let before = self.restore?.operator(&node.id)?;
        if before.parallelism == node.parallelism {
            return before.tasks.iter().find(|state| state.task == task)?.watermark;
        }
        before.tasks.iter().map(|state| state.watermark).min().flatten()
    }

    fn sink_port(&self, node: usize) -> Port {
        let edge = self.graph.edges.iter().find(|edge| edge.to == node);
        let edge = edge.expect("a checked sink is fed by something");
        match edge.output {
            Output::DeadLetters => dead_letter_port(),
            Output::Port(port) => self.graph.nodes[edge.from].outputs()[port as usize].clone(),
        }
    }
}

/// The ends of channels that belong to one task.
struct Ends {
    index: TaskIndex,
    channels: Vec<Channel>,
    outlets: Vec<Outlet>,
    control: Receiver<Control>,
    reports: Sender<crate::element::Report>,
    parker: Parker,
}

/// All channels of a job, until the tasks take theirs.
struct Wiring {
    /// The index of each node's first task.
    first: Vec<u32>,
    parkers: Vec<Option<Parker>>,
    incoming: Vec<Vec<Channel>>,
    outgoing: Vec<Vec<Outlet>>,
    control: Vec<Option<Receiver<Control>>>,
    report: Sender<crate::element::Report>,
    controls: Vec<Sender<Control>>,
    reports: Receiver<crate::element::Report>,
}

impl Wiring {
    fn new(graph: &Graph, driver: Unparker) -> Self {
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
        wiring.connect(graph, &wake);
        wiring
    }

    fn connect(&mut self, graph: &Graph, wake: &[Unparker]) {
        use crate::graph::Exchange;
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
                        let channel = Channel { input: edge.input, receiver: rx };
                        self.incoming[consumer].push(channel);
                    }
                }
                let outlet = Outlet::new(edge.output, edge.exchange, ways, sender as usize);
                self.outgoing[producer].push(outlet);
            }
        }
    }

    fn take(&mut self, node: usize, task: u32) -> Ends {
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
