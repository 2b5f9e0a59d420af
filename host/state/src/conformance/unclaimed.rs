//! Cases about restoring what an operator does not declare any more.

use super::driver::{Chain, Datum, Driver};
use super::states::{ITEMS, RETRY, SHORT, SUM, TEXT, setup};
use super::{Make, Setup, heap};
use crate::declaration::{KeyLayout, TimeDomain};

pub(super) fn run(make: Make<'_>) {
    what_is_not_declared_is_dropped_on_request(make);
}

/// On whatever backend it was written, and the next snapshot is without it.
fn what_is_not_declared_is_dropped_on_request(make: Make<'_>) {
    let setup = setup(KeyLayout::U64);
    let dropped = [TEXT, ITEMS, SHORT].map(|state| setup.states[state as usize].name.clone());
    let mut fewer = Setup { ..setup.clone() };
    fewer.states.retain(|state| !dropped.contains(&state.name));
    // In another order, so that numbers do not help.
    fewer.states.reverse();
    fewer.timers.remove(RETRY as usize);
    let sum = (fewer.states.len() - 1) as u32;
    for written_on in [make, Make::new(&heap)] {
        let mut driver = Driver::new(written_on, &setup);
        for key in 0..300_u64 {
            let writes = [
                (SUM, key.into(), Some(key.into())),
                (TEXT, key.into(), Some(Datum::from("gone"))),
                (SHORT, key.into(), Some(7.into())),
            ];
            let timers = [(0, key.into(), 5, true), (RETRY, key.into(), 6, true)];
            driver.commit(&writes, &timers);
        }
        let mut chain = Chain::default();
        chain.drops_unclaimed = true;
        chain.add(&driver.snapshot(1, false));
        driver.remove(TEXT, &1.into());
        driver.put(SUM, &2.into(), 20);
        chain.add(&driver.snapshot(2, false));
        for mut task in chain.restore(make, &fewer, 3) {
            if task.owns(&2.into()) {
                assert_eq!(task.get(sum, &2.into()), Some(20.into()));
            }
        }
        let mut whole = chain.restore(make, &fewer, 1).remove(0);
        whole.backend.abandon_snapshot();
        let mut kept = Chain::default();
        kept.add(&whole.snapshot(3, false));
        let mut restored = kept.restore(make, &fewer, 1).remove(0);
        assert_eq!(restored.get(sum, &2.into()), Some(20.into()));
        assert_eq!(restored.get(sum, &299.into()), Some(299.into()));
        assert_eq!(restored.drain_timers(TimeDomain::EventTime).len(), 300);
        assert_eq!(restored.drain_timers(TimeDomain::ProcessingTime), []);
    }
}
