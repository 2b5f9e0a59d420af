//! Files of tables on their way from a checkpoint into a backend.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::executor::block_on;
use serde_json::Value;
use statehouse_checkpoint::testing::FaultStore;
use statehouse_checkpoint::{
    Epoch, FileRef, Generation, Manifest, OperatorState, PackSettings, PackStamp, Statistics,
    TablesRef,
};
use statehouse_engine::{RecoveryError, RestorePoint, Stop};
use statehouse_state::{HeapBackend, KeyGroupRange, KeyGroups, KeyLayout};

use crate::backends::{Backends, folder};
use crate::scheduler::{Ending, Life, Scenario};

/// A life that keeps its state in RocksDB, and that restores both operators at once.
fn start_on_rocks(scenario: &mut Scenario) -> Life {
    let folder = folder();
    let backends = Backends::rocks(folder.path()).at_once(2);
    scenario.start_on(backends, folder).unwrap()
}

#[test]
fn operators_that_are_restored_at_once_do_not_get_each_others_tables() {
    for seed in 810..818 {
        let mut scenario = Scenario::new(seed);
        scenario.restores_max = 8;
        let mut life = start_on_rocks(&mut scenario);
        for _ in 0..2000 {
            assert_eq!(scenario.step(&mut life), None);
        }
        life.job.handle.stop(Stop::Checkpoint);
        let ending = std::iter::repeat_with(|| scenario.step(&mut life)).find_map(|ending| ending);
        assert_eq!(ending, Some(Ending::Stopped));
        drop(life);
        let mut life = start_on_rocks(&mut scenario);
        let ending = std::iter::repeat_with(|| scenario.step(&mut life)).find_map(|ending| ending);
        assert_eq!(ending, Some(Ending::Completed), "seed {seed}");
        scenario.check();
    }
}

const FILE_BYTES: u64 = 40 << 20;

/// A file of zeros in the store, as the tables of an operator.
fn one_large_file(faults: &FaultStore) -> OperatorState {
    let folder = folder();
    let path = folder.path().join("table");
    fs::File::create(&path).unwrap().set_len(FILE_BYTES).unwrap();
    let stamp = PackStamp { generation: Generation(1), epoch: Epoch(1), writer: 0 };
    let content = block_on(async {
        let settings = PackSettings { pack_bytes_max: 8 << 20, ..PackSettings::default() };
        let mut writer = faults.checkpoints().task_writer(stamp, settings);
        writer.add_file(&path).await.unwrap();
        writer.finish().await.unwrap().files.remove(0)
    });
    let file = FileRef { name: "table".into(), identity: None, content };
    let groups = KeyGroups::DEFAULT.count();
    OperatorState {
        id: "sums".into(),
        component: None,
        declared: None,
        description: Value::Null,
        retired: None,
        parallelism: 1,
        tasks: vec![],
        groups: BTreeMap::new(),
        tables: vec![TablesRef { start: 0, end: groups, entries: 1, files: vec![file] }],
    }
}

fn restore_point(faults: &FaultStore, operator: OperatorState) -> RestorePoint {
    let manifest = Manifest {
        job: "job".into(),
        epoch: Epoch(1),
        parent: None,
        generation: Generation(1),
        created_ms: 0,
        key_groups: KeyGroups::DEFAULT.count(),
        key_hash: "xxh3-64".into(),
        operators: vec![operator],
        statistics: Statistics::default(),
    };
    RestorePoint {
        store: faults.checkpoints(),
        manifest,
        point: None,
        continues: true,
        drop_unclaimed: false,
        fork: false,
    }
}

#[test]
fn a_file_goes_to_the_disk_while_the_rest_of_it_is_read() {
    let faults = FaultStore::in_memory();
    let point = restore_point(&faults, one_large_file(&faults));
    let (scratch, groups) = (folder(), KeyGroups::DEFAULT);
    let range = KeyGroupRange::all(groups);
    let mut backend = HeapBackend::new(KeyLayout::U64, &[], &[], groups, range).unwrap();
    // What lies on the disk when the last of its five packs is read.
    let on_disk = Arc::new(AtomicU64::new(0));
    let (seen, file) = (Arc::clone(&on_disk), scratch.path().to_owned());
    faults.before_request_after(4, move || {
        let restored = fs::read_dir(file).unwrap().map(|entry| entry.unwrap().path().join("table"));
        let lengths = restored.filter_map(|file| Some(fs::metadata(file).ok()?.len()));
        seen.store(lengths.sum(), Ordering::SeqCst);
    });
    let operator = &point.manifest.operators[0];
    let filled = block_on(point.fill(operator, range, &mut backend, Some(scratch.path())));
    // It was read as a whole, and is no table.
    assert!(matches!(filled, Err(RecoveryError::State { .. })), "{filled:?}");
    let on_disk = on_disk.load(Ordering::SeqCst);
    assert!(on_disk >= FILE_BYTES / 2, "only {on_disk} bytes: the rest is in memory");
}
