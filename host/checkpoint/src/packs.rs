//! Packs in the store: writing segments and files, reading and verifying.
//!
//! *Integrity.* Whatever is read is compared with its hash before any of it is handed out.

use std::io::Read as _;
use std::path::Path as Directory;

use bytes::Bytes;
use futures::stream::{self, FuturesUnordered};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStoreExt, PutMode, PutPayload};

use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Location, Manifest, PackRange, PackRef, SegmentRef};
use crate::pack::{PACK_BYTES_MAX, Pack, PackSettings, PackWriter};
use crate::paths;
use crate::store::CheckpointStore;

/// How many packs one call writes at the same time.
const WRITES_CONCURRENT_MAX: usize = 4;

/// How many packs one call reads at the same time; with the size of a pack the memory it needs.
pub(crate) const READS_CONCURRENT_MAX: usize = 4;

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

/// Files up to this length go into the manifest.
const FILE_INLINE_BYTES_MAX: u64 = 1 << 10;

/// What [`CheckpointStore::write_file`] has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFile {
    /// Where the file's bytes are.
    pub content: SegmentRef,
    /// Packs written.
    pub packs: u64,
    /// Bytes of these packs.
    pub pack_bytes: u64,
}

impl Default for WrittenFile {
    fn default() -> Self {
        let location = Location::Inline(Bytes::new());
        Self { content: SegmentRef { full: true, entries: 0, location }, packs: 0, pack_bytes: 0 }
    }
}

/// What [`CheckpointStore::write_segments`] has written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WrittenSegments {
    /// Each segment's key group and place, in the order given.
    pub segments: Vec<(u16, SegmentRef)>,
    /// Packs written.
    pub packs: u64,
    /// Bytes of these packs.
    pub pack_bytes: u64,
}

impl CheckpointStore {
    /// Writes a pack. If an object of its name is there already it is compared: equal bytes are
    /// success, and damaged ones are replaced, as the name says what the bytes must be.
    ///
    /// # Errors
    /// Failures of the store.
    pub async fn put_pack(&self, pack: &Pack) -> Result<(), Error> {
        let name = paths::pack(pack.reference().digest);
        let payload = || PutPayload::from_bytes(pack.bytes().clone());
        let write_error = |error| Error::store("write", &name, error);
        match self.objects().put_opts(&name, payload(), PutMode::Create.into()).await {
            Ok(_) => return Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(write_error(error)),
        }
        match self.read_pack(pack.reference()).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_damage() => {
                tracing::warn!(object = %name, "replacing a damaged pack by its proper bytes");
                self.objects().put(&name, payload()).await.map(|_| ()).map_err(write_error)
            }
            Err(error) => Err(error),
        }
    }

    /// Lays the segments of one task out in packs, or inline, and writes the packs.
    ///
    /// # Errors
    /// Failures of the store. Packs that were written stay and do no harm.
    pub async fn write_segments(
        &self,
        segments: Vec<NewSegment>,
        settings: PackSettings,
    ) -> Result<WrittenSegments, Error> {
        let mut written = WrittenSegments::default();
        let mut writer = PackWriter::new(settings);
        let mut running = FuturesUnordered::new();
        let mut attributes = Vec::with_capacity(segments.len());
        for NewSegment { group, full, entries, bytes } in segments {
            attributes.push((group, full, entries));
            for pack in writer.append(&bytes) {
                written.count(&pack);
                running.push(self.put_owned(pack));
                if running.len() == WRITES_CONCURRENT_MAX {
                    running.try_next().await?;
                }
            }
        }
        let packed = writer.finish();
        if let Some(pack) = packed.pack {
            written.count(&pack);
            running.push(self.put_owned(pack));
        }
        while running.try_next().await?.is_some() {}
        let places = attributes.into_iter().zip(packed.locations);
        written.segments = places
            .map(|((group, full, entries), location)| {
                (group, SegmentRef { full, entries, location })
            })
            .collect();
        Ok(written)
    }

    /// Writes a file of the local file system as packs of its own, or takes it inline if it is short. It must not
    /// change meanwhile.
    ///
    /// # Errors
    /// [`Error::Directory`] if the file cannot be read; failures of the store.
    pub async fn write_file(
        &self,
        file: &Directory,
        settings: PackSettings,
    ) -> Result<WrittenFile, Error> {
        let error = |source| Error::Directory { directory: file.to_path_buf(), source };
        let mut reader = std::fs::File::open(file).map_err(error)?;
        let bound = settings.pack_bytes_max.clamp(1, PACK_BYTES_MAX);
        // Less than a pack, so that what was read is known to be the whole file.
        let inline_bytes_max = FILE_INLINE_BYTES_MAX.min(bound - 1);
        let mut written = WrittenFile::default();
        let mut ranges = Vec::new();
        loop {
            let mut part = Vec::new();
            let read = (&mut reader).take(bound).read_to_end(&mut part).map_err(error)?;
            if ranges.is_empty() && read as u64 <= inline_bytes_max {
                written.content.location = Location::Inline(part.into());
                return Ok(written);
            }
            if read == 0 {
                written.content.location = Location::Packed(ranges);
                return Ok(written);
            }
            let pack = Pack::new(part);
            self.put_pack(&pack).await?;
            written.packs += 1;
            written.pack_bytes += pack.reference().length;
            let length = pack.reference().length;
            ranges.push(PackRange { pack: pack.reference(), offset: 0, length });
        }
    }

    /// Applies [`Manifest::spill_inline`] and writes the packs. Returns their number and bytes.
    ///
    /// # Errors
    /// Failures of the store; the manifest must not be published then.
    pub async fn spill_inline(
        &self,
        manifest: &mut Manifest,
        settings: PackSettings,
    ) -> Result<(u64, u64), Error> {
        let packs = manifest.spill_inline(settings);
        let bytes = packs.iter().map(|pack| pack.reference().length).sum();
        for pack in &packs {
            self.put_pack(pack).await?;
        }
        Ok((packs.len() as u64, bytes))
    }

    async fn put_owned(&self, pack: Pack) -> Result<(), Error> {
        self.put_pack(&pack).await
    }

    /// Reads a pack as a whole and checks it.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`], [`Error::Malformed`]; failures of the store.
    pub async fn read_pack(&self, pack: PackRef) -> Result<Bytes, Error> {
        let name = paths::pack(pack.digest);
        let error = |error| Error::store("read", &name, error);
        let object = self.objects().get(&name).await.map_err(error)?;
        if object.meta.size != pack.length {
            // Told before it is read: a wrong object may be of any size.
            let reason = format!("it has {} bytes, not {}", object.meta.size, pack.length);
            return Err(Error::Malformed { object: name.to_string(), reason });
        }
        let bytes = object.bytes().await.map_err(error)?;
        let found = Digest::of(&bytes);
        if found != pack.digest {
            let object = name.to_string();
            return Err(Error::Damaged { object, expected: pack.digest, found });
        }
        Ok(bytes)
    }

    /// Reads every pack that the manifest names. Returns what is wrong with the missing and the
    /// damaged ones; an empty list means that the checkpoint can be restored.
    ///
    /// # Errors
    /// Failures of the store: then nothing is known.
    pub async fn verify(&self, manifest: &Manifest) -> Result<Vec<Error>, Error> {
        let mut damage = Vec::new();
        let mut reads = stream::iter(manifest.packs())
            .map(|pack| self.read_pack(pack))
            .buffered(READS_CONCURRENT_MAX);
        while let Some(read) = reads.next().await {
            match read {
                Ok(_) => {}
                Err(error) if error.is_damage() => damage.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(damage)
    }
}

impl WrittenSegments {
    fn count(&mut self, pack: &Pack) {
        self.packs += 1;
        self.pack_bytes += pack.reference().length;
    }
}
