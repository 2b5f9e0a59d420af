//! State written anew: full segments from whatever form it has, several key groups at a time.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use statehouse_checkpoint::{Manifest, NewSegment, PackSettings, PackStamp, TaskWriter};

use crate::content::Content;
use crate::error::Error;
use crate::groups::Groups;
use crate::inside::Inside;
use crate::view::OperatorView;

/// How many groups are put together at the same time.
const MERGES_MAX: usize = 4;

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

impl Inside {
    /// A writer of packs for a manifest that is made from this one. Its packs are unlike those that the job writes, and
    /// unlike those of an earlier attempt, which a collection may be about to delete.
    pub(crate) fn writer(&self, settings: PackSettings) -> TaskWriter {
        self.store.task_writer(PackStamp::unique(), settings)
    }

    /// Keeps what a manifest holds itself within its bounds.
    pub(crate) async fn spill(
        &self,
        manifest: &mut Manifest,
        settings: PackSettings,
    ) -> Result<(), Error> {
        let (packs, bytes) =
            self.store.spill_inline_as(PackStamp::unique(), manifest, settings).await?;
        manifest.statistics.packs += packs;
        manifest.statistics.pack_bytes += bytes;
        Ok(())
    }
}
