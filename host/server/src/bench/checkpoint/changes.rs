//! Bytes and requests of a checkpoint, by how many keys changed since the one before.

use std::path::Path;

use statehouse_checkpoint::{Compression, StoreCounts};

use super::job::{Folders, Run};
use super::source::Then;
use super::{ChangeFigures, CheckpointSettings};
use crate::bench::middle;
use crate::job_file::BackendKind;

/// Keys that change, in thousandths.
const RATES: [u64; 3] = [1, 10, 100];

/// Bytes of a key as state keeps it.
const KEY_BYTES: usize = 8;

pub(super) fn run(
    settings: &CheckpointSettings,
    directory: &Path,
) -> Result<Vec<ChangeFigures>, String> {
    let mut figures = Vec::new();
    for backend in [BackendKind::Heap, BackendKind::Rocksdb] {
        for rate in RATES {
            figures.push(measure(settings, directory, backend, settings.keys * rate / 1000)?);
        }
    }
    Ok(figures)
}

fn measure(
    settings: &CheckpointSettings,
    directory: &Path,
    backend: BackendKind,
    touched: u64,
) -> Result<ChangeFigures, String> {
    let folders = Folders::fresh(directory)?;
    let run = Run {
        backend,
        keys: settings.keys,
        value_bytes: settings.value_bytes,
        parallelism: 1,
        interval: None,
        // What is written is compared with what changed: both as they are.
        compression: Compression::None,
        then: Then::Epochs { touched, epochs: settings.checkpoints },
    };
    let ran = run.run(&folders)?;
    // The first count is taken when the full checkpoint exists.
    let counts = &ran.counts;
    let (Some(first), Some(last)) = (counts.first(), counts.last()) else {
        return Err("the benchmark's job took no checkpoints".to_owned());
    };
    let spent: StoreCounts = *last - *first;
    let taken = (counts.len() - 1) as f64;
    let changed = touched as f64 * taken;
    let changed_bytes = changed * (KEY_BYTES + settings.value_bytes) as f64;
    let durations = ran.checkpoints.iter().skip(1).map(|checkpoint| checkpoint.duration_ms);
    Ok(ChangeFigures {
        backend: backend.name(),
        keys: settings.keys,
        value_bytes: settings.value_bytes,
        changed_keys: touched,
        checkpoints: counts.len() as u64 - 1,
        changed_bytes: changed_bytes / taken,
        written_bytes: spent.written_bytes as f64 / taken,
        written_over_changed: spent.written_bytes as f64 / changed_bytes,
        writes: spent.writes as f64 / taken,
        lists: spent.lists as f64 / taken,
        deletes: spent.deletes as f64 / taken,
        duration_ms: middle(durations.collect()),
    })
}
