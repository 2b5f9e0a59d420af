//! What is refused, what counts as a read, and which times go with writes.

use super::*;
use crate::limits::StateLimits;

const VALUE: StateId = StateId(0);
const LIST: StateId = StateId(1);
const MAP: StateId = StateId(2);
const SUM: StateId = StateId(3);

fn states() -> Vec<StateDeclaration> {
    vec![
        state(StateKind::Value, ValueLayout::Bytes),
        state(StateKind::List, ValueLayout::Bytes),
        map(KeyLayout::Bytes, ValueLayout::U64),
        reducing(Merge::Sum, ValueLayout::U64),
    ]
}

fn expiring(update: TtlUpdate, domain: TimeDomain) -> Vec<StateDeclaration> {
    let visibility = TtlVisibility::NeverReturnExpired;
    let ttl = Some(Ttl { milliseconds: 1000, domain, update, visibility });
    states().into_iter().map(|state| StateDeclaration { ttl, ..state }).collect()
}

#[test]
fn what_is_not_as_declared_traps() {
    let mut call = call(states());
    invoke(&mut call, 1, |call| {
        let (one, none) = (bytes(&["a"]), bytes::<&str>(&[]));
        let found = &mut Entries::new(true, false);
        let window = &mut Window::new(true);
        trapped(call.append(VALUE, &[0], &one), "`0:value` is a value state");
        trapped(call.put(LIST, &[0], &one, &words(&[1])), "`1:list` is a list state");
        trapped(call.load(MAP, window), "`2:map` is a map state");
        trapped(call.store(MAP, &[0], &words(&[1])), "`2:map` is a map state");
        trapped(call.merge(VALUE, &[0], &one), "`0:value` declares no merge");
        trapped(call.clear(SUM, &[0]), "`3:reducing` is a reducing state");
        trapped(call.scan(SUM, &Scan::all(0, 1), 1, found), "`3:reducing` is a reducing state");
        trapped(call.load_all(StateId(4), 1, 1), "no state 4");
        trapped(call.put(MAP, &[0], &words(&[1]), &words(&[1])), "map keys of state `2:map`");
        trapped(call.put(MAP, &[0], &one, &one), "`2:map` has another layout");
        trapped(call.put(MAP, &[0], &one, &words(&[])), "1 keys for 0 values");
        trapped(call.put(MAP, &[], &one, &words(&[1])), "0 slots for 1 keys");
        trapped(call.load_entries(MAP, &[1], &one, window), "slot 1 was not handed out");
        trapped(call.load_entries(MAP, &[0], &one, &mut Window::new(false)), "another layout");
        trapped(call.replace(LIST, &[0], &[2], &one), "counts of 2 for 1 values");
        trapped(call.replace(LIST, &[0], &[], &none), "1 slots for 0 counts");
        trapped(call.remove_elements(LIST, &[0], &[]), "1 slots for 0 numbers");
        let bounded = Scan { from: std::ops::Bound::Included(Cell::Word(1)), ..Scan::all(0, 1) };
        trapped(call.scan(MAP, &bounded, 1, found), "bounded by a key of another layout");
        trapped(call.scan(MAP, &Scan::all(0, 9), 9, &mut Entries::new(true, true)), "layout");
        trapped(call.append_task_list(0, &one), "no task state 0");
        assert!(call.writes.is_empty());
        Ok(())
    })
    .unwrap();
}

#[test]
fn keys_and_values_keep_to_their_limits() {
    let mut call = call(states());
    call.limits = StateLimits { key_bytes: 10, value_bytes: 20, written_bytes: 1000 };
    invoke(&mut call, 1, |call| {
        let (fits, long) = (vec![0; 20], vec![0; 21]);
        call.store(VALUE, &[0; 3], &bytes(&[&fits, &fits, &fits]))?;
        trapped(
            call.store(VALUE, &[0, 0], &bytes(&[&fits, &long])),
            "a value of 21 bytes for state `0:value`, and 20 are the most",
        );
        trapped(
            call.append(LIST, &[0], &bytes(&[&long])),
            "a value of 21 bytes for state `1:list`",
        );
        let key = bytes(&[&fits[..11]]);
        let said = "a map key of 11 bytes for state `2:map`, and 10 are the most";
        trapped(call.put(MAP, &[0], &key, &words(&[1])), said);
        trapped(call.remove_entries(MAP, &[0], &key), said);
        trapped(
            call.merge(SUM, &[0; 100], &words(&[1; 100])),
            "more than 1000 bytes to state `3:reducing`",
        );
        let append = |_| call.append(LIST, &[0], &bytes(&[&fits])).err();
        let full = (0..30).find_map(append);
        trapped(full.map_or(Ok(()), Err), "more than 1000 bytes to state `1:list`");
        Ok(())
    })
    .unwrap();
    let keys = bytes(&["12345", "1234567890", "12345678901"]);
    trapped(call.hand_out(&keys, &[1, 2, 3]), "a record's key has 11 bytes, and 10 are the most");
}

#[test]
fn reads_count_only_where_they_are_said_to() {
    let key = || bytes(&["a"]);
    let read = |call: &mut Call| {
        call.touch(VALUE, &[0])?;
        call.touch(SUM, &[0])?;
        call.touch_lists(LIST, &[0])?;
        call.touch_entries(MAP, &[0], &key())
    };
    let write = |call: &mut Call| {
        call.append(LIST, &[0, 0], &bytes(&["a", "b"]))?;
        call.put(MAP, &[0], &key(), &words(&[1]))
    };
    for declared in [states(), expiring(TtlUpdate::OnCreateAndWrite, TimeDomain::ProcessingTime)] {
        let mut call = call(declared);
        invoke(&mut call, 1, write).unwrap();
        invoke(&mut call, 1, |call| {
            read(call)?;
            assert!(call.writes.is_empty());
            Ok(())
        })
        .unwrap();
    }
    let mut call = call(expiring(TtlUpdate::OnReadAndWrite, TimeDomain::ProcessingTime));
    invoke(&mut call, 1, write).unwrap();
    invoke(&mut call, 1, |call| {
        read(call)?;
        for (state, count) in [(VALUE, 1), (LIST, 2), (MAP, 1), (SUM, 1)] {
            assert_eq!(call.writes.state(state).ops, vec![WriteOp::Touch; count]);
        }
        assert_eq!(call.list(LIST, 0, 100)?, bytes(&["a", "b"]), "reads change nothing");
        Ok(())
    })
    .unwrap();
}

#[test]
fn the_newest_event_time_of_each_slot_goes_with_the_writes() {
    let noted = |domain| {
        let mut call = call(expiring(TtlUpdate::OnCreateAndWrite, domain));
        invoke(&mut call, 3, |call| {
            call.note_event_times(&[0, 2, 0, 2], &[5, 1, 3, 8]);
            Ok((0..3).map(|slot| call.writes.event_time(slot)).collect::<Vec<_>>())
        })
        .unwrap()
    };
    assert_eq!(noted(TimeDomain::EventTime), [Some(5), Some(i64::MIN), Some(8)]);
    assert_eq!(noted(TimeDomain::ProcessingTime), [None, None, None]);
}

#[test]
fn what_a_batch_emits_and_how_often_it_rejects_has_a_limit() {
    let value = ValueType::new(ValueLayout::U64, Codec::Raw);
    let port = Port { name: "out".to_owned(), key: None, value, broadcast: false };
    let description = Description { outputs: vec![port], ..description(states()) };
    let mut call = Call::new(&description, Some(backend(&description)));
    call.limits = StateLimits { written_bytes: 100, ..StateLimits::default() };
    call.start(2, Moment::default());
    let twelve = words(&[1; 12]);
    call.emit(0, &[0; 12], None, &twelve).unwrap();
    trapped(call.emit(0, &[0; 12], None, &twelve), "more than 100 bytes of one batch");
    call.reject(0, "one".to_owned()).unwrap();
    call.reject(1, "two".to_owned()).unwrap();
    trapped(call.reject(1, "three".to_owned()), "more rejections than the 2 rows");
}
