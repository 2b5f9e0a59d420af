//! Savepoints: a job that stops at one and goes on, and one that is forked; and the other ways to stop.

use futures::executor::block_on;
use statehouse_checkpoint::OriginRecord;
use statehouse_engine::Stop;
use statehouse_tests::outside::Number;
use statehouse_tests::tally::expected_sums;

use crate::scheduler::{Death, Ending, Parent, Scenario};

#[test]
fn a_job_that_stops_at_a_savepoint_goes_on_from_there() {
    for seed in 600..625 {
        let mut scenario = Scenario::new(seed);
        scenario.savepoint_every = 60;
        scenario.stop_after = Some((seed % 25 * 300, "before-upgrade".to_owned()));
        match scenario.run(Death::Never) {
            Ending::Stopped => {
                assert!(scenario.told().contains("before-upgrade"));
                assert_eq!(scenario.run(Death::Never), Ending::Completed);
            }
            ending => assert_eq!(ending, Ending::Completed, "seed {seed}"),
        }
        assert!(scenario.told().len() > 3, "{:?}", scenario.told());
        scenario.check();
    }
}

#[test]
fn a_fork_and_its_parent_go_their_ways_and_both_are_collected() {
    for seed in 700..716 {
        println!("seed {seed}");
        let mut parent = Scenario::new(seed);
        parent.stop_after = Some((1000 + seed % 16 * 250, "fork-here".to_owned()));
        assert_eq!(parent.run(Death::Never), Ending::Stopped);
        let until_here = parent.world.seen(None);
        let store = parent.world.store.checkpoints();

        let mut fork = Scenario::on(parent.world.beside(), seed + 1);
        fork.name = "forked".to_owned();
        fork.rocks = seed % 8 == 5;
        fork.parent = Some(Parent {
            manifest: block_on(store.read_savepoint("fork-here")).unwrap(),
            store: store.clone(),
            origin: OriginRecord { location: "memory:///parent".into(), pin: "fork-forked".into() },
        });
        // Both run, and die, and collect, in turns.
        let mut deaths = 0..4;
        while fork.run(Death::AfterCalls(10 + seed % 30)) != Ending::Completed {
            fork.world.store.heal();
            let Some(death) = deaths.next() else {
                assert_eq!(fork.run(Death::Never), Ending::Completed, "seed {seed}");
                break;
            };
            parent.run(Death::AfterSteps(200 + death * 300));
        }
        parent.run(Death::Never);
        fork.world.store.heal();
        parent.check();
        fork.world.check(Some(&until_here));
        block_on(store.delete_savepoint("fork-here")).unwrap();
        // The fork needs what is in the parent's store as long as it names it.
        for epoch in block_on(fork.world.store.checkpoints().list()).unwrap() {
            let origin = fork.parent.as_ref().unwrap().origin.clone();
            let own = fork.world.store.checkpoints().with_origin(store.clone(), origin);
            let manifest = block_on(own.read(epoch)).unwrap();
            assert!(block_on(own.verify(&manifest)).unwrap().is_empty(), "seed {seed}");
        }
    }
}

#[test]
fn what_a_job_has_no_place_for_any_more_is_refused_or_dropped_by_name() {
    let mut scenario = Scenario::new(650);
    scenario.stop_after = Some((3000, "before-upgrade".to_owned()));
    assert_eq!(scenario.run(Death::Never), Ending::Stopped);
    // From here on without the ledger, its sinks and the source of its rules.
    scenario.tardy = true;
    let Ending::Died(reason) = scenario.run(Death::Never) else { panic!("it was not refused") };
    assert!(reason.contains("--allow-non-restored-state"), "{reason}");
    scenario.drop_unclaimed = true;
    let life = scenario.start().unwrap();
    for gone in ["the state of operator `ledger`", "the position of source `rules`"] {
        let dropped = &life.job.dropped;
        assert!(dropped.iter().any(|what| what == gone), "{dropped:?}");
    }
    drop(life);
    scenario.complete();
    scenario.world.check_raw(None);
    scenario.check_store();
}

#[test]
fn draining_fires_every_window_that_was_begun() {
    for seed in 660..670 {
        let mut scenario = Scenario::new(seed);
        scenario.stop_after = Some((seed % 10 * 500, "drained".to_owned()));
        scenario.stop = Stop::Drain;
        assert_eq!(scenario.run(Death::Never), Ending::Stopped);
        let taken = scenario.world.raw.committed().into_iter();
        let taken = taken.map(|(time, key, value)| Number {
            time,
            key: key.unwrap(),
            value: value.parse().unwrap(),
        });
        assert!(scenario.world.sums.committed() == expected_sums(taken), "seed {seed}");
        assert!(scenario.world.raw.committed().len() < 1500, "seed {seed}: nothing was left");
        scenario.check_store();
    }
}

#[test]
fn a_cancelled_job_goes_on_from_its_newest_checkpoint() {
    for seed in 680..690 {
        let mut scenario = Scenario::new(seed);
        let mut life = scenario.start().unwrap();
        for _ in 0..seed % 10 * 600 {
            assert_eq!(scenario.step(&mut life), None);
        }
        life.job.handle.stop(Stop::Cancel);
        let ending = std::iter::repeat_with(|| scenario.step(&mut life)).find_map(|ending| ending);
        assert_eq!(ending, Some(Ending::Stopped));
        drop(life);
        scenario.complete();
        scenario.check();
    }
}
