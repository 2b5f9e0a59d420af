//! Every kind of state at work on the same records, and what each holds said for every one of them.

use std::time::Duration;

use statehouse::prelude::*;

/// Sum and count of numbers.
pub struct Mean;

impl Aggregate for Mean {
    type Input = i64;
    type Accumulator = (i64, u64);
    type Output = i64;

    fn add((sum, count): &mut (i64, u64), number: &i64) {
        *sum += number;
        *count += 1;
    }

    fn merge((sum, count): &mut (i64, u64), (other, others): &(i64, u64)) {
        *sum += other;
        *count += others;
    }

    fn result((sum, count): &(i64, u64)) -> i64 {
        sum / *count as i64
    }
}

/// Keeps each number in every kind of state that there is.
pub struct Kinds {
    value: ValueState<i64>,
    text: ValueState<String>,
    list: ListState<i64>,
    map: MapState<i64, u64>,
    words: MapState<String, i64>,
    sum: ReducingState<i64>,
    least: ReducingState<i64>,
    most: ReducingState<i64>,
    count: ReducingState<u64>,
    log: AppendState,
    set: SetState<i64>,
    mean: AggregatingState<Mean>,
    brief: ValueState<i64>,
    briefs: MapState<i64, i64>,
    windows: Windowed<Mean>,
    timer: Timer,
    seen: KeyedOutput<u64, Json<serde_json::Value>>,
    fired: KeyedOutput<u64, Json<serde_json::Value>>,
}

impl Operator for Kinds {
    const NAME: &str = "kinds";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        let brief = Ttl::after(Duration::from_millis(700)).event_time().on_read();
        Kinds {
            value: setup.value("value"),
            text: setup.value("text"),
            list: setup.list("list"),
            map: setup.map("map"),
            words: setup.map("words"),
            sum: setup.sum("sum"),
            least: setup.min("least"),
            most: setup.max("most"),
            count: setup.count("count"),
            log: setup.append("log"),
            set: setup.set("set"),
            mean: setup.aggregating("mean"),
            brief: setup.expiring(brief.clone()).value("brief"),
            briefs: setup.expiring(brief).map("briefs"),
            windows: setup.windows(
                "windows",
                Windows::sliding(Duration::from_millis(400), Duration::from_millis(100)),
                Self::on_window,
            ),
            timer: setup.event_timer("timer", Self::on_timer),
            seen: setup.keyed_output("seen"),
            fired: setup.keyed_output("fired"),
        }
    }
}

impl Kinds {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        let Record { key, value, time } = number;
        self.value.set(self.value.get_or_default().wrapping_mul(31).wrapping_add(value));
        self.text.update(|text| text.push((b'a' + value.rem_euclid(26) as u8) as char));
        if self.text.get().is_some_and(|text| text.len() > 40) {
            self.text.clear();
        }
        self.list.add(&value);
        let list = self.list.get();
        if list.len() > 12 {
            self.list.replace(&list[10..]);
        }
        self.map.update(&value.rem_euclid(100), |times| *times += 1);
        if value.rem_euclid(5) == 0 {
            self.map.remove(&(value.rem_euclid(100) - 1));
        }
        self.words.insert(&format!("{:03}", value.rem_euclid(200)), time);
        if self.words.entries().len() > 90 {
            self.words.clear();
        }
        self.sum.add(value);
        self.least.add(value);
        self.most.add(value);
        self.count.add(1);
        self.log.add(&[value as u8]);
        if self.log.get().is_some_and(|log| log.len() > 30) {
            self.log.clear();
        }
        self.set.add(&value.rem_euclid(17));
        self.mean.add(&value);
        let brief = self.brief.get();
        self.brief.set(value);
        let briefs: i64 = self.briefs.entries().into_iter().map(|(_, value)| value).sum();
        self.briefs.insert(&value.rem_euclid(9), value);
        let in_time = self.windows.add(&value);
        self.timer.set_in(time + 150, value.rem_euclid(3) as u64);
        if value.rem_euclid(7) == 0 {
            self.timer.delete_in(time + 150, value.rem_euclid(3) as u64);
        }
        let middle: Vec<_> = self.map.range(20..40).collect();
        let tens: Vec<_> = self.words.prefix("01").collect();
        self.seen.emit(
            &key,
            &Json(serde_json::json!({
                "time": time, "value": self.value.get(), "text": self.text.get(),
                "list": self.list.get(), "map": middle, "words": tens, "sum": self.sum.get(),
                "least": self.least.get(), "most": self.most.get(), "count": self.count.get(),
                "log": self.log.get(), "set": self.set.get(), "mean": self.mean.get(),
                "brief": brief, "briefs": briefs, "in_time": in_time,
            })),
        )
    }

    fn on_window(&mut self, window: Window<u64, i64>) -> Result<()> {
        let Window { key, start, end, result, .. } = window;
        let line = serde_json::json!({ "start": start, "end": end, "mean": result });
        self.fired.emit(&key, &Json(line))
    }

    fn on_timer(&mut self, timer: Fired<u64>) -> Result<()> {
        let Fired { key, time, namespace } = timer;
        let count = self.count.get();
        let line = serde_json::json!({ "time": time, "namespace": namespace, "count": count });
        self.fired.emit(&key, &Json(line))
    }
}

/// Writes more than any state may hold, or reads it back, as the number says.
pub struct Limits {
    map: MapState<String, i64>,
    log: AppendState,
    sizes: KeyedOutput<u64, u64>,
}

impl Operator for Limits {
    const NAME: &str = "limits";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", Self::on_number);
        Limits {
            map: setup.map("map"),
            log: setup.append("log"),
            sizes: setup.keyed_output("sizes"),
        }
    }
}

impl Limits {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        let length = number.value.unsigned_abs() as usize;
        if number.value < 0 {
            self.map.insert(&"k".repeat(length), 1);
        } else {
            self.log.add(&vec![7; length]);
        }
        let log = self.log.get().map_or(0, |log| log.len());
        self.sizes.emit(&number.key, &((self.map.entries().len() + log) as u64))
    }
}

/// What a state was called before it became something else.
pub struct Turned {
    _value: MapState<u64, i64>,
}

impl Operator for Turned {
    const NAME: &str = "turned";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.keyed_input("numbers", |_: &mut Self, _: Record<u64, i64>| Ok(()));
        setup.keyed_output::<u64, i64>("sums");
        Turned { _value: setup.map("sum") }
    }
}

/// Rules for all tasks, and what each task and all of them together have seen.
pub struct Rules {
    rules: BroadcastState<u64, i64>,
    own: TaskList<i64>,
    all: TaskList<i64>,
    sums: KeyedOutput<u64, i64>,
}

impl Operator for Rules {
    const NAME: &str = "rules";

    fn new(setup: &mut Setup<Self>) -> Self {
        setup.broadcast_input("rules", Self::on_rule);
        setup.keyed_input("numbers", Self::on_number);
        Rules {
            rules: setup.broadcast("rules"),
            own: setup.split("own"),
            all: setup.union("all"),
            sums: setup.keyed_output("sums"),
        }
    }
}

impl Rules {
    fn on_rule(&mut self, rule: Record<(), Json<(u64, i64)>>) -> Result<()> {
        let (remainder, factor) = rule.value.0;
        self.rules.insert(&remainder, &factor);
        Ok(())
    }

    /// The number times the rule of its key, and how many numbers all tasks remember.
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        self.own.add(&number.value);
        self.all.add(&number.value);
        let factor = self.rules.get(&(number.key % 3)).unwrap_or(1);
        self.sums.emit(&number.key, &(number.value * factor))?;
        let (own, all) = (self.own.get().len() as i64, self.all.get().len() as i64);
        self.sums.emit(&number.key, &(1_000_000 * own + all))
    }
}
