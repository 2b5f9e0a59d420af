//! The plan of a collection: what stays, and what goes.

use std::collections::BTreeSet;

use object_store::path::Path;

use super::Collector;
use super::known::{Listed, Packs};
use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::{Epoch, Generation};
use crate::manifests::history::History;
use crate::paths::{self, ManifestName};

/// What a collection would delete, and why it would not.
#[derive(Debug, Default)]
pub struct CollectPlan {
    /// The manifests that go.
    pub(super) manifests: BTreeSet<ManifestName>,
    /// The packs that go, with their lengths.
    pub(super) packs: Packs,
    /// The lists that earlier collections left.
    pub(super) leftovers: Vec<Path>,
    /// The packs that roots name.
    pub(super) kept: BTreeSet<Digest>,
    /// Manifests that were remembered and have been deleted by others, savepoints above all.
    pub(super) disappeared: BTreeSet<Path>,
    /// The highest epoch that the planning owner has published.
    pub(super) newest_own: Option<Epoch>,
    /// The pin in an origin that a run started from which has no checkpoint of its own yet.
    pub(super) started_from: Option<String>,
    /// What could not be read although it must be kept. If there is any, nothing is deleted.
    pub blocked: Vec<Error>,
}

impl CollectPlan {
    /// The epochs of the checkpoints that go, newest first.
    pub fn epochs(&self) -> Vec<Epoch> {
        self.manifests.iter().rev().map(|name| name.epoch).collect()
    }

    /// The names of all objects that go, in order: manifests, then packs.
    pub fn objects(&self) -> Vec<String> {
        let manifests = self.manifests.iter().map(|&name| paths::manifest(name));
        let packs = self.packs.keys().map(|&pack| paths::pack(pack));
        manifests.chain(packs).map(|name| name.to_string()).collect()
    }

    /// How many packs go.
    pub fn packs(&self) -> usize {
        self.packs.len()
    }

    /// How many bytes their packs have. Those that an interrupted collection left are not counted.
    pub fn pack_bytes(&self) -> u64 {
        self.packs.values().sum()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.manifests.is_empty() && self.packs.is_empty() && self.leftovers.is_empty()
    }
}

impl Collector {
    /// Plans without looking for packs that nothing names. `owner` is the generation of the owner that plans.
    pub(super) async fn plan_roots(
        &mut self,
        owner: Option<Generation>,
    ) -> Result<CollectPlan, Error> {
        let store = self.store.clone();
        let history = store.history().await?;
        let leftovers = store.condemned_lists().await?;
        let condemned = match leftovers.is_empty() {
            true => super::Condemned::default(),
            false => store.condemned().await?,
        };
        let checkpoints = history.names().iter().map(|&name| Listed::checkpoint(name));
        let unread = self.known.learn(&store, checkpoints).await?;
        let given_up = self.known.given_up(history.names());
        let retained = retained(&history, &given_up, self.retention.num_retained as usize);
        let roots = self.known.learn_roots(&store).await?;
        let mut blocked = roots.unread;
        for (name, error) in unread {
            if matches!(error, Error::Missing { .. }) {
                // Deleted meanwhile by another owner, of which the check of the lease will tell.
                continue;
            }
            if paths::manifest_name(&name).is_some_and(|name| !retained.contains(&name)) {
                // It goes, and what only it named is found by looking for what nothing names.
                self.is_swept = false;
            } else {
                blocked.push(error);
            }
        }
        let roots = roots.names;
        let there = history.names().iter().map(|&name| paths::manifest(name));
        let there: BTreeSet<Path> = there.chain(roots.iter().cloned()).collect();
        let disappeared = self.known.disappeared(&there);
        let kept_names = retained.iter().map(|&name| paths::manifest(name));
        let kept_names: BTreeSet<Path> = kept_names.chain(roots).collect();
        let kept = kept_names.iter().filter_map(|name| self.known.packs(name));
        let kept: BTreeSet<Digest> = kept.flat_map(|packs| packs.keys().copied()).collect();
        let mut packs: Packs = condemned.packs.into_iter().map(|pack| (pack, 0)).collect();
        packs.extend(self.known.all_packs());
        packs.retain(|pack, _| !kept.contains(pack));
        let names = history.names().iter();
        let manifests = names.filter(|name| !retained.contains(name)).copied().collect();
        let own = |name: &&ManifestName| Some(name.generation) == owner;
        let newest_own = history.names().iter().find(own).map(|name| name.epoch);
        let started_from = history.needed_origin().filter(|_| self.retention.num_retained > 0);
        self.known.keep(kept.clone());
        Ok(CollectPlan {
            manifests,
            packs,
            leftovers,
            kept,
            disappeared,
            newest_own,
            started_from: started_from.map(str::to_owned),
            blocked,
        })
    }
}

/// The checkpoints that are kept: the newest of those that a restart considers. Those that a user went back behind are
/// kept too until the new run has as many of its own: by then nobody wants to return.
fn retained(
    history: &History,
    given_up: &BTreeSet<ManifestName>,
    num_retained: usize,
) -> BTreeSet<ManifestName> {
    let counts = |name: &ManifestName| !given_up.contains(name);
    let mut retained: BTreeSet<_> = history.line().filter(counts).take(num_retained).collect();
    if history.own().filter(counts).count() < num_retained {
        retained.extend(history.aside().filter(counts).take(num_retained));
    }
    retained
}
