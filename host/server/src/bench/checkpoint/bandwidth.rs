//! A state written as a checkpoint and read back, beside the raw disk; savepoints and forks of it.

use std::path::Path;

use futures::executor::block_on;
use statehouse_checkpoint::{
    Check, CheckpointStore, Compression, Durability, Manifest, OriginRecord, PackSettings,
    StartPlace, StartPoint,
};
use statehouse_processor::Inside;

use super::job::{Folders, Run};
use super::source::Then;
use super::{BandwidthFigures, CheckpointSettings, disk};
use crate::bench::machine::Stopwatch;
use crate::bench::median;
use crate::job_file::BackendKind;

/// Bytes of a value here: what a record of some columns has.
const VALUE_BYTES: usize = 1000;

pub(super) fn run(
    settings: &CheckpointSettings,
    directory: &Path,
) -> Result<Vec<BandwidthFigures>, String> {
    let kinds = [
        (BackendKind::Heap, Compression::None),
        (BackendKind::Heap, Compression::Lz4),
        (BackendKind::Rocksdb, Compression::None),
    ];
    kinds.into_iter().map(|kind| measure(settings, directory, kind)).collect()
}

/// Seconds of each repetition.
#[derive(Default)]
struct Taken {
    raw_write: Vec<f64>,
    raw_read: Vec<f64>,
    checkpoint: Vec<f64>,
    restore: Vec<f64>,
    savepoint: Vec<f64>,
    fork: Vec<f64>,
    portable_write: Vec<f64>,
    portable_restore: Vec<f64>,
}

fn measure(
    settings: &CheckpointSettings,
    directory: &Path,
    (backend, compression): (BackendKind, Compression),
) -> Result<BandwidthFigures, String> {
    let run = Run {
        backend,
        keys: settings.state_bytes / VALUE_BYTES as u64,
        value_bytes: VALUE_BYTES,
        parallelism: settings.parallelism,
        interval: None,
        compression,
        then: Then::End,
    };
    let mut taken = Taken::default();
    let mut stored_bytes = 0;
    for _ in 0..settings.repetitions.max(1) {
        let folders = Folders::fresh(directory)?;
        let ran = run.run(&folders)?;
        let last = ran.checkpoints.last().ok_or("the benchmark's job took no checkpoint")?;
        taken.checkpoint.push(last.duration_ms as f64 / 1e3);
        stored_bytes = last.written_bytes;
        let manifest = newest(&folders.store()?)?;
        let point = StartPoint::checkpoint(manifest.epoch);
        taken.restore.push(restore(&run, &folders, manifest.clone(), point)?);
        savepoint_and_fork(&folders, directory, &manifest, &mut taken)?;
        portable(&run, &folders, &manifest, &mut taken)?;
        // Beside every repetition, so that both see the disk in the same mood.
        let raw = disk::seconds(directory, stored_bytes).map_err(|error| error.to_string())?;
        taken.raw_write.push(raw.0);
        taken.raw_read.push(raw.1);
    }
    let Taken { raw_write, raw_read, checkpoint, restore, savepoint, fork, .. } = taken;
    let (portable_write, portable_restore) = (taken.portable_write, taken.portable_restore);
    let [raw_write, raw_read] = [raw_write, raw_read].map(median);
    let [checkpoint, restore] = [checkpoint, restore].map(median);
    Ok(BandwidthFigures {
        backend: backend.name(),
        compression: match compression {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        },
        state_bytes: run.keys * (8 + VALUE_BYTES as u64),
        stored_bytes,
        raw_write_seconds: raw_write,
        raw_read_seconds: raw_read,
        checkpoint_seconds: checkpoint,
        restore_seconds: restore,
        checkpoint_over_raw: raw_write / checkpoint,
        restore_over_raw: raw_read / restore,
        savepoint_ms: median(savepoint) * 1e3,
        fork_ms: median(fork) * 1e3,
        portable_write_seconds: median(portable_write),
        portable_restore_seconds: median(portable_restore),
    })
}

fn forget(folder: &Path) -> Result<(), String> {
    disk::forget_cached(folder).map_err(|error| error.to_string())
}

/// Seconds of a restore from the disk.
fn restore(
    run: &Run,
    folders: &Folders,
    manifest: Manifest,
    point: StartPoint,
) -> Result<f64, String> {
    forget(&folders.checkpoints)?;
    let watch = Stopwatch::start();
    let job = run.restore(folders, manifest, point)?;
    let seconds = watch.seconds();
    drop(job);
    Ok(seconds)
}

/// The checkpoint in the portable form: written, and restored.
fn portable(
    run: &Run,
    folders: &Folders,
    manifest: &Manifest,
    taken: &mut Taken,
) -> Result<(), String> {
    let store = folders.store()?;
    let settings = PackSettings { compression: run.compression, ..PackSettings::default() };
    forget(&folders.checkpoints)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let watch = Stopwatch::start();
    let inside = Inside::new(store.clone(), manifest.clone(), "the benchmark's checkpoint");
    let written = runtime.block_on(async {
        let written = inside.export(settings, 0).await.map_err(|error| error.to_string())?;
        let pinned = store.pin_savepoint("portable", &written).await;
        pinned.map(|()| written).map_err(|error| error.chain())
    })?;
    taken.portable_write.push(watch.seconds());
    let place = StartPlace::Savepoint("portable".to_owned());
    let point = StartPoint { epoch: written.epoch, place, fork: false };
    taken.portable_restore.push(restore(run, folders, written, point)?);
    Ok(())
}

/// A savepoint, and a fork that is ready to go on from the checkpoint.
fn savepoint_and_fork(
    folders: &Folders,
    directory: &Path,
    manifest: &Manifest,
    taken: &mut Taken,
) -> Result<(), String> {
    let store = folders.store()?;
    let watch = Stopwatch::start();
    block_on(store.pin_savepoint("bench", manifest)).map_err(|error| error.chain())?;
    taken.savepoint.push(watch.seconds());
    let fork = directory.join("fork");
    std::fs::create_dir_all(&fork).map_err(|error| error.to_string())?;
    let watch = Stopwatch::start();
    let forked = async {
        let own = CheckpointStore::open_directory(&fork, Durability::Power)?;
        let lease = own.claim().await?;
        let record = OriginRecord {
            location: folders.checkpoints.display().to_string(),
            pin: "fork-bench".to_owned(),
        };
        store.pin(&record.pin, manifest).await?;
        own.add_origin(&record).await?;
        let place = StartPlace::Origin(record.pin.clone());
        let own = own.with_origin(store.clone(), record);
        let point = StartPoint { epoch: manifest.epoch, place, fork: true };
        own.begin_run(&lease, Some(point)).await
    };
    block_on(forked).map_err(|error| error.chain())?;
    taken.fork.push(watch.seconds());
    Ok(())
}

fn newest(store: &CheckpointStore) -> Result<Manifest, String> {
    let found = block_on(store.newest_valid(Check::Manifest)).map_err(|error| error.chain())?;
    found.manifest.ok_or_else(|| "the benchmark's checkpoint is not there".to_owned())
}
