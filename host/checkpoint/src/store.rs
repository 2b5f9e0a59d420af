//! The store of a job's checkpoints: where it is. What it does is in `packs.rs`, `manifests.rs`, `fence.rs`,
//! `roots.rs`, `collect.rs`, `scrub.rs` and `copy.rs`.
//!
//! *Crash safety.* Packs are written first, the manifest last and with create-if-absent, so a
//! checkpoint is there as a whole or not at all. A crash in between leaves packs that no manifest
//! names; they do no harm and cost space until collection removes them.
//!
//! *Retries.* In one place: the clients of remote stores retry what can be retried, within the bounds that
//! `store/location.rs` sets; a local directory or memory that fails once fails again.
//!
//! *Integrity.* Whatever is read is compared with its hash before any of it is handed out.
//!
//! *Layers.* Everything goes through one `ObjectStore`, which is put together from wrappers (`store/`): a deadline for
//! each request, conditions for stores that ignore them, a local copy of packs. Packs are read from the first of
//! several places that has them: the local copy, the store itself, and the stores that it continues.

mod conditions;
mod deadline;
mod local_copy;
mod location;
#[cfg(test)]
pub(crate) mod tests;

use std::path::Path as Directory;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use crate::error::Error;
use crate::metered::{MeteredStore, StoreMetrics};
use crate::paths;
use crate::roots::origins::OriginRecord;

pub use location::{environment_options, local_directory};

/// The checkpoints of one job. Cloning it is cheap; all clones are the same store.
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    /// Reads and writes go here, but packs are read from several places.
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// The same without the local copy: what this store itself has.
    pub(crate) own: Arc<dyn ObjectStore>,
    conditions: Arc<conditions::Conditions>,
    local_copy: Option<Arc<dyn ObjectStore>>,
    origins: Arc<Vec<Origin>>,
}

/// Another store that holds packs of this one.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub record: OriginRecord,
    pub store: CheckpointStore,
}

/// What a written object in a local directory survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Loss of power: files and directories are flushed to the disk before a write counts.
    #[default]
    Power,
    /// The end of the process only. Faster; for tests and throw-away runs.
    Process,
}

/// Whether an object was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Created {
    /// By this call.
    New,
    /// By another one; nothing was written.
    Existed,
}

impl CheckpointStore {
    /// Checkpoints in any object store. The store must belong to this job alone.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        let conditions = Arc::new(conditions::Conditions::default());
        let own = conditions::wrap(objects, &conditions);
        Self {
            objects: Arc::clone(&own),
            own,
            conditions,
            local_copy: None,
            origins: Arc::default(),
        }
    }

    /// Checkpoints in memory; they are gone with the last clone.
    pub fn in_memory() -> Self {
        Self::new(Arc::new(InMemory::new()))
    }

    /// Checkpoints in a local directory, which must exist. Owners hold its
    /// [`DirectoryLock`](crate::DirectoryLock); to look, no lock is needed.
    ///
    /// # Errors
    /// [`Error::Directory`] if it does not exist or is no directory.
    pub fn open_directory(
        directory: impl AsRef<Directory>,
        durability: Durability,
    ) -> Result<Self, Error> {
        Ok(Self::new(open_folder(directory.as_ref(), durability)?))
    }

    /// The same store, with every request counted.
    #[must_use]
    pub fn metered(self, metrics: &StoreMetrics) -> Self {
        let own: Arc<dyn ObjectStore> = Arc::new(MeteredStore::new(self.own, metrics.clone()));
        Self { own, ..self }.layered()
    }

    /// The same store, of which each request fails by name if it takes longer than this. Needs a tokio runtime with
    /// time. A request that moves many bytes counts as one: allow for a pack of 32 MiB.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        let own = deadline::wrap(self.own, timeout);
        Self { own, ..self }.layered()
    }

    /// The same store, which keeps its packs in `directory` too and reads them there first. The directory is created.
    /// It must be used by this job alone.
    ///
    /// # Errors
    /// [`Error::Directory`] if it cannot be created.
    pub fn with_local_copy(self, directory: &Directory) -> Result<Self, Error> {
        let error = |source| Error::Directory { directory: directory.to_path_buf(), source };
        std::fs::create_dir_all(directory).map_err(error)?;
        // A copy that is lost or damaged is read from the store itself.
        let local_copy = Some(open_folder(directory, Durability::Process)?);
        Ok(Self { local_copy, ..self }.layered())
    }

    /// The same store, which reads packs that it does not have from another one.
    #[must_use]
    pub fn with_origin(self, store: CheckpointStore, record: OriginRecord) -> Self {
        let mut origins = self.origins.to_vec();
        origins.push(Origin { record, store });
        Self { origins: Arc::new(origins), ..self }
    }

    /// The local copy of packs, if there is one.
    pub(crate) fn local_copy(&self) -> Option<&dyn ObjectStore> {
        self.local_copy.as_deref()
    }

    /// Deletes a pack from the local copy only. If that fails, it costs space and nothing else.
    pub(crate) async fn forget_copy(&self, name: &Path) {
        if let Some(copy) = self.local_copy() {
            local_copy::forget(copy, name).await;
        }
    }

    /// Where packs are written.
    pub(crate) fn objects(&self) -> &dyn ObjectStore {
        &*self.objects
    }

    /// Where packs may be, in the order in which to look.
    pub(crate) fn places(&self) -> Vec<&dyn ObjectStore> {
        let mut places: Vec<&dyn ObjectStore> =
            self.local_copy.iter().map(|copy| &**copy).collect();
        places.push(&*self.own);
        places.extend(self.origins.iter().flat_map(|origin| origin.store.places()));
        places
    }

    /// The same store without its local copy and origins: what it has itself.
    pub(crate) fn alone(&self) -> Self {
        let objects = Arc::clone(&self.own);
        Self { objects, local_copy: None, origins: Arc::default(), ..self.clone() }
    }

    /// The same store without its local copy.
    pub(crate) fn without_local_copy(&self) -> Self {
        Self { objects: Arc::clone(&self.own), local_copy: None, ..self.clone() }
    }

    /// Whether this store itself has an object.
    pub(crate) async fn has_object(&self, name: &Path) -> Result<bool, Error> {
        Ok(self.object_length(name).await?.is_some())
    }

    /// The length of an object in this store itself; `None` if there is none.
    pub(crate) async fn object_length(&self, name: &Path) -> Result<Option<u64>, Error> {
        match self.own.head(name).await {
            Ok(object) => Ok(Some(object.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Error::store("look for", name, error)),
        }
    }

    /// The origins that are open.
    pub(crate) fn opened_origins(&self) -> &[Origin] {
        &self.origins
    }

    fn layered(self) -> Self {
        let objects = local_copy::wrap(&self.own, self.local_copy.as_ref());
        Self { objects, ..self }
    }

    /// Whether the store refuses to create an object that exists. If it does not, this store looks before it writes,
    /// which is enough where each name has one writer; claims have names of their own.
    pub(crate) async fn honours_conditions(&self) -> Result<bool, Error> {
        if let Some(known) = self.conditions.known() {
            return Ok(known);
        }
        let name = paths::probe();
        let mut honoured = false;
        // Where it exists already, and conditions are honoured, one request tells.
        for _ in 0..2 {
            let payload = PutPayload::from_static(b"statehouse-probe\n");
            match self.own.put_opts(&name, payload, PutMode::Create.into()).await {
                Ok(_) => {}
                Err(object_store::Error::AlreadyExists { .. }) => {
                    honoured = true;
                    break;
                }
                Err(object_store::Error::NotImplemented { .. }) => break,
                Err(error) => return Err(Error::store("write", &name, error)),
            }
        }
        if !honoured {
            tracing::warn!(
                "the store of checkpoints ignores conditions of writes; owners are told apart by what they list"
            );
        }
        self.conditions.set(honoured);
        Ok(honoured)
    }

    /// Creates an object unless it exists.
    pub(crate) async fn create(&self, name: &Path, bytes: Bytes) -> Result<Created, Error> {
        let payload = PutPayload::from_bytes(bytes);
        match self.objects.put_opts(name, payload, PutMode::Create.into()).await {
            Ok(_) => Ok(Created::New),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Created::Existed),
            Err(error) => Err(Error::store("write", name, error)),
        }
    }

    /// Writes an object, whether or not it exists.
    pub(crate) async fn put(&self, name: &Path, bytes: Bytes) -> Result<(), Error> {
        let written = self.objects.put(name, PutPayload::from_bytes(bytes)).await;
        written.map(|_| ()).map_err(|error| Error::store("write", name, error))
    }

    /// Deletes an object. That there is none is success.
    pub(crate) async fn delete(&self, name: &Path) -> Result<(), Error> {
        match self.objects.delete(name).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::store("delete", name, error)),
        }
    }

    /// The names in `<prefix>/<name>.json` with their lengths, in order.
    pub(crate) async fn named_files(&self, prefix: &Path) -> Result<Vec<(String, u64)>, Error> {
        use futures::TryStreamExt as _;
        let mut names: Vec<(String, u64)> = self
            .objects
            .list(Some(prefix))
            .try_filter_map(|object| async move {
                Ok(paths::given_name(&object.location).map(|name| (name.to_owned(), object.size)))
            })
            .try_collect()
            .await
            .map_err(|error| Error::store("list", prefix, error))?;
        names.sort_unstable();
        Ok(names)
    }
}

fn open_folder(
    directory: &Directory,
    durability: Durability,
) -> Result<Arc<dyn ObjectStore>, Error> {
    let error = |source| Error::Directory { directory: directory.to_path_buf(), source };
    std::fs::read_dir(directory).map_err(error)?;
    let objects = LocalFileSystem::new_with_prefix(directory)
        .map_err(|source| error(std::io::Error::other(source)))?
        .with_fsync(durability == Durability::Power);
    Ok(Arc::new(objects))
}
