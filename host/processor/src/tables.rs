//! Tables of a manifest: fetched to temporary folders, each file once, and read group by group.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::channel::mpsc;
use futures::executor::block_on;
use futures::{SinkExt, StreamExt};
use statehouse_checkpoint::{CheckpointStore, Location, TablesRef};
use statehouse_state::rocks::read_tables;
use statehouse_state::segment::Writer;
use statehouse_state::{KeyGroup, KeyGroupRange};
use tempfile::TempDir;

use crate::content::{Content, SegmentBytes};
use crate::error::Error;
use crate::view::OperatorView;

/// How many threads read the same tables at a time.
const READERS_MAX: usize = 4;

/// How many shares tables are read in; each opens them anew.
const SHARES: u32 = 64;

/// Temporary folders of tables, which are removed with the last clone. Files that several tables have are fetched once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folders {
    inside: Option<PathBuf>,
    fetched: Arc<Mutex<Fetched>>,
}

#[derive(Debug, Default)]
struct Fetched {
    folders: Vec<(TablesRef, Arc<TempDir>)>,
    /// By what [`place`] says.
    files: HashMap<String, PathBuf>,
}

impl Folders {
    /// Folders in this one; by default in that of the system.
    pub(crate) fn inside(folder: Option<PathBuf>) -> Self {
        Self { inside: folder, fetched: Arc::default() }
    }

    /// A folder with the files of the tables.
    pub(crate) async fn fetch(
        &self,
        store: &CheckpointStore,
        tables: &TablesRef,
    ) -> Result<Arc<TempDir>, Error> {
        if let Some(folder) = self.known(tables) {
            return Ok(folder);
        }
        let made = match &self.inside {
            Some(inside) => TempDir::with_prefix_in("statehouse-tables-", inside),
            None => TempDir::with_prefix("statehouse-tables-"),
        };
        let around = self.inside.clone().unwrap_or_else(std::env::temp_dir);
        let failed = |error| Error::file(&around, "used for temporary files", error);
        let folder = made.map_err(failed)?;
        let mut missing = Vec::new();
        for file in &tables.files {
            let target = folder.path().join(&file.name);
            let known = place(&file.content.location).and_then(|place| self.file(&place));
            // What cannot be linked is fetched.
            if known.is_none_or(|known| fs::hard_link(known, &target).is_err()) {
                missing.push(file.clone());
            }
        }
        store.read_files_to(&missing, folder.path()).await?;
        for file in &missing {
            if let Some(place) = place(&file.content.location) {
                self.lock().files.insert(place, folder.path().join(&file.name));
            }
        }
        let folder = Arc::new(folder);
        self.lock().folders.push((tables.clone(), Arc::clone(&folder)));
        Ok(folder)
    }

    fn known(&self, tables: &TablesRef) -> Option<Arc<TempDir>> {
        let fetched = self.lock();
        let mut folders = fetched.folders.iter();
        folders.find(|(other, _)| other == tables).map(|(_, folder)| Arc::clone(folder))
    }

    fn file(&self, place: &str) -> Option<PathBuf> {
        self.lock().files.get(place).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Fetched> {
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands for the bytes of a file: where they are. Those in the manifest are not worth a link.
fn place(location: &Location) -> Option<String> {
    let Location::Packed(ranges) = location else { return None };
    let range = |range: &statehouse_checkpoint::PackRange| {
        format!("{} {} {}", range.pack.digest, range.offset, range.length)
    };
    Some(ranges.iter().map(range).collect::<Vec<_>>().join(" "))
}

/// One group, or why it cannot be read.
type Read = Result<Content, statehouse_state::Error>;

/// The key groups of a range of tables, in order, read ahead by a few threads.
#[derive(Debug)]
pub(crate) struct TableGroups {
    folder: Arc<TempDir>,
    view: Arc<OperatorView>,
    shares: VecDeque<KeyGroupRange>,
    running: VecDeque<mpsc::Receiver<Read>>,
}

impl TableGroups {
    /// Begins to read.
    pub(crate) fn start(
        folder: Arc<TempDir>,
        view: &Arc<OperatorView>,
        range: KeyGroupRange,
    ) -> Self {
        let step = (range.end - range.start).div_ceil(SHARES).max(1);
        let share = |start: u32| KeyGroupRange { start, end: (start + step).min(range.end) };
        let shares = (range.start..range.end).step_by(step as usize).map(share).collect();
        let mut groups = Self { folder, view: Arc::clone(view), shares, running: VecDeque::new() };
        (0..READERS_MAX).for_each(|_| groups.start_share());
        groups
    }

    /// The next group of the range, with or without content; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Content>, Error> {
        while let Some(front) = self.running.front_mut() {
            match front.next().await {
                Some(Ok(content)) => return Ok(Some(content)),
                Some(Err(source)) => {
                    self.running.clear();
                    self.shares.clear();
                    return Err(self.view.state_error(source));
                }
                None => {
                    self.running.pop_front();
                    self.start_share();
                }
            }
        }
        Ok(None)
    }

    fn start_share(&mut self) {
        let Some(range) = self.shares.pop_front() else { return };
        let (mut to, from) = mpsc::channel(1);
        let (folder, view) = (Arc::clone(&self.folder), Arc::clone(&self.view));
        // Ends when the share is read, or at the next group once nobody receives any more.
        std::thread::spawn(move || {
            if let Err(error) = read_share(&folder, &view, range, &mut to) {
                let _ = block_on(to.send(Err(error)));
            }
        });
        self.running.push_back(from);
    }
}

/// Sends every group of a range.
fn read_share(
    folder: &TempDir,
    view: &OperatorView,
    range: KeyGroupRange,
    to: &mut mpsc::Sender<Read>,
) -> Result<(), statehouse_state::Error> {
    let mut writer = Writer::new(view.schema());
    let mut current = range.start;
    let mut send = |group: u32, writer: Writer| {
        let entries = writer.entries();
        let segment = SegmentBytes { full: true, entries, bytes: writer.finish().into() };
        let segments = if segment.entries == 0 { Vec::new() } else { vec![segment] };
        let content = Content { group: KeyGroup(group as u16), segments };
        let reason = "nobody wants to read on".to_owned();
        block_on(to.send(Ok(content))).map_err(|_| statehouse_state::Error::Access { reason })
    };
    read_tables(folder.path(), view.schema(), view.key_groups(), range, &mut |group, record| {
        while current < u32::from(group.0) {
            send(current, std::mem::replace(&mut writer, Writer::new(view.schema())))?;
            current += 1;
        }
        writer.record(record);
        Ok(())
    })?;
    while current < range.end {
        send(current, std::mem::replace(&mut writer, Writer::new(view.schema())))?;
        current += 1;
    }
    Ok(())
}
