//! Components: the programs that worked on the state, kept beside it under the hash of their bytes.
//!
//! They are small, and going back to an older version needs its component, so they are never collected. A checkpoint
//! that is copied takes along those that it names; a fork finds those of its origin there until it has put what it runs
//! into its own store.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use futures::TryStreamExt;

use crate::digest::Digest;
use crate::error::Error;
use crate::paths;
use crate::store::{CheckpointStore, Created};

impl CheckpointStore {
    /// Puts a component into the store, unless it is there. Returns its digest: the hash of its bytes.
    ///
    /// # Errors
    /// Failures of the store.
    pub async fn put_component(&self, bytes: impl Into<Bytes>) -> Result<Digest, Error> {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        let name = paths::component(digest);
        // Looked for first: most runs find the component that the run before has put there.
        let is_there = self.object_length(&name).await? == Some(bytes.len() as u64);
        if !is_there && self.create(&name, bytes.clone()).await? == Created::Existed {
            // Another one of the same length has been put there meanwhile, or it is damaged: these bytes are right.
            self.put(&name, bytes).await?;
        }
        Ok(digest)
    }

    /// The bytes of a component, from this store or one of its origins.
    ///
    /// # Errors
    /// [`Error::Missing`] if none has it, [`Error::Damaged`]; failures of the store.
    pub async fn component(&self, digest: Digest) -> Result<Bytes, Error> {
        let own = self.own_component(digest).await;
        if !own.as_ref().is_err_and(Error::is_damage) {
            return own;
        }
        for origin in self.opened_origins() {
            // Boxed because origins have origins.
            let found = Box::pin(origin.store.component(digest)).await;
            if found.is_ok() {
                return found;
            }
        }
        own
    }

    /// The digests of all components of this store itself, in order.
    ///
    /// # Errors
    /// Failures of the store.
    pub async fn own_components(&self) -> Result<Vec<Digest>, Error> {
        let prefix = paths::components();
        let mut found: Vec<Digest> = self
            .own
            .list(Some(&prefix))
            .try_filter_map(|object| async move { Ok(paths::component_digest(&object.location)) })
            .try_collect()
            .await
            .map_err(|error| Error::store("list", &prefix, error))?;
        found.sort_unstable();
        Ok(found)
    }

    /// The bytes of a component of this store itself.
    pub(crate) async fn own_component(&self, digest: Digest) -> Result<Bytes, Error> {
        let name = paths::component(digest);
        let bytes = self.read_file(&name).await?;
        match Digest::of(&bytes) {
            found if found == digest => Ok(bytes),
            found => Err(Error::Damaged { object: name.to_string(), expected: digest, found }),
        }
    }
}
