//! Tests of the segment format: its bytes, and damaged ones.

use proptest::prelude::*;

use super::*;
use crate::declaration::{Ttl, TtlUpdate, TtlVisibility};
use crate::error::Error;
use crate::key::KeyGroup;

const GROUP: KeyGroup = KeyGroup(3);

fn state(name: &str, kind: StateKind, value: ValueLayout) -> StateDeclaration {
    StateDeclaration {
        name: name.to_owned(),
        kind,
        value,
        codec: "raw".to_owned(),
        schema: None,
        map_key: (kind == StateKind::Map).then_some(KeyLayout::Bytes),
        map_key_codec: None,
        map_key_schema: None,
        merge: None,
        ttl: None,
        schema_version: 1,
    }
}

/// The first two states and the timers, which is what version 1 knew.
fn schema_of_version_1(key: KeyLayout) -> Schema {
    let states = [
        state("sum", StateKind::Value, ValueLayout::S64),
        state("text", StateKind::Value, ValueLayout::Bytes),
    ];
    let timers = [TimerDeclaration { name: "end".to_owned(), domain: TimeDomain::ProcessingTime }];
    Schema::new(key, &states, &timers)
}

fn schema(key: KeyLayout) -> Schema {
    let old = schema_of_version_1(key);
    let mut states = old.states().to_vec();
    let ttl = Ttl {
        milliseconds: 10,
        domain: TimeDomain::ProcessingTime,
        update: TtlUpdate::OnCreateAndWrite,
        visibility: TtlVisibility::NeverReturnExpired,
    };
    let mut items = state("items", StateKind::List, ValueLayout::Bytes);
    items.ttl = Some(ttl);
    states.extend([items, state("rank", StateKind::Map, ValueLayout::F64)]);
    Schema::new(key, &states, old.timers())
}

fn write(schema: &Schema, records: &[Record<'_>]) -> Vec<u8> {
    let mut writer = Writer::new(schema);
    records.iter().for_each(|record| writer.record(record));
    writer.finish()
}

fn read<'a>(schema: &Schema, bytes: &'a [u8]) -> Result<Vec<Record<'a>>, Error> {
    let mut reader = Reader::open(GROUP, bytes, schema)?;
    let mut records = Vec::new();
    while let Some(record) = reader.next()? {
        records.push(record);
    }
    Ok(records)
}

fn sample_of_version_1() -> Vec<Record<'static>> {
    let (ann, nobody) = (Cell::Bytes(b"ann"), Cell::Bytes(b""));
    let (sum, text, timer) = (StateId(0), StateId(1), TimerId(0));
    vec![
        Record::Value { state: sum, key: ann, value: Some(Cell::Word(258).into()) },
        Record::Value { state: text, key: nobody, value: Some(Cell::Bytes(b"hi").into()) },
        Record::Value { state: sum, key: nobody, value: None },
        Record::Timer { timer, key: ann, time: -2, namespace: 0, set: true },
        Record::Timer { timer, key: ann, time: 1, namespace: 0, set: false },
    ]
}

fn sample() -> Vec<Record<'static>> {
    let (ann, nobody) = (Cell::Bytes(b"ann"), Cell::Bytes(b""));
    let (items, rank) = (StateId(2), StateId(3));
    let mut records = sample_of_version_1();
    let stamped = Stamped { value: Cell::Bytes(b"x"), stamp: 5 };
    let value = Some(Cell::Word(1).into());
    records.extend([
        Record::Timer { timer: TimerId(0), key: nobody, time: 1, namespace: 300, set: true },
        Record::Entry { state: items, key: ann, entry: Cell::Word(7), value: Some(stamped) },
        Record::Entry { state: items, key: ann, entry: Cell::Word(8), value: None },
        Record::Entry { state: rank, key: nobody, entry: Cell::Bytes(b"\0"), value },
    ]);
    records
}

/// The bytes of the sample from the timers on, the same in versions 2 and 3.
fn records_of_sample() -> Vec<u8> {
    [
        &b"\x01\x03end\x01"[..],
        b"\x02\x03ann\x02\x01\0\0\0\0\0\0",
        b"\x0a\x00\x02hi",
        b"\x01\x00",
        b"\x04\x03ann\xfe\xff\xff\xff\xff\xff\xff\xff\x00",
        b"\x03\x03ann\x01\0\0\0\0\0\0\0\x00",
        b"\x04\x00\x01\0\0\0\0\0\0\0\xac\x02",
        b"\x16\x03ann\x07\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x01x",
        b"\x15\x03ann\x08\0\0\0\0\0\0\0",
        b"\x1e\x00\x01\0\x01\0\0\0\0\0\0\0",
        b"\x00\x09",
    ]
    .concat()
}

#[test]
fn version_3_has_these_bytes() {
    let mut states = schema(KeyLayout::Bytes).states().to_vec();
    states[1].schema_version = 300;
    let schema = Schema::new(KeyLayout::Bytes, &states, schema(KeyLayout::Bytes).timers());
    let bytes = write(&schema, &sample());
    let expected: Vec<u8> = [
        &b"SHSG\x03\x02"[..],
        b"\x04\x03sum\x01\x00\x01\x00\x00\x04text\xac\x02\x00\x03\x00\x00",
        b"\x05items\x01\x01\x03\x00\x02\x04rank\x01\x02\x02\x02\x00",
        &records_of_sample(),
    ]
    .concat();
    assert_eq!(bytes, expected);
}

fn segment_of_version_2() -> Vec<u8> {
    [
        &b"SHSG\x02\x02"[..],
        b"\x04\x03sum\x00\x01\x00\x00\x04text\x00\x03\x00\x00",
        b"\x05items\x01\x03\x00\x02\x04rank\x02\x02\x02\x00",
        &records_of_sample(),
    ]
    .concat()
}

#[test]
fn version_2_is_still_read() {
    let bytes = segment_of_version_2();
    assert_eq!(read(&schema(KeyLayout::Bytes), &bytes).unwrap(), sample());
}

/// The states of the sample behind others of the same names, at other schema versions.
fn schema_at(versions: [u32; 2]) -> Schema {
    let old = schema(KeyLayout::Bytes);
    let at = |version| {
        old.states()
            .iter()
            .map(move |state| StateDeclaration { schema_version: version, ..state.clone() })
    };
    let states: Vec<_> = versions.into_iter().flat_map(at).collect();
    Schema::new(KeyLayout::Bytes, &states, old.timers())
}

fn first_state(records: &[Record<'_>]) -> StateId {
    let Record::Value { state, .. } = records[0] else { panic!("{records:?}") };
    state
}

#[test]
fn states_are_told_apart_by_their_schema_versions() {
    let bytes = write(&schema_at([2, 5]), &sample());
    assert_eq!(first_state(&read(&schema_at([2, 5]), &bytes).unwrap()), StateId(0));
    assert_eq!(first_state(&read(&schema_at([5, 2]), &bytes).unwrap()), StateId(4));
    let without = segment_of_version_2();
    let old = read(&schema_at([5, 2]), &without).unwrap();
    assert_eq!(first_state(&old), StateId(4), "without a version it is the lowest");
    assert_eq!(schema_at([5, 2]).find("sum", Some(3)), None);
}

#[test]
fn a_schema_version_that_is_not_declared_is_refused_by_name_or_dropped() {
    let bytes = write(&schema(KeyLayout::Bytes), &sample());
    let mut schema = schema_at([2, 3]);
    let error = read(&schema, &bytes).unwrap_err().to_string();
    assert!(error.contains("holds state `sum` at schema version 1"), "{error}");
    assert!(error.contains("version 2 and 3 only"), "{error}");
    schema.drop_unclaimed();
    let left = read(&schema, &bytes).unwrap();
    assert!(left.iter().all(|record| matches!(record, Record::Timer { .. })), "{left:?}");
    assert_eq!(left.len(), 3);
}

#[test]
fn version_1_is_still_read() {
    let bytes: Vec<u8> = [
        &b"SHSG\x01\x02"[..],
        b"\x02\x03sum\x00\x01\x04text\x00\x03",
        b"\x01\x03end\x01",
        b"\x02\x03ann\x02\x01\0\0\0\0\0\0",
        b"\x06\x00\x02hi",
        b"\x01\x00",
        b"\x04\x03ann\xfe\xff\xff\xff\xff\xff\xff\xff",
        b"\x03\x03ann\x01\0\0\0\0\0\0\0",
        b"\x00\x05",
    ]
    .concat();
    for schema in [schema_of_version_1(KeyLayout::Bytes), schema(KeyLayout::Bytes)] {
        assert_eq!(read(&schema, &bytes).unwrap(), sample_of_version_1());
    }
}

#[test]
fn stamps_of_another_clock_or_of_none_are_passed_over() {
    let bytes = write(&schema(KeyLayout::Bytes), &sample());
    let (key, domain) = (KeyLayout::Bytes, TimeDomain::EventTime);
    let mut states = schema(key).states().to_vec();
    for ttl in [None, states[2].ttl.map(|ttl| Ttl { domain, ..ttl })] {
        states[2].ttl = ttl;
        let schema = Schema::new(key, &states, schema(key).timers());
        let records = read(&schema, &bytes).unwrap();
        let Record::Entry { value: Some(value), .. } = records[6] else { panic!("{records:?}") };
        assert_eq!(value, Cell::Bytes(b"x").into());
    }
}

#[test]
fn numbers_of_elements_that_no_backend_gives_are_refused() {
    let schema = schema(KeyLayout::U64);
    let element = |number| Record::Entry {
        state: StateId(2),
        key: Cell::Word(1),
        entry: Cell::Word(number),
        value: None,
    };
    let last = (1 << 63) - 1;
    assert_eq!(read(&schema, &write(&schema, &[element(last)])).unwrap(), [element(last)]);
    for number in [last + 1, u64::MAX] {
        let error = read(&schema, &write(&schema, &[element(number)])).unwrap_err();
        assert!(error.to_string().contains("numbers an element"), "{error}");
    }
}

#[test]
fn a_segment_without_records_is_a_segment() {
    let schema = schema(KeyLayout::U64);
    assert_eq!(read(&schema, &write(&schema, &[])).unwrap(), []);
}

#[test]
fn every_truncation_is_an_error() {
    let schema = schema(KeyLayout::Bytes);
    let bytes = write(&schema, &sample());
    for length in 0..bytes.len() {
        let read = read(&schema, &bytes[..length]);
        assert!(matches!(read, Err(Error::Segment { group: GROUP, .. })), "{length}: {read:?}");
    }
    let longer = [&bytes[..], b"\0"].concat();
    assert!(read(&schema, &longer).is_err(), "nothing may follow the end");
}

#[test]
fn every_flipped_bit_is_an_error_or_shows() {
    let schema = schema(KeyLayout::Bytes);
    let bytes = write(&schema, &sample());
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(records) = read(&schema, &damaged) {
            assert_ne!(records, sample(), "bit {bit}");
        }
    }
}

#[test]
fn a_number_has_one_encoding() {
    let schema = schema(KeyLayout::Bytes);
    let mut bytes = write(&schema, &[]);
    let count = bytes.len() - 1;
    assert_eq!(bytes[count], 0);
    bytes.splice(count.., [0x80, 0x00]);
    assert!(read(&schema, &bytes).is_err(), "padded");
    bytes.splice(count.., [0xff; 11]);
    assert!(read(&schema, &bytes).is_err(), "over 64 bits");
}

fn cell(words: bool) -> BoxedStrategy<(u64, Vec<u8>, bool)> {
    (any::<u64>(), proptest::collection::vec(any::<u8>(), 0..300), Just(words)).boxed()
}

fn of((word, bytes, words): &(u64, Vec<u8>, bool)) -> Cell<'_> {
    if *words { Cell::Word(*word) } else { Cell::Bytes(bytes) }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        words in any::<bool>(),
        rows in proptest::collection::vec(
            (cell(true), cell(true), any::<i64>(), 0..8_u8), 0..20),
    ) {
        let schema = schema(if words { KeyLayout::S64 } else { KeyLayout::Bytes });
        let mut rows = rows;
        rows.iter_mut().for_each(|(key, value, _, kind)| {
            key.2 = words;
            value.2 = *kind % 2 == 0;
        });
        let records: Vec<_> = rows.iter().map(|(key, value, time, kind)| match kind {
            0 | 1 => Record::Value {
                state: StateId(u32::from(*kind)), key: of(key), value: Some(of(value).into()),
            },
            2 | 3 => Record::Value {
                state: StateId(u32::from(kind % 2)), key: of(key), value: None,
            },
            4 | 5 => Record::Timer {
                timer: TimerId(0), key: of(key), time: *time, namespace: value.0, set: *kind == 4,
            },
            6 => Record::Entry {
                state: StateId(3), key: of(key), entry: Cell::Bytes(&value.1), value: None,
            },
            _ => Record::Entry {
                state: StateId(2), key: of(key), entry: Cell::Word(value.0 >> 1),
                value: Some(Stamped { value: of(value), stamp: *time }),
            },
        }).collect();
        let bytes = write(&schema, &records);
        prop_assert_eq!(read(&schema, &bytes).unwrap(), records);
    }

    #[test]
    fn noise_is_never_a_panic(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        at in 0..80_usize,
    ) {
        let schema = schema(KeyLayout::Bytes);
        let mut bytes = write(&schema, &sample());
        bytes.truncate(at);
        bytes.extend(noise);
        let _ = read(&schema, &bytes);
    }
}
