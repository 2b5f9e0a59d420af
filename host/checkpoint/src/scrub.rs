//! Scrubbing: everything in the store is read and compared with its hash, and mended from another store if there is
//! one.
//!
//! Unlike a look at one checkpoint it covers what nothing names, and it never takes a pack from the local copy for the
//! store's own. While the job runs, what is collected meanwhile is not taken for damage.

mod repair;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};
use object_store::path::Path;

use crate::collect::orphans::packs_in;
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Manifest, PackFormat, PackRef};
use crate::paths::{self, ManifestName};
use crate::store::CheckpointStore;

/// How many packs are read at the same time; with the size of a pack the memory it needs.
const READS_CONCURRENT_MAX: usize = 4;

/// How the pins of copies begin that are still arriving: their packs may be missing.
const ARRIVAL: &str = "arrival-";

/// What a scrub has found.
#[derive(Debug, Default)]
pub struct ScrubReport {
    /// Checkpoints that are readable.
    pub checkpoints: usize,
    /// Savepoints that are readable.
    pub savepoints: usize,
    /// Pins that are readable.
    pub pins: usize,
    /// Packs that were read.
    pub packs: usize,
    /// Their bytes.
    pub pack_bytes: u64,
    /// Components that were read.
    pub components: usize,
    /// Packs that nothing names: of the checkpoint that is being made, or to be collected.
    pub unnamed_packs: usize,
    /// What is wrong, by object.
    pub damage: Vec<Damage>,
}

/// An object that is damaged or missing.
#[derive(Debug)]
pub struct Damage {
    /// Its name in the store.
    pub object: String,
    /// What is wrong with it.
    pub error: Error,
    /// The manifests that name it, in order; none for objects that are not packs, and for packs that nothing names.
    pub named_by: Vec<String>,
    /// Whether it has been mended.
    pub is_repaired: bool,
}

impl ScrubReport {
    /// Whether everything is as it should be by now.
    pub fn is_clean(&self) -> bool {
        self.damage.iter().all(|damage| damage.is_repaired)
    }
}

/// A pack that manifests name.
#[derive(Debug)]
struct Named {
    pack: PackRef,
    by: Vec<String>,
}

impl CheckpointStore {
    /// Reads every manifest, savepoint, pin, record and pack and checks it. What is damaged or missing is replaced by
    /// what `repair_from` has, where that is certain to be the same.
    ///
    /// # Errors
    /// Failures of either store: then nothing is known.
    pub async fn scrub(&self, repair_from: Option<&Self>) -> Result<ScrubReport, Error> {
        let mut report = ScrubReport::default();
        let mut manifests = self.scrub_manifests(&mut report).await?;
        if let Some(other) = repair_from {
            // Mended first, because packs are known by the manifests that name them.
            for damage in &mut report.damage {
                if let Some(manifest) = self.repair_manifest(&damage.object, other).await? {
                    damage.is_repaired = true;
                    manifests.push((damage.object.clone(), manifest));
                }
            }
        }
        self.scrub_records(&mut report).await?;
        let mut named: BTreeMap<Digest, Named> = BTreeMap::new();
        for (name, manifest) in &manifests {
            for pack in manifest.packs() {
                let entry = named.entry(pack.digest);
                entry.or_insert_with(|| Named { pack, by: Vec::new() }).by.push(name.clone());
            }
        }
        let before = report.damage.len();
        self.scrub_components(&mut report).await?;
        self.scrub_packs(named, &mut report).await?;
        if let Some(other) = repair_from {
            for damage in &mut report.damage[before..] {
                damage.is_repaired = self.repair_pack(&damage.object, other).await?
                    || self.repair_component(&damage.object, other).await?;
            }
        }
        report.damage.sort_by(|a, b| a.object.cmp(&b.object));
        Ok(report)
    }

    /// Reads all manifests. Returns those whose packs must be there, with their names.
    async fn scrub_manifests(
        &self,
        report: &mut ScrubReport,
    ) -> Result<Vec<(String, Manifest)>, Error> {
        let mut manifests = Vec::new();
        let history = match self.history().await {
            // A start record, which is noted with the others. Which checkpoints are void is not known then.
            Err(error) if error.is_damage() => self.history_without_start().await?,
            history => history?,
        };
        let absent = self.readable_condemned().await?.manifests;
        let counted = |name: &ManifestName| history.is_visible(name) && !absent.contains(name);
        for &name in history.names() {
            let object = paths::manifest(name);
            let read = self.read_named(name).await;
            if let Some(manifest) = self.judge(&object, read, report).await? {
                report.checkpoints += 1;
                if counted(&name) {
                    manifests.push((object.to_string(), manifest));
                }
            }
        }
        for savepoint in self.savepoints().await? {
            let object = paths::savepoint(&savepoint.name)?;
            let read = self.read_manifest(&object).await;
            if let Some(manifest) = self.judge(&object, read, report).await? {
                report.savepoints += 1;
                manifests.push((object.to_string(), manifest));
            }
        }
        for id in self.pins().await? {
            let object = paths::pin(&id)?;
            let read = self.read_manifest(&object).await;
            if let Some(manifest) = self.judge(&object, read, report).await? {
                report.pins += 1;
                if !id.starts_with(ARRIVAL) {
                    manifests.push((object.to_string(), manifest));
                }
            }
        }
        Ok(manifests)
    }

    /// Reads the records that are no manifests.
    async fn scrub_records(&self, report: &mut ScrubReport) -> Result<(), Error> {
        for generation in self.started().await? {
            let read = self.read_start(generation).await;
            self.judge(&paths::start(generation), read, report).await?;
        }
        for list in self.condemned_lists().await? {
            let read = self.read_condemned(&list).await;
            self.judge(&list, read, report).await?;
        }
        for (id, _) in self.named_files(&paths::origins()).await? {
            let object = paths::origin(&id)?;
            let read = self.read_origin_record(&object).await;
            self.judge(&object, read, report).await?;
        }
        for name in self.history_names().await? {
            let read = self.read_history_entry(&name).await;
            self.judge(&name, read, report).await?;
        }
        Ok(())
    }

    /// Reads all components that are in this store itself.
    async fn scrub_components(&self, report: &mut ScrubReport) -> Result<(), Error> {
        for digest in self.own_components().await? {
            let read = self.own_component(digest).await;
            let read = self.judge(&paths::component(digest), read, report).await?;
            report.components += usize::from(read.is_some());
        }
        Ok(())
    }

    /// Notes damage. An object that was listed and is not there has been deleted meanwhile.
    async fn judge<T>(
        &self,
        object: &Path,
        read: Result<T, Error>,
        report: &mut ScrubReport,
    ) -> Result<Option<T>, Error> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) if error.is_damage() => {
                let (object, named_by) = (object.to_string(), Vec::new());
                report.damage.push(Damage { object, error, named_by, is_repaired: false });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the packs that are named, and those that are there.
    async fn scrub_packs(
        &self,
        mut named: BTreeMap<Digest, Named>,
        report: &mut ScrubReport,
    ) -> Result<(), Error> {
        let there = packs_in(&*self.own).await?;
        for (&digest, &length) in &there {
            // Of a pack that nothing names no more is known than its name.
            let pack = PackRef { digest, length, format: PackFormat::Raw };
            named.entry(digest).or_insert_with(|| Named { pack, by: Vec::new() });
        }
        let (alone, anywhere) = (self.alone(), self.without_local_copy());
        let mut reads = stream::iter(named.into_values())
            .map(|named| {
                let store = if there.contains_key(&named.pack.digest) { &alone } else { &anywhere };
                async move {
                    let read = store.read_pack(named.pack).await;
                    (named, read.map(|bytes| bytes.len() as u64))
                }
            })
            .buffer_unordered(READS_CONCURRENT_MAX);
        while let Some((named, read)) = reads.next().await {
            match read {
                Ok(length) => {
                    report.packs += 1;
                    report.pack_bytes += length;
                    report.unnamed_packs += usize::from(named.by.is_empty());
                }
                Err(error) if error.is_damage() => {
                    let is_missing = matches!(error, Error::Missing { .. });
                    if let Some(named_by) = self.still_there(named.by, is_missing).await? {
                        let object = paths::pack(named.pack.digest).to_string();
                        let is_repaired = false;
                        report.damage.push(Damage { object, error, named_by, is_repaired });
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Which of the manifests that name a pack are still there; `None` if it is missing because it was collected.
    async fn still_there(
        &self,
        by: Vec<String>,
        is_missing: bool,
    ) -> Result<Option<Vec<String>>, Error> {
        if !is_missing {
            return Ok(Some(by));
        }
        let absent = self.readable_condemned().await?.manifests;
        let mut still = Vec::new();
        for name in by {
            let object = Path::from(name.as_str());
            let condemned =
                paths::manifest_name(&object).is_some_and(|name| absent.contains(&name));
            if !condemned && self.has_object(&object).await? {
                still.push(name);
            }
        }
        Ok((!still.is_empty()).then_some(still))
    }
}
