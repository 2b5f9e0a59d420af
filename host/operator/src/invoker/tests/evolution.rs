//! Tests of operators that are replaced while there is state.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::evolution::{Evolution, Left, Migrations, Rename, Renamed, Retired, Step, plan};

mod failures;
mod flips;
mod names;
mod rocks;

/// Adds up values in one state, in units that differ from version to version, and emits each total. A value of 1 also
/// sets a timer a second later, at which the total is emitted again.
struct Totals {
    description: Description,
    unit: u64,
    fails: Fails,
    /// How many values it was asked to convert.
    converted: Arc<AtomicU32>,
}

impl Operator for Totals {
    fn description(&self) -> &Description {
        &self.description
    }

    fn process(&mut self, rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
        let mut totals = Window::new(true);
        for (row, (&slot, &value)) in rows.slots.iter().zip(words(rows.values)).enumerate() {
            call.load(StateId(0), &mut totals)?;
            let total = words(&totals.values)[slot as usize] + value * self.unit;
            call.store_words(StateId(0), &[slot], &[total])?;
            let key = words(rows.keys.expect("keyed"))[slot as usize];
            let (key, total) = (Column::Words(vec![key]), Column::Words(vec![total]));
            call.emit(0, &rows.times[row..=row], Some(&key), &total)?;
            if value == 1 {
                call.change_timers(TimerId(0), &[slot], &[1000], true)?;
            }
        }
        Ok(())
    }

    fn on_timers(&mut self, timers: TimerRows<'_>, call: &mut Call) -> Result<(), Failure> {
        assert_eq!(timers.timer, TimerId(0), "it declares no other");
        let mut totals = Window::new(true);
        call.load(StateId(0), &mut totals)?;
        call.emit(0, timers.times, Some(timers.keys), &totals.values)
    }

    /// Values of version 1 are in units of 1. Those of version 2, which are in units of 100, are taken by version 3.
    fn migrate(&mut self, _: StateId, from: u32, values: &Column) -> Result<Column, Failure> {
        self.converted.fetch_add(values.len() as u32, Ordering::Relaxed);
        if let Some(row) = words(values).iter().position(|&value| value == UNLUCKY) {
            let refused = |row| Failure::Refused { row, reason: "unlucky".into() };
            match self.fails {
                Fails::NamesRow => return Err(refused(Some(row as u32))),
                Fails::NamesNothing => return Err(refused(None)),
                Fails::NamesWrongRow => return Err(refused(Some(1_000_000))),
                Fails::Traps => return Err(Failure::Trapped { reason: "unreachable".into() }),
                Fails::NoDisk => return Err(Failure::Host { reason: "no disk".into() }),
                Fails::Never => {}
            }
        }
        let unit = if from == 1 { 1 } else { 100 };
        Ok(Column::Words(words(values).iter().map(|&value| value * self.unit / unit).collect()))
    }
}

/// How values of a schema version are scaled.
fn unit(version: u32) -> u64 {
    [1, 100, 10_000][version as usize - 1]
}

fn totals(version: u32, fails: Fails) -> Totals {
    let mut description = description();
    description.states[0].name = "total".into();
    description.states[0].schema_version = version;
    Totals { description, unit: unit(version), fails, converted: Arc::default() }
}

fn running(operator: Totals, policy: ErrorPolicy) -> Invoker {
    let groups = KeyGroups::DEFAULT;
    let (states, timers) = (&operator.description.states, &operator.description.timers);
    let range = KeyGroupRange::all(groups);
    let backend = HeapBackend::new(KeyLayout::U64, states, timers, groups, range).unwrap();
    Invoker::new(Box::new(operator), Some(Box::new(backend)), policy)
}

/// That the operator converts all versions before its own.
fn all_steps(description: &Description) -> Migrations {
    let state = &description.states[0];
    let step = |from_version| Step { state: state.name.clone(), from_version };
    Migrations { renames: vec![], steps: (1..state.schema_version).map(step).collect() }
}

fn left(invoker: &Invoker) -> Left {
    Left { description: invoker.description().clone(), retired: invoker.retired() }
}

/// Replaces the operator by one that takes over what there is.
fn replace(invoker: &mut Invoker, operator: Totals, migrations: &Migrations) -> Evolution {
    let evolution = plan(&left(invoker), &operator.description, migrations, false).unwrap();
    invoker.replace(Box::new(operator), &evolution, None).unwrap();
    evolution
}

fn process(invoker: &mut Invoker, rows: &[(u64, u64)]) -> Vec<(u64, u64)> {
    invoker.process(0, &batch(rows), Moment::default()).unwrap();
    emitted(invoker)
}

fn sweep_all(invoker: &mut Invoker) -> (u64, u64) {
    let (mut moved, mut failed) = (0, 0);
    loop {
        let sweep = invoker.sweep(3).unwrap();
        (moved, failed) = (moved + sweep.moved, failed + sweep.failed);
        if sweep.done {
            return (moved, failed);
        }
    }
}

/// Whether all groups of the next snapshot are written in full.
fn snapshot_is_full(invoker: &mut Invoker, epoch: u64) -> bool {
    let backend = invoker.backend().unwrap();
    backend.start_snapshot(epoch, false).unwrap();
    let snapshot = backend.advance_snapshot(usize::MAX).unwrap().expect("all at once");
    snapshot.segments.iter().all(|segment| segment.full)
}

#[test]
fn values_move_before_they_are_needed_and_the_rest_in_the_background() {
    let mut invoker = running(totals(1, Fails::Never), ErrorPolicy::Fail);
    let keys: Vec<_> = (0..20).map(|key| (key, key + 20)).collect();
    process(&mut invoker, &keys);
    assert!(snapshot_is_full(&mut invoker, 1));
    let operator = totals(2, Fails::Never);
    let (converted, migrations) =
        (Arc::clone(&operator.converted), all_steps(&operator.description));
    let evolution = replace(&mut invoker, operator, &migrations);
    assert_eq!(evolution.retired(invoker.description()), invoker.retired());
    let progress = |left, moved, failed| MigrationProgress { left, moved, failed };
    assert_eq!(invoker.migration(), progress(20, 0, 0));

    assert_eq!(process(&mut invoker, &[(3, 5), (4, 0), (3, 0)]), [(3, 2800), (4, 2400), (3, 2800)]);
    assert_eq!(converted.load(Ordering::Relaxed), 2, "only what the keys have");
    assert_eq!(process(&mut invoker, &[(3, 5), (99, 5)]), [(3, 3300), (99, 500)]);
    assert_eq!(converted.load(Ordering::Relaxed), 2, "each value once");
    assert_eq!(invoker.migration(), progress(18, 2, 0));

    assert!(invoker.is_migrating());
    assert_eq!(sweep_all(&mut invoker), (18, 0));
    assert!(!invoker.is_migrating() && invoker.retired().is_empty());
    assert_eq!(invoker.backend().unwrap().declared().0, totals(2, Fails::Never).description.states);
    assert!(snapshot_is_full(&mut invoker, 2), "what came before names a state that is gone");
    assert_eq!(process(&mut invoker, &[(19, 1), (3, 1)]), [(19, 4000), (3, 3400)]);
    assert!(!snapshot_is_full(&mut invoker, 3), "and then increments go on");
    assert_eq!(invoker.sweep(3).unwrap(), Sweep { done: true, ..Sweep::default() });
}

#[test]
fn a_retired_state_is_let_go_when_no_snapshot_runs() {
    let mut invoker = running(totals(1, Fails::Never), ErrorPolicy::Fail);
    process(&mut invoker, &[(1, 5)]);
    let operator = totals(2, Fails::Never);
    let migrations = all_steps(&operator.description);
    replace(&mut invoker, operator, &migrations);
    invoker.backend().unwrap().start_snapshot(1, false).unwrap();
    let sweep = invoker.sweep(usize::MAX).unwrap();
    assert_eq!((sweep.moved, sweep.done), (1, false));
    let snapshot = invoker.backend().unwrap().advance_snapshot(usize::MAX).unwrap();
    assert!(snapshot.is_some(), "it was not abandoned");
    let sweep = invoker.sweep(usize::MAX).unwrap();
    assert_eq!((sweep.moved, sweep.done, invoker.is_migrating()), (0, true, false));
}

#[test]
fn the_third_version_takes_what_the_first_and_the_second_left() {
    let mut invoker = running(totals(1, Fails::Never), ErrorPolicy::Fail);
    process(&mut invoker, &[(1, 5), (2, 6), (3, 7)]);
    for version in [2, 3] {
        let operator = totals(version, Fails::Never);
        let migrations = all_steps(&operator.description);
        replace(&mut invoker, operator, &migrations);
        let touched = u64::from(version) - 1;
        let expected = (touched, (touched + 4) * unit(version));
        assert_eq!(process(&mut invoker, &[(touched, 0)]), [expected], "version {version}");
    }
    // Key 1 is of version 2 still, key 2 of version 3, and key 3 of version 1.
    assert_eq!(invoker.retired().states.len(), 2);
    assert_eq!(process(&mut invoker, &[(1, 0)]), [(1, 50_000)]);
    assert_eq!(sweep_all(&mut invoker), (1, 0));
    let all = process(&mut invoker, &[(1, 0), (2, 0), (3, 0)]);
    assert_eq!(all, [(1, 50_000), (2, 60_000), (3, 70_000)]);
    assert!(!invoker.is_migrating());
}

#[test]
fn a_migration_goes_on_where_a_checkpoint_was_taken() {
    let mut invoker = running(totals(1, Fails::Never), ErrorPolicy::Fail);
    process(&mut invoker, &[(1, 5), (2, 6), (3, 7)]);
    let operator = totals(2, Fails::Never);
    let migrations = all_steps(&operator.description);
    replace(&mut invoker, operator, &migrations);
    process(&mut invoker, &[(1, 0)]);
    let left = left(&invoker);
    let backend = invoker.backend().unwrap();
    backend.start_snapshot(1, true).unwrap();
    let snapshot = backend.advance_snapshot(usize::MAX).unwrap().unwrap();

    let operator = totals(2, Fails::Never);
    let evolution = plan(&left, &operator.description, &migrations, false).unwrap();
    let groups = KeyGroups::DEFAULT;
    let (states, timers, range) =
        (&evolution.states, &evolution.timers, KeyGroupRange::all(groups));
    let mut backend = HeapBackend::new(KeyLayout::U64, states, timers, groups, range).unwrap();
    for segment in &snapshot.segments {
        backend.restore(segment.group, segment.full, &segment.bytes).unwrap();
    }
    let resumed = Invoker::new(Box::new(operator), Some(Box::new(backend)), ErrorPolicy::Fail);
    let mut resumed = resumed.with_evolution(&evolution);
    assert_eq!(resumed.retired(), left.retired);
    assert_eq!(process(&mut resumed, &[(1, 1), (2, 1)]), [(1, 600), (2, 700)]);
    assert_eq!(sweep_all(&mut resumed), (1, 0));
    assert_eq!(process(&mut resumed, &[(3, 0)]), [(3, 700)]);
}
