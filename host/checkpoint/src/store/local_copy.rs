//! A local copy of packs, to read them from faster. Written with the store, deleted with the store.
//!
//! Whoever reads a pack looks here first and checks what it finds as everywhere; so a copy that is lost, damaged or
//! could not be written costs speed and nothing else.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

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

use crate::paths;

/// The store `own`, whose packs are written to the copy too.
pub(super) fn wrap(
    own: &Arc<dyn ObjectStore>,
    copy: Option<&Arc<dyn ObjectStore>>,
) -> Arc<dyn ObjectStore> {
    match copy {
        None => Arc::clone(own),
        Some(copy) => Arc::new(WithCopy { own: Arc::clone(own), copy: Arc::clone(copy) }),
    }
}

#[derive(Debug)]
struct WithCopy {
    own: Arc<dyn ObjectStore>,
    copy: Arc<dyn ObjectStore>,
}

async fn keep(copy: &dyn ObjectStore, location: &Path, payload: PutPayload) {
    if let Err(error) = copy.put(location, payload).await {
        tracing::warn!(object = %location, %error, "a pack is missing from the local copy");
    }
}

pub(super) async fn forget(copy: &dyn ObjectStore, location: &Path) {
    match copy.delete(location).await {
        Ok(()) | Err(Error::NotFound { .. }) => {}
        Err(error) => {
            tracing::warn!(object = %location, %error, "a pack is left in the local copy");
        }
    }
}

impl fmt::Display for WithCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.own.fmt(f)
    }
}

// A method left to its default would go around the inner store's own.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ObjectStore for WithCopy {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if paths::pack_digest(location).is_none() {
            return self.own.put_opts(location, payload, options).await;
        }
        let kept = keep(&*self.copy, location, payload.clone());
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
        self.own.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.own.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let copy = Arc::clone(&self.copy);
        // The copy goes first, and so it also goes if somebody else has deleted the pack already.
        let locations = locations.then(move |location| {
            let copy = Arc::clone(&copy);
            async move {
                if let Ok(location) = &location
                    && paths::pack_digest(location).is_some()
                {
                    forget(&*copy, location).await;
                }
                location
            }
        });
        self.own.delete_stream(locations.boxed())
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
