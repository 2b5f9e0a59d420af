//! Tests of manifests: the format, its rules, and the way from one manifest to the next.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A file in format 1. It must be readable for ever.
const GOLDEN_V1: &[u8] = include_bytes!("../../tests/golden/manifest-v1.json");
/// A file in format 2. It must be readable for ever.
const GOLDEN_V2: &[u8] = include_bytes!("../../tests/golden/manifest-v2.json");
/// A file in format 3. It must be readable for ever.
const GOLDEN_V3: &[u8] = include_bytes!("../../tests/golden/manifest-v3.json");
/// A file in format 3, compressed. It must be readable for ever.
const GOLDEN_V3_COMPRESSED: &[u8] = include_bytes!("../../tests/golden/manifest-v3-compressed");
/// The file of [`sample`] in format 4. It must be readable for ever.
const GOLDEN_V4: &[u8] = include_bytes!("../../tests/golden/manifest-v4.json");

fn pack(text: &str, length: u64) -> PackRef {
    PackRef { digest: Digest::of(text.as_bytes()), length, format: PackFormat::Raw }
}

fn framed(text: &str, length: u64) -> PackRef {
    PackRef { format: PackFormat::Framed, ..pack(text, length) }
}

fn packed(full: bool, entries: u64, ranges: &[(PackRef, u64, u64)]) -> SegmentRef {
    let range =
        |&(pack, offset, length): &_| PackRange { pack, offset, length, raw_length: length };
    let location = Location::Packed(ranges.iter().map(range).collect());
    SegmentRef { full, entries, location }
}

/// A segment in chunks of framed packs: offset, length and raw length of each.
fn chunked(full: bool, entries: u64, chunks: &[(PackRef, u64, u64, u64)]) -> SegmentRef {
    let range =
        |&(pack, offset, length, raw_length): &_| PackRange { pack, offset, length, raw_length };
    let location = Location::Packed(chunks.iter().map(range).collect());
    SegmentRef { full, entries, location }
}

fn inline(full: bool, entries: u64, bytes: &'static [u8]) -> SegmentRef {
    SegmentRef { full, entries, location: Location::Inline(Bytes::from_static(bytes)) }
}

fn task(task: u32, watermark: Option<i64>, position: Value) -> TaskState {
    TaskState { task, watermark, position, state: None }
}

/// A manifest in which everything occurs that can.
pub(crate) fn sample() -> Manifest {
    let mut manifest = sample_v3();
    let counts = &mut manifest.operators[1];
    counts.declared = Some(Digest::of(b"component before"));
    counts.retired = Some(json!({"states": [{"name": "count", "schema_version": 1}]}));
    manifest
}

/// A manifest in which everything occurs that format 3 had.
fn sample_v3() -> Manifest {
    let mut manifest = sample_v2();
    let (first, second) = (framed("first", 500), framed("second", PACK_BYTES));
    let content = chunked(true, 0, &[(second, 32, 1 << 20, 2 << 20), (first, 432, 68, 51)]);
    let file = FileRef { name: "000007.sst".to_owned(), identity: None, content };
    manifest.operators.push(OperatorState {
        id: "totals".to_owned(),
        component: None,
        declared: None,
        description: Value::Null,
        retired: None,
        parallelism: 1,
        tasks: vec![task(0, None, Value::Null)],
        groups: BTreeMap::from([(
            1,
            vec![
                chunked(true, 3, &[(first, 32, 400, 900)]),
                packed(false, 1, &[(pack("base", 1000), 0, 1)]),
            ],
        )]),
        tables: vec![TablesRef { start: 2, end: 3, entries: 1, files: vec![file] }],
    });
    manifest
}

/// A manifest that is compressed.
fn large(mut manifest: Manifest) -> Manifest {
    manifest.operators[0].description = json!("long ".repeat(20_000));
    manifest
}

/// A manifest in which everything occurs that format 2 had.
fn sample_v2() -> Manifest {
    let mut manifest = sample_v1();
    let file = |name: &str, identity: Option<&str>, content| FileRef {
        name: name.to_owned(),
        identity: identity.map(str::to_owned),
        content,
    };
    let files = vec![
        file("000012.sst", Some("db-1/12"), packed(true, 0, &[(pack("table", 70_000), 0, 70_000)])),
        file("CURRENT", None, inline(true, 0, b"MANIFEST-000004\n")),
    ];
    manifest.operators.push(OperatorState {
        id: "joins".to_owned(),
        component: None,
        declared: None,
        description: Value::Null,
        retired: None,
        parallelism: 1,
        tasks: vec![TaskState {
            state: Some(inline(true, 0, b"list")),
            ..task(0, None, Value::Null)
        }],
        groups: BTreeMap::from([(64, vec![inline(true, 1, b"group")])]),
        tables: vec![
            TablesRef { start: 0, end: 64, entries: 12, files },
            TablesRef { start: 65, end: 128, entries: 0, files: Vec::new() },
        ],
    });
    manifest
}

/// A manifest in which everything occurs that format 1 had.
fn sample_v1() -> Manifest {
    let (base, large) = (pack("base", 1000), pack("large", PACK_BYTES));
    let source = OperatorState {
        id: "flights".to_owned(),
        component: None,
        declared: None,
        description: Value::Null,
        retired: None,
        parallelism: 2,
        tasks: vec![task(0, Some(-5), json!({"file": 3, "row": 17})), task(1, None, Value::Null)],
        groups: BTreeMap::new(),
        tables: Vec::new(),
    };
    let counts = OperatorState {
        id: "counts".to_owned(),
        component: Some(Digest::of(b"component")),
        declared: None,
        description: json!({"states": [{"kind": "value", "name": "count"}], "version": "1.0"}),
        retired: None,
        parallelism: 1,
        tasks: vec![task(0, Some(i64::MAX), json!(0.1))],
        groups: BTreeMap::from([
            (0, vec![packed(true, 10, &[(base, 0, 400)]), inline(false, 1, b"increment")]),
            (7, vec![packed(true, 10, &[(base, 400, 600)])]),
            (9, vec![packed(true, u64::MAX, &[(large, 0, PACK_BYTES), (base, 0, 1)])]),
            (127, vec![inline(true, 0, b""), inline(false, 2, &[0, 255, 254])]),
        ]),
        tables: Vec::new(),
    };
    Manifest {
        job: "delays".to_owned(),
        epoch: Epoch(12),
        parent: Some(Epoch(11)),
        generation: Generation(3),
        created_ms: 1_700_000_000_000,
        key_groups: 128,
        key_hash: "xxh3-64".to_owned(),
        operators: vec![source, counts],
        statistics: Statistics { duration_ms: 42, pack_bytes: 1000, packs: 1 },
    }
}

const PACK_BYTES: u64 = crate::pack::PACK_BYTES_MAX;

/// The file of a manifest with this text as its JSON, with a first line that fits.
fn file(version: u32, json: &str) -> Vec<u8> {
    let digest = Digest::of(json.as_bytes());
    format!("statehouse-manifest {version} {digest}\n{json}").into_bytes()
}

fn json_of(manifest: &Manifest) -> String {
    let file = manifest.encode().unwrap();
    let start = file.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    String::from_utf8(file[start..].to_vec()).unwrap()
}

#[test]
fn v1_manifest_is_read_and_becomes_one_of_this_format() {
    let manifest = Manifest::decode(GOLDEN_V1).unwrap();
    assert_eq!(manifest, sample_v1());
    assert_eq!(Manifest::decode(&manifest.encode().unwrap()).unwrap(), manifest);
}

#[test]
fn v2_manifest_is_read_and_becomes_one_of_this_format() {
    let manifest = Manifest::decode(GOLDEN_V2).unwrap();
    assert_eq!(manifest, sample_v2());
    assert_eq!(Manifest::decode(&manifest.encode().unwrap()).unwrap(), manifest);
}

#[test]
fn v3_manifest_is_read_and_becomes_one_of_this_format() {
    for (golden, sample) in [(GOLDEN_V3, sample_v3()), (GOLDEN_V3_COMPRESSED, large(sample_v3()))] {
        let manifest = Manifest::decode(golden).unwrap();
        assert_eq!(manifest, sample);
        assert_eq!(Manifest::decode(&manifest.encode().unwrap()).unwrap(), manifest);
    }
}

#[test]
fn v4_manifest_is_parsed_and_written_again_to_the_same_bytes() {
    assert_eq!(
        String::from_utf8_lossy(&sample().encode().unwrap()),
        String::from_utf8_lossy(GOLDEN_V4)
    );
    assert_eq!(Manifest::decode(GOLDEN_V4).unwrap(), sample());
}

#[test]
fn what_a_swap_left_is_of_format_4() {
    let json = json_of(&sample());
    Manifest::decode(&file(4, &json)).unwrap();
    let older = json.replacen("\"format\":4", "\"format\":3", 1);
    let error = Manifest::decode(&file(3, &older)).unwrap_err();
    assert!(error.to_string().contains("neither `declared` nor `retired`"), "{error}");
}

#[test]
fn who_was_asked_for_is_the_component_unless_a_swap_has_put_another_in_its_place() {
    let manifest = sample();
    let declared = |place: usize| manifest.operators[place].declared_component();
    assert_eq!(declared(0), None);
    assert_eq!(declared(1), Some(Digest::of(b"component before")));
    assert_eq!(sample_v3().operators[1].declared_component(), Some(Digest::of(b"component")));
}

#[test]
fn long_manifest_is_compressed_and_says_so_in_its_first_line() {
    let large_sample = large(sample());
    let file = large_sample.encode().unwrap();
    assert!(file.len() < 4_000, "{} bytes", file.len());
    let end = file.iter().position(|&byte| byte == b'\n').unwrap();
    let body = &file[end + 1..];
    let line = format!("statehouse-manifest 4 {} zstd", Digest::of(body));
    assert_eq!(str::from_utf8(&file[..end]).unwrap(), line);
    assert_eq!(Manifest::decode(&file).unwrap(), large_sample);
    // Format 2 had no such word.
    let older = [line.replacen(" 4 ", " 2 ", 1).as_bytes(), b"\n", body].concat();
    assert!(Manifest::decode(&older).unwrap_err().to_string().contains("form of any version"));
    let junk = Digest::of(b"junk");
    let junk = Manifest::decode(format!("statehouse-manifest 4 {junk} zstd\njunk").as_bytes());
    assert!(junk.unwrap_err().to_string().contains("decompressed"));
}

#[test]
fn tables_have_ranges_of_their_own_and_plain_file_names() {
    let broken = |change: &dyn Fn(&mut OperatorState)| {
        let mut manifest = sample();
        change(&mut manifest.operators[2]);
        let Err(ProtocolError::Operator { source, .. }) = manifest.check() else {
            panic!("a rule of an operator is broken")
        };
        source.to_string()
    };
    assert!(broken(&|joins| joins.tables[1].start = 63).contains("overlaps"));
    assert!(broken(&|joins| joins.tables[1].start = 64).contains("chain of segments too"));
    assert!(broken(&|joins| joins.tables[1].end = 129).contains("no such range"));
    assert!(broken(&|joins| joins.tables[1].end = 65).contains("no such range"));
    assert!(broken(&|joins| joins.tables.swap(0, 1)).contains("out of order"));
    for name in ["", "..", "a/b", "a\\b", ".hidden"] {
        let renamed = broken(&|joins| joins.tables[0].files[1].name = name.to_owned());
        assert!(renamed.contains("no plain file name"), "{renamed}");
    }
    let twice = broken(&|joins| joins.tables[0].files[1].name = "000012.sst".to_owned());
    assert!(twice.contains("two of that name"), "{twice}");
    let empty = Location::Packed(Vec::new());
    assert!(
        broken(&|joins| joins.tables[0].files[0].content.location = empty.clone())
            .contains("empty range")
    );
}

#[test]
fn every_flipped_bit_is_found() {
    for golden in [GOLDEN_V2, GOLDEN_V3, GOLDEN_V3_COMPRESSED, GOLDEN_V4] {
        for place in 0..golden.len() {
            for bit in 0..8 {
                let mut file = golden.to_vec();
                file[place] ^= 1 << bit;
                assert!(Manifest::decode(&file).is_err(), "byte {place}, bit {bit}");
            }
        }
    }
}

#[test]
fn every_truncation_and_every_addition_is_found() {
    for golden in [GOLDEN_V2, GOLDEN_V3, GOLDEN_V3_COMPRESSED, GOLDEN_V4] {
        for length in 0..golden.len() {
            assert!(Manifest::decode(&golden[..length]).is_err(), "length {length}");
        }
        assert!(Manifest::decode(&[golden, b"\n"].concat()).is_err());
    }
}

#[test]
fn newer_version_is_told_from_damage() {
    let error = Manifest::decode(&file(5, "{}")).unwrap_err();
    assert_eq!(error, FormatError::Newer { version: 5 });
    // A newer first line may be longer.
    let longer = b"statehouse-manifest 7 zstd something-else\n...";
    assert_eq!(Manifest::decode(longer).unwrap_err(), FormatError::Newer { version: 7 });
}

#[test]
fn field_that_this_version_does_not_know_is_refused() {
    let json = json_of(&sample());
    for (known, unknown) in [
        ("\"job\":", "\"extra\":1,\"job\":"),
        ("\"parallelism\":", "\"extra\":1,\"parallelism\":"),
        ("\"task\":0", "\"extra\":1,\"task\":0"),
        ("\"duration_ms\":", "\"extra\":1,\"duration_ms\":"),
    ] {
        let error = Manifest::decode(&file(4, &json.replacen(known, unknown, 1))).unwrap_err();
        assert!(error.to_string().contains("extra"), "{error}");
    }
}

#[test]
fn malformed_segment_is_refused() {
    let manifest = sample();
    let json = json_of(&manifest);
    let good = "[true,10,0,400,600]";
    assert!(json.contains(good));
    for bad in [
        "[]",
        "[true]",
        "[true,10]",
        "[true,10,0]",
        "[true,10,0,400]",
        "[true,10,0,400,600,0]",
        "[true,10,9,400,600]",
        "[true,10,0,400,601]",
        "[true,10,0,400,0]",
        "[true,10,0,-1,600]",
        "[true,10,0,400,600,\"AAAA\"]",
        "[true,10,\"AAAA\",0]",
        "[true,10,\"AAA\"]",
        "[true,10,\"A\u{e4}==\"]",
        "[false,10,0,400,600]",
        "7",
    ] {
        assert!(Manifest::decode(&file(4, &json.replace(good, bad))).is_err(), "{bad}");
    }
    let good = "[true,3,3,32,400,900]";
    assert!(json.contains(good));
    for bad in ["[true,3,3,32,400]", "[true,3,3,32,400,900,1]", "[true,3,0,32,400,900]"] {
        assert!(Manifest::decode(&file(4, &json.replace(good, bad))).is_err(), "{bad}");
    }
}

#[test]
fn framed_packs_are_of_format_3_and_no_other_kind_is_known() {
    let json = json_of(&sample_v3()).replacen("\"format\":4", "\"format\":3", 1);
    Manifest::decode(&file(3, &json)).unwrap();
    let error = Manifest::decode(&file(2, &json)).unwrap_err();
    assert!(error.to_string().contains("does not fit version 2"), "{error}");
    let error = Manifest::decode(&file(2, &json.replacen("\"format\":3,", "", 1))).unwrap_err();
    assert!(error.to_string().contains("format 2 has no framed packs"), "{error}");
    for kind in [0, 2] {
        let error =
            Manifest::decode(&file(3, &json.replacen(",500,1]", &format!(",500,{kind}]"), 1)));
        assert!(error.unwrap_err().to_string().contains("unknown pack format"), "{kind}");
    }
}

/// The error of the sample after a change.
fn broken(change: impl FnOnce(&mut Manifest)) -> String {
    let mut manifest = sample();
    change(&mut manifest);
    let error = manifest.check().unwrap_err();
    assert_eq!(manifest.encode().unwrap_err(), error);
    error.to_string()
}

fn chain(manifest: &mut Manifest, group: u16) -> &mut Vec<SegmentRef> {
    manifest.operators[1].groups.get_mut(&group).unwrap()
}

#[test]
fn rules_about_the_job_are_kept() {
    sample().check().unwrap();
    let contains = |text: String, part: &str| assert!(text.contains(part), "{text}");
    contains(broken(|manifest| manifest.job.clear()), "job's name is empty");
    contains(broken(|manifest| manifest.key_hash.clear()), "key hash's name is empty");
    contains(broken(|manifest| manifest.key_groups = 0), "not 0");
    contains(broken(|manifest| manifest.key_groups = 32_769), "not 32769");
    contains(broken(|manifest| manifest.parent = Some(Epoch(12))), "higher than epoch 12");
    contains(broken(|manifest| manifest.generation = Generation(0)), "generation 0");
    contains(broken(|manifest| manifest.operators[0].id = "counts".to_owned()), "id `counts`");
    contains(broken(|manifest| manifest.operators[0].id.clear()), "operator's id is empty");
    contains(broken(|manifest| manifest.operators[0].parallelism = 3), "parallelism 3");
    contains(broken(|manifest| manifest.operators[0].tasks.swap(0, 1)), "[1, 0]");
    contains(
        broken(|manifest| {
            manifest.operators[0].parallelism = 0;
            manifest.operators[0].tasks.clear();
        }),
        "parallelism 0",
    );
    contains(broken(|manifest| manifest.key_groups = 127), "key group 127");
}

#[test]
fn rules_about_chains_are_kept() {
    let contains = |text: String, part: &str| {
        assert!(text.contains("operator `counts`: key group"), "{text}");
        assert!(text.contains(part), "{text}");
    };
    contains(broken(|manifest| chain(manifest, 7).clear()), "key group 7: the chain is empty");
    contains(broken(|manifest| chain(manifest, 0).swap(0, 1)), "begins with an increment");
    contains(broken(|manifest| chain(manifest, 0)[1].full = true), "at place 1");
    let other = |length| packed(true, 1, &[(pack("base", length), 0, 1)]);
    contains(
        broken(|manifest| *chain(manifest, 7) = vec![other(999)]),
        "two lengths, 1000 and 999",
    );
    let alone = |offset, length| packed(true, 1, &[(pack("alone", 10), offset, length)]);
    contains(broken(|manifest| *chain(manifest, 7) = vec![alone(5, 6)]), "exceeds pack");
    contains(broken(|manifest| *chain(manifest, 7) = vec![alone(u64::MAX, 1)]), "exceeds pack");
    contains(broken(|manifest| *chain(manifest, 7) = vec![alone(5, 0)]), "empty range");
    contains(broken(|manifest| *chain(manifest, 7) = vec![packed(true, 1, &[])]), "empty range");
    let large = packed(true, 1, &[(pack("huge", PACK_BYTES + 1), 0, 1)]);
    contains(broken(|manifest| *chain(manifest, 7) = vec![large]), "larger than");
    let framed_base = chunked(true, 1, &[(framed("base", 1000), 32, 18, 1)]);
    contains(broken(|manifest| *chain(manifest, 7) = vec![framed_base]), "raw for one segment");
}

#[test]
fn chunks_are_such_as_a_writer_makes() {
    let check = |offset, length, raw_length| {
        let mut manifest = sample();
        let pack = framed("alone", 1000);
        *chain(&mut manifest, 7) = vec![chunked(true, 1, &[(pack, offset, length, raw_length)])];
        manifest.check()
    };
    for (offset, length, raw_length) in
        [(32, 18, 1), (32, 17, 1), (900, 100, 83), (32, 20, 1 << 24)]
    {
        check(offset, length, raw_length).unwrap();
    }
    for (offset, length, raw_length) in [
        (31, 18, 1),
        (32, 16, 1),
        (32, 18, 0),
        (900, 100, 82),
        (32, 20, PACK_BYTES),
        (32, 20, u64::MAX),
    ] {
        let error = check(offset, length, raw_length).unwrap_err();
        let ProtocolError::Operator { source, .. } = error else { panic!("{error}") };
        let ProtocolError::Group { source, .. } = *source else { panic!("{source}") };
        assert!(matches!(*source, ProtocolError::Chunk { .. }), "{source}");
    }
    let mut manifest = sample();
    let mut longer = packed(true, 1, &[(pack("alone", 10), 0, 5)]);
    if let Location::Packed(ranges) = &mut longer.location {
        ranges[0].raw_length = 6;
    }
    *chain(&mut manifest, 7) = vec![longer];
    assert!(manifest.check().is_err());
}

#[test]
fn chain_is_replaced_by_a_full_segment_and_extended_by_an_increment() {
    let (full, increment) = (inline(true, 3, b"full"), inline(false, 1, b"more"));
    let chain = extend_chain(&[], full.clone()).unwrap();
    let chain = extend_chain(&chain, increment.clone()).unwrap();
    let chain = extend_chain(&chain, increment.clone()).unwrap();
    assert_eq!(chain, [full.clone(), increment.clone(), increment.clone()]);
    assert_eq!(extend_chain(&chain, full.clone()).unwrap(), [full]);
    assert_eq!(extend_chain(&[], increment).unwrap_err(), ProtocolError::IncrementWithoutBase);
}

#[test]
fn groups_without_a_new_segment_keep_their_chain() {
    let (full, increment) = (inline(true, 3, b"full"), inline(false, 1, b"more"));
    let groups = extend_groups(&BTreeMap::new(), [(1, full.clone()), (2, full.clone())]).unwrap();
    let groups = extend_groups(&groups, [(2, increment.clone())]).unwrap();
    assert_eq!(groups[&1], std::slice::from_ref(&full));
    assert_eq!(groups[&2], [full, increment.clone()]);
    let error = extend_groups(&groups, [(3, increment)]).unwrap_err();
    assert!(error.to_string().starts_with("key group 3: "), "{error}");
}

#[test]
fn sizes_are_sums_over_segments() {
    let manifest = sample();
    assert_eq!(manifest.packs().len(), 5);
    assert_eq!(manifest.inline_bytes(), 9 + 3 + 16 + 5 + 4);
    let of_v2 = 400 + 9 + 600 + PACK_BYTES + 1 + 3 + 70_000 + 16 + 5 + 4;
    assert_eq!(manifest.state_bytes(), of_v2 + 900 + 1 + (2 << 20) + 51);
}

proptest! {
    #[test]
    fn manifest_is_read_as_it_was_written(
        job in ".{1,20}",
        epoch in 2..=u64::MAX,
        created_ms in any::<i64>(),
        position in any::<f64>().prop_filter("JSON has no others", |number| number.is_finite()),
        chains in prop::collection::btree_map(
            0..32_768_u16,
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..4),
            0..10,
        ),
    ) {
        let mut manifest = sample();
        manifest.job = job;
        manifest.epoch = Epoch(epoch);
        manifest.parent = Some(Epoch(epoch - 1));
        manifest.created_ms = created_ms;
        manifest.key_groups = KEY_GROUPS_MAX;
        manifest.operators[0].tasks[0].position = json!([position]);
        manifest.operators[1].groups = chains
            .into_iter()
            .map(|(group, chain)| {
                let segments = chain.into_iter().enumerate().map(|(place, bytes)| SegmentRef {
                    full: place == 0,
                    entries: bytes.len() as u64,
                    location: Location::Inline(bytes.into()),
                });
                (group, segments.collect())
            })
            .collect();
        let file = manifest.encode().unwrap();
        prop_assert_eq!(Manifest::decode(&file).unwrap(), manifest);
    }
}
