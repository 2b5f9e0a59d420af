//! Packs: chunks gathered into objects that are large enough to be worth a request.
//!
//! Responsible for the layout: a header that no other owner writes, then chunks ([`chunk`]). Not responsible for what
//! goes into which pack, which `packs/writer.rs` decides, nor for I/O.
//!
//! ```text
//! pack   = header chunk*
//! header = "SHPK" 01 00 00 00  generation u64  epoch u64  writer u32  sequence u32     little endian, 32 bytes
//! ```
//!
//! *Invariant.* The header is different for every pack that anyone ever makes, so its name is too: a deletion that an
//! owner decided on, and that arrives after it was overtaken, cannot hit what its successor made. Only copies and
//! repairs write a name again.

pub(crate) mod chunk;
#[cfg(test)]
mod tests;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;

use crate::digest::Digest;
use crate::manifest::{Epoch, Generation, PackFormat, PackRef};

/// The most bytes that a pack can have, 32 MiB.
pub const PACK_BYTES_MAX: u64 = 32 << 20;

/// The most bytes of a pack if nothing else is set, 16 MiB. The buffers for such packs are small enough that the
/// allocator keeps them; larger ones would be given back and zeroed by the kernel each time.
const PACK_BYTES_DEFAULT: u64 = 16 << 20;

/// The bytes before the first chunk.
pub(crate) const PACK_HEADER_BYTES: u64 = 32;

/// The least bound of a pack: one chunk of one byte.
const PACK_BYTES_MIN: u64 = PACK_HEADER_BYTES + chunk::FRAME_BYTES + 1;

const MAGIC: &[u8; 4] = b"SHPK";
const VERSION: u8 = 1;

/// How chunks are compressed. One that does not get smaller is stored as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4: fast, and about half the size for most state. The default.
    #[default]
    Lz4,
    /// Zstandard at its fastest level: smaller, at some times the work.
    Zstd,
}

/// How the state of a task is laid out and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackSettings {
    /// Segments of one checkpoint of one task that have together at most this many bytes stay in
    /// the manifest: no pack is written for them. Default 20 KiB; 0 packs everything.
    pub inline_bytes_max: u64,
    /// A pack is closed before it could exceed this. Up to [`PACK_BYTES_MAX`]; default 16 MiB.
    pub pack_bytes_max: u64,
    /// Once a manifest holds more inline bytes than this, [`CheckpointStore::spill_inline`] moves
    /// them into packs, so that the inline segments of a long chain are not written again with
    /// every manifest. Default 256 KiB.
    ///
    /// [`CheckpointStore::spill_inline`]: crate::CheckpointStore::spill_inline
    pub manifest_inline_bytes_max: u64,
    /// How chunks are compressed.
    pub compression: Compression,
    /// How many packs of one task are made and written at the same time; with the size of a pack the memory that this
    /// takes. At least 1; default 4.
    pub uploads_max: usize,
}

impl Default for PackSettings {
    fn default() -> Self {
        Self {
            inline_bytes_max: 20 << 10,
            pack_bytes_max: PACK_BYTES_DEFAULT,
            manifest_inline_bytes_max: 256 << 10,
            compression: Compression::default(),
            uploads_max: 4,
        }
    }
}

impl PackSettings {
    /// The bound of a pack, as it can be kept.
    pub(crate) fn pack_bytes(&self) -> u64 {
        self.pack_bytes_max.clamp(PACK_BYTES_MIN, PACK_BYTES_MAX)
    }

    /// How many bytes of a segment or file go into one chunk at most.
    pub(crate) fn chunk_bytes(&self) -> u64 {
        self.pack_bytes() - PACK_HEADER_BYTES - chunk::FRAME_BYTES
    }
}

/// What makes the packs of one writer unlike those of any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackStamp {
    /// The generation of the owner; 0, which no owner has, for a writer that is none.
    pub generation: Generation,
    /// The epoch of the checkpoint that the packs are for; a random number for a writer that is no owner.
    pub epoch: Epoch,
    /// Which of those that write packs for this checkpoint; no two have the same number. The highest is reserved.
    pub writer: u32,
}

impl PackStamp {
    /// The stamp of a writer that is no owner of a job and makes packs for no checkpoint of one, as for an edited
    /// savepoint. Every call returns another one.
    pub fn unique() -> Self {
        // Tells attempts apart and nothing else, so it need not be reproducible.
        let random = RandomState::new().build_hasher().finish();
        Self { generation: Generation(0), epoch: Epoch(random), writer: 0 }
    }

    /// What the first bytes of an object say, if they are the header of a pack.
    pub(crate) fn read(header: &[u8]) -> Option<Self> {
        let (magic, rest) = header.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (writer, _) = rest.split_first_chunk()?;
        (magic == MAGIC && *version == [VERSION, 0, 0, 0]).then_some(Self {
            generation: Generation(u64::from_le_bytes(*generation)),
            epoch: Epoch(u64::from_le_bytes(*epoch)),
            writer: u32::from_le_bytes(*writer),
        })
    }
}

/// The number of the writer that moves inline segments into packs.
pub(crate) const SPILL_WRITER: u32 = u32::MAX;

/// Stored chunks from this length on are written from where they are, without a copy.
const PIECE_BYTES_MIN: usize = 64 << 10;

/// A pack as it is being filled. Not yet named.
#[derive(Debug)]
pub(crate) struct OpenPack {
    /// Its bytes up to those in `tail`.
    pieces: Vec<Bytes>,
    /// Bytes of `pieces`.
    length: u64,
    tail: Vec<u8>,
    compression: Compression,
}

impl OpenPack {
    /// A pack without chunks. `sequence` counts the packs of one writer; `bytes` is how many it is to take.
    pub(crate) fn new(
        stamp: PackStamp,
        sequence: u32,
        compression: Compression,
        bytes: usize,
    ) -> Self {
        let room = match compression {
            Compression::None => 0,
            // Both libraries want a tenth more than there is to compress, at most.
            Compression::Lz4 | Compression::Zstd => bytes + bytes / 8,
        };
        let mut tail = Vec::with_capacity(room + PACK_HEADER_BYTES as usize);
        tail.extend_from_slice(MAGIC);
        tail.extend_from_slice(&[VERSION, 0, 0, 0]);
        tail.extend_from_slice(&stamp.generation.0.to_le_bytes());
        tail.extend_from_slice(&stamp.epoch.0.to_le_bytes());
        tail.extend_from_slice(&stamp.writer.to_le_bytes());
        tail.extend_from_slice(&sequence.to_le_bytes());
        Self { pieces: Vec::new(), length: 0, tail, compression }
    }

    /// Adds a chunk. Returns where it begins and how long it is.
    pub(crate) fn append(&mut self, raw: Bytes) -> (u64, u64) {
        let offset = self.length();
        if !chunk::append_compressed(&mut self.tail, &raw, self.compression) {
            let frame = chunk::Frame::stored(&raw);
            self.tail.extend_from_slice(&frame.head);
            if raw.len() < PIECE_BYTES_MIN {
                self.tail.extend_from_slice(&raw);
            } else {
                self.cut();
                self.push(raw);
            }
            self.tail.extend_from_slice(&frame.check);
        }
        (offset, self.length() - offset)
    }

    /// The pack's name, and its bytes in pieces.
    pub(crate) fn close(mut self) -> (PackRef, Vec<Bytes>) {
        self.cut();
        let mut hasher = blake3::Hasher::new();
        for piece in &self.pieces {
            hasher.update(piece);
        }
        let digest = Digest::from_bytes(*hasher.finalize().as_bytes());
        (PackRef { digest, length: self.length, format: PackFormat::Framed }, self.pieces)
    }

    fn length(&self) -> u64 {
        self.length + self.tail.len() as u64
    }

    /// Makes the tail a piece.
    fn cut(&mut self) {
        if self.tail.len() >= PIECE_BYTES_MIN {
            let tail = std::mem::take(&mut self.tail);
            self.push(tail.into());
        } else if !self.tail.is_empty() {
            // Most of the buffer is still free for what is to be compressed.
            let tail = Bytes::copy_from_slice(&self.tail);
            self.tail.clear();
            self.push(tail);
        }
    }

    fn push(&mut self, piece: Bytes) {
        self.length += piece.len() as u64;
        self.pieces.push(piece);
    }
}
