//! `--set PATH=VALUE`: a value of the job file, given on the command line.

use std::str::FromStr;

use toml::{Table, Value};

use super::document::{Document, Section};
use super::error::JobFileError;

/// One override: `source.flights.path=/data`, `checkpoint.interval=500ms`, `operator.stats.config.size=3`.
///
/// The value is a number, `true` or `false`, a quoted text, a list or an inline table as in TOML; anything else is
/// text as it stands. It counts as if it stood in the file, so relative paths start there.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    argument: String,
    path: Vec<String>,
    value: Value,
}

impl FromStr for Override {
    type Err = String;

    fn from_str(argument: &str) -> Result<Self, Self::Err> {
        let (path, value) = argument
            .split_once('=')
            .ok_or("write it as PATH=VALUE, for example `checkpoint.interval=500ms`")?;
        let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err("a part of the path is empty".to_owned());
        }
        let value = value_of(value);
        Ok(Self { argument: argument.to_owned(), path, value })
    }
}

/// TOML where it looks like it, else text.
fn value_of(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok();
    match parsed.and_then(|mut table| table.remove("value")) {
        // A date is written like text in a job file, and meant as text.
        None | Some(Value::Datetime(_)) => Value::String(text.to_owned()),
        Some(value) => value,
    }
}

impl Override {
    /// Writes the value into the document.
    pub(super) fn apply(&self, document: &mut Document<'_>) -> Result<(), JobFileError> {
        let failed =
            |reason: String| JobFileError::Override { argument: self.argument.clone(), reason };
        let (first, rest) = self.path.split_first().expect("a parsed path has a part");
        let section = Section::named(first).ok_or_else(|| {
            let known: Vec<String> =
                Section::ALL.iter().map(|section| format!("`{}`", section.name())).collect();
            failed(format!("there is no `{first}`; a path begins with one of {}", known.join(", ")))
        })?;
        let (index, table, rest) = if section.is_list() {
            let (id, rest) = rest
                .split_first()
                .ok_or_else(|| failed(format!("say which: `{first}.ID.FIELD=VALUE`")))?;
            let (index, table) = find_node(document, section, id).map_err(&failed)?;
            (index, table, rest)
        } else {
            let entry = document.values_mut().entry(first.as_str());
            let table = entry.or_insert_with(|| Value::Table(Table::new()));
            (0, table.as_table_mut().expect("the document was checked"), rest)
        };
        let [field, ..] = rest else {
            return Err(failed("name a field: the path ends at a table".to_owned()));
        };
        insert(table, rest, self.value.clone()).map_err(failed)?;
        document.note_override(section, index, field);
        Ok(())
    }
}

fn find_node<'a>(
    document: &'a mut Document<'_>,
    section: Section,
    id: &str,
) -> Result<(usize, &'a mut Table), String> {
    let name = section.name();
    let nodes = document.values_mut().get_mut(name).and_then(Value::as_array_mut);
    let nodes = nodes.ok_or_else(|| format!("the job file has no [[{name}]]"))?;
    let ids: Vec<String> = nodes
        .iter()
        .map(|node| node.get("id").and_then(Value::as_str).unwrap_or_default().to_owned())
        .collect();
    let index = ids.iter().position(|other| other == id).ok_or_else(|| {
        let known: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
        format!("there is no {name} `{id}`; there are: {}", known.join(", "))
    })?;
    Ok((index, nodes[index].as_table_mut().expect("the document was checked")))
}

fn insert(table: &mut Table, path: &[String], value: Value) -> Result<(), String> {
    match path {
        [] => Err("name a field: the path ends at a table".to_owned()),
        [field] => {
            table.insert(field.clone(), value);
            Ok(())
        }
        [field, rest @ ..] => {
            let entry = table.entry(field.as_str());
            match entry.or_insert_with(|| Value::Table(Table::new())) {
                Value::Table(inner) => insert(inner, rest, value),
                _ => Err(format!("`{field}` is not a table")),
            }
        }
    }
}
