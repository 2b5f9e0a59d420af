//! The background sweep of a migration: how much of it goes between which invocations, and what is shown of it.
//!
//! Values of keys that come in move before their invocation; the sweep moves the rest. While records come in it gets a
//! value for so many rows, and of the time no more than a share; while none do, a piece each millisecond.

use super::OperatorBody;
use crate::task::{Frame, TaskError};

/// So many rows of records are worth one value.
const ROWS_PER_VALUE: usize = 8;

/// Of the time of invocations, the part that the sweep may take beside it: one in so many.
const TIME_SHARE: u64 = 16;

/// The most values in one piece, and the least that are worth one.
const PIECE_MAX: usize = 512;
const PIECE_MIN: usize = 64;

/// How long a piece may take. Values are of all sizes: how many they are follows from how long they took.
const PIECE_NS_MAX: u64 = 250_000;

/// How long a task that has nothing to do waits from piece to piece, in milliseconds: others may need the processor.
const IDLE_MS: i64 = 1;

/// How often what is shown of a migration is brought up to date, in milliseconds.
const SHOWN_MS: i64 = 100;

/// How a task sweeps.
#[derive(Debug)]
pub(super) struct Sweeping {
    /// Not while a swap is on trial: what was swept would have to go back.
    allowed: bool,
    /// Whether nothing was left that could move. What cannot may yet be overwritten or removed: that is looked at once
    /// an epoch.
    done: bool,
    pace: Pace,
    /// When a task without work sweeps next.
    next_idle: i64,
    /// When what is shown was brought up to date, if a migration is shown.
    shown: Option<i64>,
}

impl Default for Sweeping {
    fn default() -> Self {
        let pace = Pace { rows: 0, credit_ns: 0, piece: PIECE_MIN };
        Self { allowed: true, done: false, pace, next_idle: i64::MIN, shown: None }
    }
}

/// How much may be swept now: by rows, so that it follows the load whatever the clock; by time, so that it costs little
/// whatever a value costs.
#[derive(Debug)]
struct Pace {
    /// Rows that no value was swept for.
    rows: usize,
    /// Time that may be taken; less than nothing if more was.
    credit_ns: i64,
    /// How many values a piece has now.
    piece: usize,
}

impl Pace {
    /// An invocation took so long.
    fn worked(&mut self, took_ns: u64) {
        let earned = i64::try_from(took_ns / TIME_SHARE).unwrap_or(i64::MAX);
        // Saved up is no more than a piece: it would all be taken at once.
        self.credit_ns = self.credit_ns.saturating_add(earned).min(PIECE_NS_MAX as i64);
    }

    /// So many rows came in. How many values to sweep now; 0 if it is not time.
    fn after_rows(&mut self, rows: usize) -> usize {
        self.rows = (self.rows + rows).min(PIECE_MAX * ROWS_PER_VALUE);
        let values = (self.rows / ROWS_PER_VALUE).min(self.piece);
        if values < PIECE_MIN || self.credit_ns < 0 {
            return 0;
        }
        self.rows -= values * ROWS_PER_VALUE;
        values
    }

    /// So many values were swept.
    fn swept(&mut self, values: usize, took_ns: u64) {
        self.credit_ns -= i64::try_from(took_ns).unwrap_or(i64::MAX);
        if took_ns > PIECE_NS_MAX {
            // Less than what is worth one would never be swept while records come in.
            self.piece = (self.piece / 2).max(PIECE_MIN);
        } else if took_ns < PIECE_NS_MAX / 2 && values >= self.piece {
            self.piece = (self.piece * 2).min(PIECE_MAX);
        }
    }
}

impl OperatorBody {
    /// Whether values may be swept: not from when a swap is pinned until it is kept or refused. What keys need is moved
    /// all the same.
    pub(in crate::task) fn allow_sweep(&mut self, allowed: bool) {
        self.sweeping.allowed = allowed;
    }

    /// Another operator has taken over, or an epoch has ended: there may be something to sweep.
    pub(in crate::task) fn sweep_anew(&mut self) {
        self.sweeping.done = false;
    }

    /// An invocation took so long: notes it.
    pub(super) fn worked(&mut self, frame: &Frame, took_ns: u64) {
        frame.metrics.invoked(took_ns);
        self.sweeping.pace.worked(took_ns);
    }

    /// Sweeps what is due after an invocation over so many rows.
    pub(super) fn sweep_after(&mut self, frame: &Frame, rows: usize) -> Result<(), TaskError> {
        self.show_migration(frame);
        if self.may_sweep() {
            let values = self.sweeping.pace.after_rows(rows);
            if values > 0 {
                self.sweep(frame, values)?;
            }
        }
        Ok(())
    }

    /// Sweeps a piece if there is nothing else to do. When to come back at the latest, if there is more.
    pub(super) fn sweep_idle(&mut self, frame: &Frame) -> Result<Option<i64>, TaskError> {
        self.show_migration(frame);
        // What waits for the barrier of another channel waits for a step, too.
        if !self.may_sweep() || self.gate.is_aligning() {
            return Ok(None);
        }
        let now = frame.clock.now();
        if now >= self.sweeping.next_idle {
            self.sweeping.next_idle = now.saturating_add(IDLE_MS);
            let values = self.sweeping.pace.piece;
            self.sweep(frame, values)?;
        }
        Ok(self.may_sweep().then_some(self.sweeping.next_idle))
    }

    /// Whether there is something to sweep. While a snapshot is being written there may be, too: it must not starve
    /// where one follows the other, and what is copied for the snapshot is part of the time that it may take.
    fn may_sweep(&self) -> bool {
        let Sweeping { allowed, done, .. } = self.sweeping;
        allowed && !done && self.invoker.is_migrating()
    }

    fn sweep(&mut self, frame: &Frame, values: usize) -> Result<(), TaskError> {
        let begun = frame.clock.monotonic_ns();
        let swept = self.invoker.sweep(values).map_err(TaskError::new)?;
        let took = frame.clock.monotonic_ns().saturating_sub(begun);
        self.sweeping.pace.swept(values, took);
        if swept.done {
            self.sweeping.done = true;
            // That it is over is seen at once.
            frame.metrics.show_migration(self.invoker.migration());
        }
        Ok(())
    }

    /// Shows how far a migration is, now and then. Costs nothing if there is none.
    fn show_migration(&mut self, frame: &Frame) {
        let migrating = self.invoker.is_migrating();
        if !migrating && self.sweeping.shown.is_none() {
            return;
        }
        let now = frame.clock.now();
        let fresh = |shown: i64| now < shown.saturating_add(SHOWN_MS);
        if migrating && self.sweeping.shown.is_some_and(fresh) {
            return;
        }
        self.sweeping.shown = migrating.then_some(now);
        frame.metrics.show_migration(self.invoker.migration());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Sweeping::default().pace
    }

    #[test]
    fn a_value_is_swept_for_eight_rows_whatever_the_size_of_batches() {
        for batch in [1, 7, 100, 2048] {
            let (mut pace, mut rows, mut values) = (pace(), 0, 0);
            while rows < 100_000 {
                rows += batch;
                // A clock that stands still, as in a simulation: only rows count.
                pace.worked(0);
                let now = pace.after_rows(batch);
                assert!(now == 0 || (PIECE_MIN..=PIECE_MAX).contains(&now));
                if now > 0 {
                    pace.swept(now, 0);
                    values += now;
                }
            }
            let least = if batch > PIECE_MIN * ROWS_PER_VALUE { 11_000 } else { 12_000 };
            assert!((least..=12_500).contains(&values), "{values} values of batches of {batch}");
        }
    }

    #[test]
    fn the_sweep_takes_its_share_of_the_time_of_invocations_whatever_a_value_costs() {
        for value_ns in [100, 2_000, 20_000, 1_000_000] {
            let (mut pace, mut invoked, mut swept, mut longest) = (pace(), 0, 0, 0);
            for _ in 0..10_000 {
                invoked += 200_000;
                pace.worked(200_000);
                let values = pace.after_rows(2048);
                if values > 0 {
                    let took = values as u64 * value_ns;
                    pace.swept(values, took);
                    (swept, longest) = (swept + took, longest.max(took));
                }
            }
            assert!(swept <= invoked / TIME_SHARE + longest, "{swept} of {invoked}");
            assert!(swept > 0);
            let piece = value_ns * PIECE_MIN as u64;
            assert!(longest <= PIECE_NS_MAX.max(piece) * 2, "{longest} for values of {value_ns}");
        }
    }

    #[test]
    fn time_is_not_saved_up_while_there_is_nothing_to_sweep() {
        let mut pace = pace();
        for _ in 0..1_000_000 {
            pace.worked(1_000_000);
        }
        let values = pace.after_rows(2048);
        pace.swept(values, 2 * PIECE_NS_MAX);
        assert_eq!(
            pace.after_rows(2048),
            0,
            "a piece that took longer than allowed is made up for"
        );
    }
}
