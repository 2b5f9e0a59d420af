//! Counting what a store is asked for: requests by kind, and bytes.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

/// Requests to a store so far. All clones count the same store.
#[derive(Debug, Clone, Default)]
pub struct StoreMetrics {
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    reads: AtomicU64,
    writes: AtomicU64,
    lists: AtomicU64,
    deletes: AtomicU64,
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
}

/// What [`StoreMetrics`] had counted at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreCounts {
    /// Requests for objects or ranges of them.
    pub reads: u64,
    /// Requests that write an object, or a part of one.
    pub writes: u64,
    /// Requests for names.
    pub lists: u64,
    /// Objects deleted.
    pub deletes: u64,
    /// Bytes of the objects and ranges that were asked for.
    pub read_bytes: u64,
    /// Bytes of the objects that were written.
    pub written_bytes: u64,
}

impl StoreMetrics {
    /// What has been counted so far.
    pub fn counts(&self) -> StoreCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &*self.counts;
        StoreCounts {
            reads: read(&counts.reads),
            writes: read(&counts.writes),
            lists: read(&counts.lists),
            deletes: read(&counts.deletes),
            read_bytes: read(&counts.read_bytes),
            written_bytes: read(&counts.written_bytes),
        }
    }

    fn read(&self, bytes: u64) {
        self.counts.reads.fetch_add(1, Ordering::Relaxed);
        self.counts.read_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn written(&self, bytes: usize) {
        self.counts.writes.fetch_add(1, Ordering::Relaxed);
        self.counts.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn listed(&self) {
        self.counts.lists.fetch_add(1, Ordering::Relaxed);
    }
}

impl std::ops::Sub for StoreCounts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            reads: self.reads - before.reads,
            writes: self.writes - before.writes,
            lists: self.lists - before.lists,
            deletes: self.deletes - before.deletes,
            read_bytes: self.read_bytes - before.read_bytes,
            written_bytes: self.written_bytes - before.written_bytes,
        }
    }
}

/// A store whose requests are counted.
#[derive(Debug)]
pub(crate) struct MeteredStore {
    inner: Arc<dyn ObjectStore>,
    metrics: StoreMetrics,
}

impl MeteredStore {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, metrics: StoreMetrics) -> Self {
        Self { inner, metrics }
    }
}

impl fmt::Display for MeteredStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

// A method left to its default would go around the inner store's own.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ObjectStore for MeteredStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.metrics.written(payload.content_length());
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(MeteredUpload { inner, metrics: self.metrics.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let result = self.inner.get_opts(location, options).await;
        let bytes = result.as_ref().map_or(0, |found| found.range.end - found.range.start);
        self.metrics.read(bytes);
        result
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.metrics.read(ranges.iter().map(|range| range.end - range.start).sum());
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let metrics = self.metrics.clone();
        let counted = locations.inspect(move |_| {
            metrics.counts.deletes.fetch_add(1, Ordering::Relaxed);
        });
        self.inner.delete_stream(counted.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.metrics.listed();
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.metrics.listed();
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.metrics.listed();
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.metrics.written(0);
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.metrics.written(0);
        self.inner.rename_opts(from, to, options).await
    }
}

/// An upload in parts of which each is a request.
#[derive(Debug)]
struct MeteredUpload {
    inner: Box<dyn MultipartUpload>,
    metrics: StoreMetrics,
}

#[async_trait]
impl MultipartUpload for MeteredUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.metrics.written(data.content_length());
        self.inner.put_part(data).boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    #[test]
    fn requests_and_bytes_are_counted_by_kind() {
        let metrics = StoreMetrics::default();
        let store = MeteredStore::new(Arc::new(InMemory::new()), metrics.clone());
        let name = Path::from("packs/x");
        block_on(async {
            store.put(&name, "12345".into()).await.unwrap();
            assert_eq!(store.get(&name).await.unwrap().bytes().await.unwrap().len(), 5);
            assert_eq!(store.get_ranges(&name, &[0..2, 3..4]).await.unwrap().len(), 2);
            assert_eq!(store.list(None).count().await, 1);
            store.delete(&name).await.unwrap();
        });
        let expected = StoreCounts {
            reads: 2,
            writes: 1,
            lists: 1,
            deletes: 1,
            read_bytes: 8,
            written_bytes: 5,
        };
        assert_eq!(metrics.counts(), expected);
        assert_eq!(expected - expected, StoreCounts::default());
    }
}
