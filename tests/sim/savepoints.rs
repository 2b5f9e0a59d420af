//! Savepoints: a job that stops at one and goes on, and one that is forked.

use futures::executor::block_on;
use statehouse_checkpoint::OriginRecord;

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
