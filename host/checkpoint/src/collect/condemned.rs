//! Lists of condemned objects: what a collection is about to delete, written before it deletes anything.
//!
//! Such a list is there only while a collection deletes, or after one was interrupted. What it names counts as absent:
//! nobody restores or pins it. The next collection takes the list up, and deletes what is still unneeded by then.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::Generation;
use crate::paths::{self, ManifestName};
use crate::record;
use crate::store::CheckpointStore;

const KIND: &str = "statehouse-condemned";

/// What is about to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Condemned {
    /// Manifests of checkpoints.
    pub manifests: BTreeSet<ManifestName>,
    /// Packs.
    pub packs: BTreeSet<Digest>,
}

impl Condemned {
    /// The bytes of its list.
    pub(crate) fn encode(&self) -> bytes::Bytes {
        record::encode(KIND, self)
    }
}

impl CheckpointStore {
    /// Everything that is condemned.
    pub(crate) async fn condemned(&self) -> Result<Condemned, Error> {
        self.condemned_since(Generation(0)).await
    }

    /// Everything that owners of this generation and later ones have condemned.
    ///
    /// Lists of earlier owners do not matter to whoever chooses a checkpoint of this generation or later: what they
    /// name was there when this owner began, and then it counted as absent; or they were written after this owner had
    /// claimed, and then their writers found that out and deleted nothing.
    pub(crate) async fn condemned_since(&self, owner: Generation) -> Result<Condemned, Error> {
        let mut all = Condemned::default();
        for name in self.condemned_lists().await? {
            if paths::condemned_by(&name).is_none_or(|(generation, _)| generation < owner) {
                continue;
            }
            let list = match self.read_condemned(&name).await {
                Ok(list) => list,
                // The collection has ended meanwhile.
                Err(Error::Missing { .. }) => continue,
                Err(error) => return Err(error),
            };
            all.manifests.extend(list.manifests);
            all.packs.extend(list.packs);
        }
        Ok(all)
    }

    /// Everything that is condemned by lists that can be read.
    pub(crate) async fn readable_condemned(&self) -> Result<Condemned, Error> {
        let mut all = Condemned::default();
        for name in self.condemned_lists().await? {
            match self.read_condemned(&name).await {
                Ok(list) => {
                    all.manifests.extend(list.manifests);
                    all.packs.extend(list.packs);
                }
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Reads one list.
    pub(crate) async fn read_condemned(&self, name: &Path) -> Result<Condemned, Error> {
        record::decode(KIND, name.as_ref(), &self.read_file(name).await?)
    }

    /// The names of all lists.
    pub(crate) async fn condemned_lists(&self) -> Result<Vec<Path>, Error> {
        let prefix = paths::condemned_lists();
        self.objects
            .list(Some(&prefix))
            .try_filter_map(|object| async move {
                Ok(paths::condemned_by(&object.location).map(|_| object.location))
            })
            .try_collect()
            .await
            .map_err(|error| Error::store("list", &prefix, error))
    }
}
