//! The components of a job's operators: those that the job file names, and those that take their place while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use statehouse_checkpoint::Digest;
use statehouse_wasm::{Component, Error, Limits, WasmEngine, WasmSettings};

use crate::environment::Environment;
use crate::job_file::{JobFile, OperatorFields};
use crate::wasm_factory::{self, WasmFactory};

/// How many components the engine has room for besides those that run: one is described, and some run on trial, in a
/// shadow run, or are made again while those before them still end.
const SPARE_INSTANCES: u32 = 8;

/// What a job's operators are made of. Clones are the same.
#[derive(Clone)]
pub struct JobComponents {
    shared: Arc<Shared>,
}

struct Shared {
    /// None if the job has no operators.
    engine: Option<WasmEngine>,
    operators: BTreeMap<String, Terms>,
    /// Those that have been loaded, by digest and limits.
    loaded: Mutex<BTreeMap<(Digest, usize, std::time::Duration), Component>>,
    /// The bytes of the job file's components, until they are in the store.
    bytes: Mutex<BTreeMap<Digest, Vec<u8>>>,
}

/// On which terms an operator's component runs, whichever it is: they are the job file's.
#[derive(Debug, Clone)]
struct Terms {
    limits: Limits,
    settings: BTreeMap<String, String>,
    declared: Option<Digest>,
}

impl fmt::Debug for JobComponents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobComponents")
            .field("operators", &self.shared.operators)
            .finish_non_exhaustive()
    }
}

/// Why the component of an operator cannot be had.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ComponentError {
    #[error("the component {source}")]
    Component { source: Error },
    #[error(
        "the component has several operators, none of them named `{wanted}`: name one of {known}"
    )]
    Ambiguous { wanted: String, known: String },
    #[error("there is no operator `{id}` in the job; there are {known}")]
    UnknownOperator { id: String, known: String },
}

impl JobComponents {
    /// Room for the components of a job. Nothing is loaded yet.
    ///
    /// # Errors
    /// If the engine cannot start.
    pub(crate) fn start(file: &JobFile, environment: &Environment) -> Result<Builder, Error> {
        let tasks = file.operators.iter().map(|operator| operator.parallelism);
        let tasks: u32 = tasks.map(|own| own.unwrap_or(file.job.parallelism)).sum();
        // The old and the new ones of a swap, and once more those of the run after a rollback.
        let instances = tasks.saturating_mul(3).saturating_add(SPARE_INSTANCES);
        let settings = WasmSettings { instances, cache: environment.components() };
        let engine = match file.operators.is_empty() {
            true => None,
            false => Some(WasmEngine::new(settings)?),
        };
        Ok(Builder { engine, operators: BTreeMap::new(), read: BTreeMap::new() })
    }

    /// The digest of the component that the job file names for an operator.
    pub fn declared(&self, id: &str) -> Option<Digest> {
        self.shared.operators.get(id)?.declared
    }

    /// The limits of an operator.
    pub fn limits(&self, id: &str) -> Limits {
        self.shared.operators.get(id).map(|terms| terms.limits).unwrap_or_default()
    }

    /// Loads a component on the terms of an operator, and makes a factory of one of its operators: the one of that
    /// name, or else the only one.
    ///
    /// # Errors
    /// If it cannot be loaded within the limits, or which operator is meant is not clear.
    pub fn factory(
        &self,
        id: &str,
        bytes: &[u8],
        operator: Option<&str>,
        before: &str,
    ) -> Result<WasmFactory, ComponentError> {
        let (Some(terms), Some(engine)) = (self.shared.operators.get(id), &self.shared.engine)
        else {
            let known = quoted(self.shared.operators.keys());
            return Err(ComponentError::UnknownOperator { id: id.to_owned(), known });
        };
        let key = (Digest::of(bytes), terms.limits.memory_bytes, terms.limits.deadline);
        let loaded = self.loaded().get(&key).cloned();
        let component = match loaded {
            Some(component) => component,
            None => Component::load(engine, bytes, &terms.limits)
                .map_err(|source| ComponentError::Component { source })?,
        };
        let name = match (operator, component.operators()) {
            (Some(name), _) => name.to_owned(),
            (None, [only]) => only.name.clone(),
            (None, several) if several.iter().any(|found| found.name == before) => {
                before.to_owned()
            }
            (None, several) => {
                let known = quoted(several.iter().map(|found| &found.name));
                return Err(ComponentError::Ambiguous { wanted: before.to_owned(), known });
            }
        };
        let factory = WasmFactory::new(&component, &name, terms.settings.clone(), terms.limits)
            .map_err(|source| ComponentError::Component { source })?;
        self.loaded().insert(key, component);
        Ok(factory.declared(terms.declared))
    }

    /// What a component imports that has been loaded.
    pub fn imports(&self, component: Digest) -> Option<BTreeSet<String>> {
        let loaded = self.loaded();
        let (_, component) = loaded.iter().find(|((digest, ..), _)| *digest == component)?;
        Some(wasm_factory::imports(component))
    }

    /// The bytes of the components that the job file names; only once.
    pub fn take_bytes(&self) -> BTreeMap<Digest, Vec<u8>> {
        std::mem::take(&mut *self.shared.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Forgets loaded components that are none of these.
    pub fn retain(&self, keep: impl Fn(Digest) -> bool) {
        self.loaded().retain(|(digest, ..), _| keep(*digest));
    }

    fn loaded(
        &self,
    ) -> std::sync::MutexGuard<'_, BTreeMap<(Digest, usize, std::time::Duration), Component>> {
        self.shared.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file, and the limits that it was loaded with.
type FileWithin = (PathBuf, usize, std::time::Duration);

/// Loads the components that a job file names.
pub(crate) struct Builder {
    engine: Option<WasmEngine>,
    operators: BTreeMap<String, Terms>,
    /// By path, with the limits that each was loaded with.
    read: BTreeMap<FileWithin, (Digest, Vec<u8>, Component)>,
}

/// Why a file is not the component of an operator.
pub(crate) enum LoadError {
    Read(std::io::Error),
    Component(Error),
}

impl Builder {
    /// The component in a file, each loaded once.
    pub(crate) fn load(
        &mut self,
        fields: &OperatorFields,
        path: &Path,
        limits: Limits,
    ) -> Result<(Component, BTreeMap<String, String>, Digest), LoadError> {
        let settings: BTreeMap<String, String> =
            fields.config.iter().map(|(name, text)| (name.clone(), text.0.clone())).collect();
        let key = (path.to_owned(), limits.memory_bytes, limits.deadline);
        if !self.read.contains_key(&key) {
            let bytes = std::fs::read(path).map_err(LoadError::Read)?;
            let engine = self.engine.as_ref().expect("a job with operators has an engine");
            let component =
                Component::load(engine, &bytes, &limits).map_err(LoadError::Component)?;
            self.read.insert(key.clone(), (Digest::of(&bytes), bytes, component));
        }
        let (digest, _, component) = &self.read[&key];
        let terms = Terms { limits, settings: settings.clone(), declared: Some(*digest) };
        self.operators.insert(fields.id.clone(), terms);
        Ok((component.clone(), settings, *digest))
    }

    pub(crate) fn finish(self) -> JobComponents {
        let (mut loaded, mut all) = (BTreeMap::new(), BTreeMap::new());
        for ((_, memory, deadline), (digest, bytes, component)) in self.read {
            loaded.insert((digest, memory, deadline), component);
            all.insert(digest, bytes);
        }
        let shared = Shared {
            engine: self.engine,
            operators: self.operators,
            loaded: Mutex::new(loaded),
            bytes: Mutex::new(all),
        };
        JobComponents { shared: Arc::new(shared) }
    }
}

/// Names, for a message.
pub(crate) fn quoted<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
