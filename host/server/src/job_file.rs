//! The job file: what a user asks for, as TOML.
//!
//! An unknown field is an error that names the field, the table and the line. Paths are relative to the file.
//!
//! Not responsible for whether the job can run: nodes that refer to each other, components and inputs that exist.
//! [`crate::job_graph`] and the engine look at that.

mod checkpoint;
mod document;
mod error;
mod overrides;
mod settings_page;
mod tables;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use checkpoint::{CheckpointTable, CompressionName, ModeName, RETAINED_DEFAULT, Retention};
pub use error::JobFileError;
pub use overrides::Override;
pub use settings_page::{SETTINGS, Setting, checkpoint_settings_page};
pub use tables::{
    BackendKind, DeadLettersTable, JobTable, OperatorFields, SinkFields, SourceFields, StateTable,
};
pub use values::{ByteSize, Millis, Text, Wires};

use crate::place::Place;
use document::{Document, Section, Spot};
use statehouse_connectors::{SinkSettings, SourceSettings};

/// A `[[source]]`: the fields that every source has, and those of its connector.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceTable {
    /// What every source has.
    pub node: SourceFields,
    /// What its connector has.
    pub settings: SourceSettings,
}

/// A `[[sink]]`: the fields that every sink has, and those of its connector.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkTable {
    /// What every sink has.
    pub node: SinkFields,
    /// What its connector has.
    pub settings: SinkSettings,
}

/// A job file that has been read: every field known, of the right type and in its range; every id used once.
#[derive(Debug, Clone, PartialEq)]
pub struct JobFile {
    /// Where it was read from.
    pub path: PathBuf,
    /// `[job]`.
    pub job: JobTable,
    /// `[checkpoint]`. Without it nothing of the job is durable.
    pub checkpoint: Option<CheckpointTable>,
    /// `[state]`.
    pub state: StateTable,
    /// `[dead-letters]`.
    pub dead_letters: Option<DeadLettersTable>,
    /// Every `[[source]]`.
    pub sources: Vec<SourceTable>,
    /// Every `[[operator]]`.
    pub operators: Vec<OperatorFields>,
    /// Every `[[sink]]`.
    pub sinks: Vec<SinkTable>,
}

impl JobFile {
    /// Reads a job file and applies the overrides of the command line.
    ///
    /// # Errors
    /// If it cannot be read, or something in it is wrong.
    pub fn read(path: &Path, overrides: &[Override]) -> Result<Self, JobFileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| JobFileError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text, overrides)
    }

    /// The same for a text; `path` is what messages name and where relative paths start.
    ///
    /// # Errors
    /// The first thing in it that is wrong.
    pub fn parse(path: &Path, text: &str, overrides: &[Override]) -> Result<Self, JobFileError> {
        let mut document = Document::parse(path, text)?;
        overrides.iter().try_for_each(|change| change.apply(&mut document))?;
        let job = document.single(Section::Job)?.ok_or_else(|| document.no_job_table())?;
        let checkpoint = document.single(Section::Checkpoint)?;
        let state = document.single(Section::State)?.unwrap_or_default();
        let dead_letters = document.single(Section::DeadLetters)?;
        let mut sources = Vec::new();
        for (place, table) in document.nodes(Section::Source)? {
            let (node, settings) = document.split(&place, table, SourceFields::FIELDS)?;
            sources.push(SourceTable { node, settings });
        }
        let mut operators = Vec::new();
        for (place, table) in document.nodes(Section::Operator)? {
            let fields: OperatorFields = document.table(&place, table)?;
            fields.check().map_err(|reason| document.error(&place, None, reason))?;
            operators.push(fields);
        }
        let mut sinks = Vec::new();
        for (place, table) in document.nodes(Section::Sink)? {
            let (node, settings) = document.split(&place, table, SinkFields::FIELDS)?;
            sinks.push(SinkTable { node, settings });
        }
        let path = path.to_owned();
        let file = Self { path, job, checkpoint, state, dead_letters, sources, operators, sinks };
        file.check_ids(&document)?;
        Ok(file)
    }

    /// Where relative paths start: the folder of the job file.
    pub fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// Where checkpoints go, if anywhere.
    pub fn checkpoint_place(&self) -> Option<Place> {
        self.checkpoint.as_ref().map(|table| Place::parse(&table.dir, self.directory()))
    }

    /// Where files of state lie while the job runs.
    pub fn state_directory(&self) -> PathBuf {
        self.directory().join(&self.state.directory).join(&self.job.name)
    }

    fn check_ids(&self, document: &Document<'_>) -> Result<(), JobFileError> {
        let sources = self.sources.iter().map(|source| &source.node.id);
        let operators = self.operators.iter().map(|operator| &operator.id);
        let sinks = self.sinks.iter().map(|sink| &sink.node.id);
        let ids = [Section::Source, Section::Operator, Section::Sink].into_iter();
        let ids = ids.zip([sources.collect::<Vec<_>>(), operators.collect(), sinks.collect()]);
        let mut seen: BTreeMap<&str, Spot> = BTreeMap::new();
        for (section, ids) in ids {
            for (index, id) in ids.into_iter().enumerate() {
                let place = Spot::node(section, index, Some(id.clone()));
                if let Some(first) = seen.insert(id, place.clone()) {
                    let line = document.line(&first, Some("id"));
                    let reason = format!(
                        "its `id` is taken by the [[{}]]{}: ids tell the states of a job apart, so each must \
                         be unique",
                        first.section.name(),
                        line.map(|line| format!(" of line {line}")).unwrap_or_default()
                    );
                    return Err(document.error(&place, Some("id"), reason));
                }
            }
        }
        Ok(())
    }
}
