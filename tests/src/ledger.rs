//! A native operator that keeps what it is given in every kind of state, and says at its timers what it finds there.
//!
//! What it says depends on the records alone, and not on their order or on where batches are cut, so that anything lost
//! or doubled shows.

use std::ops::Bound;

use statehouse_engine::OperatorFactory;
use statehouse_operator::evolution::Migrations;
use statehouse_operator::{Call, Description, Failure, Operator, Rows, TimerRows};
use statehouse_state::{BytesColumn, Cell, Column, Entries, Scan, StateId, Window};

use self::declared::{
    COUNT, DUE, HEARD, LIST, ORDER, RECENT, REPEATS, RULES, SEEN, SPLIT, TOGGLED, TOTAL,
};
use crate::component;
use crate::outside::WINDOW;
use crate::tally::{POISON, window_end};

mod declared;
mod expected;

pub use declared::{Form, description};
pub use expected::{expected_reports, expected_spent};

/// When what is left of all keys is reported: after every record.
const END: i64 = 1_000_000_000;
/// The namespace of the timers that fire then.
const LAST: u64 = 9;
/// Items below this number stay when a timer in namespace 1 removes the others.
const KEPT: u64 = 4;

/// Keeps each record in states of every kind; see [`Ledger::record`] and [`Ledger::report`] for what becomes of it.
#[derive(Debug)]
pub struct Ledger {
    form: Form,
    description: Description,
    words: Window,
    bytes: Window,
}

impl Operator for Ledger {
    fn description(&self) -> &Description {
        &self.description
    }

    fn process(&mut self, rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
        tidy_heard(call)?;
        let Column::Words(values) = rows.values else { panic!("the ports say words") };
        for (row, &value) in values.iter().enumerate() {
            match rows.keys {
                Some(Column::Words(keys)) => {
                    let slot = rows.slots[row];
                    self.record(call, (row as u32, slot), keys[slot as usize], value)?;
                }
                _ => rule(call, rule_key(rows.times[row], value as i64), value)?,
            }
        }
        Ok(())
    }

    fn migrations(&self) -> Migrations {
        self.form.migrations()
    }

    fn migrate(&mut self, state: StateId, from: u32, values: &Column) -> Result<Column, Failure> {
        assert!(state == ORDER || state == LIST, "no other state changes");
        assert_eq!(values.is_words(), Form::has_words(from), "version {from} had another layout");
        let words = words(values);
        if Form::has_words(self.form.schema_version()) {
            return Ok(Column::Words(words));
        }
        let mut texts = BytesColumn::default();
        words.iter().for_each(|word| texts.push(word.to_string().as_bytes()));
        Ok(Column::Bytes(texts))
    }

    fn on_timers(&mut self, timers: TimerRows<'_>, call: &mut Call) -> Result<(), Failure> {
        tidy_heard(call)?;
        let Column::Words(keys) = timers.keys else { panic!("keys are words") };
        let rows = timers.times.iter().zip(timers.namespaces).zip(timers.slots);
        for ((&time, &namespace), &slot) in rows {
            let report = self.report(call, slot, (time, namespace))?;
            let mut values = BytesColumn::default();
            values.push(format!("{namespace}: {report}").as_bytes());
            let key = one(keys[slot as usize]);
            call.emit(0, &[time], Some(&key), &Column::Bytes(values))?;
            match namespace {
                0 => self.remove_even(call, slot)?,
                1 => remove_large(call, slot)?,
                2 => {
                    call.clear(LIST, &[slot])?;
                    call.clear(TOGGLED, &[slot])?;
                    call.remove(TOTAL, &[slot])?;
                }
                _ => spend(call)?,
            }
            if namespace == 0 {
                let late = due(keys[slot as usize], 2);
                call.change_timers_in(DUE, &[slot], &[late], &[2], false)?;
            }
        }
        Ok(())
    }
}

impl Ledger {
    /// Writes a record to every state: all of it, or nothing if the record is poison, which is found out last.
    fn record(
        &mut self,
        call: &mut Call,
        (row, slot): (u32, u32),
        key: u64,
        value: u64,
    ) -> Result<(), Failure> {
        let slot = &[slot];
        let order = self.order(call, slot[0])?.unwrap_or(0);
        call.store(ORDER, slot, &self.formed(order + 1))?;
        call.append(LIST, slot, &self.formed(order << 32 | value))?;
        call.merge(COUNT, slot, &one(1))?;
        call.merge(TOTAL, slot, &one(value))?;
        // A set of one element: its length, and the element.
        call.merge(SEEN, slot, &bytes(&[1, b'a' + (value % 16) as u8]))?;
        self.toggle(call, slot, value % 8)?;

        let item = bytes(format!("item {}", value % 16).as_bytes());
        call.load_entries(RECENT, slot, &item, &mut self.bytes)?;
        if self.bytes.present.get(0) {
            call.merge(REPEATS, slot, &one(1))?;
            call.touch_entries(RECENT, slot, &item)?;
        } else {
            call.put(RECENT, slot, &item, &bytes(b"recent"))?;
        }

        let namespace = value % 3;
        let due = due(key, namespace);
        call.change_timers_in(DUE, &[slot[0]; 2], &[due, END], &[namespace, LAST], true)?;
        call.append_task_list(SPLIT, &one(value))?;
        match is_poison(value as i64) {
            true => Err(Failure::Refused { row: Some(row), reason: "poison".into() }),
            false => Ok(()),
        }
    }

    /// Removes an item if it is there, else puts it: what stays does not depend on the order.
    fn toggle(&mut self, call: &mut Call, slot: &[u32], item: u64) -> Result<(), Failure> {
        call.load_entries(TOGGLED, slot, &one(item), &mut self.words)?;
        match self.words.present.get(0) {
            true => call.remove_entries(TOGGLED, slot, &one(item)),
            false => call.put(TOGGLED, slot, &one(item), &one(3 * item)),
        }
    }

    /// What the states of a key hold. What expires is looked at only when it must have expired.
    fn report(
        &mut self,
        call: &mut Call,
        slot: u32,
        (time, namespace): (i64, u64),
    ) -> Result<String, Failure> {
        let count = self.word(call, COUNT, slot)?;
        let total = self.word(call, TOTAL, slot)?.map(|total| total as i64);
        let repeats = self.word(call, REPEATS, slot)?;
        call.load(SEEN, &mut self.bytes)?;
        let Column::Bytes(seen) = &self.bytes.values else { panic!("sets are bytes") };
        let seen = String::from_utf8_lossy(seen.get(slot as usize)).replace('\u{1}', "");
        let list = self.list(call, slot)?;
        let ordered = list.iter().map(|(_, element)| element >> 32).is_sorted_by(|a, b| a < b);
        let mut values: Vec<u64> = list.iter().map(|(_, element)| element & 0xffff).collect();
        values.sort_unstable();
        let toggled = scanned(call, TOGGLED, &Scan::all(slot, usize::MAX))?;
        let expired =
            namespace < 2 || (call.is_empty(RECENT, slot)? && self.order(call, slot)?.is_none());
        let rules = rules(call, time)?;
        Ok(format!(
            "{count:?} {total:?} {repeats:?} {seen} {ordered} {values:?} {toggled:?} {expired} {rules:?}"
        ))
    }

    /// Removes every second value from the list of a key, by the numbers of the elements.
    fn remove_even(&self, call: &mut Call, slot: u32) -> Result<(), Failure> {
        let list = self.list(call, slot)?;
        let even = list.iter().filter(|(_, element)| element % 2 == 0);
        let numbers: Vec<u64> = even.map(|(number, _)| *number).collect();
        call.remove_elements(LIST, &vec![slot; numbers.len()], &numbers)
    }

    /// A number in the layout that the version has for it.
    fn formed(&self, word: u64) -> Column {
        match Form::has_words(self.form.schema_version()) {
            true => one(word),
            false => bytes(word.to_string().as_bytes()),
        }
    }

    fn order(&mut self, call: &mut Call, slot: u32) -> Result<Option<u64>, Failure> {
        if Form::has_words(self.form.schema_version()) {
            return self.word(call, ORDER, slot);
        }
        call.load(ORDER, &mut self.bytes)?;
        let slot = slot as usize;
        let present = self.bytes.present.get(slot);
        Ok(present.then(|| words(&self.bytes.values)[slot]))
    }

    /// The elements of a key with their numbers.
    fn list(&self, call: &mut Call, slot: u32) -> Result<Vec<(u64, u64)>, Failure> {
        let mut found = Entries::new(true, Form::has_words(self.form.schema_version()));
        call.scan(LIST, &Scan::all(slot, usize::MAX), usize::MAX, &mut found)?;
        Ok(words(&found.keys).into_iter().zip(words(&found.values)).collect())
    }

    fn word(&mut self, call: &mut Call, state: StateId, slot: u32) -> Result<Option<u64>, Failure> {
        call.load(state, &mut self.words)?;
        let Column::Words(words) = &self.words.values else { panic!("the state has words") };
        let slot = slot as usize;
        Ok(self.words.present.get(slot).then(|| words[slot]))
    }
}

/// The numbers in a column of either layout. Rows that are not there are 0.
fn words(column: &Column) -> Vec<u64> {
    let parsed = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    match column {
        Column::Words(words) => words.clone(),
        Column::Bytes(texts) => texts.iter().map(|text| parsed(text).unwrap_or(0)).collect(),
    }
}

/// Writes a rule to the task states: it stays, and one of few switches is turned.
fn rule(call: &mut Call, key: u64, value: u64) -> Result<(), Failure> {
    call.put_broadcast(RULES, &one(key), &one(value))?;
    let switch = value % 50;
    match call.broadcast_entry(RULES, Cell::Word(switch))? {
        Some(_) => call.remove_broadcast(RULES, &one(switch))?,
        None => call.put_broadcast(RULES, &one(switch), &one(1))?,
    }
    call.append_task_list(HEARD, &one(key))
}

/// After a restart every task has what all tasks had heard: brings it down to what one had.
fn tidy_heard(call: &mut Call) -> Result<(), Failure> {
    let Column::Words(heard) = call.task_list(HEARD)? else { panic!("rules are words") };
    if heard.is_sorted_by(|one, next| one < next) {
        return Ok(());
    }
    let mut heard = heard.clone();
    heard.sort_unstable();
    heard.dedup();
    call.replace_task_list(HEARD, &Column::Words(heard))
}

/// The values of the rules before a time, from the map and from the list; at the end also the switches.
fn rules(call: &mut Call, time: i64) -> Result<(u64, u64, usize), Failure> {
    let Entries { keys: Column::Words(keys), values: Column::Words(values) } =
        call.broadcast_entries(RULES)?
    else {
        panic!("rules are words")
    };
    let counts = |key: u64| key >= 1000 && key < rule_key(time, 0);
    let entries = keys.iter().zip(values);
    let sum = entries.filter(|(key, _)| counts(**key)).map(|(_, value)| value).sum();
    let Column::Words(heard) = call.task_list(HEARD)? else { panic!("rules are words") };
    let heard = heard.iter().filter(|key| counts(**key)).map(|key| key % 1000).sum();
    let switches = keys.iter().filter(|key| **key < 1000 && time == END).count();
    Ok((sum, heard, switches))
}

/// Removes the large items of a key, by a range.
fn remove_large(call: &mut Call, slot: u32) -> Result<(), Failure> {
    let from = Bound::Included(Cell::Word(KEPT));
    let large = Scan { from, ..Scan::all(slot, usize::MAX) };
    let items: Vec<u64> =
        scanned(call, TOGGLED, &large)?.into_iter().map(|(item, _)| item).collect();
    call.remove_entries(TOGGLED, &vec![slot; items.len()], &Column::Words(items))
}

/// Emits the task's share of all values, and has none of it then.
fn spend(call: &mut Call) -> Result<(), Failure> {
    let share = call.task_list(SPLIT)?.clone();
    call.emit(1, &vec![END; share.len()], None, &share)?;
    call.replace_task_list(SPLIT, &Column::empty(true))
}

/// The entries of a collection of words.
fn scanned(call: &mut Call, state: StateId, scan: &Scan<'_>) -> Result<Vec<(u64, u64)>, Failure> {
    let mut found = Entries::new(true, true);
    call.scan(state, scan, usize::MAX, &mut found)?;
    let (Column::Words(keys), Column::Words(values)) = (found.keys, found.values) else {
        panic!("the collections have words")
    };
    Ok(keys.into_iter().zip(values).collect())
}

/// When the timer of a key in a namespace is to fire. No two fire at once: timers of several names have no order then.
fn due(key: u64, namespace: u64) -> i64 {
    window_end(key)
        + match namespace {
            0 => 0,
            1 => 1,
            _ => 2 * WINDOW,
        }
}

/// Rules in the order of their times. What is below 1000 is no rule but a switch.
fn rule_key(time: i64, value: i64) -> u64 {
    (1000 * (time + 1) + value) as u64
}

fn is_poison(value: i64) -> bool {
    value != 0 && value % POISON == 0
}

fn one(word: u64) -> Column {
    Column::Words(vec![word])
}

fn bytes(value: &[u8]) -> Column {
    let mut bytes = BytesColumn::default();
    bytes.push(value);
    Column::Bytes(bytes)
}

/// Makes ledgers of a version.
#[derive(Debug)]
pub struct LedgerFactory {
    form: Form,
    description: Description,
}

impl LedgerFactory {
    /// A factory of this version.
    pub fn new(version: u32) -> Self {
        let form = Form { version };
        Self { form, description: description(form) }
    }
}

impl OperatorFactory for LedgerFactory {
    fn description(&self) -> &Description {
        &self.description
    }

    fn migrations(&self) -> Migrations {
        self.form.migrations()
    }

    fn component(&self) -> Option<String> {
        Some(component(self.form.version))
    }

    fn open(&self, _task: u32) -> Result<Box<dyn Operator>, String> {
        let (words, bytes) = (Window::new(true), Window::new(false));
        Ok(Box::new(Ledger {
            form: self.form,
            description: self.description.clone(),
            words,
            bytes,
        }))
    }
}
