//! Copies of batches, handed over by the task that runs them.

use super::Frame;
use super::operator::OperatorBody;
use crate::element::Report;

impl OperatorBody {
    /// From now on copies what the operator is given.
    pub(super) fn capture(&mut self, batches: u32) {
        self.capturing = true;
        self.invoker.capture(batches);
    }

    /// Hands over what was copied, if that is all.
    pub(super) fn hand_over_capture(&mut self, frame: &mut Frame) {
        if self.capturing
            && let Some(capture) = self.invoker.take_capture()
        {
            self.capturing = false;
            let capture = Some(Box::new(capture));
            frame.reports.push(Report::Captured { task: frame.index, capture });
        }
    }

    /// Hands over what was copied until now, if it has not been.
    pub(super) fn end_capture(&mut self, frame: &mut Frame) {
        if std::mem::take(&mut self.capturing) {
            let capture = self.invoker.end_capture().map(Box::new);
            frame.reports.push(Report::Captured { task: frame.index, capture });
        }
    }
}
