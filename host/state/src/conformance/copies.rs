//! Cases about copies of what is kept for some keys.

use super::driver::{Datum, Driver};
use super::evolution::{fill, keys};
use super::states::{SUM, setup, state};
use super::{Make, heap};
use crate::declaration::{KeyLayout, TimeDomain, ValueLayout};

pub(super) fn run(make: Make<'_>) {
    a_copy_holds_what_its_keys_have(make);
}

fn a_copy_holds_what_its_keys_have(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    fill(&mut driver);
    let new = driver.add_state(state("new", ValueLayout::Bytes));
    driver.put(new, &3.into(), "three");
    let (copied, all) = ([3, 17, 5000].map(Datum::Word), keys());
    let before = driver.shown(&all);
    let segments = driver.copy_keys(&copied);
    assert_eq!(driver.shown(&all), before, "the backend is as it was");
    for restore_on in [make, Make::new(&heap)] {
        let mut copy = Driver::new(restore_on, &driver.setup);
        for segment in &segments {
            let restored = copy.backend.restore(segment.group, segment.full, &segment.bytes);
            restored.expect("any backend with these declarations restores it");
        }
        assert_eq!(copy.shown(&copied), driver.shown(&copied));
        assert_eq!(copy.get(SUM, &4.into()), None, "it has no other keys");
        assert_eq!(copy.backend.next_timer(TimeDomain::EventTime), None, "and no timers");
        let entries: u64 = segments.iter().map(|segment| segment.entries).sum();
        copy.assert_entries(entries);
    }
    driver.begin(&copied).expect("the keys are of the range");
    assert_eq!(driver.load(new, 3), [Some("three".into()), None, None]);
}
