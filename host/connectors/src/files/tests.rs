//! Files of every format and compression, whole and damaged.

use std::fs;
use std::io::Write;

use serde_json::json;
use statehouse_engine::SourceFactory;
use tempfile::TempDir;

use super::*;
use crate::conformance::{Given, check_source, read, read_all};
use crate::settings::SourceSettings;

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

fn factory(dir: &Path, settings: &str) -> Result<Box<dyn SourceFactory>, ConnectorError> {
    let settings: SourceSettings = toml::from_str(settings).unwrap();
    struct Shared(std::sync::Arc<dyn SourceFactory>);
    impl std::fmt::Debug for Shared {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.0.fmt(f)
        }
    }
    impl SourceFactory for Shared {
        fn port(&self) -> &Port {
            self.0.port()
        }
        fn open(&self, t: u32, p: u32, r: &[Value]) -> Result<Box<dyn Source>, ConnectorError> {
            self.0.open(t, p, r)
        }
    }
    Ok(Box::new(Shared(settings.open_factory(dir)?)))
}

/// The values and the malformed pieces (line and reason) of one input.
fn check(settings: &str, content: &[u8], values: &[&str], malformed: &[(u64, &str)]) {
    let dir = folder(&[("in", content)]);
    let factory = factory(dir.path(), &format!("path = 'in'\n{settings}")).unwrap();
    let given = read_all(factory.as_ref()).unwrap();
    let rows = |batch: &statehouse_operator::Batch| match &batch.values {
        statehouse_state::Column::Bytes(values) => values
            .iter()
            .map(|value| String::from_utf8(value.to_vec()).unwrap())
            .collect::<Vec<_>>(),
        statehouse_state::Column::Words(_) => panic!("values are bytes"),
    };
    let found: Vec<String> = given.batches.iter().flat_map(rows).collect();
    assert_eq!(found, values);
    assert_eq!(given.malformed.len(), malformed.len(), "{:?}", given.malformed);
    for (found, (line, reason)) in given.malformed.iter().zip(malformed) {
        assert!(found.place.ends_with(&format!("/in:{line}")), "{found:?}");
        assert!(found.reason.contains(reason), "{found:?}");
    }
}

fn error_of(dir: &Path, settings: &str) -> String {
    match factory(dir, settings).and_then(|factory| read_all(factory.as_ref())) {
        Ok(given) => panic!("no error but {given:?}"),
        Err(error) => error.to_string(),
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn csv_rows_become_json_objects_in_the_order_of_the_header() {
    check(
        "connector = 'csv'",
        b"b,a\n1,2\n3,\n",
        &[r#"{"b":"1","a":"2"}"#, r#"{"b":"3","a":""}"#],
        &[],
    );
    check("connector = 'csv'\ndelimiter = ';'", b"a;b\n1,5;2\n", &[r#"{"a":"1,5","b":"2"}"#], &[]);
}

#[test]
fn csv_quotes_line_ends_and_marks_are_understood() {
    let csv = "connector = 'csv'";
    check(
        csv,
        b"a,b\n\"x, \"\"y\"\"\",\"1\n2\"\nlast,row",
        &[r#"{"a":"x, \"y\"","b":"1\n2"}"#, r#"{"a":"last","b":"row"}"#],
        &[],
    );
    check(csv, b"\xef\xbb\xbfa\r\n\r\n1\r\n\r\n2\r\n", &[r#"{"a":"1"}"#, r#"{"a":"2"}"#], &[]);
    check(csv, b"a\r1\r2", &[r#"{"a":"1"}"#, r#"{"a":"2"}"#], &[]);
    check(csv, b"\"a \"\"\\\"\n\xc3\xa9\x01\n", &["{\"a \\\"\\\\\":\"é\\u0001\"}"], &[]);
    check(csv, b"", &[], &[]);
    check(csv, b"a,b\n", &[], &[]);
}

#[test]
fn bad_csv_rows_are_malformed_and_the_next_is_read() {
    check(
        "connector = 'csv'\nkey = 'a'\ntime = { column = 't', format = 'rfc3339' }",
        b"a,t\r\n1,2013-01-01T00:00:00Z\r\n\r\n2\r\n\"3\n3\",NA\r\n\xff,2013-01-01T00:00:00Z\r\n\
          4,2013-01-01T00:00:00Z,x\n5,2013-01-01T00:00:00Z\n6,\"open\n",
        &[r#"{"a":"1","t":"2013-01-01T00:00:00Z"}"#, r#"{"a":"5","t":"2013-01-01T00:00:00Z"}"#],
        &[
            (4, "1 fields where the header has 2"),
            (5, "time in column `t`: `NA` is not an RFC 3339 time"),
            (7, "column 1 is not UTF-8"),
            (8, "3 fields"),
            (10, "a quoted field is not closed"),
        ],
    );
    let dir = folder(&[("in", b"a,b\n1\n")]);
    let factory = factory(dir.path(), "connector = 'csv'\npath = 'in'").unwrap();
    assert_eq!(read_all(factory.as_ref()).unwrap().malformed[0].input, "1");
}

#[test]
fn keys_and_times_are_taken_from_where_the_settings_say() {
    let records = |content: &[u8], settings: &str| {
        let dir = folder(&[("in", content)]);
        let factory = factory(dir.path(), &format!("path = 'in'\n{settings}")).unwrap();
        read_all(factory.as_ref()).unwrap().records(factory.port())
    };
    assert_eq!(
        records(
            b"k,t\nx,1.5\n",
            "connector = 'csv'\nkey = 'k'\ntime = { column = 't', format = 's' }"
        ),
        [json!({"time": 1500, "key": "x", "value": {"k": "x", "t": "1.5"}})]
    );
    assert_eq!(
        records(
            b"{\"a\":{\"k\":7},\"t\":12}\n{\"a\":{\"k\":\"\\u00e9\"},\"t\":\"13\"}\n",
            "connector = 'jsonl'\nkey = '/a/k'\ntime = { pointer = '/t', format = 'ms' }"
        ),
        [
            json!({"time": 12, "key": "7", "value": {"a": {"k": 7}, "t": 12}}),
            json!({"time": 13, "key": "é", "value": {"a": {"k": "é"}, "t": "13"}})
        ]
    );
}

#[test]
fn lines_and_json_lines_are_kept_as_they_are() {
    check(
        "connector = 'lines'",
        b"\xef\xbb\xbfa\r\n\n b\xff\nc",
        &["a", "", "c"],
        &[(3, "not UTF-8 from byte 2")],
    );
    check(
        "connector = 'jsonl'",
        b"{\"a\": 1.0}\r\n\n  [1]  \n{\"a\":}\n1 2\n\"\xff\"\n\"last\"",
        &["{\"a\": 1.0}", "[1]", "\"last\""],
        &[
            (4, "not JSON: expected value at column 6"),
            (5, "not JSON: trailing characters at column 3"),
            (6, "not UTF-8"),
        ],
    );
    check(
        "connector = 'jsonl'\nkey = '/k'\ntime = { pointer = '/t', format = 'ms' }",
        b"{\"k\":1}\n{\"t\":1}\n{\"k\":null,\"t\":1}\n{\"k\":[],\"t\":1}\n{\"k\":1,\"t\":1.5}\n",
        &[],
        &[
            (1, "there is no time at `/t`"),
            (2, "there is no key at `/k`"),
            (3, "the key at `/k` is null"),
            (4, "is an array or object"),
            (5, "time at `/t`: `1.5` is not a number of milliseconds"),
        ],
    );
}

#[test]
fn a_record_that_is_too_long_is_malformed_and_the_next_is_read() {
    let mut long = vec![b'x'; crate::input::RECORD_BYTES_MAX + 10];
    long.extend_from_slice(b"\n7\n");
    for (connector, header, next) in
        [("lines", &b""[..], "7"), ("jsonl", b"", "7"), ("csv", b"a\n", r#"{"a":"7"}"#)]
    {
        let content = [header, &long].concat();
        let line = if header.is_empty() { 1 } else { 2 };
        check(
            &format!("connector = '{connector}'"),
            &content,
            &[next],
            &[(line, "longer than 16 MiB")],
        );
    }
}

#[test]
fn every_format_and_compression_is_a_source_as_it_should_be() {
    let rows = |file: u32, rows: u32| -> (String, String, String) {
        let (mut lines, mut csv, mut jsonl) =
            (String::new(), String::from("n,text\r\n"), String::new());
        for row in 0..rows {
            let n = file * 100 + row;
            if row % 7 == 3 {
                lines.push('\n');
                csv.push_str("only one field\r\n\r\n");
                jsonl.push_str("{oops\n\n");
            }
            lines.push_str(&format!("line {n}\r\n"));
            csv.push_str(&format!("{n},\"a\r\n\"\"b\"\" {n}\"\r\n"));
            jsonl.push_str(&format!("{{\"n\":{n},\"text\":\"é\"}}\n"));
        }
        (lines, csv, jsonl)
    };
    for suffix in ["", ".gz", ".zst"] {
        let dir = tempfile::tempdir().unwrap();
        for (file, count) in [(0, 23), (1, 0), (2, 5), (3, 40), (4, 1)] {
            let (lines, csv, jsonl) = rows(file, count);
            for (kind, text) in [("txt", lines), ("csv", csv), ("jsonl", jsonl)] {
                let content = match suffix {
                    // Two members, cut anywhere, are one file.
                    ".gz" => {
                        let (one, two) = text.as_bytes().split_at(text.len() / 3);
                        [gzip(one), gzip(two)].concat()
                    }
                    ".zst" => zstd::encode_all(text.as_bytes(), 1).unwrap(),
                    _ => text.into_bytes(),
                };
                fs::write(dir.path().join(format!("{file}.{kind}{suffix}")), content).unwrap();
            }
        }
        for settings in [
            "connector = 'lines'\npath = '*.txt*'\nbatch = 4",
            "connector = 'csv'\npath = '*.csv*'\nbatch = 4\nkey = 'n'",
            "connector = 'csv'\npath = '*.csv*'\nbatch = 1\ntime = { column = 'n', format = 'ms' }",
            "connector = 'jsonl'\npath = '*.jsonl*'\nbatch = 3\nkey = '/n'",
        ] {
            check_source(&|| factory(dir.path(), settings).unwrap());
        }
    }
}

#[test]
fn a_source_of_malformed_records_alone_goes_on_poll_by_poll() {
    let dir = folder(&[("in", &b"x\n".repeat(10))]);
    let factory = factory(dir.path(), "connector = 'jsonl'\npath = 'in'\nbatch = 4").unwrap();
    let mut source = factory.open(0, 1, &[]).unwrap();
    let found: Vec<usize> =
        (0..4).map(|_| read(source.as_mut(), 1).unwrap().malformed.len()).collect();
    assert_eq!(found, [4, 4, 2, 0]);
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    let whole = gzip("a,b\n".repeat(10_000).as_bytes());
    let zst = zstd::encode_all("a,b\n".repeat(10_000).as_bytes(), 1).unwrap();
    let dir = folder(&[
        ("cut.gz", &whole[..whole.len() / 2]),
        ("tail.gz", &whole[..whole.len() - 3]),
        ("cut.zst", &zst[..zst.len() / 2]),
        ("text.gz", b"this is not gzip"),
        ("twice.csv", b"a,a\n1,2\n"),
        ("plain.csv", b"a,b\n1,2\n"),
    ]);
    let says = |settings: &str, words: &[&str]| {
        let error = error_of(dir.path(), settings);
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    says("connector = 'lines'\npath = 'none'", &["none`", "does not exist"]);
    for file in ["cut.gz", "tail.gz", "cut.zst"] {
        says(&format!("connector = 'lines'\npath = '{file}'"), &[file, "truncated"]);
    }
    says("connector = 'lines'\npath = 'text.gz'", &["text.gz", "suffix"]);
    says("connector = 'csv'\npath = 'twice.csv'", &["twice.csv", "`a` twice"]);
    says(
        "connector = 'csv'\npath = 'plain.csv'\nkey = 'c'",
        &["plain.csv", "no column `c`", "`a`, `b`"],
    );
    says(
        "connector = 'csv'\npath = 'plain.csv'\ntime = { column = 'd', format = 'ms' }",
        &["no column `d`", "`time`"],
    );
}

/// Reads a little, lets the file be changed, and gives what resuming says.
fn resumed(name: &str, content: &[u8], change: impl Fn(&Path)) -> Result<Given, String> {
    let dir = folder(&[(name, content), ("z", b"last\n")]);
    let settings = "connector = 'lines'\npath = '*'\nbatch = 2";
    let first = factory(dir.path(), settings).unwrap();
    let mut source = first.open(0, 1, &[]).unwrap();
    read(source.as_mut(), 1).unwrap();
    change(&dir.path().join(name));
    let again = factory(dir.path(), settings).map_err(|error| error.to_string())?;
    let opened = again.open(0, 1, &[source.position()]);
    let given = opened.and_then(|mut source| read(source.as_mut(), usize::MAX));
    given.map_err(|error| error.to_string())
}

#[test]
fn a_file_that_changed_under_its_position_is_refused() {
    let lines = b"1\n2\n3\n4\n";
    let error = resumed("a", lines, |path| fs::remove_file(path).unwrap()).unwrap_err();
    assert!(error.contains("`a` is gone") && error.contains("4 bytes"), "{error}");
    let error = resumed("a", lines, |path| fs::write(path, "1\n").unwrap()).unwrap_err();
    assert!(error.contains("/a` is shorter than the 4 bytes"), "{error}");
    let cut = |path: &Path| fs::write(path, gzip(b"1\n")).unwrap();
    let error = resumed("a.gz", &gzip(lines), cut).unwrap_err();
    assert!(error.contains("/a.gz` is shorter than the 4 bytes"), "{error}");
}

#[test]
fn files_that_come_later_are_not_read_and_finished_ones_may_go() {
    let later = |path: &Path| fs::write(path.with_file_name("b"), "later\n").unwrap();
    assert_eq!(resumed("a", b"1\n2\n3\n", later).unwrap().batches.len(), 2);
    let dir = folder(&[("a", b"1\n"), ("b", b"2\n")]);
    let settings = "connector = 'lines'\npath = '*'";
    let mut source = factory(dir.path(), settings).unwrap().open(0, 1, &[]).unwrap();
    read(source.as_mut(), 2).unwrap();
    fs::remove_file(dir.path().join("a")).unwrap();
    let again = factory(dir.path(), settings).unwrap();
    let mut source = again.open(0, 1, &[source.position()]).unwrap();
    assert!(read(source.as_mut(), usize::MAX).unwrap().batches.len() <= 1);
}

#[test]
fn a_position_of_another_source_is_refused() {
    let dir = folder(&[("a", b"1\n")]);
    let factory = factory(dir.path(), "connector = 'lines'\npath = 'a'").unwrap();
    let error = factory.open(0, 1, &[json!({"records": 5})]).unwrap_err().to_string();
    assert!(error.contains("not one of a file source") && error.contains("--fresh"), "{error}");
}
