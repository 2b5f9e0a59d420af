//! Cases about times to live.

use std::collections::BTreeMap;

use super::driver::{Batch, Chain, Datum, Driver, Op};
use super::states::{
    BY_NAME, CACHE, ITEMS, LAST, LAZY, LIFE, RECENT, SESSION, SHORT, SUM, TEXT, setup,
};
use super::{Make, Setup, heap};
use crate::backend::Now;
use crate::declaration::{KeyLayout, TimeDomain, Ttl, TtlUpdate, TtlVisibility};

pub(super) fn run(make: Make<'_>) {
    a_value_is_gone_once_its_time_is_up(make);
    a_write_starts_the_time_anew_and_a_read_where_it_counts(make);
    event_times_are_those_of_the_records(make);
    a_late_record_makes_nothing_older(make);
    what_is_expired_is_nothing_to_writes(make);
    what_is_expired_may_be_read_until_it_is_cleaned_up(make);
    every_entry_has_a_time_of_its_own(make);
    every_element_has_a_time_of_its_own(make);
    reads_within_an_invocation_change_nothing(make);
    times_go_on_after_a_restore(make);
    a_time_to_live_may_be_added(make);
    a_time_to_live_may_be_dropped(make);
    a_time_to_live_may_be_changed(make);
}

const NO_WATERMARK: i64 = i64::MIN;

fn at(processing_time: i64, watermark: i64) -> Now {
    Now { processing_time, watermark }
}

fn with_time(state: u32, key: &Datum, op: Op, event_time: i64) -> Batch {
    Batch {
        writes: vec![(state, key.clone(), op)],
        timers: Vec::new(),
        event_times: BTreeMap::from([(key.clone(), event_time)]),
    }
}

fn a_value_is_gone_once_its_time_is_up(make: Make<'_>) {
    for layout in [KeyLayout::U64, KeyLayout::Bytes] {
        let mut driver = Driver::new(make, &setup(layout));
        let key = if layout == KeyLayout::Bytes { "k".into() } else { 1.into() };
        driver.now = at(100, NO_WATERMARK);
        driver.put(SHORT, &key, 5);
        driver.put(SUM, &key, 6);
        driver.now = at(109, 1_000_000);
        assert_eq!(driver.get(SHORT, &key), Some(5.into()), "the other clock is of no matter");
        driver.now = at(110, 1_000_000);
        assert_eq!(driver.get(SHORT, &key), None, "on the millisecond");
        assert_eq!(driver.get(SHORT, &key), None);
        assert_eq!(driver.get(SUM, &key), Some(6.into()), "other states live on");
        driver.put(SHORT, &key, 7);
        assert_eq!(driver.get(SHORT, &key), Some(7.into()));
        driver.now = at(125, 1_000_000);
        assert_eq!(driver.get(SHORT, &key), None);
        driver.remove(SHORT, &key);
        assert_eq!(driver.get(SHORT, &key), None);
    }
}

fn a_write_starts_the_time_anew_and_a_read_where_it_counts(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let (read, written) = (Datum::from(1), Datum::from(2));
    driver.now = at(0, 0);
    for key in [&read, &written] {
        driver.put(SHORT, key, 1);
        driver.put(SESSION, key, "here");
        driver.ops(CACHE, key, [Op::Put("a".into(), 1.into())]);
    }
    driver.now = at(8, 8);
    driver.put(SHORT, &written, 2);
    for state in [SHORT, SESSION] {
        driver.ops(state, &read, [Op::Touch]);
        driver.ops(state, &3.into(), [Op::Touch]);
    }
    driver.ops(CACHE, &read, [Op::TouchEntry("a".into()), Op::TouchEntry("b".into())]);
    driver.now = at(12, 12);
    assert_eq!(driver.get(SHORT, &read), None, "reads do not count");
    assert_eq!(driver.get(SHORT, &written), Some(2.into()));
    assert_eq!(driver.get(SESSION, &read), Some("here".into()), "reads count");
    assert_eq!(driver.get(SESSION, &written), None);
    assert_eq!(driver.get(SESSION, &3.into()), None, "reading does not make a value");
    assert_eq!(driver.entry(CACHE, &read, "a"), Some(1.into()));
    assert_eq!(driver.entry(CACHE, &read, "b"), None);
    assert_eq!(driver.entry(CACHE, &written, "a"), None);
    driver.now = at(18, 18);
    assert_eq!(driver.get(SESSION, &read), None);
    driver.ops(SESSION, &read, [Op::Touch]);
    driver.ops(CACHE, &read, [Op::TouchEntry("a".into())]);
    assert_eq!(driver.get(SESSION, &read), None, "what is expired is not revived");
    assert_eq!(driver.entry(CACHE, &read, "a"), None);
}

fn event_times_are_those_of_the_records(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let (early, late, none) = (Datum::from(1), Datum::from(2), Datum::from(3));
    driver.now = at(0, 50);
    driver.apply(&with_time(SESSION, &early, Op::Set("early".into()), 45));
    driver.apply(&with_time(SESSION, &late, Op::Set("late".into()), 58));
    driver.put(SESSION, &none, "now");
    driver.now = at(1_000_000, 54);
    assert_eq!(driver.get(SESSION, &early), Some("early".into()));
    driver.now = at(1_000_000, 55);
    assert_eq!(driver.get(SESSION, &early), None);
    driver.now = at(1_000_000, 59);
    assert_eq!(driver.get(SESSION, &none), Some("now".into()), "the watermark counts instead");
    driver.now = at(1_000_000, 60);
    assert_eq!(driver.get(SESSION, &none), None);
    driver.now = at(1_000_000, 67);
    assert_eq!(driver.get(SESSION, &late), Some("late".into()));
    driver.apply(&with_time(SESSION, &late, Op::Touch, 70));
    driver.now = at(1_000_000, 79);
    assert_eq!(driver.get(SESSION, &late), Some("late".into()));
    driver.now = at(1_000_000, 80);
    assert_eq!(driver.get(SESSION, &late), None);
}

fn a_late_record_makes_nothing_older(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let key = Datum::from(1);
    driver.now = at(0, 58);
    driver.apply(&with_time(SESSION, &key, Op::Set("here".into()), 60));
    driver.apply(&with_time(SESSION, &key, Op::Touch, 45));
    assert_eq!(driver.get(SESSION, &key), Some("here".into()), "the read made it no older");
    driver.now = at(0, 69);
    assert_eq!(driver.get(SESSION, &key), Some("here".into()));
    driver.now = at(0, 70);
    assert_eq!(driver.get(SESSION, &key), None);
}

fn what_is_expired_is_nothing_to_writes(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let key = Datum::from(1);
    driver.ops(LAZY, &key, [Op::Merge(5.into())]);
    driver.now = at(9, NO_WATERMARK);
    driver.ops(LAZY, &key, [Op::Merge(6.into())]);
    assert_eq!(driver.get(LAZY, &key), Some(11.into()));
    driver.now = at(19, NO_WATERMARK);
    driver.ops(LAZY, &key, [Op::Merge(1.into()), Op::Merge(1.into())]);
    assert_eq!(driver.get(LAZY, &key), Some(2.into()), "the merge starts afresh");
    driver.now = at(40, NO_WATERMARK);
    driver.ops(LAZY, &key, [Op::Set(3.into())]);
    assert_eq!(driver.get(LAZY, &key), Some(3.into()));
    driver.now = at(60, NO_WATERMARK);
    driver.ops(LAZY, &key, [Op::Remove]);
    assert_eq!(driver.get(LAZY, &key), None, "what is removed is not returned");
}

fn what_is_expired_may_be_read_until_it_is_cleaned_up(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let key = Datum::from(1);
    driver.now = at(0, 0);
    driver.ops(LAZY, &key, [Op::Merge(5.into())]);
    driver.ops(LAST, &key, [Op::Put(1.into(), "one".into())]);
    driver.now = at(20, 20);
    driver.begin(std::slice::from_ref(&key)).expect("the key is of the range");
    assert_eq!(driver.load(LAZY, 1), [Some(5.into())], "nothing had a chance to clean it up");
    let found = driver.load_entries(LAST, &[(0, 1.into())]);
    assert_eq!(found, [Some("one".into())]);
    for _ in 0..50 {
        let found = driver.get(LAZY, &key);
        assert!(found.is_none() || found == Some(5.into()), "{found:?}");
        driver.put(SUM, &2.into(), 1);
    }
}

fn every_entry_has_a_time_of_its_own(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let key = Datum::from(1);
    for entry in 0..20_u8 {
        driver.now = at(i64::from(entry), NO_WATERMARK);
        driver.ops(CACHE, &key, [Op::Put(Datum::Bytes(vec![entry]), u64::from(entry).into())]);
    }
    for time in [19, 22, 25, 29] {
        driver.now = at(time, NO_WATERMARK);
        let first = (time - LIFE as i64 + 1) as u8;
        let expected: Vec<_> = (first..20)
            .map(|entry| (Datum::Bytes(vec![entry]), Datum::Word(u64::from(entry))))
            .collect();
        assert_eq!(driver.entries(CACHE, &key), expected, "at {time}");
        assert_eq!(driver.entry(CACHE, &key, &[first - 1][..]), None);
        driver.begin(std::slice::from_ref(&key)).expect("the key is of the range");
        let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        let (_, more) = driver.scan(CACHE, 0, all, expected.len());
        assert!(!more, "what is expired is no more");
    }
}

fn every_element_has_a_time_of_its_own(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let key = Datum::from(1);
    driver.now = at(0, 0);
    // Elements come in no order of their times.
    for time in [7, 3, 9, 1, 5] {
        driver.apply(&with_time(RECENT, &key, Op::Append(Datum::signed(time)), time));
    }
    let left = [(12, vec![7, 3, 9, 5]), (15, vec![7, 9]), (18, vec![9]), (19, vec![])];
    for (watermark, expected) in left {
        driver.now = at(0, watermark);
        let expected: Vec<_> = expected.into_iter().map(Datum::signed).collect();
        assert_eq!(driver.list(RECENT, &key), expected, "at {watermark}");
    }
    driver.ops(RECENT, &key, [Op::Append(1.into()), Op::Clear, Op::Append(2.into())]);
    assert_eq!(driver.list(RECENT, &key), [2.into()]);
}

/// Within an invocation, what was found stays, although later reads and clean-ups may take it away.
fn reads_within_an_invocation_change_nothing(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    let keys: Vec<Datum> = (0..50_u64).map(Datum::Word).collect();
    for (number, key) in keys.iter().enumerate() {
        driver.now = at(number as i64, number as i64);
        driver.ops(LAZY, key, [Op::Merge(1.into())]);
        driver.ops(LAST, key, [Op::Put(1.into(), "one".into())]);
        driver.put(SHORT, key, 1);
    }
    driver.now = at(55, 55);
    driver.begin(&keys).expect("the keys are of the range");
    let points: Vec<_> = (0..50).map(|slot| (slot, Datum::Word(1))).collect();
    let first = [LAZY, SHORT].map(|state| driver.load(state, 50));
    let entries = driver.load_entries(LAST, &points);
    assert_eq!([LAZY, SHORT].map(|state| driver.load(state, 50)), first);
    assert_eq!(driver.load_entries(LAST, &points), entries);
    let live = |slot: usize| slot + LIFE as usize > 55;
    let short: Vec<_> = (0..50).map(|slot| live(slot).then_some(Datum::Word(1))).collect();
    assert_eq!(first[1], short);
}

fn times_go_on_after_a_restore(make: Make<'_>) {
    for written_on in [make, Make::new(&heap)] {
        let mut driver = Driver::new(written_on, &setup(KeyLayout::U64));
        let mut chain = Chain::default();
        for epoch in 0..3_u64 {
            driver.now = at(epoch as i64 * 4, epoch as i64 * 4);
            let key = Datum::from(epoch);
            driver.put(SHORT, &key, epoch);
            driver.ops(RECENT, &7.into(), [Op::Append(epoch.into())]);
            driver.ops(CACHE, &7.into(), [Op::Put(Datum::Bytes(vec![epoch as u8]), 1.into())]);
            chain.add(&driver.snapshot(epoch, false));
        }
        for time in [8, 11, 15, 18] {
            for task in &mut chain.restore(make, &driver.setup, 3) {
                task.now = at(time, time);
                let live = |epoch: &u64| *epoch as i64 * 4 + LIFE as i64 > time;
                for epoch in
                    (0..3_u64).filter(|epoch| task.owns(&(*epoch).into())).collect::<Vec<_>>()
                {
                    let expected = live(&epoch).then_some(Datum::Word(epoch));
                    assert_eq!(task.get(SHORT, &epoch.into()), expected, "at {time}");
                }
                if task.owns(&7.into()) {
                    let expected: Vec<_> = (0..3).filter(live).map(Datum::Word).collect();
                    assert_eq!(task.list(RECENT, &7.into()), expected, "at {time}");
                    assert_eq!(task.entries(CACHE, &7.into()).len(), expected.len());
                }
            }
        }
    }
}

/// One key's value, map and list as the heap backend wrote them at that time, in states with such times to live.
fn written(ttl: Option<Ttl>, now: Now) -> Chain {
    let mut driver = Driver::new(Make::new(&heap), &changed(ttl));
    driver.now = now;
    let key = Datum::from(1);
    driver.put(TEXT, &key, "text");
    driver.ops(BY_NAME, &key, [Op::Put("a".into(), "b".into())]);
    driver.ops(ITEMS, &key, [Op::Append("x".into())]);
    let mut chain = Chain::default();
    chain.add(&driver.snapshot(1, true));
    chain
}

/// The setup, with other times to live for one state of each shape.
fn changed(ttl: Option<Ttl>) -> Setup {
    let mut changed = setup(KeyLayout::U64);
    for state in [TEXT, BY_NAME, ITEMS] {
        changed.states[state as usize].ttl = ttl;
    }
    changed
}

fn living(milliseconds: u64, domain: TimeDomain) -> Option<Ttl> {
    let (update, visibility) = (TtlUpdate::OnReadAndWrite, TtlVisibility::NeverReturnExpired);
    Some(Ttl { milliseconds, domain, update, visibility })
}

/// Whether what [`written`] wrote shows.
fn shows(driver: &mut Driver) -> bool {
    let key = Datum::from(1);
    let value = driver.get(TEXT, &key);
    let (entries, list) = (driver.entries(BY_NAME, &key), driver.list(ITEMS, &key));
    let all = value.is_some();
    assert_eq!(value, all.then(|| "text".into()));
    assert_eq!(entries.len(), usize::from(all), "all of it shows, or nothing");
    assert_eq!(list, vec![Datum::from("x"); usize::from(all)]);
    all
}

fn a_time_to_live_may_be_added(make: Make<'_>) {
    for domain in [TimeDomain::ProcessingTime, TimeDomain::EventTime] {
        let chain = written(None, at(0, 0));
        let mut restored = chain.restore(make, &changed(living(10, domain)), 1).remove(0);
        restored.now = at(1_000_000, 1_000_000);
        assert!(shows(&mut restored), "what has no stamp does not expire");
        let key = Datum::from(1);
        restored.ops(TEXT, &key, [Op::Touch]);
        restored.ops(BY_NAME, &key, [Op::TouchEntry("a".into())]);
        let number = restored.entries(ITEMS, &key)[0].0.clone();
        restored.ops(ITEMS, &key, [Op::TouchEntry(number)]);
        restored.now = at(1_000_009, 1_000_009);
        assert!(shows(&mut restored));
        restored.now = at(1_000_010, 1_000_010);
        assert!(!shows(&mut restored), "until it is read, where reads count");
    }
}

fn a_time_to_live_may_be_dropped(make: Make<'_>) {
    let chain = written(living(10, TimeDomain::ProcessingTime), at(5, 5));
    let mut restored = chain.restore(make, &changed(None), 1).remove(0);
    restored.now = at(i64::MAX, i64::MAX);
    assert!(shows(&mut restored));
}

fn a_time_to_live_may_be_changed(make: Make<'_>) {
    use TimeDomain::{EventTime, ProcessingTime};
    let chain = written(living(10, ProcessingTime), at(5, 5));
    let cases = [
        (living(10, ProcessingTime), 14, true),
        (living(10, ProcessingTime), 15, false),
        (living(100, ProcessingTime), 104, true),
        (living(100, ProcessingTime), 105, false),
        (living(1, ProcessingTime), 6, false),
        (living(1, EventTime), 1_000_000, true),
    ];
    for (ttl, time, expected) in cases {
        let mut restored = chain.restore(make, &changed(ttl), 1).remove(0);
        restored.now = at(time, time);
        assert_eq!(shows(&mut restored), expected, "{ttl:?} at {time}");
    }
}
