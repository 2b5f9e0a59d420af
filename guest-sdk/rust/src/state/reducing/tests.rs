//! Numbers that the host merges into, as operators see them.

use crate::prelude::*;

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Act {
    Add(i64),
    Get,
    Clear,
    Fail,
}

/// Sum, minimum, maximum, count, and the sum and minimum of floating-point numbers.
type Seen = (Option<i64>, Option<i64>, Option<i64>, Option<u64>, Option<f64>, Option<f64>);

struct Probe {
    sum: ReducingState<i64>,
    min: ReducingState<i64>,
    max: ReducingState<i64>,
    count: ReducingState<u64>,
    floats: ReducingState<f64>,
    low: ReducingState<f64>,
    seen: Output<Seen>,
}

impl Operator for Probe {
    const NAME: &str = "probe";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("acts", Self::on_act);
        setup.input("loose", |probe: &mut Self, number: Record<(), i64>| {
            probe.sum.add(number.value);
            Ok(())
        });
        Probe {
            sum: setup.sum("sum"),
            min: setup.min("min"),
            max: setup.max("max"),
            count: setup.count("count"),
            floats: setup.sum("floats"),
            low: setup.min("low"),
            seen: setup.output("seen"),
        }
    }
}

impl Probe {
    fn on_act(&mut self, act: Record<u64, Act>) -> Result<()> {
        match act.value {
            Act::Add(number) => {
                self.sum.add(number);
                self.min.add(number);
                self.max.add(number);
                self.count.add(1);
                self.floats.add(number as f64 / 2.0);
                self.low.add(if number == 0 { f64::NAN } else { number as f64 });
            }
            Act::Get => self.seen.emit(&(
                self.sum.get(),
                self.min.get(),
                self.max.get(),
                self.count.get(),
                self.floats.get(),
                self.low.get(),
            ))?,
            Act::Clear => {
                self.sum.clear();
                self.min.clear();
                self.max.clear();
                self.count.clear();
                self.floats.clear();
                self.low.clear();
            }
            Act::Fail => {
                self.sum.add(1000);
                self.sum.clear();
                bail!("no");
            }
        }
        Ok(())
    }
}

fn numbers(sum: i64, min: i64, max: i64, count: u64, low: f64) -> Seen {
    (Some(sum), Some(min), Some(max), Some(count), Some(sum as f64 / 2.0), Some(low))
}

const NONE: Seen = (None, None, None, None, None, None);

#[test]
fn what_is_added_is_merged_within_a_batch_and_across_batches() {
    let mut probe = TestHarness::<Probe>::new();
    let batch = probe.batch("acts").push(1_u64, Act::Get, 0).push(1_u64, Act::Add(-5), 0);
    let batch =
        batch.push(1_u64, Act::Add(3), 0).push(1_u64, Act::Fail, 0).push(1_u64, Act::Get, 0);
    batch.push(2_u64, Act::Get, 0).send();
    assert_eq!(probe.take_values::<Seen>("seen"), [NONE, numbers(-2, -5, 3, 2, -5.0), NONE]);
    assert_eq!(probe.take_rejects().len(), 1);
    let batch = probe.batch("acts").push(1_u64, Act::Add(0), 0).push(1_u64, Act::Get, 0);
    batch.push(1_u64, Act::Add(-7), 0).push(1_u64, Act::Get, 0).send();
    let seen = probe.take_values::<Seen>("seen");
    assert_eq!(seen, [numbers(-2, -5, 3, 3, -5.0), numbers(-9, -7, 3, 4, -7.0)]);
    assert_eq!(probe.state("sum", 1_u64), Some(-9_i64));
    assert_eq!(probe.state("count", 1_u64), Some(4_u64));
    assert_eq!(probe.state::<u64>("count", 2_u64), None);
}

#[test]
fn what_is_cleared_starts_anew() {
    let mut probe = TestHarness::<Probe>::new();
    probe.send("acts", 1_u64, Act::Add(5), 0);
    let batch = probe.batch("acts").push(1_u64, Act::Add(6), 0).push(1_u64, Act::Clear, 0);
    batch.push(1_u64, Act::Get, 0).push(1_u64, Act::Add(7), 0).push(1_u64, Act::Get, 0).send();
    assert_eq!(probe.take_values::<Seen>("seen"), [NONE, numbers(7, 7, 7, 1, 7.0)]);
    assert_eq!(probe.state("sum", 1_u64), Some(7_i64));
    probe.send("acts", 1_u64, Act::Clear, 0);
    assert_eq!(probe.state::<i64>("sum", 1_u64), None);
}

#[test]
fn a_batch_merges_once_and_reads_nothing_for_it() {
    let mut probe = TestHarness::<Probe>::new();
    for round in 1..=2 {
        let mut batch = probe.batch("acts");
        for row in 0..300_u64 {
            batch = batch.push(row % 100, Act::Add(2), 0);
        }
        batch.send();
        assert_eq!(probe.calls(), ["state.merge"; 6], "one for each state");
        assert_eq!(probe.state("sum", 70_u64), Some(6_i64 * round));
    }
    probe.send("acts", 1_u64, Act::Get, 0);
    assert_eq!(probe.calls().iter().filter(|call| **call == "state.load").count(), 6);
    probe.send("loose", (), 1_i64, 0);
    assert!(
        probe.take_rejects()[0].reason.starts_with("state `sum` was used for a record without")
    );
}
