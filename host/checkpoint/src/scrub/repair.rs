//! Mending objects from another store: a backup of this one, or one to which checkpoints were copied.
//!
//! A pack and a component are known by their names. A manifest is taken if it is certainly the one that was here: if
//! the hash in its first line, or that of what follows, is still the same.

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;

use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Manifest, PackFormat, PackRef};
use crate::paths;
use crate::store::CheckpointStore;

impl CheckpointStore {
    /// Replaces a pack by what the other store has. Returns whether it had it.
    pub(super) async fn repair_pack(&self, object: &str, other: &Self) -> Result<bool, Error> {
        let Some(digest) = paths::pack_digest(&Path::from(object)) else { return Ok(false) };
        let Some(length) = other.pack_length(digest).await? else { return Ok(false) };
        let pack = PackRef { digest, length, format: PackFormat::Raw };
        match other.read_pack(pack).await {
            Ok(bytes) => {
                self.put_pack(pack, bytes).await?;
                Ok(true)
            }
            Err(error) if error.is_damage() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Replaces a component by what the other store has. Returns whether it had it.
    pub(super) async fn repair_component(&self, object: &str, other: &Self) -> Result<bool, Error> {
        let name = Path::from(object);
        let Some(digest) = paths::component_digest(&name) else { return Ok(false) };
        match other.component(digest).await {
            Ok(bytes) => self.put(&name, bytes).await.map(|()| true),
            Err(error) if error.is_damage() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Replaces a manifest by one of the other store that is the same. Returns it if there is one.
    pub(super) async fn repair_manifest(
        &self,
        object: &str,
        other: &Self,
    ) -> Result<Option<Manifest>, Error> {
        let name = Path::from(object);
        let Some(damaged) = self.read_if_there(&name).await? else { return Ok(None) };
        let damaged = Parts::of(&damaged);
        for prefix in [paths::manifests(), paths::savepoints(), paths::pins()] {
            let candidates: Vec<Path> = other
                .own
                .list(Some(&prefix))
                .map_ok(|object| object.location)
                .try_collect()
                .await
                .map_err(|error| Error::store("list", &prefix, error))?;
            for candidate in candidates {
                let Some(file) = other.read_if_there(&candidate).await? else { continue };
                let Ok(manifest) = Manifest::decode(&file) else { continue };
                if damaged.is_of(&Parts::of(&file)) {
                    self.put(&name, file).await?;
                    return Ok(Some(manifest));
                }
            }
        }
        Ok(None)
    }

    async fn read_if_there(&self, name: &Path) -> Result<Option<Bytes>, Error> {
        match self.read_file(name).await {
            Ok(file) => Ok(Some(file)),
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The two parts of a manifest's file, of which damage usually spares one.
struct Parts {
    first_line: Bytes,
    rest: Digest,
}

impl Parts {
    fn of(file: &Bytes) -> Self {
        let end = file.iter().position(|&byte| byte == b'\n').map_or(file.len(), |end| end + 1);
        Self { first_line: file.slice(..end), rest: Digest::of(&file[end..]) }
    }

    /// Whether this is what is left of the other.
    fn is_of(&self, whole: &Self) -> bool {
        // The first line of a whole manifest has the hash of the rest.
        self.first_line == whole.first_line || self.rest == whole.rest
    }
}
