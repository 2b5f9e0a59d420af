//! `statehouse bench`: figures of this machine, each beside its baseline of the same run.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use statehouse_wasm::Component;

use super::{log, print};
use crate::bench::boundary;
use crate::bench::checkpoint::{self, CheckpointSettings, Part};
use crate::bench::state::{self, Kind, StateSettings};
use crate::bench::sum::{self, SumFigures, SumSettings};
use crate::bench::swap::{self, Schema, SwapSettings};
use crate::bench::windows::{self, WindowSettings};
use crate::bench::{guest, machine};
use crate::environment::Environment;
use crate::job_file::{BackendKind, ByteSize};

/// Measure this machine: what the boundary costs, what state costs, and a keyed running sum end to end
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  statehouse bench boundary
  statehouse bench sum --keys 100000 --operator wasm
  statehouse bench sum --keys 5000000 --operator native --checkpoint-interval off --json
  statehouse bench sum --backend rocksdb --value-bytes 200
  statehouse bench state --kinds value,map
  statehouse bench checkpoint --state 500MiB --directory /data
  statehouse bench swap --state 1GiB --schema changed")]
pub(super) enum BenchVerb {
    Boundary(BoundaryArgs),
    Sum(SumArgs),
    State(StateArgs),
    Windows(WindowsArgs),
    Checkpoint(CheckpointArgs),
    Swap(SwapArgs),
}

/// Measure what the boundary between host and component costs, by the work of an operator
#[derive(Debug, Args)]
pub(super) struct BoundaryArgs {
    #[command(flatten)]
    guest: GuestArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Measure a keyed running sum: generator, operator, sink, checkpoints to a directory
#[derive(Debug, Args)]
pub(super) struct SumArgs {
    /// Distinct keys, uniformly drawn
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// Records of one run
    #[arg(long, value_name = "N", default_value_t = 50_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,
    /// Tasks of each node, and processors that the process is kept on
    #[arg(long, value_name = "P", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=128))]
    parallelism: u32,
    /// Where the state is
    #[arg(long, value_enum, default_value_t = BackendArg::Heap)]
    backend: BackendArg,
    /// How long the value of a key is, at least 8; default: one number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(8..=1_000_000))]
    value_bytes: Option<u32>,
    /// Time between checkpoints, or `off`
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    checkpoint_interval: Interval,
    /// The operator to measure; the native one is measured in any case
    #[arg(long, value_enum, default_value_t = OperatorArg::Wasm)]
    operator: OperatorArg,
    /// Runs of each kind; medians count
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repetitions: u32,
    /// Where checkpoints and files of state go: into a folder `statehouse-bench` in it, which is emptied before each
    /// run and removed at the end; default: a folder among the system's temporary files
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    #[command(flatten)]
    guest: GuestArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Measure what each kind of state costs on each backend, beside a bare loop and plain calls of RocksDB
#[derive(Debug, Args)]
pub(super) struct StateArgs {
    /// Which kinds, separated by commas; default: all
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND")]
    kinds: Vec<Kind>,
    /// Records of one measurement
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1024..))]
    records: u64,
    /// Keys of the state that is ten times as large as the caches
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    large: u64,
    /// Measurements of each figure; medians count
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repetitions: u32,
    /// Where files of state go, in a folder that is removed; default: a folder among the system's temporary files
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Measure what sliding windows cost beside tumbling ones
#[derive(Debug, Args)]
pub(super) struct WindowsArgs {
    /// Distinct keys, uniformly drawn
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// Records of one run
    #[arg(long, value_name = "N", default_value_t = 20_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,
    /// Records of each key in each slide, about
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    density: u64,
    /// The length of a window
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    size: Duration,
    /// The time from one sliding window to the next
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    slide: Duration,
    /// Runs of each kind; medians count
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repetitions: u32,
    #[command(flatten)]
    guest: GuestArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Measure checkpoints: bytes and requests by rate of change, bandwidth beside the raw disk, savepoints, throughput
#[derive(Debug, Args)]
pub(super) struct CheckpointArgs {
    /// Which parts, separated by commas; default: all
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    parts: Vec<Part>,
    /// Bytes of state whose bandwidth is measured
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = size)]
    state: u64,
    /// Keys where bytes and requests are measured
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..))]
    keys: u64,
    /// Checkpoints of each rate of change
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    checkpoints: u64,
    /// Keys of the large state whose throughput is measured
    #[arg(long, value_name = "N", default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1000..))]
    large: u64,
    /// Tasks of the operator whose state is written and restored
    #[arg(long, value_name = "P", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=128))]
    parallelism: u32,
    /// Measurements of each figure of bandwidth and throughput; medians count
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repetitions: u32,
    /// Where checkpoints go: into a folder `statehouse-bench` in it, which is emptied and removed; default: a folder
    /// among the system's temporary files
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Measure swaps of a running job's operator: the pause, rolling back, sweeping; beside a stop, restart and resume
#[derive(Debug, Args)]
pub(super) struct SwapArgs {
    /// Bytes of keys and values
    #[arg(long, value_name = "SIZE", default_value = "10MB", value_parser = size)]
    state: u64,
    /// Whether the new operator takes values as they are or converts each
    #[arg(long, value_enum, default_value_t = Schema::Same)]
    schema: Schema,
    /// Where the state is
    #[arg(long, value_enum, default_value_t = BackendArg::Heap)]
    backend: BackendArg,
    /// How long the value of a key is, at least 8
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(8..=1_000_000))]
    value_bytes: u32,
    /// Tasks of the operator
    #[arg(long, value_name = "P", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=128))]
    parallelism: u32,
    /// Swaps that are kept; default: 100, of more than 2 GiB of state 20
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    swaps: Option<u32>,
    /// Swaps that are rolled back, and restarts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repetitions: u32,
    /// Where checkpoints and files of state go: into a folder `statehouse-bench` in it, which is emptied and removed;
    /// default: a folder among the system's temporary files
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn size(text: &str) -> Result<u64, String> {
    let size = ByteSize::parse(text).filter(|size| size.0 > 0);
    size.map(|size| size.0).ok_or_else(|| "write a size like `500MiB` or `2GiB`".to_owned())
}

/// Where the measured component comes from.
#[derive(Debug, Args)]
struct GuestArgs {
    /// The component with the measured operators; built from the source tree if left out
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BackendArg {
    Heap,
    Rocksdb,
}

impl From<BackendArg> for BackendKind {
    fn from(backend: BackendArg) -> Self {
        match backend {
            BackendArg::Heap => Self::Heap,
            BackendArg::Rocksdb => Self::Rocksdb,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OperatorArg {
    Wasm,
    Native,
}

#[derive(Debug, Clone, Copy)]
struct Interval(Option<Duration>);

fn interval(text: &str) -> Result<Interval, String> {
    if text == "off" {
        return Ok(Interval(None));
    }
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() => Err("must be more than nothing, or `off`".to_owned()),
        Ok(time) => Ok(Interval(Some(time))),
        Err(error) => Err(format!("{error}; write it like `1s` or `500ms`, or `off`")),
    }
}

pub(super) fn run(verb: BenchVerb) -> anyhow::Result<ExitCode> {
    log::start_plain()?;
    match verb {
        BenchVerb::Boundary(args) => {
            let lines = boundary::run(&component(&args.guest)?).map_err(|error| anyhow!(error))?;
            if args.json {
                let figures = serde_json::json!({ "benchmark": "boundary", "lines": lines });
                print::json(&figures)?;
            } else {
                print::data(boundary::text(&lines))?;
            }
        }
        BenchVerb::Sum(args) => {
            let figures = measure_sum(&args)?;
            if args.json {
                print::json(&figures)?;
            } else {
                print::data(sum::text(&figures))?;
            }
        }
        BenchVerb::State(args) => {
            let kinds = if args.kinds.is_empty() { Kind::ALL.to_vec() } else { args.kinds.clone() };
            let settings = StateSettings {
                kinds,
                records: args.records,
                repetitions: args.repetitions as usize,
                keys_large: args.large,
            };
            machine::pin(1).context("cannot choose processors")?;
            let directory = working_directory(args.directory.as_deref());
            let lines = state::run(&settings, &directory);
            let _ = std::fs::remove_dir_all(&directory);
            let lines = lines.map_err(|error| anyhow!(error))?;
            if args.json {
                print::json(&serde_json::json!({ "benchmark": "state", "lines": lines }))?;
            } else {
                print::data(state::text(&lines))?;
            }
        }
        BenchVerb::Checkpoint(args) => measure_checkpoints(&args)?,
        BenchVerb::Swap(args) => measure_swaps(&args)?,
        BenchVerb::Windows(args) => {
            let component = component(&args.guest)?;
            machine::pin(1).context("cannot choose processors")?;
            let settings = WindowSettings {
                keys: args.keys,
                records: args.records,
                density: args.density,
                size: args.size,
                slide: args.slide,
                repetitions: args.repetitions as usize,
            };
            let figures = windows::run(&settings, &component).map_err(|error| anyhow!(error))?;
            if args.json {
                print::json(&figures)?;
            } else {
                print::data(windows::text(&figures))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn measure_checkpoints(args: &CheckpointArgs) -> anyhow::Result<()> {
    let parts = if args.parts.is_empty() { Part::ALL.to_vec() } else { args.parts.clone() };
    let settings = CheckpointSettings {
        parts,
        state_bytes: args.state,
        value_bytes: 100,
        keys: args.keys,
        checkpoints: args.checkpoints,
        keys_large: args.large,
        parallelism: args.parallelism,
        repetitions: args.repetitions as usize,
    };
    let directory = working_directory(args.directory.as_deref());
    let figures = checkpoint::run(&settings, &directory);
    let _ = std::fs::remove_dir_all(&directory);
    let figures = figures.map_err(|error| anyhow!(error))?;
    match args.json {
        true => print::json(&figures),
        false => print::data(checkpoint::text(&figures)),
    }
}

/// States above this are swapped fewer times by default: each takes a checkpoint, and a sweep if values are converted.
const MANY_SWAPS_BYTES_MAX: u64 = 2 << 30;

fn measure_swaps(args: &SwapArgs) -> anyhow::Result<()> {
    let swaps = args.swaps.unwrap_or(if args.state > MANY_SWAPS_BYTES_MAX { 20 } else { 100 });
    let settings = SwapSettings {
        state_bytes: args.state,
        schema: args.schema,
        backend: args.backend.into(),
        value_bytes: args.value_bytes as usize,
        parallelism: args.parallelism,
        swaps: swaps as usize,
        repetitions: args.repetitions as usize,
    };
    let directory = working_directory(args.directory.as_deref());
    let figures = swap::run(&settings, &directory);
    let _ = std::fs::remove_dir_all(&directory);
    let figures = figures.map_err(|error| anyhow!(error))?;
    match args.json {
        true => print::json(&figures),
        false => print::data(swap::text(&figures)),
    }
}

/// The folder that a benchmark makes and removes.
fn working_directory(given: Option<&std::path::Path>) -> PathBuf {
    match given {
        Some(directory) => directory.join("statehouse-bench"),
        None => std::env::temp_dir().join(format!("statehouse-bench-{}", std::process::id())),
    }
}

fn measure_sum(args: &SumArgs) -> anyhow::Result<SumFigures> {
    let settings = SumSettings {
        backend: args.backend.into(),
        value_bytes: args.value_bytes.map(|bytes| bytes as usize),
        keys: args.keys,
        records: args.records,
        parallelism: args.parallelism,
        checkpoint_interval: args.checkpoint_interval.0,
        repetitions: args.repetitions as usize,
    };
    // Before the processors are limited, so that building and compiling have all of them.
    let component = match args.operator {
        OperatorArg::Wasm => Some(component(&args.guest)?),
        OperatorArg::Native => None,
    };
    let processors = machine::pin(args.parallelism as usize).context("cannot choose processors")?;
    let directory = working_directory(args.directory.as_deref());
    let figures = sum::run(&settings, component.as_ref(), &directory, processors);
    let _ = std::fs::remove_dir_all(&directory);
    figures.map_err(|error| anyhow!(error))
}

/// The component that was named, or else the one of the source tree, built if it is not there yet.
fn component(args: &GuestArgs) -> anyhow::Result<Component> {
    if let Some(path) = &args.component {
        return guest::load(path).map_err(|error| anyhow!(error));
    }
    guest::build(&Environment::read()).map_err(|error| anyhow!(error))
}
