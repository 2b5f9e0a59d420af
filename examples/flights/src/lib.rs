//! Delays of the flights that left New York in 2013, by destination and day.
//!
//! `parse` checks the rows and keys them by destination, `stats` sums up each day (UTC, of the
//! scheduled departure), `alert` finds days on which the delay doubled. README.md says exactly what
//! each of them computes.

mod alert;
mod parse;
mod stats;
mod time;

statehouse::export!(parse::Parse, stats::Stats, alert::Alert);
