//! Packs in the store: reading, writing and verifying them as wholes, and chunks of them.
//!
//! *Integrity.* Whatever is read is compared with its hash before any of it is handed out: whole packs with their name,
//! chunks with their check.

mod files;
mod reader;
mod spill;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use crate::background::unblock;
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Manifest, PackFormat, PackRange, PackRef};
use crate::pack::chunk::{self, Checked};
use crate::paths;
use crate::store::CheckpointStore;

pub use reader::SegmentReader;
pub use writer::{NewSegment, TaskWriter, WrittenTask};

/// How many packs one call reads at the same time; with the size of a pack the memory it needs.
const READS_CONCURRENT_MAX: usize = 4;

impl CheckpointStore {
    /// Writes a pack under its name. What is there already is replaced: it can only be the same bytes, or damaged ones.
    ///
    /// # Errors
    /// Failures of the store.
    pub async fn put_pack(&self, pack: PackRef, bytes: Bytes) -> Result<(), Error> {
        self.put_pieces(pack, vec![bytes]).await
    }

    /// Writes a pack whose bytes are in pieces.
    async fn put_pieces(&self, pack: PackRef, pieces: Vec<Bytes>) -> Result<(), Error> {
        let name = paths::pack(pack.digest);
        let written = self.objects().put(&name, PutPayload::from_iter(pieces)).await;
        written.map(|_| ()).map_err(|error| Error::store("write", &name, error))
    }

    /// Reads a pack as a whole and checks it.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`], [`Error::Malformed`]; failures of the store.
    pub async fn read_pack(&self, pack: PackRef) -> Result<Bytes, Error> {
        let whole = self.read_object(pack, Part::Whole).await?;
        Ok(whole.into_iter().next().expect("a pack is one piece"))
    }

    /// Reads chunks of a framed pack and checks them, without the rest of the pack. They come in the order given,
    /// decompressed.
    pub(crate) async fn read_chunks(
        &self,
        pack: PackRef,
        chunks: &[PackRange],
    ) -> Result<Vec<Bytes>, Error> {
        self.read_object(pack, Part::Chunks(chunks)).await
    }

    /// Reads from the first place that has what is wanted, whole. The error is that of the place that says most: one
    /// that could not be looked at, then one with damaged bytes, then one with none.
    async fn read_object(&self, pack: PackRef, part: Part<'_>) -> Result<Vec<Bytes>, Error> {
        let rank = |error: &Error| match error {
            Error::Missing { .. } => 0,
            error if error.is_damage() => 1,
            _ => 2,
        };
        let mut worst = None;
        for place in self.places() {
            let found = match part {
                Part::Whole => read_whole(place, pack).await.map(|bytes| vec![bytes]),
                Part::Chunks(chunks) => read_chunks(place, pack, chunks).await,
            };
            match found {
                Ok(found) => return Ok(found),
                Err(error) if worst.as_ref().is_none_or(|worst| rank(&error) > rank(worst)) => {
                    worst = Some(error);
                }
                Err(_) => {}
            }
        }
        Err(worst.expect("there is always the store itself to look at"))
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

/// What is wanted of a pack.
#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    Whole,
    /// Some chunks, decompressed.
    Chunks(&'a [PackRange]),
}

/// Reads a pack in one place.
async fn read_whole(objects: &dyn ObjectStore, pack: PackRef) -> Result<Bytes, Error> {
    let name = paths::pack(pack.digest);
    let error = |error| Error::store("read", &name, error);
    let object = objects.get(&name).await.map_err(error)?;
    if object.meta.size != pack.length {
        // Told before it is read: a wrong object may be of any size.
        let reason = format!("it has {} bytes, not {}", object.meta.size, pack.length);
        return Err(Error::Malformed { object: name.to_string(), reason });
    }
    let bytes = object.bytes().await.map_err(error)?;
    let hashed = bytes.clone();
    let found = unblock(move || Digest::of(&hashed)).await;
    if found != pack.digest {
        let object = name.to_string();
        return Err(Error::Damaged { object, expected: pack.digest, found });
    }
    Ok(bytes)
}

/// Reads chunks of a framed pack in one place.
async fn read_chunks(
    objects: &dyn ObjectStore,
    pack: PackRef,
    chunks: &[PackRange],
) -> Result<Vec<Bytes>, Error> {
    debug_assert_eq!(pack.format, PackFormat::Framed, "raw packs have no chunks");
    let name = paths::pack(pack.digest);
    let range = |chunk: &PackRange| chunk.offset..chunk.offset + chunk.length;
    let ranges: Vec<_> = chunks.iter().map(range).collect();
    match objects.get_ranges(&name, &ranges).await {
        Ok(framed) => open_chunks(pack, framed, chunks.to_vec(), Checked::NotYet).await,
        Err(error @ object_store::Error::NotFound { .. }) => {
            Err(Error::store("read", &name, error))
        }
        // Stores do not agree on how to say that an object is too short. Reading it as a whole tells that from a store
        // that cannot be reached.
        Err(error) => match read_whole(objects, pack).await {
            Ok(_) => Err(Error::store("read", &name, error)),
            Err(error) => Err(error),
        },
    }
}

/// Decompresses chunks of a framed pack. `framed` are their bytes in the store.
async fn open_chunks(
    pack: PackRef,
    framed: Vec<Bytes>,
    chunks: Vec<PackRange>,
    checked: Checked,
) -> Result<Vec<Bytes>, Error> {
    let open = move |(framed, chunk): (&Bytes, &PackRange)| {
        chunk::open(framed, chunk.raw_length, checked).map_err(|reason| Error::Malformed {
            object: paths::pack(pack.digest).to_string(),
            reason: format!("{reason}, at byte {}", chunk.offset),
        })
    };
    unblock(move || framed.iter().zip(&chunks).map(open).collect()).await
}
