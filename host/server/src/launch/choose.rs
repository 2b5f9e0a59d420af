//! Which checkpoint a run starts from. Reads only.

use std::path::Path;

use futures::executor::block_on;
use statehouse_checkpoint::{
    Check, CheckpointStore, Epoch, Error, Manifest, StartPlace, StartPoint,
};

use super::stores::{self, OwnStore};
use super::{ClaimedSavepoint, LaunchError, ResumedFrom, Start, StartFrom};
use crate::job_file::JobFile;
use crate::place::Place;
use crate::target::{OpenPlace, Target, What};

/// A checkpoint, and where it is.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) place: Place,
    pub(super) store: CheckpointStore,
    pub(super) manifest: Manifest,
    /// The savepoint's name, if it is one.
    pub(super) savepoint: Option<String>,
    /// Whether the place is the job's own.
    pub(super) is_own: bool,
    /// What the job's own store is to remember of it; `None` as long as that store does not know of it.
    pub(super) point: Option<StartPoint>,
}

impl Chosen {
    pub(super) fn resumed_from(&self) -> ResumedFrom {
        let (epoch, place) = (self.manifest.epoch.0, self.place.clone());
        ResumedFrom { epoch, savepoint: self.savepoint.clone(), place }
    }

    pub(super) fn claimed(&self) -> Option<ClaimedSavepoint> {
        let name = self.savepoint.clone()?;
        Some(ClaimedSavepoint { store: self.store.clone(), name })
    }
}

/// The checkpoint to start from, if any.
pub(super) fn restore_point(
    own: Option<&OwnStore>,
    start: &Start,
) -> Result<Option<Chosen>, LaunchError> {
    let search = Search { own, fallback: start.fallback };
    match &start.from {
        StartFrom::Nothing => Ok(None),
        StartFrom::Newest => search.own_newest(),
        StartFrom::Own(what) => search.in_own(what).map(Some),
        StartFrom::Word(word) => search.by_word(word).map(Some),
        StartFrom::Elsewhere(target) => search.elsewhere(target).map(Some),
    }
}

struct Search<'a> {
    own: Option<&'a OwnStore>,
    fallback: bool,
}

impl Search<'_> {
    fn own_newest(&self) -> Result<Option<Chosen>, LaunchError> {
        let Some(own) = self.own else { return Ok(None) };
        let (manifest, point) = self.newest(&own.place, &own.store)?;
        if let Some(manifest) = manifest {
            return Ok(Some(Chosen { point, ..chosen(own, manifest, None) }));
        }
        let place = own.place.to_string();
        let savepoints = block_on(own.store.savepoints())?;
        if !savepoints.is_empty() {
            let known = savepoints_known(savepoints.iter().map(|savepoint| &*savepoint.name));
            return Err(LaunchError::SavepointsOnly { place, known });
        }
        let origins = block_on(own.store.origins())?;
        if !origins.is_empty() {
            let known: Vec<String> =
                origins.iter().map(|origin| format!("`{}`", origin.location)).collect();
            return Err(LaunchError::OriginsOnly { known: known.join(", ") });
        }
        Ok(None)
    }

    fn in_own(&self, what: &What) -> Result<Chosen, LaunchError> {
        let no_place = || LaunchError::NoPlace { what: what.to_string() };
        let own = self.own.ok_or_else(no_place)?;
        let manifest = self.read(&own.place, &own.store, what)?;
        Ok(chosen(own, manifest, what.savepoint()))
    }

    /// A savepoint of the job's own, or else a folder.
    fn by_word(&self, word: &str) -> Result<Chosen, LaunchError> {
        let savepoint = What::Savepoint(word.to_owned());
        let Some(own) = self.own else {
            return match Path::new(word).exists() {
                true => self.elsewhere(&whole(word)),
                false => Err(LaunchError::NoPlace { what: word.to_owned() }),
            };
        };
        let is_savepoint =
            block_on(own.store.savepoints())?.iter().any(|savepoint| savepoint.name == word);
        match is_savepoint || !Path::new(word).exists() {
            true => self.in_own(&savepoint),
            false => self.elsewhere(&whole(word)),
        }
    }

    fn elsewhere(&self, target: &Target) -> Result<Chosen, LaunchError> {
        let given = || match &target.what {
            What::Newest => target.place.clone(),
            What::Checkpoint(epoch) => format!("{}@{epoch}", target.place),
            What::Savepoint(name) => format!("{}@{name}", target.place),
        };
        let bad = |reason: String| LaunchError::BadSource { given: given(), reason };
        let open = match self.own.map(|own| &own.options) {
            // A URL says nothing of how it is reached: what the job file says of its own holds for both.
            Some(options) if crate::place::is_url(&target.place) => {
                let place = Place::parse(&target.place, Path::new(""));
                let store = stores::open_store(&place, options);
                let store = store.map_err(|error| bad(error.chain()))?;
                OpenPlace { place, store, job: None }
            }
            _ => OpenPlace::to_look(&target.place).map_err(|error| bad(error.to_string()))?,
        };
        let OpenPlace { place, store, .. } = open;
        let is_own = self.own.is_some_and(|own| own.place.is_same(&place));
        let manifest = self.read(&place, &store, &target.what)?;
        let savepoint = target.what.savepoint();
        let point = is_own.then(|| start_point(&manifest, savepoint.as_deref()));
        Ok(Chosen { place, store, manifest, savepoint, is_own, point })
    }

    fn read(
        &self,
        place: &Place,
        store: &CheckpointStore,
        what: &What,
    ) -> Result<Manifest, LaunchError> {
        match what {
            What::Checkpoint(epoch) => at(place, store, *epoch),
            What::Savepoint(name) => savepoint(place, store, name),
            What::Newest => self
                .newest(place, store)?
                .0
                .ok_or_else(|| LaunchError::NoCheckpoints { place: place.to_string() }),
        }
    }

    /// The newest checkpoint. One that is damaged is an error, not a reason to take an older one, unless the user says
    /// so; then the one that is taken is read to the last byte first.
    fn newest(
        &self,
        place: &Place,
        store: &CheckpointStore,
    ) -> Result<(Option<Manifest>, Option<StartPoint>), LaunchError> {
        let check = if self.fallback { Check::Packs } else { Check::Manifest };
        let selection = block_on(store.newest_valid(check))?;
        if selection.rejected.is_empty() {
            return Ok((selection.manifest, selection.point));
        }
        if self.fallback && selection.manifest.is_some() {
            for rejected in &selection.rejected {
                tracing::warn!("{rejected}; an older checkpoint is taken");
            }
            return Ok((selection.manifest, selection.point));
        }
        let advice = advice(store)?.or_else(|| selection.advice()).unwrap_or_default();
        Err(LaunchError::Damaged { place: place.to_string(), advice })
    }
}

fn chosen(own: &OwnStore, manifest: Manifest, savepoint: Option<String>) -> Chosen {
    let (place, store) = (own.place.clone(), own.store.clone());
    let point = Some(start_point(&manifest, savepoint.as_deref()));
    Chosen { place, store, manifest, savepoint, is_own: true, point }
}

/// Where a checkpoint or savepoint of the job's own store is.
fn start_point(manifest: &Manifest, savepoint: Option<&str>) -> StartPoint {
    let place = match savepoint {
        Some(name) => StartPlace::Savepoint(name.to_owned()),
        None => StartPlace::Checkpoint,
    };
    StartPoint { epoch: manifest.epoch, place, fork: false }
}

fn whole(place: &str) -> Target {
    Target { place: place.to_owned(), what: What::Newest }
}

fn at(place: &Place, store: &CheckpointStore, epoch: Epoch) -> Result<Manifest, LaunchError> {
    match block_on(store.read(epoch)) {
        Err(Error::Missing { .. }) => {
            let known = block_on(store.list())?;
            let known = match (known.last(), known.first()) {
                (Some(oldest), Some(newest)) if oldest != newest => {
                    format!("are {} of them, from {oldest} to {newest}", known.len())
                }
                (Some(only), _) => format!("is only checkpoint {only}"),
                _ => "is none at all".to_owned(),
            };
            let place = place.to_string();
            Err(LaunchError::NoSuchCheckpoint { epoch, place, known })
        }
        other => Ok(other?),
    }
}

fn savepoint(place: &Place, store: &CheckpointStore, name: &str) -> Result<Manifest, LaunchError> {
    let savepoints = block_on(store.savepoints())?;
    if savepoints.iter().any(|savepoint| savepoint.name == name) {
        return Ok(block_on(store.read_savepoint(name))?);
    }
    let known = match savepoints.is_empty() {
        true => "is no savepoint at all".to_owned(),
        false => {
            format!("are {}", savepoints_known(savepoints.iter().map(|savepoint| &*savepoint.name)))
        }
    };
    let (name, place) = (name.to_owned(), place.to_string());
    Err(LaunchError::NoSuchSavepoint { name, place, known })
}

fn savepoints_known<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.len() {
        1 => format!("the savepoint {}", names[0]),
        _ => format!("the savepoints {}", names.join(", ")),
    }
}

/// The number of the newest checkpoint of a job, whether or not it is damaged; `None` also if the store is not there.
///
/// # Errors
/// If the store cannot be read.
pub fn newest_listed(file: &JobFile) -> Result<Option<Epoch>, Error> {
    let Some(own) = stores::open_if_there(file)? else { return Ok(None) };
    Ok(block_on(own.store.list())?.first().copied())
}

/// What to do about damage: which checkpoints are damaged, and which older one verifies down to the last byte.
pub(super) fn advice(store: &CheckpointStore) -> Result<Option<String>, Error> {
    Ok(block_on(store.newest_valid(Check::Packs))?.advice())
}
