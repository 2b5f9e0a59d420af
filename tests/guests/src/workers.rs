//! Operators that behave, and between them use everything that the SDK offers.

use std::sync::atomic::{AtomicU64, Ordering};

use statehouse::prelude::*;

/// A running sum a key.
pub struct Sum {
    sum: ValueState<i64>,
    sums: KeyedOutput<u64, i64>,
}

impl Operator for Sum {
    const NAME: &str = "sum";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        Sum { sum: setup.value("sum"), sums: setup.keyed_output("sums") }
    }
}

impl Sum {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        let sum = self.sum.get_or_default() + number.value;
        self.sum.set(sum);
        self.sums.emit(&number.key, &sum)
    }
}

static RECORDS: AtomicU64 = AtomicU64::new(0);

/// Counts in a global: what must not be done, and what shows whether an instance was replaced.
pub struct Global {
    counts: Output<u64>,
}

impl Operator for Global {
    const NAME: &str = "global";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        Global { counts: setup.output("counts") }
    }
}

impl Global {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        let before = RECORDS.fetch_add(1, Ordering::Relaxed);
        if number.value < 0 {
            bail!("{} is below 0", number.value);
        }
        self.counts.emit(&(before + 1))
    }
}

/// Sets `(true, time)` or deletes `(false, time)` a timer of both clocks; says which fired, and how
/// often a key's did.
pub struct Alarms {
    event: Timer,
    processing: Timer,
    fires: ValueState<u32>,
    fired: KeyedOutput<String, Json<(String, i64, u32)>>,
}

impl Operator for Alarms {
    const NAME: &str = "alarms";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("alarms", Self::on_alarm);
        Alarms {
            event: setup.event_timer("event", Self::on_event),
            processing: setup.processing_timer("processing", Self::on_processing),
            fires: setup.value("fires"),
            fired: setup.keyed_output("fired"),
        }
    }
}

impl Alarms {
    fn on_alarm(&mut self, alarm: Record<String, (bool, i64)>) -> Result<()> {
        match alarm.value {
            (true, time) => {
                self.event.set(time);
                self.processing.set(time);
            }
            (false, time) => {
                self.event.delete(time);
                self.processing.delete(time);
            }
        }
        Ok(())
    }

    fn on_event(&mut self, fired: Fired<String>) -> Result<()> {
        self.tell("event", fired)
    }

    fn on_processing(&mut self, fired: Fired<String>) -> Result<()> {
        self.tell("processing", fired)
    }

    fn tell(&mut self, clock: &str, fired: Fired<String>) -> Result<()> {
        let fires = self.fires.update(|fires| {
            *fires += 1;
            *fires
        });
        self.fired.emit(&fired.key, &Json((clock.to_owned(), fired.time, fires)))
    }
}

/// Two keyed inputs that share state, one without a key, and three outputs.
pub struct Junction {
    left: ValueState<f64>,
    right: ValueState<Vec<String>>,
    both: KeyedOutput<String, (f64, Vec<String>)>,
    numbers: Output<f64>,
    loose: Output<Json<Vec<u64>>>,
}

impl Operator for Junction {
    const NAME: &str = "junction";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("left", Self::on_left);
        setup.keyed_input("right", Self::on_right);
        setup.input("loose", Self::on_loose);
        Junction {
            left: setup.value("left"),
            right: setup.value("right"),
            both: setup.keyed_output("both"),
            numbers: setup.output("numbers"),
            loose: setup.output("loose"),
        }
    }
}

impl Junction {
    fn on_left(&mut self, record: Record<String, i64>) -> Result<()> {
        let left = record.value as f64 / 2.0;
        self.left.set(left);
        self.numbers.emit(&left)?;
        self.tell(&record.key)
    }

    fn on_right(&mut self, record: Record<String, String>) -> Result<()> {
        if record.value.is_empty() {
            self.left.clear();
            self.right.clear();
        } else {
            self.right.update(|right| right.push(record.value));
        }
        self.tell(&record.key)
    }

    fn on_loose(&mut self, record: Record<(), Json<Vec<u64>>>) -> Result<()> {
        let Json(mut numbers) = record.value;
        numbers.reverse();
        self.loose.emit_at(record.time + 1, &Json(numbers))
    }

    fn tell(&self, key: &String) -> Result<()> {
        let right = self.right.get_or_default();
        self.both.emit(key, &(self.left.get_or_default(), right))
    }
}

/// A state and an output value of as many bytes as the record says; the output also carries the
/// size of the state that it found.
pub struct Huge {
    bytes: ValueState<Vec<u8>>,
    sizes: KeyedOutput<u64, (u64, Vec<u8>)>,
}

impl Operator for Huge {
    const NAME: &str = "huge";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("sizes", Self::on_size);
        Huge { bytes: setup.value("bytes"), sizes: setup.keyed_output("sizes") }
    }
}

impl Huge {
    fn on_size(&mut self, size: Record<u64, u64>) -> Result<()> {
        let found = self.bytes.with(|bytes| bytes.map_or(0, Vec::len));
        let bytes = vec![b'h'; usize::try_from(size.value)?];
        self.sizes.emit(&size.key, &(found as u64, bytes.clone()))?;
        self.bytes.set(bytes);
        Ok(())
    }
}

/// Logs each line at the level that it begins with, counts it, and says what time it is.
pub struct Chatter {
    greeting: String,
    lines: Counter,
    longest: Gauge,
    times: Output<(String, i64, i64, u64)>,
    context: Context,
}

impl Operator for Chatter {
    const NAME: &str = "chatter";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.input("lines", Self::on_line);
        Chatter {
            greeting: setup.config("greeting").unwrap_or("hello").to_owned(),
            lines: setup.counter("lines"),
            longest: setup.gauge("longest"),
            times: setup.output("times"),
            context: setup.context(),
        }
    }
}

impl Chatter {
    fn on_line(&mut self, line: Record<(), String>) -> Result<()> {
        self.lines.add(1);
        self.longest.set(line.value.len() as f64);
        match line.value.split_once(' ') {
            None if line.value.is_empty() => self.context.reject("an empty line"),
            Some(("trace", line)) => self.context.trace(line),
            Some(("debug", line)) => self.context.debug(line),
            Some(("warn", line)) => self.context.warn(line),
            Some(("error", line)) => self.context.error(line),
            _ => self.context.info(&line.value),
        }
        let (now, watermark) = (self.context.processing_time(), self.context.watermark());
        self.times.emit(&(self.greeting.clone(), now, watermark, self.context.random()))
    }
}
