//! The stores that a start has to do with: the job's own, those that it goes on from, and where these have their packs.

use std::collections::BTreeMap;

use futures::executor::block_on;
use statehouse_checkpoint::{CheckpointStore, Durability, Error};

use crate::environment;
use crate::job_file::JobFile;
use crate::place::Place;

/// How long a row of forks of forks may be: each is one more place to look for a pack.
const ORIGINS_DEEP_MAX: usize = 16;

/// What a job file says of how stores are reached. It holds for every URL of the same scheme as its own; for all if its
/// own place is a folder, which needs no options.
#[derive(Debug, Clone, Default)]
pub struct StoreOptions {
    scheme: Option<String>,
    options: BTreeMap<String, String>,
}

impl StoreOptions {
    /// The options that a job file has for its own place.
    pub fn of_job(file: &JobFile) -> Self {
        let scheme = file.checkpoint_place().and_then(|place| place.scheme().map(str::to_owned));
        let options = file.checkpoint.as_ref().map(|table| table.store_options());
        Self { scheme, options: options.unwrap_or_default() }
    }

    /// Everything that is said about this URL: by the environment, and over it by the job file.
    fn for_url(&self, url: &str) -> BTreeMap<String, String> {
        let mut options = environment::store_options(url);
        let scheme = self.scheme.as_deref();
        if scheme.is_none() || scheme == Place::Url(url.to_owned()).scheme() {
            options.extend(self.options.clone());
        }
        options
    }
}

/// The store of a job, and where it is.
#[derive(Debug, Clone)]
pub(super) struct OwnStore {
    pub(super) place: Place,
    pub(super) options: StoreOptions,
    pub(super) store: CheckpointStore,
}

/// Opens a store, with those that hold packs for it. A folder must be there.
///
/// # Errors
/// If one of them cannot be opened or read.
pub fn open_store(place: &Place, options: &StoreOptions) -> Result<CheckpointStore, Error> {
    with_origins(open_alone(place, options)?, options, ORIGINS_DEEP_MAX)
}

fn open_alone(place: &Place, options: &StoreOptions) -> Result<CheckpointStore, Error> {
    match place {
        Place::Directory(directory) => {
            CheckpointStore::open_directory(directory, Durability::Power)
        }
        Place::Url(url) => CheckpointStore::open(url, &options.for_url(url), Durability::Power),
    }
}

fn with_origins(
    mut store: CheckpointStore,
    options: &StoreOptions,
    deep: usize,
) -> Result<CheckpointStore, Error> {
    if deep == 0 {
        return Ok(store);
    }
    for origin in block_on(store.origins())? {
        let place = Place::parse(&origin.location, "".as_ref());
        let other = with_origins(open_alone(&place, options)?, options, deep - 1)?;
        store = store.with_origin(other, origin);
    }
    Ok(store)
}

/// The job's own store, if it has one and it is there already. Nothing is made.
pub(super) fn open_if_there(file: &JobFile) -> Result<Option<OwnStore>, Error> {
    match file.checkpoint_place() {
        Some(Place::Directory(directory)) if !directory.is_dir() => Ok(None),
        _ => open_own(file),
    }
}

/// The job's own store, if it has one.
pub(super) fn open_own(file: &JobFile) -> Result<Option<OwnStore>, Error> {
    let (Some(table), Some(place)) = (&file.checkpoint, file.checkpoint_place()) else {
        return Ok(None);
    };
    let options = StoreOptions::of_job(file);
    let mut store = open_store(&place, &options)?;
    if let Some(folder) = &table.local_copy {
        store = store.with_local_copy(&file.directory().join(folder))?;
    }
    Ok(Some(OwnStore { place, options, store }))
}
