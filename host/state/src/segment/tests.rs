//! Tests of the segment format: its bytes, and damaged ones.

use proptest::prelude::*;

use super::*;
use crate::error::Error;
use crate::key::KeyGroup;

const GROUP: KeyGroup = KeyGroup(3);

fn schema(key: KeyLayout) -> Schema {
    let state = |name: &str, value| StateDeclaration {
        name: name.to_owned(),
        kind: StateKind::Value,
        value,
        codec: "raw".to_owned(),
        schema: None,
        map_key: None,
        merge: None,
        ttl: None,
        schema_version: 1,
    };
    let states = [state("sum", ValueLayout::S64), state("text", ValueLayout::Bytes)];
    let timers = [TimerDeclaration { name: "end".to_owned(), domain: TimeDomain::ProcessingTime }];
    Schema::new(key, &states, &timers)
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

fn sample() -> Vec<Record<'static>> {
    let (ann, nobody) = (Cell::Bytes(b"ann"), Cell::Bytes(b""));
    vec![
        Record::Value { state: StateId(0), key: ann, value: Some(Cell::Word(258)) },
        Record::Value { state: StateId(1), key: nobody, value: Some(Cell::Bytes(b"hi")) },
        Record::Value { state: StateId(0), key: nobody, value: None },
        Record::Timer { timer: TimerId(0), key: ann, time: -2, set: true },
        Record::Timer { timer: TimerId(0), key: ann, time: 1, set: false },
    ]
}

#[test]
fn version_1_has_these_bytes() {
    let bytes = write(&schema(KeyLayout::Bytes), &sample());
    let expected: Vec<u8> = [
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
    assert_eq!(bytes, expected);
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
            (cell(true), cell(true), any::<i64>(), 0..6_u8), 0..20),
    ) {
        let schema = schema(if words { KeyLayout::S64 } else { KeyLayout::Bytes });
        let mut rows = rows;
        rows.iter_mut().for_each(|(key, value, _, kind)| {
            key.2 = words;
            value.2 = *kind % 2 == 0;
        });
        let records: Vec<_> = rows.iter().map(|(key, value, time, kind)| match kind {
            0 | 1 => Record::Value {
                state: StateId(u32::from(*kind)), key: of(key), value: Some(of(value)),
            },
            2 | 3 => Record::Value {
                state: StateId(u32::from(kind % 2)), key: of(key), value: None,
            },
            _ => Record::Timer { timer: TimerId(0), key: of(key), time: *time, set: *kind == 4 },
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
