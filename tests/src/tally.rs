//! A native operator with state and timers, and what it must come to whatever the order of its input.

use std::collections::BTreeMap;

use statehouse_engine::OperatorFactory;
use statehouse_operator::{
    Call, Codec, Description, Failure, KeyType, Operator, Port, Rows, TimerRows, ValueType,
};
use statehouse_state::{
    Column, KeyLayout, StateDeclaration, StateId, StateKind, TimeDomain, TimerDeclaration, TimerId,
    ValueLayout, Window,
};

use crate::component;
use crate::outside::{Number, Row, WINDOW};

/// The operator refuses values that this divides, but for 0.
pub const POISON: i64 = 53;

/// Sums the values of each key and emits the sum when the key's window is over; then forgets the key.
///
/// Keys carry the number of their window, so a key's timer fires after its last record, unless records come late: those
/// are emitted as they are.
#[derive(Debug)]
pub struct Tally {
    description: Description,
    sums: Window,
    counts: Window,
}

const SUM: StateId = StateId(0);
const COUNT: StateId = StateId(1);
const OVER: TimerId = TimerId(0);

/// What a version of the operator declares.
pub fn description(version: u32) -> Description {
    let key = || Some(KeyType { layout: KeyLayout::U64, codec: Codec::Raw, schema: None });
    let number = || ValueType::new(ValueLayout::S64, Codec::Raw);
    let text = ValueType::new(ValueLayout::Bytes, Codec::Text);
    let state = |name: &str, value| StateDeclaration {
        name: name.into(),
        kind: StateKind::Value,
        value,
        codec: "raw".into(),
        schema: None,
        map_key: None,
        map_key_codec: None,
        map_key_schema: None,
        merge: None,
        ttl: None,
        schema_version: 1,
    };
    Description {
        name: "tally".into(),
        version: version.to_string(),
        inputs: vec![Port {
            name: "numbers".into(),
            key: key(),
            value: number(),
            broadcast: false,
        }],
        outputs: vec![
            Port { name: "sums".into(), key: key(), value: text, broadcast: false },
            Port { name: "late".into(), key: key(), value: number(), broadcast: false },
        ],
        states: vec![state("sum", ValueLayout::S64), state("count", ValueLayout::Bytes)],
        timers: vec![TimerDeclaration { name: "over".into(), domain: TimeDomain::EventTime }],
        task_states: vec![],
        metrics: vec![],
    }
}

impl Operator for Tally {
    fn description(&self) -> &Description {
        &self.description
    }

    fn process(&mut self, rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
        let (Column::Words(values), Some(Column::Words(keys))) = (rows.values, rows.keys) else {
            panic!("the ports say words")
        };
        call.load(SUM, &mut self.sums)?;
        call.load(COUNT, &mut self.counts)?;
        let Column::Words(sums) = &mut self.sums.values else { panic!("sums are words") };
        let Column::Bytes(counts) = &self.counts.values else { panic!("counts are bytes") };
        let mut counts: Vec<u64> = counts.iter().map(parse).collect();
        for ((&value, &slot), row) in values.iter().zip(rows.slots).zip(0..) {
            let value = value as i64;
            if value != 0 && value % POISON == 0 {
                // Rows that it names and rows that it does not: both ways of finding them are used.
                let row = (value % 2 == 0).then_some(row);
                return Err(Failure::Refused { row, reason: format!("{value} is poison") });
            }
            let key = keys[slot as usize];
            if call.moment().watermark >= window_end(key) {
                let time = rows.times[row as usize];
                let (key, value) = (Column::Words(vec![key]), Column::Words(vec![value as u64]));
                call.emit(1, &[time], Some(&key), &value)?;
                continue;
            }
            let sum = &mut sums[slot as usize];
            *sum = (*sum as i64 + value) as u64;
            counts[slot as usize] += 1;
        }
        for (slot, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let slot = [slot as u32];
            call.store_words(SUM, &slot, &sums[slot[0] as usize..][..1])?;
            let mut bytes = statehouse_state::BytesColumn::default();
            bytes.push(count.to_string().as_bytes());
            call.store(COUNT, &slot, &Column::Bytes(bytes))?;
            let over = window_end(keys[slot[0] as usize]);
            call.change_timers(OVER, &slot, &[over], true)?;
        }
        Ok(())
    }

    fn on_timers(&mut self, timers: TimerRows<'_>, call: &mut Call) -> Result<(), Failure> {
        let Column::Words(keys) = timers.keys else { panic!("keys are words") };
        call.load(SUM, &mut self.sums)?;
        call.load(COUNT, &mut self.counts)?;
        let Column::Words(sums) = &self.sums.values else { panic!("sums are words") };
        let Column::Bytes(counts) = &self.counts.values else { panic!("counts are bytes") };
        for (&time, &slot) in timers.times.iter().zip(timers.slots) {
            let at = slot as usize;
            let text = format!("{} of {}", sums[at] as i64, parse(counts.get(at)));
            let mut values = statehouse_state::BytesColumn::default();
            values.push(text.as_bytes());
            let key = Column::Words(vec![keys[at]]);
            call.emit(0, &[time], Some(&key), &Column::Bytes(values))?;
        }
        call.remove(SUM, timers.slots)?;
        call.remove(COUNT, timers.slots)
    }
}

/// When the window that a key belongs to is over.
pub(crate) fn window_end(key: u64) -> i64 {
    (key / 1000 + 1) as i64 * WINDOW
}

fn parse(bytes: &[u8]) -> u64 {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// What the sums must be: computed in the simplest way, from the input alone.
pub fn expected_sums(input: impl Iterator<Item = Number>) -> Vec<Row> {
    let mut sums: BTreeMap<u64, (i64, u64)> = BTreeMap::new();
    for number in input.filter(|number| !is_poison(number)) {
        let entry = sums.entry(number.key).or_default();
        entry.0 += number.value;
        entry.1 += 1;
    }
    let row = |(key, (sum, count)): (u64, (i64, u64))| {
        (window_end(key), Some(key), format!("\"{sum} of {count}\""))
    };
    let mut rows: Vec<Row> = sums.into_iter().map(row).collect();
    rows.sort();
    rows
}

/// How many dead letters there must be.
pub fn expected_poison(input: impl Iterator<Item = Number>) -> usize {
    input.filter(is_poison).count()
}

fn is_poison(number: &Number) -> bool {
    number.value != 0 && number.value % POISON == 0
}

/// Makes tallies of a version. All versions do the same.
#[derive(Debug)]
pub struct TallyFactory {
    version: u32,
    description: Description,
}

impl TallyFactory {
    /// A factory of this version.
    pub fn new(version: u32) -> Self {
        Self { version, description: description(version) }
    }
}

impl OperatorFactory for TallyFactory {
    fn description(&self) -> &Description {
        &self.description
    }

    fn component(&self) -> Option<String> {
        Some(component(self.version))
    }

    fn open(&self, _task: u32) -> Result<Box<dyn Operator>, String> {
        let (sums, counts) = (Window::new(true), Window::new(false));
        Ok(Box::new(Tally { description: self.description.clone(), sums, counts }))
    }
}
