//! Copies of what an operator is given and what it makes of it, taken while the job runs, for shadow runs.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use statehouse_operator::shadow::Capture;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureRequest {
    /// The operator's id in the job.
    pub node: String,
    /// How many batches of each task.
    pub batches: u32,
    /// After this time there is no waiting for more of them.
    pub patience: Duration,
}

/// What each task was given and made of it, in no order, or why there is nothing.
pub type CaptureResult = Result<Vec<Capture>, String>;

/// What a request for copies comes to. Clones wait for the same ones; the first to take them has them.
#[derive(Debug, Clone)]
pub struct CaptureTicket {
    answer: Arc<Answer>,
}

#[derive(Debug, Default)]
struct Answer {
    slot: Mutex<Slot>,
    given: Condvar,
}

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Open,
    Given(CaptureResult),
    Taken,
}

impl CaptureTicket {
    /// A ticket, and the request that goes to the driver.
    pub(crate) fn new(request: CaptureRequest) -> (Self, CaptureAsked) {
        let answer = Arc::<Answer>::default();
        let ticket = Self { answer: Arc::clone(&answer) };
        (ticket, CaptureAsked { request, answer })
    }

    /// Waits for the copies, and takes them. `None` if they are not there within this time, or were taken before.
    pub fn wait(&self, patience: Duration) -> Option<CaptureResult> {
        let slot = self.answer.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let open = |slot: &mut Slot| matches!(slot, Slot::Open);
        let waited = self.answer.given.wait_timeout_while(slot, patience, open);
        let (mut slot, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *slot, Slot::Taken) {
            Slot::Given(result) => Some(result),
            Slot::Taken => None,
            Slot::Open => {
                *slot = Slot::Open;
                None
            }
        }
    }
}

/// A request under way. It is answered at the latest when it is dropped.
#[derive(Debug)]
pub(crate) struct CaptureAsked {
    request: CaptureRequest,
    answer: Arc<Answer>,
}

impl CaptureAsked {
    pub(crate) fn request(&self) -> &CaptureRequest {
        &self.request
    }

    /// Answers whoever waits. Only the first answer counts.
    pub(crate) fn answer(&self, result: CaptureResult) {
        let mut slot = self.answer.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*slot, Slot::Open) {
            *slot = Slot::Given(result);
            self.answer.given.notify_all();
        }
    }
}

impl Drop for CaptureAsked {
    fn drop(&mut self) {
        self.answer(Err("the run ended before the batches had come; ask again".to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_answered_once_and_never_left_waiting() {
        let patience = Duration::from_secs(60);
        let request = || CaptureRequest { node: "sums".into(), batches: 3, patience };
        let (ticket, asked) = CaptureTicket::new(request());
        assert!(ticket.wait(Duration::ZERO).is_none());
        asked.answer(Err("no such operator".into()));
        drop(asked);
        assert_eq!(ticket.wait(patience).unwrap().unwrap_err(), "no such operator");
        assert!(ticket.wait(patience).is_none(), "it was taken");

        let (ticket, asked) = CaptureTicket::new(request());
        let waiting = std::thread::spawn(move || ticket.wait(patience));
        drop(asked);
        assert!(waiting.join().unwrap().unwrap().unwrap_err().contains("the run ended before"));
    }
}
