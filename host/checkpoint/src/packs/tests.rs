//! Tests of writing and reading packs.

use std::collections::BTreeSet;
use std::path::Path;

use futures::executor::block_on;
use proptest::prelude::*;

use super::*;
use crate::manifest::{Epoch, FileRef, Generation, Location, SegmentRef};
use crate::pack::{Compression, PACK_BYTES_MAX, PackSettings, PackStamp};
use crate::testing::FaultStore;

pub(super) const STAMP: PackStamp =
    PackStamp { generation: Generation(1), epoch: Epoch(1), writer: 0 };

/// Everything goes into packs of at most this many bytes, as it is.
fn packed(pack_bytes_max: u64) -> PackSettings {
    let compression = Compression::None;
    PackSettings { inline_bytes_max: 0, pack_bytes_max, compression, ..PackSettings::default() }
}

/// Writes the segments of one task.
pub(crate) async fn write_segments(
    store: &CheckpointStore,
    stamp: PackStamp,
    segments: Vec<NewSegment>,
    settings: PackSettings,
) -> Result<WrittenTask, Error> {
    let mut writer = store.task_writer(stamp, settings);
    for segment in segments {
        writer.add_segment(segment).await?;
    }
    writer.finish().await
}

fn segment(group: usize, bytes: Vec<u8>) -> NewSegment {
    NewSegment { group: group as u16, full: true, entries: 1, bytes }
}

/// Segments of these lengths, no two with the same bytes.
fn segments(lengths: &[usize]) -> Vec<NewSegment> {
    let bytes = |group: usize, length| (0..length).map(|at| (group * 40 + at) as u8).collect();
    lengths.iter().enumerate().map(|(at, &length)| segment(at, bytes(at, length))).collect()
}

async fn read(store: &CheckpointStore, segments: &[(u16, SegmentRef)]) -> Vec<Bytes> {
    let mut reader = store.read_segments(segments.iter().map(|(_, segment)| segment));
    let mut read = Vec::new();
    while let Some(bytes) = reader.next().await.unwrap() {
        read.push(bytes);
    }
    read
}

fn ranges(segment: &SegmentRef) -> &[PackRange] {
    match &segment.location {
        Location::Inline(_) => &[],
        Location::Packed(ranges) => ranges,
    }
}

fn packs(written: &WrittenTask) -> BTreeSet<PackRef> {
    let segments = written.segments.iter().map(|(_, segment)| segment).chain(&written.files);
    segments.flat_map(ranges).map(|range| range.pack).collect()
}

#[test]
fn segments_up_to_the_threshold_stay_inline() {
    let settings = PackSettings { inline_bytes_max: 100, ..packed(1000) };
    for (lengths, inline) in
        [(&[60, 40][..], true), (&[60, 41], false), (&[101], false), (&[], true)]
    {
        let faults = FaultStore::in_memory();
        let store = faults.checkpoints();
        let segments = segments(lengths);
        let written = block_on(write_segments(&store, STAMP, segments.clone(), settings)).unwrap();
        assert_eq!(written.packs, u64::from(!inline), "{lengths:?}");
        assert_eq!(faults.calls(), written.packs);
        assert!(written.segments.iter().all(|(_, segment)| ranges(segment).is_empty() == inline));
        let read = block_on(read(&store, &written.segments));
        assert!(read.iter().eq(segments.iter().map(|segment| &segment.bytes)));
    }
}

#[test]
fn segments_are_split_only_if_they_fit_into_no_pack() {
    let store = CheckpointStore::in_memory();
    // A pack has room for 100 bytes in one chunk.
    let settings = packed(149);
    let lengths = [10, 0, 60, 100, 250, 33];
    let segments = segments(&lengths);
    let written = block_on(write_segments(&store, STAMP, segments.clone(), settings)).unwrap();
    let parts: Vec<usize> = written.segments.iter().map(|(_, at)| ranges(at).len()).collect();
    assert_eq!(parts, [1, 0, 1, 1, 3, 1]);
    assert_eq!(written.packs, 5);
    let packs = packs(&written);
    assert_eq!(packs.len(), 5);
    assert!(packs.iter().all(|pack| pack.length <= 149));
    assert_eq!(packs.iter().map(|pack| pack.length).sum::<u64>(), written.pack_bytes);
    let read = block_on(read(&store, &written.segments));
    assert!(read.iter().eq(segments.iter().map(|segment| &segment.bytes)));
}

#[test]
fn packs_of_equal_state_have_different_names() {
    let store = CheckpointStore::in_memory();
    let other = |change: fn(&mut PackStamp)| {
        let mut stamp = STAMP;
        change(&mut stamp);
        stamp
    };
    let stamps = [
        STAMP,
        other(|stamp| stamp.generation.0 += 1),
        other(|stamp| stamp.epoch.0 += 1),
        other(|stamp| stamp.writer += 1),
    ];
    let mut names = BTreeSet::new();
    for stamp in stamps {
        let equal = vec![segment(0, vec![7; 80]), segment(1, vec![7; 80])];
        let written = block_on(write_segments(&store, stamp, equal, packed(149))).unwrap();
        names.extend(packs(&written));
    }
    assert_eq!(names.len(), 8);
}

#[test]
fn steady_state_costs_one_request() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    let directory = tempfile::tempdir().unwrap();
    block_on(async {
        let mut writer = store.task_writer(STAMP, PackSettings::default());
        for group in 0..24 {
            writer.add_segment(segment(group, vec![7; 500_000])).await.unwrap();
        }
        for (name, length) in [("CURRENT", 16), ("OPTIONS", 7_000), ("MANIFEST", 900_000)] {
            let file = directory.path().join(name);
            std::fs::write(&file, vec![3; length]).unwrap();
            writer.add_file(&file).await.unwrap();
        }
        let written = writer.finish().await.unwrap();
        assert_eq!((written.packs, faults.calls()), (1, 1));
        assert_eq!(written.files.len(), 3);
    });
}

#[test]
fn large_files_have_packs_of_their_own() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    let directory = tempfile::tempdir().unwrap();
    let (table, small) = (directory.path().join("table"), directory.path().join("small"));
    let bytes: Vec<u8> = (0..(2 << 20) + 5).map(|at: u32| (at % 251) as u8).collect();
    std::fs::write(&table, &bytes).unwrap();
    std::fs::write(&small, &bytes[..5000]).unwrap();
    block_on(async {
        let mut writer = store.task_writer(STAMP, packed((1 << 20) + 49));
        writer.add_segment(segment(0, vec![1; 100])).await.unwrap();
        writer.add_file(&table).await.unwrap();
        writer.add_file(&small).await.unwrap();
        let written = writer.finish().await.unwrap();
        // Two whole parts, the rest, and what is small.
        assert_eq!((written.packs, faults.calls()), (4, 4));
        let lengths: Vec<u64> =
            ranges(&written.files[0]).iter().map(|range| range.raw_length).collect();
        assert_eq!(lengths, [1 << 20, 1 << 20, 5]);
        assert_eq!(ranges(&written.files[1])[0].pack, ranges(&written.segments[0].1)[0].pack);
    });
}

#[test]
fn files_are_written_back_as_they_were() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = CheckpointStore::in_memory();
    let lengths = [0_u32, 1, 1024, 1025, 70_000, (1 << 20) - 1, 1 << 20, (3 << 20) + 17];
    block_on(async {
        let mut writer = store.task_writer(STAMP, packed((1 << 20) + 49));
        let mut files = Vec::new();
        for length in lengths {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 249) as u8).collect();
            let file = from.path().join(length.to_string());
            std::fs::write(&file, bytes).unwrap();
            writer.add_file(&file).await.unwrap();
        }
        for (length, content) in lengths.iter().zip(writer.finish().await.unwrap().files) {
            assert_eq!(content.size_bytes(), u64::from(*length));
            files.push(FileRef { name: length.to_string(), identity: None, content });
        }
        store.read_files_to(&files, to.path()).await.unwrap();
    });
    for length in lengths {
        let name = length.to_string();
        let read = |folder: &Path| std::fs::read(folder.join(&name)).unwrap();
        assert!(read(from.path()) == read(to.path()), "{length} bytes");
    }
}

#[test]
fn file_that_cannot_be_read_or_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("table");
    let store = CheckpointStore::in_memory();
    block_on(async {
        let mut writer = store.task_writer(STAMP, PackSettings::default());
        let error = writer.add_file(&file).await.unwrap_err();
        assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
        std::fs::write(&file, vec![0; 3 << 20]).unwrap();
        writer.add_file(&file).await.unwrap();
        let content = writer.finish().await.unwrap().files.remove(0);
        let files = [FileRef { name: "table".to_owned(), identity: None, content }];
        let error = store.read_files_to(&files, directory.path()).await.unwrap_err();
        assert!(matches!(error, Error::File { operation: "write", .. }), "{error}");
    });
}

#[test]
fn file_that_gets_shorter_meanwhile_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("table");
    std::fs::write(&file, vec![0; 3 << 20]).unwrap();
    let store = CheckpointStore::in_memory();
    block_on(async {
        let mut writer = store.task_writer(STAMP, PackSettings::default());
        writer.add_file(&file).await.unwrap();
        std::fs::write(&file, vec![0; 2 << 20]).unwrap();
        let error = writer.finish().await.unwrap_err();
        assert!(matches!(error, Error::File { operation: "read", .. }), "{error}");
    });
}

#[test]
fn damaged_pack_is_replaced_when_it_is_written_again() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    let bytes = Bytes::from_static(b"some bytes");
    let pack = PackRef { digest: Digest::of(&bytes), length: 10, format: PackFormat::Raw };
    let name = paths::pack(pack.digest).to_string();
    block_on(async {
        for damage in ["some bytez", "some", ""] {
            faults.replace(&name, damage).await.unwrap();
            assert!(store.read_pack(pack).await.unwrap_err().is_damage());
            store.put_pack(pack, bytes.clone()).await.unwrap();
            assert_eq!(store.read_pack(pack).await.unwrap(), bytes);
        }
    });
}

#[test]
fn each_pack_is_read_once_in_any_order() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let segments = segments(&[30, 30, 30, 30, 250, 0, 30, 30]);
        let written = write_segments(&store, STAMP, segments.clone(), packed(149)).await.unwrap();
        let before = faults.calls();
        let order = [7, 0, 4, 1, 6, 5, 3, 2, 0];
        let mut reader = store.read_segments(order.map(|place| &written.segments[place].1));
        for place in order {
            let bytes = reader.next().await.unwrap().unwrap();
            assert_eq!(bytes, segments[place].bytes, "segment {place}");
        }
        assert!(reader.next().await.unwrap().is_none());
        assert_eq!(faults.calls() - before, written.packs);
    });
}

#[test]
fn part_of_a_pack_is_read_without_the_rest() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let segments = segments(&[100; 20]);
        let written =
            write_segments(&store, STAMP, segments.clone(), packed(PACK_BYTES_MAX)).await.unwrap();
        let [pack] = Vec::from_iter(packs(&written))[..] else { panic!("one pack") };
        let name = paths::pack(pack.digest).to_string();
        let whole = faults.bytes(&name).await.unwrap();
        // Damage elsewhere in the pack shows that it is not read: the name would not fit.
        let mut elsewhere = whole.to_vec();
        *elsewhere.last_mut().unwrap() ^= 1;
        faults.replace(&name, elsewhere).await.unwrap();
        let before = faults.calls();
        let wanted = &written.segments[3..5];
        let parts = read(&store, wanted).await;
        assert!(parts.iter().eq(segments[3..5].iter().map(|segment| &segment.bytes)));
        assert_eq!(faults.calls() - before, 1);
        for (_, segment) in wanted {
            let range = ranges(segment)[0];
            for byte in range.offset..range.offset + range.length {
                let mut damaged = whole.to_vec();
                damaged[byte as usize] ^= 1;
                faults.replace(&name, damaged).await.unwrap();
                let mut reader = store.read_segments([segment]);
                let error = reader.next().await.unwrap_err();
                assert!(error.is_damage() && error.to_string().contains(&name), "{error}");
            }
        }
        for length in [0, 40, whole.len() - 1] {
            faults.replace(&name, whole.slice(..length)).await.unwrap();
            let mut reader = store.read_segments(written.segments[18..].iter().map(|(_, at)| at));
            assert!(reader.next().await.unwrap_err().is_damage(), "{length} bytes");
        }
        faults.remove(&name).await.unwrap();
        let error = store.read_segments([&wanted[0].1]).next().await.unwrap_err();
        assert!(matches!(&error, Error::Missing { object } if *object == name), "{error}");
        faults.crash_after(0);
        let error = store.read_segments([&wanted[0].1]).next().await.unwrap_err();
        assert!(!error.is_damage(), "{error}");
    });
}

#[test]
fn raw_packs_of_older_manifests_are_read() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let bytes = Bytes::from_iter(0..=99);
        let pack = PackRef { digest: Digest::of(&bytes), length: 100, format: PackFormat::Raw };
        store.put_pack(pack, bytes.clone()).await.unwrap();
        let range = |offset, length| PackRange { pack, offset, length, raw_length: length };
        let at = |ranges| SegmentRef { full: true, entries: 1, location: Location::Packed(ranges) };
        let segments = [at(vec![range(0, 10)]), at(vec![range(0, 20), range(90, 10)])];
        let mut reader = store.read_segments(&segments);
        assert_eq!(reader.next().await.unwrap().unwrap(), bytes[..10]);
        let both = [&bytes[..20], &bytes[90..]].concat();
        assert_eq!(reader.next().await.unwrap().unwrap(), both);
        let name = paths::pack(pack.digest).to_string();
        let mut damaged = bytes.to_vec();
        damaged[50] ^= 1;
        faults.replace(&name, damaged).await.unwrap();
        assert!(store.read_segments(&segments).next().await.unwrap_err().is_damage());
    });
}

#[test]
fn failed_write_fails_the_writer() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    for crash in 0..4 {
        faults.heal();
        faults.crash_after(crash);
        let write = write_segments(&store, STAMP, segments(&[100; 4]), packed(149));
        let error = if crash % 2 == 0 { block_on(write) } else { runtime.block_on(write) };
        assert!(matches!(error.unwrap_err(), Error::Store { operation: "write", .. }));
    }
}

#[test]
fn inline_segments_are_spilled_once_they_are_too_many() {
    let store = CheckpointStore::in_memory();
    let mut manifest = crate::manifest::tests::sample();
    let before = manifest.clone();
    let inline = manifest.inline_bytes();
    assert!(inline > 0);
    let limit = |manifest_inline_bytes_max| PackSettings {
        manifest_inline_bytes_max,
        ..PackSettings::default()
    };
    block_on(async {
        assert_eq!(store.spill_inline(&mut manifest, limit(inline)).await.unwrap(), (0, 0));
        assert_eq!(manifest, before);
        let (packs, bytes) = store.spill_inline(&mut manifest, limit(inline - 1)).await.unwrap();
        assert!(packs == 1 && bytes > inline);
        assert_eq!(manifest.inline_bytes(), 0);
        manifest.check().unwrap();
        for (old, new) in before.segments().zip(manifest.segments()) {
            assert_eq!((old.full, old.entries), (new.full, new.entries));
            if let Location::Inline(bytes) = &old.location {
                assert_eq!(store.read_segments([new]).next().await.unwrap().unwrap(), bytes);
            } else {
                assert_eq!(old, new);
            }
        }
    });
}

proptest! {
    #[test]
    fn every_segment_reads_back_with_and_without_a_runtime(
        segments in prop::collection::vec(prop::collection::vec(0..4_u8, 0..300), 0..30),
        inline_bytes_max in 0..500_u64,
        pack_bytes_max in 0..1000_u64,
        compression in prop::sample::select(&[Compression::None, Compression::Lz4, Compression::Zstd][..]),
        uploads_max in 0..4_usize,
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        threaded in any::<bool>(),
    ) {
        let settings = PackSettings {
            inline_bytes_max, pack_bytes_max, compression, uploads_max, ..PackSettings::default()
        };
        let test = async {
            let store = CheckpointStore::in_memory();
            let new = segments.iter().cloned().enumerate().map(|(at, bytes)| segment(at, bytes));
            let written = write_segments(&store, STAMP, new.collect(), settings).await.unwrap();
            let all = read(&store, &written.segments).await;
            let some: Vec<_> = if segments.is_empty() { Vec::new() } else {
                order.iter().map(|place| written.segments[place.index(segments.len())].clone()).collect()
            };
            let read_some = read(&store, &some).await;
            (written, all, some, read_some)
        };
        let (written, all, some, read_some) = if threaded {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
            runtime.block_on(test)
        } else {
            block_on(test)
        };
        prop_assert_eq!(&all, &segments);
        for ((group, _), bytes) in some.iter().zip(&read_some) {
            prop_assert_eq!(bytes, &segments[usize::from(*group)]);
        }
        prop_assert_eq!(packs(&written).len() as u64, written.packs);
        for pack in packs(&written) {
            prop_assert!(pack.length <= pack_bytes_max.max(50));
        }
    }
}
