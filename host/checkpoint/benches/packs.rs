//! State of 1 GB written as packs and read again, beside plain writes and reads of as many bytes on the same disk.
//!
//! Everything is flushed to the disk before a write counts, and nothing is in the page cache when it is read. Plain
//! writes and reads are files of the size of a pack, by as many threads as the writer uploads packs. The store is a
//! local directory in the folder for temporary files, or in the one that is given as argument.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use rustix::fs::{Advice, fadvise};
use statehouse_checkpoint::{
    CheckpointStore, Compression, Durability, Epoch, FileRef, Generation, NewSegment, PackSettings,
    PackStamp, SegmentRef, WrittenTask,
};
use tokio::runtime::{Builder, Runtime};

const MIB: usize = 1 << 20;
/// Bytes of the segment of one key group, and how many there are.
const SEGMENT_BYTES: usize = 8 * MIB;
const SEGMENTS: u16 = 128;
/// Bytes of the plain files, and how many are written or read at the same time.
const FILE_BYTES: usize = 16 * MIB;
const THREADS: usize = 4;
const ROUNDS: usize = 3;

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        // A test run builds the benchmarks and starts them, but has no use for figures.
        return;
    }
    let folder = arguments.iter().find(|argument| !argument.starts_with('-'));
    let folder = folder.map_or_else(std::env::temp_dir, PathBuf::from);
    let runtime = Builder::new_multi_thread().build().expect("a runtime can be started");
    println!("1 GiB of state; MiB a second: written, read, and as shares of the plain way");
    for (data, halves) in [("compressible 2:1", true), ("incompressible", false)] {
        let segments = segments(halves);
        let mut best = [[[0.0_f64; 2]; 2]; 4];
        for _ in 0..ROUNDS {
            // One after the other, so that all have their share of a disk's good and bad times.
            let round = [
                [plain(&folder, &segments), copied(&folder, &segments)],
                both(&runtime, &folder, &segments, Compression::None),
                both(&runtime, &folder, &segments, Compression::Lz4),
                both(&runtime, &folder, &segments, Compression::Zstd),
            ];
            for (best, new) in
                best.iter_mut().flatten().flatten().zip(round.iter().flatten().flatten())
            {
                *best = best.max(*new);
            }
        }
        for (way, figures) in ["plain", "none", "lz4", "zstd"].iter().zip(best) {
            for ((state, [written, read]), plain) in
                ["memory", "files"].iter().zip(figures).zip(best[0])
            {
                println!(
                    "{data:>16}, from and to {state:<6} {way:>6} {written:>7.0} {read:>7.0}   {:.2} {:.2}",
                    written / plain[0],
                    read / plain[1],
                );
            }
        }
    }
}

/// State in memory, and state in files.
fn both(
    runtime: &Runtime,
    folder: &Path,
    segments: &[Vec<u8>],
    compression: Compression,
) -> [[f64; 2]; 2] {
    [packs(runtime, folder, segments, compression), files(runtime, folder, segments, compression)]
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}

/// MiB a second since `start`, for the whole state.
fn rate(start: Instant) -> f64 {
    (SEGMENT_BYTES * usize::from(SEGMENTS) / MIB) as f64 / start.elapsed().as_secs_f64()
}

/// Segments of random bytes; `halves`: entries of 100 bytes, of which half are the same in all.
fn segments(halves: bool) -> Vec<Vec<u8>> {
    let mut random = SmallRng::seed_from_u64(1);
    let mut segment = || {
        let mut bytes = vec![0; SEGMENT_BYTES];
        random.fill_bytes(&mut bytes);
        if halves {
            for entry in bytes.chunks_mut(100) {
                let half = entry.len() / 2;
                entry[half..].fill(b'.');
            }
        }
        bytes
    };
    (0..SEGMENTS).map(|_| segment()).collect()
}

/// Memory to files and back, without any of this crate.
fn plain(folder: &Path, segments: &[Vec<u8>]) -> [f64; 2] {
    let directory = tempfile::tempdir_in(folder).expect("the folder can be written");
    let parts: Vec<&[Vec<u8>]> = segments.chunks(FILE_BYTES / SEGMENT_BYTES).collect();
    let path = |at: usize| directory.path().join(at.to_string());
    let written = each(parts.len(), |at, _| {
        let mut file = File::create(path(at)).expect("the folder can be written");
        parts[at].iter().for_each(|part| file.write_all(part).expect("there is room"));
        file.sync_all().expect("the disk works");
    });
    forget(directory.path());
    let read = each(parts.len(), |at, buffer| {
        let mut file = File::open(path(at)).expect("it has been written");
        file.read_exact(&mut buffer[..FILE_BYTES]).expect("the disk works");
    });
    [written, read]
}

/// Files to other files that are flushed, and back to files that are not, without any of this crate.
fn copied(folder: &Path, segments: &[Vec<u8>]) -> [f64; 2] {
    let directory = tempfile::tempdir_in(folder).expect("the folder can be written");
    let path = |kind: &str, at: usize| directory.path().join(format!("{kind}-{at}"));
    for (at, bytes) in segments.iter().enumerate() {
        std::fs::write(path("local", at), bytes).expect("there is room");
    }
    forget(directory.path());
    let copy = |from: &str, to: &str, flush: bool| {
        each(segments.len(), |at, buffer| {
            let buffer = &mut buffer[..SEGMENT_BYTES];
            let mut file = File::open(path(from, at)).expect("it has been written");
            file.read_exact(buffer).expect("the disk works");
            let mut file = File::create(path(to, at)).expect("the folder can be written");
            file.write_all(buffer).expect("there is room");
            if flush {
                file.sync_all().expect("the disk works");
            }
        })
    };
    let written = copy("local", "object", true);
    forget(directory.path());
    [written, copy("object", "restored", false)]
}

/// Does some work for each number up to `count`, by several threads. Each has a buffer that it keeps.
fn each(count: usize, work: impl Fn(usize, &mut [u8]) + Sync) -> f64 {
    let work = &work;
    let start = now();
    thread::scope(|scope| {
        for first in 0..THREADS {
            scope.spawn(move || {
                let mut buffer = vec![0; FILE_BYTES];
                (first..count).step_by(THREADS).for_each(|at| work(at, &mut buffer));
            });
        }
    });
    rate(start)
}

/// The segments of a task on the heap.
fn packs(
    runtime: &Runtime,
    folder: &Path,
    segments: &[Vec<u8>],
    compression: Compression,
) -> [f64; 2] {
    let directory = tempfile::tempdir_in(folder).expect("the folder can be written");
    let store = open(directory.path());
    let new = |(group, bytes): (u16, &Vec<u8>)| NewSegment {
        group,
        full: true,
        entries: 0,
        bytes: bytes.clone(),
    };
    let new: Vec<NewSegment> = (0..).zip(segments).map(new).collect();
    let start = now();
    let written: WrittenTask = runtime.block_on(async {
        let mut writer = store.task_writer(STAMP, settings(compression));
        for segment in new {
            writer.add_segment(segment).await.expect("there is room");
        }
        writer.finish().await.expect("there is room")
    });
    let write = rate(start);
    forget(directory.path());
    let start = now();
    runtime.block_on(async {
        let segments: Vec<&SegmentRef> = written.segments.iter().map(|(_, at)| at).collect();
        let mut reader = store.read_segments(segments);
        while let Some(bytes) = reader.next().await.expect("the disk works") {
            assert_eq!(bytes.len(), SEGMENT_BYTES);
        }
    });
    [write, rate(start)]
}

/// The files of a task on RocksDB, written and then put back beside the store.
fn files(
    runtime: &Runtime,
    folder: &Path,
    segments: &[Vec<u8>],
    compression: Compression,
) -> [f64; 2] {
    let directory = tempfile::tempdir_in(folder).expect("the folder can be written");
    let (local, restored) = (directory.path().join("local"), directory.path().join("restored"));
    let objects = directory.path().join("objects");
    for path in [&local, &restored, &objects] {
        std::fs::create_dir(path).expect("the folder can be written");
    }
    for (at, bytes) in segments.iter().enumerate() {
        std::fs::write(local.join(at.to_string()), bytes).expect("there is room");
    }
    forget(&local);
    let store = open(&objects);
    let start = now();
    let files = runtime.block_on(async {
        let mut writer = store.task_writer(STAMP, settings(compression));
        for at in 0..segments.len() {
            writer.add_file(&local.join(at.to_string())).await.expect("there is room");
        }
        writer.finish().await.expect("there is room").files
    });
    let write = rate(start);
    let named = |(at, content): (usize, SegmentRef)| FileRef {
        name: at.to_string(),
        identity: None,
        content,
    };
    let files: Vec<FileRef> = files.into_iter().enumerate().map(named).collect();
    forget(&objects);
    let start = now();
    runtime.block_on(store.read_files_to(&files, &restored)).expect("the disk works");
    [write, rate(start)]
}

const STAMP: PackStamp = PackStamp { generation: Generation(1), epoch: Epoch(1), writer: 0 };

fn settings(compression: Compression) -> PackSettings {
    PackSettings { compression, uploads_max: THREADS, ..PackSettings::default() }
}

fn open(directory: &Path) -> CheckpointStore {
    CheckpointStore::open_directory(directory, Durability::Power).expect("the directory is there")
}

/// Flushes all files below a folder and drops them from the page cache.
fn forget(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            forget(&path);
        } else {
            let file = File::open(&path).expect("it can be read");
            file.sync_all().expect("the disk works");
            fadvise(&file, 0, None, Advice::DontNeed).expect("files can be forgotten");
        }
    }
}
