//! A checkpoint whose parts are being uploaded.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use statehouse_checkpoint::{Error, Manifest};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::assembly::Place;
use super::upload::{Piece, Target, Uploaded, upload};
use crate::element::{Part, TaskSnapshot};

type Upload = BoxFuture<'static, (Place, Result<Uploaded, Error>)>;

/// A checkpoint from its trigger until all its parts are in the store. Dropping it ends its uploads.
pub(super) struct UnderWay {
    pub(super) epoch: u64,
    pub(super) triggered_ms: i64,
    /// The names of its savepoints. There once all tasks have acknowledged.
    savepoints: Option<Vec<String>>,
    /// Snapshots of tables that wait: what need not be written is known when the checkpoint before has been uploaded.
    held: Vec<(Place, TaskSnapshot)>,
    pieces: BTreeMap<Place, UnboundedSender<Piece>>,
    uploads: FuturesUnordered<Upload>,
    uploaded: BTreeMap<Place, Uploaded>,
    failure: Option<Error>,
}

/// What a checkpoint consists of, when all of it is in the store.
pub(super) struct Parts {
    pub(super) epoch: u64,
    pub(super) triggered_ms: i64,
    pub(super) savepoints: Vec<String>,
    pub(super) uploaded: Result<BTreeMap<Place, Uploaded>, Error>,
}

impl UnderWay {
    pub(super) fn new(epoch: u64, triggered_ms: i64) -> Self {
        Self {
            epoch,
            triggered_ms,
            savepoints: None,
            held: Vec::new(),
            pieces: BTreeMap::new(),
            uploads: FuturesUnordered::new(),
            uploaded: BTreeMap::new(),
            failure: None,
        }
    }

    /// Takes some of a task's part.
    pub(super) fn part(&mut self, target: Target, part: Part) {
        self.feed(target, Piece::Part(part));
    }

    /// Takes what is left of a task's part.
    pub(super) fn acknowledged(&mut self, target: Target, snapshot: TaskSnapshot) {
        let by_tables = snapshot.state.as_ref().is_some_and(|state| state.tables.is_some());
        if by_tables {
            self.held.push((target.place, snapshot));
        } else {
            self.feed(target, Piece::Rest { snapshot: Box::new(snapshot), base: None });
        }
    }

    /// All tasks have acknowledged.
    pub(super) fn complete(&mut self, savepoints: Vec<String>) {
        self.savepoints = Some(savepoints);
    }

    /// Whether all tasks have acknowledged.
    pub(super) fn is_complete(&self) -> bool {
        self.savepoints.is_some()
    }

    /// Begins what waited for the checkpoint before, which is this one.
    pub(super) fn release(
        &mut self,
        base: Option<&Arc<Manifest>>,
        target: impl Fn(Place) -> Target,
    ) {
        for (place, snapshot) in std::mem::take(&mut self.held) {
            let rest = Piece::Rest { snapshot: Box::new(snapshot), base: base.cloned() };
            self.feed(target(place), rest);
        }
    }

    fn feed(&mut self, target: Target, piece: Piece) {
        let place = target.place;
        let uploads = &mut self.uploads;
        let pieces = self.pieces.entry(place).or_insert_with(|| {
            let (pieces, fed) = unbounded_channel();
            uploads.push(upload(target, fed).map(move |result| (place, result)).boxed());
            pieces
        });
        // An upload that has failed does not want any more.
        let _ = pieces.send(piece);
    }

    /// Works on the uploads of all; ready when one of them is through.
    pub(super) fn poll_uploads(all: &mut VecDeque<Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut ready = Poll::Pending;
        for checkpoint in all {
            while let Poll::Ready(Some((place, result))) =
                checkpoint.uploads.poll_next_unpin(context)
            {
                ready = Poll::Ready(());
                match result {
                    Ok(uploaded) => {
                        checkpoint.uploaded.insert(place, uploaded);
                    }
                    Err(error) => {
                        checkpoint.failure.get_or_insert(error);
                    }
                }
            }
        }
        ready
    }

    /// Takes the oldest one out, if all of it is in the store or some of it cannot be.
    pub(super) fn take_ready(all: &mut VecDeque<Self>) -> Option<Parts> {
        let ready = |oldest: &mut Self| {
            let through = oldest.held.is_empty() && oldest.uploads.is_empty();
            oldest.is_complete() && (through || oldest.failure.is_some())
        };
        let Self { epoch, triggered_ms, savepoints, uploaded, failure, .. } =
            all.pop_front_if(ready)?;
        let savepoints = savepoints.unwrap_or_default();
        Some(Parts { epoch, triggered_ms, savepoints, uploaded: failure.map_or(Ok(uploaded), Err) })
    }
}
