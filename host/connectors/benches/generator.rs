//! What a record of the generator costs, and one of a CSV and a JSON Lines file.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use statehouse_connectors::SourceSettings;
use statehouse_connectors::settings::{Distribution, GeneratorSettings};
use statehouse_engine::Polled;

fn main() {
    let generator = |settings| SourceSettings::Generator(settings);
    let records = Some(50_000_000);
    for keys in [100_000, 5_000_000] {
        let settings = GeneratorSettings { keys, records, ..GeneratorSettings::default() };
        report(&format!("generator, uniform, {keys} keys"), &generator(settings));
    }
    report(
        "generator, zipf, 100000 keys",
        &generator(GeneratorSettings {
            records: Some(5_000_000),
            distribution: Distribution::Zipf,
            ..GeneratorSettings::default()
        }),
    );
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let (mut csv, mut jsonl) = (String::from("id,name,carrier,time\n"), String::new());
    for id in 0..1_000_000 {
        writeln!(csv, "{id},number {id},UA,2013-01-01T10:00:00Z").expect("memory");
        writeln!(jsonl, r#"{{"id":{id},"name":"number {id}","carrier":"UA"}}"#).expect("memory");
    }
    for (name, text) in [("a.csv", csv), ("a.jsonl", jsonl)] {
        std::fs::write(dir.path().join(name), text).expect("the directory can be written to");
    }
    for settings in [
        format!("connector = 'csv'\npath = '{}/a.csv'", dir.path().display()),
        format!(
            "connector = 'csv'\npath = '{}/a.csv'\nkey = 'name'\ntime = {{ column = 'time', format = 'rfc3339' }}",
            dir.path().display()
        ),
        format!("connector = 'jsonl'\npath = '{}/a.jsonl'", dir.path().display()),
        format!("connector = 'jsonl'\npath = '{}/a.jsonl'\nkey = '/name'", dir.path().display()),
        format!("connector = 'lines'\npath = '{}/a.jsonl'", dir.path().display()),
    ] {
        report(&settings.replace('\n', ", "), &toml::from_str(&settings).expect("settings hold"));
    }
}

fn report(name: &str, settings: &SourceSettings) {
    let (mut best, mut records) = (Duration::MAX, 0);
    for _ in 0..3 {
        let factory = settings.open_factory(Path::new(".")).expect("the source is there");
        let mut source = factory.open(0, 1, &[]).expect("the source opens");
        records = 0;
        #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
        let start = Instant::now();
        while let Polled::Batch(batch) = source.poll().expect("the source can be read") {
            records += std::hint::black_box(&batch).len();
        }
        best = best.min(start.elapsed());
    }
    let nanoseconds = best.as_nanos() as f64 / records as f64;
    #[expect(clippy::print_stdout, reason = "a benchmark reports to the terminal")]
    {
        println!("{nanoseconds:8.2} ns per record  {name}");
    }
}
