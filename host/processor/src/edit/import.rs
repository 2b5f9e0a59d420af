//! Importing rows: JSON Lines as they are printed, and Parquet as it is exported.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde_json::{Map, Value};

use super::Edits;
use crate::arrow_rows::read_parquet;
use crate::error::Error;

impl Edits {
    /// Takes in every row of a file: Parquet if its name ends so, else JSON Lines. Returns how many there were.
    ///
    /// # Errors
    /// If it cannot be read, or a row cannot be taken: the message has its line or row number.
    pub fn import(&mut self, path: &Path) -> Result<u64, Error> {
        let error = |place: String, reason| Error::Import { path: path.to_owned(), place, reason };
        let mut rows = 0;
        if path.extension().is_some_and(|extension| extension == "parquet") {
            read_parquet(path, &mut |row| {
                rows += 1;
                self.row(&row).map_err(|source| error(format!("row {rows}"), chain(&source)))
            })?;
            return Ok(rows);
        }
        let file = File::open(path).map_err(|source| Error::file(path, "read", source))?;
        for (number, line) in (1..).zip(BufReader::new(file).lines()) {
            let line = line.map_err(|source| Error::file(path, "read", source))?;
            if line.trim().is_empty() {
                continue;
            }
            let place = || format!("line {number}");
            let row: Map<String, Value> = serde_json::from_str(&line)
                .map_err(|source| error(place(), format!("it is no JSON object: {source}")))?;
            self.row(&row).map_err(|source| error(place(), chain(&source)))?;
            rows += 1;
        }
        Ok(rows)
    }
}

/// An error and its causes.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
