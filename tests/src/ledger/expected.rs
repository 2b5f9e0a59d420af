//! What the ledger must say: computed in the simplest way, from the input alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{END, KEPT, LAST, due, is_poison, rule_key};
use crate::outside::{Number, Row};

/// What is known of a key once its records are in.
#[derive(Debug, Default)]
struct Account {
    values: Vec<u64>,
    repeats: u64,
    total: i64,
    seen: BTreeSet<u64>,
    toggled: BTreeMap<u64, u64>,
    namespaces: BTreeSet<u64>,
}

/// The rows that the ledger must report.
pub fn expected_reports(input: impl Iterator<Item = Number>, rules: &[Number]) -> Vec<Row> {
    let mut accounts: BTreeMap<u64, Account> = BTreeMap::new();
    for number in input.filter(|number| !is_poison(number.value)) {
        accounts.entry(number.key).or_default().add(number.value as u64);
    }
    let mut rows = Vec::new();
    for (key, account) in accounts {
        account.fire(key, rules, &mut rows);
    }
    rows.sort();
    rows
}

/// The values that the tasks must have shared.
pub fn expected_spent(input: impl Iterator<Item = Number>) -> Vec<Row> {
    let spent = input.filter(|number| !is_poison(number.value));
    let mut rows: Vec<Row> = spent.map(|number| (END, None, number.value.to_string())).collect();
    rows.sort();
    rows
}

impl Account {
    fn add(&mut self, value: u64) {
        self.values.push(value);
        self.total += value as i64;
        self.repeats += u64::from(!self.seen.insert(value % 16));
        let item = value % 8;
        if self.toggled.remove(&item).is_none() {
            self.toggled.insert(item, 3 * item);
        }
        self.namespaces.insert(value % 3);
    }

    /// The reports at all of the key's timers.
    fn fire(mut self, key: u64, rules: &[Number], rows: &mut Vec<Row>) {
        self.values.sort_unstable();
        let count = self.values.len();
        let repeats = (self.repeats > 0).then_some(self.repeats);
        let seen: String = self.seen.iter().map(|item| (b'a' + *item as u8) as char).collect();
        let mut total = Some(self.total);
        let mut namespaces = self.namespaces;
        if namespaces.contains(&0) {
            namespaces.remove(&2);
        }
        namespaces.insert(LAST);
        for namespace in namespaces {
            let time = match namespace {
                LAST => END,
                namespace => due(key, namespace),
            };
            let (count, values) = (Some(count), &self.values);
            let toggled: Vec<_> = self.toggled.iter().collect();
            let rules = rules_before(rules, time);
            let report = format!(
                "{namespace}: {count:?} {total:?} {repeats:?} {seen} true {values:?} {toggled:?} true {rules:?}"
            );
            rows.push((time, Some(key), format!("{report:?}")));
            match namespace {
                0 => self.values.retain(|value| value % 2 == 1),
                1 => self.toggled.retain(|item, _| *item < KEPT),
                2 => {
                    self.values.clear();
                    self.toggled.clear();
                    total = None;
                }
                _ => {}
            }
        }
    }
}

fn rules_before(rules: &[Number], time: i64) -> (u64, u64, usize) {
    let before = rules.iter().filter(|rule| rule.time < time);
    let distinct: BTreeSet<u64> = before.map(|rule| rule_key(rule.time, rule.value)).collect();
    let sum = distinct.iter().map(|key| key % 1000).sum();
    let mut switches = BTreeSet::new();
    for rule in rules.iter().filter(|_| time == END) {
        let switch = rule.value % 50;
        if !switches.remove(&switch) {
            switches.insert(switch);
        }
    }
    (sum, sum, switches.len())
}
