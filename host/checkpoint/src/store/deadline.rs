//! A deadline for every request, so that a store that stalls is an error with a name and not a process that hangs.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions,
    Result, UploadPart,
};

/// The store, of which each request ends within `timeout`.
pub(super) fn wrap(inner: Arc<dyn ObjectStore>, timeout: Duration) -> Arc<dyn ObjectStore> {
    Arc::new(Deadline { inner, limit: Limit(timeout) })
}

#[derive(Debug)]
struct Deadline {
    inner: Arc<dyn ObjectStore>,
    limit: Limit,
}

#[derive(Debug, Clone, Copy)]
struct Limit(Duration);

impl Limit {
    async fn hold<T>(self, request: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(self.0, request).await.unwrap_or_else(|_| Err(self.late()))
    }

    /// Each item of an answer that comes in parts must come within the limit.
    fn hold_each<T: Send + 'static>(
        self,
        items: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let next = move |items: Option<BoxStream<'static, Result<T>>>| async move {
            let mut items = items?;
            match tokio::time::timeout(self.0, items.next()).await {
                Ok(None) => None,
                Ok(Some(item)) => Some((item, Some(items))),
                Err(_) => Some((Err(self.late()), None)),
            }
        };
        stream::unfold(Some(items), next).boxed()
    }

    fn late(self) -> Error {
        let source = format!("the store did not answer within {:?}", self.0).into();
        Error::Generic { store: "request", source }
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

// A method left to its default would go around the inner store's own.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ObjectStore for Deadline {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.limit.hold(self.inner.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.limit.hold(self.inner.put_multipart_opts(location, options)).await?;
        Ok(Box::new(DeadlineUpload { inner: upload, limit: self.limit }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut result = self.limit.hold(self.inner.get_opts(location, options)).await?;
        result.payload = match result.payload {
            GetResultPayload::Stream(parts) => {
                GetResultPayload::Stream(self.limit.hold_each(parts))
            }
            file @ GetResultPayload::File(..) => file,
        };
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.limit.hold(self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.limit.hold_each(self.inner.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.limit.hold_each(self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.limit.hold_each(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.limit.hold(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.limit.hold(self.inner.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.limit.hold(self.inner.rename_opts(from, to, options)).await
    }
}

/// A multipart upload of which each part ends within the limit.
#[derive(Debug)]
struct DeadlineUpload {
    inner: Box<dyn MultipartUpload>,
    limit: Limit,
}

#[async_trait]
impl MultipartUpload for DeadlineUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let limit = self.limit;
        let part = self.inner.put_part(data);
        async move { limit.hold(part).await }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let limit = self.limit;
        limit.hold(self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        let limit = self.limit;
        limit.hold(self.inner.abort()).await
    }
}
