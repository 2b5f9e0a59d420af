//! Tests of the layout of packs and of chunks.

use proptest::prelude::*;

use super::chunk::{Checked, open, verify};
use super::*;

const ALL: [Compression; 3] = [Compression::None, Compression::Lz4, Compression::Zstd];

const STAMP: PackStamp = PackStamp { generation: Generation(0x0102), epoch: Epoch(3), writer: 4 };

/// The bytes of a pack, and of its chunks.
fn pack_of(raws: &[&[u8]], compression: Compression) -> (PackRef, Bytes, Vec<Bytes>) {
    let mut pack = OpenPack::new(STAMP, 5, compression, 100);
    let raws = raws.iter().map(|raw| Bytes::copy_from_slice(raw));
    let chunks: Vec<_> = raws.map(|raw| pack.append(raw)).collect();
    let (reference, pieces) = pack.close();
    let bytes = Bytes::from(pieces.concat());
    let chunk = |(offset, length)| bytes.slice(offset as usize..(offset + length) as usize);
    (reference, bytes.clone(), chunks.into_iter().map(chunk).collect())
}

fn chunk_of(raw: &[u8], compression: Compression) -> Bytes {
    pack_of(&[raw], compression).2.remove(0)
}

#[test]
fn header_is_this() {
    let (pack, bytes, _) = pack_of(&[], Compression::None);
    let expected = [
        &b"SHPK\x01\0\0\0"[..],
        &[2, 1, 0, 0, 0, 0, 0, 0],
        &[3, 0, 0, 0, 0, 0, 0, 0],
        &[4, 0, 0, 0, 5, 0, 0, 0],
    ]
    .concat();
    assert_eq!(bytes, expected);
    assert_eq!(bytes.len() as u64, PACK_HEADER_BYTES);
    let digest = Digest::of(&expected);
    assert_eq!(pack, PackRef { digest, length: 32, format: PackFormat::Framed });
}

#[test]
fn large_and_small_chunks_follow_one_another() {
    let large: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
    let raws = [&large[..10], &large, &large[5..], &large[..1], &large[..70_000]];
    for compression in ALL {
        let (pack, bytes, chunks) = pack_of(&raws, compression);
        assert_eq!((pack.digest, pack.length), (Digest::of(&bytes), bytes.len() as u64));
        let chunk_bytes: usize = chunks.iter().map(Bytes::len).sum();
        assert_eq!(bytes.len() - chunk_bytes, 32);
        for (raw, chunk) in raws.iter().zip(chunks) {
            assert_eq!(open(&chunk, raw.len() as u64, Checked::NotYet).unwrap(), *raw);
        }
    }
}

#[test]
fn chunk_is_this() {
    let chunk = chunk_of(b"some bytes", Compression::None);
    let body = [&[0, 10, 0, 0, 0, 0, 0, 0, 0][..], b"some bytes"].concat();
    let digest = Digest::of(&body);
    assert_eq!(chunk, [&body, &digest.as_bytes()[..8]].concat());
    assert_eq!(chunk.len() as u64, chunk::FRAME_BYTES + 10);
    let lz4 = chunk_of(&[7; 100], Compression::Lz4);
    assert_eq!(lz4[..9], [1, 100, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(lz4_flex::block::decompress(&lz4[9..lz4.len() - 8], 100).unwrap(), [7; 100]);
    let zstd = chunk_of(&[7; 100], Compression::Zstd);
    assert_eq!(zstd[..9], [2, 100, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(zstd::bulk::decompress(&zstd[9..zstd.len() - 8], 100).unwrap(), [7; 100]);
}

#[test]
fn chunk_that_does_not_get_smaller_is_stored_as_it_is() {
    for compression in ALL {
        assert_eq!(chunk_of(b"abc", compression), chunk_of(b"abc", Compression::None));
    }
}

#[test]
fn every_flipped_bit_and_every_truncation_of_a_chunk_is_found() {
    let raw: Vec<u8> = (0..40).chain(0..40).collect();
    for compression in ALL {
        let chunk = chunk_of(&raw, compression);
        for place in 0..chunk.len() * 8 {
            let mut damaged = chunk.to_vec();
            damaged[place / 8] ^= 1 << (place % 8);
            assert!(verify(&damaged).is_err(), "bit {place}");
            assert!(open(&damaged.into(), 80, Checked::NotYet).is_err(), "bit {place}");
        }
        for length in 0..chunk.len() {
            let short = chunk.slice(..length);
            assert!(open(&short, 80, Checked::NotYet).is_err(), "length {length}");
        }
        for other in [79, 81] {
            let error = open(&chunk, other, Checked::NotYet).unwrap_err();
            assert!(error.contains("holds 80 bytes"), "{error}");
        }
    }
}

#[test]
fn bounds_are_lowered_and_raised_to_what_is_possible() {
    let settings = |pack_bytes_max| PackSettings { pack_bytes_max, ..PackSettings::default() };
    assert_eq!(settings(u64::MAX).pack_bytes(), PACK_BYTES_MAX);
    assert_eq!((settings(0).pack_bytes(), settings(0).chunk_bytes()), (50, 1));
}

fn any_compression() -> impl Strategy<Value = Compression> {
    prop::sample::select(&ALL[..])
}

proptest! {
    #[test]
    fn every_chunk_reads_back(
        word in prop::collection::vec(any::<u8>(), 0..200),
        times in 1..50_usize,
        compression in any_compression(),
    ) {
        let raw = word.repeat(times);
        let chunk = chunk_of(&raw, compression);
        prop_assert!(chunk.len() as u64 <= raw.len() as u64 + chunk::FRAME_BYTES);
        for checked in [Checked::ByPack, Checked::NotYet] {
            prop_assert_eq!(open(&chunk, raw.len() as u64, checked).unwrap(), &raw);
        }
    }

    #[test]
    fn any_bytes_are_survived(
        codec in 0..4_u8,
        raw_length in 0..10_000_u64,
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let chunk = [&[codec][..], &raw_length.to_le_bytes(), &rest].concat();
        let chunk = Bytes::from(chunk);
        prop_assert!(verify(&chunk).is_err());
        // A pack may have been written by anyone who can compute its name.
        if let Ok(raw) = open(&chunk, raw_length, Checked::ByPack) {
            prop_assert_eq!(raw.len() as u64, raw_length);
        }
        let _ = open(&Bytes::from(rest), raw_length, Checked::ByPack);
    }
}
