//! Restoring: the segments of a checkpoint, with every pack read once.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Location, PackRange, SegmentRef};
use crate::packs::READS_CONCURRENT_MAX;
use crate::store::CheckpointStore;

impl CheckpointStore {
    /// Reads these segments, one after the other in the order given, each pack once.
    ///
    /// A group's chain must be applied in its order, so give the segments group by group.
    /// A pack is held in memory from its first to its last use, and some are read ahead.
    pub fn read_segments<'a>(
        &self,
        segments: impl IntoIterator<Item = &'a SegmentRef>,
    ) -> SegmentReader {
        let locations: Vec<Location> =
            segments.into_iter().map(|segment| segment.location.clone()).collect();
        let mut packs = Vec::new();
        let mut uses = HashMap::new();
        for range in locations.iter().flat_map(ranges) {
            let uses = uses.entry(range.pack.digest).or_insert(0);
            if *uses == 0 {
                packs.push(range.pack);
            }
            *uses += 1;
        }
        let store = self.clone();
        let packs = stream::iter(packs)
            .map(move |pack| {
                let store = store.clone();
                async move { Ok((pack.digest, store.read_pack(pack).await?)) }
            })
            .buffered(READS_CONCURRENT_MAX)
            .boxed();
        SegmentReader { locations: locations.into_iter(), packs, uses, held: HashMap::new() }
    }
}

fn ranges(location: &Location) -> &[PackRange] {
    match location {
        Location::Inline(_) => &[],
        Location::Packed(ranges) => ranges,
    }
}

/// Segments being read. See [`CheckpointStore::read_segments`].
pub struct SegmentReader {
    locations: std::vec::IntoIter<Location>,
    /// The packs in the order of their first use.
    packs: BoxStream<'static, Result<(Digest, Bytes), Error>>,
    /// How many more ranges of each pack are wanted.
    uses: HashMap<Digest, u64>,
    held: HashMap<Digest, Bytes>,
}

impl fmt::Debug for SegmentReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.locations.len();
        f.debug_struct("SegmentReader").field("left", &left).finish_non_exhaustive()
    }
}

impl SegmentReader {
    /// The next segment's bytes; `None` after the last. They share the memory of their pack:
    /// let go of them soon.
    ///
    /// # Errors
    /// As [`CheckpointStore::read_pack`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(location) = self.locations.next() else {
            return Ok(None);
        };
        match location {
            Location::Inline(bytes) => Ok(Some(bytes)),
            Location::Packed(ranges) => {
                if let [range] = ranges.as_slice() {
                    return self.range(range).await.map(Some);
                }
                let mut segment = BytesMut::new();
                for range in &ranges {
                    segment.extend_from_slice(&self.range(range).await?);
                }
                Ok(Some(segment.freeze()))
            }
        }
    }

    async fn range(&mut self, range: &PackRange) -> Result<Bytes, Error> {
        let digest = range.pack.digest;
        while !self.held.contains_key(&digest) {
            let (digest, bytes) = self
                .packs
                .try_next()
                .await?
                .expect("packs come in the order of their first use, and this one is wanted");
            self.held.insert(digest, bytes);
        }
        let bytes = &self.held[&digest];
        // The manifest's rules hold the range within the pack, and the pack has this length.
        let start = usize::try_from(range.offset).expect("a pack fits into memory");
        let length = usize::try_from(range.length).expect("a pack fits into memory");
        let part = bytes.slice(start..start + length);
        let left = self.uses.get_mut(&digest).expect("every range was counted");
        *left -= 1;
        if *left == 0 {
            self.held.remove(&digest);
        }
        Ok(part)
    }
}
