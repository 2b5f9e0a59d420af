//! What can go wrong with checkpoints.

use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::manifest::{Epoch, Generation, ProtocolError};
use crate::paths;

/// An error of the checkpoint store. Each names the object or directory that it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A manifest that breaks a rule of the format; nothing was written, or nothing of it is used.
    #[error("manifest of checkpoint {epoch} breaks a rule")]
    Protocol {
        /// The manifest's epoch.
        epoch: Epoch,
        /// The rule.
        #[source]
        source: ProtocolError,
    },
    /// A file of a checkpoint that breaks a rule of the format although its hash is right: its writer was wrong.
    #[error("`{object}` breaks a rule of the format; use another checkpoint")]
    BrokenRule {
        /// The object's name in the store.
        object: String,
        /// The rule.
        #[source]
        source: ProtocolError,
    },
    /// The store failed. Clients of remote stores have already retried what can be retried.
    #[error(
        "cannot {operation} `{object}`; check that the store can be reached and has space, \
         then start again: nothing published is lost"
    )]
    Store {
        /// What was tried: "read", "write", "list".
        operation: &'static str,
        /// The object's name in the store.
        object: String,
        /// What the store said.
        #[source]
        source: Box<object_store::Error>,
    },
    /// An object that should be there is not.
    #[error(
        "`{object}` is missing from the store; restore it from a copy or use another checkpoint"
    )]
    Missing {
        /// The object's name in the store.
        object: String,
    },
    /// An object whose bytes are not those that its name or first line promises.
    #[error(
        "`{object}` is damaged: its BLAKE3 hash should be {expected} and is {found}; {}",
        remedy(object)
    )]
    Damaged {
        /// The object's name in the store.
        object: String,
        /// The hash of the bytes that were written.
        expected: Digest,
        /// The hash of the bytes that are there.
        found: Digest,
    },
    /// An object that does not have the form of what it should be.
    #[error("`{object}` is damaged: {reason}; {}", remedy(object))]
    Malformed {
        /// The object's name in the store.
        object: String,
        /// What does not fit.
        reason: String,
    },
    /// A manifest that a newer release wrote.
    #[error(
        "`{object}` has manifest format {version}, this release reads up to format {supported}; \
         use the release that wrote it or a newer one"
    )]
    NewerFormat {
        /// The object's name in the store.
        object: String,
        /// The format that it has.
        version: u32,
        /// The newest format that this release reads.
        supported: u32,
    },
    /// Another owner has taken over. The caller must stop and may not commit anything more.
    #[error(
        "generation {mine} has lost the job to generation {newest}; \
         this process must stop, the other one carries on"
    )]
    Fenced {
        /// The caller's generation.
        mine: Generation,
        /// The newest claimed generation.
        newest: Generation,
    },
    /// The epoch's manifest exists already and is another one.
    #[error("another owner published epoch {epoch}; stop, and start again from its checkpoint")]
    AlreadyPublished {
        /// The epoch.
        epoch: Epoch,
    },
    /// Other processes claimed every generation that this one tried to claim.
    #[error(
        "no generation could be claimed in {attempts} attempts: other processes start on this job; keep one of them"
    )]
    ClaimContended {
        /// How often it was tried.
        attempts: u32,
    },
    /// A local file, of a snapshot that is being written or restored, that cannot be read or written.
    #[error("cannot {operation} `{}`; check that its disk works and has space, then start again", file.display())]
    File {
        /// What was tried: "read", "write".
        operation: &'static str,
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A name of a savepoint, pin or origin that not every store could hold.
    #[error(
        "`{name}` cannot be a name in the store; use letters, digits, `.`, `_` and `-`, begin with a letter \
         or a digit, and use at most 150 of them"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A savepoint or pin of this name exists, and holds another checkpoint.
    #[error(
        "`{object}` exists and holds another checkpoint; choose another name, or delete it first"
    )]
    NameTaken {
        /// The object's name in the store.
        object: String,
    },
    /// What was to be pinned is no longer kept. The pin has been withdrawn.
    #[error(
        "`{object}` was collected meanwhile, so checkpoint {epoch} cannot be kept; \
         use a newer checkpoint, or a savepoint"
    )]
    CollectedMeanwhile {
        /// The epoch of the checkpoint.
        epoch: Epoch,
        /// What is gone, or about to be deleted.
        object: String,
    },
    /// The owner's start was recorded already, and with another checkpoint.
    #[error(
        "generation {generation} has begun from another checkpoint already; \
         claim a new generation to begin again"
    )]
    BegunAlready {
        /// The owner's generation.
        generation: Generation,
    },
    /// The checkpoint needs packs of another store, which has not been opened.
    #[error(
        "`{origin}` says that packs lie in `{location}`, and that store is not open; \
         make it reachable, or copy the checkpoint with its packs first"
    )]
    OriginClosed {
        /// The object that names the other store.
        origin: String,
        /// Where the other store is.
        location: String,
    },
    /// A location that no store can be opened at.
    #[error("cannot open `{location}` as a store of checkpoints: {reason}")]
    Location {
        /// The path or URL.
        location: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// A directory that cannot hold checkpoints.
    #[error(
        "cannot use `{}` as a checkpoint directory; name a directory that can be written",
        directory.display()
    )]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A directory that another live process owns. Nothing in it was touched.
    #[error(
        "checkpoint directory `{}` is in use by {}; stop it first, or choose another directory",
        directory.display(),
        owner(*pid)
    )]
    Locked {
        /// The directory.
        directory: PathBuf,
        /// The owner's process number, when it could be read.
        pid: Option<u32>,
    },
}

fn owner(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// What to do about a damaged object. Some objects are in the way of everything, and no other checkpoint helps.
fn remedy(object: &str) -> String {
    let name = object_store::path::Path::from(object);
    if paths::condemned_by(&name).is_some() {
        return "restore it from a copy, or stop every process of this job and delete it: it only says what a \
                collection was about to delete, and the next one finds that again"
            .to_owned();
    }
    if let Some(generation) = paths::started_generation(&name) {
        return format!(
            "restore it from a copy, or stop every process of this job and delete it: then the newest checkpoint in \
             `manifests` is taken; if none there is of generation {generation}, its run had none yet and may have \
             started from another one: name that with `--from`"
        );
    }
    "restore it from a copy or use another checkpoint".to_owned()
}

impl Error {
    /// Whether the checkpoint itself is unusable, now and later. The opposite is a failure to look.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Protocol { .. }
                | Self::BrokenRule { .. }
                | Self::Missing { .. }
                | Self::Damaged { .. }
                | Self::Malformed { .. }
                | Self::NewerFormat { .. }
        )
    }

    /// Whether something that was to be kept is no longer there to be kept. With a newer checkpoint it may work.
    pub fn is_collected(&self) -> bool {
        matches!(self, Self::CollectedMeanwhile { .. })
    }

    /// Whether another owner has the job: the caller must stop without committing anything.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Fenced { .. } | Self::AlreadyPublished { .. })
    }

    /// The object in the store that it is about, if it is about one.
    pub fn object(&self) -> Option<&str> {
        match self {
            Self::BrokenRule { object, .. }
            | Self::Store { object, .. }
            | Self::Missing { object }
            | Self::Damaged { object, .. }
            | Self::Malformed { object, .. }
            | Self::NewerFormat { object, .. }
            | Self::NameTaken { object }
            | Self::CollectedMeanwhile { object, .. } => Some(object),
            Self::OriginClosed { origin, .. } => Some(origin),
            _ => None,
        }
    }

    /// This error and its causes, from the outermost to the innermost, as one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let next = error.to_string();
            // The errors of the object store end with their cause already.
            if !text.ends_with(&next) {
                text.push_str(": ");
                text.push_str(&next);
            }
            cause = error.source();
        }
        text
    }

    /// A local file that failed.
    pub(crate) fn file(operation: &'static str, file: &Path, source: std::io::Error) -> Self {
        Self::File { operation, file: file.to_path_buf(), source }
    }

    /// A failed request. An object that is not there is told apart.
    pub(crate) fn store(
        operation: &'static str,
        object: &object_store::path::Path,
        source: object_store::Error,
    ) -> Self {
        let object = object.to_string();
        match source {
            object_store::Error::NotFound { .. } if operation == "read" => Self::Missing { object },
            source => Self::Store { operation, object, source: Box::new(source) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_names_every_cause_once() {
        let source = object_store::Error::Generic { store: "disk", source: "no space".into() };
        let error = Error::store("write", &"packs/x".into(), source);
        assert!(matches!(&error, Error::Store { object, .. } if object == "packs/x"));
        let chain = error.chain();
        assert!(chain.starts_with("cannot write `packs/x`; check"), "{chain}");
        assert!(chain.ends_with(": Generic disk error: no space"), "{chain}");
    }
}
