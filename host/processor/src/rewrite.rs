//! State written anew: full segments from whatever form it has, several key groups at a time.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use statehouse_checkpoint::{CheckpointStore, NewSegment, PackSettings, SegmentRef};

use crate::content::Content;
use crate::error::Error;
use crate::groups::Groups;
use crate::view::OperatorView;

/// How many groups are put together at the same time.
const MERGES_MAX: usize = 4;

/// So many bytes of segments are gathered before they are written.
const BATCH_BYTES: usize = 64 << 20;

/// The groups of an operator merged to one full segment each, several at a time.
pub(crate) async fn merge_all<E: From<Error>>(
    view: &Arc<OperatorView>,
    mut groups: Groups,
    mut each: impl AsyncFnMut(NewSegment) -> Result<(), E>,
) -> Result<(), E> {
    let mut merging = FuturesOrdered::new();
    loop {
        if merging.len() < MERGES_MAX
            && let Some(content) = groups.next().await?
        {
            if content.segments.is_empty() {
                continue;
            }
            merging.push_back(merge(Arc::clone(view), content));
            continue;
        }
        match merging.next().await {
            Some(merged) => each(merged?).await?,
            None => return Ok(()),
        }
    }
}

/// Puts a group together, on a thread of its own if there is anything to do.
fn merge(
    view: Arc<OperatorView>,
    content: Content,
) -> impl Future<Output = Result<NewSegment, Error>> {
    let (to, from) = futures::channel::oneshot::channel();
    let is_merged = matches!(content.segments.as_slice(), [segment] if segment.full);
    let mut at_once = None;
    if is_merged {
        at_once = Some(content.merged(&view));
    } else {
        std::thread::spawn(move || {
            // Nobody waits any more if something else has failed.
            let _ = to.send(content.merged(&view));
        });
    }
    async move {
        match at_once {
            Some(merged) => merged,
            None => from.await.unwrap_or_else(|_| {
                let reason = "a thread that put state together has ended".to_owned();
                Err(Error::Refused { reason })
            }),
        }
    }
}

/// Writes segments to packs, some at a time.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    store: CheckpointStore,
    settings: PackSettings,
    waiting: Vec<NewSegment>,
    waiting_bytes: usize,
    written: Written,
}

/// What a writer has written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Each segment's group and place, in the order in which they were added.
    pub(crate) segments: Vec<(u16, SegmentRef)>,
    pub(crate) packs: u64,
    pub(crate) pack_bytes: u64,
}

impl SegmentWriter {
    /// A writer that has written nothing.
    pub(crate) fn new(store: &CheckpointStore, settings: PackSettings) -> Self {
        let (waiting, waiting_bytes) = (Vec::new(), 0);
        let written = Written::default();
        Self { store: store.clone(), settings, waiting, waiting_bytes, written }
    }

    /// Adds a segment.
    pub(crate) async fn add(&mut self, segment: NewSegment) -> Result<(), Error> {
        self.waiting_bytes += segment.bytes.len();
        self.waiting.push(segment);
        if self.waiting_bytes >= BATCH_BYTES { self.write().await } else { Ok(()) }
    }

    /// Everything is written.
    pub(crate) async fn finish(mut self) -> Result<Written, Error> {
        self.write().await?;
        Ok(self.written)
    }

    async fn write(&mut self) -> Result<(), Error> {
        self.waiting_bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        let done = self.store.write_segments(waiting, self.settings).await?;
        self.written.segments.extend(done.segments);
        self.written.packs += done.packs;
        self.written.pack_bytes += done.pack_bytes;
        Ok(())
    }
}
