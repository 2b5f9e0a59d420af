//! Sets that the host adds to, as operators see them.

use crate::prelude::*;

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Act {
    Add(i64),
    Look(i64),
    Clear,
}

/// Whether it is in the set of numbers, and all of both sets.
type Seen = (bool, Vec<i64>, Vec<(String, i64)>);

struct Probe {
    numbers: SetState<i64>,
    pairs: SetState<(String, i64)>,
    seen: Output<Seen>,
}

impl Operator for Probe {
    const NAME: &str = "probe";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("acts", Self::on_act);
        Probe {
            numbers: setup.set("numbers"),
            pairs: setup.set("pairs"),
            seen: setup.output("seen"),
        }
    }
}

fn pair(number: i64) -> (String, i64) {
    ("x".to_owned(), number)
}

impl Probe {
    fn on_act(&mut self, act: Record<u64, Act>) -> Result<()> {
        match act.value {
            Act::Add(number) => {
                self.numbers.add(&number);
                self.pairs.add(&pair(number));
            }
            Act::Look(number) => {
                let is = self.numbers.contains(&number);
                assert_eq!(self.pairs.contains(&pair(number)), is);
                self.seen.emit(&(is, self.numbers.get(), self.pairs.get()))?;
            }
            Act::Clear => {
                self.numbers.clear();
                self.pairs.clear();
            }
        }
        Ok(())
    }
}

fn run(probe: &mut TestHarness<Probe>, acts: &[Act]) -> Vec<(bool, Vec<i64>)> {
    let mut batch = probe.batch("acts");
    for act in acts {
        batch = batch.push(1_u64, act.clone(), 0);
    }
    batch.send();
    let seen = probe.take_values::<Seen>("seen").into_iter();
    seen.map(|(is, numbers, pairs)| {
        let mut sorted: Vec<_> = pairs.into_iter().map(|(_, number)| number).collect();
        sorted.sort_unstable();
        assert_eq!(sorted, numbers);
        (is, numbers)
    })
    .collect()
}

#[test]
fn an_element_is_in_a_set_once_and_the_elements_are_in_order() {
    let mut probe = TestHarness::<Probe>::new();
    let seen =
        run(&mut probe, &[Act::Look(3), Act::Add(3), Act::Add(-1), Act::Add(3), Act::Look(3)]);
    assert_eq!(seen, [(false, vec![]), (true, vec![-1, 3])]);
    let seen = run(&mut probe, &[Act::Add(2), Act::Look(-1), Act::Add(3)]);
    assert_eq!(seen, [(true, vec![-1, 2, 3])]);
    assert_eq!(probe.set::<i64>("numbers", 1_u64), [-1, 2, 3]);
    let seen =
        run(&mut probe, &[Act::Look(2), Act::Clear, Act::Look(2), Act::Add(9), Act::Look(9)]);
    assert_eq!(seen[1..], [(false, vec![]), (true, vec![9])]);
    assert_eq!(probe.set::<i64>("numbers", 1_u64), [9]);
    assert!(probe.set::<i64>("numbers", 2_u64).is_empty());
}

#[test]
fn a_batch_adds_once_and_reads_nothing_for_it() {
    let mut probe = TestHarness::<Probe>::new();
    run(&mut probe, &[Act::Add(1), Act::Add(2), Act::Add(1)]);
    assert_eq!(probe.calls(), ["state.merge"; 2], "one for each state");
    run(&mut probe, &[Act::Look(1), Act::Look(2)]);
    assert_eq!(probe.calls(), ["state.load", "state.load", "output.emit"]);
}
