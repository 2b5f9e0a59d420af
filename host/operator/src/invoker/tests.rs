//! Tests of invocations as transactions: with an operator that fails in every way there is.

use statehouse_state::{
    BytesColumn, Column, HeapBackend, KeyGroupRange, KeyGroups, KeyLayout, StateDeclaration,
    StateId, StateKind, TimeDomain, TimerDeclaration, TimerId, ValueLayout, Window,
};

use super::*;
use crate::description::{Codec, KeyType, Port, ValueType};

mod canary;
mod evolution;
mod state;

/// How the operator fails at a value of 13.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fails {
    NamesRow,
    NamesNothing,
    NamesWrongRow,
    Traps,
    NoDisk,
    Never,
}

/// Sums values per key, emits each sum, sets a timer a second after each record.
struct Summing {
    description: Description,
    fails: Fails,
    /// How many rows one call can take.
    rows_max: usize,
    calls: u32,
}

const UNLUCKY: u64 = 13;

fn description() -> Description {
    let key = || Some(KeyType { layout: KeyLayout::U64, codec: Codec::Raw, schema: None });
    let value = || ValueType::new(ValueLayout::U64, Codec::Raw);
    let sum = StateDeclaration {
        name: "sum".into(),
        kind: StateKind::Value,
        value: ValueLayout::U64,
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
        name: "summing".into(),
        version: "1".into(),
        inputs: vec![Port { name: "in".into(), key: key(), value: value(), broadcast: false }],
        outputs: vec![Port { name: "out".into(), key: key(), value: value(), broadcast: false }],
        states: vec![sum],
        timers: vec![TimerDeclaration { name: "later".into(), domain: TimeDomain::EventTime }],
        task_states: vec![],
        metrics: vec![],
    }
}

fn words(column: &Column) -> &[u64] {
    let Column::Words(words) = column else { panic!("only words here") };
    words
}

impl Summing {
    fn fail(&self, row: usize) -> Result<(), Failure> {
        let refused = |row| Failure::Refused { row, reason: "unlucky".into() };
        match self.fails {
            Fails::NamesRow => Err(refused(Some(row as u32))),
            Fails::NamesNothing => Err(refused(None)),
            Fails::NamesWrongRow => Err(refused(Some(1_000_000))),
            Fails::Traps => Err(Failure::Trapped { reason: "unreachable".into() }),
            Fails::NoDisk => Err(Failure::Host { reason: "no disk".into() }),
            Fails::Never => Ok(()),
        }
    }
}

impl Operator for Summing {
    fn description(&self) -> &Description {
        &self.description
    }

    fn process(&mut self, rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
        self.calls += 1;
        let mut sums = Window::new(true);
        for ((&slot, &value), row) in rows.slots.iter().zip(words(rows.values)).zip(0..) {
            // Everything is done before the failure, so that everything must be undone.
            call.load(StateId(0), &mut sums)?;
            let sum = words(&sums.values)[slot as usize] + value;
            call.store_words(StateId(0), &[slot], &[sum])?;
            let key = words(rows.keys.expect("keyed"))[slot as usize];
            let (key, sum) = (Column::Words(vec![key]), Column::Words(vec![sum]));
            call.emit(0, &rows.times[row..=row], Some(&key), &sum)?;
            call.change_timers(TimerId(0), &[slot], &[rows.times[row] + 1000], true)?;
            if value == UNLUCKY {
                self.fail(row)?;
            }
        }
        if rows.times.len() > self.rows_max {
            let limit = std::time::Duration::from_secs(1);
            return Err(Failure::DeadlineExceeded { limit });
        }
        Ok(())
    }

    fn on_timers(&mut self, timers: TimerRows<'_>, call: &mut Call) -> Result<(), Failure> {
        for (row, &key) in words(timers.keys).iter().enumerate() {
            call.store_words(StateId(0), &[row as u32], &[0])?;
            if key == UNLUCKY {
                self.fail(row)?;
            }
        }
        Ok(())
    }
}

fn invoker(fails: Fails, policy: ErrorPolicy, rows_max: usize) -> Invoker {
    let description = description();
    let groups = KeyGroups::DEFAULT;
    let range = KeyGroupRange::all(groups);
    let (states, timers) = (&description.states, &description.timers);
    let backend = HeapBackend::new(KeyLayout::U64, states, timers, groups, range).unwrap();
    let operator = Summing { description, fails, rows_max, calls: 0 };
    Invoker::new(Box::new(operator), Some(Box::new(backend)), policy)
}

fn batch(rows: &[(u64, u64)]) -> Batch {
    let mut batch = Batch {
        times: (0..rows.len() as i64).collect(),
        keys: Some(Column::Words(rows.iter().map(|row| row.0).collect())),
        hashes: Vec::new(),
        values: Column::Words(rows.iter().map(|row| row.1).collect()),
    };
    batch.hash_keys();
    batch
}

fn emitted(invoker: &mut Invoker) -> Vec<(u64, u64)> {
    let output = &mut invoker.outputs()[0];
    let keys = words(output.keys.as_ref().unwrap()).to_vec();
    let rows = keys.into_iter().zip(words(&output.values).to_vec()).collect();
    output.clear();
    rows
}

const ROWS: [(u64, u64); 7] = [(1, 1), (2, 5), (1, UNLUCKY), (2, 6), (1, 2), (3, UNLUCKY), (3, 7)];
const WITHOUT_UNLUCKY: [(u64, u64); 5] = [(1, 1), (2, 5), (2, 11), (1, 3), (3, 7)];

#[test]
fn a_poison_record_leaves_no_trace_however_it_shows() {
    for fails in [Fails::NamesRow, Fails::NamesNothing, Fails::NamesWrongRow, Fails::Traps] {
        let mut invoker = invoker(fails, ErrorPolicy::DeadLetter, usize::MAX);
        invoker.process(0, &batch(&ROWS), Moment::default()).unwrap();
        assert_eq!(emitted(&mut invoker), WITHOUT_UNLUCKY, "{fails:?}");
        assert_eq!(invoker.rejected(), 2);
        let Column::Bytes(letters) = &invoker.dead_letters().values else { panic!() };
        let letters: Vec<serde_json::Value> =
            letters.iter().map(|letter| serde_json::from_slice(letter).unwrap()).collect();
        let mut keys: Vec<_> = letters.iter().map(|letter| &letter["record"]["key"]).collect();
        keys.sort_by_key(|key| key.as_u64());
        assert_eq!(keys, [1, 3]);
        assert_eq!(letters[0]["record"]["value"], UNLUCKY);
        assert_eq!(letters[0]["operator"], "summing");
        assert_eq!(invoker.next_timer(TimeDomain::EventTime), Some(1000));
        assert_eq!(invoker.backend().unwrap().entries(), 3 + 5, "sums and timers of good rows");
    }
}

#[test]
fn skipping_counts_and_failing_names_the_record() {
    let mut skipping = invoker(Fails::Traps, ErrorPolicy::Skip, usize::MAX);
    skipping.process(0, &batch(&ROWS), Moment::default()).unwrap();
    assert_eq!((skipping.rejected(), skipping.dead_letters().len()), (2, 0));

    let mut failing = invoker(Fails::NamesNothing, ErrorPolicy::Fail, usize::MAX);
    let error = failing.process(0, &batch(&ROWS), Moment::default()).unwrap_err().to_string();
    assert!(error.contains("`summing`") && error.contains("`in`") && error.contains("unlucky"));
    assert!(error.contains(r#""value":13"#) && error.contains("on-error"), "{error}");
}

#[test]
fn a_batch_that_is_too_much_at_once_is_done_in_parts() {
    let mut invoker = invoker(Fails::Never, ErrorPolicy::Fail, 2);
    invoker.process(0, &batch(&ROWS), Moment::default()).unwrap();
    assert_eq!(emitted(&mut invoker).len(), ROWS.len());
    assert_eq!(invoker.rejected(), 0);
}

#[test]
fn a_failure_of_the_host_blames_no_record() {
    let mut invoker = invoker(Fails::NoDisk, ErrorPolicy::Skip, usize::MAX);
    let error = invoker.process(0, &batch(&ROWS), Moment::default()).unwrap_err();
    assert!(matches!(&error, InvokeError::Host { reason, .. } if reason.contains("no disk")));
}

#[test]
fn timers_fire_once_and_a_poison_timer_is_settled_like_a_record() {
    let fire = |invoker: &mut Invoker| {
        while invoker.fire_timers(TimeDomain::EventTime, 5000, Moment::default())? {}
        Ok::<_, InvokeError>(())
    };
    for policy in [ErrorPolicy::Skip, ErrorPolicy::DeadLetter] {
        let mut invoker = invoker(Fails::NamesNothing, policy, usize::MAX);
        invoker
            .process(0, &batch(&[(1, 2), (UNLUCKY, 3), (4, 1), (1, 1)]), Moment::default())
            .unwrap();
        fire(&mut invoker).unwrap();
        assert_eq!(invoker.next_timer(TimeDomain::EventTime), None);
        assert_eq!(invoker.rejected(), 1);
        assert_eq!(invoker.dead_letters().len(), usize::from(policy == ErrorPolicy::DeadLetter));
        invoker.outputs()[0].clear();
        invoker.process(0, &batch(&[(1, 1), (UNLUCKY, 1)]), Moment::default()).unwrap();
        // Key 1 was set to 0 by its timer; the poison timer's write was undone.
        assert_eq!(emitted(&mut invoker), [(1, 1), (UNLUCKY, 4)]);
    }
    let mut failing = invoker(Fails::NamesNothing, ErrorPolicy::Fail, usize::MAX);
    failing.process(0, &batch(&[(UNLUCKY, 3)]), Moment::default()).unwrap();
    let error = fire(&mut failing).unwrap_err().to_string();
    assert!(error.contains("timer `later` at 1000 of key 13"), "{error}");
}

#[test]
fn misuse_of_the_call_is_a_trap_and_changes_nothing() {
    let mut call = Call::new(&description(), None);
    call.start(1, Moment::default());
    let bytes = Column::Bytes(BytesColumn::default());
    let trapped = |result: Result<(), Failure>| matches!(result, Err(Failure::Trapped { .. }));
    assert!(trapped(call.store_words(StateId(9), &[], &[])));
    assert!(trapped(call.store_words(StateId(0), &[0], &[1])), "no slot was handed out");
    assert!(trapped(call.store(StateId(0), &[], &bytes)), "the state holds words");
    assert!(trapped(call.change_timers(TimerId(1), &[], &[], true)));
    assert!(trapped(call.emit(3, &[], None, &bytes)));
    assert!(trapped(call.emit(0, &[], None, &Column::Words(vec![]))), "the port is keyed");
    assert!(trapped(call.reject(1, "no such row".into())));
    assert!(trapped(call.add_counter(0, 1)));
    assert!(call.writes.is_empty() && call.outputs[0].is_empty());
}
