//! Writing the state of one task: segments and files become packs while more of them come in.
//!
//! Packs are compressed, hashed and written beside the caller, [`PackSettings::uploads_max`] at a time; then the caller
//! waits. So the memory needed is that many packs and one that is being filled, however large the state.
//!
//! A segment goes into one pack as a whole if it fits into any. A larger one is split over as many packs as it takes.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::Path;

use bytes::Bytes;

use super::files::{self, FILE_INLINE_BYTES_MAX, FILE_SHARED_BYTES_MAX, FilePart};
use crate::background::{Background, unblock};
use crate::error::Error;
use crate::manifest::{Location, PackRange, PackRef, SegmentRef};
use crate::pack::{Compression, OpenPack, PACK_HEADER_BYTES, PackSettings, PackStamp, chunk};
use crate::store::CheckpointStore;

/// A segment that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSegment {
    /// The key group.
    pub group: u16,
    /// Whether it is the group's whole state.
    pub full: bool,
    /// How many changes it holds.
    pub entries: u64,
    /// The encoded changes.
    pub bytes: Vec<u8>,
}

/// What [`TaskWriter::finish`] hands out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WrittenTask {
    /// Each segment's key group and place, in the order given.
    pub segments: Vec<(u16, SegmentRef)>,
    /// Where each file's bytes are, in the order given.
    pub files: Vec<SegmentRef>,
    /// Packs written.
    pub packs: u64,
    /// Bytes of these packs.
    pub pack_bytes: u64,
}

/// Writes the state of one task. Made by [`CheckpointStore::task_writer`].
///
/// After an error, and if it is dropped, what is under way ends soon; packs that were written stay and do no harm.
pub struct TaskWriter {
    store: CheckpointStore,
    stamp: PackStamp,
    settings: PackSettings,
    open: Batch,
    /// The number of the next pack after the open one.
    sequence: u32,
    running: VecDeque<Background<Result<(u32, Written), Error>>>,
    written: BTreeMap<u32, Written>,
    segments: Vec<(u16, bool, u64, Place)>,
    files: Vec<Place>,
    /// Bytes of the segments so far, as long as they may stay in the manifest.
    inline: Option<u64>,
}

/// What goes into one pack.
struct Batch {
    /// Its number among the packs of this writer.
    sequence: u32,
    chunks: Vec<Source>,
    /// The bytes of the pack if nothing gets smaller, without its header.
    bytes_max: u64,
}

enum Source {
    Bytes(Bytes),
    File(FilePart),
}

/// Where some bytes are to be.
enum Place {
    Inline(Bytes),
    /// The pack's number among those of this writer, and the chunk's in the pack.
    Chunks(Vec<(u32, usize)>),
}

/// A pack that is in the store, with offset, length and raw length of its chunks.
struct Written {
    pack: PackRef,
    chunks: Vec<(u64, u64, u64)>,
}

impl CheckpointStore {
    /// A writer of the state of one task.
    pub fn task_writer(&self, stamp: PackStamp, settings: PackSettings) -> TaskWriter {
        TaskWriter {
            store: self.clone(),
            stamp,
            settings,
            open: Batch::new(0),
            sequence: 1,
            running: VecDeque::new(),
            written: BTreeMap::new(),
            segments: Vec::new(),
            files: Vec::new(),
            inline: Some(0),
        }
    }
}

impl TaskWriter {
    /// Takes a segment. Waits if too much is under way.
    ///
    /// # Errors
    /// Failures of the store, of packs with earlier segments.
    pub async fn add_segment(&mut self, segment: NewSegment) -> Result<(), Error> {
        let NewSegment { group, full, entries, bytes } = segment;
        let bytes = Bytes::from(bytes);
        let total = self.inline.map(|total| total + bytes.len() as u64);
        self.inline = total.filter(|&total| total <= self.settings.inline_bytes_max);
        let place = if self.inline.is_some() {
            Place::Inline(bytes)
        } else {
            if total.is_some() {
                self.pack_withheld().await?;
            }
            self.add_bytes(bytes).await?
        };
        self.segments.push((group, full, entries, place));
        Ok(())
    }

    /// Takes a file of the local file system. It must not change until the writer has finished. Waits if too much is
    /// under way.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read; failures of the store.
    pub async fn add_file(&mut self, file: &Path) -> Result<(), Error> {
        let length = files::length(file)?;
        let place = if length <= FILE_INLINE_BYTES_MAX {
            Place::Inline(FilePart::whole(file, length).read()?)
        } else if length < FILE_SHARED_BYTES_MAX.min(self.settings.chunk_bytes()) {
            let part = FilePart::whole(file, length);
            let bytes = unblock(move || part.read()).await?;
            self.add_bytes(bytes).await?
        } else {
            let mut chunks = Vec::new();
            for part in FilePart::parts(file, length, self.settings.chunk_bytes()) {
                let mut alone = Batch::new(self.next_sequence());
                chunks.push((alone.sequence, alone.push(part.length, Source::File(part))));
                self.start(alone).await?;
            }
            Place::Chunks(chunks)
        };
        self.files.push(place);
        Ok(())
    }

    /// Waits for everything that is under way. Returns where everything is.
    ///
    /// # Errors
    /// Failures of the store.
    pub async fn finish(mut self) -> Result<WrittenTask, Error> {
        self.flush().await?;
        while !self.running.is_empty() {
            self.finish_oldest().await?;
        }
        let packs = self.written.len() as u64;
        let pack_bytes = self.written.values().map(|written| written.pack.length).sum();
        let (segments, files) =
            (std::mem::take(&mut self.segments), std::mem::take(&mut self.files));
        let segments = segments.into_iter().map(|(group, full, entries, place)| {
            (group, SegmentRef { full, entries, location: self.location(place) })
        });
        let segments = segments.collect();
        let file = |place| SegmentRef { full: true, entries: 0, location: self.location(place) };
        let files = files.into_iter().map(file).collect();
        Ok(WrittenTask { segments, files, packs, pack_bytes })
    }

    /// Too many bytes for the manifest have come in: those that were withheld go into a pack too.
    async fn pack_withheld(&mut self) -> Result<(), Error> {
        for at in 0..self.segments.len() {
            if let Place::Inline(bytes) = &self.segments[at].3 {
                let bytes = bytes.clone();
                self.segments[at].3 = self.add_bytes(bytes).await?;
            }
        }
        Ok(())
    }

    /// Takes bytes that are to be in packs, whatever their number. They are listed among the files.
    pub(super) async fn add_packed(&mut self, bytes: Bytes) -> Result<(), Error> {
        let place = self.add_bytes(bytes).await?;
        self.files.push(place);
        Ok(())
    }

    /// Puts bytes into the open pack, or into several if one is too small.
    async fn add_bytes(&mut self, mut bytes: Bytes) -> Result<Place, Error> {
        if bytes.is_empty() {
            return Ok(Place::Inline(bytes));
        }
        let chunk_bytes = usize::try_from(self.settings.chunk_bytes()).unwrap_or(usize::MAX);
        let mut chunks = Vec::with_capacity(1);
        loop {
            let rest = bytes.split_off(bytes.len().min(chunk_bytes));
            let length = bytes.len() as u64;
            let room = self.settings.pack_bytes() - PACK_HEADER_BYTES - self.open.bytes_max;
            if length + chunk::FRAME_BYTES > room {
                self.flush().await?;
            }
            chunks.push((self.open.sequence, self.open.push(length, Source::Bytes(bytes))));
            if rest.is_empty() {
                return Ok(Place::Chunks(chunks));
            }
            bytes = rest;
        }
    }

    /// Starts to write the open pack.
    async fn flush(&mut self) -> Result<(), Error> {
        if !self.open.chunks.is_empty() {
            let next = Batch::new(self.next_sequence());
            let full = std::mem::replace(&mut self.open, next);
            self.start(full).await?;
        }
        Ok(())
    }

    fn next_sequence(&mut self) -> u32 {
        let next = self.sequence;
        self.sequence += 1;
        next
    }

    /// Starts to write a pack, once not too many others are under way.
    async fn start(&mut self, batch: Batch) -> Result<(), Error> {
        while self.running.len() >= self.settings.uploads_max.max(1) {
            self.finish_oldest().await?;
        }
        let (store, stamp, compression) =
            (self.store.clone(), self.stamp, self.settings.compression);
        self.running.push_back(Background::start(async move {
            let sequence = batch.sequence;
            let (written, pieces) = unblock(move || batch.pack(stamp, compression)).await?;
            store.put_pieces(written.pack, pieces).await?;
            Ok((sequence, written))
        }));
        Ok(())
    }

    async fn finish_oldest(&mut self) -> Result<(), Error> {
        if let Some(oldest) = self.running.pop_front() {
            let (sequence, written) = oldest.finish().await?;
            self.written.insert(sequence, written);
        }
        Ok(())
    }

    /// Where some bytes are. Everything has been written.
    fn location(&self, place: Place) -> Location {
        match place {
            Place::Inline(bytes) => Location::Inline(bytes),
            Place::Chunks(chunks) => {
                Location::Packed(chunks.into_iter().map(|chunk| self.range(chunk)).collect())
            }
        }
    }

    fn range(&self, (sequence, chunk): (u32, usize)) -> PackRange {
        let Written { pack, chunks } = &self.written[&sequence];
        let (offset, length, raw_length) = chunks[chunk];
        PackRange { pack: *pack, offset, length, raw_length }
    }
}

impl Batch {
    fn new(sequence: u32) -> Self {
        Self { sequence, chunks: Vec::new(), bytes_max: 0 }
    }

    /// Adds what is to become a chunk. Returns its number in the pack.
    fn push(&mut self, length: u64, source: Source) -> usize {
        self.bytes_max += length + chunk::FRAME_BYTES;
        self.chunks.push(source);
        self.chunks.len() - 1
    }

    /// Makes the pack. Returns its bytes in pieces too.
    fn pack(
        self,
        stamp: PackStamp,
        compression: Compression,
    ) -> Result<(Written, Vec<Bytes>), Error> {
        let bytes = usize::try_from(self.bytes_max).expect("a pack fits into memory");
        let mut pack = OpenPack::new(stamp, self.sequence, compression, bytes);
        let mut chunks = Vec::with_capacity(self.chunks.len());
        for source in self.chunks {
            let raw = match source {
                Source::Bytes(bytes) => bytes,
                Source::File(part) => part.read()?,
            };
            let raw_length = raw.len() as u64;
            let (offset, length) = pack.append(raw);
            chunks.push((offset, length, raw_length));
        }
        let (pack, pieces) = pack.close();
        Ok((Written { pack, chunks }, pieces))
    }
}

impl fmt::Debug for TaskWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskWriter")
            .field("stamp", &self.stamp)
            .field("segments", &self.segments.len())
            .field("files", &self.files.len())
            .field("running", &self.running.len())
            .finish_non_exhaustive()
    }
}
