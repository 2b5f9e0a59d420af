//! What compactions do about values whose time is up.

use super::bed::*;
use super::*;
use crate::declaration::{StateKind, Ttl, TtlUpdate, TtlVisibility, ValueLayout};

fn life(domain: TimeDomain, visibility: TtlVisibility) -> Ttl {
    Ttl { milliseconds: 10, domain, update: TtlUpdate::OnReadAndWrite, visibility }
}

fn stored(backend: &RocksBackend) -> usize {
    let mut rows = 0;
    let all = (Vec::new(), vec![0xff]);
    backend
        .database
        .scan(all.0, all.1, false, |_, _| {
            rows += 1;
            Ok(true)
        })
        .unwrap();
    rows
}

#[test]
fn compactions_drop_what_has_expired_by_the_time_of_the_last_invocation() {
    for domain in [TimeDomain::EventTime, TimeDomain::ProcessingTime] {
        let bed = Bed::new(RocksOptions::default());
        let ttl = life(domain, TtlVisibility::ReturnUntilCleaned);
        let states = [
            expiring(state("value", StateKind::Value, ValueLayout::U64), ttl),
            expiring(state("list", StateKind::List, ValueLayout::U64), ttl),
            state("kept", StateKind::Value, ValueLayout::U64),
        ];
        let mut backend = bed.backend(&for_states(states.to_vec()));
        for key in 0..10 {
            let word = Column::Words(vec![key]);
            commit(&mut backend, &[key], key as i64, |set| {
                set.set_words(StateId(0), &[0], &[key]);
                set.append(StateId(1), &[0], &word);
                set.set_words(StateId(2), &[0], &[key]);
            })
            .unwrap();
        }
        backend.compact().unwrap();
        assert_eq!(stored(&backend), 30, "nothing has expired at 9");
        begin(&mut backend, &[], 14).unwrap();
        backend.compact().unwrap();
        assert_eq!(stored(&backend), 10 + 5 + 5, "what was written at 4 or before has");
        assert!(list(&mut backend, 1, 4).is_empty());
        begin(&mut backend, &[], 19).unwrap();
        backend.compact().unwrap();
        assert_eq!(stored(&backend), 10);
        let kept: Vec<_> = (0..10).map(Some).collect();
        assert_eq!(get(&mut backend, 2, &(0..10).collect::<Vec<_>>(), 19), kept);
    }
}

#[test]
fn a_read_that_counts_is_not_lost_to_a_compaction() {
    let bed = Bed::new(RocksOptions::default());
    let ttl = life(TimeDomain::ProcessingTime, TtlVisibility::NeverReturnExpired);
    let states = [
        expiring(state("value", StateKind::Value, ValueLayout::U64), ttl),
        expiring(state("map", StateKind::Map, ValueLayout::U64), ttl),
    ];
    let mut backend = bed.backend(&for_states(states.to_vec()));
    let (entry, word) = (Column::Words(vec![3]), Column::Words(vec![5]));
    commit(&mut backend, &[1], 0, |set| {
        set.set_words(StateId(0), &[0], &[5]);
        set.put_entries(StateId(1), &[0], &entry, &word);
    })
    .unwrap();
    backend.compact().unwrap();
    commit(&mut backend, &[1], 8, |set| {
        set.touch(StateId(0), &[0]);
        set.touch_entries(StateId(1), &[0], &entry);
    })
    .unwrap();
    begin(&mut backend, &[], 15).unwrap();
    backend.compact().unwrap();
    assert_eq!(stored(&backend), 2);
    assert_eq!(get(&mut backend, 0, &[1], 17), [Some(5)]);
    assert_eq!(get(&mut backend, 0, &[1], 18), [None]);
}
