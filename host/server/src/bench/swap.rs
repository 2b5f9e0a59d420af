//! What a swap costs: the pause around the flip and at the barrier before it, rolling back, and what a sweep takes from
//! throughput; beside a stop, restart and resume of the same job in the same run.

mod conduct;
mod job;
mod operator;
mod source;
mod text;

use std::path::Path;

use serde::Serialize;
use statehouse_engine::Ending;

use self::conduct::{Flowed, Swapped};
use self::job::{Bed, Start};
use super::middle;
use crate::job_file::BackendKind;

pub use text::text;

/// What to measure.
#[derive(Debug, Clone)]
pub struct SwapSettings {
    /// Bytes of keys and values.
    pub state_bytes: u64,
    /// Whether values are converted.
    pub schema: Schema,
    /// Where the state is.
    pub backend: BackendKind,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Tasks of the operator.
    pub parallelism: u32,
    /// Swaps that are kept.
    pub swaps: usize,
    /// Swaps that are rolled back, and restarts.
    pub repetitions: usize,
}

/// What the new operator does with state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Schema {
    /// It takes it as it is.
    Same,
    /// It converts every value.
    Changed,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SwapFigures {
    pub benchmark: &'static str,
    pub backend: &'static str,
    pub schema: Schema,
    pub state_bytes: u64,
    pub keys: u64,
    pub value_bytes: usize,
    pub parallelism: u32,
    pub swaps: usize,
    /// By task and swap: from the last call of the old operator to the first of the new one, without waiting for input.
    pub pause_flip: Pauses,
    /// By task and swap: the longest time between two calls from the request to the flip, which the savepoint before
    /// the flip is in, without waiting for input.
    pub pause_pin: Pauses,
    /// The same in a time in which nothing is asked for.
    pub pause_undisturbed: Pauses,
    /// From the request to the first record that the new operator may take.
    pub request_to_flip: Pauses,
    /// From the first trap to the first record that the old operator takes again.
    pub roll_back: Pauses,
    /// Baseline: from the last record before a stop with a checkpoint to the first one after a start, in one process.
    pub restart: Pauses,
    pub records_per_second_before: f64,
    /// Only of a changed schema, as whatever is about sweeping.
    pub records_per_second_sweeping: Option<f64>,
    pub sweeping_over_before: Option<f64>,
    /// Time in invocations: what of the difference is theirs and not the sweep's.
    pub invocation_ns_per_record_before: f64,
    pub invocation_ns_per_record_sweeping: Option<f64>,
    pub sweep: Option<Pauses>,
}

/// Some durations, in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Pauses {
    pub count: usize,
    pub median_us: f64,
    pub p99_us: f64,
    pub max_us: f64,
    /// How many lasted up to so many microseconds, and longer than those before: `[up to, how many]`.
    pub histogram: Vec<(u64, u64)>,
}

impl Pauses {
    fn of(mut nanoseconds: Vec<u64>) -> Self {
        nanoseconds.sort_unstable();
        let us = |ns: u64| ns as f64 / 1e3;
        // The one that 99 of 100 are not longer than.
        let p99 = (nanoseconds.len() * 99).div_ceil(100).saturating_sub(1);
        let mut histogram: Vec<(u64, u64)> = Vec::new();
        for ns in &nanoseconds {
            let up_to = ns.div_ceil(1000).max(1).next_power_of_two();
            match histogram.last_mut() {
                Some((last, count)) if *last == up_to => *count += 1,
                _ => histogram.push((up_to, 1)),
            }
        }
        Self {
            count: nanoseconds.len(),
            p99_us: us(nanoseconds.get(p99).copied().unwrap_or(0)),
            max_us: us(nanoseconds.last().copied().unwrap_or(0)),
            median_us: us(middle(nanoseconds)),
            histogram,
        }
    }
}

/// Runs a job in a folder that is emptied for it, and does to it what is to be measured.
///
/// # Errors
/// If the job fails, a swap does not go as it should, or the disk does not do its part.
pub fn run(settings: &SwapSettings, directory: &Path) -> Result<SwapFigures, String> {
    let bed = Bed::new(settings, directory)?;
    let swapped = swaps(&bed)?;
    let restarts = (0..settings.restarts()).map(|_| restart(&bed)).collect::<Result<_, _>>()?;
    let backs = (0..settings.restarts()).map(|_| roll_back(&bed)).collect::<Result<_, _>>()?;
    let rate = |flowed: Flowed| flowed.records as f64 / flowed.seconds;
    let cost = |flowed: Flowed| flowed.busy_ns as f64 / flowed.records as f64;
    let before = rate(swapped.before);
    let changed = settings.schema == Schema::Changed;
    let sweeping = changed.then(|| rate(swapped.sweeping));
    Ok(SwapFigures {
        benchmark: "swap",
        backend: settings.backend.name(),
        schema: settings.schema,
        state_bytes: settings.state_bytes,
        keys: bed.keys(),
        value_bytes: settings.value_bytes,
        parallelism: settings.parallelism,
        swaps: settings.swaps,
        pause_flip: Pauses::of(swapped.flips),
        pause_pin: Pauses::of(swapped.pins),
        pause_undisturbed: Pauses::of(swapped.undisturbed),
        request_to_flip: Pauses::of(swapped.requests),
        roll_back: Pauses::of(backs),
        restart: Pauses::of(restarts),
        records_per_second_before: before,
        records_per_second_sweeping: sweeping,
        sweeping_over_before: sweeping.map(|sweeping| sweeping / before),
        invocation_ns_per_record_before: cost(swapped.before),
        invocation_ns_per_record_sweeping: changed.then(|| cost(swapped.sweeping)),
        sweep: changed.then(|| Pauses::of(swapped.sweeps)),
    })
}

/// Swaps that are kept, one after the other, in one run.
fn swaps(bed: &Bed) -> Result<Swapped, String> {
    let (_, swapped) = bed.run(Start::Fresh, |running| {
        bed.settle(running)?;
        let swapped = bed.swaps(running)?;
        bed.stop(running)?;
        Ok(swapped)
    })?;
    Ok(swapped)
}

/// Stops the job and starts it again. From the last record before to the first after, in nanoseconds.
fn restart(bed: &Bed) -> Result<u64, String> {
    bed.run(Start::Newest, |running| bed.stop(running))?;
    let last = bed.board.newest().iter().map(|marks| marks.last_ended()).max().unwrap_or(0);
    let (_, first) = bed.run(Start::Newest, |running| {
        let first = bed.first_calls(running)?;
        bed.stop(running)?;
        Ok(first)
    })?;
    let first = first.iter().map(|(_, ended)| *ended).min().unwrap_or(last);
    Ok(first.saturating_sub(last))
}

/// Swaps to an operator that traps. From the trap to when all tasks of the old one run again, in nanoseconds.
fn roll_back(bed: &Bed) -> Result<u64, String> {
    let (ending, trapped) = bed.run(Start::Newest, |running| bed.trap(running))?;
    let Ending::RolledBack(back) = ending else {
        return Err(format!("the job was to roll back, and ended: {ending:?}"));
    };
    let start = Start::Back { epoch: back.to_epoch, warm: back.warm };
    let (_, first) = bed.run(start, |running| {
        let first = bed.first_calls(running)?;
        bed.forget_savepoint()?;
        bed.stop(running)?;
        Ok(first)
    })?;
    let first = first.iter().map(|(begun, _)| *begun).max().unwrap_or(trapped);
    Ok(first.saturating_sub(trapped))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_counted_by_powers_of_two() {
        let pauses = Pauses::of((1..=200).map(|n| n * 1000).collect());
        assert_eq!((pauses.count, pauses.p99_us, pauses.max_us), (200, 198.0, 200.0));
        assert_eq!(pauses.median_us, 101.0);
        let expected = [(1, 1), (2, 1), (4, 2), (8, 4), (16, 8), (32, 16), (64, 32), (128, 64)];
        assert_eq!(pauses.histogram, [&expected[..], &[(256, 72)]].concat());
        assert_eq!(Pauses::of(vec![]), Pauses::default());
        assert_eq!(Pauses::of(vec![5]).histogram, [(1, 1)]);
    }

    #[test]
    fn a_small_job_is_swapped_rolled_back_and_restarted() {
        let directory = tempfile::tempdir().unwrap();
        for (schema, backend) in [
            (Schema::Same, BackendKind::Heap),
            (Schema::Changed, BackendKind::Heap),
            (Schema::Changed, BackendKind::Rocksdb),
        ] {
            let settings = SwapSettings {
                state_bytes: 1 << 20,
                schema,
                backend,
                value_bytes: 40,
                parallelism: 2,
                swaps: 3,
                repetitions: 1,
            };
            let figures = run(&settings, directory.path()).unwrap();
            assert_eq!(figures.pause_flip.count, 6, "by task and swap");
            assert_eq!((figures.roll_back.count, figures.restart.count), (1, 1));
            assert!(figures.records_per_second_before > 0.0);
            assert_eq!(figures.sweep.is_some(), schema == Schema::Changed);
            assert!(text(&figures).contains("restart"));
        }
    }
}
