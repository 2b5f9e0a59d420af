//! Files, compressed or not: opened by their suffix, with the bytes counted that were read of them.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a file is compressed, by its suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstandard,
}

impl Compression {
    /// `.gz` and `.zst` are compressed, anything else is not.
    pub(crate) fn of(path: &Path) -> Self {
        match path.extension().and_then(|suffix| suffix.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstandard,
            _ => Self::None,
        }
    }
}

/// How many bytes of a file have been read, as it lies on disk. Clones share the count.
#[derive(Debug, Clone, Default)]
pub(crate) struct ByteCount(Arc<AtomicU64>);

impl ByteCount {
    /// The bytes so far.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct CountedFile {
    file: File,
    count: ByteCount,
}

impl Read for CountedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.count.0.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Opens a file at its start, decompressing.
pub(crate) fn open(path: &Path, count: &ByteCount) -> io::Result<Box<dyn Read + Send>> {
    let file = CountedFile { file: File::open(path)?, count: count.clone() };
    Ok(match Compression::of(path) {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file))),
        Compression::Zstandard => Box::new(zstd::stream::read::Decoder::new(file)?),
    })
}

/// Opens a file that is not compressed at an offset.
pub(crate) fn open_plain_at(
    path: &Path,
    offset: u64,
    count: &ByteCount,
) -> io::Result<Box<dyn Read + Send>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    count.0.store(offset, Ordering::Relaxed);
    Ok(Box::new(CountedFile { file, count: count.clone() }))
}
