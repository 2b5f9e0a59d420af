//! `PLACE[@WHAT]`: how commands name the checkpoints of a job, and one of them.
//!
//! A place is a job file, a folder or a URL. What: a number is a checkpoint, anything else a savepoint, and nothing
//! means the newest checkpoint.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use futures::executor::block_on;
use statehouse_checkpoint::{Check, CheckpointStore, Epoch, Manifest};

use crate::control::check_name;
use crate::job_file::JobFile;
use crate::launch::{StoreOptions, open_store};
use crate::place::{Place, is_url};

/// A checkpoint or savepoint of a store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum What {
    /// The newest checkpoint: the one that a restart takes.
    #[default]
    Newest,
    /// A checkpoint, by number.
    Checkpoint(Epoch),
    /// A savepoint, by name.
    Savepoint(String),
}

impl What {
    /// What a word after `@` means; `None` if it can be neither a number nor a name.
    fn parse(text: &str) -> Option<Self> {
        match text.parse() {
            Ok(epoch) => Some(Self::Checkpoint(epoch)),
            Err(_) => check_name(text).is_ok().then(|| Self::Savepoint(text.to_owned())),
        }
    }

    /// The savepoint's name, if it is one.
    pub fn savepoint(&self) -> Option<String> {
        match self {
            Self::Savepoint(name) => Some(name.clone()),
            Self::Newest | Self::Checkpoint(_) => None,
        }
    }

    /// Its manifest.
    ///
    /// # Errors
    /// If it is not there or cannot be read, in words; with those that are there.
    pub fn read(&self, store: &CheckpointStore) -> anyhow::Result<Manifest> {
        let read = match self {
            Self::Newest => return newest(store),
            Self::Checkpoint(epoch) => {
                check_listed(store, *epoch)?;
                block_on(store.read(*epoch))
            }
            Self::Savepoint(name) => {
                check_saved(store, name)?;
                block_on(store.read_savepoint(name))
            }
        };
        read.map_err(|error| anyhow::anyhow!("{}", error.chain()))
    }

    /// Looks whether it is there, and into it only to find out what is the newest.
    ///
    /// # Errors
    /// If it is not, in words; with those that are.
    pub fn find(&self, store: &CheckpointStore) -> anyhow::Result<()> {
        match self {
            Self::Newest => newest(store).map(|_| ()),
            Self::Checkpoint(epoch) => check_listed(store, *epoch),
            Self::Savepoint(name) => check_saved(store, name),
        }
    }
}

/// The checkpoint that a restart would take. It need not have the highest number: a run may have gone back to an older
/// one, or have begun afresh.
fn newest(store: &CheckpointStore) -> anyhow::Result<Manifest> {
    let selection = block_on(store.newest_valid(Check::Manifest));
    let selection = selection.map_err(|error| anyhow::anyhow!("{}", error.chain()))?;
    if let Some(damage) = selection.rejected.first() {
        let others = match &selection.manifest {
            Some(Manifest { epoch, .. }) => format!("; the newest that can be read is {epoch}"),
            None => String::new(),
        };
        anyhow::bail!("{damage}{others}");
    }
    selection.manifest.ok_or_else(|| match block_on(store.list()).unwrap_or_default().as_slice() {
        [] => anyhow::anyhow!("there is no checkpoint yet"),
        aside => anyhow::anyhow!(
            "the run that began last has no checkpoint yet; those of earlier runs can be named: {}",
            listed(aside)
        ),
    })
}

fn check_listed(store: &CheckpointStore, epoch: Epoch) -> anyhow::Result<()> {
    let epochs = block_on(store.list())?;
    anyhow::ensure!(!epochs.is_empty(), "there is no checkpoint yet");
    let known = listed(&epochs);
    anyhow::ensure!(epochs.contains(&epoch), "there is no checkpoint {epoch}; there are: {known}");
    Ok(())
}

fn listed(epochs: &[Epoch]) -> String {
    let epochs: Vec<String> = epochs.iter().map(Epoch::to_string).collect();
    epochs.join(", ")
}

fn check_saved(store: &CheckpointStore, name: &str) -> anyhow::Result<()> {
    let savepoints = block_on(store.savepoints())?;
    let known: Vec<&str> = savepoints.iter().map(|known| &*known.name).collect();
    anyhow::ensure!(!known.is_empty(), "there is no savepoint `{name}`; there is none at all");
    let list = known.join(", ");
    anyhow::ensure!(known.contains(&name), "there is no savepoint `{name}`; there are: {list}");
    Ok(())
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("the newest checkpoint"),
            Self::Checkpoint(epoch) => write!(f, "checkpoint {epoch}"),
            Self::Savepoint(name) => write!(f, "savepoint `{name}`"),
        }
    }
}

/// A place as it was written, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// A job file, a folder or a URL.
    pub place: String,
    /// Which of its checkpoints or savepoints.
    pub what: What,
}

impl FromStr for Target {
    type Err = std::convert::Infallible;

    /// The last `@` divides, unless what follows can be neither or the whole text is a file that is there.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let whole = || Self { place: text.to_owned(), what: What::Newest };
        if Path::new(text).exists() {
            return Ok(whole());
        }
        let divided = text.rsplit_once('@').filter(|(place, _)| !place.is_empty());
        Ok(match divided.and_then(|(place, what)| Some((place, What::parse(what)?))) {
            Some((place, what)) => Self { place: place.to_owned(), what },
            None => whole(),
        })
    }
}

impl Target {
    /// Opens the place to look, and reads the manifest.
    ///
    /// # Errors
    /// If either is not there or cannot be read.
    pub fn read(&self) -> anyhow::Result<(OpenPlace, Manifest)> {
        let open = OpenPlace::to_look(&self.place)?;
        let manifest = self.what.read(&open.store);
        Ok((open, manifest.map_err(|error| error.context(format!("`{}`", self.place)))?))
    }
}

/// A place that was opened.
#[derive(Debug, Clone)]
pub struct OpenPlace {
    /// Where it is.
    pub place: Place,
    /// What is in it, with the places where more of its packs are.
    pub store: CheckpointStore,
    /// The job file that named it, if one did.
    pub job: Option<JobFile>,
}

/// Folders by which a checkpoint directory is known: those of its checkpoints and savepoints, and that of the runs that
/// claimed it, which is there before the first checkpoint.
const MARKS: [&str; 3] = ["manifests", "generations", "savepoints"];

impl OpenPlace {
    /// Opens what a user names, to look or to make a savepoint. Nothing is made that is not there.
    ///
    /// # Errors
    /// If there is no such place, it holds no checkpoints, or it cannot be reached.
    pub fn to_look(given: &str) -> anyhow::Result<Self> {
        let opened = Self::resolve(given).and_then(Self::open);
        opened.map_err(|reason| anyhow::anyhow!("`{given}`: {reason}"))
    }

    /// The same for the place of a job.
    ///
    /// # Errors
    /// As [`to_look`](Self::to_look).
    pub fn of_job(file: &JobFile) -> anyhow::Result<Self> {
        let opened = Self::of_file(file.clone()).and_then(Self::open);
        opened.map_err(|reason| anyhow::anyhow!("`{}`: {reason}", file.path.display()))
    }

    fn open((place, options, job): Resolved) -> Result<Self, String> {
        if let Place::Directory(directory) = &place {
            if !directory.is_dir() {
                return Err(match &job {
                    Some(_) => format!(
                        "the job has not run yet: there is no checkpoint directory `{place}`"
                    ),
                    None => "there is no such directory or job file".to_owned(),
                });
            }
            // Opening makes no difference between a folder without checkpoints and one that has nothing to do with
            // them.
            if !MARKS.iter().any(|mark| directory.join(mark).is_dir()) {
                let which = if job.is_some() { format!("`{place}`") } else { "it".to_owned() };
                return Err(format!(
                    "{which} is no checkpoint directory: it has no folder `manifests`"
                ));
            }
        }
        let store = open_store(&place, &options).map_err(|error| error.chain())?;
        Ok(Self { place, store, job })
    }

    /// The place that is meant, the options of its client, and the job file that says so.
    pub(crate) fn resolve(given: &str) -> Result<Resolved, String> {
        let path = PathBuf::from(given);
        if is_url(given) || path.is_dir() {
            return Ok((Place::parse(given, Path::new("")), StoreOptions::default(), None));
        }
        if !path.exists() {
            return Ok((Place::Directory(path), StoreOptions::default(), None));
        }
        Self::of_file(JobFile::read(&path, &[]).map_err(|error| error.to_string())?)
    }

    fn of_file(file: JobFile) -> Result<Resolved, String> {
        let table = file.checkpoint.as_ref().ok_or("the job file has no `[checkpoint]` table")?;
        let place = Place::parse(&table.dir, file.directory());
        Ok((place, StoreOptions::of_job(&file), Some(file)))
    }
}

/// A place, the options of its client, and the job file that names it.
pub(crate) type Resolved = (Place, StoreOptions, Option<JobFile>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_at_sign_divides_if_a_number_or_name_follows() {
        let check = |text: &str, place: &str, what: What| {
            let target: Target = text.parse().unwrap();
            assert_eq!(target, Target { place: place.to_owned(), what }, "{text}");
        };
        check("job.toml", "job.toml", What::Newest);
        check("job.toml@7", "job.toml", What::Checkpoint(Epoch(7)));
        check("s3://b/c@before", "s3://b/c", What::Savepoint("before".to_owned()));
        check("abfs://box@account.net/c", "abfs://box@account.net/c", What::Newest);
        check("abfs://box@account.net/c@1", "abfs://box@account.net/c", What::Checkpoint(Epoch(1)));
        check("a@", "a@", What::Newest);
        check("@a", "@a", What::Newest);
    }

    #[test]
    fn a_file_that_is_there_is_meant_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c@7");
        std::fs::create_dir(&path).unwrap();
        let target: Target = path.to_str().unwrap().parse().unwrap();
        assert_eq!(target.what, What::Newest);
    }
}
