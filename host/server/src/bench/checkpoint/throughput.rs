//! What checkpoints take from throughput: the same records with a checkpoint each second, and without.

use std::path::Path;
use std::time::Duration;

use statehouse_checkpoint::Compression;

use super::job::{Folders, Ran, Run};
use super::source::Then;
use super::{CheckpointSettings, ThroughputFigures};
use crate::bench::{median, middle};
use crate::job_file::BackendKind;

/// Records of one run.
const RECORDS: u64 = 60_000_000;

/// Records until another hundredth of the keys has its turn: about a second.
const TURN: u64 = 8_000_000;

pub(super) fn run(
    settings: &CheckpointSettings,
    directory: &Path,
) -> Result<Vec<ThroughputFigures>, String> {
    let small = measure(settings, directory, (100_000, 100_000), 8)?;
    let (keys, hot) = (settings.keys_large, (settings.keys_large / 100).max(1));
    let large = measure(settings, directory, (keys, hot), settings.value_bytes)?;
    Ok(vec![small, large])
}

fn measure(
    settings: &CheckpointSettings,
    directory: &Path,
    (keys, hot): (u64, u64),
    value_bytes: usize,
) -> Result<ThroughputFigures, String> {
    let run = |interval: Option<Duration>| -> Result<Ran, String> {
        let (records, turn, settle) = (RECORDS, TURN, interval.is_some());
        let run = Run {
            backend: BackendKind::Heap,
            keys,
            value_bytes,
            parallelism: 1,
            interval,
            compression: Compression::Lz4,
            then: Then::Flow { records, hot, turn, settle },
        };
        run.run(&Folders::fresh(directory)?)
    };
    let (mut with, mut without, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..settings.repetitions.max(1) {
        without.push(run(None)?.flow_seconds);
        let ran = run(Some(Duration::from_secs(1)))?;
        with.push(ran.flow_seconds);
        // Those of the state as it was filled, and that of the end, are none of the flow.
        let skipped = ran.checkpoints.iter().skip(2);
        taken.extend(skipped.map(|checkpoint| (checkpoint.duration_ms, checkpoint.written_bytes)));
    }
    let (with, without) = (median(with), median(without));
    Ok(ThroughputFigures {
        keys,
        hot_keys: hot,
        value_bytes,
        records: RECORDS,
        without_records_per_second: RECORDS as f64 / without,
        with_records_per_second: RECORDS as f64 / with,
        with_over_without: without / with,
        checkpoints: taken.len(),
        checkpoint_ms_median: middle(taken.iter().map(|taken| taken.0).collect()),
        written_bytes_median: middle(taken.iter().map(|taken| taken.1).collect()),
    })
}
