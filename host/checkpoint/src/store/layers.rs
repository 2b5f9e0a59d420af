//! Packs in more than one place: a local copy to read them from faster, and other stores that hold what this one has not.
//!
//! Only packs are looked for elsewhere: their name is the hash of their bytes, so it does not matter where they come
//! from. Everything else is in the store itself.
//!
//! A pack of the local copy is compared with its name when it is first used; a wrong one is dropped and read from the
//! store. A local copy that cannot be written costs speed and nothing else.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::future::join;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, Result,
};

use crate::digest::Digest;
use crate::paths;

/// The store `own`, with packs of the local copy first and of the others last.
pub(super) fn wrap(
    own: &Arc<dyn ObjectStore>,
    local_copy: Option<&Arc<dyn ObjectStore>>,
    others: Vec<Arc<dyn ObjectStore>>,
) -> Arc<dyn ObjectStore> {
    if local_copy.is_none() && others.is_empty() {
        return Arc::clone(own);
    }
    let local_copy = local_copy
        .map(|objects| LocalCopy { objects: Arc::clone(objects), verified: Arc::default() });
    Arc::new(Layers { own: Arc::clone(own), local_copy, others })
}

#[derive(Debug)]
struct Layers {
    own: Arc<dyn ObjectStore>,
    local_copy: Option<LocalCopy>,
    others: Vec<Arc<dyn ObjectStore>>,
}

#[derive(Debug, Clone)]
struct LocalCopy {
    objects: Arc<dyn ObjectStore>,
    /// The packs that had the right bytes when they were first read.
    verified: Arc<Mutex<HashSet<Path>>>,
}

impl LocalCopy {
    /// Whether the pack is there, as a whole and right.
    async fn has(&self, location: &Path, digest: Digest) -> bool {
        let verified = || self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified().contains(location) {
            return true;
        }
        let Ok(found) = self.objects.get(location).await else { return false };
        let right = found.bytes().await.is_ok_and(|bytes| Digest::of(&bytes) == digest);
        if right {
            verified().insert(location.clone());
        } else {
            tracing::warn!(object = %location, "dropping a damaged pack of the local copy");
            self.forget(location).await;
        }
        right
    }

    async fn keep(&self, location: &Path, payload: PutPayload) {
        if let Err(error) = self.objects.put(location, payload).await {
            tracing::warn!(object = %location, %error, "a pack is missing from the local copy");
        }
    }

    async fn forget(&self, location: &Path) {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).remove(location);
        match self.objects.delete(location).await {
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(error) => {
                tracing::warn!(object = %location, %error, "a pack is left in the local copy");
            }
        }
    }
}

impl Layers {
    /// The layers that may hold an object, in the order in which they are asked.
    async fn holders(&self, location: &Path) -> Vec<&Arc<dyn ObjectStore>> {
        let Some(digest) = paths::pack_digest(location) else { return vec![&self.own] };
        if let Some(copy) = &self.local_copy
            && copy.has(location, digest).await
        {
            return vec![&copy.objects, &self.own];
        }
        std::iter::once(&self.own).chain(&self.others).collect()
    }
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.own.fmt(f)
    }
}

// A method left to its default would go around the inner store's own.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ObjectStore for Layers {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let copy = self.local_copy.as_ref().filter(|_| paths::pack_digest(location).is_some());
        let Some(copy) = copy else {
            return self.own.put_opts(location, payload, options).await;
        };
        let kept = copy.keep(location, payload.clone());
        join(self.own.put_opts(location, payload, options), kept).await.0
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.own.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut absent = None;
        for objects in self.holders(location).await {
            match objects.get_opts(location, options.clone()).await {
                Err(error @ Error::NotFound { .. }) => absent = absent.or(Some(error)),
                other => return other,
            }
        }
        Err(absent.expect("at least one layer was asked"))
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let mut absent = None;
        for objects in self.holders(location).await {
            match objects.get_ranges(location, ranges).await {
                Err(error @ Error::NotFound { .. }) => absent = absent.or(Some(error)),
                other => return other,
            }
        }
        Err(absent.expect("at least one layer was asked"))
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let Some(copy) = self.local_copy.clone() else { return self.own.delete_stream(locations) };
        let deleted = self.own.delete_stream(locations).then(move |deleted| {
            let copy = copy.clone();
            async move {
                if let Ok(location) = &deleted
                    && paths::pack_digest(location).is_some()
                {
                    copy.forget(location).await;
                }
                deleted
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.own.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.own.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.own.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.own.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.own.rename_opts(from, to, options).await
    }
}
