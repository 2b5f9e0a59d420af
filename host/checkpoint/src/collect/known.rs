//! What manifests name, remembered from one collection to the next.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use futures::stream::{self, StreamExt};
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Epoch, Manifest};
use crate::manifests::history::Skip;
use crate::paths::{self, ManifestName};
use crate::store::CheckpointStore;

/// How many manifests are read at the same time.
const READS_CONCURRENT_MAX: usize = 8;

/// How often roots are listed again because one was gone when it was to be read.
const LISTINGS_MAX: u32 = 8;

/// Packs with their lengths; 0 where the length is not known.
pub(super) type Packs = BTreeMap<Digest, u64>;

/// What manifests name.
#[derive(Debug, Default)]
pub(super) struct Known {
    manifests: BTreeMap<Path, Entry>,
    /// What objects named whose names have been given to others since.
    replaced: Packs,
    /// The packs that roots named when it was last planned.
    kept: BTreeSet<Digest>,
}

#[derive(Debug)]
struct Entry {
    /// Which object it was; another one may get its name later. Nothing for names that are used once.
    version: Option<ObjectVersion>,
    parent: Option<Epoch>,
    packs: Packs,
}

/// What tells two objects of one name apart in a listing.
type ObjectVersion = (Option<String>, String, u64);

impl Known {
    /// Remembers a checkpoint that is being published.
    pub(super) fn published(&mut self, manifest: &Manifest) {
        let (epoch, generation) = (manifest.epoch, manifest.generation);
        let name = paths::manifest(ManifestName { epoch, generation });
        let (parent, packs) = (manifest.parent, packs_of(manifest));
        self.manifests.insert(name, Entry { version: None, parent, packs });
    }

    /// How many checkpoints are remembered.
    pub(super) fn checkpoints(&self) -> usize {
        self.manifests.keys().filter_map(paths::manifest_name).count()
    }

    /// Those of the checkpoints that their owner gave up: a later one of the same owner does not continue them.
    pub(super) fn given_up(&self, names: &[ManifestName]) -> BTreeSet<ManifestName> {
        let skips = names.iter().filter_map(|&name| {
            let entry = self.manifests.get(&paths::manifest(name))?;
            Skip::of(name, entry.parent)
        });
        let skips: Vec<Skip> = skips.collect();
        let is_given_up = |name: &&ManifestName| skips.iter().any(|skip| skip.has(name));
        names.iter().filter(is_given_up).copied().collect()
    }

    /// What the manifest at this name names; `None` if it is not known.
    pub(super) fn packs(&self, name: &Path) -> Option<&Packs> {
        self.manifests.get(name).map(|entry| &entry.packs)
    }

    /// Everything that any remembered manifest names.
    pub(super) fn all_packs(&self) -> Packs {
        let packs = self.manifests.values().map(|entry| &entry.packs);
        packs.chain([&self.replaced]).flatten().map(|(&pack, &length)| (pack, length)).collect()
    }

    /// Forgets manifests that have been deleted, and what they named.
    pub(super) fn forget(&mut self, gone: &BTreeSet<Path>) {
        self.manifests.retain(|name, _| !gone.contains(name));
        self.replaced.clear();
    }

    /// The remembered manifests that are not among those that are there.
    pub(super) fn disappeared(&self, there: &BTreeSet<Path>) -> BTreeSet<Path> {
        self.manifests.keys().filter(|name| !there.contains(*name)).cloned().collect()
    }

    /// Remembers which packs roots name.
    pub(super) fn keep(&mut self, kept: BTreeSet<Digest>) {
        self.kept = kept;
    }

    /// Remembers that this root names packs too.
    pub(super) fn keep_root(&mut self, root: &Path) {
        if let Some(entry) = self.manifests.get(root) {
            self.kept.extend(entry.packs.keys());
        }
    }

    /// Whether a root names the pack.
    pub(super) fn names(&self, pack: Digest) -> bool {
        self.kept.contains(&pack)
    }

    /// Lists all savepoints and pins and reads those that are not known yet. What cannot be read is `unread`.
    ///
    /// One that was listed and is gone when it is read may have been a pin that became a savepoint after savepoints
    /// were listed, so everything is listed again until all that is listed has been read.
    pub(super) async fn learn_roots(&mut self, store: &CheckpointStore) -> Result<Roots, Error> {
        for _ in 1..LISTINGS_MAX {
            let roots = self.learn_listed(store).await?;
            if !roots.unread.iter().any(|error| matches!(error, Error::Missing { .. })) {
                return Ok(roots);
            }
        }
        self.learn_listed(store).await
    }

    async fn learn_listed(&mut self, store: &CheckpointStore) -> Result<Roots, Error> {
        let listed = store.listed_roots().await?;
        let names = listed.iter().map(|root| root.name.clone()).collect();
        let unread = self.learn(store, listed).await?;
        Ok(Roots { names, unread: unread.into_iter().map(|(_, error)| error).collect() })
    }

    /// Reads those of the objects that are not known yet. Returns the damaged and the missing ones with what is wrong;
    /// they stay unknown.
    pub(super) async fn learn(
        &mut self,
        store: &CheckpointStore,
        objects: impl IntoIterator<Item = Listed>,
    ) -> Result<Vec<(Path, Error)>, Error> {
        let unknown: Vec<Listed> = objects
            .into_iter()
            .filter(|listed| {
                let entry = self.manifests.get(&listed.name);
                entry.is_none_or(|entry| entry.version != listed.version)
            })
            .collect();
        let mut reads = stream::iter(unknown)
            .map(|listed| async move {
                let manifest = store.read_manifest(&listed.name).await;
                (listed, manifest)
            })
            .buffered(READS_CONCURRENT_MAX);
        let mut unread = Vec::new();
        while let Some((listed, manifest)) = reads.next().await {
            match manifest {
                Ok(manifest) => {
                    let packs = packs_of(&manifest);
                    let entry = Entry { version: listed.version, parent: manifest.parent, packs };
                    if let Some(before) = self.manifests.insert(listed.name, entry) {
                        self.replaced.extend(before.packs);
                    }
                }
                Err(error) if error.is_damage() => unread.push((listed.name, error)),
                Err(error) => return Err(error),
            }
        }
        Ok(unread)
    }
}

/// The savepoints and pins that there are.
#[derive(Debug)]
pub(super) struct Roots {
    pub names: BTreeSet<Path>,
    /// What is wrong with those that could not be read. What they name is unknown, so nothing may be deleted.
    pub unread: Vec<Error>,
}

/// A manifest that was listed.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub name: Path,
    version: Option<ObjectVersion>,
}

impl Listed {
    /// A checkpoint, whose name is used once.
    pub(super) fn checkpoint(name: ManifestName) -> Self {
        Self { name: paths::manifest(name), version: None }
    }

    fn root(object: ObjectMeta) -> Self {
        let version = (object.e_tag, object.last_modified.to_rfc3339(), object.size);
        Self { name: object.location, version: Some(version) }
    }
}

impl CheckpointStore {
    /// All pins and savepoints.
    async fn listed_roots(&self) -> Result<Vec<Listed>, Error> {
        let mut roots = Vec::new();
        // In this order: a savepoint is created before the pin under which it was made is deleted, so whoever misses
        // the pin sees the savepoint.
        for prefix in [paths::pins(), paths::savepoints()] {
            let objects: Vec<ObjectMeta> = self
                .own
                .list(Some(&prefix))
                .try_collect()
                .await
                .map_err(|error| Error::store("list", &prefix, error))?;
            let named = |object: &ObjectMeta| paths::given_name(&object.location).is_some();
            roots.extend(objects.into_iter().filter(named).map(Listed::root));
        }
        Ok(roots)
    }
}

fn packs_of(manifest: &Manifest) -> Packs {
    manifest.packs().into_iter().map(|pack| (pack.digest, pack.length)).collect()
}
