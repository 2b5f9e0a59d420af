//! Rows as Arrow: record batches, Arrow files and Parquet files, with columns typed by the description.
//!
//! Rows of one state have its types: numbers are numbers, text is text, bytes without a meaning are binary. JSON and
//! MessagePack become JSON text, which the field's metadata says (`statehouse.form` is `json`). Where rows of several
//! states share a file, map keys and values are JSON text altogether.

mod columns;
mod read;

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::ipc::writer::FileWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::error::Error;
use crate::row::Row;
use crate::view::{OperatorView, Part};

use columns::Columns;
pub(crate) use read::read_parquet;

/// How many rows a record batch has at most.
const BATCH_ROWS: usize = 8192;

/// Which kind of file rows are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// An Arrow file (IPC).
    Arrow,
    /// A Parquet file, compressed by Zstandard.
    Parquet,
}

enum Target {
    Arrow(Box<FileWriter<File>>),
    Parquet(Box<ArrowWriter<File>>),
}

/// Writes rows to a file.
pub struct RowFile {
    path: PathBuf,
    columns: Columns,
    target: Target,
}

impl std::fmt::Debug for RowFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl RowFile {
    /// Makes a file for rows of an operator, or only of one of its states. A file that is there is replaced.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(
        path: &Path,
        kind: FileKind,
        view: &OperatorView,
        part: Option<Part>,
    ) -> Result<Self, Error> {
        let columns = Columns::new(view, part);
        let file = File::create(path).map_err(|error| Error::file(path, "written", error))?;
        let target = match kind {
            FileKind::Arrow => {
                let writer = FileWriter::try_new(file, &columns.schema());
                let writer = writer.map_err(|error| Error::file(path, "written", error))?;
                Target::Arrow(Box::new(writer))
            }
            FileKind::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .build();
                let writer = ArrowWriter::try_new(file, columns.schema(), Some(properties));
                let writer = writer.map_err(|error| Error::file(path, "written", error))?;
                Target::Parquet(Box::new(writer))
            }
        };
        Ok(Self { path: path.to_owned(), columns, target })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn push(&mut self, view: &OperatorView, row: &Row<'_>) -> Result<(), Error> {
        self.columns.push(view, row);
        if self.columns.rows() >= BATCH_ROWS { self.write() } else { Ok(()) }
    }

    /// Writes what is left and the file's end.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(mut self) -> Result<(), Error> {
        self.write()?;
        let done = match &mut self.target {
            Target::Arrow(writer) => writer.finish().map_err(|error| error.to_string()),
            Target::Parquet(writer) => {
                writer.finish().map(|_| ()).map_err(|error| error.to_string())
            }
        };
        done.map_err(|reason| Error::file(&self.path, "written", reason))
    }

    fn write(&mut self) -> Result<(), Error> {
        if self.columns.rows() == 0 {
            return Ok(());
        }
        let batch = self.columns.take();
        let written = match &mut self.target {
            Target::Arrow(writer) => writer.write(&batch).map_err(|error| error.to_string()),
            Target::Parquet(writer) => writer.write(&batch).map_err(|error| error.to_string()),
        };
        written.map_err(|reason| Error::file(&self.path, "written", reason))
    }
}
