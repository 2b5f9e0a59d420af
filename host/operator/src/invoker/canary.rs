//! Two versions of an operator in one task, on disjoint key groups of one state.
//!
//! They take turns: each batch, and each list of due timers, is cut in two by key group, and the backend goes to the
//! one whose turn it is.

use std::mem;

use statehouse_state::{DueTimers, KeyGroups};

use super::{Invoker, push_timer, range_of};
use crate::batch::Batch;
use crate::call::{Call, Moment};
use crate::canary::{CanaryCounts, CanaryShare, SideCounts, canary_refusal};
use crate::description::Description;
use crate::failure::InvokeError;
use crate::operator::Operator;

/// The version that has a share of the key groups, while it is not its turn.
pub(super) struct Canary {
    operator: Box<dyn Operator>,
    description: Description,
    call: Call,
    share: CanaryShare,
    groups: KeyGroups,
    counts: CanaryCounts,
}

impl Canary {
    fn takes(&self, hash: u64) -> bool {
        self.share.takes(self.groups.group_of(hash))
    }
}

impl Invoker {
    /// From now on, the share of the key groups is another version's. `groups` is the job's number of key groups.
    ///
    /// # Errors
    /// If the two cannot run beside each other ([`canary_refusal`]), a migration is under way, or there is a canary
    /// already; then nothing has changed.
    pub fn start_canary(
        &mut self,
        operator: Box<dyn Operator>,
        share: CanaryShare,
        groups: KeyGroups,
    ) -> Result<(), InvokeError> {
        let description = operator.description().clone();
        if let Some(reason) = canary_refusal(&self.description, &description) {
            return Err(self.refused(reason));
        }
        if self.canary.is_some() || !self.retired().is_empty() {
            let reason = "a migration or another canary is under way: wait until it is done";
            return Err(self.refused(reason.to_owned()));
        }
        let (states, timers) = (&description.states, &description.timers);
        if let Some(backend) = &mut self.call.backend
            && backend.declared() != (states, timers)
            && let Err(error) = backend.evolve(states, timers)
        {
            return Err(self.refused(error.to_string()));
        }
        let mut call = Call::new(&description, None);
        call.limits = self.call.limits;
        let counts = CanaryCounts::default();
        self.canary = Some(Box::new(Canary { operator, description, call, share, groups, counts }));
        Ok(())
    }

    /// Ends the canary: it gets all key groups (`promote`), or none. The operator that has none any more.
    pub fn end_canary(&mut self, promote: bool) -> Option<Box<dyn Operator>> {
        let mut canary = self.canary.take()?;
        if promote {
            self.trade_places(&mut canary);
            self.call.carry_counters(&canary.description, &self.description, &canary.call);
        }
        Some(canary.operator)
    }

    /// What both versions did since the canary began, while there is one.
    pub fn canary_counts(&self) -> Option<CanaryCounts> {
        self.canary.as_ref().map(|canary| canary.counts)
    }

    /// Has each of the two process its rows of a batch.
    pub(super) fn process_split(
        &mut self,
        mut canary: Box<Canary>,
        port: u32,
        batch: &Batch,
        moment: Moment,
    ) -> Result<(), InvokeError> {
        let (mut mine, mut others) = (batch.empty_like(), batch.empty_like());
        for (row, &hash) in batch.hashes.iter().enumerate() {
            if canary.takes(hash) { &mut others } else { &mut mine }.push_from(batch, row);
        }
        let rows = (mine.len(), others.len());
        let run = |invoker: &mut Self, own: bool| {
            invoker.run(port, if own { &mine } else { &others }, moment)
        };
        let result = self.take_turns(&mut canary, rows, run);
        self.canary = Some(canary);
        result
    }

    /// Fires each timer at the one of the two whose key it is.
    pub(super) fn fire_split(
        &mut self,
        mut canary: Box<Canary>,
        due: &DueTimers,
        moment: Moment,
    ) -> Result<(), InvokeError> {
        let (mut mine, mut others) = (range_of(due, 0, 0), range_of(due, 0, 0));
        for (row, &hash) in due.hashes.iter().enumerate() {
            push_timer(if canary.takes(hash) { &mut others } else { &mut mine }, due, row);
        }
        let rows = (mine.times.len(), others.times.len());
        let fire =
            |invoker: &mut Self, own: bool| invoker.fire(if own { &mine } else { &others }, moment);
        let result = self.take_turns(&mut canary, rows, fire);
        self.canary = Some(canary);
        result
    }

    /// Runs first the version that was there before, then the canary, and counts for each what it did.
    fn take_turns(
        &mut self,
        canary: &mut Canary,
        rows: (usize, usize),
        run: impl Fn(&mut Self, bool) -> Result<(), InvokeError>,
    ) -> Result<(), InvokeError> {
        if rows.0 > 0 {
            let rejected = self.rejected;
            let result = run(self, true);
            count(&mut canary.counts.before, rows.0, self.rejected - rejected);
            result?;
        }
        if rows.1 > 0 {
            let rejected = self.rejected;
            self.trade_places(canary);
            let result = run(self, false);
            self.trade_places(canary);
            count(&mut canary.counts.canary, rows.1, self.rejected - rejected);
            hand_over(&mut canary.call.outputs, &mut self.call.outputs);
            result?;
        }
        Ok(())
    }

    /// Puts one version in the place of the other, over the same state.
    fn trade_places(&mut self, canary: &mut Canary) {
        mem::swap(&mut self.operator, &mut canary.operator);
        mem::swap(&mut self.description, &mut canary.description);
        mem::swap(&mut self.call, &mut canary.call);
        mem::swap(&mut self.call.backend, &mut canary.call.backend);
    }
}

fn count(counts: &mut SideCounts, rows: usize, rejected: u64) {
    counts.rows += rows as u64;
    counts.rejected += rejected;
}

/// Appends what the canary emitted. Nothing reads outputs that only one of the two has.
fn hand_over(from: &mut [Batch], to: &mut [Batch]) {
    for (from, to) in from.iter_mut().zip(to) {
        if to.is_empty() {
            mem::swap(from, to);
        } else {
            to.extend_from_range(from, 0, from.len());
        }
    }
    from.iter_mut().for_each(Batch::clear);
}
