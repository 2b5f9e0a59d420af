//! How an operator is replaced between two invocations, and what is held for the way back.

use std::sync::Arc;

use statehouse_operator::InvokeError;

use super::operator::OperatorBody;
use super::{Frame, TaskError, pass_barrier};
use crate::element::{Barrier, BarrierKind, Before, Report};
use crate::swap::staging::Staged;
use crate::swap::warm::WarmTask;
use crate::version::OperatorVersion;

/// What a task knows of swaps.
#[derive(Debug, Default)]
pub(super) struct Flips {
    /// The operator to take at the barrier of the next flip.
    staged: Option<Box<Staged>>,
    /// The barrier of a flip that has come in on every channel.
    pub(super) due: Option<Barrier>,
    /// What manifests will say of the canary that runs beside the operator, if one does.
    canary: Option<Arc<OperatorVersion>>,
    held: Option<Held>,
    /// Nothing is held at barriers up to this epoch.
    released: u64,
}

/// What was fixed at the barrier of a checkpoint that the job may come back to; the backend holds the rest.
#[derive(Debug)]
struct Held {
    epoch: u64,
    task_states: Option<Vec<u8>>,
}

impl OperatorBody {
    /// Takes an operator for the next flip.
    pub(super) fn stage(&mut self, staged: Box<Staged>) {
        self.flips.staged = Some(staged);
    }

    /// Flips, if the task has an operator to flip to or a canary to promote. The barrier came in at an earlier step:
    /// what was sent before it by the coordinator has been taken since.
    pub(super) fn flip(&mut self, frame: &mut Frame, barrier: Barrier) -> Result<(), TaskError> {
        pass_barrier(frame, barrier);
        let before = match self.flips.staged.take() {
            Some(staged) => self.take_operator(*staged).map_err(TaskError::new)?,
            None if self.flips.canary.is_some() => self.promote(),
            None => return Ok(()),
        };
        frame.reports.push(Report::Flipped { task: frame.index, epoch: barrier.epoch, before });
        Ok(())
    }

    /// The operator that does not run any more, if there is one.
    fn take_operator(&mut self, staged: Staged) -> Result<Option<Before>, InvokeError> {
        let Staged { operator, evolution, version, backend, canary } = staged;
        self.allow_sweep(false);
        match canary {
            Some((share, groups)) => {
                self.invoker.start_canary(operator, share, groups)?;
                self.flips.canary = Some(version);
                Ok(None)
            }
            None => {
                let before = self.invoker.replace(operator, &evolution, backend)?;
                self.set_version(version);
                Ok(Some(Before(before)))
            }
        }
    }

    /// The canary gets all keys.
    fn promote(&mut self) -> Option<Before> {
        if let Some(version) = self.flips.canary.take() {
            self.set_version(version);
        }
        self.invoker.end_canary(true).map(Before)
    }

    /// If the job may come back to this checkpoint in memory, holds what it takes. Called when the snapshot was
    /// started; `task_states` are those that are in it.
    pub(super) fn hold(&mut self, barrier: Barrier, task_states: Option<&Vec<u8>>) {
        if barrier.kind != BarrierKind::Pin || barrier.epoch <= self.flips.released {
            return;
        }
        if let Some(backend) = self.invoker.backend() {
            backend.hold();
        }
        // What the flip finds is what was pinned, but for what keys needed.
        self.allow_sweep(false);
        let task_states = task_states.cloned();
        self.flips.held = Some(Held { epoch: barrier.epoch, task_states });
    }

    /// With the end of the stream the swap is kept: so is its canary.
    pub(super) fn settle_canary(&mut self, barrier: Barrier) {
        if barrier.last.is_some() && self.flips.canary.is_some() {
            self.promote();
        }
    }

    /// Forgets what is held, and what would be at barriers up to this epoch.
    pub(super) fn release(&mut self, through: u64) {
        self.flips.released = through;
        self.flips.staged = None;
        self.allow_sweep(true);
        if self.flips.held.take().is_some()
            && let Some(backend) = self.invoker.backend()
        {
            backend.release();
        }
    }

    /// The state as it was at the barrier of an epoch, as far as it was held and can be taken back.
    pub(super) fn into_warm(self, epoch: u64) -> WarmTask {
        let Some(held) = self.flips.held.filter(|held| held.epoch == epoch) else {
            return WarmTask::default();
        };
        let (_, backend, _) = self.invoker.into_parts();
        let backend = backend.and_then(|mut backend| match backend.revert() {
            Ok(reverted) => reverted.then_some(backend),
            Err(error) => {
                tracing::warn!("state cannot be taken back in memory and is restored: {error}");
                None
            }
        });
        WarmTask { backend, task_states: held.task_states }
    }
}
