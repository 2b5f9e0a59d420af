//! Savepoints that were asked for through the endpoint: names that are taken are refused before the job does anything,
//! and what came of the requests is remembered for the job's end.

use std::sync::{Arc, Mutex, PoisonError};

use statehouse_checkpoint::CheckpointStore;
use statehouse_engine::{JobHandle, SavepointRequest, SavepointTicket, Stop};

/// What was asked for. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct SavepointRequests {
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Whoever looks whether a name is free holds this until the name is asked for.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Asked {
    name: String,
    then: Option<Stop>,
    ticket: SavepointTicket,
}

/// Why a savepoint was not asked for.
#[derive(Debug)]
pub(super) enum NotAsked {
    /// The name stands for another one.
    Taken(String),
    /// The store did not say whether it does.
    Unknown(String),
}

impl SavepointRequests {
    /// Asks for a savepoint if its name is free. One with `then` ends the job whatever comes of it, so this is the last
    /// moment at which a refusal costs nothing.
    pub(super) async fn ask(
        &self,
        job: &JobHandle,
        store: &CheckpointStore,
        name: &str,
        then: Option<Stop>,
    ) -> Result<SavepointTicket, NotAsked> {
        let _turn = self.turn.lock().await;
        // In this order: one that has been made since is in the store.
        if self.is_under_way(name) {
            let reason = format!("savepoint `{name}` is being made: choose another name");
            return Err(NotAsked::Taken(reason));
        }
        let savepoints = store.savepoints().await.map_err(|error| {
            let reason = error.chain();
            NotAsked::Unknown(format!("whether `{name}` is taken cannot be seen: {reason}"))
        })?;
        if savepoints.iter().any(|savepoint| savepoint.name == name) {
            let reason = format!("there is a savepoint `{name}` already: choose another name");
            return Err(NotAsked::Taken(reason));
        }
        let ticket = job.savepoint(SavepointRequest { name: Some(name.to_owned()), then });
        let asked = Asked { name: name.to_owned(), then, ticket: ticket.clone() };
        let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|asked| asked.then.is_some() || asked.ticket.poll().is_none());
        all.push(asked);
        Ok(ticket)
    }

    fn is_under_way(&self, name: &str) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().any(|asked| asked.name == name && asked.ticket.poll().is_none())
    }

    /// Once the job has ended: the savepoint that somebody wanted to have of its end, and does not have. It is one that
    /// was asked for with the end, or the one that was asked for last.
    pub fn missed(&self) -> Option<String> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_missed = |asked: &&Asked| !matches!(asked.ticket.poll(), Some(Ok(_)));
        asked.iter().find(is_missed).map(|asked| asked.name.clone())
    }
}
