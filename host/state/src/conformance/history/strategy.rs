//! Random steps.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Step, Timer, Write};

/// Histories of up to that many steps.
pub fn steps(length: usize) -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 0..length)
}

fn step() -> impl Strategy<Value = Step> {
    let write = any::<[u8; 5]>().prop_map(|[state, key, op, entry, value]| Write {
        state,
        key,
        op,
        entry,
        value,
    });
    // Few keys get many entries.
    let crowded = any::<[u8; 4]>().prop_map(|[state, op, entry, value]| {
        let (key, state) = (state % 2, 9 + state % 10);
        Write { state, key, op, entry, value }
    });
    let write = prop_oneof![1 => write, 1 => crowded];
    let timer = (any::<[u8; 3]>(), -3..3_i8, any::<bool>()).prop_map(
        |([timer, key, namespace], time, set)| Timer { timer, key, time, namespace, set },
    );
    let time = prop_oneof![3 => 0..4_u8, 1 => 0..20_u8];
    prop_oneof![
        12 => (vec(write, 0..40), vec(timer, 0..6), any::<bool>()).prop_map(
            |(writes, timers, records_have_times)| Step::Commit { writes, timers, records_have_times }
        ),
        1 => vec(any::<u8>(), 0..10).prop_map(Step::Abandon),
        4 => (time.clone(), time).prop_map(|(processing, event)| Step::Time { processing, event }),
        4 => proptest::bool::weighted(0.2).prop_map(|full| Step::Start { full }),
        10 => (0..40_u8).prop_map(Step::Advance),
        2 => any::<u8>().prop_map(Step::Retire),
        1 => any::<u8>().prop_map(Step::Rotate),
        3 => (any::<u8>(), vec(0..super::KEYS, 0..20))
            .prop_map(|(state, keys)| Step::Move { state, keys }),
        3 => (any::<u8>(), any::<u8>()).prop_map(|(state, limit)| Step::Sweep { state, limit }),
        2 => Just(Step::Hold),
        1 => Just(Step::Release),
        2 => Just(Step::Revert),
        1 => Just(Step::Lose),
        1 => Just(Step::Die),
    ]
}
