//! States as operators see them.

use crate::prelude::*;

/// A small generator (SplitMix64) for tests that compare with a model: the same numbers each time.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// What a record tells `Probe` to do to its key's states, and the words and text it then finds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Act {
    Look,
    Set(i64),
    Add(i64),
    Clear,
    Take,
    SetThenFail(i64),
    Nest,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Story {
    sum: i64,
    lines: Vec<String>,
}

type Seen = (Option<i64>, Option<Story>);

struct Probe {
    word: ValueState<i64>,
    story: ValueState<Story>,
    seen: Output<Seen>,
}

impl Operator for Probe {
    const NAME: &str = "probe";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("acts", Self::on_act);
        setup.input("loose", Self::on_loose);
        Probe { word: setup.value("word"), story: setup.value("story"), seen: setup.output("seen") }
    }
}

impl Probe {
    fn on_act(&mut self, act: Record<u64, Act>) -> Result<()> {
        match act.value {
            Act::Look => {}
            Act::Set(to) => {
                self.word.set(to);
                self.story.set(Story { sum: to, lines: vec![format!("set {to}")] });
            }
            Act::Add(amount) => {
                self.word.update(|word| *word += amount);
                self.story.update(|story| {
                    story.sum += amount;
                    story.lines.push(format!("add {amount}"));
                });
            }
            Act::Clear => {
                self.word.clear();
                self.story.clear();
            }
            Act::Take => {
                let (word, story) = (self.word.take(), self.story.take());
                return self.seen.emit(&(word, story));
            }
            Act::SetThenFail(to) => {
                self.word.set(to);
                bail!("not {to}");
            }
            Act::Nest => self.story.update(|_| drop(self.story.get())),
        }
        assert_eq!(self.word.is_set(), self.word.get().is_some());
        assert_eq!(self.story.is_set(), self.story.with(|story| story.is_some()));
        self.seen.emit(&(self.word.get(), self.story.get()))
    }

    fn on_loose(&mut self, _: Record<(), u64>) -> Result<()> {
        self.word.set(1);
        Ok(())
    }
}

#[test]
fn a_state_holds_what_was_written_for_its_key_and_for_no_other() {
    let mut probe = TestHarness::<Probe>::new();
    let batch = probe.batch("acts");
    let batch = batch.push(1_u64, Act::Set(5), 0).push(2_u64, Act::Look, 0);
    batch.push(1_u64, Act::Add(2), 0).push(2_u64, Act::Add(1), 0).send();
    let story = |sum, lines: &[&str]| {
        Some(Story { sum, lines: lines.iter().map(|line| line.to_string()).collect() })
    };
    assert_eq!(
        probe.take_values::<Seen>("seen"),
        [
            (Some(5), story(5, &["set 5"])),
            (None, None),
            (Some(7), story(7, &["set 5", "add 2"])),
            (Some(1), story(1, &["add 1"])),
        ]
    );
    assert_eq!(probe.state("word", 1_u64), Some(7_i64));
    assert_eq!(probe.state("story", 2_u64), story(1, &["add 1"]));
    assert_eq!(probe.state::<i64>("word", 3_u64), None);
}

#[test]
fn cleared_and_taken_values_are_gone_in_the_same_batch_and_after_it() {
    let mut probe = TestHarness::<Probe>::new();
    probe.send("acts", 1_u64, Act::Set(5), 0);
    probe.send("acts", 2_u64, Act::Set(6), 0);
    let batch = probe.batch("acts").push(1_u64, Act::Clear, 0).push(2_u64, Act::Take, 0);
    batch.push(2_u64, Act::Look, 0).send();
    let seen = probe.take_values::<Seen>("seen");
    assert_eq!(seen[2], (None, None));
    assert_eq!(seen[3].0, Some(6));
    assert_eq!(seen[4], (None, None));
    assert_eq!(probe.state::<i64>("word", 1_u64), None);
    assert_eq!(probe.state::<Story>("story", 2_u64), None);
}

#[test]
fn an_error_undoes_its_record_and_nothing_else_of_the_batch() {
    let mut probe = TestHarness::<Probe>::new();
    let batch = probe.batch("acts").push(1_u64, Act::Set(5), 7);
    batch.push(1_u64, Act::SetThenFail(9), 8).push(1_u64, Act::Add(1), 9).send();
    assert_eq!(probe.state("word", 1_u64), Some(6_i64));
    let rejects = probe.take_rejects();
    assert_eq!(rejects.len(), 1);
    assert_eq!((rejects[0].time, rejects[0].reason.as_str()), (8, "not 9"));
}

#[test]
fn more_than_a_bitmap_word_of_keys_is_told_apart() {
    let mut probe = TestHarness::<Probe>::new();
    for round in 1..=2_i64 {
        let mut batch = probe.batch("acts");
        for key in 0..200_u64 {
            let act = if key % 3 == 0 { Act::Look } else { Act::Add(key as i64) };
            batch = batch.push(key, act, 0);
        }
        batch.send();
        for key in 0..200_u64 {
            let expected = (key % 3 != 0).then_some(key as i64 * round);
            assert_eq!(probe.state::<i64>("word", key), expected, "key {key}");
        }
    }
}

#[test]
fn state_without_a_key_and_state_within_its_own_update_refuse_the_record() {
    let mut probe = TestHarness::<Probe>::new();
    probe.send("loose", (), 1_u64, 0);
    probe.send("acts", 1_u64, Act::Nest, 0);
    let reasons: Vec<_> = probe.take_rejects().into_iter().map(|reject| reject.reason).collect();
    assert_eq!(
        reasons,
        [
            "state `word` was used for a record without a key: only records of keyed inputs have \
             state and timers",
            "state `story` was used within its own update",
        ]
    );
}

/// Keeps a small number, and can be made to write one that another type cannot read.
struct Small {
    level: ValueState<u8>,
}

impl Operator for Small {
    const NAME: &str = "small";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("levels", |small: &mut Self, level: Record<String, u8>| {
            small.level.set(level.value);
            Ok(())
        });
        Small { level: setup.value("level") }
    }
}

#[test]
fn a_number_out_of_its_type_s_range_refuses_the_record() {
    let mut small = TestHarness::<Small>::new();
    small.send("levels", "a", 300_u64, 0);
    assert_eq!(small.take_rejects()[0].reason, "the number 300 (signed: 300) is no u8");
    assert_eq!(small.state::<u8>("level", "a"), None);
}

#[test]
fn a_batch_fetches_a_state_once_and_sends_it_once() {
    let mut probe = TestHarness::<Probe>::new();
    let mut batch = probe.batch("acts");
    for key in 0..100_u64 {
        batch = batch.push(key, Act::Add(1), 0).push(key, Act::Look, 0);
    }
    batch.send();
    let mut calls = probe.calls();
    calls.sort_unstable();
    assert_eq!(calls, ["output.emit", "state.load", "state.load", "state.store", "state.store"]);
}
