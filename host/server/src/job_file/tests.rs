//! Job files, good and bad, and the overrides of the command line.

mod checkpoint;
mod reference;

use std::path::Path;
use std::time::Duration;

use statehouse_connectors::settings::CsvSettings;
use statehouse_operator::ErrorPolicy;

use super::*;

const JOB: &str = r#"[job]
name = "flights"
parallelism = 2

[checkpoint]
dir = "checkpoints"
interval = "1s"
min-pause = "100ms"
timeout = "1m"
tolerable-failed = 3
inline-threshold = "1KiB"

[dead-letters]
path = "out/dead-letters"

[[source]]
id = "flights"
connector = "csv"
path = "data/*.csv.gz"
watermark-lag = "3h"
on-error = "dead-letter"

[[operator]]
id = "stats"
component = "flights.wasm"
inputs = { left = "flights", right = ["a.out", "b"] }
config = { lateness = "24h", size = 3, factor = 1.5, strict = true }
memory-limit = "32MiB"
deadline = "2s"

[[sink]]
id = "daily"
connector = "jsonl"
input = "stats.daily"
path = "out/daily"
with-key = true
"#;

fn parse(text: &str, set: &[&str]) -> Result<JobFile, String> {
    let overrides: Result<Vec<Override>, String> = set.iter().map(|set| set.parse()).collect();
    JobFile::parse(Path::new("f/job.toml"), text, &overrides?).map_err(|error| error.to_string())
}

#[test]
fn every_field_is_read() {
    let file = parse(JOB, &[]).unwrap();
    assert_eq!((file.job.name.as_str(), file.job.parallelism), ("flights", 2));
    assert_eq!(file.job.key_groups.count(), 128);
    let settings = file.checkpoint.as_ref().unwrap().settings();
    assert_eq!(settings.interval, Some(Duration::from_secs(1)));
    assert_eq!(settings.min_pause, Duration::from_millis(100));
    assert_eq!(settings.timeout, Duration::from_secs(60));
    assert_eq!((settings.tolerable_failed, settings.inline_threshold), (3, 1024));
    assert_eq!(file.checkpoint_place().unwrap().directory(), Some(Path::new("f/checkpoints")));
    let source = &file.sources[0];
    assert_eq!(source.node.on_error, ErrorPolicy::DeadLetter);
    assert_eq!(source.node.watermark_lag.unwrap().as_i64(), 3 * 3_600_000);
    assert!(
        matches!(&source.settings, SourceSettings::Csv(CsvSettings { path, .. }) if path == Path::new("data/*.csv.gz"))
    );
    let operator = &file.operators[0];
    assert_eq!(operator.inputs.as_ref().unwrap()["right"].0, ["a.out", "b"]);
    let config: Vec<&str> = operator.config.values().map(|text| text.0.as_str()).collect();
    assert_eq!(config, ["1.5", "24h", "3", "true"]);
    assert_eq!(operator.memory_limit, Some(ByteSize(32 << 20)));
    assert_eq!(file.sinks[0].node.input.0, ["stats.daily"]);
}

#[test]
fn an_unknown_field_is_named_with_its_table_and_line() {
    let check = |after: &str, expected: &str| {
        let text = JOB.replacen(after, &format!("{after}\nbogus = 1"), 1);
        let error = parse(&text, &[]).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    };
    check(
        "name = \"flights\"",
        "f/job.toml:3: [job]: unknown field `bogus`, expected one of `name`, ",
    );
    check(
        "interval = \"1s\"",
        "f/job.toml:8: [checkpoint]: unknown field `bogus`, expected one of ",
    );
    check("path = \"out/dead-letters\"", "f/job.toml:15: [dead-letters]: unknown field `bogus`");
    check(
        "connector = \"csv\"",
        "f/job.toml:19: [[source]] `flights`: unknown field `bogus`, expected",
    );
    check(
        "component = \"flights.wasm\"",
        "f/job.toml:26: [[operator]] `stats`: unknown field `bogus`",
    );
    check(
        "connector = \"jsonl\"",
        "f/job.toml:34: [[sink]] `daily`: unknown field `bogus`, expected",
    );
    let error = parse(&JOB.replace("watermark-lag", "watermark_lag"), &[]).unwrap_err();
    assert!(error.contains("every source also has `connector`, `id`"), "{error}");
    let error = parse(&format!("{JOB}\n[metrics]\nport = 1"), &[]).unwrap_err();
    assert!(error.starts_with("f/job.toml:38: `metrics`: unknown table"), "{error}");
}

#[test]
fn a_value_that_cannot_be_is_named_with_its_field_and_line() {
    let check = |from: &str, to: &str, expected: &str| {
        assert!(JOB.contains(from), "{from}");
        let error = parse(&JOB.replacen(from, to, 1), &[]).unwrap_err();
        assert_eq!(error.split(", expected one of").next().unwrap(), expected);
    };
    check(
        "interval = \"1s\"",
        "interval = \"1x\"",
        "f/job.toml:7: [checkpoint]: `interval`: `1x` is no duration (unknown time unit \"x\", supported units: ns, \
         us/µs, ms, sec, min, hours, days, weeks, months, years (and few variations)): write it like \"500ms\", \
         \"10s\" or \"1h 30m\"",
    );
    check(
        "interval = \"1s\"",
        "interval = 1",
        "f/job.toml:7: [checkpoint]: `interval`: invalid type: integer `1`, expected a duration like \"500ms\", \
         \"10s\" or \"1h 30m\"",
    );
    check("\"1m\"", "\"0s\"", "f/job.toml:9: [checkpoint]: `timeout`: it must be at least 1ms");
    check(
        "\"checkpoints\"",
        "\"\"",
        "f/job.toml:6: [checkpoint]: `dir`: it is empty: name a file or a folder (`.` is that of the job file)",
    );
    check(
        "\"out/daily\"",
        "\"\"",
        "f/job.toml:35: [[sink]] `daily`: `path`: it is empty: name a file or a folder (`.` is that of the job file)",
    );
    for size in ["\"63KiB\"", "4294967297"] {
        let expected =
            "f/job.toml:28: [[operator]] `stats`: `memory-limit`: it must be 64KiB to 4GiB";
        check("\"32MiB\"", size, expected);
    }
    check(
        "\"2s\"",
        "\"9ms\"",
        "f/job.toml:29: [[operator]] `stats`: `deadline`: it must be at least 10ms",
    );
    check("\"1s\"", "\"0s\"", "f/job.toml:7: [checkpoint]: `interval`: it must be at least 1ms");
    check(
        "\"1KiB\"",
        "\"1 potato\"",
        "f/job.toml:11: [checkpoint]: `inline-threshold`: `1 potato` is no size: write bytes, or a size like \
         \"20KiB\" or \"64MiB\"",
    );
    check(
        "parallelism = 2",
        "parallelism = 0",
        "f/job.toml:3: [job]: `parallelism`: 0 is out of range: it must be 1 to 32768",
    );
    check(
        "parallelism = 2",
        "key-groups = 40000",
        "f/job.toml:3: [job]: `key-groups`: 40000 is out of range: it must be 1 to 32768",
    );
    check(
        "name = \"flights\"",
        "name = \"a b\"",
        "f/job.toml:2: [job]: `name`: `a b` cannot be used: a name is letters, digits, `-` and `_`, not empty",
    );
    check(
        "connector = \"csv\"",
        "connector = \"parquet\"",
        "f/job.toml:18: [[source]] `flights`: `connector`: unknown variant `parquet`",
    );
    check(
        "path = \"data/*.csv.gz\"",
        "path = 7",
        "f/job.toml:19: [[source]] `flights`: `path`: invalid type: integer `7`, expected path string",
    );
    check(
        "strict = true",
        "strict = [1]",
        "f/job.toml:27: [[operator]] `stats`: `config`: invalid type: sequence, expected a text, a number, or true or \
         false",
    );
}

#[test]
fn what_is_missing_is_named() {
    let check = |from: &str, expected: &str| {
        assert!(JOB.contains(from), "{from}");
        assert_eq!(parse(&JOB.replacen(from, "", 1), &[]).unwrap_err(), expected);
    };
    check("dir = \"checkpoints\"\n", "f/job.toml:5: [checkpoint]: missing field `dir`");
    check(
        "path = \"data/*.csv.gz\"\n",
        "f/job.toml:16: [[source]] `flights`: missing field `path`",
    );
    check("id = \"daily\"\n", "f/job.toml:31: [[sink]] number 1: missing field `id`");
    check(
        "connector = \"csv\"\n",
        "f/job.toml:16: [[source]] `flights`: missing field `connector`, which says what kind it is",
    );
    let without = JOB.replace("inputs = { left = \"flights\", right = [\"a.out\", \"b\"] }\n", "");
    assert_eq!(
        parse(&without, &[]).unwrap_err(),
        "f/job.toml:23: [[operator]] `stats`: missing field `input` (or `inputs` for several ports), the outputs that \
         feed it"
    );
    let error = parse("[[source]]\nid = \"a\"\nconnector = \"generator\"", &[]).unwrap_err();
    assert!(error.starts_with("f/job.toml: [job]: the table is missing"), "{error}");
}

#[test]
fn two_nodes_with_one_id_are_both_named() {
    let error = parse(&JOB.replace("id = \"stats\"", "id = \"flights\""), &[]).unwrap_err();
    assert!(
        error.starts_with(
            "f/job.toml:24: [[operator]] `flights`: its `id` is taken by the [[source]] of line 17"
        ),
        "{error}"
    );
}

#[test]
fn tables_of_the_wrong_shape_are_told_how_to_be_written() {
    let error = parse("[job]\nname = \"a\"\n[source]\nid = \"a\"", &[]).unwrap_err();
    assert_eq!(error, "f/job.toml:3: `source`: there can be several: write `[[source]]`");
    let error = parse("[[job]]\nname = \"a\"", &[]).unwrap_err();
    assert_eq!(error, "f/job.toml:1: `job`: it must be one table: write `[job]`");
    let error = parse("[job\nname = 1", &[]).unwrap_err();
    assert!(
        error.starts_with("the job file `f/job.toml` is not TOML: TOML parse error at line 1"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = JobFile::read(Path::new("no/such/job.toml"), &[]).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the job file `no/such/job.toml`");
}

#[test]
fn overrides_replace_what_the_file_says() {
    let set = [
        "job.parallelism=5",
        "checkpoint.interval=500ms",
        "source.flights.path=/data/x.csv",
        "operator.stats.config.lateness=2h",
        "operator.stats.config.day=2013-01-01",
        "sink.daily.input=[\"a\", \"b\"]",
    ];
    let file = parse(JOB, &set).unwrap();
    assert_eq!(file.job.parallelism, 5);
    assert_eq!(file.checkpoint.unwrap().settings().interval, Some(Duration::from_millis(500)));
    assert!(
        matches!(&file.sources[0].settings, SourceSettings::Csv(csv) if csv.path == Path::new("/data/x.csv"))
    );
    assert_eq!(file.operators[0].config["lateness"].0, "2h");
    assert_eq!(file.operators[0].config["day"].0, "2013-01-01");
    assert_eq!(file.sinks[0].node.input.0, ["a", "b"]);
    let without = JOB.replacen("[checkpoint]", "[dead]", 1);
    let without = without.split_once("[dead-letters]").unwrap().1;
    let text = format!("[job]\nname = \"a\"\n[dead-letters]{without}");
    assert_eq!(parse(&text, &["checkpoint.dir=c"]).unwrap().checkpoint.unwrap().dir, "c");
}

#[test]
fn overrides_that_lead_nowhere_are_told_why() {
    let check = |set: &str, expected: &str| assert_eq!(parse(JOB, &[set]).unwrap_err(), expected);
    check("job", "write it as PATH=VALUE, for example `checkpoint.interval=500ms`");
    check("job..x=1", "a part of the path is empty");
    check(
        "jobs.x=1",
        "`--set jobs.x=1`: there is no `jobs`; a path begins with one of `job`, `checkpoint`, `state`, `dead-letters`, \
         `source`, `operator`, `sink`",
    );
    check(
        "source.x.path=1",
        "`--set source.x.path=1`: there is no source `x`; there are: `flights`",
    );
    check("source=1", "`--set source=1`: say which: `source.ID.FIELD=VALUE`");
    check("job=1", "`--set job=1`: name a field: the path ends at a table");
    check("job.name.x=1", "`--set job.name.x=1`: `name` is not a table");
    check(
        "checkpoint.interval=soon",
        "f/job.toml: [checkpoint]: `interval` (from --set): `soon` is no duration (expected number at 0): write it \
         like \"500ms\", \"10s\" or \"1h 30m\"",
    );
}
