//! Settings as a job file writes them.

use super::*;

fn source(text: &str) -> Result<SourceSettings, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

fn sink(text: &str) -> Result<SinkSettings, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn fields_left_out_have_their_defaults() {
    assert_eq!(
        source("connector = 'csv'\npath = 'a.csv'").unwrap(),
        SourceSettings::Csv(CsvSettings {
            path: "a.csv".into(),
            delimiter: ',',
            key: None,
            time: None,
            batch: 1024
        })
    );
    assert_eq!(
        source("connector = 'generator'").unwrap(),
        SourceSettings::Generator(GeneratorSettings::default())
    );
    assert_eq!(sink("connector = 'discard'").unwrap(), SinkSettings::Discard(DiscardSettings {}));
    let SinkSettings::Jsonl(settings) = sink("connector = 'jsonl'\npath = 'out'").unwrap() else {
        panic!("not a directory");
    };
    assert_eq!(settings.existing, Existing::Refuse);
}

#[test]
fn what_is_written_is_read_back() {
    for text in [
        "connector = 'csv'\npath = 'a'\ndelimiter = \"\\t\"\nkey = 'k'\ntime = { column = 't', format = 'rfc3339' }",
        "connector = 'jsonl'\npath = 'a'\nkey = '/k'\ntime = { pointer = '/t', format = 'ms' }\nbatch = 7",
        "connector = 'stdin'\nformat = 'csv'\ndelimiter = ';'",
        "connector = 'stdin'\nformat = 'jsonl'\nkey = '/k'",
        "connector = 'lines'\npath = 'a'",
        "connector = 'generator'\nkeys = 5\nrecords = 10\ndistribution = 'zipf'\nexponent = 1.5\nrate = 3",
        "connector = 'nexmark'\nevents = 5\nbase-time = 0\nevent-rate = 10\nout-of-order = 7\nrate = 3\nbatch = 2",
    ] {
        let settings = source(text).unwrap();
        assert_eq!(source(&toml::to_string(&settings).unwrap()), Ok(settings));
    }
}

#[test]
fn names_of_fields_are_in_kebab_case() {
    let made = source("connector = 'generator'\nrecords-per-ms = 4").unwrap();
    let expected = GeneratorSettings { records_per_ms: 4, ..Default::default() };
    assert_eq!(made, SourceSettings::Generator(expected));
    let made = sink("connector = 'stdout'\nwith-key = true\nwith-time = true").unwrap();
    let expected = StdoutSettings { with_key: true, with_time: true, ..Default::default() };
    assert_eq!(made, SinkSettings::Stdout(expected));
    assert!(sink("connector = 'stdout'\nwith_key = true").unwrap_err().contains("`with-key`"));
}

#[test]
fn an_unknown_field_is_named() {
    for text in [
        "connector = 'lines'\npath = 'a'\nbacth = 1",
        "connector = 'csv'\npath = 'a'\nbacth = 1",
        "connector = 'jsonl'\npath = 'a'\nbacth = 1",
        "connector = 'stdin'\nformat = 'lines'\nbacth = 1",
        "connector = 'stdin'\nformat = 'csv'\nbacth = 1",
        "connector = 'stdin'\nformat = 'jsonl'\nbacth = 1",
        "connector = 'generator'\nbacth = 1",
        "connector = 'nexmark'\nbacth = 1",
        "connector = 'csv'\npath = 'a'\ntime = { column = 'a', format = 's', bacth = 1 }",
    ] {
        let error = source(text).unwrap_err();
        assert!(error.contains("unknown field `bacth`"), "{text}: {error}");
    }
    for text in [
        "connector = 'jsonl'\npath = 'a'\nbacth = 1",
        "connector = 'stdout'\nbacth = 1",
        "connector = 'discard'\nbacth = 1",
    ] {
        let error = sink(text).unwrap_err();
        assert!(error.contains("unknown field `bacth`"), "{text}: {error}");
    }
}

#[test]
fn a_field_of_another_format_and_an_unknown_connector_are_errors() {
    assert!(source("connector = 'stdin'\nformat = 'lines'\nkey = 'k'").is_err());
    let error = source("connector = 'parquet'").unwrap_err();
    assert!(error.contains("unknown variant `parquet`, expected one of `lines`"), "{error}");
    assert!(source("path = 'a'").unwrap_err().contains("connector"));
    assert!(source("connector = 'csv'").unwrap_err().contains("missing field `path`"));
}

#[test]
fn values_out_of_range_are_named() {
    let check = |text: &str, says: &str| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "").unwrap();
        let error = source(text).unwrap().open_factory(dir.path()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    check("connector = 'lines'\npath = 'a'\nbatch = 0", "`batch` is 0");
    check("connector = 'generator'\nbatch = 65537", "`batch` is 65537");
    check("connector = 'generator'\nkeys = 0", "`keys` is 0");
    check("connector = 'generator'\nrate = 0", "`rate` is 0");
    check("connector = 'generator'\nexponent = nan", "`exponent`");
    check("connector = 'nexmark'\nbatch = 0", "`batch` is 0");
    check("connector = 'nexmark'\nrate = 0", "`rate` is 0");
    check("connector = 'nexmark'\nevent-rate = 0", "`event-rate` is 0");
    check("connector = 'nexmark'\nout-of-order = 0", "`out-of-order`");
    check("connector = 'nexmark'\nout-of-order = 1906", "`out-of-order`");
    check("connector = 'nexmark'\nbase-time = 4102444800001", "`base-time`");
    check("connector = 'csv'\npath = 'a'\ndelimiter = '→'", "`delimiter` is '→'");
    check("connector = 'csv'\npath = 'a'\ndelimiter = '\"'", "`delimiter`");
    check("connector = 'jsonl'\npath = 'a'\nkey = 'k'", "write `/k`");
}

#[test]
fn relative_paths_start_at_the_job_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.txt"), "x\n").unwrap();
    let settings = source("connector = 'lines'\npath = 'a.txt'").unwrap();
    assert!(settings.open_factory(dir.path()).is_ok());
    let error = settings.open_factory(&dir.path().join("elsewhere")).unwrap_err().to_string();
    assert!(error.contains("elsewhere/a.txt` does not exist"), "{error}");
}
