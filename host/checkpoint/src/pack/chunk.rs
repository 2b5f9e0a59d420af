//! Chunks: the parts of a pack that can be read, checked and decompressed by themselves.
//!
//! ```text
//! chunk = codec u8  raw length u64  payload  check
//! codec = 0 as it is, 1 LZ4 block, 2 Zstandard frame
//! check = the first 8 bytes of the BLAKE3 hash of codec, raw length and payload
//! ```
//!
//! Numbers are little endian. How long the payload is, is known from the length of the chunk.

use bytes::Bytes;

use super::Compression;

/// Codec and raw length.
const HEADER_BYTES: usize = 9;
const CHECK_BYTES: usize = 8;

/// What a chunk has beside its payload.
pub(crate) const FRAME_BYTES: u64 = (HEADER_BYTES + CHECK_BYTES) as u64;

const STORED: u8 = 0;
const LZ4: u8 = 1;
const ZSTD: u8 = 2;

/// The fastest of the levels that compress well.
const ZSTD_LEVEL: i32 = 1;

/// Whether the bytes of a chunk are known to be those that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// They were compared with the name of the whole pack.
    ByPack,
    /// They are to be compared with the chunk's own check.
    NotYet,
}

/// What stands before and after the payload.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) head: [u8; HEADER_BYTES],
    pub(super) check: [u8; CHECK_BYTES],
}

impl Frame {
    /// The frame of bytes that are stored as they are.
    pub(super) fn stored(raw: &[u8]) -> Self {
        let head = head(STORED, raw);
        Self { head, check: check(&[&head, raw]) }
    }
}

/// Appends a chunk with the compressed bytes if they are fewer. Otherwise leaves the pack as it was and returns false.
pub(super) fn append_compressed(pack: &mut Vec<u8>, raw: &[u8], compression: Compression) -> bool {
    let (codec, bound) = match compression {
        Compression::None => return false,
        Compression::Lz4 => (LZ4, lz4_flex::block::get_maximum_output_size(raw.len())),
        Compression::Zstd => (ZSTD, zstd::zstd_safe::compress_bound(raw.len())),
    };
    let start = pack.len();
    pack.reserve(HEADER_BYTES + bound + CHECK_BYTES);
    pack.extend_from_slice(&head(codec, raw));
    let payload = pack.len();
    pack.resize(payload + bound, 0);
    let target = &mut pack[payload..];
    // What cannot be compressed is stored: neither library can fail for another reason.
    let length = match compression {
        Compression::Zstd => zstd::bulk::compress_to_buffer(raw, target, ZSTD_LEVEL).ok(),
        _ => lz4_flex::block::compress_into(raw, target).ok(),
    };
    let Some(length) = length.filter(|&length| length < raw.len()) else {
        pack.truncate(start);
        return false;
    };
    pack.truncate(payload + length);
    let check = check(&[&pack[start..]]);
    pack.extend_from_slice(&check);
    true
}

fn head(codec: u8, raw: &[u8]) -> [u8; HEADER_BYTES] {
    let mut head = [codec; HEADER_BYTES];
    head[1..].copy_from_slice(&(raw.len() as u64).to_le_bytes());
    head
}

fn check(parts: &[&[u8]]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let hash = hasher.finalize();
    let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash is longer than a check");
    *first
}

/// Compares a chunk with its check.
///
/// # Errors
/// What does not fit.
pub(crate) fn verify(chunk: &[u8]) -> Result<(), String> {
    let (body, stored) = chunk
        .split_last_chunk()
        .filter(|(body, _)| body.len() >= HEADER_BYTES)
        .ok_or_else(|| format!("a chunk of {} bytes is too short", chunk.len()))?;
    if check(&[body]) == *stored {
        Ok(())
    } else {
        Err("a chunk does not fit its check".to_owned())
    }
}

/// The bytes that were put into a chunk. `raw_length` is how many there must be.
///
/// # Errors
/// What does not fit. Any bytes are survived, with no more memory than `raw_length`.
pub(crate) fn open(chunk: &Bytes, raw_length: u64, checked: Checked) -> Result<Bytes, String> {
    if checked == Checked::NotYet {
        verify(chunk)?;
    }
    let too_short = || format!("a chunk of {} bytes is too short", chunk.len());
    let (&codec, rest) = chunk.split_first().ok_or_else(too_short)?;
    let (length, rest) = rest.split_first_chunk().ok_or_else(too_short)?;
    let payload_bytes = rest.len().checked_sub(CHECK_BYTES).ok_or_else(too_short)?;
    let found = u64::from_le_bytes(*length);
    if found != raw_length {
        return Err(format!("a chunk holds {found} bytes, the manifest says {raw_length}"));
    }
    let payload = &rest[..payload_bytes];
    let raw_bytes = usize::try_from(raw_length)
        .map_err(|_| format!("a chunk cannot hold {raw_length} bytes"))?;
    let mut raw;
    let written = match codec {
        STORED if payload_bytes == raw_bytes => {
            return Ok(chunk.slice(HEADER_BYTES..HEADER_BYTES + payload_bytes));
        }
        STORED => return Err(format!("a chunk has {payload_bytes} bytes, not {raw_bytes}")),
        LZ4 => {
            raw = vec![0; raw_bytes];
            lz4_flex::block::decompress_into(payload, &mut raw).map_err(|error| error.to_string())
        }
        ZSTD => {
            raw = Vec::with_capacity(raw_bytes);
            let mut decompressor =
                zstd::bulk::Decompressor::new().map_err(|error| error.to_string())?;
            // Into the capacity of the vector, which needs no zeros first.
            let written = decompressor.decompress_to_buffer(payload, &mut raw);
            written.map_err(|error| error.to_string())
        }
        _ => return Err(format!("a chunk has the unknown codec {codec}")),
    };
    match written {
        Ok(written) if written == raw_bytes => Ok(raw.into()),
        Ok(written) => Err(format!("a chunk has {written} bytes, not {raw_bytes}")),
        Err(error) => Err(format!("a chunk cannot be decompressed: {error}")),
    }
}
