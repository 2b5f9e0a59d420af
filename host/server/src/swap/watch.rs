//! Watching a trial: what is counted, and what ends it badly.

use std::collections::BTreeMap;

use statehouse_engine::{TaskEntry, TaskMetrics};

use super::invariant::{Invariant, ParseError, Quantity};
use crate::control::messages::{Counted, Watch};

/// What there is to count, by the names that invariants use.
pub const COUNTERS: [&str; 4] = ["records-in", "records-out", "rejected", "busy-ns"];

/// Factors are looked at from so many records on: fewer say nothing.
const RECORDS_MIN: u64 = 1000;

/// By how much the share of rejected records may be above that of the time before, unless the user says how many.
const REJECTED_SHARE: f64 = 0.01;

/// The counters of an operator, all tasks together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    records_in: u64,
    records_out: u64,
    rejected: u64,
    busy_ns: u64,
}

impl Counters {
    /// Those of a node.
    pub fn of(node: &str, tasks: &[TaskEntry]) -> Self {
        let mut sum = Self::default();
        for task in tasks.iter().filter(|task| task.node == node) {
            sum.records_in += TaskMetrics::read(&task.metrics.records_in);
            sum.records_out += TaskMetrics::read(&task.metrics.records_out);
            sum.rejected += TaskMetrics::read(&task.metrics.rejected);
            sum.busy_ns += TaskMetrics::read(&task.metrics.busy_ns);
        }
        sum
    }

    /// What was counted since.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            records_in: self.records_in.saturating_sub(before.records_in),
            records_out: self.records_out.saturating_sub(before.records_out),
            rejected: self.rejected.saturating_sub(before.rejected),
            busy_ns: self.busy_ns.saturating_sub(before.busy_ns),
        }
    }

    fn named(self, name: &str) -> Option<u64> {
        match name {
            "records-in" => Some(self.records_in),
            "records-out" => Some(self.records_out),
            "rejected" => Some(self.rejected),
            "busy-ns" => Some(self.busy_ns),
            _ => None,
        }
    }

    fn all(self) -> BTreeMap<String, u64> {
        let value = |name: &str| (name.to_owned(), self.named(name).unwrap_or(0));
        COUNTERS.into_iter().map(value).collect()
    }

    fn rejected_share(self) -> f64 {
        share(self.rejected, self.records_in).unwrap_or(0.0)
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// What a trial must meet.
#[derive(Debug, Clone)]
pub struct Rules {
    watch: Watch,
    invariants: Vec<Invariant>,
}

impl Rules {
    /// Reads the invariants.
    ///
    /// # Errors
    /// The first one that is none.
    pub fn new(watch: &Watch) -> Result<Self, ParseError> {
        let invariants = watch.invariants.iter().map(|text| Invariant::parse(text, &COUNTERS));
        Ok(Self { watch: watch.clone(), invariants: invariants.collect::<Result<_, _>>()? })
    }

    /// How long a trial is watched, in milliseconds.
    pub fn for_ms(&self) -> i64 {
        i64::try_from(self.watch.for_ms).unwrap_or(i64::MAX)
    }

    /// Begins to watch an operator that has these counters.
    pub fn begin(&self, id: &str, counters: Counters) -> Watched {
        let has_held = vec![false; self.invariants.len()];
        Watched { id: id.to_owned(), before: counters, trial: Counters::default(), has_held }
    }

    /// What is wrong with a trial that goes on; `last`: that comes to its end.
    pub fn violation(&self, watched: &mut Watched, last: bool) -> Option<String> {
        let Watched { id, before, trial, has_held } = watched;
        let (before, trial) = (*before, *trial);
        let found = self.rejected(before, trial).or_else(|| self.factors(before, trial));
        let found = found.or_else(|| {
            let value = |quantity: &Quantity| {
                let counters = if quantity.before { before } else { trial };
                counters.named(&quantity.name).map(|value| value as f64)
            };
            self.invariants.iter().zip(has_held).find_map(|(invariant, has_held)| {
                let holds = invariant.holds(value);
                // One that needs some records to hold has time for that until the end.
                let violated = !holds && (*has_held || last);
                *has_held |= holds;
                let explained = || invariant.explain(value);
                violated.then(|| format!("`{invariant}` does not hold: {}", explained()))
            })
        });
        found.map(|reason| format!("operator `{id}`: {reason}"))
    }

    fn rejected(&self, before: Counters, trial: Counters) -> Option<String> {
        let Counters { records_in, rejected, .. } = trial;
        if let Some(most) = self.watch.max_rejected {
            let too_many = rejected > most;
            return too_many
                .then(|| format!("{rejected} records were rejected, and {most} may be"));
        }
        let most = (before.rejected_share() + REJECTED_SHARE) * records_in as f64;
        (rejected as f64 > most).then(|| {
            format!(
                "{rejected} of {records_in} records were rejected, {:.2} % before it; `--max-rejected` says how many \
                 may be",
                100.0 * before.rejected_share()
            )
        })
    }

    fn factors(&self, before: Counters, trial: Counters) -> Option<String> {
        if before.records_in.min(trial.records_in) < RECORDS_MIN {
            return None;
        }
        let per_record = |part: fn(Counters) -> u64| {
            Some((share(part(before), before.records_in)?, share(part(trial), trial.records_in)?))
        };
        let (latency_before, latency) = per_record(|counters| counters.busy_ns)?;
        if let Some(most) = self.watch.max_latency_factor
            && latency > most * latency_before
        {
            return Some(format!(
                "a record takes {latency:.0} ns, {latency_before:.0} ns before it: more than {most} times as long"
            ));
        }
        let (output_before, output) = per_record(|counters| counters.records_out)?;
        match self.watch.min_output_factor {
            Some(least) if output < least * output_before => Some(format!(
                "{output:.3} records come out for one that comes in, {output_before:.3} before it: less than {least} \
                 times as many"
            )),
            _ => None,
        }
    }
}

/// An operator that is watched.
#[derive(Debug, Clone)]
pub struct Watched {
    id: String,
    before: Counters,
    trial: Counters,
    /// For each invariant, whether it has held: from then on it must go on to.
    has_held: Vec<bool>,
}

impl Watched {
    /// The operator's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// It has these counters now.
    pub fn look(&mut self, now: Counters) {
        self.trial = now.since(self.before);
    }

    /// What was counted, for people.
    pub fn counted(&self) -> Counted {
        let id = self.id.clone();
        Counted { id, before: self.before.all(), trial: self.trial.all() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(records_in: u64, records_out: u64, rejected: u64, busy_ns: u64) -> Counters {
        Counters { records_in, records_out, rejected, busy_ns }
    }

    /// What is wrong after `trial`, when `before` was counted before it.
    fn violation(watch: Watch, before: Counters, trial: Counters, last: bool) -> Option<String> {
        let rules = Rules::new(&watch).unwrap();
        let mut watched = rules.begin("sum", before);
        watched.trial = trial;
        rules.violation(&mut watched, last)
    }

    #[test]
    fn rejected_records_end_a_trial_that_had_few_before() {
        let before = counters(10_000, 10_000, 0, 0);
        let check = |trial| violation(Watch::default(), before, trial, false);
        assert_eq!(check(counters(0, 0, 0, 0)), None);
        assert_eq!(check(counters(1000, 990, 10, 0)), None);
        let reason = check(counters(1000, 989, 11, 0)).unwrap();
        assert!(reason.contains("`sum`: 11 of 1000 records were rejected"), "{reason}");
        assert!(check(counters(0, 0, 1, 0)).is_some(), "one that traps on everything");
        // Where a tenth was rejected before, a tenth may be.
        let before = counters(10_000, 9000, 1000, 0);
        assert_eq!(violation(Watch::default(), before, counters(1000, 900, 105, 0), false), None);
    }

    #[test]
    fn what_the_user_says_of_rejected_records_counts() {
        let watch = Watch { max_rejected: Some(2), ..Watch::default() };
        let before = counters(100, 100, 50, 0);
        assert_eq!(violation(watch.clone(), before, counters(3, 1, 2, 0), false), None);
        assert!(violation(watch, before, counters(3, 0, 3, 0), false).is_some());
    }

    #[test]
    fn factors_compare_with_the_time_before_when_there_are_enough_records() {
        let watch = Watch {
            max_latency_factor: Some(2.0),
            min_output_factor: Some(0.5),
            ..Watch::default()
        };
        let before = counters(10_000, 10_000, 0, 1_000_000);
        let check = |trial| violation(watch.clone(), before, trial, false);
        assert_eq!(check(counters(1000, 1000, 0, 200_000)), None);
        assert!(check(counters(1000, 1000, 0, 200_001)).unwrap().contains("more than 2 times"));
        assert!(check(counters(1000, 499, 0, 100)).unwrap().contains("less than 0.5 times"));
        assert_eq!(check(counters(999, 0, 0, 900_000)), None, "too few records");
    }

    #[test]
    fn an_invariant_must_hold_at_the_end_and_once_it_has_held() {
        let invariants = vec!["records-out > 0".to_owned(), "rejected = 0".to_owned()];
        let watch = Watch { invariants, max_rejected: Some(100), ..Watch::default() };
        let rules = Rules::new(&watch).unwrap();
        let mut watched = rules.begin("sum", counters(5, 5, 5, 5));
        assert_eq!(rules.violation(&mut watched, false), None, "nothing came out yet");
        watched.look(counters(6, 5, 6, 5));
        let reason = rules.violation(&mut watched, false).unwrap();
        assert!(reason.contains("`rejected = 0` does not hold: rejected = 1"), "{reason}");
        watched.look(counters(6, 5, 5, 5));
        let reason = rules.violation(&mut watched, true).unwrap();
        assert!(reason.contains("`records-out > 0` does not hold"), "{reason}");
        watched.look(counters(6, 6, 5, 5));
        assert_eq!(rules.violation(&mut watched, true), None);
    }

    #[test]
    fn a_wrong_invariant_is_refused() {
        let watch = Watch { invariants: vec!["latency < 3".to_owned()], ..Watch::default() };
        assert!(Rules::new(&watch).unwrap_err().to_string().contains("there is no counter"));
    }
}
