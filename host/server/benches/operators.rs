//! What `statehouse bench` measures, under `cargo bench`: the boundary, and a keyed running sum end to end.

use statehouse_server::Environment;
use statehouse_server::bench::sum::{self, SumSettings};
use statehouse_server::bench::{boundary, guest, machine};
use statehouse_server::job_file::BackendKind;

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() -> Result<(), String> {
    // `cargo test --benches` starts benchmarks too, without this word.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let component = guest::build(&Environment::read())?;
    println!("{}", boundary::text(&boundary::run(&component)?));
    let processors = machine::pin(1).map_err(|error| error.to_string())?;
    let directory = std::env::temp_dir().join(format!("statehouse-bench-{}", std::process::id()));
    for keys in [100_000, 5_000_000] {
        let settings = SumSettings {
            keys,
            backend: BackendKind::Heap,
            value_bytes: None,
            records: 20_000_000,
            parallelism: 1,
            checkpoint_interval: Some(std::time::Duration::from_secs(1)),
            repetitions: 3,
        };
        let figures = sum::run(&settings, Some(&component), &directory, processors)?;
        println!("{}", sum::text(&figures));
    }
    std::fs::remove_dir_all(&directory).map_err(|error| error.to_string())
}
