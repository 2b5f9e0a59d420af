//! What is expired goes, whether it is asked for or not.

use super::*;

const LIFE: i64 = 10;

fn expiring(name: &str, kind: StateKind) -> StateDeclaration {
    let ttl = Some(Ttl {
        milliseconds: LIFE as u64,
        domain: TimeDomain::ProcessingTime,
        update: TtlUpdate::OnCreateAndWrite,
        visibility: TtlVisibility::NeverReturnExpired,
    });
    let map_key = (kind == StateKind::Map).then_some(KeyLayout::U64);
    StateDeclaration { kind, ttl, map_key, ..state(name) }
}

fn states() -> [StateDeclaration; 3] {
    [
        expiring("value", StateKind::Value),
        expiring("map", StateKind::Map),
        expiring("list", StateKind::List),
    ]
}

fn at(processing_time: i64) -> Now {
    Now { processing_time, watermark: i64::MIN }
}

/// Writes a value, two map entries and an element for each key.
fn fill(backend: &mut HeapBackend, keys: u64, now: Now) {
    let words: Vec<u64> = (0..keys).collect();
    let slots: Vec<u32> = (0..keys as u32).collect();
    begin(backend, &words, now);
    let mut writes = WriteSet::new(backend.schema.states());
    writes.set_words(StateId(0), &slots, &words);
    let column = Column::Words(words);
    writes.put_entries(StateId(1), &slots, &column, &column);
    writes.put_entries(StateId(1), &slots, &Column::Words(vec![u64::MAX; slots.len()]), &column);
    writes.append(StateId(2), &slots, &column);
    backend.commit(&writes).unwrap();
}

/// Commits that have nothing to do with what is there.
fn pass_by(backend: &mut HeapBackend, commits: usize, now: Now) {
    for _ in 0..commits {
        begin(backend, &[], now);
        backend.commit(&WriteSet::new(backend.schema.states())).unwrap();
    }
}

#[test]
fn loading_again_and_again_remembers_no_more_than_there_is() {
    let mut backend = new(&states(), &[]).unwrap();
    fill(&mut backend, 3, at(0));
    begin(&mut backend, &[0, 1, 2, 3], at(LIFE));
    let mut window = Window::new(true);
    let loads = (0..1000).map(|_| {
        backend.load(StateId(0), &mut window).unwrap();
        assert!((0..4).all(|slot| !window.present.get(slot)));
        backend.invocation.expired.len()
    });
    assert_eq!(loads.max(), Some(4), "one a slot and state");
    backend.commit(&WriteSet::new(backend.schema.states())).unwrap();
    begin(&mut backend, &[], at(LIFE));
    assert_eq!(backend.invocation.expired.len(), 0);
}

#[test]
fn what_is_expired_goes_in_passing() {
    for snapshot_first in [false, true] {
        let mut backend = new(&states(), &[]).unwrap();
        fill(&mut backend, 2000, at(0));
        if snapshot_first {
            finish(&mut backend, 1);
        }
        pass_by(&mut backend, 10_000, at(LIFE - 1));
        assert_eq!(backend.entries(), 8000, "not before its time");
        pass_by(&mut backend, 10_000, at(LIFE));
        assert_eq!(backend.entries(), 0);
        if snapshot_first {
            let removed = finish(&mut backend, 2);
            let entries: u64 = removed.segments.iter().map(|segment| segment.entries).sum();
            assert_eq!(entries, 8000, "the removals are told");
        }
        pass_by(&mut backend, 1000, at(LIFE));
        assert!(backend.allocated_bytes() < 100_000, "{}", backend.allocated_bytes());
    }
}

#[test]
fn what_a_read_found_expired_goes_with_the_next_invocation() {
    let mut backend = new(&states(), &[]).unwrap();
    fill(&mut backend, 3, at(0));
    begin(&mut backend, &[1], at(LIFE));
    backend.load(StateId(0), &mut Window::new(true)).unwrap();
    let mut entries = Entries::new(true, true);
    assert!(!backend.scan(StateId(1), &Scan::all(0, 10), &mut entries).unwrap());
    let mut window = Window::new(true);
    backend.load_entries(StateId(2), &[0], &Column::Words(vec![1]), &mut window).unwrap();
    assert_eq!((entries.len(), window.present.get(0)), (0, false));
    assert_eq!(backend.entries(), 12, "a read changes nothing");
    begin(&mut backend, &[], at(LIFE));
    assert_eq!(backend.entries(), 12 - 4);
}

#[test]
fn what_was_restored_without_a_stamp_gets_one_in_passing() {
    let without = states().map(|state| StateDeclaration { ttl: None, ..state });
    let mut before = new(&without, &[]).unwrap();
    fill(&mut before, 100, at(0));
    let snapshot = finish(&mut before, 1);
    let mut backend = new(&states(), &[]).unwrap();
    for segment in &snapshot.segments {
        backend.restore(segment.group, segment.full, &segment.bytes).unwrap();
    }
    pass_by(&mut backend, 2000, at(1000));
    assert_eq!(backend.entries(), 400);
    let stamped = finish(&mut backend, 2);
    assert!(stamped.segments.iter().all(|segment| !segment.full));
    let entries: u64 = stamped.segments.iter().map(|segment| segment.entries).sum();
    assert_eq!(entries, 400, "stamps are changes");
    assert_eq!(finish(&mut backend, 3).segments, [], "once");
    pass_by(&mut backend, 2000, at(1000 + LIFE));
    assert_eq!(backend.entries(), 0);
}
