//! Lists as operators see them.

use crate::prelude::*;
use crate::state::tests::Chance;

/// What a record does to its key's list.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Act {
    Add(u64),
    Extend(Vec<u64>),
    Get,
    KeepEven,
    Replace(Vec<u64>),
    Clear,
    IsEmpty,
    Fail,
}

struct Probe {
    numbers: ListState<u64>,
    texts: ListState<String>,
    seen: Output<String>,
}

impl Operator for Probe {
    const NAME: &str = "probe";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("acts", Self::on_act);
        Probe {
            numbers: setup.list("numbers"),
            texts: setup.list("texts"),
            seen: setup.output("seen"),
        }
    }
}

impl Probe {
    fn on_act(&mut self, act: Record<u64, Act>) -> Result<()> {
        let text = |number: &u64| number.to_string();
        let mut seen = String::new();
        match act.value {
            Act::Add(number) => {
                self.numbers.add(&number);
                self.texts.add(&text(&number));
            }
            Act::Extend(numbers) => {
                self.texts.extend(numbers.iter().map(text));
                self.numbers.extend(&numbers);
            }
            Act::Get => {
                assert_eq!(
                    self.texts.get(),
                    self.numbers.get().iter().map(text).collect::<Vec<_>>()
                );
                seen = format!("{:?}", self.numbers.get());
            }
            Act::KeepEven => {
                self.numbers.replace(self.numbers.get().iter().filter(|number| *number % 2 == 0));
                self.texts.replace(self.numbers.get().iter().map(text));
            }
            Act::Replace(numbers) => {
                self.texts.replace(numbers.iter().map(text));
                self.numbers.replace(numbers);
            }
            Act::Clear => {
                self.numbers.clear();
                self.texts.clear();
            }
            Act::IsEmpty => seen = self.numbers.is_empty().to_string(),
            Act::Fail => {
                self.numbers.replace([1, 2]);
                bail!("no");
            }
        }
        self.seen.emit(&seen)
    }
}

fn on_model(model: &mut Vec<u64>, act: &Act) -> String {
    match act {
        Act::Add(number) => model.push(*number),
        Act::Extend(numbers) => model.extend(numbers),
        Act::Get => return format!("{model:?}"),
        Act::KeepEven => model.retain(|number| number % 2 == 0),
        Act::Replace(numbers) => model.clone_from(numbers),
        Act::Clear => model.clear(),
        Act::IsEmpty => return model.is_empty().to_string(),
        Act::Fail => unreachable!("a record that is refused changes nothing"),
    }
    String::new()
}

fn random_act(chance: &mut Chance, long: u64) -> Act {
    match chance.below(30) {
        0..10 => Act::Add(chance.below(100)),
        10..14 => Act::Extend((0..chance.below(long)).collect()),
        14..20 => Act::Get,
        20 => Act::KeepEven,
        21 => Act::Replace((0..chance.below(long)).collect()),
        22 => Act::Clear,
        23 => Act::Fail,
        _ => Act::IsEmpty,
    }
}

fn compare(seed: u64, long: u64) {
    let mut chance = Chance(seed);
    let mut probe = TestHarness::<Probe>::new();
    let mut models = vec![Vec::new(); 4];
    for _ in 0..40 {
        let mut batch = probe.batch("acts");
        let mut expected = Vec::new();
        for _ in 0..chance.below(12) + 1 {
            let (key, act) = (chance.below(4), random_act(&mut chance, long));
            if !matches!(act, Act::Fail) {
                expected.push(on_model(&mut models[key as usize], &act));
            }
            batch = batch.push(key, act, 0);
        }
        batch.send();
        assert_eq!(probe.take_values::<String>("seen"), expected);
        probe.take_rejects();
        for (key, model) in models.iter().enumerate() {
            assert_eq!(&probe.list::<u64>("numbers", key as u64), model);
        }
    }
}

#[test]
fn short_lists_do_what_a_list_does() {
    (0..8).for_each(|seed| compare(seed, 6));
}

#[test]
fn long_lists_do_what_a_list_does() {
    (0..4).for_each(|seed| compare(seed, 2000));
}

#[test]
fn a_batch_fetches_the_lists_of_all_keys_once_and_sends_all_elements_once() {
    let mut probe = TestHarness::<Probe>::new();
    let mut calls = |of: &[Act]| {
        let mut batch = probe.batch("acts");
        for key in 0..100_u64 {
            for act in of {
                batch = batch.push(key, act.clone(), 0);
            }
        }
        batch.send();
        let mut calls = probe.calls();
        calls.retain(|call| call.starts_with("list-state"));
        calls.dedup();
        calls
    };
    assert_eq!(calls(&[Act::Add(1), Act::Extend(vec![2, 3])]), ["list-state.append"]);
    let read = calls(&[Act::Get, Act::Add(4), Act::IsEmpty]);
    assert_eq!(read, ["list-state.load-all", "list-state.append"]);
    assert_eq!(calls(&[Act::Replace(vec![1]), Act::Add(2), Act::Get]), ["list-state.replace"]);
    assert_eq!(calls(&[Act::Add(2), Act::Clear]), ["list-state.clear"]);
    assert!(probe.list::<u64>("numbers", 7_u64).is_empty());
}
