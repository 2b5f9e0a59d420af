//! Creating objects in stores that ignore the condition of a conditional write.
//!
//! There the wrapper looks before it writes. Two writers of one name can then both believe that they created it, so
//! nothing rests on it where two can want the same name: claims have names of their own, manifests and start records
//! are named after the generation of their owner, packs after their bytes. Of two users who give a savepoint the same
//! name at the same time, one would win.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, Result,
};

/// What is known about a store.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    honoured: OnceLock<bool>,
}

impl Conditions {
    /// Whether conditions are honoured; `None` before it was tried.
    pub(super) fn known(&self) -> Option<bool> {
        self.honoured.get().copied()
    }

    /// Keeps the result of the first trial.
    pub(super) fn set(&self, honoured: bool) {
        self.honoured.get_or_init(|| honoured);
    }
}

/// The store, with creation by looking first once it is known that conditions are ignored.
pub(super) fn wrap(
    inner: Arc<dyn ObjectStore>,
    conditions: &Arc<Conditions>,
) -> Arc<dyn ObjectStore> {
    Arc::new(Looking { inner, conditions: Arc::clone(conditions) })
}

#[derive(Debug)]
struct Looking {
    inner: Arc<dyn ObjectStore>,
    conditions: Arc<Conditions>,
}

impl fmt::Display for Looking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

// A method left to its default would go around the inner store's own.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ObjectStore for Looking {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        if options.mode == PutMode::Create && self.conditions.known() == Some(false) {
            match self.inner.head(location).await {
                Ok(_) => {
                    let path = location.to_string();
                    let source = "it was there before it was written".into();
                    return Err(Error::AlreadyExists { path, source });
                }
                Err(Error::NotFound { .. }) => options.mode = PutMode::Overwrite,
                Err(error) => return Err(error),
            }
        }
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}
