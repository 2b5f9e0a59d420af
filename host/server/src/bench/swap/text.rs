//! The figures of swaps for people.

use super::{Pauses, Schema, SwapFigures};
use crate::format::{self, Align};

/// A table of durations, then what the sweep took.
pub fn text(figures: &SwapFigures) -> String {
    let schema = match figures.schema {
        Schema::Same => "same schema",
        Schema::Changed => "changed schema",
    };
    let head = format!(
        "{} backend, {} of state, {} of {} B, {}, {schema}, {}\n",
        figures.backend,
        format::bytes(figures.state_bytes),
        format::counted(figures.keys, "value"),
        figures.value_bytes,
        format::counted(u64::from(figures.parallelism), "task"),
        format::counted(figures.swaps as u64, "swap"),
    );
    let mut lines = vec![
        ("pause at the flip", &figures.pause_flip),
        ("longest pause from request to flip", &figures.pause_pin),
        ("longest pause undisturbed", &figures.pause_undisturbed),
        ("request to flip", &figures.request_to_flip),
        ("trap to running again", &figures.roll_back),
        ("stop, restart, resume", &figures.restart),
    ];
    lines.extend(figures.sweep.as_ref().map(|sweep| ("sweep", sweep)));
    let rows: Vec<[String; 5]> = lines
        .into_iter()
        .map(|(what, pauses)| {
            let Pauses { count, median_us, p99_us, max_us, .. } = *pauses;
            let [median, p99, max] = [median_us, p99_us, max_us].map(duration);
            [what.to_owned(), format::count(count as u64), median, p99, max]
        })
        .collect();
    let columns = [
        ("what", Align::Left),
        ("count", Align::Right),
        ("median", Align::Right),
        ("99 %", Align::Right),
        ("longest", Align::Right),
    ];
    let mut text = head + &format::table(columns, &rows);
    text += &format!(
        "before swaps   {}, {:.0} ns a record in invocations\n",
        format::rate(figures.records_per_second_before),
        figures.invocation_ns_per_record_before
    );
    if let (Some(rate), Some(ratio), Some(cost)) = (
        figures.records_per_second_sweeping,
        figures.sweeping_over_before,
        figures.invocation_ns_per_record_sweeping,
    ) {
        let rate = format::rate(rate);
        text += &format!("while sweeping {rate} ({ratio:.2} of before), {cost:.0} ns\n");
    }
    text
}

fn duration(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}
