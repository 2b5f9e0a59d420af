//! Files of the local file system: reading parts of them for packs, and writing them again.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::background::unblock;
use crate::error::Error;
use crate::manifest::{FileRef, Location, SegmentRef};
use crate::store::CheckpointStore;

/// Files up to this length go into the manifest.
pub(super) const FILE_INLINE_BYTES_MAX: u64 = 1 << 10;

/// Files below this length share packs; larger ones have packs of their own.
pub(super) const FILE_SHARED_BYTES_MAX: u64 = 1 << 20;

/// Some consecutive bytes of a file.
#[derive(Debug, Clone)]
pub(super) struct FilePart {
    path: Arc<Path>,
    offset: u64,
    pub(super) length: u64,
}

pub(super) fn length(path: &Path) -> Result<u64, Error> {
    let metadata = fs::metadata(path).map_err(|source| Error::file("read", path, source))?;
    Ok(metadata.len())
}

impl FilePart {
    pub(super) fn whole(path: &Path, length: u64) -> Self {
        Self { path: path.into(), offset: 0, length }
    }

    /// A file of `length` bytes in parts of at most `bytes_max`.
    pub(super) fn parts(
        path: &Path,
        length: u64,
        bytes_max: u64,
    ) -> impl Iterator<Item = Self> + use<> {
        let path: Arc<Path> = path.into();
        (0..length.div_ceil(bytes_max)).map(move |part| {
            let offset = part * bytes_max;
            let path = Arc::clone(&path);
            Self { path, offset, length: bytes_max.min(length - offset) }
        })
    }

    /// Its bytes. Blocks.
    pub(super) fn read(&self) -> Result<Bytes, Error> {
        let read = || {
            let length = usize::try_from(self.length).map_err(std::io::Error::other)?;
            let mut bytes = vec![0; length];
            File::open(&self.path)?.read_exact_at(&mut bytes, self.offset)?;
            Ok(bytes.into())
        };
        read().map_err(|source| Error::file("read", &self.path, source))
    }
}

impl CheckpointStore {
    /// Writes files of tables into `folder`, under their names. Several are read ahead, and none is held as a whole.
    ///
    /// # Errors
    /// [`Error::File`] if a file cannot be written; as [`CheckpointStore::read_pack`].
    pub async fn read_files_to(&self, files: &[FileRef], folder: &Path) -> Result<(), Error> {
        let parts: Vec<Vec<SegmentRef>> = files.iter().map(|file| parts(&file.content)).collect();
        let mut reader = self.read_segments(parts.iter().flatten());
        for (file, parts) in files.iter().zip(&parts) {
            let path: Arc<Path> = folder.join(&file.name).into();
            let mut target = Target::create(Arc::clone(&path)).await?;
            for _ in parts {
                let bytes = reader.next().await?;
                let bytes = bytes.expect("the reader yields as many parts as it was given");
                target = target.append(bytes).await?;
            }
        }
        Ok(())
    }
}

/// The parts of a file's content that are read one after the other.
fn parts(content: &SegmentRef) -> Vec<SegmentRef> {
    match &content.location {
        Location::Inline(_) => vec![content.clone()],
        Location::Packed(ranges) => ranges
            .iter()
            .map(|range| SegmentRef { location: Location::Packed(vec![*range]), ..*content })
            .collect(),
    }
}

/// A file that is being written.
struct Target {
    path: Arc<Path>,
    file: File,
}

impl Target {
    async fn create(path: Arc<Path>) -> Result<Self, Error> {
        unblock(move || match File::create_new(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(Error::file("write", &path, source)),
        })
        .await
    }

    async fn append(mut self, bytes: Bytes) -> Result<Self, Error> {
        unblock(move || match self.file.write_all(&bytes) {
            Ok(()) => Ok(self),
            Err(source) => Err(Error::file("write", &self.path, source)),
        })
        .await
    }
}
