//! A store that fails on demand, for tests: crash after the n-th request, lose an answer, never answer, damage.

pub mod servers;

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, Result, UploadPart,
};

use crate::store::CheckpointStore;

/// A number that no request reaches.
const NEVER: u64 = u64::MAX;

/// Wraps a store, counts requests, and fails them on demand. All clones are the same store.
#[derive(Debug, Clone)]
pub struct FaultStore {
    inner: Arc<dyn ObjectStore>,
    faults: Arc<Faults>,
}

struct Faults {
    calls: AtomicU64,
    crash_after: AtomicU64,
    lost_answer: AtomicU64,
    /// A request that is not answered, and whether it takes effect.
    stall: Mutex<Option<(u64, bool)>>,
    action: Mutex<Option<(u64, Action)>>,
}

/// Something that another process does meanwhile.
type Action = Box<dyn FnOnce() + Send>;

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("calls", &self.calls)
            .field("crash_after", &self.crash_after)
            .field("lost_answer", &self.lost_answer)
            .finish_non_exhaustive()
    }
}

impl FaultStore {
    /// Wraps `inner`; no request fails.
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        let faults = Faults {
            calls: AtomicU64::new(0),
            crash_after: AtomicU64::new(NEVER),
            lost_answer: AtomicU64::new(NEVER),
            stall: Mutex::new(None),
            action: Mutex::new(None),
        };
        Self { inner, faults: Arc::new(faults) }
    }

    /// Wraps a store in memory.
    pub fn in_memory() -> Self {
        Self::new(Arc::new(InMemory::new()))
    }

    /// A checkpoint store on this store.
    pub fn checkpoints(&self) -> CheckpointStore {
        CheckpointStore::new(Arc::new(self.clone()))
    }

    /// How many requests were made so far, failed ones included. Each deleted object is one.
    pub fn calls(&self) -> u64 {
        self.faults.calls.load(Ordering::SeqCst)
    }

    /// Lets `calls` more requests through; every later one fails and has no effect.
    pub fn crash_after(&self, calls: u64) {
        self.faults.crash_after.store(self.calls() + calls, Ordering::SeqCst);
    }

    /// The request after `calls` more takes effect, but its caller gets an error. Deletions are not
    /// covered.
    pub fn lose_answer_after(&self, calls: u64) {
        self.faults.lost_answer.store(self.calls() + calls, Ordering::SeqCst);
    }

    /// The request after `calls` more is never answered. It takes effect, or does not.
    pub fn stall_after(&self, calls: u64, takes_effect: bool) {
        *self.faults.stall() = Some((self.calls() + calls, takes_effect));
    }

    /// Runs `action` right before the request after `calls` more, once. With this a test places
    /// what another process does between any two requests; the action needs a thread of its own
    /// to wait for futures.
    pub fn before_request_after(&self, calls: u64, action: impl FnOnce() + Send + 'static) {
        let mut slot = self.faults.action.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some((self.calls() + calls, Box::new(action)));
    }

    /// The wrapped store, where no request is counted and none fails.
    pub fn inner(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.inner)
    }

    /// As after a restart: no request fails. What was written is still there.
    pub fn heal(&self) {
        self.faults.crash_after.store(NEVER, Ordering::SeqCst);
        self.faults.lost_answer.store(NEVER, Ordering::SeqCst);
        *self.faults.stall() = None;
    }

    /// The names of all objects, in order.
    ///
    /// # Errors
    /// Failures of the inner store; faults do not apply.
    pub async fn objects(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = self
            .inner
            .list(None)
            .map_ok(|object| object.location.to_string())
            .try_collect()
            .await?;
        names.sort_unstable();
        Ok(names)
    }

    /// The bytes of an object.
    ///
    /// # Errors
    /// Failures of the inner store; faults do not apply.
    pub async fn bytes(&self, object: &str) -> Result<Bytes> {
        self.inner.get(&Path::from(object)).await?.bytes().await
    }

    /// Replaces the bytes of an object, as damage would.
    ///
    /// # Errors
    /// Failures of the inner store; faults do not apply.
    pub async fn replace(&self, object: &str, bytes: impl Into<Bytes>) -> Result<()> {
        let payload = PutPayload::from_bytes(bytes.into());
        self.inner.put(&Path::from(object), payload).await.map(|_| ())
    }

    /// Removes an object, as an accident would.
    ///
    /// # Errors
    /// Failures of the inner store; faults do not apply.
    pub async fn remove(&self, object: &str) -> Result<()> {
        self.inner.delete(&Path::from(object)).await
    }
}

impl Faults {
    /// Counts a request; fails if the process is to have crashed before it. Returns its number.
    fn admit(&self) -> Result<u64> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let action = self
            .action
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_if(|(number, _)| *number == call);
        if let Some((_, action)) = action {
            action();
        }
        if call >= self.crash_after.load(Ordering::SeqCst) {
            return Err(failure(format!("crashed before request {call}")));
        }
        Ok(call)
    }

    fn stall(&self) -> MutexGuard<'_, Option<(u64, bool)>> {
        self.stall.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for ever if the request is not to be answered: before its effect, or after it.
    async fn wait(&self, call: u64, after_effect: bool) {
        if *self.stall() == Some((call, after_effect)) {
            std::future::pending::<()>().await;
        }
    }

    /// A listing, which is one request.
    fn listed(
        self: &Arc<Self>,
        list: impl FnOnce() -> BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        // A store in memory looks when it is asked for the list, so what happens before must have happened by then.
        let admitted = self.admit().and_then(|call| self.answer(call, Ok(call)));
        let faults = Arc::clone(self);
        match admitted {
            Ok(call) => stream::once(async move { faults.wait(call, false).await })
                .filter_map(|()| std::future::ready(None))
                .chain(list())
                .boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    /// Loses the answer of a request that took effect, if it is to be lost.
    fn answer<T>(&self, call: u64, answer: Result<T>) -> Result<T> {
        if call == self.lost_answer.load(Ordering::SeqCst) {
            return Err(failure(format!("the answer to request {call} is lost")));
        }
        answer
    }
}

fn failure(reason: String) -> Error {
    Error::Generic { store: "FaultStore", source: reason.into() }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultStore({})", self.inner)
    }
}

// A method left to its default would go around the inner store's own.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let call = self.faults.admit()?;
        self.faults.wait(call, false).await;
        let written = self.inner.put_opts(location, payload, options).await;
        self.faults.wait(call, true).await;
        self.faults.answer(call, written)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let call = self.faults.admit()?;
        let inner = self.inner.put_multipart_opts(location, options).await;
        let upload = self.faults.answer(call, inner)?;
        Ok(Box::new(FaultUpload { inner: upload, faults: Arc::clone(&self.faults) }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let call = self.faults.admit()?;
        self.faults.wait(call, false).await;
        self.faults.answer(call, self.inner.get_opts(location, options).await)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let call = self.faults.admit()?;
        self.faults.wait(call, false).await;
        self.faults.answer(call, self.inner.get_ranges(location, ranges).await)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let faults = Arc::clone(&self.faults);
        let admitted = locations.then(move |location| {
            let faults = Arc::clone(&faults);
            async move {
                let location = location?;
                let call = faults.admit()?;
                faults.wait(call, false).await;
                Ok(location)
            }
        });
        self.inner.delete_stream(admitted.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.faults.listed(|| self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.faults.listed(|| self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let call = self.faults.admit()?;
        self.faults.answer(call, self.inner.list_with_delimiter(prefix).await)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let call = self.faults.admit()?;
        self.faults.answer(call, self.inner.copy_opts(from, to, options).await)
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let call = self.faults.admit()?;
        self.faults.answer(call, self.inner.rename_opts(from, to, options).await)
    }
}

/// A multipart upload of which each part is a request.
#[derive(Debug)]
struct FaultUpload {
    inner: Box<dyn MultipartUpload>,
    faults: Arc<Faults>,
}

#[async_trait]
impl MultipartUpload for FaultUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match self.faults.admit() {
            Ok(call) => {
                let faults = Arc::clone(&self.faults);
                let part = self.inner.put_part(data);
                async move { faults.answer(call, part.await) }.boxed()
            }
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let call = self.faults.admit()?;
        self.faults.answer(call, self.inner.complete().await)
    }

    async fn abort(&mut self) -> Result<()> {
        let call = self.faults.admit()?;
        self.faults.answer(call, self.inner.abort().await)
    }
}
