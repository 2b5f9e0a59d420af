//! A checkpoint or savepoint as a place to look into.

use std::path::PathBuf;

use statehouse_checkpoint::{CheckpointStore, Manifest};

use crate::error::Error;
use crate::tables::Folders;
use crate::view::{OperatorView, Part};

/// A checkpoint or savepoint, and the store that has its packs. Nothing is read until it is asked for.
#[derive(Debug, Clone)]
pub struct Inside {
    pub(crate) store: CheckpointStore,
    pub(crate) manifest: Manifest,
    /// What messages call it.
    pub(crate) name: String,
    pub(crate) folders: Folders,
}

impl Inside {
    /// A manifest of a store. `name` is what messages call it, such as `checkpoint 7`.
    pub fn new(store: CheckpointStore, manifest: Manifest, name: impl Into<String>) -> Self {
        Self { store, manifest, name: name.into(), folders: Folders::default() }
    }

    /// Puts files of tables, which have to be fetched to be read, into this folder instead of the system's.
    #[must_use]
    pub fn with_temporary_folder(mut self, folder: PathBuf) -> Self {
        self.folders = Folders::inside(Some(folder));
        self
    }

    /// What it is about.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// All operators that have or declare state.
    ///
    /// # Errors
    /// If a description cannot be read.
    pub fn operators(&self) -> Result<Vec<OperatorView>, Error> {
        OperatorView::all(&self.manifest)
    }

    /// The operator of that id.
    ///
    /// # Errors
    /// If there is none with state.
    pub fn operator(&self, id: &str) -> Result<OperatorView, Error> {
        OperatorView::find(&self.manifest, &self.name, id)
    }

    /// The operator, and the state or timers if they are named, of `operator` or `operator.state`.
    ///
    /// # Errors
    /// If one of them is not there.
    pub fn find(&self, name: &str) -> Result<(OperatorView, Option<Part>), Error> {
        OperatorView::find_part(&self.manifest, &self.name, name)
    }
}
