//! Tests of canaries: two versions on shares of one state.

use super::*;
use crate::canary::CanaryShare;
use crate::description::MetricDeclaration;

/// As [`Summing`], of which the unlucky value is refused, but adds ten times what comes.
struct Generous(Summing);

impl Operator for Generous {
    fn description(&self) -> &Description {
        &self.0.description
    }

    fn process(&mut self, rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
        call.add_counter(0, rows.times.len() as u64)?;
        let values = words(rows.values).iter();
        let values: Vec<u64> = values.map(|&value| value * 10).collect();
        self.0.process(Rows { values: &Column::Words(values), ..rows }, call)
    }

    fn on_timers(&mut self, timers: TimerRows<'_>, call: &mut Call) -> Result<(), Failure> {
        self.0.on_timers(timers, call)
    }
}

fn generous() -> Box<Generous> {
    let mut description = description();
    description.metrics =
        vec![MetricDeclaration { name: "rows".into(), kind: crate::MetricKind::Counter }];
    let fails = Fails::NamesNothing;
    Box::new(Generous(Summing { description, fails, rows_max: usize::MAX, calls: 0 }))
}

fn half() -> CanaryShare {
    CanaryShare::of_percent(50.0).unwrap()
}

fn is_canarys(key: u64) -> bool {
    half().takes(KeyGroups::DEFAULT.group_of(statehouse_state::key::hash_word(key)))
}

fn rows() -> Vec<(u64, u64)> {
    (0..100).map(|key| (key, 1)).collect()
}

fn sums(invoker: &mut Invoker) -> Vec<(u64, u64)> {
    invoker.process(0, &batch(&rows()), Moment::default()).unwrap();
    let mut emitted = emitted(invoker);
    emitted.sort_unstable();
    emitted
}

fn expected(of: impl Fn(u64) -> u64) -> Vec<(u64, u64)> {
    (0..100).map(|key| (key, of(key))).collect()
}

#[test]
fn each_version_has_its_own_key_groups_until_one_has_all() {
    for promote in [false, true] {
        let mut invoker = invoker(Fails::NamesNothing, ErrorPolicy::Skip, usize::MAX);
        assert_eq!(sums(&mut invoker), expected(|_| 1));
        invoker.start_canary(generous(), half(), KeyGroups::DEFAULT).unwrap();
        let of = |key| if is_canarys(key) { 11 } else { 2 };
        assert_eq!(sums(&mut invoker), expected(of));
        let counts = invoker.canary_counts().unwrap();
        assert_eq!(counts.before.rows + counts.canary.rows, 100);
        assert!(counts.before.rows > 25 && counts.canary.rows > 25, "{counts:?}");
        let returned = invoker.end_canary(promote).expect("there was one");
        assert_eq!(returned.description().metrics.is_empty(), promote, "the other one is back");
        assert_eq!(invoker.canary_counts(), None);
        let later = |key| of(key) + if promote { 10 } else { 1 };
        assert_eq!(sums(&mut invoker), expected(later));
        assert!(invoker.end_canary(true).is_none());
    }
}

#[test]
fn failures_and_timers_belong_to_the_version_whose_key_it_is() {
    let mut invoker = invoker(Fails::NamesNothing, ErrorPolicy::DeadLetter, usize::MAX);
    invoker.start_canary(generous(), half(), KeyGroups::DEFAULT).unwrap();
    // Its own values are ten times as large, so that 13 is unlucky only for the version before.
    let rows: Vec<_> = (0..100).map(|key| (key, UNLUCKY)).collect();
    invoker.process(0, &batch(&rows), Moment::default()).unwrap();
    let counts = invoker.canary_counts().unwrap();
    assert_eq!(counts.before.rejected, counts.before.rows);
    assert_eq!((counts.canary.rejected, counts.canary.rows), (0, 100 - counts.before.rows));
    assert_eq!(invoker.rejected(), counts.before.rejected);
    assert_eq!(emitted(&mut invoker).len() as u64, counts.canary.rows);

    while invoker.fire_timers(TimeDomain::EventTime, i64::MAX, Moment::default()).unwrap() {}
    let fired = invoker.canary_counts().unwrap();
    assert_eq!(fired.canary.rows, 2 * counts.canary.rows, "each set a timer");
    assert_eq!(fired.before.rows, counts.before.rows);
    assert_eq!(invoker.next_timer(TimeDomain::EventTime), None);
}

#[test]
fn what_belongs_to_no_key_group_has_no_canary() {
    let mut invoker = invoker(Fails::Never, ErrorPolicy::Fail, usize::MAX);
    let other = |change: fn(&mut Description)| {
        let mut operator = generous();
        change(&mut operator.0.description);
        operator
    };
    for (operator, part) in [
        (other(|now| now.inputs[0].key = None), "its input `in` has no key"),
        (other(|now| (now.inputs[0].key, now.inputs[0].broadcast) = (None, true)), "is broadcast"),
        (other(|now| now.states[0].schema_version = 2), "do not declare the same states"),
        (other(|now| now.timers.clear()), "do not declare the same states"),
    ] {
        let error = invoker.start_canary(operator, half(), KeyGroups::DEFAULT).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    invoker.start_canary(generous(), half(), KeyGroups::DEFAULT).unwrap();
    assert!(invoker.start_canary(generous(), half(), KeyGroups::DEFAULT).is_err(), "there is one");
    let evolution = crate::Evolution::unchanged(invoker.description());
    assert!(invoker.replace(generous(), &evolution, None).is_err(), "and it ends first");
}
