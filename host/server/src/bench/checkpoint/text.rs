//! The figures of checkpoints for people.

use super::{BandwidthFigures, ChangeFigures, CheckpointFigures, ThroughputFigures};
use crate::format::{self, Align};

/// The parts that were measured, a table each.
pub fn text(figures: &CheckpointFigures) -> String {
    let mut tables = Vec::new();
    if !figures.changes.is_empty() {
        tables.push(changes(&figures.changes));
    }
    if !figures.bandwidth.is_empty() {
        tables.push(bandwidth(&figures.bandwidth));
        tables.push(savepoints(&figures.bandwidth));
    }
    if !figures.throughput.is_empty() {
        tables.push(throughput(&figures.throughput));
    }
    tables.join("\n")
}

fn changes(lines: &[ChangeFigures]) -> String {
    let rows: Vec<[String; 9]> = lines
        .iter()
        .map(|line| {
            [
                line.backend.to_owned(),
                format::count(line.keys),
                format::count(line.changed_keys),
                format::bytes(line.changed_bytes as u64),
                format::bytes(line.written_bytes as u64),
                format!("{:.2}", line.written_over_changed),
                format!("{:.2}", line.writes),
                format!("{:.2}", line.deletes),
                format!("{} ms", line.duration_ms),
            ]
        })
        .collect();
    let columns = [
        ("backend", Align::Left),
        ("keys", Align::Right),
        ("changed", Align::Right),
        ("changed bytes", Align::Right),
        ("written", Align::Right),
        ("ratio", Align::Right),
        ("writes", Align::Right),
        ("deletes", Align::Right),
        ("took", Align::Right),
    ];
    format!("per checkpoint\n{}", format::table(columns, &rows))
}

fn bandwidth(lines: &[BandwidthFigures]) -> String {
    let rate = |bytes: u64, seconds: f64| format!("{:.0} MB/s", bytes as f64 / seconds / 1e6);
    let rows: Vec<[String; 9]> = lines
        .iter()
        .map(|line| {
            let stored = line.stored_bytes;
            [
                line.backend.to_owned(),
                line.compression.to_owned(),
                format::bytes(line.state_bytes),
                format::bytes(stored),
                rate(stored, line.raw_write_seconds),
                format!(
                    "{} ({:.2})",
                    rate(stored, line.checkpoint_seconds),
                    line.checkpoint_over_raw
                ),
                rate(stored, line.raw_read_seconds),
                format!("{} ({:.2})", rate(stored, line.restore_seconds), line.restore_over_raw),
                format!("{:.1} s", line.checkpoint_seconds + line.restore_seconds),
            ]
        })
        .collect();
    let columns = [
        ("backend", Align::Left),
        ("compression", Align::Left),
        ("state", Align::Right),
        ("stored", Align::Right),
        ("raw write", Align::Right),
        ("checkpoint", Align::Right),
        ("raw read", Align::Right),
        ("restore", Align::Right),
        ("both", Align::Right),
    ];
    format!("bandwidth of stored bytes (over the raw disk's)\n{}", format::table(columns, &rows))
}

fn savepoints(lines: &[BandwidthFigures]) -> String {
    let rows: Vec<[String; 7]> = lines
        .iter()
        .map(|line| {
            [
                line.backend.to_owned(),
                line.compression.to_owned(),
                format::bytes(line.state_bytes),
                format!("{:.1} ms", line.savepoint_ms),
                format!("{:.1} ms", line.fork_ms),
                format!("{:.2} s", line.portable_write_seconds),
                format!("{:.2} s", line.portable_restore_seconds),
            ]
        })
        .collect();
    let columns = [
        ("backend", Align::Left),
        ("compression", Align::Left),
        ("state", Align::Right),
        ("savepoint", Align::Right),
        ("fork", Align::Right),
        ("portable write", Align::Right),
        ("portable restore", Align::Right),
    ];
    format!("savepoints\n{}", format::table(columns, &rows))
}

fn throughput(lines: &[ThroughputFigures]) -> String {
    let rows: Vec<[String; 8]> = lines
        .iter()
        .map(|line| {
            [
                format::count(line.keys),
                format::count(line.hot_keys),
                format!("{} B", line.value_bytes),
                format::rate(line.without_records_per_second),
                format::rate(line.with_records_per_second),
                format!("{:.2}", line.with_over_without),
                format!("{} ms", line.checkpoint_ms_median),
                format::bytes(line.written_bytes_median),
            ]
        })
        .collect();
    let columns = [
        ("keys", Align::Right),
        ("changing a second", Align::Right),
        ("value", Align::Right),
        ("without", Align::Right),
        ("with", Align::Right),
        ("ratio", Align::Right),
        ("checkpoint", Align::Right),
        ("written", Align::Right),
    ];
    format!("records a second with a checkpoint each second\n{}", format::table(columns, &rows))
}
