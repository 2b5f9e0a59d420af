//! Tests of the backend: the suite, random histories, and what only this backend does.

mod bed;
mod evolve;
mod expiry;
mod failures;
mod migrate;
mod tables;

use proptest::prelude::*;

use super::*;
use crate::conformance::{self, Setup, history};
use crate::heap::HeapBackend;
use bed::{Bed, tiny};

fn heap(setup: Setup) -> Box<dyn Backend> {
    let Setup { key, states, timers, groups, range } = setup;
    Box::new(HeapBackend::new(key, &states, &timers, groups, range).unwrap())
}

#[test]
fn the_backend_keeps_the_contract() {
    let bed = Bed::new(RocksOptions::default());
    conformance::run(|setup| bed.boxed(setup));
}

#[test]
fn the_backend_keeps_the_contract_when_nearly_nothing_fits_into_the_cache() {
    let bed = Bed::new(tiny());
    conformance::run(|setup| bed.boxed(setup));
}

#[test]
fn the_library_is_built_from_the_crate_that_is_linked() {
    let script = include_str!("../../../../scripts/rocksdb");
    let version = |name: &str| {
        let from = script.find(name).unwrap() + name.len();
        script[from..].split_whitespace().next().unwrap()
    };
    let locked = format!("{}+{}", version("\ncrate="), version(" rocksdb="));
    let lock = include_str!("../../../../Cargo.lock");
    let entry = format!("name = \"librocksdb-sys\"\nversion = \"{locked}\"");
    assert!(lock.contains(&entry), "scripts/rocksdb builds {locked}");
    let place = format!("rocksdb-{}", version(" rocksdb="));
    assert!(include_str!("../../../../Makefile").contains(&place), "the Makefile links {place}");
}

const KEYS: [KeyLayout; 3] = [KeyLayout::U64, KeyLayout::S64, KeyLayout::Bytes];

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn any_history_equals_the_model(
        steps in history::steps(30),
        key in 0..3_usize,
        parallelism in 1..4_u32,
        small in any::<bool>(),
    ) {
        let bed = Bed::new(if small { tiny() } else { RocksOptions::default() });
        let make = |setup| bed.boxed(setup);
        history::check(make, make, KEYS[key], parallelism, &steps);
    }

    #[test]
    fn any_history_equals_the_model_when_restored_on_the_heap_and_back(
        steps in history::steps(30),
        key in 0..3_usize,
        parallelism in 1..4_u32,
        small in any::<bool>(),
        heap_first in any::<bool>(),
    ) {
        let bed = Bed::new(if small { tiny() } else { RocksOptions::default() });
        let make = |setup| bed.boxed(setup);
        if heap_first {
            history::check(heap, make, KEYS[key], parallelism, &steps);
        } else {
            history::check(make, heap, KEYS[key], parallelism, &steps);
        }
    }
}
