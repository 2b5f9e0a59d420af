//! Directories that are locked, damaged or full.

use std::process::Command;

use super::bed::*;
use super::*;
use crate::declaration::{StateKind, ValueLayout};

fn values() -> Setup {
    for_states(vec![
        state("sum", StateKind::Value, ValueLayout::U64),
        state("text", StateKind::Map, ValueLayout::Bytes),
    ])
}

fn storage_error(error: &Error, part: &str) {
    assert!(matches!(error, Error::Storage { .. }), "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

#[test]
fn a_directory_that_is_in_use_is_refused_and_left_alone() {
    let bed = Bed::new(RocksOptions::default());
    let directory = bed.directory();
    let mut backend = bed.open(&directory, &values()).unwrap();
    put(&mut backend, 0, &[1], &[10], 0);
    let error = bed.open(&directory, &values()).unwrap_err();
    storage_error(&error, "another process or task uses this directory");
    snapshot(&mut backend, 1);
    assert_eq!(get(&mut backend, 0, &[1], 0), [Some(10)]);
}

#[test]
fn what_a_dead_process_left_in_the_directory_is_removed() {
    let bed = Bed::new(RocksOptions::default());
    let directory = bed.directory();
    let mut backend = bed.open(&directory, &values()).unwrap();
    put(&mut backend, 0, &[1], &[10], 0);
    backend.compact().unwrap();
    drop(backend);
    fs::write(directory.join("notes"), "not RocksDB's").unwrap();
    let mut backend = bed.open(&directory, &values()).unwrap();
    assert_eq!(get(&mut backend, 0, &[1], 0), [None]);
    assert!(directory.join("notes").exists());
}

#[test]
fn damaged_and_missing_tables_are_named_at_restore() {
    let bed = Bed::new(RocksOptions::default());
    let setup = values();
    let mut backend = bed.backend(&setup);
    let keys: Vec<u64> = (0..1000).collect();
    put(&mut backend, 0, &keys, &keys, 0);
    let tables = snapshot(&mut backend, 1);
    let damage = |name: &str, change: &dyn Fn(&Path)| {
        let copy = bed.directory();
        files::adopt(tables.directory(), &copy).unwrap();
        let file = copy.join(name);
        let bytes = fs::read(&file).unwrap();
        // The copy may be a link.
        fs::remove_file(&file).unwrap();
        fs::write(&file, bytes).unwrap();
        change(&file);
        copy
    };
    let table = tables.files.iter().find(|file| file.identity.is_some()).unwrap().name.clone();
    let manifest = tables.files.iter().find(|file| file.name.starts_with("MANIFEST")).unwrap();
    let flip = |file: &Path| {
        let mut bytes = fs::read(file).unwrap();
        (0..bytes.len()).step_by(97).for_each(|at| bytes[at] ^= 0x55);
        fs::write(file, bytes).unwrap();
    };
    let remove = |file: &Path| fs::remove_file(file).unwrap();
    let truncate = |file: &Path| {
        let length = fs::metadata(file).unwrap().len();
        fs::File::options().write(true).open(file).unwrap().set_len(length / 2).unwrap();
    };
    let schema = Schema::new(setup.key, &setup.states, &setup.timers);
    let changes: [&dyn Fn(&Path); 3] = [&flip, &remove, &truncate];
    for change in changes {
        for name in [table.as_str(), manifest.name.as_str()] {
            let copy = damage(name, change);
            let range = KeyGroupRange { start: 1, end: 5 };
            for setup in [Setup { range, ..setup.clone() }, setup.clone()] {
                let error = bed.backend(&setup).restore_tables(&copy).unwrap_err();
                storage_error(&error, "restore from another checkpoint");
            }
            let all = (setup.groups, setup.range);
            let read = read_tables(&copy, &schema, all.0, all.1, &mut |_, _| Ok(()));
            storage_error(&read.unwrap_err(), "restore from another checkpoint");
        }
    }
    let error = bed.backend(&setup).restore_tables(&bed.directory()).unwrap_err();
    storage_error(&error, "CURRENT");
}

/// A file system of a few megabytes, which needs root. Elsewhere there is none.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "statehouse-test"])
            .arg(directory.path())
            .output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).output();
    }
}

#[test]
fn on_a_full_disk_commits_and_snapshots_fail_whole_and_checkpoints_stay() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("no file system can be mounted here, so the disk is not filled");
        return;
    };
    let options = RocksOptions {
        write_buffer_size: 256 << 10,
        compression: Compression::None,
        ..RocksOptions::default()
    };
    let bed = Bed::new(options);
    let setup = values();
    let mut backend = bed.open(&disk.0.path().join("task"), &setup).unwrap();
    put(&mut backend, 0, &[1], &[10], 0);
    let tables = snapshot(&mut backend, 1);
    let kept = bed.root.path().join("kept");
    files::adopt(tables.directory(), &kept).unwrap();
    let mut noise = 1_u64;
    let mut last = 0;
    let error = loop {
        let mut bytes = vec![0; 64 << 10];
        bytes.iter_mut().for_each(|byte| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (noise >> 56) as u8;
        });
        let mut value = crate::BytesColumn::default();
        value.push(&bytes);
        let (entry, value) = (Column::Words(vec![last + 1]), Column::Bytes(value));
        let committed = commit(&mut backend, &[1], 0, |set| {
            set.put_entries(StateId(1), &[0], &entry, &value);
            set.set_words(StateId(0), &[0], &[last + 1]);
        });
        let snapshot = committed.and_then(|()| {
            last += 1;
            backend.start_snapshot(last + 1, false)?;
            backend.abandon_snapshot();
            Ok(())
        });
        match snapshot {
            Ok(()) => assert!(last < 1000, "the disk is full by now"),
            Err(error) => break error,
        }
    };
    storage_error(&error, "make room on the disk");
    // What was committed is there, what failed is not, and the snapshot is as it was.
    assert_eq!(get(&mut backend, 0, &[1], 0), [Some(last)]);
    drop(backend);
    let mut restored = bed.backend(&setup);
    restored.restore_tables(&kept).unwrap();
    assert_eq!(get(&mut restored, 0, &[1], 0), [Some(10)]);
}
