//! The driver's part in taking copies of batches: it tells the tasks, and gathers what they hand over.

use std::collections::BTreeSet;

use statehouse_operator::shadow::Capture;

use super::Driver;
use crate::capture::CaptureAsked;
use crate::element::{Control, TaskIndex};
use crate::handle::TaskKind;

/// Copies that are being taken.
#[derive(Debug)]
pub(super) struct Capturing {
    asked: CaptureAsked,
    missing: BTreeSet<TaskIndex>,
    copies: Vec<Capture>,
    /// When there is no waiting for more; `None` once the tasks were told so.
    until: Option<i64>,
}

impl Driver {
    /// Takes up what was asked for.
    pub(super) fn begin_capture(&mut self, asked: CaptureAsked) {
        if self.capturing.is_some() {
            let reason = "batches are being copied already; ask again when that is done";
            return asked.answer(Err(reason.to_owned()));
        }
        let request = asked.request();
        let tasks = self.handle.tasks().iter().enumerate();
        let missing: BTreeSet<_> = tasks
            .filter(|(_, entry)| entry.node == request.node && entry.kind == TaskKind::Operator)
            .map(|(task, _)| TaskIndex(task as u32))
            .collect();
        if missing.is_empty() {
            let reason = format!("the job has no operator `{}`", request.node);
            return asked.answer(Err(reason));
        }
        let batches = request.batches.max(1);
        for task in &missing {
            self.waiting.push_back((task.0 as usize, Control::Capture { batches }));
        }
        let patience = i64::try_from(request.patience.as_millis()).unwrap_or(i64::MAX);
        let until = Some(self.clock.now().saturating_add(patience));
        self.capturing = Some(Capturing { asked, missing, copies: Vec::new(), until });
    }

    /// A task hands over what it has.
    pub(super) fn captured(&mut self, task: TaskIndex, copy: Option<Capture>) {
        let Some(capturing) = &mut self.capturing else { return };
        if capturing.missing.remove(&task) {
            capturing.copies.extend(copy);
        }
        if let Some(done) = self.capturing.take_if(|capturing| capturing.missing.is_empty()) {
            done.asked.answer(Ok(done.copies));
        }
    }

    /// Ends what has waited for long enough.
    pub(super) fn check_capture(&mut self) {
        let now = self.clock.now();
        let Some(capturing) = &mut self.capturing else { return };
        if capturing.until.take_if(|until| *until <= now).is_some() {
            for task in &capturing.missing {
                self.waiting.push_back((task.0 as usize, Control::EndCapture));
            }
        }
    }

    /// When that is, if something waits.
    pub(super) fn capture_expiry(&self) -> Option<i64> {
        self.capturing.as_ref()?.until
    }
}
