//! Files of tables on their way from a checkpoint into a backend.

use statehouse_engine::Stop;

use crate::backends::{Backends, folder};
use crate::scheduler::{Ending, Life, Scenario};

/// A life that keeps its state in RocksDB, and that restores both operators at once.
fn start_on_rocks(scenario: &mut Scenario) -> Life {
    let folder = folder();
    let backends = Backends::rocks(folder.path()).at_once(2);
    scenario.start_on(backends, folder).unwrap()
}

#[test]
fn operators_that_are_restored_at_once_do_not_get_each_others_tables() {
    for seed in 810..818 {
        let mut scenario = Scenario::new(seed);
        scenario.restores_max = 8;
        let mut life = start_on_rocks(&mut scenario);
        for _ in 0..2000 {
            assert_eq!(scenario.step(&mut life), None);
        }
        life.job.handle.stop(Stop::Checkpoint);
        let ending = std::iter::repeat_with(|| scenario.step(&mut life)).find_map(|ending| ending);
        assert_eq!(ending, Some(Ending::Stopped));
        drop(life);
        let mut life = start_on_rocks(&mut scenario);
        let ending = std::iter::repeat_with(|| scenario.step(&mut life)).find_map(|ending| ending);
        assert_eq!(ending, Some(Ending::Completed), "seed {seed}");
        scenario.check();
    }
}
