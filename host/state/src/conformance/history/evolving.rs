//! The steps of a history that change what the backend serves, and that go back.

use std::collections::BTreeMap;

use super::model::{Model, Touched};
use super::{History, KEYS, Setup};
use crate::conformance::driver::{Datum, by_row};
use crate::declaration::{StateDeclaration, StateId, StateKind};
use crate::evolve::{Move, Which};

/// What the backend was like when it was held.
pub(super) struct Held {
    model: Model,
    setup: Setup,
}

/// What a value becomes in its new form. Others than plain values move as they are.
fn converted(state: &StateDeclaration, value: Datum) -> Datum {
    match value {
        value if state.kind != StateKind::Value => value,
        Datum::Word(word) => Datum::Word(word.wrapping_add(1000)),
        Datum::Bytes(mut bytes) => {
            bytes.push(0xee);
            Datum::Bytes(bytes)
        }
    }
}

impl Model {
    /// Gives states other numbers; those without one are gone.
    fn renumber(&mut self, number: &dyn Fn(u32) -> Option<u32>) {
        renumber(&mut self.values, number);
        renumber_entries(&mut self.entries, number);
        renumber_entries(&mut self.numbers, number);
    }

    /// Moves what a key has from one state to another, as a backend does. How many values that were.
    fn move_key(
        &mut self,
        states: &[StateDeclaration],
        (from, to): (u32, u32),
        key: &Datum,
    ) -> u64 {
        let (mut moved, state) = (0, &states[from as usize]);
        if let Some((value, stamp)) = self.values.remove(&(from, key.clone())) {
            self.values.entry((to, key.clone())).or_insert_with(|| {
                moved += 1;
                (converted(state, value), stamp)
            });
        }
        let names = self.entries.keys().filter(|name| (name.0, &name.1) == (from, key));
        for name in names.cloned().collect::<Vec<_>>() {
            let value = self.entries.remove(&name).expect("it was there");
            self.entries.entry((to, name.1, name.2)).or_insert_with(|| {
                moved += 1;
                value
            });
        }
        let numbers = self.numbers.iter().filter(|(name, _)| (name.0, &name.1) == (from, key));
        let numbers = numbers.map(|(name, serial)| ((to, name.1.clone(), name.2.clone()), serial));
        let numbers: Vec<_> = numbers.map(|(name, serial)| (name, serial.clone())).collect();
        self.numbers.extend(numbers);
        moved
    }
}

impl Touched {
    /// Takes note of everything that a key has in a state.
    fn note(&mut self, model: &Model, state: u32, key: &Datum) {
        self.values.insert((state, key.clone()));
        let names = model.entries.keys().filter(|name| (name.0, &name.1) == (state, key));
        self.entries.extend(names.cloned());
    }

    fn renumber(&mut self, number: &dyn Fn(u32) -> Option<u32>) {
        let values = std::mem::take(&mut self.values).into_iter();
        self.values = values.filter_map(|(state, key)| Some((number(state)?, key))).collect();
        let entries = std::mem::take(&mut self.entries).into_iter();
        let new = |(state, key, entry): (u32, Datum, Datum)| Some((number(state)?, key, entry));
        self.entries = entries.filter_map(new).collect();
    }
}

fn renumber<T>(values: &mut BTreeMap<(u32, Datum), T>, number: &dyn Fn(u32) -> Option<u32>) {
    let old = std::mem::take(values).into_iter();
    let new = old.filter_map(|((state, key), value)| Some(((number(state)?, key), value)));
    *values = new.collect();
}

fn renumber_entries<T>(entries: &mut super::ByEntry<T>, number: &dyn Fn(u32) -> Option<u32>) {
    let old = std::mem::take(entries).into_iter();
    let new =
        old.filter_map(|((state, key, entry), value)| Some(((number(state)?, key, entry), value)));
    *entries = new.collect();
}

impl History<'_> {
    /// The states that are written: those that are not the older form of another.
    pub(super) fn active(&self) -> usize {
        let states = &self.setup.states;
        let is_old = |state: &StateDeclaration| {
            let is_newer = |other: &&StateDeclaration| {
                other.name == state.name && other.schema_version > state.schema_version
            };
            states.iter().any(|other| is_newer(&other))
        };
        states.iter().position(is_old).unwrap_or(states.len())
    }

    /// An older form and its newer one.
    fn pair(&self, number: u8) -> Option<(u32, u32)> {
        let active = self.active();
        let old = self.setup.states.len() - active;
        let from = active + usize::from(number).checked_rem(old)?;
        let name = &self.setup.states[from].name;
        let to = self.setup.states.iter().position(|state| state.name == *name)?;
        Some((from as u32, to as u32))
    }

    /// Serves other states from now on, if no snapshot runs.
    fn serve(&mut self, states: &[StateDeclaration]) {
        let timers = self.setup.timers.clone();
        if self.running.is_some() {
            let refused = self.driver.backend.evolve(states, &timers);
            assert!(refused.is_err(), "a snapshot runs");
            return;
        }
        let old = self.setup.states.clone();
        self.driver.evolve(states, &timers);
        self.setup.states = states.to_vec();
        let number = |state: u32| {
            let place = states.iter().position(|new| new.is_same(&old[state as usize]));
            place.map(|place| place as u32)
        };
        self.must_be_full |= (0..old.len() as u32).any(|state| number(state).is_none());
        self.model.renumber(&number);
        self.last_start.renumber(&number);
        self.touched.renumber(&number);
    }

    /// A state gets a newer form, and stays behind the others in its older one. States that expire do not: when a value
    /// of theirs is gone, nobody knows.
    pub(super) fn retire(&mut self, number: u8) {
        let (active, mut states) = (self.active(), self.setup.states.clone());
        let state = usize::from(number) % active;
        let old = states[state].clone();
        if old.ttl.is_some() || states[active..].iter().any(|other| other.name == old.name) {
            return;
        }
        states[state].schema_version += 1;
        states.push(old);
        self.serve(&states);
    }

    /// The states that are written change places.
    pub(super) fn rotate(&mut self, number: u8) {
        let (active, mut states) = (self.active(), self.setup.states.clone());
        states[..active].rotate_left(usize::from(number) % active);
        self.serve(&states);
    }

    /// Values of some keys move to the newer form of their state.
    pub(super) fn move_keys(&mut self, number: u8, keys: &[u8]) {
        let Some((from, to)) = self.pair(number) else { return };
        let keys: std::collections::BTreeSet<_> = keys.iter().map(|&key| self.key(key)).collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let states = self.setup.states.clone();
        let state = &states[from as usize];
        let mut convert = by_row(state.value.is_words(), |value| Ok(converted(state, value)));
        let moved = self.driver.move_keys((from, to), &keys, &mut convert);
        let mut expected = 0;
        for key in &keys {
            self.touched.note(&self.model, from, key);
            expected += self.model.move_key(&states, (from, to), key);
            self.touched.note(&self.model, to, key);
        }
        assert_eq!((moved.moved, moved.failed), (expected, Vec::new()));
    }

    /// Values of any keys move, and when none is left, the older form goes.
    pub(super) fn sweep(&mut self, number: u8, limit: u8) {
        let Some((from, to)) = self.pair(number) else { return };
        let states = self.setup.states.clone();
        let state = &states[from as usize];
        let mut convert = by_row(state.value.is_words(), |value| Ok(converted(state, value)));
        let values = Move { from: StateId(from), to: StateId(to) };
        let which = Which::Next(usize::from(limit) + 1);
        let moved = self.driver.backend.migrate(values, which, &mut convert);
        let moved = moved.expect("the storage works");
        assert_eq!(moved.failed, []);
        // Which ones moved shows in the backend: all or none of a key's value, any of its entries.
        let before = self.model.clone();
        let keys: Vec<_> = (0..KEYS).map(|key| self.key(key)).collect();
        for key in keys {
            self.touched.note(&before, from, &key);
            if state.kind.is_collection() {
                let left = self.driver.entries(from, &key);
                let left: Vec<_> = left
                    .iter()
                    .map(|(entry, value)| match state.kind {
                        StateKind::List => super::model::serial(value),
                        _ => entry.clone(),
                    })
                    .collect();
                let kept = before.clone_entries(from, &key, &left);
                self.model.move_key(&states, (from, to), &key);
                for (name, value) in kept {
                    let new = (to, name.1.clone(), name.2.clone());
                    match before.entries.get(&new) {
                        Some(newer) => self.model.entries.insert(new, newer.clone()),
                        None => self.model.entries.remove(&new),
                    };
                    self.model.entries.insert(name, value);
                }
            } else if self.driver.get(from, &key).is_none() {
                self.model.move_key(&states, (from, to), &key);
            }
            self.touched.note(&self.model, to, &key);
        }
        if moved.done {
            assert_eq!(self.driver.values(from), 0, "nothing is left");
            let mut fewer = states.clone();
            fewer.remove(from as usize);
            if self.running.is_none() {
                self.serve(&fewer);
            }
        }
    }

    /// A snapshot starts, if none runs, and right behind that the backend is held.
    pub(super) fn hold(&mut self) {
        if self.running.is_some() {
            return;
        }
        self.start(false);
        self.driver.backend.hold();
        self.held = Some(Held { model: self.model.clone(), setup: self.setup.clone() });
    }

    pub(super) fn release(&mut self) {
        self.driver.backend.release();
        self.held = None;
    }

    pub(super) fn revert(&mut self) {
        let Some(Held { model, setup }) = self.held.take() else { return };
        assert!(self.driver.backend.revert().expect("the storage works"), "it is held");
        self.driver.follow(&setup.states, &setup.timers);
        (self.last_start, self.model, self.setup) = (model.clone(), model, setup);
        self.touched = Touched::default();
        self.running = None;
        self.must_be_full = true;
        self.compare(0..KEYS);
    }
}

impl Model {
    /// Those entries of a key that have these names.
    fn clone_entries(
        &self,
        state: u32,
        key: &Datum,
        names: &[Datum],
    ) -> Vec<((u32, Datum, Datum), super::model::Stamped)> {
        let entry = |name: &Datum| {
            let name = (state, key.clone(), name.clone());
            let value = self.entries.get(&name).cloned().expect("the model has it");
            (name, value)
        };
        names.iter().map(entry).collect()
    }
}
