//! Files as a source: split over tasks whole, read one after the other, and resumed where they were left.
//!
//! The list of files is made once, when the source is set up, and stored in the positions: a file that appears later
//! is not read by this run, nor by the one that resumes it.

mod position;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use statehouse_engine::{ConnectorError, Malformed, Polled, Progress, Source, SourceFactory};
use statehouse_operator::Port;

use self::position::FilePosition;
use crate::compression::{self, ByteCount, Compression};
use crate::format::{Decoder, Format, read_batch};
use crate::input::{Input, Place};
use crate::paths;

/// A set of files that tasks share.
#[derive(Debug)]
pub struct FilesFactory {
    format: Format,
    batch: u64,
    files: BTreeMap<String, PathBuf>,
    port: Port,
}

impl FilesFactory {
    /// The files that a path stands for.
    pub(crate) fn find(path: &Path, format: Format, batch: u64) -> Result<Self, ConnectorError> {
        let named = |path: PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.map(str::to_owned).unwrap_or_else(|| path.display().to_string());
            (name, path)
        };
        let files = paths::find(path)?.into_iter().map(named).collect();
        let port = format.port();
        Ok(Self { format, batch, files, port })
    }

    /// The files of a run: those of the run that is resumed, or those that are there.
    fn share(
        &self,
        task: u32,
        parallelism: u32,
        restored: &[Value],
    ) -> Result<Vec<File>, ConnectorError> {
        let mut positions = position::merge(restored)?;
        for name in self.files.keys() {
            if restored.is_empty() {
                positions.insert(name.clone(), FilePosition::default());
            } else if task == 0 && !positions.contains_key(name) {
                tracing::warn!(
                    "the input file `{name}` came later than the job and is not read: the files of a job are those of \
                     its first start; read it by a job of its own, or start over with --fresh"
                );
            }
        }
        let mine = (0u32..).zip(positions).filter(|(index, _)| index % parallelism == task);
        mine.map(|(_, (name, position))| File::check(self.files.get(&name), name, position))
            .collect()
    }
}

impl SourceFactory for FilesFactory {
    fn port(&self) -> &Port {
        &self.port
    }

    fn open(
        &self,
        task: u32,
        parallelism: u32,
        restored: &[Value],
    ) -> Result<Box<dyn Source>, ConnectorError> {
        let mut source = FilesSource {
            files: self.share(task, parallelism, restored)?,
            current: 0,
            reading: None,
            format: self.format.clone(),
            batch: self.batch,
            port: self.port.clone(),
            malformed: Vec::new(),
        };
        source.open_next()?;
        Ok(Box::new(source))
    }
}

/// One file of a task.
#[derive(Debug)]
struct File {
    name: String,
    path: PathBuf,
    size: u64,
    position: FilePosition,
}

impl File {
    /// Checks that a file is still there and as long as what was read of it.
    fn check(
        path: Option<&PathBuf>,
        name: String,
        position: FilePosition,
    ) -> Result<Self, ConnectorError> {
        let found = path.and_then(|path| Some((path.clone(), fs::metadata(path).ok()?.len())));
        let (path, size) = match found {
            Some(found) => found,
            None if position.finished => (PathBuf::from(&name), 0),
            None => {
                return Err(ConnectorError::new(format!(
                    "the input file `{name}` is gone, and the run that is resumed had read {} bytes of it and \
                     not all: put it back, or start over with --fresh",
                    position.bytes
                )));
            }
        };
        let plain = Compression::of(&path) == Compression::None;
        if plain && !position.finished && size < position.bytes {
            return Err(shorter(&path, position.bytes));
        }
        if plain && position.finished && size != position.bytes {
            tracing::warn!(
                "the input file `{}` had {} bytes when it was read to its end and has {size} now; it is not read \
                 again: new records belong into a new file of a new job, or start over with --fresh",
                path.display(),
                position.bytes
            );
        }
        Ok(Self { name, path, size, position })
    }

    /// Opens the file at its position.
    fn open(&self, format: &Format) -> Result<Reading, ConnectorError> {
        let unreadable = |error: std::io::Error| {
            ConnectorError::new(format!(
                "cannot open the input file `{}`: {error}",
                self.path.display()
            ))
        };
        let count = ByteCount::default();
        let name = self.path.display().to_string();
        let reader = compression::open(&self.path, &count).map_err(unreadable)?;
        let mut input = Input::start(reader, name.clone())?;
        let mut decoder = format.decoder();
        decoder.start(&mut input)?;
        let place = Place { bytes: self.position.bytes, lines: self.position.lines };
        if place.bytes > input.place().bytes {
            if Compression::of(&self.path) == Compression::None {
                let reader = compression::open_plain_at(&self.path, place.bytes, &count);
                input = Input::resume(reader.map_err(unreadable)?, name, place);
            } else if !input.skip_to(place)? {
                return Err(shorter(&self.path, place.bytes));
            }
        }
        Ok(Reading { input, decoder, count })
    }
}

fn shorter(path: &Path, bytes: u64) -> ConnectorError {
    ConnectorError::new(format!(
        "the input file `{}` is shorter than the {bytes} bytes of content that the run that is resumed had read of \
         it, so it is another file now: put the first one back, or start over with --fresh",
        path.display()
    ))
}

/// The file that is being read.
#[derive(Debug)]
struct Reading {
    input: Input,
    decoder: Box<dyn Decoder>,
    count: ByteCount,
}

/// The files of one task.
#[derive(Debug)]
struct FilesSource {
    files: Vec<File>,
    current: usize,
    reading: Option<Reading>,
    format: Format,
    batch: u64,
    port: Port,
    malformed: Vec<Malformed>,
}

impl FilesSource {
    /// Opens the next file that is not finished, if there is one and none is open.
    fn open_next(&mut self) -> Result<(), ConnectorError> {
        while self.reading.is_none()
            && let Some(file) = self.files.get(self.current)
        {
            if file.position.finished {
                self.current += 1;
            } else {
                self.reading = Some(file.open(&self.format)?);
            }
        }
        Ok(())
    }
}

impl Source for FilesSource {
    fn poll(&mut self) -> Result<Polled, ConnectorError> {
        loop {
            self.open_next()?;
            let Some(reading) = &mut self.reading else { return Ok(Polled::End) };
            let mut batch = self.port.empty_batch();
            let read = read_batch(
                reading.decoder.as_mut(),
                &mut reading.input,
                self.batch,
                &mut batch,
                &mut self.malformed,
                |_| false,
            )?;
            let place = reading.input.place();
            let position = &mut self.files[self.current].position;
            position.bytes = place.bytes;
            position.lines = place.lines;
            position.records += read.records;
            position.finished = read.ended;
            if read.ended {
                self.reading = None;
            }
            if !batch.is_empty() {
                return Ok(Polled::Batch(batch));
            }
            if read.records > 0 {
                return Ok(Polled::Idle);
            }
        }
    }

    fn position(&self) -> Value {
        position::write(self.files.iter().map(|file| (file.name.as_str(), file.position)))
    }

    fn take_malformed(&mut self) -> Vec<Malformed> {
        std::mem::take(&mut self.malformed)
    }

    fn progress(&self) -> Progress {
        let finished = self.files.iter().filter(|file| file.position.finished);
        let reading = self.reading.as_ref().map_or(0, |reading| reading.count.get());
        let total = self.files.iter().map(|file| file.size).sum();
        let done = finished.map(|file| file.size).sum::<u64>() + reading;
        Progress { done: done.min(total), total: Some(total) }
    }
}
