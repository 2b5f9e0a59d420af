//! The driver's part in a swap: it hands the new operators over, and says how far the swap is.

use std::sync::Arc;

use super::Driver;
use crate::coordinator::Event;
use crate::coordinator::swap::SwapWish;
use crate::element::{Control, TaskIndex};
use crate::graph::Graph;
use crate::handle::TaskKind;
use crate::swap::staging::{Staged, StagedSwap};
use crate::swap::warm::Warm;
use crate::swap::{Rollback, SwapStage, SwapTicket};
use crate::task::Task;

/// The swap under way, if there is one.
#[derive(Debug, Default)]
pub(super) struct Swapping {
    swap: Option<UnderWay>,
    /// The checkpoint that the job goes back to, and why. What was asked for is left to the next run.
    undone: Option<(u64, String)>,
    /// Whether that is done.
    left: bool,
}

#[derive(Debug)]
struct UnderWay {
    ticket: SwapTicket,
    savepoint: String,
    /// Until the flip.
    operators: Vec<(TaskIndex, Staged)>,
    /// The job after it.
    graph: Graph,
    /// The checkpoint to pin.
    pin: Option<u64>,
}

impl Swapping {
    /// Takes up what was asked for.
    pub(super) fn take(&mut self, staged: StagedSwap) -> Event {
        let wish = SwapWish {
            tasks: staged.tasks(),
            commit_outputs: staged.commit_outputs,
            canary: staged.canary,
        };
        let StagedSwap { ticket, savepoint, operators, graph, .. } = staged;
        self.swap = Some(UnderWay { ticket, savepoint, operators, graph, pin: None });
        Event::Swap(wish)
    }

    /// The name to keep the checkpoint under.
    pub(super) fn savepoint(&self, epoch: u64) -> Option<String> {
        let swap = self.swap.as_ref().filter(|swap| swap.pin == Some(epoch))?;
        Some(swap.savepoint.clone())
    }

    /// Takes what came of that, which is the last one of all.
    pub(super) fn take_pin(
        &self,
        epoch: u64,
        savepoints: &mut Vec<(String, Result<(), String>)>,
    ) -> Result<(), String> {
        match self.savepoint(epoch) {
            None => Ok(()),
            Some(_) => savepoints.pop().map_or(Ok(()), |(_, result)| result),
        }
    }

    pub(super) fn undo(&mut self, to: u64, reason: String) {
        self.undone = Some((to, reason));
    }

    /// Whether the run has ended for another one to go on.
    pub(super) fn is_undone(&self) -> bool {
        self.left
    }

    pub(super) fn run_ends(&mut self, reason: &str) {
        if let Some(swap) = self.swap.take() {
            swap.ticket.run_ends(reason);
        }
    }
}

impl Driver {
    /// The swap is at another stage.
    pub(super) fn swap_at(&mut self, stage: SwapStage) {
        let Some(swap) = &mut self.swap.swap else { return };
        let ticket = swap.ticket.clone();
        tracing::info!("swap of {}: {stage}", ticket.nodes());
        match &stage {
            SwapStage::Pinning { epoch } => swap.pin = Some(*epoch),
            SwapStage::Flipping { .. } => {
                for (task, staged) in std::mem::take(&mut swap.operators) {
                    self.waiting.push_back((task.0 as usize, Control::Stage(Box::new(staged))));
                }
            }
            SwapStage::Keeping { .. } => self.release(),
            SwapStage::Kept { .. } => {
                if let Some(swap) = self.swap.swap.take() {
                    self.handle.desk().set_graph(swap.graph);
                }
            }
            SwapStage::Refused { .. } => {
                self.swap.swap = None;
                self.release();
            }
            SwapStage::Queued | SwapStage::Trial { .. } | SwapStage::RollingBack { .. } => {}
        }
        ticket.advance(stage);
    }

    /// There is no way back to what was held.
    fn release(&mut self) {
        let through = self.triggered;
        self.send(TaskKind::Operator, || Control::Release { through });
    }

    /// Takes a run apart that has [rolled back](super::Turn::RolledBack): the state of its tasks goes back to where the
    /// checkpoint is, as far as it can, on up to that many threads as the job restores tasks on; and what was asked for
    /// and not done is left to the next run.
    ///
    /// # Panics
    /// If the run has not rolled back.
    pub fn roll_back(&mut self, tasks: Vec<Task>) -> Rollback {
        let (to_epoch, reason) = self.swap.undone.take().expect("the run has rolled back");
        self.swap.left = true;
        self.swap.swap = None;
        let desk = self.handle.desk();
        desk.captures
            .fail("the job goes back to before a swap, and what was copied with it; ask again");
        let saving = std::mem::take(&mut self.saving).into_values().flatten();
        let asked: Vec<_> = saving.chain(std::mem::take(&mut self.asked)).collect();
        desk.put_back(asked.into_iter());
        let site = desk.site();
        let mut warm = Warm::revert(tasks, self.handle.tasks(), to_epoch, site.threads_max);
        warm.desk = Some(Arc::clone(desk));
        Rollback { to_epoch, reason, graph: site.graph.clone(), warm }
    }
}
