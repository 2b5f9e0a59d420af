//! Savepoints of a running job: what is asked for, and the answer.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::handle::Stop;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavepointRequest {
    /// The name to keep it under. `None`: a checkpoint is wanted now, and nothing more.
    pub name: Option<String>,
    /// If set, the job ends with it, in this way. With [`Stop::Cancel`] the savepoint is still made first.
    pub then: Option<Stop>,
}

/// A savepoint that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavepointRecord {
    /// Its name, if one was asked for.
    pub name: Option<String>,
    /// The epoch that it ended.
    pub epoch: u64,
    /// When its checkpoint was triggered, in milliseconds since 1970-01-01T00:00:00Z.
    pub triggered_ms: i64,
    /// From the trigger to the pinned manifest.
    pub duration_ms: u64,
    /// Bytes written for it, without the manifest.
    pub written_bytes: u64,
    /// Bytes of state that it stands for.
    pub state_bytes: u64,
}

/// A savepoint that exists, or why there is none.
pub type SavepointResult = Result<SavepointRecord, String>;

/// What a request for a savepoint comes to. Clones wait for the same one.
#[derive(Debug, Clone)]
pub struct SavepointTicket {
    answer: Arc<Answer>,
}

#[derive(Debug, Default)]
struct Answer {
    slot: Mutex<Option<SavepointResult>>,
    given: Condvar,
}

impl SavepointTicket {
    /// A ticket, and the request that goes to the driver.
    pub(crate) fn new(request: SavepointRequest) -> (Self, Asked) {
        let answer = Arc::<Answer>::default();
        let ticket = Self { answer: Arc::clone(&answer) };
        (ticket, Asked { request, answer })
    }

    /// Waits for the savepoint.
    ///
    /// # Errors
    /// In words, if the savepoint cannot be made, or was not made within this time: it may still be made then, and
    /// waiting again is fine.
    pub fn wait(&self, patience: Duration) -> SavepointResult {
        let slot = self.answer.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.answer.given.wait_timeout_while(slot, patience, |slot| slot.is_none());
        let (slot, _) = waited.unwrap_or_else(PoisonError::into_inner);
        slot.clone().unwrap_or_else(|| {
            Err(format!(
                "the savepoint was not finished within {patience:?}; it goes on, and shows among the savepoints if it \
                 succeeds"
            ))
        })
    }

    /// The answer, if there is one yet.
    pub fn poll(&self) -> Option<SavepointResult> {
        self.answer.slot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A request under way. It is answered at the latest when it is dropped.
#[derive(Debug)]
pub(crate) struct Asked {
    request: SavepointRequest,
    answer: Arc<Answer>,
}

impl Asked {
    pub(crate) fn request(&self) -> &SavepointRequest {
        &self.request
    }

    /// Answers whoever waits. Only the first answer counts.
    pub(crate) fn answer(&self, result: SavepointResult) {
        let mut slot = self.answer.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert(result);
        self.answer.given.notify_all();
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.answer(Err("the job ended before the savepoint was made".to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> SavepointRequest {
        SavepointRequest { name: Some("before-upgrade".into()), then: None }
    }

    #[test]
    fn who_waits_is_answered_once_and_never_left_waiting() {
        let (ticket, asked) = SavepointTicket::new(request());
        assert_eq!(ticket.poll(), None);
        let reason = ticket.wait(Duration::ZERO).unwrap_err();
        assert!(reason.contains("not finished within 0ns"), "{reason}");
        asked.answer(Err("no store".into()));
        drop(asked);
        assert_eq!(ticket.wait(Duration::MAX), Err("no store".into()));

        let (ticket, asked) = SavepointTicket::new(request());
        let waiting = std::thread::spawn(move || ticket.wait(Duration::from_secs(60)));
        drop(asked);
        assert!(waiting.join().unwrap().unwrap_err().contains("the job ended before"));
    }
}
