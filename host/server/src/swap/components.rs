//! Which component a swap means: one that was handed in, one of the job's store, or the one before.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::executor::block_on;
use statehouse_checkpoint::{CheckpointStore, ComponentVersion, Digest, HistoryEvent};

/// How many components wait for a swap that names them.
const WAITING_MAX: usize = 8;

/// Digits that a component must at least be named by.
const PREFIX_MIN: usize = 4;

/// Components that were handed in and that no swap has put into the store yet. The oldest go first.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting(VecDeque<(Digest, Bytes)>);

impl Waiting {
    pub(super) fn put(&mut self, bytes: Bytes) -> Digest {
        let digest = Digest::of(&bytes);
        self.0.retain(|(other, _)| *other != digest);
        if self.0.len() == WAITING_MAX {
            self.0.pop_front();
        }
        self.0.push_back((digest, bytes));
        digest
    }

    pub(super) fn get(&self, digest: Digest) -> Option<Bytes> {
        self.0.iter().find(|(other, _)| *other == digest).map(|(_, bytes)| bytes.clone())
    }

    fn digests(&self) -> impl Iterator<Item = Digest> {
        self.0.iter().map(|(digest, _)| *digest)
    }
}

/// The component with this digest, or the only one whose digest begins so.
pub(super) fn named(
    text: &str,
    waiting: &Waiting,
    store: &CheckpointStore,
) -> Result<Digest, String> {
    if let Ok(digest) = text.parse() {
        return Ok(digest);
    }
    let is_prefix =
        text.len() >= PREFIX_MIN && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    if !is_prefix {
        return Err(format!(
            "`{text}` names no component: say its digest, or at least {PREFIX_MIN} digits that it begins with; \
             `statehouse history` lists those that ran"
        ));
    }
    let known = block_on(store.own_components()).map_err(|error| error.chain())?;
    let mut known: Vec<Digest> = known.into_iter().chain(waiting.digests()).collect();
    known.sort_unstable();
    known.dedup();
    known.retain(|digest| digest.to_string().starts_with(text));
    match known[..] {
        [only] => Ok(only),
        [] => Err(format!(
            "the job has no component whose digest begins with `{text}`; `statehouse history` lists those that ran"
        )),
        _ => {
            let all: Vec<String> = known.iter().map(Digest::to_string).collect();
            Err(format!(
                "several components begin with `{text}`: {}; say more of it",
                all.join(", ")
            ))
        }
    }
}

/// The bytes of a component.
pub(super) fn bytes(
    digest: Digest,
    waiting: &Waiting,
    store: &CheckpointStore,
) -> Result<Bytes, String> {
    if let Some(bytes) = waiting.get(digest) {
        return Ok(bytes);
    }
    block_on(store.component(digest)).map_err(|error| {
        let error = error.chain();
        format!("component {digest} cannot be had: {error}; hand its file in")
    })
}

/// What an operator had before the component that it has.
pub(super) fn before(
    id: &str,
    now: Digest,
    store: &CheckpointStore,
) -> Result<ComponentVersion, String> {
    let history = block_on(store.read_history()).map_err(|error| error.chain())?;
    let kept = history.iter().rev().filter(|record| record.entry.event == HistoryEvent::Kept);
    let of_operator = |id: &str, now| {
        let id = id.to_owned();
        kept.flat_map(|record| &record.entry.operators)
            .find(move |operator| operator.id == id && operator.to.component == now)
    };
    of_operator(id, now).and_then(|operator| operator.from.clone()).ok_or_else(|| {
        format!(
            "operator `{id}` has the component that it began with, so there is none to go back to; name one by its \
             file, or by `--to-version` with a digest of `statehouse history`"
        )
    })
}
