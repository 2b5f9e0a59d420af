//! The raw disk: what a checkpoint's bandwidth is compared with.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use rustix::fs::{Advice, fadvise};

use crate::bench::machine::Stopwatch;

/// Bytes of a file, as many as a pack has.
const FILE_BYTES: u64 = 32 << 20;

/// Files that are written or read at the same time, as many as a checkpoint does.
const AT_ONCE: usize = 4;

/// Seconds that writing so many bytes takes, flushed to the disk, and reading them back from it.
pub(super) fn seconds(directory: &Path, bytes: u64) -> io::Result<(f64, f64)> {
    let folder = directory.join("raw");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let files = bytes.div_ceil(FILE_BYTES).max(1);
    let length = bytes / files;
    // No file system stores these in less room than they have.
    let block: Vec<u8> = (0..1_u64 << 20).flat_map(scrambled).collect();
    let block = &block[..FILE_BYTES.min(block.len() as u64) as usize];
    let watch = Stopwatch::start();
    in_parallel(files, |file| {
        let mut target = File::create(folder.join(file.to_string()))?;
        let mut left = length;
        while left > 0 {
            let part = left.min(block.len() as u64);
            target.write_all(&block[..part as usize])?;
            left -= part;
        }
        target.sync_all()
    })?;
    let written = watch.seconds();
    forget_cached(&folder)?;
    let watch = Stopwatch::start();
    in_parallel(files, |file| {
        let mut source = File::open(folder.join(file.to_string()))?;
        let mut buffer = vec![0; 1 << 20];
        while source.read(&mut buffer)? > 0 {}
        Ok(())
    })?;
    let read = watch.seconds();
    fs::remove_dir_all(&folder)?;
    Ok((written, read))
}

fn scrambled(word: u64) -> [u8; 8] {
    (word + 1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(31)
        .wrapping_mul(word | 1)
        .to_le_bytes()
}

fn in_parallel(files: u64, act: impl Fn(u64) -> io::Result<()> + Sync) -> io::Result<()> {
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..AT_ONCE as u64)
            .map(|lane| {
                let act = &act;
                scope.spawn(move || (lane..files).step_by(AT_ONCE).try_for_each(act))
            })
            .collect();
        lanes.into_iter().try_for_each(|lane| lane.join().expect("a lane does not panic"))
    })
}

/// Drops what the system has cached of the files below a folder, so that they are read from the disk.
pub(super) fn forget_cached(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            forget_cached(&entry.path())?;
        } else {
            let file = File::open(entry.path())?;
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}
