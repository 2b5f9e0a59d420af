//! What a swap costs on RocksDB: to evolve with a full cache, to go back, to move values.

use std::time::Duration;

use statehouse_state::{
    Backend, Column, Converted, Move, Now, RocksBackend, RocksOptions, StateDeclaration, StateId,
    ValueLayout, Which,
};

use super::{BATCH, Task, now, state};

const MOVE: Move = Move { from: StateId(1), to: StateId(0) };

pub(super) fn run() {
    evolve();
    revert();
    migrate();
}

fn at_version(schema_version: u32) -> StateDeclaration {
    StateDeclaration { schema_version, ..state(ValueLayout::U64) }
}

/// Values under 0, 1, 2, up to that many keys.
fn filled(task: &mut Task<RocksBackend>, keys: u64) {
    for first in (0..keys).step_by(BATCH) {
        task.add(&(first..(first + BATCH as u64).min(keys)).collect::<Vec<_>>());
    }
}

/// The longest and the middle one.
fn summary(mut times: Vec<Duration>) -> [f64; 2] {
    times.sort_unstable();
    let micros = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e6);
    [micros(times.get(times.len() / 2)), micros(times.last())]
}

/// 100 thousand keys in the cache, all or none of them handed to RocksDB; the first batch after it as well.
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn evolve() {
    let keys = 100_000;
    for (name, flushed) in [("dirty", false), ("clean", true)] {
        let (mut pauses, mut firsts) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            let directory = tempfile::tempdir().expect("there is room for temporary files");
            let options = RocksOptions::default();
            let mut task = Task::rocks(directory.path(), options, ValueLayout::U64);
            filled(&mut task, keys);
            if flushed {
                task.backend.start_snapshot(1, false).expect("storage works");
                task.backend.abandon_snapshot();
            }
            let start = now();
            let evolved = task.backend.evolve(&[at_version(2), at_version(1)], &[]);
            evolved.expect("a new version is served");
            pauses.push(start.elapsed());
            task.writes = statehouse_state::WriteSet::new(task.backend.declared().0);
            let start = now();
            task.add(&(0..BATCH as u64).collect::<Vec<_>>());
            firsts.push(start.elapsed());
        }
        let ([pause, longest], [first, worst]) = (summary(pauses), summary(firsts));
        println!(
            "swap, {keys} keys {name}: evolve {pause:.0} µs, at most {longest:.0}; first batch {first:.0} µs, \
             at most {worst:.0}"
        );
    }
}

/// Back to a snapshot, of as many keys as given, with 100 thousand changed since.
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn revert() {
    for keys in [100_000, 2_000_000] {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        let mut task = Task::rocks(directory.path(), RocksOptions::default(), ValueLayout::Bytes);
        filled(&mut task, keys);
        let (mut holds, mut times) = (Vec::new(), Vec::new());
        for epoch in 0..7 {
            task.backend.start_snapshot(epoch, false).expect("storage works");
            let start = now();
            task.backend.hold();
            holds.push(start.elapsed());
            task.backend.advance_snapshot(1).expect("storage works");
            filled(&mut task, 100_000);
            let start = now();
            assert!(task.backend.revert().expect("storage works"), "it was held");
            times.push(start.elapsed());
        }
        let ([hold, _], [revert, longest]) = (summary(holds), summary(times));
        println!(
            "swap, {keys} values of 200 bytes: hold {hold:.0} µs, revert {:.1} ms, at most {:.1}",
            revert / 1e3,
            longest / 1e3
        );
    }
}

/// A million values, a thousand a call.
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn migrate() {
    let keys = 1_000_000;
    for (name, cached) in [("few in the cache", 1 << 20), ("all in the cache", 128 << 20)] {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        let options = RocksOptions { write_behind_cache: cached, ..RocksOptions::default() };
        let mut task = Task::rocks(directory.path(), options, ValueLayout::U64);
        filled(&mut task, keys);
        task.backend.start_snapshot(1, false).expect("storage works");
        task.backend.advance_snapshot(1).expect("storage works");
        let evolved = task.backend.evolve(&[at_version(2), at_version(1)], &[]);
        evolved.expect("a new version is served");
        let mut convert =
            |values: &Column| Ok(Converted { values: values.clone(), failed: Vec::new() });
        let (start, mut times, mut moved) = (now(), Vec::new(), 0);
        loop {
            let start = now();
            let step = task.backend.migrate(MOVE, Which::Next(1000), &mut convert);
            let step = step.expect("storage works");
            times.push(start.elapsed());
            moved += step.moved;
            if step.done {
                break;
            }
        }
        let [call, longest] = summary(times);
        println!(
            "swap, {moved} values swept, {name}: {:.2} million a second, a call of 1000 {call:.0} µs, \
             at most {longest:.0}",
            moved as f64 / start.elapsed().as_secs_f64() / 1e6
        );
        let begin = now();
        assert_eq!(task.backend.values(MOVE.from), 0, "all have moved");
        println!("swap, none left is found out in {:.0} µs", begin.elapsed().as_secs_f64() * 1e6);
    }
    // What invocations move themselves.
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let mut task = Task::rocks(directory.path(), RocksOptions::default(), ValueLayout::U64);
    filled(&mut task, keys);
    let evolved = task.backend.evolve(&[at_version(2), at_version(1)], &[]);
    evolved.expect("a new version is served");
    let mut convert =
        |values: &Column| Ok(Converted { values: values.clone(), failed: Vec::new() });
    let (start, mut moved) = (now(), 0);
    for first in (0..keys).step_by(BATCH) {
        let batch = Column::Words((first..(first + BATCH as u64).min(keys)).collect());
        let mut hashes = Vec::new();
        statehouse_state::key::hash_column(&batch, &mut hashes);
        task.backend.begin(&batch, &hashes, Now::default()).expect("all keys are of the range");
        let step = task.backend.migrate(MOVE, Which::Invocation, &mut convert);
        moved += step.expect("storage works").moved;
    }
    println!(
        "swap, {moved} values moved by invocations: {:.2} million a second",
        moved as f64 / start.elapsed().as_secs_f64() / 1e6
    );
}
