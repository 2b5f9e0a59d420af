//! A job that is stopped, or dies, is started with newer operators, again and again, in the middle of what the ones
//! before had to take over.

use futures::executor::block_on;
use statehouse_checkpoint::Check;

use crate::scheduler::{Death, Ending, Scenario};
use crate::world::Versions;

/// What the newest checkpoint says of the ledger: its version, and whether there is state of versions before it.
fn newest(scenario: &Scenario) -> (u32, bool) {
    let store = scenario.world.store.checkpoints();
    let manifest = block_on(store.newest_valid(Check::Manifest)).unwrap().manifest;
    let mut operators = manifest.iter().flat_map(|manifest| &manifest.operators);
    let retired = operators.any(|operator| operator.id == "ledger" && operator.retired.is_some());
    (Versions::of(manifest.as_ref()).ledger, retired)
}

#[test]
fn newer_operators_go_on_wherever_the_migration_of_the_ones_before_was() {
    let (mut halfway, mut over, mut versions) = (0, 0, 0);
    for seed in 1400..1460 {
        println!("seed {seed}");
        let mut scenario = Scenario::new(seed);
        scenario.newer = true;
        scenario.rocks = seed % 11 == 7;
        let mut before = newest(&scenario);
        for death in 0..8 {
            let steps = 100 + seed * 37 % 700 + death * 90;
            if scenario.run(Death::AfterSteps(steps)) == Ending::Completed {
                break;
            }
            let now = newest(&scenario);
            println!("  after {steps} steps: version {} of the ledger, halfway: {}", now.0, now.1);
            halfway += u32::from(now.1);
            // A migration that was under way, or had just begun, is over: the next ones go on from that.
            over += u32::from(!now.1 && now.0 > 1 && (before.1 || now.0 > before.0));
            before = now;
        }
        scenario.complete();
        scenario.check();
        versions += newest(&scenario).0 - 1;
    }
    println!("{halfway} halfway, {over} over, {versions} versions");
    assert!(halfway > 30, "only {halfway} runs went on in the middle of a migration");
    assert!(over > 10, "only {over} migrations came to their end");
    assert!(versions > 60, "only {versions} newer versions");
}
