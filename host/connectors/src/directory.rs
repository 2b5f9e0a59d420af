//! A directory of JSON Lines files, written exactly once.
//!
//! # Layout
//!
//! ```text
//! part-<task>-<epoch>.jsonl            output, complete and never touched again
//! part-<task>-<epoch>-r<run>.jsonl     the same of the second and further fresh runs with `existing = "append"`
//! .pending/part-…                      prepared: on disk, waiting for the checkpoint
//! .pending/open-<task>                 being written
//! .pending/lock                        held by the job that writes here
//! ```
//!
//! # Crash safety
//!
//! `prepare` syncs the file and `.pending`; `commit` renames and syncs the directory. A crash leaves a pending file
//! that the checkpoint names, which `recover` commits, or one that it does not name, which `recover` deletes because
//! its records come again. An epoch without records makes no file.

mod part;
#[cfg(test)]
mod tests;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use statehouse_engine::{ConnectorError, Sink, SinkFactory};
use statehouse_operator::{Batch, Port};

use self::part::{Part, Token};
use crate::json_lines::LineFormat;
use crate::settings::{DirectorySettings, Existing};

/// Lines gathered before they are written to the file.
const BUFFER_BYTES: usize = 256 << 10;

/// A directory that the tasks of one job write to.
#[derive(Debug)]
pub struct DirectoryFactory {
    directory: Directory,
    settings: DirectorySettings,
    run: AtomicU32,
    /// Held for as long as the factory lives.
    lock: Mutex<Option<File>>,
}

impl DirectoryFactory {
    /// A sink for the directory of these settings. Nothing is touched before it recovers.
    pub fn new(settings: DirectorySettings) -> Self {
        Self {
            directory: Directory { path: settings.path.clone() },
            settings,
            run: AtomicU32::new(0),
            lock: Mutex::new(None),
        }
    }

    /// Keeps every other job out of the directory.
    fn lock(&self) -> Result<(), ConnectorError> {
        let mut held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_some() {
            return Ok(());
        }
        let path = self.directory.pending("lock");
        let file = File::create(&path).map_err(|error| failed("create", &path, &error))?;
        match file.try_lock() {
            Ok(()) => {
                *held = Some(file);
                Ok(())
            }
            Err(TryLockError::WouldBlock) => Err(ConnectorError::new(format!(
                "the output directory `{}` is being written by another job or another sink of this one: give each \
                 its own directory, or stop the other job",
                self.directory.path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(failed("lock", &path, &error)),
        }
    }

    /// The number of a fresh run.
    fn begin_run(&self) -> Result<u32, ConnectorError> {
        let parts = self.directory.parts()?;
        let latest = parts.iter().map(|part| part.run).max();
        match (latest, self.settings.existing) {
            (None, _) => Ok(0),
            (Some(run), Existing::Append) => Ok(run + 1),
            (Some(_), Existing::Refuse) => Err(ConnectorError::new(format!(
                "the output directory `{}` already holds {} files of an earlier run: delete or move them, choose \
                 another `path`, resume that run instead of starting afresh, or set `existing = \"append\"`",
                self.directory.path.display(),
                parts.len()
            ))),
        }
    }

    /// The number of the run that the checkpoint belongs to, if all of its output is there and nothing later is
    /// visible already.
    fn resume_run(&self, tokens: &[Token]) -> Result<u32, ConnectorError> {
        let run = tokens.iter().map(|token| token.run).max().unwrap_or(0);
        let epoch = tokens.iter().map(|token| token.epoch).max().unwrap_or(0);
        let mut later = self.directory.parts()?;
        later.retain(|part| part.run == run && part.epoch > epoch);
        if let Some(first) = later.iter().min_by_key(|part| part.epoch) {
            return Err(ConnectorError::new(format!(
                "the output directory `{}` holds {} files that are later than the checkpoint of epoch {epoch}, \
                 from `{first}` on: the job would write their records again; delete or move the files of later \
                 epochs and resume again",
                self.directory.path.display(),
                later.len()
            )));
        }
        tokens.iter().try_for_each(|token| self.directory.find(token))?;
        Ok(run)
    }

    /// The number of the run that these tokens belong to, or of a fresh one. Changes nothing.
    fn run_of(&self, tokens: &[Token], given: usize) -> Result<u32, ConnectorError> {
        if given == 0 { self.begin_run() } else { self.resume_run(tokens) }
    }
}

fn read(tokens: &[Value]) -> Result<Vec<Token>, ConnectorError> {
    tokens.iter().filter_map(Token::read).collect()
}

impl SinkFactory for DirectoryFactory {
    fn check(&self, input: &Port) -> Result<(), String> {
        LineFormat::check(input, self.settings.with_key)
    }

    fn check_recovery(&self, tokens: &[Value]) -> Result<(), ConnectorError> {
        self.run_of(&read(tokens)?, tokens.len()).map(|_| ())
    }

    fn recover(&self, tokens: &[Value]) -> Result<(), ConnectorError> {
        self.directory.create()?;
        self.lock()?;
        let (given, tokens) = (tokens.len(), read(tokens)?);
        self.run.store(self.run_of(&tokens, given)?, Ordering::Relaxed);
        tokens.iter().try_for_each(|token| self.directory.commit(token))?;
        self.directory.discard_pending()
    }

    fn open(&self, task: u32, input: &Port) -> Result<Box<dyn Sink>, ConnectorError> {
        self.directory.create()?;
        Ok(Box::new(DirectorySink {
            directory: self.directory.clone(),
            format: LineFormat::new(input, self.settings.with_key, self.settings.with_time),
            task,
            run: self.run.load(Ordering::Relaxed),
            lines: Vec::new(),
            file: None,
        }))
    }
}

/// The directory and the few things that are done with it.
#[derive(Debug, Clone)]
struct Directory {
    path: PathBuf,
}

impl Directory {
    fn pending(&self, name: &str) -> PathBuf {
        self.path.join(".pending").join(name)
    }

    fn create(&self) -> Result<(), ConnectorError> {
        let pending = self.path.join(".pending");
        if pending.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&pending).map_err(|error| failed("create", &pending, &error))?;
        // The directory's own entry must survive a crash as well.
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync(parent.unwrap_or(Path::new(".")))?;
        sync(&self.path)
    }

    /// The output that is visible.
    fn parts(&self) -> Result<Vec<Part>, ConnectorError> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        let names = list(&self.path)?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Deletes what is pending and no checkpoint names.
    fn discard_pending(&self) -> Result<(), ConnectorError> {
        let folder = self.path.join(".pending");
        for name in list(&folder)? {
            if name != "lock" {
                let path = folder.join(name);
                fs::remove_file(&path).map_err(|error| failed("delete", &path, &error))?;
            }
        }
        sync(&folder)
    }

    /// Looks for what a token stands for.
    fn find(&self, token: &Token) -> Result<(), ConnectorError> {
        let Some(part) = token.part() else { return Ok(()) };
        let name = part.to_string();
        let (pending, visible) = (self.pending(&name), self.path.join(&name));
        if pending.exists() || visible.exists() {
            return Ok(());
        }
        Err(ConnectorError::new(format!(
            "output was lost: the checkpoint names `{}`, and neither it nor `{}` is there; if the output was moved, \
             put `{name}` back; else start afresh by `--fresh`, or resume from an older checkpoint",
            visible.display(),
            pending.display()
        )))
    }

    fn commit(&self, token: &Token) -> Result<(), ConnectorError> {
        let Some(part) = token.part() else { return Ok(()) };
        let name = part.to_string();
        let (from, to) = (self.pending(&name), self.path.join(&name));
        match fs::rename(&from, &to) {
            Ok(()) => sync(&self.path),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("rename", &from, &error))
            }
            Err(_) => {
                self.find(token)?;
                // Whoever renamed it may have died before it was durable.
                sync(&self.path)
            }
        }
    }
}

/// One task's way into the directory.
#[derive(Debug)]
struct DirectorySink {
    directory: Directory,
    format: LineFormat,
    task: u32,
    run: u32,
    lines: Vec<u8>,
    file: Option<File>,
}

impl DirectorySink {
    fn open_path(&self) -> PathBuf {
        self.directory.pending(&format!("open-{}", self.task))
    }

    fn flush(&mut self) -> Result<(), ConnectorError> {
        let path = self.open_path();
        if self.file.is_none() {
            let file = File::create_new(&path).map_err(|error| failed("create", &path, &error))?;
            self.file = Some(file);
        }
        if let Some(file) = &mut self.file {
            file.write_all(&self.lines).map_err(|error| failed("write to", &path, &error))?;
        }
        self.lines.clear();
        Ok(())
    }
}

impl Sink for DirectorySink {
    fn write(&mut self, batch: &Batch) -> Result<(), ConnectorError> {
        self.format.append(batch, &mut self.lines);
        if self.lines.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn prepare(&mut self, epoch: u64) -> Result<Value, ConnectorError> {
        if !self.lines.is_empty() {
            self.flush()?;
        }
        let part = Part { task: self.task, epoch, run: self.run };
        let Some(file) = self.file.take() else { return Ok(Token::new(part, false).write()) };
        let (from, name) = (self.open_path(), part.to_string());
        let (to, visible) = (self.directory.pending(&name), self.directory.path.join(&name));
        if to.exists() || visible.exists() {
            return Err(ConnectorError::new(format!(
                "the output file `{}` is there already and is never overwritten: does another job write to the \
                 same directory? Move it away, or choose another `path`",
                visible.display()
            )));
        }
        file.sync_all().map_err(|error| failed("sync", &from, &error))?;
        fs::rename(&from, &to).map_err(|error| failed("rename", &from, &error))?;
        sync(&self.directory.path.join(".pending"))?;
        Ok(Token::new(part, true).write())
    }

    fn commit(&mut self, token: &Value) -> Result<(), ConnectorError> {
        match Token::read(token) {
            Some(token) => self.directory.commit(&token?),
            None => Ok(()),
        }
    }
}

fn list(folder: &Path) -> Result<Vec<String>, ConnectorError> {
    let unreadable = |error: io::Error| failed("list", folder, &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        // No name of ours is anything but UTF-8.
        names.extend(entry.map_err(unreadable)?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

fn sync(folder: &Path) -> Result<(), ConnectorError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| failed("sync", folder, &error))
}

fn failed(action: &str, path: &Path, error: &io::Error) -> ConnectorError {
    ConnectorError::new(format!("cannot {action} the output `{}`: {error}", path.display()))
}
