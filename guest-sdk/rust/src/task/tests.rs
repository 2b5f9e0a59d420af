//! State of the task, as operators see it.

use crate::prelude::*;

struct Desk {
    rules: BroadcastState<i64, String>,
    split: TaskList<u64>,
    union: TaskList<String>,
    seen: Output<Vec<(i64, String)>>,
}

impl Operator for Desk {
    const NAME: &str = "desk";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.broadcast_input("rules", Self::on_rule);
        setup.keyed_input("look", Self::on_look);
        setup.keyed_input("wrong", |desk: &mut Self, rule: Record<u64, i64>| {
            desk.rules.remove(&rule.value);
            Ok(())
        });
        setup.input("lists", Self::on_list);
        Desk {
            rules: setup.broadcast("rules"),
            split: setup.split("split"),
            union: setup.union("union"),
            seen: setup.output("seen"),
        }
    }
}

impl Desk {
    fn on_rule(&mut self, rule: Record<(), (i64, String)>) -> Result<()> {
        let (at, rule) = rule.value;
        match rule.as_str() {
            "" => self.rules.remove(&at),
            "clear" => self.rules.clear(),
            "fail" => {
                self.rules.insert(&at, &rule);
                bail!("no");
            }
            _ => self.rules.insert(&at, &rule),
        }
        assert!(self.rules.get(&at).is_none_or(|found| found == rule));
        Ok(())
    }

    fn on_look(&mut self, at: Record<u64, i64>) -> Result<()> {
        let entries = self.rules.entries();
        let found = entries.iter().find(|(key, _)| *key == at.value).map(|(_, rule)| rule.clone());
        assert_eq!(self.rules.get(&at.value), found);
        self.seen.emit(&entries)
    }

    fn on_list(&mut self, number: Record<(), u64>) -> Result<()> {
        self.split.add(&number.value);
        self.union.add(&number.value.to_string());
        if number.value == 0 {
            bail!("no");
        }
        let numbers = self.split.get();
        if numbers.len() > 3 {
            self.split.replace(&numbers[2..]);
            self.union.replace(self.split.get().iter().map(u64::to_string));
        }
        assert_eq!(self.split.get().len(), self.union.get().len());
        Ok(())
    }
}

fn rule(at: i64, rule: &str) -> (i64, String) {
    (at, rule.to_owned())
}

#[test]
fn rules_reach_the_records_of_every_key_and_are_kept_until_they_change() {
    let mut desk = TestHarness::<Desk>::new();
    let batch = desk.batch("rules").push((), rule(3, "c"), 0).push((), rule(-1, "a"), 0);
    batch.push((), rule(7, "fail"), 0).push((), rule(3, "d"), 0).send();
    assert_eq!(desk.calls(), ["task-state.load-map", "task-state.put"]);
    assert_eq!(desk.take_rejects()[0].reason, "no");
    let both = vec![rule(-1, "a"), rule(3, "d")];
    for calls in [&["task-state.load-map", "output.emit"][..], &["output.emit"]] {
        desk.batch("look").push(1_u64, 3_i64, 0).push(2_u64, 5_i64, 0).send();
        assert_eq!(desk.calls(), calls);
        assert_eq!(desk.take_values::<Vec<(i64, String)>>("seen"), [both.clone(), both.clone()]);
    }
    assert_eq!(desk.broadcast::<i64, String>("rules"), both);
    desk.send("rules", (), rule(3, ""), 0);
    desk.send("look", 1_u64, 3_i64, 0);
    assert_eq!(desk.take_values::<Vec<(i64, String)>>("seen"), [vec![rule(-1, "a")]]);
    desk.batch("rules").push((), rule(0, "clear"), 0).push((), rule(9, "z"), 0).send();
    assert_eq!(desk.broadcast::<i64, String>("rules"), [rule(9, "z")]);
}

#[test]
fn a_rule_that_changes_with_a_record_of_one_task_refuses_the_record() {
    let mut desk = TestHarness::<Desk>::new();
    desk.send("rules", (), rule(3, "c"), 0);
    desk.send("wrong", 1_u64, 3_i64, 0);
    assert_eq!(
        desk.take_rejects()[0].reason,
        "task state `rules`: it was changed outside of a handler of a broadcast input: the tasks \
         would come to differ"
    );
    assert_eq!(desk.broadcast::<i64, String>("rules"), [rule(3, "c")]);
}

#[test]
fn a_task_s_list_grows_is_replaced_and_forgets_what_a_refused_record_did() {
    let mut desk = TestHarness::<Desk>::new();
    desk.batch("lists").push((), 1_u64, 0).push((), 0_u64, 0).push((), 2_u64, 0).send();
    assert_eq!(desk.take_rejects().len(), 1);
    assert_eq!(desk.task_state::<u64>("split"), [1, 2]);
    let calls = ["task-state.load", "task-state.load", "task-state.append", "task-state.append"];
    assert_eq!(desk.calls(), calls);
    desk.batch("lists").push((), 3_u64, 0).push((), 4_u64, 0).send();
    assert_eq!(desk.task_state::<u64>("split"), [3, 4]);
    assert_eq!(desk.task_state::<String>("union"), ["3", "4"]);
}
