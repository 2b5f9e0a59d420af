//! What can be wrong with a job file.

use std::path::PathBuf;

/// Why a job file cannot be used. Each names the file, and the line if there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobFileError {
    /// It cannot be read at all.
    #[error("cannot read the job file `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML.
    #[error("the job file `{}` is not TOML: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's words, with the place.
        reason: String,
    },
    /// A table or field is wrong.
    #[error("{}: {table}: {reason}", place(path, *line))]
    Field {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1; none if the value came from the command line.
        line: Option<usize>,
        /// The table, as the file writes it.
        table: String,
        /// What is wrong.
        reason: String,
    },
    /// An override of the command line that leads nowhere.
    #[error("`--set {argument}`: {reason}")]
    Override {
        /// The override as it was given.
        argument: String,
        /// What is wrong.
        reason: String,
    },
}

fn place(path: &std::path::Path, line: Option<usize>) -> String {
    match line {
        Some(line) => format!("{}:{line}", path.display()),
        None => path.display().to_string(),
    }
}
