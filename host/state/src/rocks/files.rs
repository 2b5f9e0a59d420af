//! The files of a database: snapshots as directories of links, and adopting them.

use std::fs;
use std::path::{Path, PathBuf};

use rocksdb::checkpoint::Checkpoint;

use super::catalog::Catalog;
use super::database::{Database, file_error};
use crate::error::Error;
use crate::snapshot::TableFile;

/// The number of a table file, if it is one.
pub(super) fn number(name: &str) -> Option<u64> {
    name.trim_start_matches('/').strip_suffix(".sst")?.parse().ok()
}

/// Whether a file is of no use in a copy: those of a running database, and its identity, which the copy must not have.
fn stays_behind(name: &str) -> bool {
    name == "LOCK" || name == "IDENTITY" || name == "LOG" || name.starts_with("LOG.")
}

/// The files of a directory, by name, and how long they are.
fn list(directory: &Path) -> Result<Vec<(String, u64)>, Error> {
    let read = || -> std::io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                files.push((entry.file_name().to_string_lossy().into_owned(), metadata.len()));
            }
        }
        files.sort_unstable();
        Ok(files)
    };
    read().map_err(|error| file_error(directory, "list the files", &error))
}

/// The numbers of the table files in a directory.
pub(super) fn tables(directory: &Path) -> Result<Vec<u64>, Error> {
    Ok(list(directory)?.iter().filter_map(|(name, _)| number(name)).collect())
}

/// Flushes a database and links its files into a directory that is not there yet. Nothing is left there on failure.
pub(super) fn checkpoint(
    database: &Database,
    catalog: &Catalog,
    directory: &Path,
) -> Result<Vec<TableFile>, Error> {
    database.wait()?;
    let made = Checkpoint::new(database.db())
        .and_then(|checkpoint| checkpoint.create_checkpoint(directory))
        .map_err(|error| database.error("make a snapshot of the files", &error));
    let listed = made.and_then(|()| list(directory));
    if listed.is_err() {
        // What cannot be removed now is removed with the task's directory.
        let _ = fs::remove_dir_all(directory);
    }
    let file = |(name, length): (String, u64)| {
        let identity = number(&name).map(|number| catalog.identity(number));
        TableFile { name, identity, length }
    };
    Ok(listed?.into_iter().filter(|(name, _)| !stays_behind(name)).map(file).collect())
}

/// Makes a directory with the files of another. Table files, which never change, are links where that is possible.
pub(super) fn adopt(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(|error| file_error(to, "make the directory", &error))?;
    for (name, _) in list(from)?.into_iter().filter(|(name, _)| !stays_behind(name)) {
        let (old, new) = (from.join(&name), to.join(&name));
        let is_table = number(&name).is_some();
        if is_table && fs::hard_link(&old, &new).is_ok() {
            continue;
        }
        fs::copy(&old, &new)
            .map_err(|error| file_error(&new, "copy a file of the snapshot", &error))?;
    }
    Ok(())
}

/// A name that nothing in the directory has.
pub(super) fn vacant(directory: &Path, prefix: &str) -> PathBuf {
    let names = (0_u64..).map(|number| directory.join(format!("{prefix}{number}")));
    names.into_iter().find(|path| !path.exists()).expect("a directory is never full of names")
}

/// Removes the databases that are in a task's directory.
pub(super) fn remove_databases(directory: &Path) -> Result<(), Error> {
    let entries =
        fs::read_dir(directory).map_err(|error| file_error(directory, "list the files", &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| file_error(directory, "list the files", &error))?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("db-") {
            Database::remove(&entry.path())?;
            // What is left is not RocksDB's, and stays.
            let _ = fs::remove_dir(entry.path());
        }
    }
    Ok(())
}
