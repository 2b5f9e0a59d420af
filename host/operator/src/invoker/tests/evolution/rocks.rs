//! The same on RocksDB, whose sweeps go their own way.

use statehouse_state::{RocksBackend, RocksOptions, RocksResources};

use super::*;

/// The operator over a database of its own, in a directory that goes with what is returned.
fn on_rocks(operator: Totals, policy: ErrorPolicy) -> (Invoker, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let resources = RocksResources::new(RocksOptions::default());
    let declared = (&operator.description.states[..], &operator.description.timers[..]);
    let groups = (KeyGroups::DEFAULT, KeyGroupRange::all(KeyGroups::DEFAULT));
    let path = directory.path().join("task");
    let backend = RocksBackend::open(&path, &resources, KeyLayout::U64, declared, groups).unwrap();
    (Invoker::new(Box::new(operator), Some(Box::new(backend)), policy), directory)
}

fn take_over(invoker: &mut Invoker, operator: Totals) {
    let mut migrations = all_steps(&operator.description);
    let (kind, was, now) = (Renamed::Timer, "later".into(), "close".into());
    migrations.renames.push(Rename { kind, was, now });
    replace(invoker, operator, &migrations);
}

fn second(fails: Fails) -> Totals {
    let mut operator = totals(2, fails);
    operator.description.timers[0].name = "close".into();
    operator
}

#[test]
fn what_is_needed_moves_first_what_fails_stays_and_another_version_makes_an_end_of_it() {
    let (mut invoker, _directory) = on_rocks(totals(1, Fails::Never), ErrorPolicy::Skip);
    let mut keys: Vec<_> = (0..100).map(|key| (key, key + 20)).collect();
    keys[7].1 = UNLUCKY;
    process(&mut invoker, &keys);
    process(&mut invoker, &[(200, 1), (201, 1)]);
    take_over(&mut invoker, second(Fails::NamesNothing));
    assert_eq!(process(&mut invoker, &[(3, 1), (7, 1), (300, 1)]), [(3, 2400), (300, 100)]);
    assert_eq!(invoker.rejected(), 1);

    // The timers of two keys fire under their new name, and their totals move before.
    while invoker.fire_timers(TimeDomain::EventTime, 5000, Moment::default()).unwrap() {}
    let mut fired = emitted(&mut invoker);
    fired.sort_unstable();
    assert_eq!(fired, [(3, 2400), (200, 100), (201, 100), (300, 100)]);

    assert_eq!(sweep_all(&mut invoker), (98, 1));
    let progress = invoker.migration();
    assert_eq!((progress.left, progress.failed), (1, 1));
    assert_eq!(process(&mut invoker, &[(99, 1), (7, 1)]), [(99, 12_000)]);
    assert_eq!(invoker.rejected(), 2);
    assert!(invoker.retired().timers.is_empty(), "none of them is set any more");

    take_over(&mut invoker, second(Fails::Never));
    assert_eq!(sweep_all(&mut invoker), (1, 0));
    assert!(!invoker.is_migrating());
    assert_eq!(process(&mut invoker, &[(7, 1), (0, 0)]), [(7, 1400), (0, 2000)]);
}
