//! Reading segments: in the order asked for, some ahead of the reader, with as few requests and as little memory as
//! that allows.
//!
//! The segments are cut into windows ([`plan`]). Each window is read, checked and decompressed as one piece of work
//! beside the caller, [`WINDOWS_AHEAD`] at a time.

mod plan;

use std::collections::{HashMap, VecDeque};
use std::fmt;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::{READS_CONCURRENT_MAX, open_chunks};
use crate::background::Background;
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Location, PackFormat, PackRange, SegmentRef};
use crate::pack::chunk::Checked;
use crate::store::CheckpointStore;
use plan::{PackRead, Way, Window};

/// How many windows are read ahead.
const WINDOWS_AHEAD: usize = 4;

/// Segments being read. See [`CheckpointStore::read_segments`].
pub struct SegmentReader {
    store: CheckpointStore,
    /// Windows that have not been started.
    planned: VecDeque<Window>,
    running: VecDeque<Background<Result<Vec<Bytes>, Error>>>,
    /// Segments of the window that is being handed out.
    ready: std::vec::IntoIter<Bytes>,
}

impl CheckpointStore {
    /// Reads these segments, one after the other in the order given. A group's chain must be applied in its order, so
    /// give the segments group by group.
    ///
    /// Packs of which much is wanted are read as a whole and once, of others only what is wanted. Some segments are
    /// read ahead, at most some 100 MiB.
    pub fn read_segments<'a>(
        &self,
        segments: impl IntoIterator<Item = &'a SegmentRef>,
    ) -> SegmentReader {
        let locations = segments.into_iter().map(|segment| segment.location.clone());
        let planned = plan::plan(locations).into();
        let ready = Vec::new().into_iter();
        SegmentReader { store: self.clone(), planned, running: VecDeque::new(), ready }
    }
}

impl SegmentReader {
    /// The next segment's bytes; `None` after the last. They may share the memory of their pack:
    /// let go of them soon.
    ///
    /// # Errors
    /// As [`CheckpointStore::read_pack`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(segment) = self.ready.next() {
                return Ok(Some(segment));
            }
            while self.running.len() < WINDOWS_AHEAD
                && let Some(window) = self.planned.pop_front()
            {
                let store = self.store.clone();
                self.running.push_back(Background::start(window.read(store)));
            }
            match self.running.pop_front() {
                Some(window) => self.ready = window.finish().await?.into_iter(),
                None => return Ok(None),
            }
        }
    }
}

impl Window {
    /// The bytes of its segments.
    async fn read(self, store: CheckpointStore) -> Result<Vec<Bytes>, Error> {
        let mut chunks: HashMap<(Digest, u64, u64), Bytes> = HashMap::new();
        let key = |range: &PackRange| (range.pack.digest, range.offset, range.length);
        let mut reads = stream::iter(self.packs)
            .map(|read| read.run(store.clone()))
            .buffer_unordered(READS_CONCURRENT_MAX);
        while let Some((PackRead { ranges, .. }, bytes)) = reads.try_next().await? {
            chunks.extend(ranges.iter().map(key).zip(bytes));
        }
        let segment = |location| match location {
            Location::Inline(bytes) => bytes,
            Location::Packed(ranges) => match ranges.as_slice() {
                [range] => chunks[&key(range)].clone(),
                ranges => {
                    let parts = ranges.iter().map(|range| &chunks[&key(range)]);
                    let mut segment = BytesMut::with_capacity(parts.clone().map(Bytes::len).sum());
                    parts.for_each(|part| segment.extend_from_slice(part));
                    segment.freeze()
                }
            },
        };
        Ok(self.segments.into_iter().map(segment).collect())
    }
}

impl PackRead {
    /// The bytes of its ranges, decompressed.
    async fn run(self, store: CheckpointStore) -> Result<(Self, Vec<Bytes>), Error> {
        let bytes = match &self.way {
            Way::Parts => store.read_chunks(self.pack, &self.ranges).await?,
            Way::Whole(held) => {
                let pack = held.get_or_try_init(|| store.read_pack(self.pack)).await?;
                // The manifest's rules hold the ranges within the pack, and the pack has this length.
                let at = |offset| usize::try_from(offset).expect("a pack fits into memory");
                let part = |range: &PackRange| {
                    pack.slice(at(range.offset)..at(range.offset + range.length))
                };
                let parts = self.ranges.iter().map(part).collect();
                match self.pack.format {
                    PackFormat::Raw => parts,
                    PackFormat::Framed => {
                        open_chunks(self.pack, parts, self.ranges.clone(), Checked::ByPack).await?
                    }
                }
            }
        };
        Ok((self, bytes))
    }
}

impl fmt::Debug for SegmentReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentReader")
            .field("ready", &self.ready.len())
            .field("windows", &(self.planned.len() + self.running.len()))
            .finish_non_exhaustive()
    }
}
