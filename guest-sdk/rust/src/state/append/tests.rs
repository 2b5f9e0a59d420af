//! Bytes that the host appends to, as operators see them.

use crate::prelude::*;

struct Probe {
    text: AppendState,
    seen: Output<Option<String>>,
}

impl Operator for Probe {
    const NAME: &str = "probe";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("acts", Self::on_act);
        Probe { text: setup.append("text"), seen: setup.output("seen") }
    }
}

impl Probe {
    fn on_act(&mut self, act: Record<u64, String>) -> Result<()> {
        match act.value.as_str() {
            "?" => {
                let text = self.text.get().map(String::from_utf8).transpose()?;
                return self.seen.emit(&text);
            }
            "-" => self.text.clear(),
            "!" => bail!("no"),
            text => self.text.add(text.as_bytes()),
        }
        Ok(())
    }
}

fn run(probe: &mut TestHarness<Probe>, acts: &[(u64, &str)]) -> Vec<Option<String>> {
    let mut batch = probe.batch("acts");
    for (key, act) in acts {
        batch = batch.push(*key, act.to_string(), 0);
    }
    batch.send();
    probe.take_values("seen")
}

#[test]
fn bytes_grow_at_the_end_and_start_anew_when_they_are_cleared() {
    let mut probe = TestHarness::<Probe>::new();
    let some = |text: &str| Some(text.to_owned());
    let seen = run(&mut probe, &[(1, "?"), (1, "a"), (2, "x"), (1, "b"), (1, "?"), (2, "?")]);
    assert_eq!(seen, [None, some("ab"), some("x")]);
    let seen = run(&mut probe, &[(1, "c"), (1, "?"), (1, "-"), (1, "?"), (2, "y"), (1, "d")]);
    assert_eq!(seen, [some("abc"), None]);
    assert_eq!(probe.state("text", 1_u64), Some(b"d".to_vec()));
    assert_eq!(probe.state("text", 2_u64), Some(b"xy".to_vec()));
    run(&mut probe, &[(1, "-")]);
    assert_eq!(probe.state::<Vec<u8>>("text", 1_u64), None);
}

#[test]
fn a_batch_appends_once_and_reads_nothing_for_it() {
    let mut probe = TestHarness::<Probe>::new();
    run(&mut probe, &[(1, "a"), (2, "b"), (1, "!"), (1, "c")]);
    assert_eq!(probe.calls(), ["state.merge"]);
    assert_eq!(probe.take_rejects().len(), 1);
    run(&mut probe, &[(1, "-"), (1, "?"), (2, "?"), (1, "d")]);
    assert_eq!(probe.calls(), ["state.load", "state.remove", "state.merge", "output.emit"]);
    assert_eq!(probe.state("text", 1_u64), Some(b"d".to_vec()));
}
