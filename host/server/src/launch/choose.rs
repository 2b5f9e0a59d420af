//! Which checkpoint a run starts from.

use std::path::{Path, PathBuf};

use futures::executor::block_on;
use statehouse_checkpoint::{
    Check, CheckpointStore, Durability, Epoch, Error, Manifest, StartPoint,
};
use statehouse_engine::RestorePoint;

use super::{LaunchError, StartFrom};
use crate::job_file::JobFile;

/// Folders by which a checkpoint directory is known: that of its checkpoints, and that of the runs that claimed it,
/// which is there before the first checkpoint.
const MARKS: [&str; 2] = ["manifests", "generations"];

/// A store, and the directory that it is in.
pub(super) type Opened = (PathBuf, CheckpointStore);

/// A checkpoint, and the directory that it is in.
pub(super) type Chosen = (PathBuf, RestorePoint);

/// The checkpoint to start from, if any. Reads only.
pub(super) fn restore_point(
    own: Option<&Opened>,
    from: &StartFrom,
) -> Result<Option<Chosen>, LaunchError> {
    let point = |(directory, store): &Opened, manifest: Manifest, continues: bool| {
        let restore = RestorePoint {
            store: store.clone(),
            point: continues.then(|| StartPoint::checkpoint(manifest.epoch)),
            manifest,
            continues,
            drop_unclaimed: false,
            fork: false,
        };
        (directory.clone(), restore)
    };
    match from {
        StartFrom::Nothing => Ok(None),
        StartFrom::Newest => {
            let Some(own) = own else { return Ok(None) };
            Ok(newest(own)?.map(|manifest| point(own, manifest, true)))
        }
        StartFrom::Epoch(epoch) => {
            let own = own.ok_or(LaunchError::NoDirectory { epoch: *epoch })?;
            Ok(Some(point(own, at(own, *epoch)?, true)))
        }
        StartFrom::Directory(given) => {
            let other = open_to_look(given)
                .map_err(|reason| LaunchError::BadSource { given: given.clone(), reason })?;
            let continues = own.is_some_and(|own| is_same_folder(&own.0, &other.0));
            let manifest = newest(&other)?
                .ok_or_else(|| LaunchError::NoCheckpoints { directory: other.0.clone() })?;
            Ok(Some(point(&other, manifest, continues)))
        }
    }
}

/// Opens a directory that exists.
pub(super) fn open(directory: &Path) -> Result<Opened, Error> {
    let store = CheckpointStore::open_directory(directory, Durability::Power)?;
    Ok((directory.to_owned(), store))
}

/// The number of the newest checkpoint in a directory that exists, whether or not it is damaged.
///
/// # Errors
/// If the directory cannot be read.
pub fn newest_listed(directory: &Path) -> Result<Option<Epoch>, Error> {
    let (_, store) = open(directory)?;
    Ok(block_on(store.list())?.first().copied())
}

/// The newest checkpoint. One that is damaged is an error, not a reason to take an older one.
fn newest((directory, store): &Opened) -> Result<Option<Manifest>, LaunchError> {
    let selection = block_on(store.newest_valid(Check::Manifest))?;
    if selection.rejected.is_empty() {
        return Ok(selection.manifest);
    }
    let advice = advice(store)?.or_else(|| selection.advice()).unwrap_or_default();
    Err(LaunchError::Damaged { directory: directory.clone(), advice })
}

fn at((directory, store): &Opened, epoch: Epoch) -> Result<Manifest, LaunchError> {
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
            Err(LaunchError::NoSuchCheckpoint { epoch, directory: directory.clone(), known })
        }
        other => Ok(other?),
    }
}

/// What to do about damage: which checkpoints are damaged, and which older one verifies down to the last byte.
pub(super) fn advice(store: &CheckpointStore) -> Result<Option<String>, Error> {
    Ok(block_on(store.newest_valid(Check::Packs))?.advice())
}

/// The checkpoint directory that a user names: itself, or by the job file that it belongs to.
///
/// # Errors
/// If there is none, in words.
pub fn checkpoint_directory(given: &Path) -> Result<PathBuf, String> {
    if given.is_dir() {
        return Ok(given.to_owned());
    }
    if !given.exists() {
        return Err("there is no such directory or job file".to_owned());
    }
    let file = JobFile::read(given, &[]).map_err(|error| error.to_string())?;
    let directory =
        file.checkpoint_directory().ok_or("the job file has no `[checkpoint]` table")?;
    if !directory.is_dir() {
        return Err(format!(
            "the job has not run yet: there is no checkpoint directory `{}`",
            directory.display()
        ));
    }
    Ok(directory)
}

/// Opens a checkpoint directory that a user names, to read it.
///
/// # Errors
/// If there is none, in words.
pub fn open_to_look(given: &Path) -> Result<(PathBuf, CheckpointStore), String> {
    let directory = checkpoint_directory(given)?;
    // Opening makes no difference between a folder without checkpoints and one that has nothing to do with them.
    if !MARKS.iter().any(|mark| directory.join(mark).is_dir()) {
        let which = match directory == given {
            true => "it".to_owned(),
            false => format!("`{}`", directory.display()),
        };
        return Err(format!("{which} is no checkpoint directory: it has no folder `manifests`"));
    }
    open(&directory).map_err(|error| error.chain())
}

fn is_same_folder(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
