//! One task's RocksDB database: how it is opened, what it does on its own, and what its errors mean.
//!
//! RocksDB has no log here: what matters is what a snapshot holds, and the job replays the rest. Merges of reducing
//! states run inside RocksDB, by the same functions as everywhere; its compactions drop values whose time-to-live is
//! over, by the time of the task's last invocation, not by a clock.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rocksdb::{
    ColumnFamily, CompactionDecision, DB, DBPinnableSlice, InfoLogger, IngestExternalFileOptions,
    LogLevel, Options, ReadOptions, SstFileWriter, WaitForCompactOptions, WriteBatch, WriteOptions,
};

use super::options::RocksResources;
use super::tagged::Tagged;
use crate::backend::Now;
use crate::error::Error;

/// The one column family.
const FAMILY: &str = "default";

/// Tables that may wait for their first compaction before writes wait for it: reads look into each of them.
/// At least four times what a compaction starts at.
const LEVEL_0_FILES_MAX: u64 = 20;

/// How much is written before RocksDB is asked again how it gets on.
const WRITTEN_BYTES_MAX: usize = 1 << 20;

/// How long writes wait before RocksDB is asked again.
const WAIT_MICROSECONDS: u64 = 10_000;

/// The time of a task's last invocation, for compactions.
#[derive(Debug)]
pub(super) struct Clock {
    processing_time: AtomicI64,
    watermark: AtomicI64,
}

impl Clock {
    pub(super) fn new() -> Self {
        // Before every stamp, so that nothing is expired until an invocation says what time it is.
        Self { processing_time: AtomicI64::new(i64::MIN), watermark: AtomicI64::new(i64::MIN) }
    }

    pub(super) fn set(&self, now: Now) {
        self.processing_time.store(now.processing_time, Ordering::Relaxed);
        self.watermark.store(now.watermark, Ordering::Relaxed);
    }

    fn now(&self) -> Now {
        Now {
            processing_time: self.processing_time.load(Ordering::Relaxed),
            watermark: self.watermark.load(Ordering::Relaxed),
        }
    }
}

/// An open database.
pub(super) struct Database {
    db: DB,
    options: Options,
    path: PathBuf,
    write_options: WriteOptions,
    tagged: Arc<Tagged>,
    /// The last error that RocksDB logged.
    logged: Arc<Mutex<String>>,
    level_0_files_max: u64,
    /// What was written since RocksDB was asked how it gets on.
    written_bytes: Cell<usize>,
}

impl Database {
    /// Opens the database in a directory, or makes one where there is none.
    pub(super) fn open(
        path: &Path,
        resources: &RocksResources,
        tagged: Tagged,
        clock: &Arc<Clock>,
    ) -> Result<Self, Error> {
        let tagged = Arc::new(tagged);
        let mut options = options(resources.database_options(), &tagged);
        options.create_if_missing(true);
        let (clock, of_filter) = (Arc::clone(clock), Arc::clone(&tagged));
        options.set_compaction_filter("statehouse-ttl", move |_, key, value| {
            if of_filter.is_expired(key, value, clock.now()) {
                CompactionDecision::Remove
            } else {
                CompactionDecision::Keep
            }
        });
        // It would have flushes wait for compactions, also for those that can never succeed; see `wait`.
        options.set_level_zero_slowdown_writes_trigger(i32::MAX);
        options.set_level_zero_stop_writes_trigger(i32::MAX);
        options.set_soft_pending_compaction_bytes_limit(0);
        options.set_hard_pending_compaction_bytes_limit(0);
        let logged = keep_errors(&mut options);
        let families = [(FAMILY, options.clone())];
        let opened = DB::open_cf_with_opts(&options, path, families);
        let db = opened.map_err(|error| storage(path, "open the database", &error))?;
        let trigger = resources.options().level0_file_num_compaction_trigger;
        let level_0_files_max = LEVEL_0_FILES_MAX.max(u64::try_from(trigger).unwrap_or(0) * 4);
        Ok(Self { level_0_files_max, ..Self::new(db, path, options, tagged, logged) })
    }

    /// Opens the tables of a snapshot. Writes nothing there. Before merges can be read, [`tagged`](Self::tagged) must
    /// be told what they are.
    pub(super) fn open_tables(path: &Path) -> Result<Self, Error> {
        let tagged = Arc::new(Tagged::default());
        let mut options = options(Options::default(), &tagged);
        let logged = keep_errors(&mut options);
        let families = [(FAMILY, options.clone())];
        let opened = DB::open_cf_with_opts_for_read_only(&options, path, families, false);
        let db = opened.map_err(|error| storage(path, "open the tables", &error))?;
        Ok(Self::new(db, path, options, tagged, logged))
    }

    /// What RocksDB knows of the states.
    pub(super) fn tagged(&self) -> &Tagged {
        &self.tagged
    }

    fn new(
        db: DB,
        path: &Path,
        options: Options,
        tagged: Arc<Tagged>,
        logged: Arc<Mutex<String>>,
    ) -> Self {
        let mut write_options = WriteOptions::new();
        write_options.disable_wal(true);
        write_options.set_memtable_insert_hint_per_batch(true);
        let (path, written_bytes) = (path.to_owned(), Cell::new(0));
        let level_0_files_max = LEVEL_0_FILES_MAX;
        Self { db, options, path, write_options, tagged, logged, level_0_files_max, written_bytes }
    }

    /// Removes a database that nobody has open, and nothing else.
    pub(super) fn remove(path: &Path) -> Result<(), Error> {
        if !path.join("CURRENT").exists() && !path.join("LOCK").exists() {
            return Ok(());
        }
        let removed = DB::destroy(&Options::default(), path);
        removed.map_err(|error| storage(path, "remove the old database", &error))
    }

    pub(super) fn db(&self) -> &DB {
        &self.db
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn family(&self) -> &ColumnFamily {
        self.db.cf_handle(FAMILY).expect("it was opened with this column family")
    }

    /// Reads the values of many keys, which are in order.
    pub(super) fn get_sorted<'a>(
        &self,
        keys: impl Iterator<Item = &'a [u8]>,
    ) -> Vec<Result<Option<DBPinnableSlice<'_>>, rocksdb::Error>> {
        self.db.batched_multi_get_cf(self.family(), keys, true)
    }

    /// Writes all of a batch, or nothing.
    pub(super) fn write(&self, batch: WriteBatch) -> Result<(), Error> {
        let written_bytes = self.written_bytes.get() + batch.size_in_bytes();
        self.written_bytes.set(written_bytes);
        if written_bytes >= WRITTEN_BYTES_MAX {
            self.wait()?;
        }
        let written = self.db.write_opt(batch, &self.write_options);
        written.map_err(|error| self.error("write", &error))
    }

    /// Takes in tables that were written for it, all or none. The files are its own from then on.
    pub(super) fn ingest(&self, files: Vec<PathBuf>) -> Result<(), Error> {
        if files.is_empty() {
            return Ok(());
        }
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        let ingested = self.db.ingest_external_file_opts(&options, files);
        ingested.map_err(|error| self.error("take tables in", &error))
    }

    /// Waits until compactions have caught up.
    ///
    /// # Errors
    /// If a flush or a compaction failed: later ones would, too.
    pub(super) fn wait(&self) -> Result<(), Error> {
        loop {
            if self.property("rocksdb.background-errors") > 0 {
                let logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
                return Err(storage(&self.path, "flush or compact tables", &*logged));
            }
            let files = self.db.property_value("rocksdb.num-files-at-level0").ok().flatten();
            let files = files.and_then(|files| files.parse::<u64>().ok()).unwrap_or(0);
            if files < self.level_0_files_max {
                self.written_bytes.set(0);
                return Ok(());
            }
            let mut some = WaitForCompactOptions::default();
            some.set_timeout(WAIT_MICROSECONDS);
            // That its time is up, or that a compaction failed, is found out above.
            let _ = self.db.wait_for_compact(&some);
        }
    }

    /// Calls with every key and value from a key on, in order, until it is told to stop or the upper bound is reached.
    pub(super) fn scan(
        &self,
        lower: Vec<u8>,
        upper: Vec<u8>,
        fill_cache: bool,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        if lower >= upper {
            return Ok(());
        }
        let mut read_options = ReadOptions::default();
        read_options.fill_cache(fill_cache);
        read_options.set_iterate_lower_bound(lower);
        read_options.set_iterate_upper_bound(upper);
        let mut rows = self.db.raw_iterator_opt(read_options);
        rows.seek_to_first();
        while let Some((key, value)) = rows.item() {
            if !visit(key, value)? {
                return Ok(());
            }
            rows.next();
        }
        rows.status().map_err(|error| self.error("read", &error))
    }

    /// An error of this database.
    pub(super) fn error(&self, what: &str, error: &rocksdb::Error) -> Error {
        storage(&self.path, what, error)
    }

    /// Says that what was read is not what this backend writes.
    pub(super) fn damaged(&self, what: &str) -> Error {
        damaged(&self.path, what)
    }

    /// One of RocksDB's numbers about itself.
    pub(super) fn property(&self, name: &str) -> u64 {
        self.db.property_int_value(name).ok().flatten().unwrap_or(0)
    }
}

/// What happens to a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change<'a> {
    Put(&'a [u8]),
    Merge(&'a [u8]),
    Delete,
}

/// A table that is written beside a database, which then takes it in whole. Nothing is left of one that is not
/// finished.
pub(super) struct TableWriter<'a> {
    database: &'a Database,
    writer: SstFileWriter<'a>,
    path: PathBuf,
}

impl<'a> TableWriter<'a> {
    pub(super) fn new(database: &'a Database) -> Result<Self, Error> {
        let path = database.path.with_extension("sst");
        let writer = SstFileWriter::create(&database.options);
        writer.open(&path).map_err(|error| database.error("write a table", &error))?;
        Ok(Self { database, writer, path })
    }

    /// Appends a key, which comes after all others.
    pub(super) fn add(&mut self, key: &[u8], change: Change<'_>) -> Result<(), Error> {
        let added = match change {
            Change::Put(value) => self.writer.put(key, value),
            Change::Merge(value) => self.writer.merge(key, value),
            Change::Delete => self.writer.delete(key),
        };
        added.map_err(|error| self.database.error("write a table", &error))
    }

    /// Gives the table to the database.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        let written = self.writer.finish();
        written.map_err(|error| self.database.error("write a table", &error))?;
        self.database.wait()?;
        self.database.ingest(vec![self.path.clone()])
    }
}

impl Drop for TableWriter<'_> {
    fn drop(&mut self) {
        // It is not there if the database has taken it; what else remains is removed with the task's directory.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Keeps the last error that RocksDB logs, instead of a log file.
fn keep_errors(options: &mut Options) -> Arc<Mutex<String>> {
    let logged = Arc::new(Mutex::new(String::new()));
    let keep = Arc::clone(&logged);
    let logger = InfoLogger::new_callback_logger(LogLevel::Error, move |_, line| {
        let mut last = keep.lock().unwrap_or_else(PoisonError::into_inner);
        last.clear();
        last.push_str(line.trim_end());
    });
    options.set_info_logger(logger);
    logged
}

/// Adds merges, without which nothing can be read.
fn options(mut options: Options, tagged: &Arc<Tagged>) -> Options {
    let tagged = Arc::clone(tagged);
    options.set_merge_operator_associative("statehouse-merge", move |key, base, operands| {
        tagged.merge(key, base, operands)
    });
    options
}

/// Says that what was read is not what this backend writes.
pub(super) fn damaged(path: &Path, what: &str) -> Error {
    Error::Storage {
        path: path.to_owned(),
        reason: format!("{what} cannot be read"),
        advice: "the files are damaged: restore from another checkpoint",
    }
}

/// What an error of RocksDB means, and what to do about it.
pub(super) fn storage(path: &Path, what: &str, error: &dyn ToString) -> Error {
    let text = error.to_string();
    let is = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    let advice = if is(&["No space left", "Disk quota", "File too large", "MaxSpace"]) {
        "make room on the disk, or choose another directory; nothing that a checkpoint holds is lost"
    } else if is(&["lock hold by", "While lock file", "LOCK:"]) {
        "another process or task uses this directory: stop it, or choose another directory"
    } else if is(&["Corruption", "checksum", "No such file"]) {
        "the files are damaged: restore from another checkpoint"
    } else if is(&["Permission denied", "Read-only file system"]) {
        "see that the directory can be written"
    } else {
        "see that the directory can be read and written; the job continues from its newest checkpoint"
    };
    Error::Storage { path: path.to_owned(), reason: format!("cannot {what}: {text}"), advice }
}

/// An error of the file system.
pub(super) fn file_error(path: &Path, what: &str, error: &std::io::Error) -> Error {
    let advice = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            "make room on the disk, or choose another directory; nothing that a checkpoint holds is lost"
        }
        std::io::ErrorKind::NotFound => "see that the directory is there and whole",
        _ => "see that the directory can be read and written",
    };
    Error::Storage { path: path.to_owned(), reason: format!("cannot {what}: {error}"), advice }
}
