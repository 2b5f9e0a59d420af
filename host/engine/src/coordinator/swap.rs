//! The coordinator's part in a swap: when its barriers may flow, and what may not happen meanwhile.
//!
//! A swap waits until no checkpoint is under way. Then come two barriers with nothing between them: one of a checkpoint
//! that is pinned, one at which operators flip and which is no checkpoint. The trial begins when all tasks have
//! flipped. Until it is decided to keep the swap no checkpoint is triggered, unless outputs are committed as they
//! come; the end of the stream decides so, too. The swap is kept when a checkpoint exists that was triggered after the
//! flip.

use std::collections::BTreeSet;

use super::{Command, Coordinator, Stage, milliseconds};
use crate::element::{Barrier, BarrierKind, TaskIndex};
use crate::swap::SwapStage;

/// How long after a failure the checkpoint that is to keep a swap is tried again, if no interval says so.
const KEEP_RETRY_MILLISECONDS: i64 = 1000;

/// Why there is no swap any more.
const ENDING: &str = "the job comes to its end; nothing has changed, ask again when it runs";

/// A swap as the coordinator is asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SwapWish {
    /// The tasks that flip.
    pub(crate) tasks: BTreeSet<TaskIndex>,
    /// Whether checkpoints go on during the trial.
    pub(crate) commit_outputs: bool,
    /// Whether the first trial is that of a canary.
    pub(crate) canary: bool,
}

/// A swap under way.
#[derive(Debug)]
pub(super) struct Swap {
    wish: SwapWish,
    at: At,
    /// The checkpoint that was pinned.
    pinned: u64,
    /// Whether the barrier of a flip was sent.
    flipped: bool,
}

#[derive(Debug)]
enum At {
    /// It waits until no checkpoint is under way.
    Wanted,
    Pinning,
    /// The barrier of the flip is the next one.
    ToFlip,
    Flipping {
        epoch: u64,
        since: i64,
        missing: BTreeSet<TaskIndex>,
    },
    Trial,
    Keeping {
        /// Whether a checkpoint that keeps it may exist.
        may_exist: bool,
    },
}

impl Coordinator {
    pub(super) fn swap_wanted(&mut self, wish: SwapWish, commands: &mut Vec<Command>) {
        if self.swap.is_some() {
            commands.push(refused("another swap is under way; ask again when it is over"));
        } else if self.stage == Stage::Ending {
            commands.push(refused(ENDING));
        } else {
            self.swap = Some(Swap { wish, at: At::Wanted, pinned: 0, flipped: false });
        }
    }

    /// The checkpoint exists and cannot be pinned.
    pub(super) fn pin_failed(&mut self, reason: &str, commands: &mut Vec<Command>) {
        self.refuse_pinning(&format!("its savepoint cannot be kept: {reason}"), commands);
    }

    /// If the checkpoint before the swap is under way, there will be no swap. Whether it was.
    pub(super) fn refuse_pinning(&mut self, reason: &str, commands: &mut Vec<Command>) -> bool {
        let pinning = self.swap.take_if(|swap| matches!(swap.at, At::Pinning));
        if pinning.is_some() {
            commands.push(refused(reason));
        }
        pinning.is_some()
    }

    pub(super) fn swap_published(&mut self, epoch: u64, commands: &mut Vec<Command>) {
        let Some(swap) = &mut self.swap else { return };
        match swap.at {
            At::Pinning => (swap.pinned, swap.at) = (epoch, At::ToFlip),
            At::Keeping { .. } => {
                self.swap = None;
                commands.push(Command::Swap(SwapStage::Kept { epoch }));
            }
            _ => {}
        }
    }

    /// All tasks have acknowledged, so that the checkpoint may come to exist.
    pub(super) fn swap_publishing(&mut self) {
        if let Some(Swap { at: At::Keeping { may_exist }, .. }) = &mut self.swap {
            *may_exist = true;
        }
    }

    pub(super) fn flipped(
        &mut self,
        now: i64,
        task: TaskIndex,
        epoch: u64,
        commands: &mut Vec<Command>,
    ) {
        let Some(swap) = &mut self.swap else { return };
        let At::Flipping { epoch: current, missing, .. } = &mut swap.at else { return };
        if *current == epoch && missing.remove(&task) && missing.is_empty() {
            swap.at = At::Trial;
            commands.push(Command::Swap(SwapStage::Trial { epoch, since_ms: now }));
        }
    }

    /// It was decided that the trial has gone well.
    pub(super) fn keep(&mut self, commands: &mut Vec<Command>) {
        let Some(swap) = self.swap.as_mut().filter(|swap| matches!(swap.at, At::Trial)) else {
            return;
        };
        if std::mem::take(&mut swap.wish.canary) {
            swap.at = At::ToFlip;
        } else {
            self.begin_keeping(commands);
        }
    }

    fn begin_keeping(&mut self, commands: &mut Vec<Command>) {
        let Some(swap) = &mut self.swap else { return };
        swap.at = At::Keeping { may_exist: !self.publishing.is_empty() };
        self.keep_wanted = true;
        commands.push(Command::Swap(SwapStage::Keeping { epoch: self.next_epoch }));
    }

    /// It was decided that there is to be no swap, or a task failed. Whether that could be.
    pub(super) fn undo_swap(&mut self, reason: &str, commands: &mut Vec<Command>) -> bool {
        let Some(swap) = &self.swap else { return false };
        if !swap.flipped {
            self.swap = None;
            commands.push(refused(reason));
            return true;
        }
        self.roll_back(reason, commands)
    }

    /// Ends the run for another one to go on from the pinned checkpoint. Whether that is still possible.
    pub(super) fn roll_back(&mut self, reason: &str, commands: &mut Vec<Command>) -> bool {
        let possible =
            |swap: &&Swap| swap.flipped && !matches!(swap.at, At::Keeping { may_exist: true });
        let Some(swap) = self.swap.as_ref().filter(possible) else { return false };
        self.stage = Stage::Ended;
        let reason = reason.to_owned();
        commands.push(Command::Swap(SwapStage::RollingBack { reason: reason.clone() }));
        commands.push(Command::RollBack { to: swap.pinned, reason });
        true
    }

    /// When a flip that does not come to its end is undone.
    pub(super) fn flip_expiry(&self) -> Option<i64> {
        let At::Flipping { since, .. } = self.swap.as_ref()?.at else { return None };
        Some(since.saturating_add(milliseconds(self.settings.timeout)))
    }

    pub(super) fn check_flip(&mut self, now: i64, commands: &mut Vec<Command>) {
        if self.flip_expiry().is_some_and(|expiry| expiry <= now)
            && let Some(Swap { at: At::Flipping { missing, .. }, .. }) = &self.swap
        {
            let (missing, timeout) = (missing.len(), self.settings.timeout);
            let reason = format!("{missing} tasks did not flip within the timeout of {timeout:?}");
            self.roll_back(&reason, commands);
        }
    }

    /// When the stream is to end, there is no time for what a swap has not begun, and none for its trial.
    pub(super) fn settle_swap(&mut self, commands: &mut Vec<Command>) {
        if self.last_wanted().is_none() {
            return;
        }
        let Some(swap) = &self.swap else { return };
        match swap.at {
            At::Trial => self.begin_keeping(commands),
            At::ToFlip if swap.flipped => self.begin_keeping(commands),
            At::Wanted | At::ToFlip => {
                self.swap = None;
                commands.push(refused(ENDING));
            }
            At::Pinning | At::Flipping { .. } | At::Keeping { .. } => {}
        }
    }

    /// Whether no barrier may be sent now but those of the swap itself.
    pub(super) fn is_swap_exclusive(&self) -> bool {
        self.swap.as_ref().is_some_and(|swap| match swap.at {
            At::Wanted | At::Pinning | At::ToFlip | At::Flipping { .. } => true,
            At::Trial => !swap.wish.commit_outputs,
            At::Keeping { .. } => false,
        })
    }

    /// Sends the barrier that the swap waits for, if it may be sent now.
    pub(super) fn trigger_swap(&mut self, now: i64, commands: &mut Vec<Command>) {
        if self.collecting.is_some() {
            return;
        }
        let (epoch, builds_on) = (self.next_epoch, self.completed);
        let Some(swap) = &mut self.swap else { return };
        match swap.at {
            At::Wanted if self.publishing.is_empty() => {
                swap.at = At::Pinning;
                let kind = match swap.wish.commit_outputs {
                    true => BarrierKind::Checkpoint,
                    false => BarrierKind::Pin,
                };
                commands.push(Command::Swap(SwapStage::Pinning { epoch }));
                self.collect(now, Barrier { epoch, builds_on, last: None, kind }, commands);
            }
            At::ToFlip => {
                let missing = swap.wish.tasks.clone();
                swap.at = At::Flipping { epoch, since: now, missing };
                swap.flipped = true;
                self.next_epoch += 1;
                commands.push(Command::Swap(SwapStage::Flipping { epoch }));
                let kind = BarrierKind::Flip;
                commands.push(Command::Trigger(Barrier { epoch, builds_on, last: None, kind }));
            }
            _ => {}
        }
    }

    /// When the checkpoint that is to keep a swap is tried again, after a failure.
    pub(super) fn keep_again(&mut self, now: i64) {
        let keeping = matches!(&self.swap, Some(Swap { at: At::Keeping { .. }, .. }));
        if keeping && self.next_trigger.is_none() {
            self.next_trigger = Some(now.saturating_add(KEEP_RETRY_MILLISECONDS));
        }
    }
}

fn refused(reason: &str) -> Command {
    Command::Swap(SwapStage::Refused { reason: reason.to_owned() })
}

#[cfg(test)]
mod tests;
