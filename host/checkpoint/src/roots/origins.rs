//! Origins: other stores that hold packs of this one, because this job was forked or restored from them.
//!
//! Manifests never say where a pack is. It is in the job's own store, or in one of its origins, or in one of theirs.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::manifest::Manifest;
use crate::paths;
use crate::record;
use crate::store::{CheckpointStore, Created, Durability, local_directory};

const KIND: &str = "statehouse-origin";

/// How many records are read at the same time.
const READS_CONCURRENT_MAX: usize = 8;

/// How many stores may follow each other: a fork of a fork of a fork, without any of them having let go.
const DEPTH_MAX: u32 = 16;

/// Where packs are that the own store does not have, and the pin that keeps them there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OriginRecord {
    /// An absolute path, or a URL.
    pub location: String,
    /// The id of the pin there, and of this record here.
    pub pin: String,
}

impl CheckpointStore {
    /// All origins, in the order of their pins' ids, whether or not they are open.
    ///
    /// # Errors
    /// Damage; failures of the store.
    pub async fn origins(&self) -> Result<Vec<OriginRecord>, Error> {
        let files = self.named_files(&paths::origins()).await?;
        stream::iter(files)
            .map(|(id, _)| async move {
                match self.read_origin_record(&paths::origin(&id)?).await {
                    Ok(record) => Ok(Some(record)),
                    // The owner has just let go of it.
                    Err(Error::Missing { .. }) => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .buffered(READS_CONCURRENT_MAX)
            .try_filter_map(|record| async move { Ok(record) })
            .try_collect()
            .await
    }

    pub(crate) async fn read_origin_record(&self, name: &Path) -> Result<OriginRecord, Error> {
        record::decode(KIND, name.as_ref(), &self.read_file(name).await?)
    }

    /// Records an origin. To keep what is there, [`CheckpointStore::adopt`] does this and pins.
    ///
    /// # Errors
    /// [`Error::NameTaken`] if the pin's id stands for another place; failures of the store.
    pub async fn add_origin(&self, origin: &OriginRecord) -> Result<(), Error> {
        let name = paths::origin(&origin.pin)?;
        let file = record::encode(KIND, origin);
        if self.create(&name, file.clone()).await? == Created::Existed
            && self.read_file(&name).await? != file
        {
            return Err(Error::NameTaken { object: name.to_string() });
        }
        Ok(())
    }

    /// Lets this store continue a checkpoint of another one without copying it: the checkpoint is pinned there and the
    /// place recorded here. Returns this store with the other one opened behind it. The pin's id must be unlike any
    /// other.
    ///
    /// # Errors
    /// As [`CheckpointStore::pin`]: if the checkpoint has been collected meanwhile, nothing is left behind.
    /// Failures of either store.
    pub async fn adopt(
        &self,
        other: &CheckpointStore,
        origin: &OriginRecord,
        manifest: &Manifest,
    ) -> Result<Self, Error> {
        // In this order: a pin that nobody knows of would never be deleted, a record without a pin is.
        self.add_origin(origin).await?;
        match other.pin(&origin.pin, manifest).await {
            Ok(()) => Ok(self.clone().with_origin(other.clone(), origin.clone())),
            Err(error) if error.is_collected() => {
                self.forget_origin(&origin.pin).await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// This store with all its origins opened, and theirs. `options` are for the clients of remote ones.
    ///
    /// # Errors
    /// An origin that cannot be opened; damage; failures of the stores.
    pub async fn with_origins_opened(
        self,
        options: &BTreeMap<String, String>,
        durability: Durability,
    ) -> Result<Self, Error> {
        self.open_origins(options, durability, DEPTH_MAX).await
    }

    async fn open_origins(
        mut self,
        options: &BTreeMap<String, String>,
        durability: Durability,
        depth: u32,
    ) -> Result<Self, Error> {
        for origin in self.origins().await? {
            let is_open = |open: &crate::store::Origin| open.record == origin;
            if depth == 0 || self.opened_origins().iter().any(is_open) {
                continue;
            }
            let none = BTreeMap::new();
            let is_local = local_directory(&origin.location).is_some();
            let options_here = if is_local { &none } else { options };
            let store = Self::open(&origin.location, options_here, durability)?;
            let store = Box::pin(store.open_origins(options, durability, depth - 1)).await?;
            self = self.with_origin(store, origin);
        }
        Ok(self)
    }

    /// Deletes the record of an origin.
    pub(crate) async fn forget_origin(&self, pin: &str) -> Result<(), Error> {
        self.delete(&paths::origin(pin)?).await
    }

    /// Reads the checkpoint that is pinned in an origin. The origin must be open.
    ///
    /// # Errors
    /// [`Error::OriginClosed`]; as [`CheckpointStore::read`], for the pin there.
    pub async fn read_origin(&self, pin: &str) -> Result<Manifest, Error> {
        match self.opened_origins().iter().find(|origin| origin.record.pin == pin) {
            Some(origin) => origin.store.read_pin(pin).await,
            None => {
                let origins = self.origins().await?;
                let known = origins.into_iter().find(|origin| origin.pin == pin);
                let object = paths::origin(pin)?.to_string();
                Err(match known {
                    Some(OriginRecord { location, .. }) => {
                        Error::OriginClosed { origin: object, location }
                    }
                    None => Error::Missing { object },
                })
            }
        }
    }
}
