//! Makes backends in a directory that goes away, and drives them by single keys.

use std::cell::Cell as Counter;
use std::ops::Bound;

use tempfile::TempDir;

use super::super::*;
use crate::conformance::Setup;
use crate::declaration::{Merge, StateKind, TimerId, Ttl, ValueLayout};
use crate::key::hash_column;
use crate::writes::TimerChange;

/// Backends that share their caches, each with a directory of its own.
pub(super) struct Bed {
    pub(super) root: TempDir,
    pub(super) resources: RocksResources,
    next: Counter<u32>,
}

/// Settings under which next to nothing stays in the cache, and tables are small.
pub(super) fn tiny() -> RocksOptions {
    RocksOptions {
        write_behind_cache: 600,
        block_cache_size: 1 << 20,
        write_buffer_size: 64 << 10,
        target_file_size_base: 4 << 10,
        ..RocksOptions::default()
    }
}

impl Bed {
    pub(super) fn new(options: RocksOptions) -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { root, resources: RocksResources::new(options), next: Counter::new(0) }
    }

    pub(super) fn directory(&self) -> PathBuf {
        self.next.set(self.next.get() + 1);
        self.root.path().join(format!("task-{}", self.next.get()))
    }

    pub(super) fn open(&self, directory: &Path, setup: &Setup) -> Result<RocksBackend, Error> {
        let declarations = (&setup.states[..], &setup.timers[..]);
        let groups = (setup.groups, setup.range);
        RocksBackend::open(directory, &self.resources, setup.key, declarations, groups)
    }

    pub(super) fn backend(&self, setup: &Setup) -> RocksBackend {
        self.open(&self.directory(), setup).unwrap()
    }

    pub(super) fn boxed(&self, setup: Setup) -> Box<dyn Backend> {
        Box::new(self.backend(&setup))
    }
}

pub(super) fn state(name: &str, kind: StateKind, value: ValueLayout) -> StateDeclaration {
    StateDeclaration {
        name: name.to_owned(),
        kind,
        value,
        codec: "raw".to_owned(),
        schema: None,
        map_key: (kind == StateKind::Map).then_some(KeyLayout::U64),
        map_key_codec: None,
        map_key_schema: None,
        merge: (kind == StateKind::Reducing).then_some(Merge::Sum),
        ttl: None,
        schema_version: 1,
    }
}

pub(super) fn expiring(state: StateDeclaration, ttl: Ttl) -> StateDeclaration {
    StateDeclaration { ttl: Some(ttl), ..state }
}

/// Keys by number, these states, one family of timers in event time.
pub(super) fn for_states(states: Vec<StateDeclaration>) -> Setup {
    let groups = KeyGroups::new(8).unwrap();
    let timers = vec![TimerDeclaration { name: "alarm".to_owned(), domain: TimeDomain::EventTime }];
    let range = KeyGroupRange::all(groups);
    Setup { key: KeyLayout::U64, states, timers, groups, range }
}

pub(super) fn begin(backend: &mut dyn Backend, keys: &[u64], now: i64) -> Result<(), Error> {
    let keys = Column::Words(keys.to_vec());
    let mut hashes = Vec::new();
    hash_column(&keys, &mut hashes);
    backend.begin(&keys, &hashes, Now { processing_time: now, watermark: now })
}

/// Keys of the backend's range.
pub(super) fn owned(setup: &Setup, keys: std::ops::Range<u64>) -> Vec<u64> {
    let owns = |key: &u64| setup.range.contains(setup.groups.group_of(crate::key::hash_word(*key)));
    keys.filter(owns).collect()
}

/// One invocation: `write` fills its write set.
pub(super) fn commit(
    backend: &mut RocksBackend,
    keys: &[u64],
    now: i64,
    write: impl FnOnce(&mut WriteSet),
) -> Result<(), Error> {
    let mut set = WriteSet::new(backend.schema.states());
    write(&mut set);
    begin(backend, keys, now)?;
    backend.commit(&set)
}

pub(super) fn put(backend: &mut RocksBackend, state: u32, keys: &[u64], words: &[u64], now: i64) {
    let slots: Vec<u32> = (0..keys.len() as u32).collect();
    commit(backend, keys, now, |set| set.set_words(StateId(state), &slots, words)).unwrap();
}

pub(super) fn set_timer(backend: &mut RocksBackend, key: u64, time: i64) {
    let timer = TimerId(0);
    let change = TimerChange { timer, slot: 0, namespace: 7, time, set: true };
    commit(backend, &[key], 0, |set| set.change_timer(change)).unwrap();
}

pub(super) fn get(
    backend: &mut dyn Backend,
    state: u32,
    keys: &[u64],
    now: i64,
) -> Vec<Option<u64>> {
    begin(backend, keys, now).unwrap();
    let mut window = Window::new(true);
    backend.load(StateId(state), &mut window).unwrap();
    let Column::Words(words) = &window.values else { panic!("the state holds words") };
    let value = |slot: usize| window.present.get(slot).then(|| words[slot]);
    (0..keys.len()).map(value).collect()
}

/// The elements of a list of words.
pub(super) fn list(backend: &mut dyn Backend, state: u32, key: u64) -> Vec<u64> {
    begin(backend, &[key], 0).unwrap();
    let mut entries = Entries::new(true, true);
    let (from, to, limit) = (Bound::Unbounded, Bound::Unbounded, usize::MAX);
    backend.scan(StateId(state), &Scan { slot: 0, from, to, limit }, &mut entries).unwrap();
    let Column::Words(words) = entries.values else { panic!("the state holds words") };
    words
}

pub(super) fn snapshot(backend: &mut dyn Backend, epoch: u64) -> Tables {
    backend.start_snapshot(epoch, false).unwrap();
    let snapshot = backend.advance_snapshot(usize::MAX).unwrap().unwrap();
    assert!(snapshot.segments.is_empty() && snapshot.epoch == epoch);
    snapshot.tables.unwrap()
}
