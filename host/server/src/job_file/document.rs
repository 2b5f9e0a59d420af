//! The TOML document of a job file, and where each part of it stands in the text.
//!
//! Tables are deserialized one by one, so that an error can name the table. Deserializing a connector's settings
//! loses the places of its fields; the field to blame is found by leaving out one after the other.

use std::collections::BTreeSet;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::error::JobFileError;

/// Fields that name a file or a folder. Empty ones would mean the folder of the job file, which nobody means by that.
const FILE_FIELDS: [&str; 5] = ["path", "dir", "directory", "component", "local-copy"];

/// The tables of a job file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    Job,
    Checkpoint,
    State,
    DeadLetters,
    Source,
    Operator,
    Sink,
}

impl Section {
    pub(super) const ALL: [Self; 7] = [
        Self::Job,
        Self::Checkpoint,
        Self::State,
        Self::DeadLetters,
        Self::Source,
        Self::Operator,
        Self::Sink,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Checkpoint => "checkpoint",
            Self::State => "state",
            Self::DeadLetters => "dead-letters",
            Self::Source => "source",
            Self::Operator => "operator",
            Self::Sink => "sink",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.name() == name)
    }

    /// Whether the file has any number of them.
    pub(super) fn is_list(self) -> bool {
        matches!(self, Self::Source | Self::Operator | Self::Sink)
    }
}

/// One table of the document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) section: Section,
    /// Which of them; 0 for tables that are there once.
    pub(super) index: usize,
    id: Option<String>,
}

impl Spot {
    pub(super) fn node(section: Section, index: usize, id: Option<String>) -> Self {
        Self { section, index, id }
    }

    fn title(&self) -> String {
        let name = self.section.name();
        match &self.id {
            _ if !self.section.is_list() => format!("[{name}]"),
            Some(id) => format!("[[{name}]] `{id}`"),
            None => format!("[[{name}]] number {}", self.index + 1),
        }
    }
}

/// A job file as TOML.
pub(super) struct Document<'a> {
    path: &'a Path,
    text: &'a str,
    spans: DeTable<'a>,
    values: Table,
    /// What the command line set: a table and its field.
    overridden: BTreeSet<(Section, usize, String)>,
}

impl<'a> Document<'a> {
    /// Parses a text. Top-level names that a job file does not have are errors.
    pub(super) fn parse(path: &'a Path, text: &'a str) -> Result<Self, JobFileError> {
        let syntax = |error: toml::de::Error| JobFileError::Syntax {
            path: path.to_owned(),
            reason: error.to_string().trim_end().to_owned(),
        };
        let values = text.parse::<Table>().map_err(syntax)?;
        let spans = DeTable::parse(text).map_err(syntax)?.into_inner();
        let document = Self { path, text, spans, values, overridden: BTreeSet::new() };
        for (name, value) in &document.values {
            let wrong = |reason| JobFileError::Field {
                path: path.to_owned(),
                line: document.key_line(&document.spans, name),
                table: format!("`{name}`"),
                reason,
            };
            match Section::named(name) {
                None => {
                    let known = "`[job]`, `[checkpoint]`, `[state]`, `[dead-letters]`, `[[source]]`, \
                                 `[[operator]]`, `[[sink]]`";
                    return Err(wrong(format!("unknown table; a job file has {known}")));
                }
                Some(section) if section.is_list() && !is_list_of_tables(value) => {
                    return Err(wrong(format!("there can be several: write `[[{name}]]`")));
                }
                Some(section) if !section.is_list() && !value.is_table() => {
                    return Err(wrong(format!("it must be one table: write `[{name}]`")));
                }
                Some(_) => {}
            }
        }
        Ok(document)
    }

    /// A table that is there once, or not at all.
    pub(super) fn single<T: DeserializeOwned>(
        &self,
        section: Section,
    ) -> Result<Option<T>, JobFileError> {
        let Some(Value::Table(table)) = self.values.get(section.name()) else { return Ok(None) };
        self.table(&Spot { section, index: 0, id: None }, table.clone()).map(Some)
    }

    /// All tables of a kind.
    pub(super) fn nodes(&self, section: Section) -> Result<Vec<(Spot, Table)>, JobFileError> {
        let Some(Value::Array(tables)) = self.values.get(section.name()) else {
            return Ok(Vec::new());
        };
        let tables = tables.iter().filter_map(Value::as_table).enumerate();
        Ok(tables
            .map(|(index, table)| {
                let id = table.get("id").and_then(Value::as_str).map(str::to_owned);
                (Spot { section, index, id }, table.clone())
            })
            .collect())
    }

    /// Deserializes one table.
    pub(super) fn table<T: DeserializeOwned>(
        &self,
        place: &Spot,
        table: Table,
    ) -> Result<T, JobFileError> {
        let attempt = |table: Table| Value::Table(table).try_into::<T>();
        let read = attempt(table.clone()).map_err(|error| {
            let reason = error.message().to_owned();
            let field = blame(&table, &reason, |table| {
                attempt(table).err().map(|error| error.message().to_owned())
            });
            self.error(place, field.as_deref(), reason)
        })?;
        let is_empty = |name: &&str| table.get(*name).and_then(Value::as_str) == Some("");
        match FILE_FIELDS.iter().copied().find(is_empty) {
            None => Ok(read),
            Some(field) => {
                let reason = "it is empty: name a file or a folder (`.` is that of the job file)";
                Err(self.error(place, Some(field), reason.to_owned()))
            }
        }
    }

    /// Deserializes one table into the fields that all of its kind have, and the settings of its connector.
    pub(super) fn split<F: DeserializeOwned, S: DeserializeOwned>(
        &self,
        place: &Spot,
        table: Table,
        common: &[&str],
    ) -> Result<(F, S), JobFileError> {
        let (fields, settings): (Table, Table) =
            table.into_iter().partition(|(name, _)| common.contains(&name.as_str()));
        let fields = self.table(place, fields)?;
        if !settings.contains_key("connector") {
            let reason = "missing field `connector`, which says what kind it is".to_owned();
            return Err(self.error(place, None, reason));
        }
        let settings = self.table(place, settings).map_err(|error| match error {
            JobFileError::Field { path, line, table, reason }
                if reason.starts_with("unknown field") =>
            {
                let common: Vec<String> = common.iter().map(|name| format!("`{name}`")).collect();
                let reason = format!(
                    "{reason}; every {} also has `connector`, {}",
                    place.section.name(),
                    common.join(", ")
                );
                JobFileError::Field { path, line, table, reason }
            }
            other => other,
        })?;
        Ok((fields, settings))
    }

    /// An error about a table, or a field of it.
    pub(super) fn error(&self, place: &Spot, field: Option<&str>, reason: String) -> JobFileError {
        let by_command_line = field.is_some_and(|field| self.is_overridden(place, field));
        let reason = match field {
            Some(field) if by_command_line => format!("`{field}` (from --set): {reason}"),
            Some(field) if !reason.contains(&format!("`{field}`")) => {
                format!("`{field}`: {reason}")
            }
            _ => reason,
        };
        let line = if by_command_line { None } else { self.line(place, field) };
        JobFileError::Field { path: self.path.to_owned(), line, table: place.title(), reason }
    }

    pub(super) fn no_job_table(&self) -> JobFileError {
        JobFileError::Field {
            path: self.path.to_owned(),
            line: None,
            table: "[job]".to_owned(),
            reason: "the table is missing; write `[job]` and, below it, `name = \"…\"`".to_owned(),
        }
    }

    /// The line of a field, or of the table if the text does not have the field.
    pub(super) fn line(&self, place: &Spot, field: Option<&str>) -> Option<usize> {
        let (_, value) = self.spanned(&self.spans, place.section.name())?;
        let value = match value.get_ref() {
            DeValue::Array(array) => array.get(place.index)?,
            _ => value,
        };
        let DeValue::Table(table) = value.get_ref() else { return None };
        let of_field = field.and_then(|field| self.key_line(table, field));
        of_field.or_else(|| Some(self.line_of(value.span().start)))
    }

    fn key_line(&self, table: &DeTable<'a>, name: &str) -> Option<usize> {
        let (key, _) = self.spanned(table, name)?;
        Some(self.line_of(key.span().start))
    }

    fn spanned<'b>(
        &self,
        table: &'b DeTable<'a>,
        name: &str,
    ) -> Option<(&'b Spanned<toml::de::DeString<'a>>, &'b Spanned<DeValue<'a>>)> {
        table.iter().find(|(key, _)| key.get_ref() == name)
    }

    fn line_of(&self, offset: usize) -> usize {
        1 + self.text.as_bytes()[..offset.min(self.text.len())]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count()
    }

    pub(super) fn values_mut(&mut self) -> &mut Table {
        &mut self.values
    }

    pub(super) fn note_override(&mut self, section: Section, index: usize, field: &str) {
        self.overridden.insert((section, index, field.to_owned()));
    }

    fn is_overridden(&self, place: &Spot, field: &str) -> bool {
        self.overridden.contains(&(place.section, place.index, field.to_owned()))
    }
}

fn is_list_of_tables(value: &Value) -> bool {
    value.as_array().is_some_and(|array| array.iter().all(Value::is_table))
}

/// The field without which the table would not fail, or would fail in another way.
fn blame(table: &Table, reason: &str, attempt: impl Fn(Table) -> Option<String>) -> Option<String> {
    /// Without them another kind is deserialized, or none: they are to blame if nothing else is.
    const TAGS: [&str; 2] = ["connector", "format"];
    if reason.starts_with("missing field") {
        return None;
    }
    let candidates: Vec<&String> = table
        .keys()
        .filter(|&name| {
            let mut without = table.clone();
            without.remove(name);
            attempt(without).is_none_or(|other| other != reason)
        })
        .collect();
    let untagged = candidates.iter().find(|name| !TAGS.contains(&name.as_str()));
    untagged.or(candidates.last()).map(|name| (*name).clone())
}
