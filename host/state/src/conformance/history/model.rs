//! What a backend should hold.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::ByEntry;
use crate::backend::Now;
use crate::conformance::driver::{Batch, Datum, Driver, Op};
use crate::declaration::{KeyLayout, StateDeclaration, StateKind, Ttl, TtlUpdate, TtlVisibility};
use crate::merge;
use crate::ttl;

/// A value and its stamp.
pub(super) type Stamped = (Datum, i64);

/// Values, entries and timers. Elements of lists go by the number that is in their value.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) values: BTreeMap<(u32, Datum), Stamped>,
    pub(super) entries: ByEntry<Stamped>,
    pub(super) timers: BTreeSet<(u32, Datum, i64, u64)>,
    /// The backend's numbers of those list elements that were asked for: element by number.
    pub(super) numbers: ByEntry<Datum>,
}

/// What was written since the last snapshot started.
#[derive(Debug, Default, Clone)]
pub(super) struct Touched {
    pub(super) values: BTreeSet<(u32, Datum)>,
    pub(super) entries: BTreeSet<(u32, Datum, Datum)>,
    pub(super) timers: BTreeSet<(u32, Datum, i64, u64)>,
}

/// A list element that tells its number in the model.
pub(super) fn element(state: &StateDeclaration, serial: u64) -> Datum {
    if state.value.is_words() {
        return Datum::Word(serial);
    }
    let mut bytes = serial.to_be_bytes().to_vec();
    bytes.resize(8 + (serial % 30) as usize, 0xab);
    Datum::Bytes(bytes)
}

/// The number of a list element.
pub(super) fn serial(value: &Datum) -> Datum {
    match value {
        Datum::Word(_) => value.clone(),
        Datum::Bytes(bytes) => {
            let serial = bytes[..8].try_into().expect("eight bytes were taken");
            Datum::Word(u64::from_be_bytes(serial))
        }
    }
}

/// Where an entry key comes in the order.
pub(super) fn order(state: &StateDeclaration, entry: &Datum) -> Datum {
    match entry {
        Datum::Word(word) if state.map_key == Some(KeyLayout::S64) => Datum::Word(word ^ 1 << 63),
        other => other.clone(),
    }
}

pub(super) fn is_live(ttl: Option<Ttl>, stamp: i64, now: Now) -> bool {
    ttl.is_none_or(|ttl| !ttl::is_expired(&ttl, stamp, now))
}

impl Model {
    /// Learns what number the backend gave a list element.
    pub(super) fn number(&mut self, state: u32, key: &Datum, (number, value): &(Datum, Datum)) {
        self.numbers.insert((state, key.clone(), number.clone()), serial(value));
    }

    /// An entry as the model names it.
    fn entry(&self, state: u32, key: &Datum, entry: &Datum) -> (u32, Datum, Datum) {
        let name = (state, key.clone(), entry.clone());
        match self.numbers.get(&name) {
            Some(serial) => (name.0, name.1, serial.clone()),
            None => name,
        }
    }

    pub(super) fn apply(
        &mut self,
        batch: &Batch,
        states: &[StateDeclaration],
        now: Now,
        touched: &mut Touched,
    ) {
        for (state, key, op) in &batch.writes {
            let declared = &states[*state as usize];
            let noted = (!batch.event_times.is_empty())
                .then(|| batch.event_times.get(key).copied().unwrap_or(i64::MIN));
            let event_time = noted.unwrap_or(now.watermark);
            let stamp = declared.ttl.map_or(ttl::NO_STAMP, |ttl| ttl::stamp(&ttl, now, event_time));
            if declared.kind.is_collection() {
                self.write_entry(declared, (*state, key), op, (now, stamp), touched);
            } else {
                touched.values.insert((*state, key.clone()));
                self.write_value(declared, (*state, key.clone()), op, (now, stamp));
            }
        }
        for (timer, key, time, namespace, set) in &batch.timers {
            let timer = (*timer, key.clone(), *time, *namespace);
            touched.timers.insert(timer.clone());
            if *set {
                self.timers.insert(timer);
            } else {
                self.timers.remove(&timer);
            }
        }
    }

    fn write_value(
        &mut self,
        declared: &StateDeclaration,
        name: (u32, Datum),
        op: &Op,
        (now, stamp): (Now, i64),
    ) {
        let old = self.values.get(&name).filter(|(_, stamp)| is_live(declared.ttl, *stamp, now));
        match (op, old) {
            (Op::Set(value), _) | (Op::Merge(value), None) => {
                self.values.insert(name, (value.clone(), stamp));
            }
            (Op::Merge(delta), Some((value, old))) => {
                let (merged, stamp) = (merged(declared, value, delta), stamp.max(*old));
                self.values.insert(name, (merged, stamp));
            }
            (Op::Remove, _) => {
                self.values.remove(&name);
            }
            (Op::Touch, Some((value, old))) if restamps(declared) => {
                let (value, stamp) = (value.clone(), stamp.max(*old));
                self.values.insert(name, (value, stamp));
            }
            (Op::Touch, _) => {}
            _ => panic!("{op:?} is for collections"),
        }
    }

    fn write_entry(
        &mut self,
        declared: &StateDeclaration,
        (state, key): (u32, &Datum),
        op: &Op,
        (now, stamp): (Now, i64),
        touched: &mut Touched,
    ) {
        let mut touch = |name: &(u32, Datum, Datum)| touched.entries.insert(name.clone());
        match op {
            Op::Put(entry, value) => {
                let name = (state, key.clone(), entry.clone());
                touch(&name);
                self.entries.insert(name, (value.clone(), stamp));
            }
            Op::Append(value) => {
                let name = (state, key.clone(), serial(value));
                touch(&name);
                self.entries.insert(name, (value.clone(), stamp));
            }
            Op::RemoveEntry(entry) => {
                let name = self.entry(state, key, entry);
                touch(&name);
                self.entries.remove(&name);
            }
            Op::TouchEntry(entry) => {
                let name = self.entry(state, key, entry);
                touch(&name);
                let old = self.entries.get_mut(&name);
                if let Some((_, old)) = old.filter(|(_, old)| is_live(declared.ttl, *old, now))
                    && restamps(declared)
                {
                    *old = stamp.max(*old);
                }
            }
            Op::Clear => {
                let names = self.entries.keys().filter(|name| (name.0, &name.1) == (state, key));
                for name in names.cloned().collect::<Vec<_>>() {
                    touch(&name);
                    self.entries.remove(&name);
                }
            }
            _ => panic!("{op:?} is for single values"),
        }
    }

    /// The entries of one collection in order: entry key, value, stamp.
    pub(super) fn collection(
        &self,
        declared: &StateDeclaration,
        state: u32,
        key: &Datum,
    ) -> Vec<(Datum, Datum, i64)> {
        let from = (state, key.clone(), Datum::Word(0));
        let of_key = self.entries.range((Bound::Included(from), Bound::Unbounded));
        let of_key = of_key.take_while(|((other, of, _), _)| (*other, of) == (state, key));
        let mut entries: Vec<_> = of_key
            .map(|((_, _, entry), (value, stamp))| (entry.clone(), value.clone(), *stamp))
            .collect();
        entries.sort_by_key(|(entry, ..)| order(declared, entry));
        entries
    }

    /// Compares what a backend shows of these keys.
    pub(super) fn compare(&self, driver: &mut Driver, keys: &[Datum]) {
        let states = driver.setup.states.clone();
        let now = driver.now;
        driver.begin(keys).expect("the keys are of the range");
        for (state, declared) in (0..).zip(&states) {
            if declared.kind.is_collection() {
                continue;
            }
            let loaded = driver.load(state, keys.len());
            for (key, value) in keys.iter().zip(loaded) {
                let expected = self.values.get(&(state, key.clone()));
                let shows = expected.filter(|(_, stamp)| is_live(declared.ttl, *stamp, now));
                let may_show = expected.filter(|_| lazily(declared));
                let fits = value.as_ref() == shows.map(|(value, _)| value)
                    || shows.is_none() && value.as_ref() == may_show.map(|(value, _)| value);
                let name = &declared.name;
                assert!(fits, "`{name}` of {key:?}: {value:?} is not {expected:?} at {now:?}");
            }
        }
        for (state, declared) in (0..).zip(&states) {
            if declared.kind.is_collection() {
                for key in keys {
                    self.compare_collection(driver, declared, state, key);
                }
            }
        }
    }

    fn compare_collection(
        &self,
        driver: &mut Driver,
        declared: &StateDeclaration,
        state: u32,
        key: &Datum,
    ) {
        let (name, now) = (&declared.name, driver.now);
        let found = driver.entries(state, key);
        let mut left = found.iter().peekable();
        let expected = self.collection(declared, state, key);
        for (entry, value, stamp) in &expected {
            let is_list = declared.kind == StateKind::List;
            let is_it =
                |(number, other): &&(Datum, Datum)| (is_list || number == entry) && other == value;
            let found = left.next_if(|it| is_it(it)).is_some();
            let live = is_live(declared.ttl, *stamp, now);
            let fits = if live { found } else { !found || lazily(declared) };
            assert!(
                fits,
                "`{name}` of {key:?} has not the entry {entry:?} that it should: {now:?}"
            );
        }
        let too_much = left.next();
        assert_eq!(too_much, None, "`{name}` of {key:?} has {found:?}, not {expected:?}");
        let points: Vec<_> = found.iter().map(|(entry, _)| (0, entry.clone())).collect();
        driver.begin(std::slice::from_ref(key)).expect("the key is of the range");
        let values = driver.load_entries(state, &points);
        if !lazily(declared) {
            let scanned: Vec<_> = found.into_iter().map(|(_, value)| Some(value)).collect();
            assert_eq!(values, scanned, "`{name}` of {key:?}: points are as scanned");
        }
    }
}

fn restamps(declared: &StateDeclaration) -> bool {
    declared.ttl.is_some_and(|ttl| ttl.update == TtlUpdate::OnReadAndWrite)
}

fn lazily(declared: &StateDeclaration) -> bool {
    declared.ttl.is_some_and(|ttl| ttl.visibility == TtlVisibility::ReturnUntilCleaned)
}

pub(super) fn merged(declared: &StateDeclaration, value: &Datum, delta: &Datum) -> Datum {
    let how = declared.merge.expect("only reducing states are merged into");
    match (value, delta) {
        (Datum::Word(value), Datum::Word(delta)) => {
            Datum::Word(merge::words(how, declared.value, *value, *delta))
        }
        (Datum::Bytes(value), Datum::Bytes(delta)) => {
            let mut merged = value.clone();
            merge::bytes(how, &mut merged, delta);
            Datum::Bytes(merged)
        }
        _ => panic!("a state has one layout"),
    }
}
