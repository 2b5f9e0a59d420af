//! Maps as operators see them.

use std::collections::BTreeMap;

use crate::prelude::*;
use crate::state::tests::Chance;

/// What a record does to its key's map.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Act {
    Get(i64),
    Contains(i64),
    Insert(i64, u64),
    Remove(i64),
    Add(i64, u64),
    Range(i64, i64),
    After(i64),
    Entries,
    IsEmpty,
    Clear,
    Fail,
}

/// What it then found, in words.
fn on_model(model: &mut BTreeMap<i64, u64>, act: Act) -> String {
    match act {
        Act::Get(key) => format!("{:?}", model.get(&key)),
        Act::Contains(key) => model.contains_key(&key).to_string(),
        Act::Insert(key, value) => {
            model.insert(key, value);
            String::new()
        }
        Act::Remove(key) => {
            model.remove(&key);
            String::new()
        }
        Act::Add(key, value) => {
            let entry = model.entry(key).or_default();
            *entry += value;
            entry.to_string()
        }
        Act::Range(from, to) if from > to => "[]".to_owned(),
        Act::Range(from, to) => format!("{:?}", model.range(from..to).collect::<Vec<_>>()),
        Act::After(key) => format!("{:?}", model.range(key..).nth(1)),
        Act::Entries => format!("{:?}", model.iter().collect::<Vec<_>>()),
        Act::IsEmpty => model.is_empty().to_string(),
        Act::Clear => {
            model.clear();
            String::new()
        }
        Act::Fail => unreachable!("a record that is refused changes nothing"),
    }
}

struct Probe {
    map: MapState<i64, u64>,
    /// The same, with values that are not numbers.
    texts: MapState<i64, String>,
    seen: Output<String>,
}

impl Operator for Probe {
    const NAME: &str = "probe";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("acts", Self::on_act);
        setup.input("loose", Self::on_loose);
        Probe { map: setup.map("map"), texts: setup.map("texts"), seen: setup.output("seen") }
    }
}

impl Probe {
    fn on_act(&mut self, act: Record<u64, Act>) -> Result<()> {
        let seen = match act.value {
            Act::Get(key) => {
                let text = self.texts.get(&key);
                assert_eq!(text, self.map.get(&key).map(|value| value.to_string()));
                format!("{:?}", self.map.get(&key))
            }
            Act::Contains(key) => self.map.contains_key(&key).to_string(),
            Act::Insert(key, value) => {
                self.map.insert(&key, value);
                self.texts.insert(&key, value.to_string());
                String::new()
            }
            Act::Remove(key) => {
                self.map.remove(&key);
                self.texts.remove(&key);
                String::new()
            }
            Act::Add(key, value) => {
                let sum = self.map.update(&key, |sum| {
                    *sum += value;
                    *sum
                });
                self.texts.update(&key, |text| *text = sum.to_string());
                sum.to_string()
            }
            Act::Range(from, to) => {
                let texts: Vec<_> = self.texts.range(from..to).map(|(_, text)| text).collect();
                let entries: Vec<_> = self.map.range(from..to).collect();
                assert!(entries.iter().map(|(_, value)| value.to_string()).eq(texts));
                format!("{entries:?}")
            }
            Act::After(key) => format!("{:?}", self.map.range(key..).nth(1)),
            Act::Entries => format!("{:?}", self.map.entries()),
            Act::IsEmpty => self.map.is_empty().to_string(),
            Act::Clear => {
                self.map.clear();
                self.texts.clear();
                String::new()
            }
            Act::Fail => {
                self.map.clear();
                self.map.insert(&1, 1);
                bail!("no");
            }
        };
        self.seen.emit(&seen)
    }

    fn on_loose(&mut self, key: Record<(), i64>) -> Result<()> {
        self.map.get(&key.value);
        Ok(())
    }
}

fn random_act(chance: &mut Chance, spread: u64) -> Act {
    let key = chance.below(spread) as i64 - spread as i64 / 2;
    match chance.below(40) {
        0..9 => Act::Get(key),
        9..13 => Act::Contains(key),
        13..21 => Act::Insert(key, chance.below(100)),
        21..25 => Act::Remove(key),
        25..33 => Act::Add(key, chance.below(100)),
        33..35 => Act::Range(key, key + chance.below(20) as i64 - 2),
        35 => Act::After(key),
        36 => Act::Entries,
        37 | 38 => Act::IsEmpty,
        _ if chance.below(8) == 0 => Act::Clear,
        _ => Act::Fail,
    }
}

/// Compares with a map of the standard library, over batches whose acts see each other.
fn compare(seed: u64, spread: u64) {
    let mut chance = Chance(seed);
    let mut probe = TestHarness::<Probe>::new();
    let mut models = vec![BTreeMap::new(); 4];
    for (key, model) in models.iter_mut().enumerate().filter(|_| spread > 64) {
        let mut batch = probe.batch("acts");
        for entry in 0..spread as i64 {
            let act = Act::Insert(entry - spread as i64 / 2, entry as u64);
            on_model(model, act);
            batch = batch.push(key as u64, act, 0);
        }
        batch.send();
    }
    probe.take_values::<String>("seen");
    for _ in 0..30 {
        let mut batch = probe.batch("acts");
        let mut expected = Vec::new();
        for _ in 0..chance.below(40) + 1 {
            let (key, act) = (chance.below(4), random_act(&mut chance, spread));
            batch = batch.push(key, act, 0);
            if !matches!(act, Act::Fail) {
                expected.push((act, on_model(&mut models[key as usize], act)));
            }
        }
        batch.send();
        let seen = probe.take_values::<String>("seen");
        for ((act, expected), seen) in expected.iter().zip(&seen) {
            assert_eq!(seen, expected, "{act:?}");
        }
        assert_eq!(seen.len(), expected.len());
        probe.take_rejects();
        for (key, model) in models.iter().enumerate() {
            let entries = probe.map::<i64, u64>("map", key as u64);
            assert_eq!(entries, model.clone().into_iter().collect::<Vec<_>>());
            assert_eq!(probe.map::<i64, String>("texts", key as u64).len(), model.len());
        }
    }
}

#[test]
fn small_maps_do_what_a_map_does() {
    (0..8).for_each(|seed| compare(seed, 12));
}

#[test]
fn maps_too_large_to_fetch_at_once_do_what_a_map_does() {
    (0..4).for_each(|seed| compare(seed, 700));
}

#[test]
fn a_batch_fetches_the_maps_of_all_keys_once_and_sends_all_entries_once() {
    let mut probe = TestHarness::<Probe>::new();
    let acts = |probe: &mut TestHarness<Probe>, of: &[Act]| {
        let mut batch = probe.batch("acts");
        for key in 0..100_u64 {
            for &act in of {
                batch = batch.push(key, act, 0);
            }
        }
        batch.send();
        let calls = probe.calls().into_iter();
        calls.filter(|call| call.starts_with("map-state")).collect::<Vec<_>>()
    };
    let written = acts(&mut probe, &[Act::Insert(1, 1), Act::Insert(2, 1), Act::Remove(1)]);
    let (put, remove) = ("map-state.put", "map-state.remove");
    assert_eq!(written, [put, remove, put, remove], "of both states; nothing is read for a write");
    let added = acts(&mut probe, &[Act::Add(2, 1), Act::Add(3, 1)]);
    let load = "map-state.load-all";
    assert_eq!(added, [load, load, put, put]);
    let read = acts(&mut probe, &[Act::Get(2), Act::Entries, Act::IsEmpty]);
    assert_eq!(read, [load, load]);
    assert!(acts(&mut probe, &[Act::Fail]).is_empty());
    assert_eq!(probe.take_rejects().len(), 100);
}

#[test]
fn a_large_map_is_read_by_the_entry_or_by_the_page() {
    let mut probe = TestHarness::<Probe>::new();
    let mut batch = probe.batch("acts");
    for entry in 0..1000 {
        batch = batch.push(1_u64, Act::Insert(entry, 1), 0);
    }
    batch.send();
    probe.batch("acts").push(1_u64, Act::Add(5, 1), 0).push(1_u64, Act::Add(5, 1), 0).send();
    let calls = probe.calls();
    let points = calls.iter().filter(|call| **call == "map-state.load").count();
    assert_eq!(points, 2, "one for each state, though the entry was used twice: {calls:?}");
    probe.batch("acts").push(1_u64, Act::After(0), 0).push(1_u64, Act::After(900), 0).send();
    let scans = probe.calls().into_iter().filter(|call| *call == "map-state.scan").count();
    assert_eq!(scans, 2);
    probe.batch("acts").push(1_u64, Act::Entries, 0).push(1_u64, Act::Entries, 0).send();
    let scans = probe.calls().into_iter().filter(|call| *call == "map-state.scan").count();
    assert_eq!(scans, 1, "a map that is here as a whole is not fetched again");
}

#[test]
fn a_map_without_a_key_refuses_the_record() {
    let mut probe = TestHarness::<Probe>::new();
    probe.send("loose", (), 1_i64, 0);
    let reason = &probe.take_rejects()[0].reason;
    assert!(reason.starts_with("state `map` was used for a record without a key"), "{reason}");
}

/// Walks through maps while they change, and through keys of other types.
struct Walker {
    numbers: MapState<i64, i64>,
    names: MapState<String, u64>,
    pairs: MapState<(u32, u32), u64>,
    lines: Output<String>,
}

impl Operator for Walker {
    const NAME: &str = "walker";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("fill", |walker: &mut Self, size: Record<u64, i64>| {
            (0..size.value).for_each(|entry| walker.numbers.insert(&entry, entry));
            Ok(())
        });
        setup.keyed_input("walk", Self::on_walk);
        setup.keyed_input("names", Self::on_names);
        setup.keyed_input("pairs", Self::on_pairs);
        setup.keyed_input("nest", |walker: &mut Self, _: Record<u64, ()>| {
            walker.numbers.update(&1, |_| assert_eq!(walker.numbers.get(&1), None));
            Ok(())
        });
        setup.keyed_input("number prefix", |walker: &mut Self, _: Record<u64, ()>| {
            assert_eq!(walker.numbers.prefix("1").next(), None);
            Ok(())
        });
        Walker {
            numbers: setup.map("numbers"),
            names: setup.map("names"),
            pairs: setup.map("pairs"),
            lines: setup.output("lines"),
        }
    }
}

impl Walker {
    /// Removes each entry that it sees, changes the next, and adds one before and one behind.
    fn on_walk(&mut self, _: Record<u64, ()>) -> Result<()> {
        let mut seen = Vec::new();
        for (key, value) in self.numbers.range(10..) {
            seen.push((key, value));
            self.numbers.remove(&key);
            self.numbers.insert(&(key - 100), 0);
            if self.numbers.contains_key(&(key + 1)) {
                self.numbers.insert(&(key + 1), -1);
            }
            if key < 10_000 {
                self.numbers.insert(&(key + 10_000), -2);
            }
        }
        let size = seen.len();
        let firsts = &seen[..2];
        self.lines.emit(&format!("{size} {firsts:?} {:?}", seen[size - 1]))?;
        let mut walk = self.numbers.range(..);
        walk.next();
        self.numbers.clear();
        self.numbers.insert(&i64::MAX, 7);
        self.lines.emit(&format!("{:?}", walk.collect::<Vec<_>>()))
    }

    fn on_names(&mut self, names: Record<u64, Vec<String>>) -> Result<()> {
        names.value.iter().for_each(|name| self.names.update(name, |times| *times += 1));
        let with =
            |prefix: &str| self.names.prefix(prefix).map(|(name, _)| name).collect::<Vec<_>>();
        self.lines.emit(&format!("{:?} {:?} {:?}", with("b"), with("ba"), with("c")))?;
        let bytes = self.names.prefix(b"\xc3").count();
        let all = self.names.prefix("").count();
        self.lines.emit(&format!("{bytes} {all} {}", self.names.entries().len()))
    }

    fn on_pairs(&mut self, pairs: Record<u64, Vec<(u32, u32)>>) -> Result<()> {
        pairs.value.iter().for_each(|pair| self.pairs.insert(pair, 1));
        let pairs: Vec<_> = self.pairs.range((2, 0)..).map(|(pair, _)| pair).collect();
        self.lines.emit(&format!("{pairs:?}"))
    }
}

#[test]
fn a_walk_sees_what_changes_before_it_and_nothing_twice() {
    for size in [30_i64, 600] {
        let mut walker = TestHarness::<Walker>::new();
        walker.send("fill", 1_u64, size, 0);
        walker.send("walk", 1_u64, (), 0);
        let (seen, last) = (2 * (size - 10), 10_000 + size - 1);
        let expected = format!("{seen} [(10, 10), (11, -1)] ({last}, -1)");
        let lines = walker.take_values::<String>("lines");
        assert_eq!(lines, [expected, format!("[({}, 7)]", i64::MAX)]);
        assert_eq!(walker.map::<i64, i64>("numbers", 1_u64), [(i64::MAX, 7)]);
    }
}

#[test]
fn text_is_found_by_its_beginning_and_pairs_are_in_order() {
    let mut walker = TestHarness::<Walker>::new();
    let names = ["b", "ba", "bb", "a", "c", "bay", "ö", "ü"].map(str::to_owned);
    for many in [names.to_vec(), (0..100).map(|at| format!("x{at}")).collect(), Vec::new()] {
        walker.send("names", 1_u64, many, 0);
    }
    let lines = walker.take_values::<String>("lines");
    let found = r#"["b", "ba", "bay", "bb"] ["ba", "bay"] ["c"]"#;
    assert_eq!(lines, [found, "2 8 8", found, "2 108 108", found, "2 108 108"]);
    let pairs = vec![(2_u32, 300_u32), (1, 1), (2, 7), (70_000, 0), (300, 1), (2, 200)];
    walker.send("pairs", 1_u64, pairs, 0);
    let lines = walker.take_values::<String>("lines");
    assert_eq!(lines, ["[(2, 7), (2, 200), (2, 300), (300, 1), (70000, 0)]"]);
}

#[test]
fn a_map_used_within_its_update_and_a_prefix_of_numbers_refuse_the_record() {
    let mut walker = TestHarness::<Walker>::new();
    walker.send("nest", 1_u64, (), 0);
    walker.send("number prefix", 1_u64, (), 0);
    let reasons: Vec<_> = walker.take_rejects().into_iter().map(|reject| reject.reason).collect();
    assert_eq!(reasons[0], "state `numbers` was used within its own update");
    assert_eq!(
        reasons[1],
        "state `numbers`: its keys are i64, and only String and Vec<u8> begin with a prefix"
    );
}

/// Can be written, and never read back.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(try_from = "u64")]
struct Sealed {
    number: u64,
}

impl TryFrom<u64> for Sealed {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, String> {
        Err(format!("{number} stays sealed"))
    }
}

struct Unreadable {
    map: MapState<u64, Sealed>,
    list: ListState<Sealed>,
}

impl Operator for Unreadable {
    const NAME: &str = "unreadable";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("write", |operator: &mut Self, number: Record<u64, u64>| {
            let sealed = Sealed { number: number.value };
            operator.map.insert(&1, sealed);
            operator.list.add(&sealed);
            Ok(())
        });
        setup.keyed_input("read", |operator: &mut Self, how: Record<u64, String>| {
            match how.value.as_str() {
                "get" => assert!(operator.map.get(&1).is_none()),
                "update" => operator.map.update(&1, |sealed| sealed.number += 1),
                "range" => assert_eq!(operator.map.range(..).count(), 0),
                _ => assert!(operator.list.get().is_empty()),
            }
            operator.map.insert(&2, Sealed { number: 2 });
            Ok(())
        });
        Unreadable { map: setup.map("map"), list: setup.list("list") }
    }
}

#[test]
fn an_entry_that_cannot_be_read_refuses_the_record_that_looks_at_it() {
    let mut operator = TestHarness::<Unreadable>::new();
    operator.send("write", 1_u64, 3_u64, 0);
    for how in ["get", "update", "range", "list"] {
        operator.send("read", 1_u64, how, 0);
        let rejects = operator.take_rejects();
        let state = if how == "list" { "list" } else { "map" };
        assert!(rejects[0].reason.starts_with(&format!("state `{state}`: ")), "{rejects:?}");
    }
}
