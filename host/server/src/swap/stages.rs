//! One swap from its request to its end, on a thread of its own.
//!
//! Wait until the job runs; plan; put the components into the store; run them in the shadow; ask the engine; watch the
//! trial; keep it or have it rolled back. Whatever goes wrong before the flip refuses the swap, and nothing has
//! changed.

mod entries;
mod planning;
mod shadow;

use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use statehouse_checkpoint::{CheckpointStore, HistoryEvent, SwapSavepoint};
use statehouse_engine::{
    Decision, JobHandle, NodeKind, NodeSwap, SwapRequest, SwapStage, SwapTicket,
};
use statehouse_operator::CanaryShare;

use self::planning::Ready;
use super::conductor::Shared;
use super::progress::Progress;
use super::watch::{Counters, Rules, Watched};
use crate::control::messages::{CreateSwap, SwapDecision, SwapStageName};

/// Time between two looks at the counters, and at what the user decides.
const INTERVAL: Duration = Duration::from_millis(50);

/// A swap on its way.
struct Swapping<'a> {
    shared: &'a Shared,
    progress: &'a Progress,
    request: &'a CreateSwap,
    rules: &'a Rules,
    store: &'a CheckpointStore,
}

/// Takes a swap through its stages.
pub(super) fn run(shared: &Shared, progress: &Progress, request: &CreateSwap, rules: &Rules) {
    let Some(store) = &shared.store else { return };
    let swapping = Swapping { shared, progress, request, rules, store };
    if let Err(reason) = swapping.run() {
        swapping.refuse(reason, None);
    }
    // What a swap on trial runs is not in the graph yet, and plans are made beside it.
    if !request.plan_only {
        swapping.forget_components();
    }
}

impl Swapping<'_> {
    fn advance(&self, stage: SwapStageName) {
        self.progress.advance(stage, self.shared.clock.now());
    }

    /// It is not done, and nothing has changed.
    fn refuse(&self, reason: String, ready: Option<&Ready>) {
        self.progress.note(|status| status.reason = Some(reason.clone()));
        if !self.request.plan_only {
            self.record(HistoryEvent::Refused, ready, None, Some(reason));
        }
        self.advance(SwapStageName::Refused);
    }

    fn run(&self) -> Result<(), String> {
        let handle = self.wait_until_it_runs()?;
        self.advance(SwapStageName::Planning);
        let ready = self.plan(&handle)?;
        let plan = ready.plan.clone();
        self.progress.note(|status| status.plan = Some(plan));
        if self.request.plan_only {
            self.advance(SwapStageName::Planned);
            return Ok(());
        }
        if !ready.plan.accepted {
            self.refuse(planning::why_not(&ready.plan), Some(&ready));
            return Ok(());
        }
        self.given_up()?;
        for bytes in &ready.components {
            block_on(self.store.put_component(bytes.clone())).map_err(|error| {
                let error = error.chain();
                format!("its component cannot be put beside the checkpoints, which going back needs: {error}")
            })?;
        }
        self.record(HistoryEvent::Asked, Some(&ready), None, None);
        if let Err(reason) = self.shadow(&handle, &ready) {
            self.refuse(reason, Some(&ready));
            return Ok(());
        }
        self.swap(&handle, &ready);
        Ok(())
    }

    /// Compiled components that nothing runs any more go.
    fn forget_components(&self) {
        let Some(handle) = self.shared.live.handle() else { return };
        let graph = handle.graph();
        let running: Vec<String> = graph
            .nodes()
            .iter()
            .filter_map(|node| match &node.kind {
                NodeKind::Operator { factory, .. } => factory.component(),
                NodeKind::Source(_) | NodeKind::Sink { .. } => None,
            })
            .collect();
        self.shared.components.retain(|digest| running.contains(&digest.to_string()));
    }

    /// While state is restored there is nothing to be swapped yet.
    fn wait_until_it_runs(&self) -> Result<JobHandle, String> {
        loop {
            self.given_up()?;
            if let Some(handle) = self.shared.live.handle() {
                return Ok(handle);
            }
            if self.shared.live.is_over() {
                return Err("the job ended before it ran".to_owned());
            }
            std::thread::park_timeout(INTERVAL);
        }
    }

    fn given_up(&self) -> Result<(), String> {
        match self.progress.decided() {
            Some(SwapDecision::Abort) => Err("the user gave it up".to_owned()),
            _ => Ok(()),
        }
    }

    /// The name of the savepoint before the swap.
    fn savepoint(&self) -> SwapSavepoint {
        let own = || format!("swap-{}", self.progress.id());
        let is_users = self.request.savepoint.is_some();
        SwapSavepoint { name: self.request.savepoint.clone().unwrap_or_else(own), is_users }
    }

    /// From the request to the engine to the end.
    fn swap(&self, handle: &JobHandle, ready: &Ready) {
        let resumed_before = self.shared.resumed().0;
        let node = |planned: &super::plan::PlannedNode| NodeSwap {
            node: planned.id.clone(),
            factory: Arc::clone(&planned.factory),
            evolution: planned.evolution.clone(),
        };
        let mut watching = Watching::new(self, handle, ready);
        watching.begin();
        let ticket = handle.swap(SwapRequest {
            nodes: ready.nodes.iter().map(node).collect(),
            savepoint: self.savepoint().name,
            commit_outputs: self.request.commit_outputs,
            canary: self.request.canary.and_then(CanaryShare::of_percent),
        });
        match watching.watch_to_the_end(&ticket) {
            SwapStage::Kept { epoch } => {
                self.progress.note(|status| status.epoch = Some(epoch));
                self.delete_savepoint();
                self.record(HistoryEvent::Kept, Some(ready), Some(epoch), None);
                self.advance(SwapStageName::Kept);
            }
            SwapStage::RollingBack { reason } => self.went_back(ready, reason, resumed_before),
            SwapStage::Refused { reason } => {
                self.delete_savepoint();
                self.refuse(reason, Some(ready));
            }
            other => self.refuse(format!("it ended unexpectedly: {other}"), Some(ready)),
        }
    }

    /// Waits until the job runs again, or does not.
    fn went_back(&self, ready: &Ready, reason: String, resumed_before: u64) {
        self.progress.note(|status| status.reason = Some(reason.clone()));
        self.advance(SwapStageName::RollingBack);
        loop {
            let (resumed, epoch) = self.shared.resumed();
            if resumed > resumed_before {
                self.progress.note(|status| status.epoch = Some(epoch));
                self.record(HistoryEvent::RolledBack, Some(ready), Some(epoch), Some(reason));
                self.advance(SwapStageName::RolledBack);
                return self.let_go_of_savepoint();
            }
            if self.shared.live.is_over() {
                // The savepoint may be all that the next run has to go on from; and only the next run sees whether a
                // checkpoint with the new component was published, and says so in the history.
                let reason = format!(
                    "{reason}; the job ended before it ran again: the next run goes on from its newest checkpoint, and \
                     `statehouse history` says then what became of the swap"
                );
                self.progress.note(|status| status.reason = Some(reason));
                return self.advance(SwapStageName::RolledBack);
            }
            std::thread::park_timeout(INTERVAL);
        }
    }

    /// The savepoint goes when the job that went back to it has a checkpoint of its own: where checkpoints went on in
    /// the trial, the one of the savepoint's epoch may be collected already.
    fn let_go_of_savepoint(&self) {
        loop {
            let handle = self.shared.live.handle();
            let has_its_own = handle.is_some_and(|handle| handle.checkpoint_count() > 0);
            if !self.request.commit_outputs || has_its_own {
                return self.delete_savepoint();
            }
            if self.shared.live.is_over() {
                return;
            }
            std::thread::park_timeout(INTERVAL);
        }
    }

    /// The savepoint goes when nothing needs it, unless the user named it.
    fn delete_savepoint(&self) {
        let SwapSavepoint { name, is_users } = self.savepoint();
        if is_users {
            return;
        }
        match block_on(self.store.delete_savepoint(&name)) {
            Ok(()) | Err(statehouse_checkpoint::Error::Missing { .. }) => {
                self.progress.note(|status| status.savepoint = None);
            }
            Err(error) => {
                let error = error.chain();
                tracing::warn!(
                    "savepoint `{name}` stays: {error}; `statehouse savepoint delete` removes it"
                );
            }
        }
    }
}

/// The engine's part, looked at.
struct Watching<'a> {
    swapping: &'a Swapping<'a>,
    /// Of the run that is swapped: after a rollback there is another one, which counts anew.
    handle: &'a JobHandle,
    ready: &'a Ready,
    operators: Vec<Watched>,
    /// Whether the trial under way is that of a canary.
    is_canary: bool,
    /// When the trial under way is over, once it is known.
    until: Option<i64>,
    /// What was decided is decided once for each trial.
    is_decided: bool,
}

impl<'a> Watching<'a> {
    fn new(swapping: &'a Swapping<'a>, handle: &'a JobHandle, ready: &'a Ready) -> Self {
        let is_canary = swapping.request.canary.is_some();
        let operators = Vec::new();
        Self { swapping, handle, ready, operators, is_canary, until: None, is_decided: false }
    }

    /// What is counted from now on belongs to the trial that comes.
    fn begin(&mut self) {
        let counters = |id: &str| Counters::of(id, self.handle.tasks());
        let rules = self.swapping.rules;
        let ids = self.ready.nodes.iter().map(|node| node.id.as_str());
        self.operators = ids.map(|id| rules.begin(id, counters(id))).collect();
        (self.until, self.is_decided) = (None, false);
    }

    fn watch_to_the_end(&mut self, ticket: &SwapTicket) -> SwapStage {
        let mut seen = SwapStage::Queued;
        loop {
            let stage = ticket.wait_past(&seen, INTERVAL);
            if stage != seen {
                self.came_to(&seen, &stage);
            }
            if stage.is_final() {
                self.look(false);
                return stage;
            }
            self.decide(&stage);
            seen = stage;
        }
    }

    /// Another stage than before. Some may have passed in between.
    fn came_to(&mut self, before: &SwapStage, stage: &SwapStage) {
        let Swapping { progress, .. } = self.swapping;
        match stage {
            SwapStage::Queued => {}
            SwapStage::Pinning { epoch } => {
                progress.note(|status| status.epoch = Some(*epoch));
                self.swapping.advance(SwapStageName::Pinning);
            }
            SwapStage::Flipping { epoch } => {
                self.begin();
                let savepoint = self.swapping.savepoint().name;
                progress.note(|status| {
                    (status.epoch, status.savepoint) = (Some(*epoch), Some(savepoint));
                });
                self.swapping.advance(SwapStageName::Flipping);
            }
            SwapStage::Trial { epoch, since_ms } => {
                // Stages that passed between two looks are told, too.
                if matches!(before, SwapStage::Queued) {
                    self.swapping.advance(SwapStageName::Pinning);
                }
                if matches!(before, SwapStage::Trial { .. }) {
                    self.begin();
                }
                self.swapping.advance(SwapStageName::Flipping);
                self.on_trial(*epoch, *since_ms);
            }
            SwapStage::Keeping { .. } | SwapStage::Kept { .. } => {
                self.swapping.advance(SwapStageName::Keeping);
            }
            SwapStage::RollingBack { .. } | SwapStage::Refused { .. } => {}
        }
    }

    fn on_trial(&mut self, epoch: u64, since_ms: i64) {
        let Swapping { progress, rules, .. } = self.swapping;
        let savepoint = self.swapping.savepoint().name;
        self.until = Some(since_ms.saturating_add(rules.for_ms()));
        progress.note(|status| {
            (status.epoch, status.savepoint) = (Some(epoch), Some(savepoint));
            status.trial_since_ms = Some(since_ms);
        });
        let was_canary =
            progress.status().passed.iter().any(|(stage, _)| *stage == SwapStageName::Canary);
        let (stage, event) = match (self.is_canary, was_canary) {
            (true, _) => (SwapStageName::Canary, HistoryEvent::Swapped),
            (false, true) => (SwapStageName::Trial, HistoryEvent::Promoted),
            (false, false) => (SwapStageName::Trial, HistoryEvent::Swapped),
        };
        self.swapping.record(event, Some(self.ready), Some(epoch), None);
        self.swapping.advance(stage);
    }

    /// Looks at the counters, and ends the trial if it is time to.
    fn decide(&mut self, stage: &SwapStage) {
        let handle = self.handle;
        let decision = self.swapping.progress.take_decision();
        let roll_back = |reason: String| handle.decide(Decision::RollBack { reason });
        if decision == Some(SwapDecision::Abort) {
            return roll_back("the user gave it up".to_owned());
        }
        let (SwapStage::Trial { .. }, Some(until), false) = (stage, self.until, self.is_decided)
        else {
            return;
        };
        let last =
            decision == Some(SwapDecision::Keep) || self.swapping.shared.clock.now() >= until;
        if let Some(reason) = self.look(last).filter(|_| decision.is_none()) {
            self.is_decided = true;
            return roll_back(reason);
        }
        if last {
            self.is_decided = true;
            // A canary is promoted by that, and its second trial is one of all key groups.
            self.is_canary = false;
            handle.decide(Decision::Keep);
        }
    }

    /// Looks at the counters. Returns what is wrong.
    fn look(&mut self, last: bool) -> Option<String> {
        let mut found = None;
        for watched in &mut self.operators {
            watched.look(Counters::of(watched.id(), self.handle.tasks()));
            found = found.or_else(|| self.swapping.rules.violation(watched, last));
        }
        let counted = self.operators.iter().map(Watched::counted).collect();
        self.swapping.progress.note(|status| status.counted = counted);
        found
    }
}
