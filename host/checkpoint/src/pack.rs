//! Packs: segments gathered into objects that are large enough to be worth a request.
//!
//! Responsible for the layout: which bytes go into which pack, which stay in the manifest, and
//! where each segment is afterwards. Not responsible for I/O.
//!
//! *Layout.* A pack is the bytes of its segments, one after the other, with nothing in between;
//! where each one lies is in the manifest. Its name is the BLAKE3 hash of its bytes.
//! A segment goes into one pack as a whole if it fits into any. A larger one is split over as
//! many packs as it takes, so that no object is ever larger than [`PACK_BYTES_MAX`] and reading,
//! verifying and copying need a bounded amount of memory.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::digest::Digest;
use crate::manifest::{Location, Manifest, OperatorState, PackRange, PackRef};

/// The most bytes of a pack, 32 MiB.
pub const PACK_BYTES_MAX: u64 = 32 << 20;

/// How segments are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackSettings {
    /// Segments of one checkpoint of one task that have together at most this many bytes stay in
    /// the manifest: no pack is written for them. Default 20 KiB; 0 packs everything.
    pub inline_bytes_max: u64,
    /// A pack is closed before it would exceed this. From 1 to [`PACK_BYTES_MAX`], the default.
    pub pack_bytes_max: u64,
    /// Once a manifest holds more inline bytes than this, [`Manifest::spill_inline`] moves them
    /// into packs, so that the inline segments of a long chain are not written again with every
    /// manifest. Default 256 KiB.
    pub manifest_inline_bytes_max: u64,
}

impl Default for PackSettings {
    fn default() -> Self {
        Self {
            inline_bytes_max: 20 << 10,
            pack_bytes_max: PACK_BYTES_MAX,
            manifest_inline_bytes_max: 256 << 10,
        }
    }
}

/// A pack with its bytes, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    reference: PackRef,
    bytes: Bytes,
}

impl Pack {
    /// A pack of these bytes, which are hashed.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let reference = PackRef { digest: Digest::of(&bytes), length: bytes.len() as u64 };
        Self { reference, bytes }
    }

    /// Its name and length.
    pub fn reference(&self) -> PackRef {
        self.reference
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Lays the segments of one task out: some packs, and the place of each segment.
///
/// Packs can be written as soon as [`PackWriter::append`] hands them out, so that a task with
/// much state never holds all of it twice.
#[derive(Debug)]
pub struct PackWriter {
    settings: PackSettings,
    /// The bytes of the pack that is being filled.
    open: Vec<u8>,
    closed: Vec<PackRef>,
    segments: Vec<Vec<OpenRange>>,
    total_bytes: u64,
}

/// A range of a pack that may not have a name yet.
#[derive(Debug, Clone, Copy)]
struct OpenRange {
    /// The place of the pack among those of this writer.
    pack: usize,
    offset: u64,
    length: u64,
}

/// What [`PackWriter::finish`] hands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The last pack, still to be written; `None` if everything is inline or written.
    pub pack: Option<Pack>,
    /// Where each segment is, in the order in which they were appended.
    pub locations: Vec<Location>,
}

impl PackWriter {
    /// A writer without segments.
    pub fn new(settings: PackSettings) -> Self {
        let pack_bytes_max = settings.pack_bytes_max.clamp(1, PACK_BYTES_MAX);
        Self {
            settings: PackSettings { pack_bytes_max, ..settings },
            open: Vec::new(),
            closed: Vec::new(),
            segments: Vec::new(),
            total_bytes: 0,
        }
    }

    /// Adds a segment. Returns the packs that are complete now; the caller writes them.
    pub fn append(&mut self, segment: &[u8]) -> Vec<Pack> {
        let mut complete = Vec::new();
        let mut ranges = Vec::with_capacity(1);
        let bound = self.settings.pack_bytes_max;
        self.total_bytes += segment.len() as u64;
        if self.open.len() as u64 + segment.len() as u64 > bound {
            complete.extend(self.close());
        }
        for part in segment.chunks(usize::try_from(bound).unwrap_or(usize::MAX)) {
            if self.open.len() as u64 + part.len() as u64 > bound {
                complete.extend(self.close());
            }
            let offset = self.open.len() as u64;
            ranges.push(OpenRange { pack: self.closed.len(), offset, length: part.len() as u64 });
            self.open.extend_from_slice(part);
        }
        self.segments.push(ranges);
        complete
    }

    /// The last pack, and where every segment is.
    pub fn finish(mut self) -> Packed {
        // The threshold can exceed a pack: what has been handed out stays in packs.
        if self.total_bytes <= self.settings.inline_bytes_max && self.closed.is_empty() {
            let bytes = Bytes::from(self.open);
            let inline = |range: &OpenRange| {
                let start = range.offset as usize;
                bytes.slice(start..start + range.length as usize)
            };
            let segments = self.segments.iter();
            let locations = segments
                .map(|ranges| Location::Inline(ranges.first().map_or_else(Bytes::new, inline)))
                .collect();
            return Packed { pack: None, locations };
        }
        let pack = self.close();
        let closed = &self.closed;
        let named = |range: &OpenRange| PackRange {
            pack: closed[range.pack],
            offset: range.offset,
            length: range.length,
        };
        let location = |ranges: &Vec<OpenRange>| match ranges.as_slice() {
            [] => Location::Inline(Bytes::new()),
            ranges => Location::Packed(ranges.iter().map(named).collect()),
        };
        Packed { pack, locations: self.segments.iter().map(location).collect() }
    }

    fn close(&mut self) -> Option<Pack> {
        if self.open.is_empty() {
            return None;
        }
        let pack = Pack::new(std::mem::take(&mut self.open));
        self.closed.push(pack.reference());
        Some(pack)
    }
}

impl Manifest {
    /// Moves all inline segments into packs if they have become too many for the manifest, by
    /// [`PackSettings::manifest_inline_bytes_max`]. The caller writes the packs, then publishes.
    pub fn spill_inline(&mut self, settings: PackSettings) -> Vec<Pack> {
        if self.inline_bytes() <= settings.manifest_inline_bytes_max {
            return Vec::new();
        }
        let mut writer = PackWriter::new(PackSettings { inline_bytes_max: 0, ..settings });
        let mut packs = Vec::new();
        let segments = self.operators.iter_mut().flat_map(OperatorState::segments_mut);
        let mut inline = Vec::new();
        for segment in segments {
            if let Location::Inline(bytes) = &segment.location {
                packs.extend(writer.append(bytes));
                inline.push(&mut segment.location);
            }
        }
        let packed = writer.finish();
        packs.extend(packed.pack);
        for (place, location) in inline.into_iter().zip(packed.locations) {
            *place = location;
        }
        packs
    }
}
