//! The settings of checkpoints: each with its default, its limits, and its line in the reference.

use std::collections::BTreeSet;

use super::reference::accepted;
use super::{JOB, parse};
use crate::job_file::{Retention, SETTINGS, Setting, checkpoint_settings_page};

/// A job with these lines in its `[checkpoint]` table.
fn table(lines: &str) -> String {
    format!("[job]\nname = \"a\"\n[checkpoint]\n{lines}\n")
}

#[test]
fn the_reference_has_every_setting_and_is_as_written_down() {
    let named: BTreeSet<String> = SETTINGS.iter().map(|setting| setting.name.into()).collect();
    assert_eq!(named, accepted(&JOB.replace("interval = \"1s\"", "bogus = 1")));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/checkpoint-settings.md");
    let page = checkpoint_settings_page();
    if std::env::var_os("STATEHOUSE_BLESS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "{path} differs; STATEHOUSE_BLESS=1 writes it anew");
}

#[test]
fn the_defaults_of_the_reference_are_those_that_hold() {
    let written: String = SETTINGS
        .iter()
        .filter(|setting| !setting.default.is_empty())
        .map(|Setting { name, default, .. }| format!("{name} = {default}\n"))
        .collect();
    let dir = "dir = \"c\"\n";
    let spelled_out = parse(&table(&format!("{dir}{written}")), &[]).unwrap().checkpoint;
    assert_eq!(spelled_out, parse(&table(dir), &[]).unwrap().checkpoint);
}

#[test]
fn the_engines_defaults_are_the_same() {
    let ours = parse(&table("dir = \"c\""), &[]).unwrap().checkpoint.unwrap().settings();
    assert_eq!(ours, statehouse_engine::CheckpointSettings::default());
}

#[test]
fn every_setting_is_read() {
    let lines = "dir = \"s3://bucket/jobs/a\"\nstore = { endpoint = \"http://localhost:9000\", allow-http = true }\n\
                 max-concurrent = 2\nnum-retained = 7\nretention-on-cancellation = \"delete\"\n\
                 retention-on-finish = \"delete\"\nmode = \"at-least-once\"\ncompression = \"zstd\"\n\
                 local-copy = \"near\"";
    let table = parse(&table(lines), &[]).unwrap().checkpoint.unwrap();
    let settings = table.settings();
    assert_eq!((settings.max_concurrent, settings.num_retained), (2, 7));
    assert_eq!(settings.mode, statehouse_engine::Mode::AtLeastOnce);
    assert_eq!(settings.compression, statehouse_checkpoint::Compression::Zstd);
    assert_eq!(table.retention_on_cancellation, Retention::Delete);
    assert_eq!(table.retention_on_finish, Retention::Delete);
    assert_eq!(table.local_copy.as_deref(), Some(std::path::Path::new("near")));
    let options = table.store_options();
    assert_eq!(options["allow-http"], "true");
}

#[test]
fn settings_out_of_range_are_named_with_what_they_may_be() {
    let check = |line: &str, says: &str| {
        let error = parse(&table(&format!("dir = \"c\"\n{line}")), &[]).unwrap_err();
        let name = line.split(' ').next().unwrap();
        assert!(error.starts_with("f/job.toml:5: [checkpoint]: "), "{error}");
        assert!(error.contains(name) && error.contains(says), "{error}");
    };
    check("max-concurrent = 0", "it must be 1 to 16");
    check("max-concurrent = 17", "it must be 1 to 16");
    check("num-retained = 0", "it must be 1 to 10000");
    check("num-retained = -1", "it must be 1 to 10000");
    check("tolerable-failed = -1", "tolerable-failed");
    check("interval = \"0s\"", "at least 1ms");
    check("timeout = \"0s\"", "at least 1ms");
    check("min-pause = 5", "a duration like");
    check("inline-threshold = \"2MiB\"", "at most 1MiB");
    check("mode = \"once\"", "`exactly-once`");
    check("compression = \"gzip\"", "`lz4`");
    check("retention-on-finish = \"keep\"", "`retain`");
    check("retention-on-cancellation = true", "retention-on-cancellation");
    check("local-copy = \"\"", "it is empty");
    check("store = { region = \"\" }", "the option `region` is empty");
    check("store = \"s3\"", "store");
    let error = parse(&table("dir = \"ftp://host/c\""), &[]).unwrap_err();
    assert!(error.contains("`ftp://host/c` is no place") && error.contains("`s3://`"), "{error}");
}
