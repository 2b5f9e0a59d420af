//! The benchmarks' operators in native Rust: the same work as in `bench/guest`, without a boundary.

use statehouse_operator::{
    Call, Codec, Description, Failure, KeyType, Operator, Port, Rows, TimerRows, ValueType,
};
use statehouse_state::{
    BytesColumn, Column, KeyLayout, StateDeclaration, StateId, StateKind, ValueLayout, Window,
};

/// What an operator does with a batch of keyed numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A running sum a key, emitted for every record.
    Sum,
    /// The same, with the sum in front of a value of that many bytes.
    SumBytes(usize),
    /// Reads the columns.
    Columns,
    /// Emits what came in.
    Echo,
    /// Loads and stores one window.
    Window,
    /// Reads and writes one number for each record by itself.
    Singles,
}

impl Work {
    /// Those that the boundary is measured by.
    pub const ALL: [Self; 5] = [Self::Columns, Self::Echo, Self::Window, Self::Sum, Self::Singles];

    /// The name that the component's operator has.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::SumBytes(_) => "sum-bytes",
            Self::Columns => "columns",
            Self::Echo => "echo",
            Self::Window => "window",
            Self::Singles => "singles",
        }
    }
}

/// One of the operators.
#[derive(Debug)]
pub struct Native {
    work: Work,
    description: Description,
    window: Window,
    slots: Vec<u32>,
    keys: Column,
    values: Column,
}

/// What they all declare.
pub fn description(work: Work) -> Description {
    let key = || Some(KeyType { layout: KeyLayout::U64, codec: Codec::Raw, schema: None });
    let port = |name: &str| Port {
        name: name.to_owned(),
        key: key(),
        value: ValueType::new(ValueLayout::S64, Codec::Raw),
        broadcast: false,
    };
    let sum = StateDeclaration {
        name: "sum".to_owned(),
        kind: StateKind::Value,
        value: match work {
            Work::SumBytes(_) => ValueLayout::Bytes,
            _ => ValueLayout::S64,
        },
        codec: "raw".to_owned(),
        schema: None,
        map_key: None,
        map_key_codec: None,
        map_key_schema: None,
        merge: None,
        ttl: None,
        schema_version: 1,
    };
    Description {
        name: work.name().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        inputs: vec![port("numbers")],
        outputs: vec![port("sums")],
        states: vec![sum],
        timers: vec![],
        task_states: vec![],
        metrics: vec![],
    }
}

const SUM: StateId = StateId(0);

impl Native {
    /// An operator that does this.
    pub fn new(work: Work) -> Self {
        Self {
            work,
            description: description(work),
            window: Window::new(!matches!(work, Work::SumBytes(_))),
            slots: Vec::new(),
            keys: Column::empty(true),
            values: Column::empty(true),
        }
    }

    fn sum(&mut self, rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
        call.load(SUM, &mut self.window)?;
        let (sums, keys) = (words_mut(&mut self.window.values), words(rows.keys.expect("keyed")));
        let (out_keys, out_values) = (words_mut(&mut self.keys), words_mut(&mut self.values));
        out_keys.clear();
        out_values.clear();
        for (&slot, &value) in rows.slots.iter().zip(words(rows.values)) {
            let sum = &mut sums[slot as usize];
            *sum = sum.wrapping_add(value);
            out_keys.push(keys[slot as usize]);
            out_values.push(*sum);
        }
        self.store(call)?;
        call.emit(0, rows.times, Some(&self.keys), &self.values)
    }

    fn sum_bytes(&mut self, length: usize, rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
        call.load(SUM, &mut self.window)?;
        let Column::Bytes(loaded) = &self.window.values else { panic!("the values are bytes") };
        let keys = words(rows.keys.expect("keyed"));
        // All values of the batch, one after the other, to be changed in place.
        let mut values = vec![0x5a; keys.len() * length];
        for (slot, value) in values.chunks_exact_mut(length).enumerate() {
            match loaded.get(slot) {
                before if before.len() == length => value.copy_from_slice(before),
                _ => value[..8].fill(0),
            }
        }
        let (out_keys, out_values) = (words_mut(&mut self.keys), words_mut(&mut self.values));
        out_keys.clear();
        out_values.clear();
        for (&slot, &number) in rows.slots.iter().zip(words(rows.values)) {
            let value = &mut values[slot as usize * length..];
            let first = value.first_chunk_mut().expect("a value has room for a sum");
            let sum = u64::from_le_bytes(*first).wrapping_add(number);
            *first = sum.to_le_bytes();
            out_keys.push(keys[slot as usize]);
            out_values.push(sum);
        }
        let ends = (0..=keys.len()).map(|slot| (slot * length) as u32).collect();
        let column = BytesColumn::from_parts(ends, values).expect("rows of one length");
        self.slots.clear();
        self.slots.extend(0..keys.len() as u32);
        call.store(SUM, &self.slots, &Column::Bytes(column))?;
        call.emit(0, rows.times, Some(&self.keys), &self.values)
    }

    fn store(&mut self, call: &mut Call) -> Result<(), Failure> {
        let sums = words(&self.window.values);
        self.slots.clear();
        self.slots.extend(0..sums.len() as u32);
        call.store_words(SUM, &self.slots, sums)
    }
}

fn words(column: &Column) -> &[u64] {
    let Column::Words(words) = column else { panic!("the benchmarks' columns are words") };
    words
}

fn words_mut(column: &mut Column) -> &mut Vec<u64> {
    let Column::Words(words) = column else { panic!("the benchmarks' columns are words") };
    words
}

impl Operator for Native {
    fn description(&self) -> &Description {
        &self.description
    }

    fn process(&mut self, rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
        let values = words(rows.values);
        match self.work {
            Work::Sum => self.sum(rows, call),
            Work::SumBytes(length) => self.sum_bytes(length, rows, call),
            Work::Columns => {
                std::hint::black_box(values.iter().fold(0_u64, |sum, &v| sum.wrapping_add(v)));
                Ok(())
            }
            Work::Echo => {
                let keys = words(rows.keys.expect("keyed"));
                let out = words_mut(&mut self.keys);
                out.clear();
                out.extend(rows.slots.iter().map(|&slot| keys[slot as usize]));
                call.emit(0, rows.times, Some(&self.keys), rows.values)
            }
            Work::Window => {
                call.load(SUM, &mut self.window)?;
                let sums = words_mut(&mut self.window.values);
                for (&slot, &value) in rows.slots.iter().zip(values) {
                    let sum = &mut sums[slot as usize];
                    *sum = sum.wrapping_add(value);
                }
                self.store(call)
            }
            Work::Singles => {
                call.load(SUM, &mut self.window)?;
                for (&slot, &value) in rows.slots.iter().zip(values) {
                    let sum = &mut words_mut(&mut self.window.values)[slot as usize];
                    *sum = sum.wrapping_add(value);
                    call.store_words(SUM, &[slot], &[*sum])?;
                }
                Ok(())
            }
        }
    }

    fn on_timers(&mut self, _timers: TimerRows<'_>, _call: &mut Call) -> Result<(), Failure> {
        Ok(())
    }
}
